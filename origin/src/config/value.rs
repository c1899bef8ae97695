//! Values with a unit or a form of their own.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

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

/// Where an app listens: an address or a Unix socket.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum AppAddress {
    /// `127.0.0.1:3000`
    Tcp(SocketAddr),
    /// `unix:/run/app.sock`
    Unix(PathBuf),
}

impl fmt::Display for AppAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
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
        text.parse().map(Self::Tcp).map_err(|_| {
            D::Error::custom(format!(
                "`{text}` is not where an app can listen: write an address and port, as in \"127.0.0.1:3000\", or \"unix:/run/app.sock\""
            ))
        })
    }
}
