//! A round: requests leave when they are due, whether or not earlier ones were answered, and a request's time counts from the moment it was
//! due. So a server that stalls is charged for everything that it kept waiting (what a closed loop leaves out is known as coordinated
//! omission).

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use origin::metrics::{Change, Sample};
use tokio::runtime::Handle;

use crate::asker::Asker;
use crate::faults::Hand;
use crate::outcome::{PhaseOutcome, Round, RouteOutcome, Second, Times, count, seconds};
use crate::record::RouteRecord;
use crate::scenario::{Does, Scenario};
use crate::schedule::Schedule;
use crate::sign_in::{sign_in, sign_in_again};
use crate::target::Target;
use crate::visitors::Visitors;
use crate::watch::{self, Watch};
use crate::way::Way;

/// Takes each second as it ends.
pub type OnSecond<'a> = &'a (dyn Fn(&Second) + Sync);

/// What a round needs.
pub(crate) struct Setting<'a> {
    pub(crate) scenario: &'a Scenario,
    pub(crate) target: &'a Target,
    pub(crate) yes: &'a [String],
    pub(crate) hand: &'a Hand,
    /// Set from outside to end early.
    pub(crate) stop: &'a Arc<AtomicBool>,
    pub(crate) on_second: OnSecond<'a>,
    /// Whether the gateway is asked for its tasks each second, which costs it some CPU.
    pub(crate) counts_tasks: bool,
}

/// Counts that the dealer leaves.
#[derive(Default)]
struct Dealt {
    visitors: AtomicUsize,
    hurried: AtomicU64,
}

/// A round that has run.
pub(crate) struct Ran {
    pub(crate) round: Round,
    /// What there is to note about it.
    pub(crate) notes: Vec<String>,
    /// It ended at `bounds.requests`, so that nothing says what would have come after.
    pub(crate) over_bounds: bool,
}

