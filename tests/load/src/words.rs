//! `{words}` in paths, fields and bodies.

use std::collections::BTreeMap;

use rand::Rng;

use crate::scenario::Choice;

/// The words of a text, in its order.
pub(crate) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split('{').skip(1).filter_map(|rest| rest.split_once('}').map(|(word, _)| word)).filter(|word| is_word(word))
}

/// What is in braces and not one is left as it is, so that JSON can be written.
fn is_word(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'.')
}

/// What words stand for.
#[derive(Debug)]
pub(crate) struct Words {
    choices: BTreeMap<String, Drawn>,
    secrets: BTreeMap<String, String>,
}

#[derive(Debug)]
enum Drawn {
    /// Words, with the sum of the weights up to each.
    Zipf(Vec<(String, f64)>),
    Numbers(u64, u64),
}

impl Words {
    pub(crate) fn new(choices: &BTreeMap<String, Choice>, secrets: BTreeMap<String, String>) -> Self {
        let drawn = |choice: &Choice| match choice {
            Choice::Numbers { from, to } => Drawn::Numbers(*from, *to),
            Choice::Words(words) => {
                let mut sum = 0.0;
                let mut rank = 0.0;
                let weighed = words.iter().map(|word| {
                    rank += 1.0;
                    sum += 1.0 / rank;
                    (word.clone(), sum)
                });
                Drawn::Zipf(weighed.collect())
            }
        };
        Self { choices: choices.iter().map(|(word, choice)| (word.clone(), drawn(choice))).collect(), secrets }
    }

    /// The text with its words filled in.
    pub(crate) fn fill(&self, text: &str, rng: &mut impl Rng) -> String {
        let mut filled = String::with_capacity(text.len() + 16);
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            filled.push_str(before);
            match after.split_once('}') {
                Some((word, after)) if is_word(word) => {
                    self.draw(word, &mut filled, rng);
                    rest = after;
                }
                _ => {
                    filled.push('{');
                    rest = after;
                }
            }
        }
        filled.push_str(rest);
        filled
    }

    fn draw(&self, word: &str, into: &mut String, rng: &mut impl Rng) {
        if word == "unique" {
            into.push_str(&format!("{:016x}", rng.random::<u64>()));
            return;
        }
        if let Some(secret) = word.strip_prefix("secret.").and_then(|name| self.secrets.get(name)) {
            into.push_str(secret);
            return;
        }
        match self.choices.get(word) {
            Some(Drawn::Numbers(from, to)) => into.push_str(&rng.random_range(*from..=*to).to_string()),
            Some(Drawn::Zipf(words)) => {
                let most = words.last().map_or(0.0, |(_, sum)| *sum);
                let at = rng.random_range(0.0..most);
                let place = words.partition_point(|(_, sum)| *sum <= at);
                into.push_str(words.get(place).map_or("", |(word, _)| word));
            }
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_word_is_chosen_most_and_json_stays() {
        let choices = BTreeMap::from([
            ("slug".to_owned(), Choice::Words(vec!["a".to_owned(), "b".to_owned(), "c".to_owned()])),
            ("n".to_owned(), Choice::Numbers { from: 7, to: 9 }),
        ]);
        let words = Words::new(&choices, BTreeMap::from([("key".to_owned(), "s3cret".to_owned())]));
        let mut rng = rand::rng();
        let mut counts = BTreeMap::new();
        for _ in 0..11_000 {
            *counts.entry(words.fill("/c/{slug}", &mut rng)).or_insert(0_u32) += 1;
        }
        // 1 + 1/2 + 1/3 parts: 6,000, 3,000, 2,000; five standard deviations are 260.
        for (path, expected) in [("/c/a", 6_000), ("/c/b", 3_000), ("/c/c", 2_000)] {
            let count = counts.get(path).copied().unwrap_or_default();
            assert!(count.abs_diff(expected) < 260, "{path}: {count}");
        }
        let filled = words.fill(r#"{"at": {n}, "key": "{secret.key}"} {"#, &mut rng);
        assert!(["7", "8", "9"].iter().any(|n| filled == format!(r#"{{"at": {n}, "key": "s3cret"}} {{"#)), "{filled}");
        assert_ne!(words.fill("{unique}", &mut rng), words.fill("{unique}", &mut rng));
        assert_eq!(super::words(r#"/{a}/{"b": {c_1}}"#).collect::<Vec<_>>(), ["a", "c_1"]);
    }
}
