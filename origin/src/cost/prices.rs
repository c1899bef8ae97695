//! The file of prices, and what a month that is supposed costs by it.

use std::collections::BTreeMap;

use serde::Deserialize;
use time::Date;
use time::macros::format_description;

/// Hours and days of a month, as vendors reckon: 365 days by 12.
pub(super) const HOURS: f64 = 730.0;
pub(super) const DAYS: f64 = HOURS / 24.0;

/// The file of prices.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prices {
    pub(super) vps: Vps,
    pub(super) storage: Storage,
    pub(super) workers: Workers,
    #[serde(default)]
    pub(super) usage: Usage,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Vps {
    pub(super) what: String,
    pub(super) currency: String,
    pub(super) month: Option<f64>,
    pub(super) included_tb: f64,
    pub(super) per_tb: f64,
    pub(super) as_of: Day,
    pub(super) source: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Storage {
    pub(super) what: String,
    pub(super) currency: String,
    pub(super) month: f64,
    pub(super) included_tb: f64,
    pub(super) per_tb_hour: f64,
    pub(super) traffic_included_tb: f64,
    pub(super) traffic_per_tb: f64,
    pub(super) as_of: Day,
    pub(super) source: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Workers {
    pub(super) what: String,
    pub(super) currency: String,
    pub(super) free_a_day: f64,
    pub(super) paid_month: f64,
    pub(super) paid_included_millions: f64,
    pub(super) paid_per_million: f64,
    pub(super) as_of: Day,
    pub(super) source: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Usage {
    pub(super) stored_tb: Option<f64>,
    pub(super) storage_traffic_tb: Option<f64>,
}

/// A day, as in `2026-11-28`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Day(pub(super) Date);

impl TryFrom<String> for Day {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let form = format_description!("[year]-[month]-[day]");
        Date::parse(&text, form).map(Self).map_err(|_| format!("`{text}` is no day: write it as in \"2026-11-28\""))
    }
}

impl Prices {
    /// From the file's text.
    ///
    /// # Errors
    /// Which key is wrong, and what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        let document = toml::Deserializer::parse(text).map_err(|e| e.to_string())?;
        let prices: Self = serde_path_to_error::deserialize(document)
            .map_err(|e| format!("{}: {}", e.path(), e.inner().message().trim_end()))?;
        let (vps, storage, workers, usage) = (&prices.vps, &prices.storage, &prices.workers, &prices.usage);
        for (key, value) in [
            ("vps.month", vps.month.unwrap_or_default()),
            ("vps.included_tb", vps.included_tb),
            ("vps.per_tb", vps.per_tb),
            ("storage.month", storage.month),
            ("storage.included_tb", storage.included_tb),
            ("storage.per_tb_hour", storage.per_tb_hour),
            ("storage.traffic_included_tb", storage.traffic_included_tb),
            ("storage.traffic_per_tb", storage.traffic_per_tb),
            ("workers.free_a_day", workers.free_a_day),
            ("workers.paid_month", workers.paid_month),
            ("workers.paid_included_millions", workers.paid_included_millions),
            ("workers.paid_per_million", workers.paid_per_million),
            ("usage.stored_tb", usage.stored_tb.unwrap_or_default()),
            ("usage.storage_traffic_tb", usage.storage_traffic_tb.unwrap_or_default()),
        ] {
            if !(0.0..1e9).contains(&value) {
                return Err(format!("{key}: {value} is out of range: write 0 or more"));
            }
        }
        Ok(prices)
    }
}

/// A month that nobody has counted, but supposes.
#[derive(Clone, Copy, Debug)]
pub struct Supposed {
    /// Requests that start the Worker, in a day.
    pub worker_a_day: f64,
    /// On how many days of it so many do.
    pub days: f64,
    /// TB that the gateway sends.
    pub gateway_tb: f64,
    /// TB that the buckets send.
    pub buckets_tb: f64,
    /// Servers, each with its traffic.
    pub servers: f64,
}

impl Prices {
    /// What such a month costs, by currency: with the Worker on the paid plan where the free one does not do, without what is stored in buckets,
    /// and without a server's flat price where the file does not say it.
    #[must_use]
    pub fn month(&self, supposed: &Supposed) -> BTreeMap<&str, f64> {
        let Self { vps, storage, workers, .. } = self;
        let free = supposed.worker_a_day <= workers.free_a_day;
        let mut sums = BTreeMap::new();
        for (currency, amount) in [
            (&vps.currency, vps.month.unwrap_or_default() * supposed.servers),
            (&vps.currency, beyond(supposed.gateway_tb, vps.included_tb * supposed.servers, vps.per_tb)),
            (&storage.currency, storage.month),
            (&storage.currency, beyond(supposed.buckets_tb, storage.traffic_included_tb, storage.traffic_per_tb)),
            (&workers.currency, if free { 0.0 } else { workers.paid(supposed.worker_a_day * supposed.days) }),
        ] {
            *sums.entry(currency.as_str()).or_insert(0.0) += amount;
        }
        sums
    }

    /// Requests a day that start the Worker for nothing.
    #[must_use]
    pub const fn free_a_day(&self) -> f64 {
        self.workers.free_a_day
    }
}

impl Workers {
    /// What so many requests in a month cost on the paid plan.
    pub(super) fn paid(&self, requests: f64) -> f64 {
        self.paid_month + beyond(requests / 1e6, self.paid_included_millions, self.paid_per_million)
    }
}

/// What is beyond what is included.
pub(super) fn beyond(used: f64, included: f64, price: f64) -> f64 {
    (used - included).max(0.0) * price
}

#[cfg(test)]
mod tests {
    use super::{Prices, Supposed};

    const SHIPPED: &str = include_str!("../../../deploy/prices.toml");

    #[test]
    fn a_month_that_is_supposed_is_reckoned_by_the_same_prices() {
        let prices = Prices::parse(SHIPPED).expect("good");
        let supposed =
            Supposed { worker_a_day: 100_000.0, days: 365.0 / 12.0, gateway_tb: 1.0, buckets_tb: 1.0, servers: 1.0 };
        let month = |worker_a_day, gateway_tb| prices.month(&Supposed { worker_a_day, gateway_tb, ..supposed });
        assert_eq!(month(100_000.0, 1.0), [("EUR", 5.0), ("USD", 0.0)].into());
        // A second server has its own traffic, the buckets have theirs.
        let eur = |supposed: Supposed| prices.month(&supposed)["EUR"];
        assert!((eur(Supposed { gateway_tb: 3.0, servers: 2.0, ..supposed }) - 6.0).abs() < 0.001);
        assert!((eur(Supposed { buckets_tb: 2.5, ..supposed }) - 6.5).abs() < 0.001);
        // 30.42 millions, of which 10 are included.
        let many = month(1e6, 3.0);
        assert!((many["EUR"] - 7.0).abs() < 0.001 && (many["USD"] - 11.125).abs() < 0.001, "{many:?}");
        // One day is enough to need the paid plan, of which 10 millions are not used up.
        let once = |worker_a_day| prices.month(&Supposed { worker_a_day, days: 1.0, ..supposed })["USD"];
        assert_eq!([100_000.0, 100_001.0, 10e6, 20e6].map(once), [0.0, 5.0, 5.0, 8.0]);
    }

    #[test]
    fn a_wrong_file_is_told_where() {
        for (from, to, told) in [
            ("month = 5.00", "month = \"five\"", "storage.month"),
            ("month = 5.00", "month = -5.0", "storage.month: -5 is out of range"),
            ("2024-10-31", "31.10.2024", "`31.10.2024` is no day: write it as in"),
            ("per_tb_hour", "per_hour", "per_hour"),
        ] {
            let error = Prices::parse(&SHIPPED.replacen(from, to, 1)).expect_err(to);
            assert!(error.contains(told), "{error}");
        }
    }
}