impl Setting<'_> {
    /// Runs all phases once.
    ///
    /// # Errors
    /// Nobody can sign in, a fault can't be brought about, or the server can't be reached at all.
    pub(crate) async fn round(&self) -> Result<Ran, String> {
        let way = Arc::new(Way::prepare(self.target).await?);
        let secrets = self.target.read_secrets()?;
        let sessions = match &self.scenario.sign_in {
            Some(wanted) if self.scenario.visitor.iter().any(|visitor| visitor.signed_in) => {
                sign_in(&way, wanted, &secrets, self.stop).await?
            }
            _ => Vec::new(),
        };
        let before = self.metrics().await;
        let opened_before = way.opened.opened.load(Ordering::Relaxed);
        let began = Instant::now();
        let asker = Arc::new(Asker::new(self.scenario, self.target, self.yes, Arc::clone(&way), began)?);
        *asker.sessions.write().unwrap_or_else(PoisonError::into_inner) = sessions;
        let (over, dealt) = (Arc::new(AtomicBool::new(false)), Arc::new(Dealt::default()));
        let dealer = {
            let (scenario, asker) = (self.scenario.clone(), Arc::clone(&asker));
            let (stop, dealt, over, runtime) =
                (Arc::clone(self.stop), Arc::clone(&dealt), Arc::clone(&over), Handle::current());
            // A thread of its own: the runtime's timers are only good to the millisecond.
            thread::spawn(move || {
                deal(&scenario, &asker, &runtime, &stop, &dealt, began);
                over.store(true, Ordering::Relaxed);
            })
        };
        let watching = self.watch(&asker, &over, &dealt, began);
        let failing = self.fail(&asker, &secrets, began, &over);
        let (mut samples, failed) = tokio::join!(watching, failing);
        dealer.join().map_err(|_| "the dealer of requests panicked")?;
        let out = failed?;
        // What is under way has its time; streams that stay are over with the last phase.
        asker.over.cancel();
        let until = Instant::now() + self.scenario.bounds.timeout.0 + Duration::from_secs(1);
        while asker.in_flight.load(Ordering::Relaxed) > 0
            && Instant::now() < until
            && !self.stop.load(Ordering::Relaxed)
        {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let after = self.metrics().await;
        let connections = way.opened.opened.load(Ordering::Relaxed) - opened_before;
        // Who is loaded may be too busy to tell, or gone: that takes nothing from what was measured.
        let counters =
            before.and_then(|before| Ok(Change::new(&before, &after?, began.elapsed().as_secs_f64()).grown()));
        let (counters, silent) = match counters {
            Ok(counters) => (counters, None),
            Err(why) => (BTreeMap::new(), Some(format!("the gateway's counters are missing: {why}"))),
        };
        let round = self.outcome(&asker, &mut samples, connections, counters);
        let over_bounds = asker.is_over_bounds();
        let mut notes = notes(&round, &dealt, &way, over_bounds);
        notes.extend(silent);
        let refused = asker.refused.lock().unwrap_or_else(PoisonError::into_inner);
        notes.extend(refused.iter().map(|host| {
            format!("redirects to {host} were not followed: it needs `I may load {host}` in the target's consent, and --yes-load {host}")
        }));
        notes.extend(out);
        Ok(Ran { round, notes, over_bounds })
    }

    async fn metrics(&self) -> Result<Sample, String> {
        match &self.target.admin {
            Some(admin) => watch::metrics(admin).await,
            None => Ok(Sample::default()),
        }
    }

    async fn tasks(&self) -> Option<f64> {
        self.metrics().await.ok()?.sum("origin_tasks", &[])
    }

    /// Looks once a second until the dealer is done.
    async fn watch(&self, asker: &Asker, over: &AtomicBool, dealt: &Dealt, began: Instant) -> Vec<Second> {
        let mut watch = Watch::new(&self.target.processes);
        let mut samples: Vec<Second> = Vec::new();
        let mut before = Instant::now();
        loop {
            let at = samples.len() as u64;
            wait(began + Duration::from_secs(at + 1), over).await;
            if let Hand::Stack(stack) = self.hand
                // While a fault is being brought about, the processes are as they were.
                && let Ok(stack) = stack.try_lock()
            {
                stack.processes().iter().for_each(|(name, pid)| watch.replace(name, *pid));
            }
            let (processes, machine_busy) = watch.look(before.elapsed().as_secs_f64());
            before = Instant::now();
            let mut second = Second {
                at_s: at,
                in_flight: asker.in_flight.load(Ordering::Relaxed),
                streams: asker.streams.load(Ordering::Relaxed),
                visitors: dealt.visitors.load(Ordering::Relaxed),
                connections: asker.way.opened.open.load(Ordering::Relaxed),
                machine_busy,
                processes,
                tasks: if self.counts_tasks { self.tasks().await } else { None },
                ..Second::default()
            };
            fill(&mut second, asker);
            (self.on_second)(&second);
            samples.push(second);
            if over.load(Ordering::Relaxed) {
                return samples;
            }
        }
    }

    /// Brings the faults about, each at its time; what there is to note about it.
    async fn fail(
        &self,
        asker: &Asker,
        secrets: &BTreeMap<String, String>,
        began: Instant,
        over: &AtomicBool,
    ) -> Result<Vec<String>, String> {
        let each = self.scenario.fault.iter().map(|fault| async move {
            let result = async {
                wait(began + fault.at.0, over).await;
                if over.load(Ordering::Relaxed) {
                    return Ok(None);
                }
                if let Err(why) = self.hand.begin(fault).await {
                    // Half of it may have been done.
                    let undone = self.hand.end(fault).await;
                    return Err(undone
                        .err()
                        .map_or(why.clone(), |end| format!("{why}; and it could not be ended: {end}")));
                }
                let Some(lasts) = fault.lasts else { return Ok(None) };
                wait(began + fault.at.0 + lasts.0, over).await;
                self.hand.end(fault).await?;
                let wanted = self.scenario.sign_in.as_ref().filter(|_| fault.does == Does::Outage);
                let Some(wanted) = wanted else { return Ok(None) };
                let is_in = |n: usize, session| {
                    let mut sessions = asker.sessions.write().unwrap_or_else(PoisonError::into_inner);
                    sessions.get_mut(n).into_iter().for_each(|old| old.clone_from(&session));
                };
                Ok(sign_in_again(&asker.way, wanted, secrets, over, is_in).await)
            };
            let result: Result<Option<String>, String> = result.await;
            if result.is_err() {
                self.stop.store(true, Ordering::Relaxed);
            }
            result.map_err(|e| format!("fault `{}`: {e}", fault.does.as_str()))
        });
        let notes: Result<Vec<_>, String> = futures_util::future::join_all(each).await.into_iter().collect();
        Ok(notes?.into_iter().flatten().collect())
    }

    fn outcome(
        &self,
        asker: &Asker,
        samples: &mut [Second],
        connections: u64,
        counters: BTreeMap<String, f64>,
    ) -> Round {
        samples.iter_mut().for_each(|second| fill(second, asker));
        let recorder = asker.recorder.lock().unwrap_or_else(PoisonError::into_inner);
        let names = self.scenario.routes();
        let mut sums = vec![RouteRecord::default(); names.len()];
        let mut at = Duration::ZERO;
        let mut phases = Vec::new();
        for (phase, records) in self.scenario.phase.iter().zip(&recorder.routes) {
            let lasts = phase.lasts.0;
            if phase.judged {
                sums.iter_mut().zip(records).for_each(|(sum, record)| sum.add(record));
            }
            let routes: Vec<RouteOutcome> = used(&names, records);
            let good: u64 = routes.iter().map(|route| route.count - route.failed().min(route.count)).sum();
            let all: u64 = routes.iter().map(|route| route.count).sum();
            phases.push(PhaseOutcome {
                name: phase.name.clone(),
                at_s: seconds(at),
                lasts_s: seconds(lasts),
                judged: phase.judged,
                wanted_rate: count(all) / lasts.as_secs_f64(),
                good_rate: count(good) / lasts.as_secs_f64(),
                routes,
            });
            at += lasts;
        }
        Round {
            phases,
            routes: used(&names, &sums),
            seconds: samples.to_vec(),
            generator_late: Times::of(&recorder.late),
            connections,
            counters,
        }
    }
}

