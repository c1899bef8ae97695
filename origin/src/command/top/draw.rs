//! The figures as lines of text, cut to the terminal.

use super::view::{Route, View};

/// How something is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tone {
    Plain,
    Faint,
    Strong,
    Bad,
}

impl Tone {
    /// Select Graphic Rendition of ECMA-48.
    const fn code(self) -> &'static str {
        match self {
            Self::Plain => "\x1b[0m",
            Self::Faint => "\x1b[0;2m",
            Self::Strong => "\x1b[0;1m",
            Self::Bad => "\x1b[0;1;31m",
        }
    }
}

/// A line, in pieces of one tone each.
#[derive(Debug, Default)]
struct Line(Vec<(Tone, String)>);

impl Line {
    fn new(tone: Tone, text: impl Into<String>) -> Self {
        Self(vec![(tone, text.into())])
    }

    fn add(mut self, tone: Tone, text: impl Into<String>) -> Self {
        self.0.push((tone, text.into()));
        self
    }

    /// As far as it fits.
    fn text(self, width: usize, colour: bool) -> String {
        let (mut text, mut left) = (String::new(), width);
        for (tone, piece) in self.0 {
            let fits: String = piece.chars().take(left).collect();
            left -= fits.chars().count();
            if colour && tone != Tone::Plain && !fits.is_empty() {
                text.extend([tone.code(), &fits, Tone::Plain.code()]);
            } else {
                text.push_str(&fits);
            }
        }
        text.trim_end().to_owned()
    }
}

/// What there is room for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) colour: bool,
}

/// The lines that fit into it. `past` are requests a second, the newest last; nothing is drawn of none.
pub(super) fn lines(title: &str, view: &View, past: &[f64], room: Room) -> Vec<String> {
    let mut all = vec![Line::new(Tone::Strong, title)];
    all.extend(summary(view, past));
    if !view.ill.is_empty() {
        let ill: Vec<String> = view.ill.iter().map(|(probe, how)| format!("{probe} {how}")).collect();
        all.push(head("not operational").add(Tone::Bad, ill.join(", ")));
    }
    all.push(Line::default());
    all.push(table(["upstream", "", "in flight", "failures/s"]));
    all.extend(view.upstreams.iter().map(|upstream| {
        let name = format!("{} of {}", upstream.address, upstream.app);
        let tone = if upstream.up { Tone::Plain } else { Tone::Bad };
        let failing = if upstream.failures > 0.0 { Tone::Bad } else { Tone::Plain };
        Line::new(tone, column(&name))
            .add(tone, format!("{:>10}", if upstream.up { "up" } else { "down" }))
            .add(Tone::Plain, format!("{:>12}", rate(upstream.in_flight)))
            .add(failing, format!("{:>12}", rate(upstream.failures)))
    }));
    if !view.routes.is_empty() {
        all.push(Line::default());
        all.push(table(["site, route", "requests/s", "5xx/s", "p50, p99"]));
        all.extend(view.routes.iter().map(route));
    }
    if !view.rules.is_empty() {
        all.push(Line::default());
        all.push(table(["rule of the filter", "requests/s", "", ""]));
        let row = |(rule, hits): &(String, f64)| {
            Line::new(Tone::Plain, column(rule)).add(Tone::Plain, format!("{:>10}", rate(*hits)))
        };
        all.extend(view.rules.iter().map(row));
    }
    all.into_iter().take(room.height).map(|line| line.text(room.width, room.colour)).collect()
}

fn summary(view: &View, past: &[f64]) -> Vec<Line> {
    let listed = |list: &[(String, f64)]| {
        let list: Vec<String> =
            list.iter().filter(|(_, n)| *n > 0.0).map(|(word, n)| format!("{word} {}", rate(*n))).collect();
        if list.is_empty() { "-".to_owned() } else { list.join("  ") }
    };
    let both = |times: Option<[f64; 2]>| {
        times.map_or_else(|| "-".to_owned(), |[p50, p99]| format!("p50 {}  p99 {}", time(p50), time(p99)))
    };
    let failing = view.classes.iter().any(|(class, rate)| class == "5xx" && *rate > 0.0);
    let mut all = vec![
        head("requests")
            .add(Tone::Strong, format!("{}/s", rate(view.requests)))
            .add(Tone::Plain, format!("  under way {}  connections {}  ", rate(view.active), rate(view.connections)))
            .add(Tone::Faint, sparkline(past)),
        head("until the head").add(Tone::Plain, both(view.head)),
        head("until the end").add(Tone::Plain, both(view.total)),
        head("answers").add(if failing { Tone::Bad } else { Tone::Plain }, listed(&view.classes)),
        head("cache")
            .add(Tone::Strong, format!("{} hits", share(view.hits())))
            .add(Tone::Plain, format!("  {}", listed(&view.cache))),
    ];
    if !view.problems.is_empty() {
        all.push(head("problems").add(Tone::Plain, listed(&view.problems)));
    }
    if let Some(edge) = &view.edge {
        let failing = if edge.failures > 0.0 { Tone::Bad } else { Tone::Plain };
        all.push(
            head("edge, 20 s ago")
                .add(Tone::Strong, format!("{}/s", rate(edge.requests)))
                .add(
                    Tone::Plain,
                    format!(
                        "  {} hits  blocked {}  problems {}",
                        share(edge.hits),
                        rate(edge.blocked),
                        rate(edge.problems)
                    ),
                )
                .add(failing, format!("  gateway failures {}", rate(edge.failures)))
                .add(Tone::Plain, format!("  today {}", rate(edge.today))),
        );
    }
    all
}

