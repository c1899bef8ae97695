//! Writes metric families one after the other, by prometheus-client's encoder.

use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

use super::tally::{BOUNDS, Sum};

/// Names of labels with their values, as few as there are.
pub(super) type Labels<'a> = Vec<(&'static str, &'a str)>;

/// What families are written to.
pub(super) struct Families<'a>(pub(super) DescriptorEncoder<'a>);

impl Families<'_> {
    /// A family of numbers that only grow. The encoder adds `_total` to the name.
    pub(super) fn counters<'a, V: EncodeCounterValue>(
        &mut self,
        name: &str,
        help: &str,
        series: impl IntoIterator<Item = (Labels<'a>, V)>,
    ) -> fmt::Result {
        self.family(name, help, MetricType::Counter, series, |encoder, value| {
            encoder.encode_counter::<NoLabelSet, V, u64>(value, None)
        })
    }

    /// A family of numbers that come and go.
    pub(super) fn gauges<'a, V: EncodeGaugeValue>(
        &mut self,
        name: &str,
        help: &str,
        series: impl IntoIterator<Item = (Labels<'a>, V)>,
    ) -> fmt::Result {
        self.family(name, help, MetricType::Gauge, series, |encoder, value| encoder.encode_gauge(value))
    }

    /// A family of histograms, in seconds.
    pub(super) fn times<'a>(
        &mut self,
        name: &str,
        help: &str,
        series: impl IntoIterator<Item = (Labels<'a>, Sum)>,
    ) -> fmt::Result {
        self.family(name, help, MetricType::Histogram, series, |encoder, sum| {
            let bounds = BOUNDS.map(seconds).into_iter().chain([f64::INFINITY]);
            let buckets: Vec<_> = bounds.zip(sum.buckets).collect();
            encoder.encode_histogram::<NoLabelSet>(seconds(sum.micros), sum.count(), &buckets, None)
        })
    }

    /// What is known once and for all, in labels.
    pub(super) fn info(&mut self, name: &str, help: &str, labels: &Labels<'_>) -> fmt::Result {
        self.0.encode_descriptor(name, help, None, MetricType::Info)?.encode_info(&labels.as_slice())
    }

    fn family<'a, V>(
        &mut self,
        name: &str,
        help: &str,
        kind: MetricType,
        series: impl IntoIterator<Item = (Labels<'a>, V)>,
        write: impl Fn(&mut MetricEncoder<'_>, &V) -> fmt::Result,
    ) -> fmt::Result {
        // Also without any series: so that one scrape shows all that there is.
        let (name, unit) = unit(name);
        let mut family = self.0.encode_descriptor(name, help, unit.as_ref(), kind)?;
        for (labels, value) in series {
            if labels.is_empty() {
                write(&mut family, &value)?;
            } else {
                write(&mut family.encode_family(&labels.as_slice())?, &value)?;
            }
        }
        Ok(())
    }
}

/// A family's name ends with its unit (OpenMetrics, "Units and Base Units"), which the encoder adds, and says in a line of its own.
fn unit(name: &str) -> (&str, Option<Unit>) {
    match name.rsplit_once('_') {
        Some((name, "seconds")) => (name, Some(Unit::Seconds)),
        Some((name, "bytes")) => (name, Some(Unit::Bytes)),
        Some((name, "ratio")) => (name, Some(Unit::Other("ratio".to_owned()))),
        _ => (name, None),
    }
}

#[expect(clippy::cast_precision_loss, reason = "exact up to 285 years")]
fn seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}
