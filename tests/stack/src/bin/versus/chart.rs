//! CPU per request as bars, with nginx as 1, in SVG.

use std::fmt::Write as _;

use stack::report::Report;

const UNIT: &str = "µs CPU/request";
const BASE: &str = "nginx";
/// Bars longer than this are cut, with their figure beside them.
const MOST: f64 = 3.0;
const COLOURS: [(&str, &str); 6] = [
    ("gateway", "#b5442d"),
    ("gateway, signed", "#e08a6d"),
    ("nginx", "#3c7d4e"),
    ("HAProxy", "#3d6c9e"),
    ("Caddy", "#8a8a8a"),
    ("Pingora", "#7a5aa8"),
];

/// A bar for each proxy at each task. Without nginx there is nothing to compare with, and only a title.
pub(crate) fn relative_cpu(report: &Report) -> String {
    let mut tasks: Vec<&str> = Vec::new();
    for case in report.cases.iter().filter(|c| c.unit == UNIT && c.subject == BASE) {
        tasks.push(&case.name);
    }
    let mut bars = String::new();
    let mut y = 54.0;
    for task in tasks {
        let of = |subject: &str| {
            let mut cases = report.cases.iter();
            cases.find(|c| c.unit == UNIT && c.name == task && c.subject == subject).map(|c| c.median())
        };
        let Some(base) = of(BASE) else { continue };
        let _ =
            writeln!(bars, r#"<text x="12" y="{:.0}" font-weight="bold">{task} (nginx: {base:.0} µs)</text>"#, y + 4.0);
        y += 12.0;
        for (subject, colour) in COLOURS {
            let Some(ratio) = of(subject).map(|median| median / base) else { continue };
            let width = ratio.min(MOST) * 180.0;
            let _ = writeln!(
                bars,
                r#"<text x="128" y="{:.0}" text-anchor="end">{subject}</text><rect x="134" y="{y:.0}" width="{width:.1}" height="12" fill="{colour}"/><text x="{:.1}" y="{:.0}">{ratio:.2}{}</text>"#,
                y + 10.0,
                140.0 + width,
                y + 10.0,
                if ratio > MOST { " (cut off)" } else { "" }
            );
            y += 15.0;
        }
        y += 16.0;
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"760\" height=\"{y:.0}\" font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"12\" y=\"22\" font-size=\"15\">CPU per request, nginx = 1 (less is better)</text>\n\
         <text x=\"12\" y=\"38\">{}, {} cores of {}</text>\n{bars}</svg>\n",
        report.date, report.machine.cores, report.machine.cpu
    )
}
