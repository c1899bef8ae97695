//! How many requests may be with an app at once: as many as it answers without getting slower.
//!
//! The limit follows the app's own time to answer, as in Netflix's gradient limits: when answers take longer than the best
//! of late by more than a tolerance, it sinks in proportion; as long as they do not, it grows by its root. What is over the
//! limit gets 503 at once instead of a place in a queue that nobody empties. A request counts until the head of its answer,
//! so that downloads and event streams do not.
//!
//! An app whose database has become slow is slower, too, but has no queue that less would shorten. Two things tell it: nobody is refused, and
//! answers, though late, do not go on getting later; or more are let in for a moment, and answers are no later for it.
//!
//! A request whose client leaves before the answer counts as answered then, if that is late: clients that have less patience than an
//! overloaded app has queue would leave no answers to learn from.
//!
//! An app that answers nobody gives nothing to follow. After some timeouts in a row only the least may wait for it; its first
//! answer gives it back what it had. A site so small that it never has that many at once does not notice.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The limit never sinks below: a small site must not be shed for one slow minute.
const LEAST: u32 = 32;
/// A window closes when it is this old and has this many answers.
const WINDOW: Duration = Duration::from_millis(200);
const ANSWERS: u32 = 20;
/// How much longer than the best an answer may take before the limit sinks.
const TOLERANCE: f64 = 2.0;
/// Seconds within which an answer is never too late, however fast the best were: under a burst of fast answers what grows is the
/// wait for a core of this machine, of which shedding gives nobody more.
const SOON: f64 = 0.05;
/// The share of the distance by which the best drifts up towards what is usual, a window: an app that has become slower is
/// believed in time. While requests are refused, or each waits longer than the one before, slowness is more likely a queue, and is believed
/// much later.
const DRIFT: f64 = 0.02;
const DRIFT_UNSTEADY: f64 = 0.0005;
/// The most that the limit sinks by in a window, to this share of it; slower while nobody is refused, as it may be found to be needless.
const SINKS: f64 = 0.85;
const SINKS_REFUSING: f64 = 0.5;
/// Answers that take at most so much longer than in the slowest of the first half of the last windows do not go on getting later. The slowest,
/// as answers of one app differ.
const STEADY: f64 = 1.05;
const WINDOWS: usize = 8;
/// After so many windows in a row with refusals the limit is tried this many times higher, until it is reached or for [`WINDOWS`]. So much later
/// may answers be if what is slow is not our queue, which would make them later in proportion.
const PATIENCE: u32 = 10;
const RAISED: f64 = 1.5;
const AS_QUICK: f64 = 1.15;

/// An app's limit, shared by all cores.
#[derive(Debug)]
pub(crate) struct Concurrency {
    in_flight: AtomicU32,
    limit: AtomicU32,
    most: u32,
    /// Whether a request has been refused in this window.
    refused: AtomicBool,
    /// Timeouts in a row after which only [`LEAST`] may be with the app.
    stalls: u32,
    stalled: AtomicBool,
    window: Mutex<Window>,
}

#[derive(Debug)]
struct Window {
    opened: Instant,
    answers: u32,
    total: Duration,
    /// The most requests in flight at once.
    peak: u32,
    /// Requests in a row that were not answered in time.
    timeouts: u32,
    /// The best of late, in seconds; 0 until the first window closes.
    best: f64,
    limit: f64,
    /// What was usual in the last windows, in seconds, the oldest first; 0 until there are so many.
    usual: [f64; WINDOWS],
    /// Windows in a row in which a request was refused.
    refusing: u32,
    /// A higher limit that is tried.
    trial: Option<Trial>,
    /// Whether a client has left, in this window, before it was answered.
    left: bool,
}

/// What comes of a limit that is raised.
#[derive(Clone, Copy, Debug)]
struct Trial {
    /// What was usual before, in seconds.
    before: f64,
    /// Windows since it was raised, or reached.
    windows: usize,
    /// Whether the raised limit was reached.
    reached: bool,
}

