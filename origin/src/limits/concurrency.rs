//! How many requests may be with an app at once: as many as it answers without getting slower.
//!
//! The limit follows the app's own time to answer, as in Netflix's gradient limits: when answers take longer than the best
//! of late by more than a tolerance, it sinks in proportion; as long as they do not, it grows by its root, to what may be. What is over the
//! limit gets 503 at once instead of a place in a queue that nobody empties. A request counts until the head of its answer,
//! so that downloads and event streams do not.
//!
//! An app whose database has become slow is slower, too, but has no queue that less would shorten. Two things tell it: nobody is refused, and
//! answers, though late, do not go on getting later; or more are let in for a moment, and so many more are answered, no later.
//!
//! Where a share of the clients leaves before the answer, less is tolerated that answers take longer, and how long they waited counts as
//! the app's time: clients that have less patience than its queue is long would leave no late answers to learn from.
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
/// The share of the distance by which the best drifts up towards what is usual, a window, while what is late gets no later: an app that has
/// become slower is believed in time, but slowly, as what comes little by little gets hardly later from window to window.
const DRIFT: f64 = 0.005;
/// The same downwards: one quick window may be chance.
const FALLS: f64 = 0.2;
/// The most that the limit sinks by in a window, to this share of it; while nobody is refused, to no less than [`ROOM`] times what is in flight,
/// as it may be found to be needless, unless answers take longer than [`BELIEVED`], in seconds.
const SINKS: f64 = 0.5;
const ROOM: f64 = 2.0;
const BELIEVED: f64 = 1.0;
/// Answers that take at most so much longer than in the slowest of the first half of the last windows do not go on getting later. The slowest,
/// as answers of one app differ.
const STEADY: f64 = 1.05;
const WINDOWS: usize = 8;
/// The share of a window's requests that must have been given up, after more than the best, to show that the app may be overloaded: less is
/// tolerated then, and the best, of which only the quick are left, sinks no further.
const LEFT: f64 = 0.1;
const IMPATIENT: f64 = 1.25;
/// After so many windows with refusals, with none without between them, the limit is tried this many times higher. What is slow is not our queue if so many times more
/// are answered for it, and no later than so: a queue would make answers later in proportion, and not more.
const PATIENCE: u32 = 10;
const RAISED: f64 = 1.5;
const AS_MANY: f64 = 1.25;
const AS_QUICK: f64 = 1.15;
/// Answers that a trial takes, at least.
const TRIED: u32 = 50;

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
    /// Of those, requests that were given up.
    left: u32,
    total: Duration,
    /// The most requests in flight at once.
    peak: u32,
    /// The same when those were let in that have been answered since.
    entered: u32,
    /// Requests in a row that were not answered in time.
    timeouts: u32,
    /// The best of late, in seconds; 0 until the first window closes.
    best: f64,
    limit: f64,
    /// What was usual in the last windows, in seconds, the oldest first; 0 until there are so many.
    usual: [f64; WINDOWS],
    /// Windows in a row in which a request was refused.
    refusing: u32,
    /// What was answered in the second half of the first [`PATIENCE`] of them, and in how many seconds.
    answered: (u32, f64),
    /// A higher limit that is tried.
    trial: Option<Trial>,
}

/// A higher limit, and what it is compared with.
#[derive(Clone, Copy, Debug)]
struct Trial {
    /// Answers a second before.
    rate: f64,
    /// What was usual before, in seconds.
    usual: f64,
    /// Most of what was sent before the limit was raised is answered by then, and what is answered after it counts.
    from: Instant,
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
            left: 0,
            total: Duration::ZERO,
            peak: 0,
            entered: 0,
            timeouts: 0,
            best: 0.0,
            limit: f64::from(most),
            usual: [0.0; WINDOWS],
            refusing: 0,
            answered: (0, 0.0),
            trial: None,
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

    /// Lets a request through, or `None` where there are enough: it is refused then.
    pub(crate) fn enter(self: &Arc<Self>) -> Option<Permit> {
        let permit = self.try_enter();
        if permit.is_none() {
            self.refused.store(true, Ordering::Relaxed);
        }
        permit
    }

