//! What systemd does: it holds the sockets while the gateway restarts, and hears how it is.

use std::fs;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use command_fds::{CommandFdExt as _, FdMapping};
use rustix::process::Signal;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpStream, UnixStream};

use crate::app::{Mood, Server};
use crate::gateway::{assert_good, get, rest};
use crate::load;
use crate::process::{Place, Process, eventually, send};

const ORIGIN: &str = env!("CARGO_BIN_EXE_origin");

/// Has a command take over descriptors as systemd hands them over: `LISTEN_PID` is the process that it becomes.
fn activated(place: &Place, names: &str, descriptors: Vec<OwnedFd>) -> Command {
    let served = place.command(Path::new(ORIGIN));
    let mut command = Command::new("sh");
    command.args(["-c", "export LISTEN_PID=$$; exec \"$@\"", "sh"]).arg(served.get_program()).args(served.get_args());
    command.env("LISTEN_FDS", descriptors.len().to_string()).env("LISTEN_FDNAMES", names);
    let mappings = (3..).zip(descriptors).map(|(child_fd, parent_fd)| FdMapping { parent_fd, child_fd });
    command.fd_mappings(mappings.collect()).expect("no two at one number");
    command
}

/// A stop and a start, as `systemctl restart` does them, while systemd holds the socket: who comes in between waits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_under_load_loses_nothing() {
    let app = Server::start(Mood::Good).await;
    let place = Place::new();
    let held = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = held.local_addr().expect("bound");
    place.configure(&format!("listen.http = [\"{address}\"]\nlisten.cores = 2"), app.address);
    let start =
        || Process::start(activated(&place, "origin.socket", vec![held.try_clone().expect("a descriptor").into()]));
    let mut gateway = start();
    assert_eq!(gateway.serving(0).await.at("http"), address);
    let load = tokio::spawn(load::mixed(address, Duration::from_secs(9)));
    for _ in 0..2 {
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        send(gateway.serving(0).await.pid(), Signal::TERM);
        assert_eq!(gateway.ended().await, Some(0));
        gateway = start();
        gateway.serving(0).await;
    }
    let outcome = load.await.expect("no panic");
    println!(
        "row 1, two restarts by SIGTERM under 200 requests/s, the socket held by who starts it: {} of {} lost, the longest took \
         {:?}",
        outcome.lost.len(),
        outcome.asked.len(),
        outcome.longest
    );
    assert!(outcome.asked.len() >= 1_600 / 2);
    outcome.assert_whole(&app.seen());
}

/// Sockets are known by their address, those on any port by their name; and they are handed on.
#[tokio::test]
async fn every_kind_of_socket_may_be_given() {
    let app = Server::start(Mood::Good).await;
    let place = Place::new();
    let [http, other, admin, unwanted] = [(); 4].map(|()| TcpListener::bind("127.0.0.1:0").expect("a port"));
    let path = place.path("origin.sock");
    let unix = UnixListener::bind(&path).expect("a socket");
    let [http_at, other_at, admin_at, unwanted_at] =
        [&http, &other, &admin, &unwanted].map(|socket| socket.local_addr().expect("bound"));
    place.configure(
        &format!(
            "listen.http = [\"{http_at}\", \"127.0.0.1:0\"]\nlisten.unix = {path:?}\nlisten.cores = 2\nadmin.listen = \
             \"{admin_at}\""
        ),
        app.address,
    );
    let descriptors = vec![admin.into(), unix.into(), http.into(), unwanted.into(), other.into()];
    let mut gateway = Process::start(activated(&place, "a:b:c:d:http", descriptors));
    for n in 0..2 {
        let serving = gateway.serving(n).await;
        assert_eq!(serving.addresses(), format!("http://{http_at} http://{other_at} unix:{}", path.display()));
        assert_eq!(serving.admin(), admin_at);
        for address in [http_at, other_at] {
            let mut stream = TcpStream::connect(address).await.expect("it listens");
            stream.write_all(get("/").as_bytes()).await.expect("written");
            assert_good(&rest(&mut stream).await);
        }
        let mut stream = UnixStream::connect(&path).await.expect("it listens");
        stream.write_all(get("/").as_bytes()).await.expect("written");
        assert_good(&rest(&mut stream).await);
        if n == 0 {
            send(serving.pid(), Signal::HUP);
        }
    }
    let closed = gateway.line("closed: given to us, and not in the configuration", 0).await;
    assert_eq!(closed["addresses"], unwanted_at.to_string());
    assert_eq!(gateway.ended().await, Some(0));
    assert_eq!(
        fs::metadata(&path).expect("it is there").permissions().mode() & 0o777,
        0o755,
        "its mode is systemd's affair"
    );
}

/// What the service manager hears, in this order.
#[tokio::test]
async fn the_service_manager_is_told() {
    let place = Place::new();
    let path = place.path("notify");
    let manager = UnixDatagram::bind(&path).expect("a socket");
    manager.set_read_timeout(Some(Duration::from_secs(30))).expect("set");
    let hear = || {
        let mut message = [0; 4096];
        let n = manager.recv(&mut message).expect("a message");
        String::from_utf8_lossy(&message[..n]).into_owned()
    };
    let listen = "listen.http = [\"127.0.0.1:0\"]";
    place.configure(listen, "127.0.0.1:1".parse().expect("an address"));
    let mut command = place.command(Path::new(ORIGIN));
    command.env("NOTIFY_SOCKET", &path);
    let mut gateway = Process::start(command);
    let first = gateway.serving(0).await;
    let address = first.at("http");
    assert_eq!(hear(), format!("READY=1\nMAINPID={}\nSTATUS=serving http://{address}\n", first.pid()));

    place.configure("listen.nowhere = 1", address);
    send(first.pid(), Signal::HUP);
    let reloading = hear();
    assert!(reloading.starts_with("RELOADING=1\nSTATUS=starting a new process\nMONOTONIC_USEC="), "{reloading}");
    let failed = hear();
    let (_, status) = failed.split_once(&format!("READY=1\nMAINPID={}\nSTATUS=serving; ", first.pid())).expect("ready");
    assert!(status.contains("the reload has failed: ") && status.contains("`nowhere`"), "{status}");

    place.configure(listen, address);
    send(first.pid(), Signal::HUP);
    assert!(hear().starts_with("RELOADING=1\n"));
    let second = gateway.serving(1).await;
    // By the old one, so that systemd need believe nobody but the main process (NotifyAccess=main).
    assert_eq!(hear(), format!("MAINPID={}\n", second.pid()));
    assert_eq!(hear(), format!("READY=1\nMAINPID={}\nSTATUS=serving http://{address}\n", second.pid()));
    assert_eq!(gateway.ended().await, Some(0));
    // The old one has said nothing when it ended: it would have been taken for the service's end.
    send(second.pid(), Signal::TERM);
    assert_eq!(hear(), "STOPPING=1\nSTATUS=draining\n");
    let ended = eventually(|| (gateway.lines("stopped").len() == 2).then_some(())).await;
    assert!(ended.is_some());
}
