//! `/maintenance`: whether visitors are told to come back later.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use edge::filter::ranges::Ranges;
use edge::standing::{Maintenance, RETRY, Standing};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::gateway::Gateway;

/// Hosts and address ranges in one order.
const MOST: usize = 100;

/// What is to be closed, and for whom not.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Closing {
    /// Seconds after which visitors may try again.
    pub retry: u32,
    /// Addresses or ranges that are let in.
    pub allow: Vec<String>,
    /// The hosts it is about; none for all.
    pub host: Vec<String>,
}

impl Default for Closing {
    fn default() -> Self {
        Self { retry: RETRY, allow: Vec::new(), host: Vec::new() }
    }
}

impl Closing {
    /// The order that it means.
    ///
    /// # Errors
    /// What of it is wrong, and what would be right.
    pub fn order(&self) -> Result<Maintenance, String> {
        if self.allow.len() > MOST || self.host.len() > MOST {
            return Err(format!("{MOST} hosts and {MOST} address ranges are the most"));
        }
        if !(1..=86_400).contains(&self.retry) {
            return Err(format!("retry {}: seconds, from 1 to 86400 (a day)", self.retry));
        }
        let allow = self.allow.iter().map(|text| Ok(range(text)?.to_string())).collect::<Result<Vec<_>, String>>()?;
        let allow = Ranges::parse(allow.iter().map(String::as_str))?;
        let hosts = self.host.iter().map(|text| host(text)).collect::<Result<_, _>>()?;
        Ok(Maintenance { retry: self.retry, allow, hosts })
    }

    fn of(order: &Maintenance) -> Self {
        Self {
            retry: order.retry,
            allow: order.allow.texts().collect(),
            host: order.hosts.iter().map(ToString::to_string).collect(),
        }
    }
}

/// An address, or a range of them; an IPv4 address in IPv6's clothes is an IPv4 address, as visitors' are.
pub(super) fn range(text: &str) -> Result<IpNet, String> {
    let net = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    let net: IpNet = net.map_err(|_| format!("`{text}` is no address or range, as in 203.0.113.7 or 2001:db8::/64"))?;
    let mapped = match net {
        IpNet::V6(v6) if v6.prefix_len() >= 96 => v6.addr().to_ipv4_mapped().map(|v4| (v4, v6.prefix_len() - 96)),
        _ => None,
    };
    Ok(mapped.and_then(|(v4, bits)| IpNet::new(v4.into(), bits).ok()).unwrap_or(net).trunc())
}

fn host(text: &str) -> Result<Box<str>, String> {
    let host = text.to_ascii_lowercase();
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'.';
    if host.is_empty() || host.len() > 253 || !host.bytes().all(plain) {
        return Err(format!("`{text}` is no host: write its name alone, as in forums.makenot.work"));
    }
    Ok(host.into())
}

/// What is closed.
#[derive(Serialize)]
struct Closed {
    closed: Vec<Closing>,
}

impl Closed {
    fn now(gateway: &Gateway) -> Json<Self> {
        Json(Self {
            closed: gateway.orders.standing(|standing| standing.maintenance.iter().map(Closing::of).collect()),
        })
    }
}

pub(super) async fn shown(State(gateway): State<Arc<Gateway>>) -> Response {
    Closed::now(&gateway).into_response()
}

pub(super) async fn begun(State(gateway): State<Arc<Gateway>>, body: Bytes) -> Response {
    let text: &[u8] = if body.is_empty() { b"{}" } else { &body };
    let wish: Result<Closing, String> =
        serde_json::from_slice(text).map_err(|e| format!("the body is no such JSON: {e}"));
    match wish.and_then(|wish| wish.order()) {
        Ok(order) => {
            // The last word counts: one order at a time.
            issue(&gateway, |standing| standing.maintenance = vec![order.clone()]).await;
            Closed::now(&gateway).into_response()
        }
        Err(error) => {
            let said = serde_json::json!({ "error": error, "code": "maintenance-refused" });
            (StatusCode::BAD_REQUEST, Json(said)).into_response()
        }
    }
}

pub(super) async fn ended(State(gateway): State<Arc<Gateway>>) -> Response {
    issue(&gateway, |standing| standing.maintenance.clear()).await;
    Closed::now(&gateway).into_response()
}

/// Changes the standing orders, and waits until they are on the disk.
pub(super) async fn issue(gateway: &Gateway, change: impl Fn(&mut Standing)) {
    let sequence = gateway.orders.stand(change);
    let lines = gateway.orders.standing(|standing| standing.lines().join("; "));
    tracing::info!(sequence, standing = lines, "ordered");
    if let Err(error) = gateway.orders.keep().await {
        tracing::error!(%error, "an order is in force, but may not outlive this process");
    }
}

#[cfg(test)]
mod tests {
    use super::{Closing, range};

    #[test]
    fn what_is_wrong_is_named() {
        let order = |allow: &str, host: &str, retry| {
            Closing { retry, allow: vec![allow.to_owned()], host: vec![host.to_owned()] }.order()
        };
        assert!(order("203.0.113.7", "Forums.makenot.work", 60).is_ok());
        assert!(order("home", "a", 60).expect_err("no address").contains("`home` is no address"));
        assert!(order("::1", "https://a", 60).expect_err("no host").contains("its name alone"));
        assert!(order("::1", "a", 0).expect_err("never").contains("from 1 to 86400"));
    }

    #[test]
    fn ranges_are_written_as_addresses_are_compared() {
        for (text, net) in [
            ("203.0.113.7", "203.0.113.7/32"),
            ("203.0.113.7/24", "203.0.113.0/24"),
            ("::ffff:203.0.113.7", "203.0.113.7/32"),
            ("::ffff:203.0.113.7/120", "203.0.113.0/24"),
            ("2001:DB8::1/64", "2001:db8::/64"),
        ] {
            assert_eq!(range(text).expect(text).to_string(), net, "{text}");
        }
    }
}