/// A request that is with the app.
#[derive(Debug)]
pub(crate) struct Permit {
    of: Arc<Concurrency>,
    in_flight: u32,
    /// Since when, while it is not answered.
    waiting: Option<Instant>,
}

impl Concurrency {
    /// A limit that starts at, and never grows over, `most`. After `stalls` timeouts in a row it is the least.
    pub(crate) fn new(most: u32, stalls: u32, now: Instant) -> Arc<Self> {
        let most = most.max(LEAST);
        let window = Window {
            opened: now,
            answers: 0,
            total: Duration::ZERO,
            peak: 0,
            timeouts: 0,
            best: 0.0,
            limit: f64::from(most),
            usual: [0.0; WINDOWS],
            refusing: 0,
            trial: None,
            left: false,
        };
        Arc::new(Self {
            in_flight: AtomicU32::new(0),
            limit: AtomicU32::new(most),
            most,
            refused: AtomicBool::new(false),
            stalls,
            stalled: AtomicBool::new(false),
            window: Mutex::new(window),
        })
    }

    fn window(&self) -> MutexGuard<'_, Window> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a request through, or `None` where there are enough.
    pub(crate) fn enter(self: &Arc<Self>) -> Option<Permit> {
        let before = self.in_flight.fetch_add(1, Ordering::Relaxed);
        if before >= self.limit.load(Ordering::Relaxed) {
            self.in_flight.fetch_sub(1, Ordering::Relaxed);
            self.refused.store(true, Ordering::Relaxed);
            return None;
        }
        Some(Permit { of: Arc::clone(self), in_flight: before + 1, waiting: Some(Instant::now()) })
    }

    /// Requests in flight, the limit, and whether it is the least because the app does not answer.
    pub(crate) fn state(&self) -> (u32, u32, bool) {
        let load = |number: &AtomicU32| number.load(Ordering::Relaxed);
        (load(&self.in_flight), load(&self.limit), self.stalled.load(Ordering::Relaxed))
    }

    /// The limit as it stands.
    #[cfg(test)]
    fn limit(&self) -> u32 {
        self.limit.load(Ordering::Relaxed)
    }
}

impl Permit {
    /// The app has answered at `now` what was sent to it at `sent`.
    pub(crate) fn answered(mut self, sent: Instant, now: Instant) {
        self.waiting = None;
        let limit = {
            let mut window = self.of.window();
            if std::mem::take(&mut window.timeouts) >= self.of.stalls {
                // It is alive, so it can do what it could before.
                self.of.limit.store(window.rounded(), Ordering::Relaxed);
                self.of.stalled.store(false, Ordering::Relaxed);
            }
            window.answer(now - sent, self.in_flight, now, f64::from(self.of.most), &self.of.refused)
        };
        if let Some(limit) = limit {
            self.of.limit.store(limit, Ordering::Relaxed);
        }
    }

    /// The app has not answered in time; whether it is found to answer nobody any more.
    pub(crate) fn timed_out(self) -> bool {
        let mut window = self.of.window();
        window.timeouts = window.timeouts.saturating_add(1);
        let stalls = window.timeouts == self.of.stalls;
        if stalls {
            self.of.limit.store(LEAST, Ordering::Relaxed);
            self.of.stalled.store(true, Ordering::Relaxed);
        }
        stalls
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.of.in_flight.fetch_sub(1, Ordering::Relaxed);
        let Some(since) = self.waiting else { return };
        let now = Instant::now();
        let limit = {
            let mut window = self.of.window.lock().unwrap_or_else(PoisonError::into_inner);
            window.abandoned(now - since, self.in_flight, now, f64::from(self.of.most), &self.of.refused)
        };
        if let Some(limit) = limit {
            self.of.limit.store(limit, Ordering::Relaxed);
        }
    }
}

impl Window {
    /// Counts a request that was waited for in vain, if it was late; the new limit, where the window closes.
    fn abandoned(
        &mut self,
        waited: Duration,
        in_flight: u32,
        now: Instant,
        most: f64,
        refused: &AtomicBool,
    ) -> Option<u32> {
        let late = self.best > 0.0 && waited.as_secs_f64() > (self.best * TOLERANCE).max(SOON);
        self.left |= late;
        if late { self.answer(waited, in_flight, now, most, refused) } else { None }
    }

