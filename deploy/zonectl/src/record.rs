//! DNS records, as a zone file has them and as the API has them.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use serde_json::{Value, json};

/// One record of the zone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Record {
    /// Lower case, whole, without the dot at its end.
    pub name: String,
    pub data: Data,
    /// Seconds. Of a proxied record Cloudflare answers with its own.
    pub ttl: u32,
    /// Whether visitors come through Cloudflare.
    pub proxied: bool,
}

/// Type and data. Names in it are as that of the record; "." is the root.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Data {
    A(Ipv4Addr),
    Aaaa(Ipv6Addr),
    Cname(String),
    Ns(String),
    Mx {
        priority: u16,
        target: String,
    },
    /// The text, its parts joined.
    Txt(String),
    Srv {
        priority: u16,
        weight: u16,
        port: u16,
        target: String,
    },
    Caa {
        flags: u8,
        tag: String,
        value: String,
    },
    /// What the zone has and a file of ours can't say: it is left alone.
    Other {
        kind: String,
        content: String,
    },
}

impl Data {
    /// From the type and data of a zone file; names are made whole by `name`.
    pub(crate) fn parse(kind: &str, data: &[String], name: impl Fn(&str) -> String) -> Result<Self, String> {
        let wrong = |what: &str| Err(format!("{kind} {}: {what}", data.join(" ")));
        let number =
            |text: &String| text.parse::<u16>().map_err(|_| format!("{kind}: `{text}` is not a number to 65535"));
        match (kind, data) {
            ("A", [address]) => address.parse().map(Self::A).or_else(|_| wrong("is not an IPv4 address")),
            ("AAAA", [address]) => address.parse().map(Self::Aaaa).or_else(|_| wrong("is not an IPv6 address")),
            ("CNAME", [target]) => Ok(Self::Cname(name(target))),
            ("NS", [target]) => Ok(Self::Ns(name(target))),
            ("MX", [priority, target]) => Ok(Self::Mx { priority: number(priority)?, target: name(target) }),
            ("TXT", [_, ..]) => Ok(Self::Txt(data.concat())),
            ("SRV", [priority, weight, port, target]) => {
                let (priority, weight, port) = (number(priority)?, number(weight)?, number(port)?);
                Ok(Self::Srv { priority, weight, port, target: name(target) })
            }
            ("CAA", [flags, tag, value]) => match flags.parse() {
                Ok(flags) => Ok(Self::Caa { flags, tag: tag.to_ascii_lowercase(), value: value.clone() }),
                Err(_) => wrong("the flags are a number to 255"),
            },
            ("A" | "AAAA" | "CNAME" | "NS" | "MX" | "TXT" | "SRV" | "CAA", _) => {
                wrong("it has not the parts of this type")
            }
            _ => Err(format!("records of type {kind} are not made here: A, AAAA, CNAME, NS, MX, TXT, SRV and CAA are")),
        }
    }

    /// The type.
    pub(crate) fn kind(&self) -> &str {
        match self {
            Self::A(_) => "A",
            Self::Aaaa(_) => "AAAA",
            Self::Cname(_) => "CNAME",
            Self::Ns(_) => "NS",
            Self::Mx { .. } => "MX",
            Self::Txt(_) => "TXT",
            Self::Srv { .. } => "SRV",
            Self::Caa { .. } => "CAA",
            Self::Other { kind, .. } => kind,
        }
    }

    /// Whether it may be proxied.
    pub(crate) fn proxiable(&self) -> bool {
        matches!(self, Self::A(_) | Self::Aaaa(_) | Self::Cname(_))
    }
}

impl Record {
    /// From the API's form. The error says what is missing.
    pub(crate) fn from_api(live: &Value) -> Result<Self, String> {
        let text = |key: &str| live[key].as_str().ok_or_else(|| format!("a record without `{key}`: {live}"));
        let (kind, content) = (text("type")?, live["content"].as_str().unwrap_or_default());
        let part = |key: &str| live["data"][key].as_u64().and_then(|n| u16::try_from(n).ok()).unwrap_or_default();
        let data = match kind {
            "A" | "AAAA" | "CNAME" | "NS" => Data::parse(kind, &[content.to_owned()], plain)?,
            "MX" => {
                let priority = live["priority"].as_u64().and_then(|n| u16::try_from(n).ok()).unwrap_or_default();
                Data::Mx { priority, target: plain(content) }
            }
            "TXT" => Data::Txt(unquoted(content)),
            "SRV" => Data::Srv {
                priority: part("priority"),
                weight: part("weight"),
                port: part("port"),
                target: plain(live["data"]["target"].as_str().unwrap_or_default()),
            },
            "CAA" => Data::Caa {
                flags: u8::try_from(part("flags")).unwrap_or_default(),
                tag: live["data"]["tag"].as_str().unwrap_or_default().to_owned(),
                value: live["data"]["value"].as_str().unwrap_or_default().to_owned(),
            },
            _ => Data::Other { kind: kind.to_owned(), content: content.to_owned() },
        };
        let ttl = live["ttl"].as_u64().and_then(|n| u32::try_from(n).ok()).unwrap_or(1);
        Ok(Self { name: plain(text("name")?), data, ttl, proxied: live["proxied"] == true })
    }

