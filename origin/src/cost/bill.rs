//! The bill: what nobody has told is said to be so, and a price that was read long ago is marked; a sum that leaves something out says what.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use time::OffsetDateTime;

use super::prices::{DAYS, Day, HOURS, Prices, beyond};
use crate::metrics::Sample;

/// Days after which a price is to be looked up again.
const OLD: i64 = 180;
/// Requests a second of the attack that is reckoned with.
const ATTACK: f64 = 1_000.0;
const TB: f64 = 1e12;

/// The bill, in lines of text.
#[must_use]
pub fn bill(prices: &Prices, counts: &Sample, now: OffsetDateTime) -> String {
    let mut bill = Bill { prices, counts, now, text: String::new() };
    // Writing to a String does not fail.
    let _ = bill.lines();
    let _ = bill.quota();
    let _ = bill.twice();
    let _ = bill.attack();
    let _ = bill.saved();
    bill.text
}

struct Bill<'a> {
    prices: &'a Prices,
    /// What gateway and edge have counted.
    counts: &'a Sample,
    now: OffsetDateTime,
    text: String,
}

impl Bill<'_> {
    /// TB that the gateway sends in a month, at the pace since it began; nothing in its first minutes.
    fn sent_tb(&self) -> Option<(f64, f64)> {
        let sent = self.counts.sum("origin_response_body_bytes_total", &[])?;
        let days = self.days()?;
        Some((sent / days * DAYS / TB, days))
    }

    /// Days since the gateway began.
    fn days(&self) -> Option<f64> {
        let began = self.counts.sum("process_start_time_seconds", &[])?;
        #[expect(clippy::cast_precision_loss, reason = "seconds since 1970")]
        let days = (self.now.unix_timestamp() as f64 - began) / 86_400.0;
        (days > 1.0 / 288.0).then_some(days)
    }

    /// Requests to the Worker in a month, at today's pace.
    fn worker_month(&self) -> Option<f64> {
        Some(self.today()? / self.day_gone() * DAYS)
    }

    /// Requests to the Worker today, where it has told of any, if only to the process before this one.
    fn today(&self) -> Option<f64> {
        let told = self.counts.sum("origin_edge_batches_total", &[]).is_some_and(|batches| batches > 0.0);
        self.counts.sum("origin_edge_requests_today", &[]).filter(|today| told || *today > 0.0)
    }

    /// How much of the day in UTC has gone, over 0 and up to 1.
    fn day_gone(&self) -> f64 {
        let (hour, minute, _) = self.now.time().as_hms();
        f64::from(u32::from(hour) * 60 + u32::from(minute) + 1) / 1_440.0
    }

    fn priced(&mut self, what: &str, currency: &str, amount: Option<f64>, how: &str) -> fmt::Result {
        let amount = amount.map_or("?".to_owned(), |amount| format!("{amount:.2}"));
        writeln!(self.text, "  {currency} {amount:>9}  {what}: {how}")
    }

    fn read_on(&mut self, as_of: Day, source: &str) -> fmt::Result {
        let days = (self.now.date() - as_of.0).whole_days();
        let old = if days > OLD { format!(", {days} days ago: OLD, look it up again") } else { String::new() };
        writeln!(self.text, "                   price as of {}{old} ({source})", as_of.0)
    }

    fn lines(&mut self) -> fmt::Result {
        let Prices { vps, storage, workers, usage } = self.prices;
        writeln!(self.text, "In a month, without VAT:")?;
        let how = if vps.month.is_some() { "flat" } else { "not known; write vps.month from your invoice" };
        self.priced(&vps.what, &vps.currency, vps.month, how)?;
        let sent = self.sent_tb();
        let cost = sent.map(|(tb, _)| beyond(tb, vps.included_tb, vps.per_tb));
        let how = match sent {
            Some((tb, days)) => format!(
                "{tb:.3} TB of bodies at the gateway's pace of {}, {} included, {:.2} for each beyond; without TLS, SSH, backups",
                if days < 1.0 { format!("{:.1} hours", days * 24.0) } else { format!("{days:.1} days") },
                vps.included_tb,
                vps.per_tb
            ),
            None => "the gateway has not run for 5 minutes, or says nothing".to_owned(),
        };
        self.priced("traffic from the VPS", &vps.currency, cost, &how)?;
        self.read_on(vps.as_of, &vps.source)?;

        self.priced(&storage.what, &storage.currency, Some(storage.month), "flat")?;
        let stored = usage.stored_tb.map(|tb| beyond(tb, storage.included_tb, storage.per_tb_hour * HOURS));
        let how = told(usage.stored_tb, "usage.stored_tb", |tb| {
            format!("{tb} TB, {} included, {:.2} for each beyond", storage.included_tb, storage.per_tb_hour * HOURS)
        });
        self.priced("stored bytes", &storage.currency, stored, &how)?;
        let traffic =
            usage.storage_traffic_tb.map(|tb| beyond(tb, storage.traffic_included_tb, storage.traffic_per_tb));
        let how = told(usage.storage_traffic_tb, "usage.storage_traffic_tb", |tb| {
            format!("{tb} TB, {} included, {:.2} for each beyond", storage.traffic_included_tb, storage.traffic_per_tb)
        });
        self.priced("traffic from the buckets", &storage.currency, traffic, &how)?;
        self.read_on(storage.as_of, &storage.source)?;

        let how = format!("the free plan, {} requests a day", workers.free_a_day);
        self.priced(&workers.what, &workers.currency, Some(0.0), &how)?;
        self.read_on(workers.as_of, &workers.source)?;
        let mut sums = BTreeMap::new();
        let mut missing = 0;
        for (currency, amount) in [
            (&vps.currency, vps.month),
            (&vps.currency, cost),
            (&storage.currency, Some(storage.month)),
            (&storage.currency, stored),
            (&storage.currency, traffic),
            (&workers.currency, Some(0.0)),
        ] {
            missing += usize::from(amount.is_none());
            *sums.entry(currency).or_insert(0.0) += amount.unwrap_or_default();
        }
        let sums: Vec<_> = sums.into_iter().map(|(currency, amount)| format!("{currency} {amount:.2}")).collect();
        let without = if missing == 0 { String::new() } else { format!(", and {missing} line(s) that are not known") };
        writeln!(self.text, "  sum: {}{without}\n", sums.join(", "))
    }

    fn quota(&mut self) -> fmt::Result {
        let free = self.prices.workers.free_a_day;
        writeln!(self.text, "The Worker's free quota, until midnight UTC:")?;
        let Some(today) = self.today() else {
            let signed = self.counts.sum("origin_requests_total", &[("trust", "edge-signed")]);
            let signed = signed.map_or("nothing".to_owned(), |signed| {
                format!("{signed} requests that a Worker had signed since it began: at least so many have started one")
            });
            return writeln!(
                self.text,
                "  not known: the gateway has no counts of the Worker's (origin_edge_requests_today). It has seen {signed}\n"
            );
        };
        let share = today / free * 100.0;
        writeln!(self.text, "  {today} of {free} requests today ({share:.1} %), as far as this gateway has been told")?;
        let at = self.day_gone() * free / today.max(1.0);
        if at < 1.0 {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "minutes of a day")]
            let minute = (at * 1_440.0) as u32;
            writeln!(
                self.text,
                "  at today's pace it is spent at {:02}:{:02} UTC; from then on requests skip the Worker\n",
                minute / 60,
                minute % 60
            )
        } else {
            writeln!(self.text, "  at today's pace {:.1} % are used by then\n", share / self.day_gone())
        }
    }

    fn twice(&mut self) -> fmt::Result {
        let Prices { vps, storage, workers, usage } = self.prices;
        writeln!(self.text, "With twice the traffic, more in a month:")?;
        let more =
            |used: f64, included: f64, price: f64| beyond(2.0 * used, included, price) - beyond(used, included, price);
        let vps_more = self.sent_tb().map(|(tb, _)| more(tb, vps.included_tb, vps.per_tb));
        self.priced("traffic from the VPS", &vps.currency, vps_more, "see above")?;
        let more = usage.storage_traffic_tb.map(|tb| more(tb, storage.traffic_included_tb, storage.traffic_per_tb));
        self.priced("traffic from the buckets", &storage.currency, more, "see above")?;
        let requests = self.worker_month().map(|requests| 2.0 * requests);
        let how = match requests {
            None => "not known, see the quota".to_owned(),
            Some(requests) if requests / DAYS <= workers.free_a_day => {
                format!("{:.0} requests a day are within the free plan", requests / DAYS)
            }
            Some(requests) => format!(
                "{:.0} requests a day are more than is free: the rest skips the Worker, for nothing, or the paid plan is {} {:.2} a month",
                requests / DAYS,
                workers.currency,
                workers.paid(requests)
            ),
        };
        self.priced(&workers.what, &workers.currency, requests.map(|_| 0.0), &how)?;
        self.text.push('\n');
        Ok(())
    }

    fn attack(&mut self) -> fmt::Result {
        let workers = &self.prices.workers;
        let left = self.today().map_or(workers.free_a_day, |today| (workers.free_a_day - today).max(0.0));
        let hour = ATTACK * 3_600.0 / 1e6 * workers.paid_per_million;
        writeln!(
            self.text,
            "An attack with {ATTACK} requests a second spends what is left of the quota in {:.0} s. On the free plan that costs nothing: requests then skip the
Worker until midnight UTC, and the gateway filters, limits and caches by the same code. On the paid plan it costs {} {hour:.2} an hour, without an end.
  to stop it:       origin block NAME --address RANGE (or --agent, --path, --country): edges refuse within 5 s, and each still counts as a request
                    the zone's own rules and rate limit (docs/cloudflare.md) come before the Worker, and do not count
  the last switch:  cargo zone worker off (docs/operations.md): no Route starts it any more, and the gateway serves alone; `on` brings it back\n",
            left / ATTACK,
            workers.currency,
        )
    }

    fn saved(&mut self) -> fmt::Result {
        writeln!(self.text, "What does not cost, since the gateway began:")?;
        let edge = |result: &str| self.counts.sum("origin_edge_requests_total", &[("result", result)]);
        match edge("hit") {
            Some(hits) if self.today().is_some() => {
                let all = self.counts.sum("origin_edge_requests_total", &[]).unwrap_or_default();
                writeln!(
                    self.text,
                    "  {hits} of {all} requests to the Worker were answered from its cache: the VPS had neither work nor traffic of them"
                )?;
            }
            _ => writeln!(self.text, "  hits at the Worker: not known, it has told nothing")?,
        }
        let hits = self.counts.sum("origin_cache_requests_total", &[("result", "hit")]);
        let asked = self.counts.sum("origin_cache_requests_total", &[]);
        if let (Some(hits), Some(asked)) = (hits, asked) {
            writeln!(
                self.text,
                "  {hits} of {asked} requests to the gateway were answered from its cache: the app had no work of them"
            )?;
        }
        writeln!(self.text, "  static files at Cloudflare never start the Worker: they are free, and counted nowhere")?;
        let per_tb = self.prices.vps.per_tb;
        let currency = &self.prices.vps.currency;
        match self.prices.usage.storage_traffic_tb {
            Some(tb) => writeln!(
                self.text,
                "  {tb} TB a month go from the buckets to clients by presigned URLs: through the VPS they would be {currency} {:.2} more beyond what is included, and its bandwidth",
                tb * per_tb
            ),
            None => writeln!(
                self.text,
                "  files go from the buckets to clients by presigned URLs, each TB of them {currency} {per_tb:.2} less at the VPS (usage.storage_traffic_tb is not written)"
            ),
        }
    }
}

