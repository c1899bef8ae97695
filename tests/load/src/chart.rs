//! Lines over time or over anything else, as inline SVG: figures become points here, the template draws them.

/// Room for the lines, in the units of the SVG.
const WIDTH: f64 = 420.0;
const HEIGHT: f64 = 150.0;
/// What stands left of and above it.
const LEFT: f64 = 52.0;
const TOP: f64 = 12.0;

/// One chart.
pub(crate) struct Chart {
    pub(crate) title: String,
    pub(crate) unit: String,
    pub(crate) lines: Vec<Line>,
    /// Where a figure stands on the axis.
    pub(crate) rows: Vec<Mark>,
    pub(crate) columns: Vec<Mark>,
    /// Where a phase begins.
    pub(crate) borders: Vec<Mark>,
}

/// One line.
pub(crate) struct Line {
    pub(crate) name: String,
    /// Which of eight colours and strokes.
    pub(crate) class: usize,
    /// `x,y x,y …`, in one stretch for each gap-free part.
    pub(crate) stretches: Vec<String>,
    /// Its highest figure, in words.
    pub(crate) most: String,
}

/// A place with a word.
pub(crate) struct Mark {
    pub(crate) at: f64,
    pub(crate) word: String,
}

/// What a chart is made of.
pub(crate) struct Plot<'a> {
    pub(crate) title: &'a str,
    pub(crate) unit: &'a str,
    /// Of each figure.
    pub(crate) at: &'a [f64],
    /// Word at each of those places that get one.
    pub(crate) columns: Vec<(f64, String)>,
    pub(crate) borders: Vec<(f64, String)>,
    /// A figure that is not finite is a gap.
    pub(crate) lines: Vec<(String, Vec<f64>)>,
}

impl Plot<'_> {
    /// Draws it; nothing where there is nothing to draw.
    pub(crate) fn draw(self) -> Option<Chart> {
        let figures =
            || self.lines.iter().flat_map(|(_, figures)| figures).copied().filter(|figure| figure.is_finite());
        let (first, last) = (*self.at.first()?, *self.at.last()?);
        figures().next()?;
        let step = step(figures().fold(0.0, f64::max));
        let most = (figures().fold(0.0, f64::max) / step).ceil().max(1.0) * step;
        let x = |at: f64| LEFT + if last > first { (at - first) / (last - first) * WIDTH } else { WIDTH / 2.0 };
        let y = |figure: f64| (figure / most).mul_add(-HEIGHT, TOP + HEIGHT);
        let lines = self.lines.iter().enumerate().map(|(number, (name, figures))| {
            let mut stretches = vec![String::new()];
            for (at, figure) in self.at.iter().zip(figures) {
                match stretches.last_mut() {
                    Some(stretch) if figure.is_finite() => {
                        stretch.push_str(&format!("{:.1},{:.1} ", x(*at), y(*figure)))
                    }
                    Some(stretch) if !stretch.is_empty() => stretches.push(String::new()),
                    _ => {}
                }
            }
            stretches.retain(|stretch| !stretch.is_empty());
            let most = figures.iter().copied().filter(|figure| figure.is_finite()).fold(0.0, f64::max);
            Line { name: name.clone(), class: number % 8, stretches, most: short(most) }
        });
        let lines = lines.collect();
        let mut rows = Vec::new();
        let mut row = 0.0;
        while row <= most + step / 2.0 {
            rows.push(Mark { at: y(row), word: short(row) });
            row += step;
        }
        let marks = |marks: Vec<(f64, String)>| {
            let within = marks.into_iter().filter(|(at, _)| (first..=last).contains(at));
            within.map(|(at, word)| Mark { at: x(at), word }).collect()
        };
        let (columns, borders) = (marks(self.columns), marks(self.borders));
        Some(Chart { title: self.title.to_owned(), unit: self.unit.to_owned(), lines, rows, columns, borders })
    }
}

/// Between two rows: 1, 2 or 5 times a power of ten, so that there are about four.
fn step(most: f64) -> f64 {
    let rough = (most / 4.0).max(1e-9);
    let power = 10_f64.powf(rough.log10().floor());
    let part = rough / power;
    power
        * if part <= 1.0 {
            1.0
        } else if part <= 2.0 {
            2.0
        } else if part <= 5.0 {
            5.0
        } else {
            10.0
        }
}

/// A figure with as many places as it needs.
pub(crate) fn short(figure: f64) -> String {
    let text = match figure.abs() {
        size if size.is_nan() => "–".to_owned(),
        size if size >= 100.0 => format!("{figure:.0}"),
        size if size >= 1.0 => format!("{figure:.1}"),
        _ => format!("{figure:.3}"),
    };
    match text.split_once('.') {
        Some(_) => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_round_and_gaps_are_gaps() {
        for (most, expected) in [(93.0, 50.0), (4.0, 1.0), (0.02, 0.005), (1000.0, 500.0)] {
            assert!((step(most) / expected - 1.0).abs() < 1e-9, "{most}: {}", step(most));
        }
        let plot = Plot {
            title: "t",
            unit: "ms",
            at: &[0.0, 1.0, 2.0, 3.0],
            columns: vec![(0.0, "0".to_owned()), (9.0, "9".to_owned())],
            borders: Vec::new(),
            lines: vec![("a".to_owned(), vec![1.0, f64::NAN, 2.0, 0.0])],
        };
        let chart = plot.draw().unwrap();
        assert_eq!(chart.lines[0].stretches, ["52.0,87.0 ", "332.0,12.0 472.0,162.0 "]);
        assert_eq!((chart.columns.len(), chart.rows.len()), (1, 5));
        assert_eq!([short(0.0), short(1234.5), short(0.25), short(20.0)], ["0", "1234", "0.25", "20"]);
    }
}
