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
//! Where a share of the clients leaves before the answer, the app is overloaded whatever its answers tell: clients that have less patience than
//! its queue is long would leave no late answers to learn from.
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
/// become slower is believed in time; one that takes longer than so many seconds ten times as slowly, as what comes little by little gets hardly
/// later from window to window.
const DRIFT: f64 = 0.02;
const BELIEVED: f64 = 1.0;
const DRIFT_LATE: f64 = 0.002;
/// The same downwards: one quick window may be chance.
const FALLS: f64 = 0.2;
/// The most that the limit sinks by in a window, to this share of it; while nobody is refused, to no less than [`ROOM`] times what is in flight,
/// as it may be found to be needless.
const SINKS: f64 = 0.5;
const ROOM: f64 = 2.0;
/// Answers that take at most so much longer than in the slowest of the first half of the last windows do not go on getting later. The slowest,
/// as answers of one app differ.
const STEADY: f64 = 1.05;
const WINDOWS: usize = 8;
/// The share of a window's requests that must have been given up, after more than the best, to show that the app is overloaded: it is tolerated
/// no longer that answers take longer.
const LEFT: f64 = 0.1;
/// After so many windows in a row with refusals the limit is tried this many times higher. What is slow is not our queue if so many times more
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
    /// What was answered in the second half of them, and in how many seconds.
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

    /// Who sent it has all the time that it takes, or it has failed: its end tells nothing of how long clients wait.
    pub(crate) fn is_not_waited_for(&mut self) {
        self.waiting = None;
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
        let (mut window, waited) = (of.window(), now - since);
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
            if usual <= trial.usual * AS_QUICK && rate >= trial.rate * AS_MANY {
                // It was no queue, and perhaps the app can do more still.
                (self.best, self.limit) = (trial.usual, self.limit * RAISED);
                if refusing {
                    self.try_more(rate, trial.usual, now, of);
                }
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
            } else {
                self.answered = (self.answered.0 + answered, self.answered.1 + seconds);
            }
        }
        let before = self.usual.iter().take(WINDOWS / 2).copied().fold(0.0, f64::max);
        let steady = !refusing && !left && usual <= before * STEADY;
        if self.best <= 0.0 {
            self.best = usual;
        } else if steady || usual < self.best {
            let share = match usual {
                _ if usual < self.best => FALLS,
                ..=BELIEVED => DRIFT,
                _ => DRIFT_LATE,
            };
            self.best = (usual - self.best).mul_add(share, self.best);
        }
        let tolerance = if left { 1.0 } else { TOLERANCE };
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
mod tests {
    use super::{Concurrency, LEAST, Permit};
    use std::cmp::Reverse;
    use std::collections::{BinaryHeap, VecDeque};
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    /// What is asked of an app that does at most so many at once, or any number (0); at what rate, how long each takes (on average, as by chance),
    /// at a second, and after how many seconds clients leave.
    struct Route {
        workers: usize,
        rate: fn(f64) -> f64,
        takes: fn(f64) -> f64,
        patience: f64,
        /// Whether the app works for those, too, who have left.
        for_all: bool,
    }

    const FOR_EVER: f64 = 1e6;

    /// A second of a route.
    #[derive(Clone, Copy, Default)]
    struct Second {
        asked: u32,
        refused: u32,
        answered: u32,
        left: u32,
        /// Seconds that the answers took, together.
        took: f64,
        limit: u32,
    }

    enum Event {
        Arrives(usize),
        Done(usize),
        Leaves(usize),
    }

    /// Plays what is asked of an app, its routes beside one another, each with a queue of its own where it has so many workers only.
    struct Play {
        concurrency: Arc<Concurrency>,
        start: Instant,
        random: u64,
        /// Nanoseconds, and which event.
        due: BinaryHeap<Reverse<(u64, usize)>>,
        events: Vec<Event>,
        /// Route, when, and its permit until it is answered or has left.
        requests: Vec<(usize, f64, Option<Permit>)>,
    }

