//! The client's address, as the platform in front says it in a field (`CF-Connecting-IP`) or as a connection shows it.
//!
//! One address has one spelling here: limits, logs and signatures compare it. So an IPv4 address that a dual-stack socket or
//! a header shows as `::ffff:203.0.113.7` (RFC 4291 2.5.5.2) is the IPv4 address.

use std::net::IpAddr;

/// Reads one address and nothing beside it: no port, no brackets, no zone id, no white space, no list.
pub fn parse(value: &str) -> Option<IpAddr> {
    value.parse().ok().map(canonical)
}

/// An IPv4-mapped IPv6 address as IPv4; any other unchanged.
pub const fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

/// One household's addresses, as limits count them: an IPv4 address, or the /64 of an IPv6 one.
pub fn household(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_household_has_one_key() {
        for (address, key) in [("203.0.113.7", "203.0.113.7"), ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::")] {
            assert_eq!(parse(address).map(|address| household(address).to_string()).as_deref(), Some(key));
        }
    }

    #[test]
    fn one_spelling_per_address() {
        for (value, address) in [
            ("203.0.113.7", "203.0.113.7"),
            ("::ffff:203.0.113.7", "203.0.113.7"),
            ("::ffff:cb00:7107", "203.0.113.7"),
            ("2001:DB8:0:0::1", "2001:db8::1"),
            ("::1", "::1"),
            // Neighbours of the mapped prefix, which are other addresses.
            ("::203.0.113.7", "::cb00:7107"),
            ("64:ff9b::203.0.113.7", "64:ff9b::cb00:7107"),
        ] {
            assert_eq!(parse(value).map(|address| address.to_string()).as_deref(), Some(address), "{value}");
        }
    }

    #[test]
    fn nothing_beside_an_address() {
        for value in [
            "",
            "unknown",
            "203.0.113.7:443",
            "[2001:db8::1]",
            "[2001:db8::1]:443",
            "fe80::1%eth0",
            "203.0.113.7, 10.0.0.1",
            " 203.0.113.7",
            "203.0.113.7 ",
            "203.0.113",
            "203.0.113.256",
            "203.0.113.07",
            "0xcb.0.113.7",
            "3405803783",
        ] {
            assert_eq!(parse(value), None, "{value:?}");
        }
    }
}
