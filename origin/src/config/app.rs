//! `app`: where a site's app listens, once or several times over, and how it is asked whether it is well.

use std::fmt;
use std::time::Duration;

use serde::de::value::{MapAccessDeserializer, StrDeserializer};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::ser::SerializeStruct as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::value::{AppAddress, Span};

/// `check_every` where it is left out.
const CHECK_EVERY: Duration = Duration::from_secs(5);

/// A site's app.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct App {
    /// Where it listens: 1 to [`MOST_UPSTREAMS`](App::MOST_UPSTREAMS) upstreams.
    pub upstreams: Vec<Upstream>,
    /// What it speaks.
    pub protocol: Protocol,
    /// How its upstreams are asked whether they are well.
    pub check: Option<Check>,
}

/// What an app speaks, without TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// HTTP/1.1, one exchange at a time on a connection.
    #[default]
    Http1,
    /// HTTP/2 by prior knowledge (RFC 9113 section 3.3); upgrades go over HTTP/1.1 to the same address.
    Http2,
}

/// One of an app's upstreams.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Upstream {
    /// Where it listens.
    pub address: AppAddress,
    /// Its share of the requests, against the others'; 1 to 100.
    pub weight: u32,
}

/// A request that only a healthy upstream answers with 2xx.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Check {
    /// The path that is asked for.
    pub path: String,
    /// How often.
    pub every: Duration,
}

impl App {
    /// Upstreams of one app at most.
    pub const MOST_UPSTREAMS: usize = 64;
}

impl fmt::Display for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, upstream) in self.upstreams.iter().enumerate() {
            if n > 0 {
                f.write_str(", ")?;
            }
            upstream.address.fmt(f)?;
        }
        Ok(())
    }
}

/// `app` as written: one upstream, or a list of them.
#[derive(Debug)]
pub(super) struct AppSection(Vec<Upstream>);

/// Puts together what a site says of its app. `fault` takes a key and what is wrong with it.
pub(super) fn check(
    app: AppSection,
    protocol: Protocol,
    check: Option<String>,
    every: Option<Span>,
    mut fault: impl FnMut(&str, String),
) -> App {
    let upstreams = app.0;
    if upstreams.is_empty() {
        fault("app", "is empty: write where the app listens, as in \"127.0.0.1:3000\"".to_owned());
    }
    if upstreams.len() > App::MOST_UPSTREAMS {
        fault("app", format!("has {} upstreams: {} are the most", upstreams.len(), App::MOST_UPSTREAMS));
    }
    for (n, upstream) in upstreams.iter().enumerate() {
        if !(1..=100).contains(&upstream.weight) {
            fault(&format!("app[{n}].weight"), format!("{} is out of range: write 1 to 100", upstream.weight));
        }
        if upstreams.iter().take(n).any(|other| other.address == upstream.address) {
            fault(&format!("app[{n}]"), format!("`{}` is there already: give it a weight instead", upstream.address));
        }
    }
    if check.is_some() && upstreams.len() == 1 {
        fault("check", "is for several upstreams: with one there is no other to ask instead".to_owned());
    }
    if every.is_some() && check.is_none() {
        fault("check_every", "needs check, the path that is asked for".to_owned());
    }
    if let Some(path) = &check
        && (!path.starts_with('/') || !path.bytes().all(|b| b.is_ascii_graphic()) || path.contains('#'))
    {
        fault("check", format!("`{path}` is not a path: write one that begins with /, as in \"/healthz\""));
    }
    let check = check.map(|path| Check { path, every: every.map_or(CHECK_EVERY, |e| e.0) });
    App { upstreams, protocol, check }
}

impl<'de> Deserialize<'de> for AppSection {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Wanted;
        impl<'de> Visitor<'de> for Wanted {
            type Value = AppSection;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an address in quotes, as in \"127.0.0.1:3000\", or a list of them")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<AppSection, E> {
                let address = AppAddress::deserialize(StrDeserializer::new(text))?;
                Ok(AppSection(vec![Upstream { address, weight: 1 }]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<AppSection, A::Error> {
                let mut upstreams = Vec::new();
                while let Some(upstream) = list.next_element()? {
                    upstreams.push(upstream);
                }
                Ok(AppSection(upstreams))
            }
        }
        d.deserialize_any(Wanted)
    }
}

impl Serialize for AppSection {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match &self.0[..] {
            [one] if one.weight == 1 => one.serialize(s),
            all => all.serialize(s),
        }
    }
}

impl Serialize for Upstream {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        if self.weight == 1 {
            return self.address.serialize(s);
        }
        let mut table = s.serialize_struct("Upstream", 2)?;
        table.serialize_field("address", &self.address)?;
        table.serialize_field("weight", &self.weight)?;
        table.end()
    }
}

impl<'de> Deserialize<'de> for Upstream {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Table {
            address: AppAddress,
            #[serde(default = "one")]
            weight: u32,
        }
        const fn one() -> u32 {
            1
        }
        struct Wanted;
        impl<'de> Visitor<'de> for Wanted {
            type Value = Upstream;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an address in quotes, or {address = \"127.0.0.1:3000\", weight = 2}")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Upstream, E> {
                Ok(Upstream { address: AppAddress::deserialize(StrDeserializer::new(text))?, weight: 1 })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Upstream, A::Error> {
                let Table { address, weight } = Table::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Upstream { address, weight })
            }
        }
        d.deserialize_any(Wanted)
    }
}
