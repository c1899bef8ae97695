//! Ports for programs that must be told where to listen.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// What the system gives to nobody who does not ask for it by number: below its range for clients (32768–60999, `ip_local_port_range`).
const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

/// An address of loopback that is free for TCP and UDP, and that no other call of this process gets soon.
///
/// A port that is asked for as port 0 and given back is one of those that clients' connections get, and each of these keeps its own for a
/// minute after its end: a program that binds it later now and then finds it taken. Here only another server may be in the way.
///
/// # Errors
/// None of a thousand is free.
pub fn free() -> io::Result<SocketAddr> {
    static NEXT: OnceLock<AtomicU32> = OnceLock::new();
    let next = NEXT.get_or_init(|| AtomicU32::new(RandomState::new().hash_one(std::process::id()) as u32));
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..1000 {
        let port = FIRST + (next.fetch_add(1, Ordering::Relaxed) % u32::from(COUNT)) as u16;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        match TcpListener::bind(address).and_then(|_| UdpSocket::bind(address)) {
            Ok(_) => return Ok(address),
            Err(error) => last = error,
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_another_and_can_be_listened_on() {
        let one = free().unwrap();
        let held = TcpListener::bind(one).unwrap();
        for _ in 0..50 {
            let other = free().unwrap();
            assert!(other != one && (20_000..32_000).contains(&other.port()), "{other}");
        }
        drop(held);
    }
}
