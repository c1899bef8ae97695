//! An IP address as text, for the hot path: `Display` takes four times as long.

use std::fmt::Write as _;
use std::net::IpAddr;

/// The longest text of an address, in bytes.
pub(crate) const MOST: usize = 45;

/// An address as text.
pub(crate) struct Text {
    bytes: [u8; MOST],
    len: usize,
}

/// The text of an address.
pub(crate) fn text(address: IpAddr) -> Text {
    let mut text = Text { bytes: [0; MOST], len: 0 };
    match address {
        IpAddr::V4(v4) => {
            for (n, octet) in v4.octets().into_iter().enumerate() {
                if n > 0 {
                    text.push(b".");
                }
                text.push(itoa::Buffer::new().format(octet).as_bytes());
            }
        }
        // It fits, so that nothing fails.
        IpAddr::V6(v6) => drop(write!(text, "{v6}")),
    }
    text
}

impl Text {
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    fn push(&mut self, part: &[u8]) {
        if let Some(place) = self.bytes.get_mut(self.len..self.len + part.len()) {
            place.copy_from_slice(part);
            self.len += part.len();
        }
    }
}

impl std::fmt::Write for Text {
    fn write_str(&mut self, part: &str) -> std::fmt::Result {
        self.push(part.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::text;
    use std::net::IpAddr;

    #[test]
    fn it_is_what_display_says() {
        for address in ["0.0.0.0", "192.0.2.1", "255.255.255.255", "::", "2001:db8::1", "::ffff:192.0.2.1"]
            .into_iter()
            .chain(["1111:2222:3333:4444:5555:6666:7777:8888", "0:0:0:0:0:ffff:255.255.255.255"])
        {
            let address: IpAddr = address.parse().expect("an address");
            assert_eq!(text(address).as_bytes(), address.to_string().as_bytes());
        }
    }
}