fn told(value: Option<f64>, key: &str, how: impl FnOnce(f64) -> String) -> String {
    value.map_or_else(|| format!("not known; write {key}"), how)
}

#[cfg(test)]
mod tests {
    use super::{Prices, Sample, bill};
    use time::macros::datetime;

    const SHIPPED: &str = include_str!("../../../deploy/prices.toml");

    /// A gateway that has run for two days and sent 0.1 TB, and a Worker with 30,000 requests until 06:00.
    const METRICS: &str = "# HELP origin_requests Requests\n\
        process_start_time_seconds 1795651200.0\n\
        origin_response_body_bytes_total{site=\"a\"} 60000000000\norigin_response_body_bytes_total{site=\"b\"} 40000000000\n\
        origin_requests_total{site=\"a\",trust=\"edge-signed\",status_class=\"2xx\"} 900\n\
        origin_cache_requests_total{result=\"hit\"} 300\norigin_cache_requests_total{result=\"miss\"} 700\n\
        origin_edge_batches_total{outcome=\"counted\"} 9\norigin_edge_requests_today 30000\n\
        origin_edge_requests_total{result=\"hit\"} 20000\norigin_edge_requests_total{result=\"miss\"} 15000\n";

    fn at(prices: &str, metrics: &str) -> String {
        let prices = Prices::parse(prices).expect("good");
        bill(&prices, &Sample::parse(metrics), datetime!(2026-11-28 06:00 UTC))
    }

