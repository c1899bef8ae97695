//! Cloudflare's addresses: who speaks from one of them speaks for many. They prove nothing; our zone's certificate does.

use std::net::IpAddr;
use std::path::Path;
use std::time::SystemTime;

use bytes::Bytes;
use http::Request;
use http_body_util::Empty;
use ipnet::IpNet;
use time::Date;
use time::macros::format_description;

use crate::config::State;
use crate::web::Client;

/// As they were when this program was built.
const SHIPPED: &str = include_str!("../../deploy/cloudflare/ranges.txt");
/// Where Cloudflare says them, below its API.
const PATH: &str = "/ips";
/// The file's name in the state's folder.
pub const FILE: &str = "cloudflare-ranges.txt";
/// So few there have never been; and more than so many are not Cloudflare's.
const PLAUSIBLE: std::ops::RangeInclusive<usize> = 10..=1_000;
/// The widest that may be among them, in bits: half of IPv4 is nobody's.
const WIDEST: (u8, u8) = (8, 20);

/// The ranges, and when they were so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ranges {
    nets: Vec<IpNet>,
    as_of: Date,
}

impl Ranges {
    /// Those that lie in the state's folder, else those that were shipped.
    pub(crate) fn of(state: Option<&State>) -> Self {
        let file = state.map(|state| state.folder.join(FILE)).filter(|file| file.exists());
        Self::load(file.as_deref()).unwrap_or_else(|error| {
            tracing::error!(error, "the list of Cloudflare's addresses is of no use; the one that was shipped is used");
            Self::load(None).unwrap_or_else(|_| Self { nets: Vec::new(), as_of: Date::MIN })
        })
    }

    /// Those in a file, else those that were shipped.
    ///
    /// # Errors
    /// What is wrong with the file, and where.
    pub fn load(file: Option<&Path>) -> Result<Self, String> {
        let Some(file) = file else { return Self::parse(SHIPPED) };
        let shown = file.display();
        let text = std::fs::read_to_string(file).map_err(|e| format!("`{shown}` cannot be read: {e}"))?;
        Self::parse(&text).map_err(|what| format!("`{shown}`: {what}"))
    }

    /// From text: a range a line, and a comment `# as of 2026-11-27`.
    fn parse(text: &str) -> Result<Self, String> {
        let (mut nets, mut as_of) = (Vec::new(), None);
        for (n, line) in text.lines().enumerate() {
            let line = line.trim();
            if let Some(date) = line.strip_prefix("# as of ") {
                as_of = Date::parse(date.trim(), format_description!("[year]-[month]-[day]")).ok();
            } else if !line.is_empty() && !line.starts_with('#') {
                nets.push(net(line).map_err(|what| format!("line {}: {what}", n + 1))?);
            }
        }
        let as_of = as_of.ok_or("there is no line `# as of YEAR-MONTH-DAY`")?;
        Self::new(nets, as_of)
    }

    fn new(mut nets: Vec<IpNet>, as_of: Date) -> Result<Self, String> {
        if !PLAUSIBLE.contains(&nets.len()) {
            let (least, most) = (PLAUSIBLE.start(), PLAUSIBLE.end());
            return Err(format!("{} ranges are not Cloudflare's: there are {least} to {most}", nets.len()));
        }
        nets.sort_unstable();
        Ok(Self { nets, as_of })
    }

    /// Asks Cloudflare.
    ///
    /// # Errors
    /// Why there was no answer, or none to believe.
    pub async fn ask(api: &str, ca: Option<&Path>, today: Date) -> Result<Self, String> {
        let request = Request::get(format!("{api}{PATH}")).body(Empty::<Bytes>::new()).map_err(|e| e.to_string())?;
        let answer = Client::new(ca)?.send(request).await.map_err(|e| format!("Cloudflare can't be asked: {e}"))?;
        if answer.status() != http::StatusCode::OK {
            return Err(format!("Cloudflare says {}", answer.status()));
        }
        let said: serde_json::Value =
            serde_json::from_slice(answer.body()).map_err(|e| format!("Cloudflare's answer is no JSON: {e}"))?;
        let mut nets = Vec::new();
        for family in ["ipv4_cidrs", "ipv6_cidrs"] {
            let list = said["result"][family].as_array().filter(|list| !list.is_empty());
            for range in list.ok_or_else(|| format!("Cloudflare's answer has no result.{family}"))? {
                nets.push(net(range.as_str().unwrap_or_default())?);
            }
        }
        Self::new(nets, today)
    }

    /// As a file.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!(
            "# Cloudflare's addresses, as Cloudflare publishes them. `origin ranges refresh FILE` writes this file anew.\n# as of {}\n",
            self.as_of
        );
        self.nets.iter().for_each(|net| text.push_str(&format!("{net}\n")));
        text
    }

    /// What of these is not in the others.
    #[must_use]
    pub fn without(&self, others: &Self) -> Vec<IpNet> {
        self.nets.iter().filter(|net| !others.nets.contains(net)).copied().collect()
    }

    /// Whether an address is Cloudflare's.
    #[must_use]
    pub fn contain(&self, address: IpAddr) -> bool {
        self.nets.iter().any(|net| net.contains(&address))
    }

    /// When they were so.
    #[must_use]
    pub fn as_of(&self) -> SystemTime {
        self.as_of.midnight().assume_utc().into()
    }

    /// How many days old they are.
    #[must_use]
    pub fn age(&self, today: Date) -> i64 {
        (today - self.as_of).whole_days()
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.nets.len()
    }
}

fn net(text: &str) -> Result<IpNet, String> {
    let net: IpNet = text.parse().map_err(|_| format!("`{text}` is no address range, as in 104.16.0.0/13"))?;
    let widest = if net.addr().is_ipv4() { WIDEST.0 } else { WIDEST.1 };
    if net.prefix_len() < widest || net.trunc() != net {
        return Err(format!("`{text}` is no range of Cloudflare's: too wide, or with bits below its mask"));
    }
    Ok(net)
}

#[cfg(test)]
mod tests {
    use super::{Ranges, SHIPPED};
    use time::macros::date;

    #[test]
    fn those_that_are_shipped() {
        let ranges = Ranges::load(None).expect("good");
        for (address, is) in [
            ("104.16.0.1", true),
            ("172.71.255.255", true),
            ("172.72.0.0", false),
            ("2606:4700::1111", true),
            ("2606:4701::1", false),
            ("203.0.113.7", false),
        ] {
            assert_eq!(ranges.contain(address.parse().expect("an address")), is, "{address}");
        }
        assert_eq!(Ranges::parse(&ranges.text()).as_ref(), Ok(&ranges));
        assert_eq!(ranges.text(), SHIPPED, "as the command writes it");
        assert_eq!(ranges.age(date!(2027 - 01 - 01)), 35);
    }

    #[test]
    fn what_is_no_such_list_is_refused() {
        let list = |more: &str| format!("{SHIPPED}{more}\n");
        for (text, what) in [
            (list("0.0.0.0/0"), "line 25: `0.0.0.0/0` is no range of Cloudflare's"),
            (list("104.16.0.1/13"), "bits below its mask"),
            (list("<html>"), "`<html>` is no address range"),
            (SHIPPED.replace("as of", "from"), "# as of YEAR-MONTH-DAY"),
            ("# as of 2026-11-27\n104.16.0.0/13\n".to_owned(), "1 ranges are not Cloudflare's"),
        ] {
            let error = Ranges::parse(&text).expect_err(&text);
            assert!(error.contains(what), "{error}");
        }
    }
}