    /// Counts an answer; the new limit, where the window closes.
    fn answer(&mut self, took: Duration, in_flight: u32, now: Instant, most: f64, refused: &AtomicBool) -> Option<u32> {
        if self.trial.is_some_and(|trial| trial.windows == 0) && now.duration_since(self.opened) < took {
            // Sent before the limit was raised, or reached, it says nothing of that.
            return None;
        }
        self.answers += 1;
        self.total += took;
        self.peak = self.peak.max(in_flight);
        if self.answers < ANSWERS || now - self.opened < WINDOW {
            return None;
        }
        let usual = self.total.as_secs_f64() / f64::from(self.answers);
        let refusing = refused.swap(false, Ordering::Relaxed);
        self.refusing = if refusing { self.refusing + 1 } else { 0 };
        let left = std::mem::take(&mut self.left);
        if let Some(trial) = self.trial.take() {
            let as_quick = usual <= trial.before * AS_QUICK && !left;
            if as_quick && !trial.reached && trial.windows < WINDOWS {
                // Those that filled it were quicker than those that come now.
                let windows = if refusing { 0 } else { trial.windows + 1 };
                self.trial = Some(Trial { windows, reached: refusing, ..trial });
                return self.open(now);
            }
            if as_quick {
                (self.best, self.limit) = (trial.before, self.limit * RAISED);
                // Perhaps it can do more still.
                self.try_more(trial.before, most);
                return self.open(now);
            }
        }
        let before = self.usual.iter().take(WINDOWS / 2).copied().fold(0.0, f64::max);
        let steady = !refusing && !left && usual <= before * STEADY;
        let drift = if steady { DRIFT } else { DRIFT_UNSTEADY };
        let known = self.best > 0.0 && usual >= self.best;
        self.best = if known { (usual - self.best).mul_add(drift, self.best) } else { usual };
        let sinks = if refusing || left { SINKS_REFUSING } else { SINKS };
        let allowed = (self.best * TOLERANCE).max(SOON) / usual.max(1e-6);
        let gradient = if steady { 1.0 } else { allowed.clamp(sinks, 1.0) };
        let grown = self.limit.mul_add(gradient, self.limit.sqrt());
        // What was not asked for has not been shown to be possible.
        if gradient < 1.0 || f64::from(self.peak) * 2.0 >= self.limit {
            self.limit = grown;
        }
        self.limit = self.limit.clamp(f64::from(LEAST), most);
        self.usual.rotate_left(1);
        if let Some(newest) = self.usual.last_mut() {
            *newest = usual;
        }
        if self.refusing >= PATIENCE && allowed < 1.0 {
            self.try_more(usual, most);
        }
        self.open(now)
    }

    fn try_more(&mut self, before: f64, most: f64) {
        self.refusing = 0;
        self.trial = (self.limit * RAISED <= most).then_some(Trial { before, windows: 0, reached: false });
    }

