use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Wake;
use std::thread;
use std::time::Duration;

use futures_util::FutureExt;
use http::HeaderValue;
use http_body_util::BodyExt;
use proptest::prelude::*;

use super::*;

const LARGE: u64 = 1 << 30;
const PIECE: usize = 256 << 10;

/// What a reader has got, and how it ended.
#[derive(Debug, Default, PartialEq, Eq)]
struct Got {
    bytes: Vec<u8>,
    trailers: Option<HeaderMap>,
    broken: Option<Broken>,
}

/// Reads as far as it goes now; whether that is the end.
fn drain(reader: &mut Reader, got: &mut Got) -> bool {
    loop {
        let hint = reader.size_hint().exact();
        match reader.frame().now_or_never() {
            None => return false,
            Some(None) => {
                assert!(reader.is_end_stream() && (hint == Some(0)), "{hint:?}");
                return true;
            }
            Some(Some(Err(broken))) => {
                got.broken = Some(broken);
                assert!(reader.frame().now_or_never().unwrap().is_none(), "nothing after an error");
                return true;
            }
            Some(Some(Ok(frame))) => match frame.into_data() {
                Ok(data) => {
                    assert!(!data.is_empty());
                    assert!(hint.is_none_or(|hint| hint >= data.len() as u64));
                    got.bytes.extend_from_slice(&data);
                }
                Err(frame) => got.trailers = frame.into_trailers().ok(),
            },
        }
    }
}

fn drained(mut reader: Reader) -> Got {
    let mut got = Got::default();
    assert!(drain(&mut reader, &mut got), "not at its end");
    got
}

fn on_one_core<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    // The alarm first: it polls `work` too, which would then go on as if it had been woken.
    runtime.block_on(async {
        tokio::select! {
            biased;
            () = tokio::time::sleep(Duration::from_secs(60)) => panic!("no end"),
            done = work => done,
        }
    })
}

fn held(log: &ChunkLog) -> u64 {
    log.state().chunks.iter().map(|chunk| chunk.len() as u64).sum()
}

/// A range, or the whole.
type Asked = Option<(u64, u64)>;

#[derive(Clone, Debug)]
enum Step {
    Append(usize),
    Join(Asked),
    /// One frame of one reader.
    Read(prop::sample::Index),
    Leave(prop::sample::Index),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..40_usize).prop_map(Step::Append),
        2 => prop::option::of((0..200_u64, 0..200_u64)).prop_map(Step::Join),
        6 => any::<prop::sample::Index>().prop_map(Step::Read),
        1 => any::<prop::sample::Index>().prop_map(Step::Leave),
    ]
}

proptest! {
    #[test]
    fn in_any_order_every_reader_gets_the_bytes(
        steps in prop::collection::vec(step(), 0..120),
        limit in prop_oneof![Just(LARGE), 0..400_u64],
        promised: bool,
        broken: bool,
    ) {
        let lengths = steps.iter().map(|step| if let Step::Append(length) = step { *length } else { 0 });
        let whole: Vec<u8> = (0..lengths.sum()).map(|at| (at * 7 % 251) as u8).collect();
        let (mut writer, log) = ChunkLog::new(limit, promised.then_some(whole.len() as u64));
        let mut readers: Vec<(Asked, Reader, Got)> = Vec::new();
        let mut appended = 0;
        for step in steps {
            match step {
                Step::Append(length) => {
                    writer.append(&whole[appended..appended + length]);
                    appended += length;
                }
                Step::Join(range) => {
                    let reader = match range {
                        None => log.reader(),
                        Some((start, end)) => log.range(start..end),
                    };
                    prop_assert_eq!(reader.is_none(), log.has_overflowed());
                    readers.extend(reader.map(|reader| (range, reader, Got::default())));
                }
                Step::Read(which) if !readers.is_empty() => {
                    let (_, reader, got) = which.get_mut(&mut readers);
                    if let Some(Some(Ok(frame))) = reader.frame().now_or_never() {
                        got.bytes.extend(frame.into_data().unwrap());
                    }
                }
                Step::Leave(which) if !readers.is_empty() => {
                    readers.swap_remove(which.index(readers.len()));
                }
                Step::Read(_) | Step::Leave(_) => {}
            }
            // Nothing is held that all have passed, and nothing dropped that one has not.
            let slowest = readers.iter().filter(|(_, reader, _)| !reader.ended).map(|(_, reader, _)| reader.passed).min();
            let state = log.state();
            if state.overflowed {
                let first = state.chunks.front().map_or(0, |chunk| chunk.len() as u64);
                let slowest = slowest.unwrap_or(u64::MAX);
                prop_assert!(state.first.byte <= slowest);
                prop_assert!(state.chunks.is_empty() || slowest < state.first.byte + first);
            } else {
                prop_assert_eq!(state.first.byte, 0);
            }
        }
        let stored = !broken && whole.len() as u64 <= limit;
        if broken {
            writer.break_off();
            prop_assert!(log.reader().is_none());
        } else {
            writer.finish(None);
            prop_assert_eq!(log.length(), Some(whole.len() as u64));
            readers.extend(log.reader().map(|reader| (None, reader, Got::default())));
        }
        prop_assert_eq!(log.chunks().map(|chunks| chunks.concat()), stored.then(|| whole.clone()));
        for (range, mut reader, mut got) in readers {
            prop_assert!(drain(&mut reader, &mut got));
            let (start, end) = range.unwrap_or((0, whole.len() as u64));
            let at = |byte: u64| whole.len().min(byte as usize);
            prop_assert_eq!(&got.bytes[..], &whole[at(start)..at(end.max(start))]);
            let expected = match range {
                None => broken.then_some(Broken::Off),
                Some((start, end)) if end <= start || end <= whole.len() as u64 => None,
                Some(_) => Some(if broken { Broken::Off } else { Broken::Length }),
            };
            prop_assert_eq!(got.broken, expected);
        }
    }
}

