//! Whether one run differs from another by more than their rounds differ among themselves.
//!
//! The test is Mann and Whitney's U (Wilcoxon's rank sum) on the rounds' figures, two-sided and exact: how likely is a difference of ranks as
//! large as this one, had the rounds been dealt to A and B by chance? With many figures some differ by chance, so that the likelihoods are
//! corrected after Holm. It says nothing of how large a difference is; that is the ratio of the medians.

use std::collections::BTreeMap;

use crate::outcome::{Outcome, Round, median};

/// Likelier than that by chance, a difference is none.
const CHANCE: f64 = 0.05;
/// A ratio nearer to 1 is nobody's concern, though it be certain.
const SMALL: f64 = 0.03;

/// One figure in both.
#[derive(Clone, Debug)]
pub struct Compared {
    /// What it is.
    pub figure: String,
    /// Medians of A and B.
    pub medians: (f64, f64),
    /// How likely by chance, corrected.
    pub chance: f64,
    /// What follows.
    pub verdict: Verdict,
}

/// What follows from a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// No difference that chance does not explain, or too small a one.
    Same,
    /// B is better.
    Better,
    /// B is worse.
    Worse,
    /// So few rounds that no difference could be told.
    TooFew,
}

impl Verdict {
    /// In words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Same => "no difference",
            Self::Better => "B is better",
            Self::Worse => "B is worse",
            Self::TooFew => "too few rounds to tell",
        }
    }
}

/// Compares all figures that both have; less is better for each of them.
#[must_use]
pub fn compare(a: &Outcome, b: &Outcome) -> Vec<Compared> {
    let (of_a, of_b) = (figures(&a.rounds), figures(&b.rounds));
    let mut found: Vec<Compared> = Vec::new();
    for (figure, a) in &of_a {
        let Some(b) = of_b.get(figure) else { continue };
        let medians = (median(a.iter().copied()), median(b.iter().copied()));
        found.push(Compared { figure: figure.clone(), medians, chance: chance(a, b), verdict: Verdict::Same });
    }
    holm(&mut found);
    // What separates them wholly is corrected as all else is.
    let least = least_chance(a.rounds.len(), b.rounds.len()) * crate::outcome::count(found.len() as u64);
    for compared in &mut found {
        let (a, b) = compared.medians;
        let differs = (b - a).abs() > SMALL * a.abs().max(b.abs());
        compared.verdict = match compared.chance {
            _ if least > CHANCE => Verdict::TooFew,
            chance if chance > CHANCE || !differs => Verdict::Same,
            _ if b < a => Verdict::Better,
            _ => Verdict::Worse,
        };
    }
    found
}

/// How many rounds a run needs for a comparison with its like to tell anything.
#[must_use]
pub fn rounds_needed(outcome: &Outcome) -> usize {
    rounds_that_tell(figures(&outcome.rounds).len())
}

/// So many rounds of each could tell a difference of one among so many figures.
#[must_use]
pub fn rounds_that_tell(figures: usize) -> usize {
    (2..).find(|rounds| least_chance(*rounds, *rounds) * crate::outcome::count(figures as u64) <= CHANCE).unwrap_or(2)
}

/// Each round's figures by name. Few of them: each costs the others certainty.
fn figures(rounds: &[Round]) -> BTreeMap<String, Vec<f64>> {
    let mut figures: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for round in rounds {
        let mut add = |name: String, figure: f64| figures.entry(name).or_default().push(figure);
        let all = round.routes.iter().map(|route| route.count).sum::<u64>();
        let failed = round.routes.iter().map(crate::outcome::RouteOutcome::failed).sum::<u64>();
        add("errors, share".to_owned(), crate::outcome::count(failed) / crate::outcome::count(all.max(1)));
        for route in &round.routes {
            // Where all have failed there is no time, rather than a good one.
            if route.from_due.count > 0 {
                add(format!("{}, p50 ms", route.route), route.from_due.p50_ms);
                add(format!("{}, p99 ms", route.route), route.from_due.p99_ms);
            }
        }
        let mut cpu: BTreeMap<&str, f64> = BTreeMap::new();
        for (name, usage) in round.seconds.iter().flat_map(|second| &second.processes) {
            *cpu.entry(name).or_default() += usage.cpu_cores;
        }
        let all = round.seconds.iter().map(|second| second.ended).sum::<u64>();
        for (name, seconds) in cpu.into_iter().filter(|(name, _)| *name != crate::watch::GENERATOR) {
            add(format!("{name}, µs CPU/request"), seconds * 1e6 / crate::outcome::count(all.max(1)));
        }
    }
    figures
}

