//! Plays a case: programs the app, sends the requests one after the other, and compares.

use std::time::Duration;

use serde::Deserialize;
use tokio::time::sleep;

use super::step::{Reach, Reply, Step};
use crate::answer::Answer;
use crate::site::{Host, Site};

/// Between two steps at the Worker, which stores and removes after it has answered.
const SETTLE: Duration = Duration::from_millis(40);

/// A request as the app saw it.
#[derive(Debug, Deserialize)]
struct Seen {
    step: Option<usize>,
    headers: Vec<(String, String)>,
}

/// A case that is being played.
struct Play<'a> {
    site: &'a Site,
    id: String,
    steps: Vec<Step>,
    /// The step whose reply was stored last.
    stored: usize,
}

/// Plays a case. What goes wrong names the step, from 0, and the section that the case is about.
pub(super) async fn play(site: &Site, module: &str, name: &str, section: &str, steps: Vec<Step>) {
    let id = format!("{}-{name}", module.rsplit("::").next().unwrap_or_default());
    let mut play = Play { site, id, steps, stored: 0 };
    play.program().await;
    for nth in 0..play.steps.len() {
        if let Err(wrong) = play.take(nth).await {
            panic!("step {nth} ({section}): {wrong}");
        }
    }
    // What should not have reached the app has not come late, either.
    for (nth, step) in play.steps.iter().enumerate().filter(|(_, step)| step.reach == Reach::No && !step.again) {
        let seen = play.seen(nth).await;
        assert!(seen.is_empty(), "step {nth} ({section}) reached the app, late: {:?}: {seen:?}", step.method);
    }
}

