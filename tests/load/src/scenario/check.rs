//! What a scenario may not say.

use std::time::Duration;

use super::{Choice, Does, Scenario, Stays, Step};
use crate::amount::Span;
use crate::outcome::count;

/// Bytes.
const LARGEST_BODY: usize = 1 << 30;

impl Scenario {
    /// Whether it says nothing that contradicts itself; else what is wrong.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.phase.is_empty() {
            return Err("phase: there is none; write [[phase]] with name, rate and lasts".to_owned());
        }
        if self.visitor.is_empty() {
            return Err("visitor: there is none; write [[visitor]] with name, share and steps".to_owned());
        }
        if let Some(sign_in) = self.sign_in.as_ref().filter(|sign_in| !sign_in.path.starts_with('/')) {
            return Err(format!("sign_in: path `{}` does not begin with /", sign_in.path));
        }
        let lasts = self.lasts();
        if lasts > self.bounds.lasts.0 {
            return Err(format!(
                "phase: all together last {}, which is more than bounds.lasts ({})",
                Span(lasts),
                self.bounds.lasts
            ));
        }
        for phase in &self.phase {
            let name = &phase.name;
            let ends = phase.to.unwrap_or(phase.rate);
            let positive = |rate: f64| rate.is_finite() && rate >= 0.0;
            if !positive(phase.rate) || !positive(ends) || phase.rate + ends <= 0.0 {
                return Err(format!("phase `{name}`: rate and to are requests a second, one of them above 0"));
            }
            if phase.lasts.0.is_zero() {
                return Err(format!("phase `{name}`: lasts is 0"));
            }
            if phase.steps == Some(0) || (phase.steps.is_some() && phase.to.is_none()) {
                return Err(format!("phase `{name}`: steps is 1 or more, and needs `to`"));
            }
        }
        if !self.phase.iter().any(|phase| phase.judged) {
            return Err("phase: none is judged, so that no objective could be kept".to_owned());
        }
        let (requests, most) = (self.requests(), self.bounds.requests);
        if requests > count(most) {
            return Err(format!(
                "phase: all together are {requests:.0} requests, which is more than bounds.requests ({most})"
            ));
        }
        for visitor in &self.visitor {
            let name = &visitor.name;
            if !(visitor.share.is_finite() && visitor.share > 0.0) {
                return Err(format!("visitor `{name}`: share is a number above 0"));
            }
            if visitor.think[0].0 > visitor.think[1].0 {
                return Err(format!("visitor `{name}`: think is [least, most]"));
            }
            if visitor.signed_in && self.sign_in.is_none() {
                return Err(format!("visitor `{name}`: signed_in needs a section [sign_in]"));
            }
            if visitor.step.is_empty() {
                return Err(format!("visitor `{name}`: it does nothing; write [[visitor.step]] with route and path"));
            }
            visitor
                .fields
                .values()
                .try_for_each(|text| self.check_words(text))
                .map_err(|what| format!("visitor `{name}`: {what}"))?;
            for step in &visitor.step {
                self.check_step(step).map_err(|what| format!("visitor `{name}`, route `{}`: {what}", step.route))?;
            }
        }
        for (word, choice) in &self.choose {
            match choice {
                Choice::Words(words) if words.is_empty() => {
                    return Err(format!("choose.{word}: there is nothing in it"));
                }
                Choice::Numbers { from, to } if from > to => return Err(format!("choose.{word}: from is above to")),
                _ => {}
            }
        }
        let routes: Vec<String> = self.routes();
        if let Some(route) = self.objectives.route.keys().find(|route| !routes.contains(route)) {
            return Err(format!("objectives.route.`{route}`: no visitor has it; there are {}", routes.join(", ")));
        }
        for fault in &self.fault {
            let what = fault.does.as_str();
            if fault.at.0.saturating_add(fault.lasts.map_or(Duration::ZERO, |lasts| lasts.0)) > lasts {
                return Err(format!("fault `{what}`: it is not over when the last phase is"));
            }
            if (fault.does == Does::Purge) == fault.lasts.is_some() {
                return Err(format!("fault `{what}`: an outage and a slow database last, a purge does not"));
            }
            if (fault.does == Does::SlowDatabase) != fault.by.is_some() {
                return Err(format!("fault `{what}`: `by` says how slow a slow database is, as in \"300ms\""));
            }
        }
        Ok(())
    }

    fn check_step(&self, step: &Step) -> Result<(), String> {
        if !step.path.starts_with('/') {
            return Err(format!("path `{}` does not begin with /", step.path));
        }
        if step.body.is_some() && step.body_bytes.is_some() {
            return Err("body and body_bytes are two bodies".to_owned());
        }
        if step.times == 0 {
            return Err("times is 1 or more".to_owned());
        }
        if (step.stays == Stays::No) == step.lasts.is_some() {
            return Err("stays and lasts go together".to_owned());
        }
        if (step.stays == Stays::Websocket) != step.every.is_some() {
            return Err("`every` says how often a message goes over a WebSocket".to_owned());
        }
        if step.range.is_some() && !step.follow {
            return Err("range is asked for where a redirect leads: set follow".to_owned());
        }
        http::Method::from_bytes(step.method.as_bytes()).map_err(|_| format!("method `{}`", step.method))?;
        step.texts().try_for_each(|text| self.check_words(text))?;
        if step.body_bytes.is_some_and(|bytes| bytes > LARGEST_BODY) {
            return Err(format!("body_bytes is at most {LARGEST_BODY} (1 GiB), as it is held in memory"));
        }
        let plain = crate::words::words(&step.path)
            .fold(step.path.clone(), |path, word| path.replace(&format!("{{{word}}}"), "x"));
        let parsed: Result<http::uri::PathAndQuery, _> = plain.parse();
        parsed.map(drop).map_err(|e| {
            format!("path `{}`: {e}; what is no letter, digit or mark of a URL is written as %20", step.path)
        })
    }

    fn check_words(&self, text: &str) -> Result<(), String> {
        let known = |word: &&str| *word == "unique" || word.starts_with("secret.") || self.choose.contains_key(*word);
        crate::words::words(text)
            .find(|word| !known(word))
            .map_or(Ok(()), |word| Err(format!("{{{word}}} is not in [choose]")))
    }
}