    impl Play {
        /// From 0 to 1.
        fn chance(&mut self) -> f64 {
            self.random ^= self.random << 13;
            self.random ^= self.random >> 7;
            self.random ^= self.random << 17;
            (self.random >> 11) as f64 / (1_u64 << 53) as f64
        }

        fn by_chance(&mut self, mean: f64) -> f64 {
            -mean * (1.0 - self.chance()).ln()
        }

        fn at(&mut self, second: f64, event: Event) {
            self.events.push(event);
            self.due.push(Reverse(((second * 1e9) as u64, self.events.len() - 1)));
        }

        fn run(most: u32, seconds: usize, routes: &[Route]) -> Vec<Vec<Second>> {
            let start = Instant::now();
            let concurrency = Concurrency::new(most, 5, start);
            let mut play = Self {
                concurrency,
                start,
                random: 88_172_645_463_325_252,
                due: BinaryHeap::new(),
                events: Vec::new(),
                requests: Vec::new(),
            };
            let mut told = vec![vec![Second::default(); seconds]; routes.len()];
            let mut queues: Vec<(usize, VecDeque<usize>)> = routes.iter().map(|_| (0, VecDeque::new())).collect();
            (0..routes.len()).for_each(|route| play.at(0.0, Event::Arrives(route)));
            while let Some(Reverse((nanos, event))) = play.due.pop() {
                let now = nanos as f64 / 1e9;
                if now >= seconds as f64 {
                    break;
                }
                let instant = play.start + Duration::from_nanos(nanos);
                let route = match play.events[event] {
                    Event::Arrives(route) => {
                        let next = now + play.by_chance(1.0 / (routes[route].rate)(now));
                        play.at(next, Event::Arrives(route));
                        let second = &mut told[route][now as usize];
                        second.asked += 1;
                        if let Some(permit) = play.concurrency.enter() {
                            play.requests.push((route, now, Some(permit)));
                            let request = play.requests.len() - 1;
                            play.at(now + routes[route].patience, Event::Leaves(request));
                            queues[route].1.push_back(request);
                        } else {
                            second.refused += 1;
                        }
                        route
                    }
                    Event::Done(request) => {
                        let (route, sent, permit) = &mut play.requests[request];
                        queues[*route].0 -= 1;
                        if let Some(permit) = permit.take() {
                            permit.answered(play.start + Duration::from_secs_f64(*sent), instant);
                            let second = &mut told[*route][now as usize];
                            (second.answered, second.took) = (second.answered + 1, second.took + now - *sent);
                        }
                        *route
                    }
                    Event::Leaves(request) => {
                        let (route, sent, permit) = &mut play.requests[request];
                        if let Some(mut permit) = permit.take() {
                            permit.waiting = None;
                            permit.left(play.start + Duration::from_secs_f64(*sent), instant);
                            told[*route][now as usize].left += 1;
                        }
                        continue;
                    }
                };
                let Route { workers, takes, for_all, .. } = routes[route];
                while workers == 0 || queues[route].0 < workers {
                    let Some(request) = queues[route].1.pop_front() else { break };
                    if for_all || play.requests[request].2.is_some() {
                        queues[route].0 += 1;
                        let done = now + play.by_chance(takes(now));
                        play.at(done, Event::Done(request));
                    }
                }
                told[route][now as usize].limit = play.concurrency.limit();
            }
            told
        }
    }

    /// Of a route's seconds, from one on: asked, refused, answered, left, seconds until an answer on average, and the highest limit.
    fn sum(seconds: &[Second]) -> Second {
        seconds.iter().fold(Second::default(), |a, b| Second {
            asked: a.asked + b.asked,
            refused: a.refused + b.refused,
            answered: a.answered + b.answered,
            left: a.left + b.left,
            took: a.took + b.took,
            limit: a.limit.max(b.limit),
        })
    }

    impl Second {
        fn refused(&self) -> f64 {
            f64::from(self.refused) / f64::from(self.asked)
        }

        fn mean(&self) -> f64 {
            self.took / f64::from(self.answered)
        }
    }

    /// Ten workers, 10 ms each: 1,000 a second.
    fn busy(rate: fn(f64) -> f64) -> Route {
        Route { workers: 10, rate, takes: |_| 0.01, patience: FOR_EVER, for_all: true }
    }