    #[test]
    fn what_is_shipped_says_what_is_old_and_what_is_not_known() {
        let said = at(SHIPPED, "");
        for line in [
            "EUR         ?  Hetzner Cloud, 4 cores and 8 GiB, Hillsboro: not known; write vps.month",
            "price as of 2026-05-27, 185 days ago: OLD, look it up again (https://api.hetzner.cloud",
            "price as of 2024-10-31, 758 days ago: OLD",
            "price as of 2026-10-07 (https://developers.cloudflare.com",
            "sum: EUR 5.00, USD 0.00, and 4 line(s) that are not known",
            "not known: the gateway has no counts of the Worker's (origin_edge_requests_today). It has seen nothing",
            "usage.storage_traffic_tb is not written",
        ] {
            assert!(said.contains(line), "{line}\n{said}");
        }
    }

    /// As after a restart, and where nobody comes through Cloudflare.
    #[test]
    fn the_quota_is_said_as_far_as_it_is_known() {
        let direct = "origin_requests_total{site=\"a\",trust=\"direct\",status_class=\"2xx\"} 900\norigin_edge_requests_today 0\n";
        let said = at(SHIPPED, direct);
        assert!(said.contains("It has seen 0 requests that a Worker had signed since it began"), "{said}");
        let young = format!(
            "process_start_time_seconds 1795845000.0\norigin_response_body_bytes_total{{site=\"a\"}} 1\n{direct}"
        );
        assert!(
            at(SHIPPED, &young).contains("at the gateway's pace of 0.2 hours, 1 included"),
            "{}",
            at(SHIPPED, &young)
        );
        let said = at(SHIPPED, &direct.replace("today 0", "today 500"));
        assert!(
            said.contains("  500 of 100000 requests today (0.5 %), as far as this gateway has been told\n"),
            "{said}"
        );
    }

