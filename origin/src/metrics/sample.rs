//! One reading of `/metrics`, and the difference of two: for whoever asks a gateway that runs.

use std::collections::{BTreeMap, HashMap};

/// The series of one scrape, by how they are written.
#[derive(Debug, Default)]
pub struct Sample(HashMap<String, Series>);

/// How the names of what only grows end.
const COUNTERS: [&str; 3] = ["_total", "_sum", "_count"];

#[derive(Debug)]
struct Series {
    name: String,
    labels: Vec<(String, String)>,
    value: f64,
}

impl Sample {
    /// Reads Prometheus's text format 0.0.4. What is no line of it is left out.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let series = |line: &str| {
            let (key, value) = line.rsplit_once(' ')?;
            let (name, labels) = match key.split_once('{') {
                Some((name, labels)) => (name, read_labels(labels)?),
                None => (key, Vec::new()),
            };
            Some((key.to_owned(), Series { name: name.to_owned(), labels, value: value.parse().ok()? }))
        };
        Self(text.lines().filter(|line| !line.starts_with('#')).filter_map(series).collect())
    }

    /// The sum of a family's series that have all of these labels; nothing where there is no such family.
    #[must_use]
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let mut of = self.0.values().filter(|series| series.name == name).peekable();
        of.peek()?;
        let fits = |series: &&Series| labels.iter().all(|(label, value)| series.labelled([*label]) == [*value]);
        Some(total(of.filter(fits).map(|series| series.value)))
    }
}

/// What follows `{`, up to `}`.
fn read_labels(mut text: &str) -> Option<Vec<(String, String)>> {
    let mut labels = Vec::new();
    while let Some((name, rest)) = text.split_once("=\"") {
        let (mut value, mut chars) = (String::new(), rest.char_indices());
        loop {
            match chars.next()? {
                (end, '"') => {
                    text = rest.get(end + 1..)?;
                    break;
                }
                (_, '\\') => value.push(match chars.next()?.1 {
                    'n' => '\n',
                    other => other,
                }),
                (_, other) => value.push(other),
            }
        }
        labels.push((name.trim_start_matches(',').to_owned(), value));
    }
    (text == "}").then_some(labels)
}

/// What has come between two readings, and how it stands.
#[derive(Debug)]
pub struct Change<'a> {
    before: &'a Sample,
    now: &'a Sample,
    seconds: f64,
}

impl<'a> Change<'a> {
    /// Of two readings, so many seconds apart.
    #[must_use]
    pub fn new(before: &'a Sample, now: &'a Sample, seconds: f64) -> Self {
        Self { before, now, seconds: seconds.max(0.001) }
    }

    /// The counters that have grown, each series as it is written, and by how much; buckets are left out.
    #[must_use]
    pub fn grown(&self) -> BTreeMap<String, f64> {
        let counters = self.now.0.iter().filter(|(_, series)| COUNTERS.iter().any(|end| series.name.ends_with(end)));
        let grown = counters.map(|(key, series)| (key.clone(), self.growth(key, series)));
        grown.filter(|(_, by)| *by > 0.0).collect()
    }

    /// The values of a family as they stand, by some of its labels; a label that a series lacks is empty.
    #[must_use]
    pub fn stands<const N: usize>(&self, name: &str, labels: [&str; N]) -> BTreeMap<[&'a str; N], f64> {
        sums(self.of(name).map(|(_, series)| (series.labelled(labels), series.value)))
    }

    /// How much a family has grown in a second, by some of its labels.
    #[must_use]
    pub fn rates<const N: usize>(&self, name: &str, labels: [&str; N]) -> BTreeMap<[&'a str; N], f64> {
        sums(self.of(name).map(|(key, series)| (series.labelled(labels), self.growth(key, series) / self.seconds)))
    }

    /// The sum of a family's rates.
    #[must_use]
    pub fn rate(&self, name: &str) -> f64 {
        total(self.rates(name, []).into_values())
    }

    /// The sum of a family's values.
    #[must_use]
    pub fn value(&self, name: &str) -> f64 {
        total(self.stands(name, []).into_values())
    }

