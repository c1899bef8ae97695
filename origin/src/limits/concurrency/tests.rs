//! Apps that are played: with queues, routes beside one another, and clients who leave.

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
    let told = &Play::run(1000, 30, &[busy(|_| 800.0)])[0];
    assert!(sum(told).refused == 0 && told.iter().all(|second| second.limit == 1000), "nobody asked for less");
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
    // Half as many again as it can do, and an app that forgets who has left: 11,000 could be answered.
    let rate = |t: f64| if t < 4.0 { 90.0 } else { 150.0 };
    let later = sum(&Play::run(2000, 120, &[Route { rate, takes: |_| 0.1, patience: 1.0, ..busy(|_| 0.0) }])[0][10..]);
    assert!(later.answered >= 10_000 && later.left < 800, "{} answered, {} left", later.answered, later.left);
    for rate in [|t: f64| if t < 4.0 { 90.0 } else { 150.0 }, |t: f64| if t < 4.0 { 90.0 } else { 500.0 }] {
        let forgets = Route { rate, takes: |_| 0.1, patience: 0.5, for_all: false, ..busy(|_| 0.0) };
        let later = sum(&Play::run(2000, 120, &[forgets])[0][10..]);
        assert!(later.answered >= 8_000 && later.left < 3_200, "{} answered, {} left", later.answered, later.left);
    }
}

#[test]
fn a_little_too_much_builds_no_long_queue() {
    for rate in [|_: f64| 1050.0, |_: f64| 1100.0, |_: f64| 1500.0, |_: f64| 2000.0] {
        let told = &Play::run(2000, 120, &[busy(rate)])[0][10..];
        assert!(sum(told).answered >= 97 * 1_100, "{}/s: {}", rate(0.0), sum(told).answered);
        // A second is believed to be the app's own.
        assert!(told.iter().all(|second| second.mean() < 1.3), "{}/s", rate(0.0));
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
    // Of those who have even less, one in ten or six leaves, and it may be an overload; that they leave is no reason to refuse for good.
    for (patience, left) in [(0.9, 5_000), (0.7, 8_000)] {
        let told = sum(&Play::run(2000, 120, &[Route { patience, ..slow_database(|_| 500.0) }])[0][10..]);
        assert!(told.left > left && told.refused() < 0.02, "{patience} s: {} {}", told.left, told.refused());
    }
    // It costs those of an app that takes 3 s, as by chance, of whom one in four leaves.
    let slow = Route { workers: 0, takes: |_| 3.0, patience: 4.0, ..busy(|_| 100.0) };
    let told = sum(&Play::run(2000, 600, &[slow])[0]);
    assert!(told.left > 10_000 && told.refused() < 0.3, "{} {}", told.left, told.refused());
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
    // Three times what there is for is no reason to let more in, though a trial is quick until its places are taken.
    let queued =
        Route { rate: |t| if t < 4.0 { 30.0 } else { 150.0 }, takes: |_| 0.2, patience: 30.0, ..busy(|_| 0.0) };
    let quick = Route { workers: 0, takes: |_| 0.002, ..busy(|_| 300.0) };
    let later = sum(&Play::run(2000, 300, &[queued, quick])[0][60..]);
    assert!(later.mean() < 4.0, "{}", later.mean());
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
        assert_eq!(concurrency.limit(), 2000, "window {window}");
    }
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
fn who_leaves_is_counted_for_as_long_as_the_app_was_waited_for() {
    let now = Instant::now();
    let start = now.checked_sub(Duration::from_secs(10)).unwrap();
    let concurrency = Concurrency::new(400, 3, start);
    // Answers after 100 ms, as usual.
    for n in 0..40 {
        let at = start + Duration::from_millis(n * 20);
        concurrency.enter().unwrap().answered(at, at + Duration::from_millis(100));
    }
    let left = |change: &dyn Fn(&mut Permit)| {
        let before = concurrency.window().left;
        let mut permit = concurrency.enter().unwrap();
        permit.waiting = now.checked_sub(Duration::from_secs(1));
        change(&mut permit);
        drop(permit);
        concurrency.window().left - before
    };
    assert_eq!(left(&|_| {}), 1, "it has waited for a second");
    assert_eq!(left(&|permit| permit.is_waited_for(start)), 1, "with a body that was there before");
    assert_eq!(left(&|permit| permit.is_waited_for(Instant::now())), 0, "with one that had just been sent, or not yet");
    assert_eq!(left(&Permit::is_not_waited_for), 0, "it has failed");
    assert_eq!(left(&|permit| permit.waiting = Some(now)), 0, "sooner than most are answered");
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
