//! Ranges of addresses, of which there may be thousands.

use core::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Ranges, sorted and apart, as the numbers of IPv6 addresses; IPv4 is mapped (RFC 4291 section 2.5.5.2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranges(Vec<(u128, u128)>);

impl Ranges {
    /// From how they are written: an address, a network such as `203.0.113.0/24`, or `first-last`.
    ///
    /// # Errors
    /// With the text that is none of these.
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let mut all = texts.into_iter().map(range).collect::<Result<Vec<_>, _>>()?;
        all.sort_unstable();
        let mut ranges: Vec<(u128, u128)> = Vec::with_capacity(all.len());
        for (first, last) in all {
            match ranges.last_mut() {
                Some((_, end)) if first <= end.saturating_add(1) => *end = last.max(*end),
                _ => ranges.push((first, last)),
            }
        }
        Ok(Self(ranges))
    }

    /// Whether an address is in one of them.
    #[must_use]
    pub fn has(&self, address: IpAddr) -> bool {
        let number = number(address);
        let after = self.0.partition_point(|(first, _)| *first <= number);
        after.checked_sub(1).and_then(|n| self.0.get(n)).is_some_and(|(_, last)| number <= *last)
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each, as it is written.
    pub fn texts(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|(first_number, last_number)| match (address(*first_number), address(*last_number)) {
            (first, last) if first == last => first.to_string(),
            (first, last) => match network_bits(&first, *first_number, *last_number) {
                Some(bits) => format!("{first}/{bits}"),
                None => format!("{first}-{last}"),
            },
        })
    }
}

impl fmt::Display for Ranges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, text) in self.texts().enumerate() {
            write!(f, "{}{text}", if n > 0 { "," } else { "" })?;
        }
        Ok(())
    }
}

/// The length of the prefix, where a range is a network.
fn network_bits(first: &IpAddr, first_number: u128, last: u128) -> Option<u32> {
    let hosts = first_number ^ last;
    // All ones at the end, and nowhere else.
    let is_network = hosts & hosts.wrapping_add(1) == 0 && first_number & hosts == 0;
    let all = if first.is_ipv4() { Ipv4Addr::BITS } else { Ipv6Addr::BITS };
    if is_network { all.checked_sub(hosts.count_ones()) } else { None }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

fn address(number: u128) -> IpAddr {
    let v6 = Ipv6Addr::from_bits(number);
    v6.to_ipv4_mapped().map_or(IpAddr::V6(v6), IpAddr::V4)
}

fn range(text: &str) -> Result<(u128, u128), String> {
    let wrong = || {
        format!(
            "`{text}` is not a range of addresses: write one as in \"203.0.113.0/24\", \"2001:db8::/32\" or \"203.0.113.7\""
        )
    };
    let parse = |text: &str| text.parse::<IpAddr>().map_err(|_| wrong());
    if let Some((first, last)) = text.split_once('-') {
        let (first, last) = (number(parse(first)?), number(parse(last)?));
        return if first <= last { Ok((first, last)) } else { Err(wrong()) };
    }
    let Some((network, len)) = text.split_once('/') else { return parse(text).map(|one| (number(one), number(one))) };
    let (network, len) = (parse(network)?, len.parse::<u32>().map_err(|_| wrong())?);
    let most = if network.is_ipv4() { Ipv4Addr::BITS } else { Ipv6Addr::BITS };
    let free = most.checked_sub(len).ok_or_else(wrong)?;
    let hosts = 1_u128.checked_shl(free).map_or(u128::MAX, |size| size - 1);
    let first = number(network);
    if first & hosts != 0 {
        let right = address(first & !hosts);
        return Err(format!(
            "`{text}` names an address inside a network: write \"{right}/{len}\" or the address alone"
        ));
    }
    Ok((first, first | hosts))
}

#[cfg(test)]
mod tests {
    use super::{Ranges, number};
    use proptest::prelude::*;
    use std::net::IpAddr;

    #[test]
    fn has_what_is_in_it() {
        let ranges =
            Ranges::parse(["203.0.113.0/24", "2001:db8::/32", "192.0.2.7", "203.0.114.0/24", "0.0.0.0/32"]).unwrap();
        for (address, is_in) in [
            ("203.0.113.0", true),
            ("203.0.114.255", true),
            ("203.0.115.0", false),
            ("203.0.112.255", false),
            ("2001:db8:ffff::1", true),
            ("2001:db9::", false),
            ("192.0.2.7", true),
            ("192.0.2.8", false),
            ("::ffff:192.0.2.7", true),
        ] {
            assert_eq!(ranges.has(address.parse().unwrap()), is_in, "{address}");
        }
        assert_eq!(ranges.to_string(), "0.0.0.0,192.0.2.7,203.0.113.0-203.0.114.255,2001:db8::/32");
        for text in ["0.0.0.0/0", "::/0", "203.0.113.0/31", "203.0.113.1-203.0.113.2", "::-::fffe", "2001:db8::/127"] {
            assert_eq!(Ranges::parse([text]).unwrap().to_string(), text);
        }
        assert!(Ranges::parse(["::/0"]).unwrap().has("203.0.113.7".parse().unwrap()));
    }

    #[test]
    fn says_what_is_wrong() {
        for text in [
            "",
            "203.0.113",
            "203.0.113.0/33",
            "203.0.113.1/24",
            "a-b",
            "203.0.113.9-203.0.113.1",
            "::/129",
            "1.2.3.4/x",
        ] {
            assert!(Ranges::parse([text]).unwrap_err().contains(text), "{text}");
        }
        assert!(Ranges::parse(["203.0.113.1/24"]).unwrap_err().contains("203.0.113.0/24"));
    }

    proptest! {
        #[test]
        fn are_those_that_were_written(networks in prop::collection::vec((any::<u32>(), 0_u32..33), 0..12), asked: Vec<u32>) {
            let network = |(address, len): &(u32, u32)| {
                let free = 32 - len;
                (u64::from(*address) >> free << free, free)
            };
            let texts: Vec<String> = networks.iter().map(|n| {
                let (first, free) = network(n);
                format!("{}/{}", std::net::Ipv4Addr::from(first as u32), 32 - free)
            }).collect();
            let ranges = Ranges::parse(texts.iter().map(String::as_str)).unwrap();
            for address in asked.iter().copied().chain(networks.iter().map(|n| n.0)) {
                let is_in = networks.iter().any(|n| { let (first, free) = network(n); u64::from(address) >> free == first >> free });
                let ip = IpAddr::from(address.to_be_bytes());
                prop_assert_eq!(ranges.has(ip), is_in, "{} {}", ip, number(ip));
            }
            let again: Vec<String> = ranges.texts().collect();
            prop_assert_eq!(Ranges::parse(again.iter().map(String::as_str)), Ok(ranges));
        }
    }
}