fn head(name: &str) -> Line {
    Line::new(Tone::Faint, format!("{name:<16}"))
}

fn table(heads: [&str; 4]) -> Line {
    let [name, one, two, three] = heads;
    Line::new(Tone::Faint, format!("{name:<40}{one:>10}{two:>12}{three:>12}"))
}

/// A name in the first column; what is too long ends with a mark.
fn column(name: &str) -> String {
    if name.chars().count() < 40 {
        return format!("{name:<40}");
    }
    name.chars().take(38).chain(['\u{2026}', ' ']).collect()
}

fn route(route: &Route) -> Line {
    let failing = if route.errors > 0.0 { Tone::Bad } else { Tone::Plain };
    let times = route.times.map_or_else(String::new, |[p50, p99]| format!("  {}, {}", time(p50), time(p99)));
    Line::new(Tone::Plain, column(&route.name))
        .add(Tone::Plain, format!("{:>10}", rate(route.requests)))
        .add(failing, format!("{:>12}", rate(route.errors)))
        .add(Tone::Plain, times)
}

/// A number for people: two or three digits that count, thousands apart.
fn rate(number: f64) -> String {
    match number {
        ..0.05 => "0".to_owned(),
        0.05..9.95 => format!("{number:.1}").trim_end_matches(".0").to_owned(),
        _ => {
            let digits = format!("{number:.0}");
            let apart = digits.len() % 3;
            let comma = |n: usize| n > 0 && n % 3 == apart;
            digits
                .chars()
                .enumerate()
                .flat_map(|(n, digit)| comma(n).then_some(',').into_iter().chain([digit]))
                .collect()
        }
    }
}

fn time(seconds: f64) -> String {
    match seconds {
        ..0.001 => format!("{:.0} \u{b5}s", seconds * 1e6),
        0.001..0.01 => format!("{:.1} ms", seconds * 1e3),
        0.01..1.0 => format!("{:.0} ms", seconds * 1e3),
        _ => format!("{seconds:.1} s"),
    }
}

fn share(share: Option<f64>) -> String {
    share.map_or_else(|| "-".to_owned(), |share| format!("{:.0} %", share * 100.0))
}

/// Each number as a bar, against the largest.
fn sparkline(numbers: &[f64]) -> String {
    const BARS: [char; 8] =
        ['\u{2581}', '\u{2582}', '\u{2583}', '\u{2584}', '\u{2585}', '\u{2586}', '\u{2587}', '\u{2588}'];
    let most = numbers.iter().copied().fold(0.0, f64::max).max(f64::MIN_POSITIVE);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 7")]
    let bar = |number: &f64| BARS[(number / most * 7.0).round() as usize & 7];
    numbers.iter().map(bar).collect()
}

#[cfg(test)]
mod tests {
    use super::{Room, lines, rate, sparkline, time};
    use crate::command::top::view::{Route, Upstream, View};

    #[test]
    fn numbers_for_people() {
        let said = [0.0, 0.04, 0.06, 1.0, 9.94, 9.96, 123.4, 1_234.0, 999_999.6].map(rate);
        assert_eq!(said, ["0", "0", "0.1", "1", "9.9", "10", "123", "1,234", "1,000,000"]);
        assert_eq!([0.000_25, 0.001_24, 0.05, 2.0].map(time), ["250 \u{b5}s", "1.2 ms", "50 ms", "2.0 s"]);
        assert_eq!(sparkline(&[0.0, 5.0, 10.0]), "\u{2581}\u{2585}\u{2588}");
        assert_eq!(sparkline(&[0.0, 0.0]), "\u{2581}\u{2581}");
    }

    fn view() -> View {
        let upstream = |up| Upstream {
            app: "a.test".to_owned(),
            address: "127.0.0.1:3000".to_owned(),
            up,
            in_flight: 3.0,
            failures: 0.0,
        };
        let name = "a-host-with-a-name-that-is-long.test/and/a/path/".to_owned();
        View {
            requests: 1_203.0,
            head: Some([0.001, 0.048]),
            classes: vec![("2xx".to_owned(), 1_200.0), ("5xx".to_owned(), 3.0)],
            cache: vec![("hit".to_owned(), 3.0), ("miss".to_owned(), 1.0)],
            upstreams: vec![upstream(true), upstream(false)],
            routes: vec![Route { name, requests: 1_203.0, errors: 3.0, times: Some([0.001, 0.048]) }],
            rules: vec![("probe-dotfile: block".to_owned(), 2.0)],
            ill: vec![("database".to_owned(), "down")],
            ..View::default()
        }
    }

    #[test]
    fn a_table_without_a_terminal() {
        let room = Room { width: 80, height: 100, colour: false };
        insta::assert_snapshot!(lines("origin top", &view(), &[], room).join("\n"));
    }

    #[test]
    fn it_fits_and_colours_only_where_there_are_some() {
        for (width, height) in [(80, 24), (20, 5), (1, 1), (0, 0), (200, 3)] {
            let plain = lines("origin top", &view(), &[1.0; 60], Room { width, height, colour: false });
            assert!(plain.len() <= height && plain.iter().all(|line| line.chars().count() <= width), "{plain:#?}");
            assert!(!plain.concat().contains('\x1b'));
        }
        let coloured = lines("origin top", &view(), &[], Room { width: 80, height: 24, colour: true });
        assert!(coloured.concat().contains("\x1b[0;1;31mdown") || coloured.concat().contains("\x1b[0;1;31m      down"));
    }
}
