//! Values with a unit or a form of their own.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A duration, written as in `"5s"`, `"500ms"`, `"2m"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(pub Duration);

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        let duration = humantime::parse_duration(&text).map_err(|_| {
            D::Error::custom(format!(
                "`{text}` is not a duration: write a number and its unit, as in \"5s\" or \"500ms\""
            ))
        })?;
        if duration.is_zero() {
            return Err(D::Error::custom("0 would end everything at once: write a positive duration"));
        }
        Ok(Self(duration))
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(&humantime::format_duration(self.0))
    }
}

/// A number of bytes, written as in `"32KiB"` or `"1GB"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(pub u64);

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        text.parse::<bytesize::ByteSize>().map(|b| Self(b.as_u64())).map_err(|_| {
            D::Error::custom(format!("`{text}` is not a size: write a number and its unit, as in \"32KiB\" or \"1GB\""))
        })
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
        let unit = units.into_iter().find(|(power, _)| self.0 > 0 && self.0.trailing_zeros() >= *power);
        let (power, unit) = unit.unwrap_or((0, "B"));
        s.collect_str(&format_args!("{}{unit}", self.0 >> power))
    }
}

/// Where the private listener is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdminAddress {
    /// `127.0.0.1:9180`
    Tcp(SocketAddr),
    /// `unix:/run/origin/admin.sock`
    Unix(PathBuf),
}

impl<'de> Deserialize<'de> for AdminAddress {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        match text.strip_prefix("unix:") {
            Some(path) if path.starts_with('/') => Ok(Self::Unix(path.into())),
            Some(_) => Err(D::Error::custom(format!(
                "`{text}`: the path of a Unix socket begins with /, as in \"unix:/run/origin/admin.sock\""
            ))),
            None => text.parse().map(Self::Tcp).map_err(|_| {
                D::Error::custom(format!(
                    "`{text}` is not where to listen: write an IP address and a port, as in \"127.0.0.1:9180\", or \"unix:/run/origin/admin.sock\""
                ))
            }),
        }
    }
}

impl Serialize for AdminAddress {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Tcp(address) => s.collect_str(address),
            Self::Unix(path) => s.collect_str(&format_args!("unix:{}", path.display())),
        }
    }
}

/// A network, or an address by itself.
pub(super) fn net(text: &str) -> Option<IpNet> {
    text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from)).ok()
}

/// Where an app listens: an address, a name, or a Unix socket.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum AppAddress {
    /// `127.0.0.1:3000`
    Tcp(SocketAddr),
    /// `app.internal:3000`, looked up again every now and then
    Name(String, u16),
    /// `unix:/run/app.sock`
    Unix(PathBuf),
}

impl fmt::Display for AppAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Name(host, port) => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl Serialize for AppAddress {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for AppAddress {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        if let Some(path) = text.strip_prefix("unix:") {
            if !path.starts_with('/') {
                return Err(D::Error::custom(format!(
                    "`{text}`: the path of a Unix socket begins with /, as in \"unix:/run/app.sock\""
                )));
            }
            return Ok(Self::Unix(path.into()));
        }
        if let Ok(address) = text.parse() {
            return Ok(Self::Tcp(address));
        }
        name_and_port(&text).ok_or_else(|| {
            D::Error::custom(format!(
                "`{text}` is not where an app can listen: write an address or name and port, as in \"127.0.0.1:3000\", or \"unix:/run/app.sock\""
            ))
        })
    }
}

/// A host name and a port. What looks like an IP address that went wrong is none.
fn name_and_port(text: &str) -> Option<AppAddress> {
    let (host, port) = text.rsplit_once(':')?;
    let label =
        |l: &str| (1..=63).contains(&l.len()) && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    let numeric = host.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
    let port = port.parse().ok().filter(|port| *port > 0)?;
    (host.len() <= 253 && host.split('.').all(label) && !numeric)
        .then(|| AppAddress::Name(host.to_ascii_lowercase(), port))
}