/// Two-sided, exact; ties share their ranks, and every way to deal the ranks is as likely.
fn chance(a: &[f64], b: &[f64]) -> f64 {
    let mut all: Vec<f64> = a.iter().chain(b).copied().collect();
    all.sort_by(f64::total_cmp);
    // Twice the rank, so that a shared one is whole.
    let rank = |figure: f64| {
        let first = all.partition_point(|other| *other < figure);
        let after = all.partition_point(|other| *other <= figure);
        first + after + 1
    };
    let ranks: Vec<usize> = all.iter().map(|figure| rank(*figure)).collect();
    let observed: usize = a.iter().map(|figure| rank(*figure)).sum();
    let expected = a.len() * (all.len() + 1);
    // How many ways lead to each sum with so many picked.
    let most: usize = ranks.iter().sum();
    let mut ways = vec![vec![0.0_f64; most + 1]; a.len() + 1];
    ways[0][0] = 1.0;
    for rank in &ranks {
        for picked in (1..=a.len()).rev() {
            for sum in (*rank..=most).rev() {
                ways[picked][sum] += ways[picked - 1][sum - rank];
            }
        }
    }
    let dealt = &ways[a.len()];
    let all: f64 = dealt.iter().sum();
    let as_far = dealt.iter().enumerate().filter(|(sum, _)| sum.abs_diff(expected) >= observed.abs_diff(expected));
    as_far.map(|(_, ways)| ways).sum::<f64>() / all
}

/// The least likelihood that so many rounds can show.
fn least_chance(a: usize, b: usize) -> f64 {
    let mut ways = 1.0;
    for n in 1..=a.min(b) {
        ways *= crate::outcome::count((a + b - a.min(b) + n) as u64) / crate::outcome::count(n as u64);
    }
    2.0 / ways
}

/// Holm's correction: the likeliest difference times the number of figures, the next times one less, and never less than the one before.
fn holm(found: &mut [Compared]) {
    let mut order: Vec<usize> = (0..found.len()).collect();
    order.sort_by(|a, b| found[*a].chance.total_cmp(&found[*b].chance));
    let mut before = 0.0_f64;
    for (place, index) in order.iter().enumerate() {
        let corrected = (found[*index].chance * crate::outcome::count((found.len() - place) as u64)).min(1.0);
        before = before.max(corrected);
        found[*index].chance = before;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn likelihoods_are_those_of_the_tables() {
        // Of 252 ways to deal ten ranks to five and five, two are as extreme as complete separation.
        let (low, high) = ([1.0, 2.0, 3.0, 4.0, 5.0], [6.0, 7.0, 8.0, 9.0, 10.0]);
        assert!((chance(&low, &high) - 2.0 / 252.0).abs() < 1e-12);
        assert!((chance(&high, &low) - 2.0 / 252.0).abs() < 1e-12);
        assert!((least_chance(5, 5) - 2.0 / 252.0).abs() < 1e-12);
        // The textbook's table: U = 2 with 5 and 5 is 0.032, two-sided.
        let (a, b) = ([1.0, 2.0, 3.0, 4.0, 7.0], [5.0, 6.0, 8.0, 9.0, 10.0]);
        assert!((chance(&a, &b) - 8.0 / 252.0).abs() < 1e-12, "{}", chance(&a, &b));
        assert!((chance(&low, &low) - 1.0).abs() < 1e-12);
        // Three rounds each can't show anything.
        assert!((chance(&[1.0, 2.0, 3.0], &[4.0, 5.0, 6.0]) - 0.1).abs() < 1e-12);
    }

    #[test]
    fn many_figures_want_more_rounds() {
        assert_eq!([1, 6, 7, 48].map(rounds_that_tell), [4, 5, 6, 7]);
    }

    #[test]
    fn many_figures_are_corrected_for() {
        let one = |chance: f64| Compared { figure: String::new(), medians: (1.0, 2.0), chance, verdict: Verdict::Same };
        let mut found = [one(0.01), one(0.04), one(0.03)];
        holm(&mut found);
        let corrected: Vec<f64> = found.iter().map(|one| (one.chance * 1e4).round() / 1e4).collect();
        assert_eq!(corrected, [0.03, 0.06, 0.06]);
    }
}