    /// The same for one that may ask again.
    pub(crate) fn try_enter(self: &Arc<Self>) -> Option<Permit> {
        let before = self.in_flight.fetch_add(1, Ordering::Relaxed);
        if before >= self.limit.load(Ordering::Relaxed) {
            self.in_flight.fetch_sub(1, Ordering::Relaxed);
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
    /// The app has answered at `now` what has waited for it alone since `since`.
    pub(crate) fn answered(mut self, since: Instant, now: Instant) {
        self.waiting = None;
        let of = &self.of;
        let mut window = of.window();
        if std::mem::take(&mut window.timeouts) >= of.stalls {
            // It is alive, so it can do what it could before.
            of.limit.store(window.rounded(), Ordering::Relaxed);
            of.stalled.store(false, Ordering::Relaxed);
        }
        window.answer(now - since, self.in_flight, now, of);
    }

    /// It has failed, or others wait for it than its client: its end tells nothing of how long clients wait.
    pub(crate) fn is_not_waited_for(&mut self) {
        self.waiting = None;
    }

    /// It is the app alone that is waited for, since then.
    pub(crate) fn is_waited_for(&mut self, since: Instant) {
        self.waiting = self.waiting.map(|entered| entered.max(since));
    }

    /// The app has not answered in time; whether it is found to answer nobody any more.
    pub(crate) fn timed_out(mut self) -> bool {
        self.waiting = None;
        let mut window = self.of.window();
        window.timeouts = window.timeouts.saturating_add(1);
        let stalls = window.timeouts == self.of.stalls;
        if stalls {
            self.of.limit.store(LEAST, Ordering::Relaxed);
            self.of.stalled.store(true, Ordering::Relaxed);
        }
        stalls
    }

    /// Nobody has waited for it any longer than until `now`.
    fn left(&mut self, since: Instant, now: Instant) {
        let of = &self.of;
        let (mut window, waited) = (of.window(), now.saturating_duration_since(since));
        if window.timeouts >= of.stalls || window.best <= 0.0 || waited.as_secs_f64() <= window.best.max(SOON) {
            return;
        }
        window.left += 1;
        window.answer(waited, self.in_flight, now, of);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.of.in_flight.fetch_sub(1, Ordering::Relaxed);
        if let Some(since) = self.waiting.take() {
            self.left(since, Instant::now());
        }
    }
}

impl Window {
    /// Counts an answer, or that one was waited for in vain; where the window closes there is a new limit.
    fn answer(&mut self, took: Duration, entered: u32, now: Instant, of: &Concurrency) {
        if let Some(trial) = self.trial.filter(|trial| self.opened < trial.from) {
            if now >= trial.from {
                of.refused.store(false, Ordering::Relaxed);
                self.open(now, of);
            }
            return;
        }
        self.answers += 1;
        self.total += took;
        self.peak = self.peak.max(of.in_flight.load(Ordering::Relaxed));
        self.entered = self.entered.max(entered);
        let (least, lasts) = match &self.trial {
            None => (ANSWERS, WINDOW),
            Some(trial) => (TRIED, WINDOW.max(Duration::from_secs_f64(trial.usual))),
        };
        if self.answers < least || now - self.opened < lasts {
            return;
        }
        let usual = self.total.as_secs_f64() / f64::from(self.answers);
        let (answered, seconds) = (self.answers.saturating_sub(self.left), (now - self.opened).as_secs_f64());
        let rate = f64::from(answered) / seconds;
        let refusing = of.refused.swap(false, Ordering::Relaxed);
        let left = f64::from(self.left) > f64::from(self.answers) * LEFT;
        if let Some(trial) = self.trial.take() {
            if refusing && usual <= trial.usual * AS_QUICK && rate >= trial.rate * AS_MANY {
                // It was no queue, and perhaps the app can do more still.
                (self.best, self.limit) = (trial.usual, self.limit * RAISED);
                self.try_more(rate, trial.usual, now, of);
                return self.open(now, of);
            }
            if !refusing && !left {
                // Nobody asks for more.
                self.limit *= RAISED;
            }
        }
        if !refusing {
            self.refusing = 0;
        } else if f64::from(self.entered) <= self.limit.floor() {
            // Of a higher limit before it says nothing of this one.
            self.refusing += 1;
            if self.refusing <= PATIENCE / 2 {
                self.answered = (0, 0.0);
            } else if self.refusing <= PATIENCE {
                self.answered = (self.answered.0 + answered, self.answered.1 + seconds);
            }
        }
        let before = self.usual.iter().take(WINDOWS / 2).copied().fold(0.0, f64::max);
        let steady = !refusing && !left && usual <= before * STEADY;
        if self.best <= 0.0 {
            self.best = usual;
        } else if steady || (usual < self.best && !left) {
            let share = if usual < self.best { FALLS } else { DRIFT };
            self.best = (usual - self.best).mul_add(share, self.best);
        }
        let tolerance = if left { IMPATIENT } else { TOLERANCE };
        let allowed = (self.best * tolerance).max(SOON) / usual.max(1e-6);
        let spared = if steady {
            self.limit
        } else if refusing || left || usual > BELIEVED {
            0.0
        } else {
            self.limit.min(f64::from(self.peak) * ROOM)
        };
        self.limit = (self.limit * allowed.clamp(SINKS, 1.0)).max(spared) + self.limit.sqrt();
        self.limit = self.limit.clamp(f64::from(LEAST), f64::from(of.most));
        self.usual.rotate_left(1);
        if let Some(newest) = self.usual.last_mut() {
            *newest = usual;
        }
        if self.refusing >= PATIENCE && allowed < 1.0 {
            let (answered, seconds) = self.answered;
            self.try_more(f64::from(answered) / seconds, usual, now, of);
        }
        self.open(now, of);
    }

    /// Tries a higher limit beside what comes of this one: so many answers a second, after what is usual, in seconds.
    fn try_more(&mut self, rate: f64, usual: f64, now: Instant, of: &Concurrency) {
        self.refusing = 0;
        self.trial = (self.limit * RAISED <= f64::from(of.most)).then(|| Trial {
            rate,
            usual,
            from: now + Duration::from_secs_f64(usual),
        });
    }

    /// The next window, with the limit that is in it.
    fn open(&mut self, now: Instant, of: &Concurrency) {
        (self.opened, self.answers, self.left, self.total) = (now, 0, 0, Duration::ZERO);
        (self.peak, self.entered) = (0, 0);
        of.limit.store(self.rounded(), Ordering::Relaxed);
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between LEAST and most")]
    fn rounded(&self) -> u32 {
        let raised = if self.trial.is_some() { RAISED } else { 1.0 };
        (self.limit * raised) as u32
    }
}

#[cfg(test)]
mod tests;