    /// Quantiles of what a histogram has counted between the two, by some of its labels, as `histogram_quantile` of PromQL estimates them: evenly
    /// within a bucket. Nothing where nothing was counted.
    #[must_use]
    pub fn quantiles<const N: usize, const Q: usize>(
        &self,
        name: &str,
        labels: [&str; N],
        quantiles: [f64; Q],
    ) -> BTreeMap<[&'a str; N], [f64; Q]> {
        let mut histograms: BTreeMap<[&'a str; N], Vec<(f64, f64)>> = BTreeMap::new();
        for (key, series) in self.of(&format!("{name}_bucket")) {
            let [Ok(bound)] = series.labelled(["le"]).map(str::parse::<f64>) else { continue };
            let buckets = histograms.entry(series.labelled(labels)).or_default();
            let grown = self.growth(key, series);
            match buckets.iter_mut().find(|(known, _)| known.total_cmp(&bound).is_eq()) {
                Some((_, count)) => *count += grown,
                None => buckets.push((bound, grown)),
            }
        }
        let known = histograms.into_iter().filter_map(|(key, mut buckets)| {
            buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
            let all = buckets.last().map(|(_, count)| *count).filter(|count| *count > 0.0)?;
            Some((key, quantiles.map(|quantile| within(&buckets, quantile * all))))
        });
        known.collect()
    }

    fn of(&self, name: &str) -> impl Iterator<Item = (&'a String, &'a Series)> {
        self.now.0.iter().filter(move |(_, series)| series.name == name)
    }

    fn growth(&self, key: &str, series: &Series) -> f64 {
        let before = self.before.0.get(key).map_or(0.0, |before| before.value);
        // A counter that is smaller begins anew: another process.
        if series.value >= before { series.value - before } else { series.value }
    }
}

impl Series {
    fn labelled<const N: usize>(&self, labels: [&str; N]) -> [&str; N] {
        labels.map(|label| self.labels.iter().find(|(name, _)| name == label).map_or("", |(_, value)| value.as_str()))
    }
}

/// Their sum. That of none is 0; the standard library's would be −0, which shows.
fn total(values: impl Iterator<Item = f64>) -> f64 {
    values.fold(0.0, |sum, value| sum + value)
}

fn sums<K: Ord>(rows: impl Iterator<Item = (K, f64)>) -> BTreeMap<K, f64> {
    let mut sums = BTreeMap::new();
    rows.for_each(|(key, value)| *sums.entry(key).or_insert(0.0) += value);
    sums
}

/// Where so many of what cumulative buckets hold have been passed.
fn within(buckets: &[(f64, f64)], wanted: f64) -> f64 {
    let (mut from, mut below) = (0.0, 0.0);
    for (bound, count) in buckets {
        if *count >= wanted {
            // Above the last bound nothing is known but that.
            return if bound.is_finite() {
                (bound - from) * (wanted - below) / (count - below).max(f64::MIN_POSITIVE) + from
            } else {
                from
            };
        }
        (from, below) = (*bound, *count);
    }
    from
}

#[cfg(test)]
mod tests {
    use super::{Change, Sample};

    const BEFORE: &str =
        "# HELP a A.\n# TYPE a counter\na_total{x=\"1\",y=\"p\"} 10\na_total{x=\"2\",y=\"p\"} 5\nb 7\n";

    #[test]
    fn rates_are_by_label_and_a_restart_begins_anew() {
        let now = Sample::parse(
            "a_total{x=\"1\",y=\"p\"} 14\na_total{x=\"2\",y=\"p\"} 1\na_total{x=\"1\",y=\"q\"} 2\nb 3\nnonsense\nc{x=\"1} 2\n",
        );
        let before = Sample::parse(BEFORE);
        let change = Change::new(&before, &now, 2.0);
        assert_eq!(change.rates("a_total", ["x"]).into_iter().collect::<Vec<_>>(), [(["1"], 3.0), (["2"], 0.5)]);
        assert_eq!(change.rates("a_total", ["y", "z"]).into_keys().collect::<Vec<_>>(), [["p", ""], ["q", ""]]);
        assert!((change.rate("a_total") - 3.5).abs() < 1e-9 && (change.value("b") - 3.0).abs() < 1e-9);
        assert!(change.stands("c", ["x"]).is_empty());
        let grown: Vec<_> = change.grown().into_iter().collect();
        let key = |x, y| format!("a_total{{x=\"{x}\",y=\"{y}\"}}");
        assert_eq!(grown, [(key(1, "p"), 4.0), (key(1, "q"), 2.0), (key(2, "p"), 1.0)], "gauges come and go");
    }

    #[test]
    fn sums_are_of_whole_labels() {
        let sample = Sample::parse("a_total{x=\"1\",y=\"p\"} 10\na_total{x=\"12\",y=\"p\"} 5\nb 7\n");
        assert_eq!((sample.sum("a_total", &[]), sample.sum("a_total", &[("x", "1")])), (Some(15.0), Some(10.0)));
        assert_eq!((sample.sum("a_total", &[("y", "p"), ("x", "2")]), sample.sum("a", &[])), (Some(0.0), None));
    }

    #[test]
    fn none_are_nothing_and_not_less() {
        let sample = Sample::parse("a_total{x=\"1\"} 10\n");
        let change = Change::new(&sample, &sample, 1.0);
        let none = sample.sum("a_total", &[("x", "2")]).expect("it is there");
        assert_eq!(format!("{none} {} {}", change.rate("b"), change.value("b")), "0 0 0");
    }

    #[test]
    fn a_label_may_hold_anything() {
        let sample = Sample::parse("a{x=\"b,c=\\\"d\\\"}\\\\ \\n\",y=\"\u{e9}\"} 1");
        let change = Change::new(&sample, &sample, 1.0);
        assert_eq!(change.stands("a", ["x", "y"]).into_keys().next(), Some(["b,c=\"d\"}\\ \n", "\u{e9}"]));
    }

    #[test]
    fn quantiles_are_those_of_the_time_between() {
        let text = |small: u32, large: u32, all: u32| {
            format!(
                "h_bucket{{s=\"a\",le=\"0.1\"}} {small}\nh_bucket{{s=\"a\",le=\"1.0\"}} {large}\nh_bucket{{s=\"a\",le=\"+Inf\"}} {all}\n"
            )
        };
        let (before, now) = (Sample::parse(&text(1000, 1000, 1000)), Sample::parse(&text(1050, 1090, 1100)));
        let quantiles =
            |before, now| Change::new(before, now, 1.0).quantiles("h", ["s"], [0.25, 0.7, 0.99]).into_values().next();
        let found = quantiles(&before, &now).expect("some");
        for (found, expected) in found.into_iter().zip([0.05, 0.55, 1.0]) {
            assert!((found - expected).abs() < 1e-9, "{found} {expected}");
        }
        assert_eq!(quantiles(&now, &now), None);
    }
}