    /// Any number at once, 2 ms each, and from the fifth second on 400.
    fn slow_database(rate: fn(f64) -> f64) -> Route {
        Route { workers: 0, rate, takes: |t| if t < 4.0 { 0.002 } else { 0.4 }, patience: FOR_EVER, for_all: true }
    }

    #[test]
    fn what_the_app_can_carry_is_never_shed() {
        let told = sum(&Play::run(1000, 30, &[busy(|_| 800.0)])[0]);
        assert_eq!((told.refused, told.limit), (0, 1000), "nobody asked for less");
    }

    #[test]
    fn five_times_the_load_keeps_the_goodput_and_sheds_the_rest() {
        let told = &Play::run(2000, 60, &[busy(|t| if t < 4.0 { 800.0 } else { 5000.0 })])[0];
        let later = sum(&told[10..]);
        assert!(f64::from(later.answered) >= 0.97 * 50_000.0, "{}", later.answered);
        // Two seconds of queue, without a limit.
        assert!(later.limit <= 150 && later.mean() < 0.08, "{} {}", later.limit, later.mean());
    }

    #[test]
    fn clients_that_leave_are_learned_from() {
        let impatient =
            Route { rate: |t| if t < 4.0 { 90.0 } else { 500.0 }, takes: |_| 0.1, patience: 1.0, ..busy(|_| 0.0) };
        let later = sum(&Play::run(2000, 40, &[impatient])[0][10..]);
        assert!(later.answered >= 29 * 90 && later.left < 150, "{} answered, {} left", later.answered, later.left);
    }

    #[test]
    fn a_little_too_much_builds_no_long_queue() {
        for rate in [|_: f64| 1050.0, |_: f64| 1100.0, |_: f64| 1500.0, |_: f64| 2000.0] {
            let told = &Play::run(2000, 120, &[busy(rate)])[0][10..];
            assert!(sum(told).answered >= 97 * 1_100, "{}/s: {}", rate(0.0), sum(told).answered);
            // A second is believed to be the app's own.
            assert!(told.iter().all(|second| second.mean() < 1.6), "{}/s", rate(0.0));
        }
    }

    #[test]
    fn what_comes_little_by_little_builds_no_long_queue_either() {
        // 250 a second, of which 240 are asked for, and one in a hundred more each minute.
        let rate = |t: f64| 240.0 * (1.0 + t / 6000.0);
        let app = Route { workers: 50, rate, takes: |_| 0.2, ..busy(|_| 0.0) };
        let told = &Play::run(2000, 1200, &[app])[0];
        for minute in told.chunks(60) {
            let minute = sum(minute);
            assert!(minute.mean() < 1.5 && minute.answered >= 14_000, "{} s, {}", minute.mean(), minute.answered);
        }
    }

    #[test]
    fn an_app_with_a_slow_database_is_not_shed() {
        for rate in [|_: f64| 30.0, |_: f64| 150.0, |_: f64| 500.0, |_: f64| 3000.0] {
            let told = sum(&Play::run(2000, 40, &[slow_database(rate)])[0]);
            assert_eq!(told.refused, 0, "{}/s", rate(0.0));
        }
        // Nor because of those who have no patience: one in twenty.
        let told = sum(&Play::run(2000, 40, &[Route { patience: 1.2, ..slow_database(|_| 500.0) }])[0]);
        assert!(told.refused == 0 && told.left > 500, "{} {}", told.refused, told.left);
    }

    #[test]
    fn an_app_that_always_takes_its_time_is_not_shed() {
        // Now and then twenty answers are quick by chance.
        let reports = Route { workers: 0, takes: |_| 3.0, ..busy(|_| 100.0) };
        let told = sum(&Play::run(2000, 3600, &[reports])[0]);
        // When it starts, only what is quick has been answered.
        assert!(told.refused() < 0.03, "{}", told.refused());
    }