impl Play<'_> {
    /// The path of the case.
    fn path(&self) -> String {
        format!("/scripted/{}", self.id)
    }

    fn filled(&self, value: &str) -> String {
        value.replace("{path}", &self.path()).replace("{origin}", self.site.url("").trim_end_matches('/'))
    }

    async fn program(&self) {
        let reply = |nth: usize, reply: &Reply| {
            let mut reply = reply.clone();
            reply.fields.iter_mut().for_each(|(_, value)| *value = self.filled(value));
            reply.body.get_or_insert_with(|| own_body(nth, reply.status));
            reply
        };
        let steps = self.steps.iter().enumerate();
        let script: Vec<_> = steps.map(|(nth, step)| step.reply.as_ref().map(|r| reply(nth, r))).collect();
        let put = self.site.tell_app(&format!("/script/{}", self.id), &script).await;
        assert_eq!(put.status, 204, "the app does not take the script: {}{script:?}", put.head());
    }

    /// The requests of a step that the app has seen.
    async fn seen(&self, nth: usize) -> Vec<Seen> {
        let all: Vec<Seen> = self.site.ask_app(&format!("/script/{}", self.id)).await.json();
        all.into_iter().filter(|seen| seen.step == Some(nth)).collect()
    }

    async fn take(&mut self, nth: usize) -> Result<(), String> {
        let step = self.steps[nth].clone();
        sleep(Duration::from_millis(step.wait)).await;
        if self.site.host == Host::Worker {
            sleep(SETTLE).await;
        }
        // The Worker may not have stored yet what the gateway behind it holds already.
        let waits = step.again || self.site.host == Host::Worker && step.says.contains(&"hit");
        let mut tries = if waits { 200 } else { 1 };
        loop {
            tries -= 1;
            match self.once(nth, &step).await {
                Err(_) if tries > 0 => sleep(Duration::from_millis(25)).await,
                done => return done,
            }
        }
    }

    async fn once(&mut self, nth: usize, step: &Step) -> Result<(), String> {
        let before = self.seen(nth).await.len();
        let came = futures_util::future::join_all((0..step.at_once).map(|_| self.send(nth, step))).await;
        if step.reach == Reach::Behind {
            self.wait_for(nth, before).await;
        }
        let seen = self.seen(nth).await;
        let reached = seen.len() > before;
        for came in came {
            let answer = match (came, step.broken) {
                (Err(_), true) => continue,
                (Ok(answer), true) if answer.status >= 500 => continue,
                (Ok(answer), true) => return Err(format!("the answer is whole:\n{}", answer.head())),
                (Err(error), false) => return Err(error),
                (Ok(answer), false) => answer,
            };
            let head = answer.head();
            let wrong =
                |what: String| format!("{what}\n{}{head}{}", received(&seen), String::from_utf8_lossy(&answer.body));
            match (step.reach, reached) {
                (Reach::No, true) => return Err(wrong("the app was asked".to_owned())),
                (Reach::Yes, false) => return Err(wrong("the app was not asked".to_owned())),
                _ => self.compare(nth, step, &answer, reached).map_err(wrong)?,
            }
        }
        if let Some(what) = step.at_once.gt(&1).then_some(seen.len() - before).filter(|asked| *asked > 1) {
            return Err(format!("the app was asked {what} times"));
        }
        let last = seen.last();
        for (name, value) in &step.sent {
            let lines = last.iter().flat_map(|seen| &seen.headers).filter(|(n, _)| n == name);
            let got = lines.map(|(_, value)| value.as_str()).collect::<Vec<_>>().join(", ");
            if got != *value {
                return Err(format!("the app got {name}: {got:?} instead of {value:?}"));
            }
        }
        if reached && step.method == "GET" && (!step.stale || step.reach == Reach::Behind) {
            let fresh = step.reply.as_ref().is_some_and(|reply| reply.status != 304 && !reply.close);
            self.stored = if fresh { nth } else { self.stored };
        }
        Ok(())
    }

    async fn wait_for(&self, nth: usize, before: usize) {
        for _ in 0..200 {
            if self.seen(nth).await.len() > before {
                return;
            }
            sleep(Duration::from_millis(25)).await;
        }
        // That it has not come is said where what came is compared.
    }

    async fn send(&self, nth: usize, step: &Step) -> Result<Answer, String> {
        let path = format!("{}{}", self.path(), step.below);
        let mut request = self.site.request(step.method.clone(), &path).header("demo-step", nth);
        for (name, value) in &step.fields {
            request = request.header(*name, self.filled(value));
        }
        if let Some(body) = step.body {
            request = request.body(body);
        }
        let response = request.send().await.map_err(|e| format!("no answer: {e:?}"))?;
        let status = response.status().as_u16();
        let fields = response.headers().iter().map(|(n, v)| (n.to_string(), v.as_bytes().to_vec())).collect();
        let body = response.bytes().await.map_err(|e| format!("the answer breaks off: {e:?}"))?.to_vec();
        Ok(Answer { status, fields, body })
    }

    fn compare(&self, nth: usize, step: &Step, answer: &Answer, reached: bool) -> Result<(), String> {
        let own = reached && !step.stale;
        let source = step.source.unwrap_or(if own { nth } else { self.stored });
        let reply = self.steps.get(source).and_then(|step| step.reply.as_ref());
        let status = step.status.or(reply.map(|reply| reply.status)).unwrap_or(200);
        if answer.status != status {
            return Err(format!("not {status}"));
        }
        let of_reply = reply.filter(|_| step.status.is_none() && step.method != "HEAD");
        let body = step.text.clone().or_else(|| {
            of_reply.filter(|r| r.raw.is_none()).map(|r| r.body.clone().unwrap_or_else(|| own_body(source, r.status)))
        });
        if let Some(body) = body.filter(|body| body.as_bytes() != answer.body) {
            return Err(format!("the body is not {body:?}"));
        }
        for (name, value) in &step.has {
            let value = self.filled(value);
            if joined(answer, name) != value {
                return Err(format!("{name} is not {value:?}"));
            }
        }
        if let Some(name) = step.lacks.iter().find(|name| answer.all(name).next().is_some()) {
            return Err(format!("there is {name}"));
        }
        let age: Option<i64> = joined(answer, "age").parse().ok();
        if let Some(range) = step.age.as_ref().filter(|range| age.is_none_or(|age| !range.contains(&age))) {
            return Err(format!("Age is not in {range:?}"));
        }
        self.compare_status(step, answer)
    }

    fn compare_status(&self, step: &Step, answer: &Answer) -> Result<(), String> {
        let name = match self.site.host {
            Host::Native => "gateway",
            Host::Worker => "edge",
        };
        let all = joined(answer, "cache-status");
        // The cache nearest the client says it last (RFC 9211 section 2).
        let member = all.rsplit(", ").next().unwrap_or_default();
        let mut parameters = member.split(';').map(str::trim);
        let speaks = parameters.next() == Some(name);
        let parameters: Vec<&str> = parameters.collect();
        if let Some(missing) = step.says.iter().find(|said| !speaks || !parameters.contains(said)) {
            return Err(format!("Cache-Status does not say {missing}"));
        }
        let ttl: Option<i64> = parameters.iter().find_map(|said| said.strip_prefix("ttl=")?.parse().ok());
        match &step.ttl {
            Some(range) if ttl.is_none_or(|ttl| !range.contains(&ttl)) => Err(format!("ttl is not in {range:?}")),
            _ => Ok(()),
        }
    }
}

/// The body of the reply of a step that has none of its own.
fn own_body(nth: usize, status: u16) -> String {
    match status {
        204 | 205 | 304 => String::new(),
        _ => format!("the answer of step {nth}"),
    }
}

fn joined(answer: &Answer, name: &str) -> String {
    answer.all(name).map(String::from_utf8_lossy).collect::<Vec<_>>().join(", ")
}

fn received(seen: &[Seen]) -> String {
    seen.iter().fold(String::new(), |all, seen| {
        let lines: Vec<_> = seen.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        format!("{all}the app got {}\n", lines.join(" | "))
    })
}