/// Until then, or until the round is over.
pub(crate) async fn wait(until: Instant, over: &AtomicBool) {
    while Instant::now() < until && !over.load(Ordering::Relaxed) {
        let next = until.min(Instant::now() + Duration::from_millis(50));
        tokio::time::sleep_until(next.into()).await;
    }
}

fn used(names: &[String], records: &[RouteRecord]) -> Vec<RouteOutcome> {
    let used = names.iter().zip(records).filter(|(_, record)| record.count > 0);
    used.map(|(name, record)| RouteOutcome::of(name, record)).collect()
}

/// What was recorded of a second. Asked again at the end, as requests end after they were due.
fn fill(second: &mut Second, asker: &Asker) {
    let recorder = asker.recorder.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(record) = usize::try_from(second.at_s).ok().and_then(|place| recorder.seconds.get(place)) else { return };
    let times = Times::of(&record.times);
    (second.due, second.ended, second.failed) = (record.due, record.ended, record.failed);
    (second.hits, second.misses) = (record.hits, record.misses);
    (second.p50_ms, second.p99_ms) = (times.p50_ms, times.p99_ms);
}

/// Sends what is due until the phases are over.
fn deal(scenario: &Scenario, asker: &Arc<Asker>, runtime: &Handle, stop: &AtomicBool, dealt: &Dealt, began: Instant) {
    let mut visitors = Visitors::new(scenario, Arc::clone(&asker.way));
    let mut rng = rand::rng();
    let mut phase_begins = began;
    for (place, phase) in scenario.phase.iter().enumerate() {
        for after in Schedule::new(phase) {
            let due = phase_begins + after;
            if !sleep_until(due, stop) {
                return;
            }
            if !asker.may_send() {
                return;
            }
            let Some(turn) = visitors.next(due, &mut rng) else { continue };
            dealt.visitors.store(visitors.here(), Ordering::Relaxed);
            dealt.hurried.store(visitors.hurried, Ordering::Relaxed);
            if asker.has_room(&turn, scenario.bounds.in_flight) {
                asker.in_flight.fetch_add(1, Ordering::Relaxed);
                runtime.spawn(Arc::clone(asker).perform(turn, place, due));
            } else {
                asker.not_sent(&turn, place, due);
            }
        }
        phase_begins += phase.lasts.0;
        if !sleep_until(phase_begins, stop) {
            return;
        }
    }
}

/// Whether it may go on then.
fn sleep_until(when: Instant, stop: &AtomicBool) -> bool {
    loop {
        if stop.load(Ordering::Relaxed) {
            return false;
        }
        match when.checked_duration_since(Instant::now()) {
            None | Some(Duration::ZERO) => return true,
            Some(left) => thread::sleep(left.min(Duration::from_millis(100))),
        }
    }
}

/// Behind by so much, the generator is part of what was measured.
const LATE_MS: f64 = 5.0;

fn notes(round: &Round, dealt: &Dealt, way: &Way, over_bounds: bool) -> Vec<String> {
    let mut notes = Vec::new();
    let late = round.generator_late.p99_ms;
    if late > LATE_MS {
        notes.push(format!(
            "the generator itself was late: 1 of 100 requests left {late:.1} ms after it was due, or later. Its times count from when they \
             were due all the same; ask from another machine, or for less"
        ));
    }
    if over_bounds {
        notes.push("ended early: bounds.requests were sent".to_owned());
    }
    let hurried = dealt.hurried.load(Ordering::Relaxed);
    if hurried > 0 {
        notes.push(format!(
            "{hurried} requests came from visitors who should still have thought: bounds.visitors are here"
        ));
    }
    let failed = way.opened.failed.load(Ordering::Relaxed);
    if failed > 0 {
        notes.push(format!("{failed} connections could not be opened"));
    }
    notes
}