    #[test]
    fn every_line_is_reckoned() {
        let prices = SHIPPED
            .replace("# month = 0.00           not known", "month = 20.00 # not known")
            .replace("# stored_tb = 0.4", "stored_tb = 3.0 #")
            .replace("# storage_traffic_tb = 0.6", "storage_traffic_tb = 2.0 #");
        let said = at(&prices, METRICS);
        for line in [
            // 0.1 TB in 2.25 days are 1.352 in 30.417.
            "EUR      0.35  traffic from the VPS: 1.352 TB of bodies at the gateway's pace of 2.2 days, 1 included",
            // 2 TB beyond, at 0.0067 an hour.
            "EUR      9.78  stored bytes: 3 TB, 1 included, 4.89 for each beyond",
            "EUR      1.00  traffic from the buckets: 2 TB, 1 included, 1.00 for each beyond",
            "sum: EUR 36.13, USD 0.00\n",
            "30000 of 100000 requests today (30.0 %)",
            "at today's pace it is spent at 20:03 UTC",
            "EUR      1.35  traffic from the VPS: see above",
            "EUR      2.00  traffic from the buckets: see above",
            // 239,335 requests a day: 7.3 millions in a month.
            "239335 requests a day are more than is free: the rest skips the Worker, for nothing, or the paid plan is USD 5.00 a month",
            "spends what is left of the quota in 70 s",
            "it costs USD 1.08 an hour",
            "the last switch:  cargo zone worker off",
            "20000 of 35000 requests to the Worker were answered from its cache",
            "300 of 1000 requests to the gateway were answered from its cache",
        ] {
            assert!(said.contains(line), "{line}\n{said}");
        }
    }
}