    /// The next window, and the limit in it.
    fn open(&mut self, now: Instant) -> Option<u32> {
        (self.opened, self.answers, self.total, self.peak) = (now, 0, Duration::ZERO, 0);
        Some(self.rounded())
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between LEAST and most")]
    fn rounded(&self) -> u32 {
        let raised = if self.trial.is_some() { RAISED } else { 1.0 };
        (self.limit * raised) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::{Concurrency, LEAST, Permit};
    use std::collections::VecDeque;
    use std::time::{Duration, Instant};

    /// An app that answers `cores` at a time, each in 10 ms, first come first served; driven open-loop in steps of 1 ms.
    /// Returns answers and refusals of the last second.
    fn drive(limit: u32, per_second: u32, seconds: u32) -> (u32, u32, u32) {
        let start = Instant::now();
        let concurrency = Concurrency::new(limit, 5, start);
        let cores = 10;
        let mut queue: VecDeque<(Instant, Permit)> = VecDeque::new();
        let mut working: Vec<(u32, (Instant, Permit))> = Vec::new();
        let (mut answered, mut refused, mut owed) = (0, 0, 0);
        for milli in 0..seconds * 1000 {
            let now = start + Duration::from_millis(milli.into());
            if milli == (seconds - 1) * 1000 {
                (answered, refused) = (0, 0);
            }
            let done;
            (done, working) = working.into_iter().partition(|(until, _)| *until <= milli);
            for (_, (sent, permit)) in done {
                permit.answered(sent, now);
                answered += 1;
            }
            owed += per_second;
            while owed >= 1000 {
                owed -= 1000;
                match concurrency.enter() {
                    Some(permit) => queue.push_back((now, permit)),
                    None => refused += 1,
                }
            }
            while working.len() < cores {
                let Some(permit) = queue.pop_front() else { break };
                working.push((milli + 10, permit));
            }
        }
        (answered, refused, concurrency.limit())
    }

    #[test]
    fn what_the_app_can_carry_is_never_shed() {
        let (answered, refused, limit) = drive(1000, 800, 10);
        assert_eq!(refused, 0);
        assert!((790..=810).contains(&answered), "{answered}");
        assert_eq!(limit, 1000, "nobody asked for less");
    }

    #[test]
    fn five_times_the_load_keeps_the_goodput_and_sheds_the_rest() {
        let (answered, refused, limit) = drive(1000, 5000, 20);
        assert!(answered >= 950, "goodput {answered} of 1,000 a second");
        assert!((3900..=4100).contains(&refused), "{refused}");
        // 32 in the app are 22 in its queue: a wait of about 20 ms instead of a second.
        assert!(limit <= 150, "{limit}");
    }

    /// An app that takes any number at once, 2 ms each, and from the fifth second on `slow` ms, half of them from next to nothing to twice that.
    /// Requests refused until then, in the twenty seconds after, and in the last five.
    fn with_a_slow_database(limit: u32, per_second: u32, slow: u32) -> [u32; 3] {
        let start = Instant::now();
        let concurrency = Concurrency::new(limit, 5, start);
        let mut working: Vec<(u32, (Instant, Permit))> = Vec::new();
        let (mut refused, mut owed, mut random) = ([0; 3], 0, 1_u32);
        for milli in 0..30_000 {
            let now = start + Duration::from_millis(milli.into());
            let done;
            (done, working) = working.into_iter().partition(|(until, _)| *until <= milli);
            done.into_iter().for_each(|(_, (sent, permit))| permit.answered(sent, now));
            owed += per_second;
            while owed >= 1000 {
                owed -= 1000;
                random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let takes = match random >> 16 {
                    _ if milli < 5_000 => 2,
                    odd if odd % 2 == 1 => odd % (slow * 2),
                    _ => slow,
                };
                match concurrency.enter() {
                    Some(permit) => working.push((milli + takes, (now, permit))),
                    None if milli < 5_000 => refused[0] += 1,
                    None if milli < 25_000 => refused[1] += 1,
                    None => refused[2] += 1,
                }
            }
        }
        refused
    }

    #[test]
    fn an_app_with_a_slow_database_is_not_shed() {
        for per_second in [30, 120, 500, 1000] {
            assert_eq!(with_a_slow_database(2000, per_second, 400), [0; 3], "{per_second}");
        }
        // 1,200 at once, of 1,500 that may be: what sank before it was known has grown again.
        let [before, soon, later] = with_a_slow_database(1500, 3000, 400);
        assert!(before == 0 && soon > 0 && later == 0, "{before} {soon} {later}");
    }

    #[test]
    fn a_little_too_much_builds_no_long_queue() {
        for per_second in [1050, 1100, 1500, 2000, 5000] {
            // Each ends at another moment of what is tried.
            for seconds in 50..60 {
                let (answered, refused, limit) = drive(1000, per_second, seconds);
                assert!(answered >= 950 && refused > 0 && limit <= 200, "{per_second}/s, {seconds} s: {limit}");
            }
        }
    }

    #[test]
    fn a_burst_of_fast_answers_is_not_shed() {
        let start = Instant::now();
        let concurrency = Concurrency::new(2000, 5, start);
        // Alone an answer takes 0.2 ms; 400 at once take 20 ms each, which is the same 20,000 a second.
        for window in 0..100_u64 {
            let in_flight = if window < 5 { 1 } else { 400 };
            let took = Duration::from_micros(if window < 5 { 200 } else { 20_000 });
            for n in 0..50 {
                let now = start + Duration::from_millis(window * 250 + n * 5);
                let permits: Vec<_> = (0..in_flight).map_while(|_| concurrency.enter()).collect();
                assert_eq!(permits.len(), in_flight, "window {window}");
                permits.into_iter().for_each(|permit| permit.answered(now, now + took));
            }
        }
        assert_eq!(concurrency.limit(), 2000);
    }

    #[test]
    fn the_limit_recovers_when_the_load_is_gone() {
        let start = Instant::now();
        let concurrency = Concurrency::new(400, 5, start);
        let step = |took: u64, from: u64| {
            for n in 0..3000 {
                let now = start + Duration::from_millis(from + n * 10);
                let permits: Vec<_> = (0..300).filter_map(|_| concurrency.enter()).collect();
                let took = Duration::from_millis(took).mul_f64(permits.len() as f64 / 300.0);
                permits.into_iter().for_each(|p| p.answered(now, now + took));
            }
            concurrency.limit()
        };
        step(5, 0);
        let slow = step(200, 30_000);
        let fast = step(5, 60_000);
        assert!(fast > slow && fast > LEAST, "{slow} → {fast}");
    }

    #[test]
    fn an_app_that_answers_nobody_has_the_least_until_it_answers() {
        let start = Instant::now();
        let concurrency = Concurrency::new(400, 3, start);
        let permits = |n: usize| -> Vec<Permit> { (0..n).filter_map(|_| concurrency.enter()).collect() };
        let timed_out: Vec<bool> = permits(2).into_iter().map(Permit::timed_out).collect();
        assert_eq!((timed_out, concurrency.limit()), (vec![false, false], 400));
        // An answer in between: it is alive.
        permits(1).into_iter().for_each(|p| p.answered(start, start));
        let timed_out: Vec<bool> = permits(4).into_iter().map(Permit::timed_out).collect();
        assert_eq!(timed_out, [false, false, true, false], "said once");
        assert_eq!(concurrency.state(), (0, LEAST, true));
        let probes = permits(400);
        assert_eq!(probes.len(), LEAST as usize, "the others are refused at once");
        for (n, probe) in probes.into_iter().enumerate() {
            if n == 20 { probe.answered(start, start) } else { drop(probe) }
        }
        assert_eq!(concurrency.state(), (0, 400, false));
    }

    #[test]
    fn a_permit_that_is_dropped_gives_its_place_back() {
        let now = Instant::now();
        let concurrency = Concurrency::new(LEAST, 5, now);
        for _ in 0..3 {
            let all: Vec<_> = std::iter::from_fn(|| concurrency.enter()).collect();
            assert_eq!(all.len(), LEAST as usize);
        }
    }

    #[test]
    fn clients_that_leave_are_learned_from() {
        let start = Instant::now();
        let concurrency = Concurrency::new(1000, 5, start);
        let mut window = concurrency.window.lock().expect("no panic");
        let (refused, second) = (super::AtomicBool::new(false), Duration::from_secs(1));
        let mut wait = |waited: Duration, n: u32| window.abandoned(waited, 500, start + second * n, 1000.0, &refused);
        // Nothing is known of the app yet.
        assert!((1..100).all(|n| wait(second, n).is_none()));
        for n in 100..120 {
            window.answer(second / 10, 500, start + second * n, 1000.0, &refused);
        }
        let mut wait = |waited: Duration, n: u32| window.abandoned(waited, 500, start + second * n, 1000.0, &refused);
        // In a hurry, but not late.
        assert!((120..200).all(|n| wait(second / 10, n).is_none()));
        let limit = (200..400).filter_map(|n| wait(second, n)).last().expect("windows close");
        assert!(limit < 200, "{limit}");
    }
}