    /// For the API, with the mark of what was made here.
    pub(crate) fn to_api(&self) -> Value {
        let mut body = json!({
            "type": self.data.kind(),
            "name": self.name,
            // Automatic: there is no other for proxied ones.
            "ttl": if self.proxied { 1 } else { self.ttl },
            "comment": MARK,
        });
        if self.data.proxiable() {
            body["proxied"] = self.proxied.into();
        }
        match &self.data {
            Data::A(address) => body["content"] = address.to_string().into(),
            Data::Aaaa(address) => body["content"] = address.to_string().into(),
            Data::Cname(target) | Data::Ns(target) => body["content"] = target.as_str().into(),
            Data::Mx { priority, target } => {
                body["content"] = target.as_str().into();
                body["priority"] = (*priority).into();
            }
            Data::Txt(text) => body["content"] = quoted(text).into(),
            Data::Srv { priority, weight, port, target } => {
                body["data"] = json!({ "priority": priority, "weight": weight, "port": port, "target": target });
            }
            Data::Caa { flags, tag, value } => body["data"] = json!({ "flags": flags, "tag": tag, "value": value }),
            Data::Other { content, .. } => body["content"] = content.as_str().into(),
        }
        body
    }

    /// Whether visitors and resolvers would see no difference.
    pub(crate) fn same(&self, other: &Self) -> bool {
        self.name == other.name
            && self.data == other.data
            && self.proxied == other.proxied
            && (self.proxied || self.ttl == other.ttl)
    }
}

/// The comment of records that were made here: those may go when the file no longer has them.
pub(crate) const MARK: &str = "from the zone file";

/// A name without the dot at its end, in lower case.
pub(crate) fn plain(name: &str) -> String {
    let name = name.to_ascii_lowercase();
    if name == "." { name } else { name.trim_end_matches('.').to_owned() }
}

/// In the form of a zone file: parts of at most 255 bytes in quotes (RFC 1035 section 5.1).
fn quoted(text: &str) -> String {
    let mut parts = vec![String::new()];
    let mut bytes = 0;
    for character in text.chars() {
        if bytes + character.len_utf8() > 255 {
            parts.push(String::new());
            bytes = 0;
        }
        bytes += character.len_utf8();
        if let Some(part) = parts.last_mut() {
            if matches!(character, '"' | '\\') {
                part.push('\\');
            }
            part.push(character);
        }
    }
    parts.iter().map(|part| format!("\"{part}\"")).collect::<Vec<_>>().join(" ")
}

/// The text of what the API shows, which may be in quotes or not.
fn unquoted(content: &str) -> String {
    if !content.starts_with('"') {
        return content.to_owned();
    }
    let (mut text, mut inside, mut escaped) = (String::new(), false, false);
    for character in content.chars() {
        match character {
            _ if escaped => (text.push(character), escaped = false).1,
            '\\' if inside => escaped = true,
            '"' => inside = !inside,
            _ if inside => text.push(character),
            _ => {}
        }
    }
    text
}

impl fmt::Display for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::A(address) => write!(f, "{address}"),
            Self::Aaaa(address) => write!(f, "{address}"),
            Self::Cname(target) | Self::Ns(target) => f.write_str(target),
            Self::Mx { priority, target } => write!(f, "{priority} {target}"),
            Self::Txt(text) => f.write_str(&quoted(text)),
            Self::Srv { priority, weight, port, target } => write!(f, "{priority} {weight} {port} {target}"),
            Self::Caa { flags, tag, value } => write!(f, "{flags} {tag} \"{value}\""),
            Self::Other { content, .. } => f.write_str(content),
        }
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.name, self.data.kind(), self.data)?;
        if self.proxied { f.write_str(", proxied") } else { write!(f, ", ttl {}", self.ttl) }
    }
}

#[cfg(test)]
mod tests {
    use super::{quoted, unquoted};

    #[test]
    fn text_is_the_same_in_quotes_and_without() {
        let long = "a\"b\\c; ".repeat(60);
        assert!(quoted(&long).contains("\" \""));
        assert_eq!(unquoted(&quoted(&long)), long);
        assert_eq!(unquoted("v=spf1 -all"), "v=spf1 -all");
        assert_eq!(unquoted("\"v=spf1 \"  \"-all\""), "v=spf1 -all");
    }
}