#[test]
fn chunks_own_no_more_than_themselves() {
    let (mut writer, log) = ChunkLog::new(LARGE, None);
    let buffer = Bytes::from(vec![1; 1 << 20]);
    writer.append(&buffer[..10]);
    assert!(buffer.is_unique());
    writer.append(&[]);
    writer.finish(None);
    let chunks = log.chunks().unwrap();
    assert_eq!(chunks.iter().map(Bytes::len).collect::<Vec<_>>(), [10]);
}

#[test]
fn trailers_come_last() {
    let (mut writer, log) = ChunkLog::new(LARGE, None);
    let early = log.reader().unwrap();
    writer.append(b"whole");
    let trailers = HeaderMap::from_iter([(http::header::ETAG, HeaderValue::from_static("\"1\""))]);
    writer.finish(Some(trailers.clone()));
    let got = Got { bytes: b"whole".to_vec(), trailers: Some(trailers), broken: None };
    let late = log.reader().unwrap();
    assert!(!late.is_end_stream());
    assert_eq!(
        [drained(early), drained(late)],
        [Got { bytes: got.bytes.clone(), trailers: got.trailers.clone(), ..got }, got]
    );
    assert_eq!(
        drained(log.range(1..3).unwrap()),
        Got { bytes: b"ho".to_vec(), ..Got::default() },
        "but not with a range"
    );
}

#[test]
fn a_reader_at_the_end_says_so() {
    let (mut writer, log) = ChunkLog::new(LARGE, None);
    let mut reader = log.reader().unwrap();
    writer.append(b"whole");
    assert!(reader.frame().now_or_never().is_some());
    assert!(!reader.is_end_stream(), "more may come");
    assert_eq!(reader.size_hint().exact(), None);
    writer.finish(None);
    assert!(reader.is_end_stream() && !log.reader().unwrap().is_end_stream());
    assert_eq!(reader.size_hint().exact(), Some(0));
    assert!(log.range(3..3).unwrap().is_end_stream());
}

#[test]
fn a_promised_length_is_kept_or_the_body_breaks_off() {
    for (body, held) in [(&b"shor"[..], 4), (b"length", 0)] {
        let (mut writer, log) = ChunkLog::new(LARGE, Some(5));
        let reader = log.reader().unwrap();
        assert_eq!(log.length(), Some(5));
        writer.append(body);
        assert_eq!(writer.ready().now_or_never(), Some(held > 0), "too long is noticed at once");
        writer.finish(None);
        let got = drained(reader);
        assert_eq!((got.bytes.len(), got.broken), (held, Some(Broken::Length)));
        assert!(log.chunks().is_none() && log.reader().is_none());
    }
}