    #[test]
    fn what_has_become_somewhat_slower_is_found_out_while_it_is_refused() {
        // An overload, and then a database that takes 450 ms instead of 200: 450 at once.
        let takes = |t: f64| if t < 40.0 { 0.2 } else { 0.45 };
        let rate = |t: f64| if (4.0..30.0).contains(&t) { 8000.0 } else { 1000.0 };
        let told = &Play::run(1000, 120, &[Route { workers: 600, rate, takes, ..busy(|_| 0.0) }])[0];
        assert!(sum(&told[80..]).refused() < 0.05, "{}", sum(&told[80..]).refused());
    }

    #[test]
    fn more_than_there_is_room_for_fills_the_room() {
        // 1,200 at once: one in six too many.
        let told = &Play::run(1000, 60, &[slow_database(|_| 3000.0)])[0];
        let (all, later) = (sum(told), sum(&told[40..]));
        assert!(all.refused() < 0.6 && later.refused() < 0.2, "{} {}", all.refused(), later.refused());
    }

    #[test]
    fn a_queue_is_none_the_less_for_what_is_quick_beside_it() {
        // The database's connections are enough for 50 a second.
        let queued =
            Route { rate: |t| if t < 4.0 { 30.0 } else { 500.0 }, takes: |_| 0.2, patience: 30.0, ..busy(|_| 0.0) };
        let quick = Route { workers: 0, takes: |_| 0.002, ..busy(|_| 300.0) };
        let told = Play::run(2000, 180, &[queued, quick]);
        let later = sum(&told[0][60..]);
        assert!(later.limit <= 400 && later.mean() < 2.5, "{} {}", later.limit, later.mean());
        // While it is slow without a queue, both go on.
        let quick = Route { workers: 0, takes: |_| 0.002, ..busy(|_| 300.0) };
        let told = Play::run(2000, 40, &[slow_database(|_| 300.0), quick]);
        assert_eq!([sum(&told[0]).refused, sum(&told[1]).refused], [0, 0]);
    }

    #[test]
    fn the_limit_recovers_when_the_load_is_gone() {
        let told = &Play::run(400, 120, &[busy(|t| if (4.0..30.0).contains(&t) { 5000.0 } else { 800.0 })])[0];
        assert!(sum(&told[20..30]).limit < 150, "it has sunk");
        assert_eq!((sum(&told[35..]).refused, told[119].limit), (0, 400));
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
    fn an_app_that_answers_nobody_has_the_least_until_it_answers() {
        let start = Instant::now();
        let concurrency = Concurrency::new(400, 3, start);
        let permits = |n: usize| -> Vec<Permit> { (0..n).filter_map(|_| concurrency.enter()).collect() };
        // It is known, and quick.
        let answer = |p: Permit, millis: u64| p.answered(start, start + Duration::from_millis(millis));
        (0..40).for_each(|n| permits(1).into_iter().for_each(|p| answer(p, 200 + n)));
        let left = |mut p: Permit, now: Instant| p.waiting.take().into_iter().for_each(|since| p.left(since, now));
        let hang = permits(100);
        let timed_out: Vec<bool> = permits(2).into_iter().map(Permit::timed_out).collect();
        assert_eq!((timed_out, concurrency.limit()), (vec![false, false], 400));
        // An answer in between: it is alive.
        permits(1).into_iter().for_each(|p| answer(p, 300));
        let timed_out: Vec<bool> = permits(4).into_iter().map(Permit::timed_out).collect();
        assert_eq!(timed_out, [false, false, true, false], "said once");
        assert_eq!(concurrency.state(), (100, LEAST, true));
        // Who waits longer, in vain, or leaves, does not let more in.
        for (n, permit) in hang.into_iter().enumerate() {
            let later = start + Duration::from_secs(60);
            match n % 2 {
                0 => _ = permit.timed_out(),
                _ => left(permit, later),
            }
        }
        assert_eq!(concurrency.state(), (0, LEAST, true));
        let probes = permits(400);
        assert_eq!(probes.len(), LEAST as usize, "the others are refused at once");
        for (n, probe) in probes.into_iter().enumerate() {
            if n == 20 { answer(probe, 300) } else { drop(probe) }
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
}