/// Counts how often it is woken.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn whatever_happens_every_reader_that_waits_is_woken_once() {
    let (mut writer, log) = ChunkLog::new(LARGE, None);
    let mut readers: Vec<_> = (0..9).map(|_| (log.reader().unwrap(), Arc::new(Woken::default()))).collect();
    let mut wait = |times| {
        for (reader, woken) in &mut readers {
            assert_eq!(woken.0.load(Ordering::Relaxed), times);
            while Pin::new(&mut *reader).poll_frame(&mut Context::from_waker(Waker::noop())).is_ready() {}
            // Polled by another task: only the last one counts.
            assert!(Pin::new(reader).poll_frame(&mut Context::from_waker(&Arc::clone(woken).into())).is_pending());
        }
    };
    wait(0);
    writer.append(b"1");
    wait(1);
    writer.append(b"2");
    wait(2);
    writer.break_off();
    assert!(readers.iter().all(|(_, woken)| woken.0.load(Ordering::Relaxed) == 3));
}

#[test]
fn breaking_off_reaches_every_reader() {
    let (mut writer, log) = ChunkLog::new(LARGE, None);
    let core = |reader: Reader| {
        let mut reader = reader;
        thread::spawn(move || {
            on_one_core(async {
                let first = reader.frame().await.unwrap().unwrap().into_data().unwrap();
                let then = reader.frame().await.unwrap().unwrap_err();
                (first, then)
            })
        })
    };
    let cores: Vec<_> = (0..8).map(|_| core(log.reader().unwrap())).collect();
    writer.append(b"half");
    // All but the slowest wait for more by now.
    thread::sleep(Duration::from_millis(20));
    drop(writer);
    for core in cores {
        assert_eq!(core.join().unwrap(), (Bytes::from_static(b"half"), Broken::Off));
    }
}

#[test]
fn an_overflow_waits_for_the_slowest_reader_and_holds_no_more_than_it_needs() {
    let piece = vec![1; PIECE];
    let (mut writer, log) = ChunkLog::new(AHEAD, None);
    let (mut fast, mut slow) = (log.reader().unwrap(), log.reader().unwrap());
    let mut got = Got::default();
    for _ in 0..4 {
        writer.append(&piece);
        assert_eq!(writer.ready().now_or_never(), Some(true), "within the limit nobody waits");
    }
    assert!(!log.has_overflowed());
    writer.append(&piece);
    assert!(log.has_overflowed() && log.reader().is_none() && log.range(0..1).is_none());
    assert_eq!(writer.ready().now_or_never(), None);
    assert!(!drain(&mut fast, &mut got));
    assert_eq!(writer.ready().now_or_never(), None, "the fast one is not the slowest");
    assert_eq!(held(&log), 5 * PIECE as u64);
    for step in 1..100 {
        while writer.ready().now_or_never() == Some(true) {
            writer.append(&piece);
            assert!(!drain(&mut fast, &mut got));
        }
        assert!(held(&log) <= AHEAD + PIECE as u64, "step {step}: {}", held(&log));
        assert!(slow.frame().now_or_never().is_some());
    }
    drop(slow);
    assert_eq!(writer.ready().now_or_never(), Some(true), "who has left is not waited for");
    assert_eq!(held(&log), 0);
    assert_eq!(writer.pointless().now_or_never(), None);
    drop(fast);
    assert_eq!(writer.pointless().now_or_never(), Some(()));
    assert_eq!(writer.ready().now_or_never(), Some(false), "nobody is left");
}

#[test]
fn who_wants_the_end_of_an_overflow_waits_without_holding_it() {
    let (mut writer, log) = ChunkLog::new(10, None);
    let end = 20 * PIECE as u64;
    let reader = log.range(end - 3..end + 3).unwrap();
    for _ in 0..20 {
        writer.append(&vec![1; PIECE]);
        assert_eq!(writer.ready().now_or_never(), Some(true));
    }
    assert!(held(&log) <= PIECE as u64);
    writer.append(&[2; 10]);
    assert_eq!(drained(reader).bytes, [1, 1, 1, 2, 2, 2]);
    assert_eq!(writer.ready().now_or_never(), Some(false), "a range that has been read is read by nobody");
}

#[test]
fn without_readers_a_body_that_can_be_stored_goes_on() {
    let (mut writer, log) = ChunkLog::new(LARGE, None);
    drop(log.reader());
    writer.append(b"whole");
    assert_eq!(writer.ready().now_or_never(), Some(true));
    assert_eq!(writer.pointless().now_or_never(), None);
    writer.finish(None);
    assert_eq!(log.chunks().unwrap().concat(), b"whole");
}

#[test]
fn what_is_expected_to_be_too_large_is_not_collected_first() {
    let (mut writer, log) = ChunkLog::new(10, Some(1000));
    let mut reader = log.reader().unwrap();
    for _ in 0..100 {
        writer.append(&[1; 10]);
        assert!(log.has_overflowed());
        assert!(reader.frame().now_or_never().is_some());
        assert_eq!(held(&log), 0);
    }
    writer.finish(None);
    assert!(drained(reader).broken.is_none());
    assert!(log.chunks().is_none());
}

#[test]
fn a_body_byte_by_byte_does_not_take_many_times_its_length() {
    let (mut writer, log) = ChunkLog::new(LARGE >> 10, None);
    let _reader = log.reader().unwrap();
    let mut bytes = 0;
    while writer.ready().now_or_never() == Some(true) {
        writer.append(b"1");
        bytes += 1;
        assert!(bytes <= AHEAD);
    }
    assert!(log.has_overflowed());
    assert!(log.state().chunks.len() as u64 <= AHEAD / OVERHEAD + 1);
}

/// No wake-up is lost: a writer and its readers on as many threads come to the end, however they fall on each other.
#[test]
fn on_several_cores_everyone_comes_to_the_end() {
    let whole: Arc<[u8]> = (0..8 * PIECE).map(|at| (at * 7 % 251) as u8).collect();
    for limit in [LARGE, 3 * PIECE as u64] {
        let (mut writer, log) = ChunkLog::new(limit, Some(whole.len() as u64).filter(|_| limit == LARGE));
        let reading = |range: Option<Range<usize>>, reader: Reader, pause: bool| {
            let whole = Arc::clone(&whole);
            thread::spawn(move || {
                let got = on_one_core(async {
                    let mut reader = reader;
                    let mut got = Vec::new();
                    while let Some(frame) = reader.frame().await {
                        got.extend(frame.unwrap().into_data().unwrap());
                        if pause && got.len() % 16 == 0 {
                            tokio::time::sleep(Duration::from_micros(100)).await;
                        }
                    }
                    got
                });
                assert!(got == whole[range.unwrap_or(0..whole.len())], "{} bytes", got.len());
            })
        };
        let mut cores: Vec<_> = (0..4).map(|n| reading(None, log.reader().unwrap(), n == 0)).collect();
        let range = 5 * PIECE - 7..7 * PIECE + 7;
        cores.push(reading(Some(range.clone()), log.range(range.start as u64..range.end as u64).unwrap(), false));
        // One that leaves in the middle.
        let mut leaver = log.reader().unwrap();
        cores.push(thread::spawn(move || {
            on_one_core(async {
                for _ in 0..100 {
                    leaver.frame().await.unwrap().unwrap();
                }
            });
        }));
        let written = Arc::clone(&whole);
        cores.push(thread::spawn(move || {
            on_one_core(async {
                for chunk in written.chunks(5000) {
                    assert!(writer.ready().await);
                    writer.append(chunk);
                }
                writer.finish(None);
            });
        }));
        // Late ones, where they may join.
        while let Some(late) = log.reader()
            && cores.len() < 12
        {
            cores.push(reading(None, late, false));
            thread::sleep(Duration::from_millis(1));
        }
        for core in cores {
            core.join().unwrap();
        }
        assert_eq!(log.chunks().is_some(), limit == LARGE);
        assert_eq!(held(&log), if limit == LARGE { whole.len() as u64 } else { 0 });
    }
}

#[test]
fn a_writer_that_waits_is_woken_when_the_last_reader_leaves() {
    let (mut writer, log) = ChunkLog::new(10, None);
    let mut reader = log.reader().unwrap();
    let core = thread::spawn(move || {
        on_one_core(async {
            while writer.ready().await {
                writer.append(&[1; PIECE]);
            }
            writer.pointless().await;
        });
    });
    on_one_core(async { reader.frame().await.unwrap().unwrap() });
    thread::sleep(Duration::from_millis(20));
    drop(reader);
    core.join().unwrap();
}

#[test]
fn a_writer_that_waits_for_upstream_learns_that_the_last_reader_has_left() {
    let (mut writer, log) = ChunkLog::new(1, None);
    let mut reader = log.reader().unwrap();
    writer.append(b"read");
    assert!(reader.frame().now_or_never().is_some());
    let woken = Arc::new(Woken::default());
    let waker = Arc::clone(&woken).into();
    assert!(std::pin::pin!(writer.pointless()).poll(&mut Context::from_waker(&waker)).is_pending());
    drop(reader);
    assert_eq!(woken.0.load(Ordering::Relaxed), 1);
}
