//! What a decision costs: `cargo bench -p cache`. Allocations are counted beside the time.

use cache::purge::{Log, Scope};
use cache::response::{Times, storable};
use cache::{Ask, Choice, Key, Meta, Plan, Settings, Timestamp, choose, request, validation};
use divan::{AllocProfiler, Bencher, black_box};

#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

/// What a browser sends.
const ASKED: [(&str, &str); 12] = [
    ("host", "makenot.work"),
    ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
    ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
    ("accept-language", "en-GB,en;q=0.8,de;q=0.5"),
    ("accept-encoding", "gzip, deflate, br, zstd"),
    ("referer", "https://makenot.work/"),
    ("cookie", "theme=dark; session=0123456789abcdef0123456789abcdef"),
    ("sec-fetch-dest", "document"),
    ("sec-fetch-mode", "navigate"),
    ("sec-fetch-site", "same-origin"),
    ("priority", "u=0, i"),
    ("te", "trailers"),
];

const ANSWERED: [(&str, &str); 8] = [
    ("date", "Tue, 14 Nov 2023 22:13:20 GMT"),
    ("content-type", "text/html; charset=utf-8"),
    ("content-length", "10240"),
    ("cache-control", "public, max-age=300, stale-while-revalidate=60"),
    ("etag", "\"0123456789abcdef\""),
    ("cache-tag", "page, creator-17"),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "strict-origin-when-cross-origin"),
];

const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

fn main() {
    divan::main();
}

fn ask() -> Ask {
    match request::plan("GET", &ASKED[..]) {
        Plan::Look(ask) => ask,
        Plan::Pass(why) => panic!("{why:?}"),
    }
}

fn stored() -> Meta {
    let times = Times { requested: NOW, received: NOW };
    storable(&ask(), 200, &ANSWERED[..], times, 0, &Settings::default()).expect("public and fresh")
}

/// Everything that is decided about a fresh hit: what the request allows, what has been purged, whether it is fresh, whether the client
/// has it.
#[divan::bench]
fn a_fresh_hit(bencher: Bencher<'_, '_>) {
    let (key, stored, log) = (Key::new(true, "makenot.work", "/p/17?page=2"), stored(), Log::default());
    bencher.bench_local(|| {
        let Plan::Look(ask) = request::plan(black_box("GET"), black_box(&ASKED[..])) else { return None };
        let choice = choose(&ask, &stored, black_box(NOW), log.verdict(&key, &stored));
        let held = validation::not_modified(&ASKED[..], &stored, stored.received());
        (choice == Choice::Fresh && !held).then(|| (stored.age(NOW), stored.ttl(NOW)))
    });
}

/// The same with a thousand purges since it was stored.
#[divan::bench]
fn a_fresh_hit_after_a_thousand_purges(bencher: Bencher<'_, '_>) {
    let (key, stored, mut log) = (Key::new(true, "makenot.work", "/p/17?page=2"), stored(), Log::default());
    for n in 0..1000 {
        log.add(&Scope::Url(format!("https://makenot.work/p/{n}").into()), false);
    }
    let ask = ask();
    bencher.bench_local(|| choose(&ask, black_box(&stored), NOW, log.verdict(&key, &stored)));
}

#[divan::bench]
fn to_make_a_key() -> Key {
    Key::new(true, black_box("makenot.work"), black_box("/p/17?page=2"))
}

#[divan::bench]
fn to_select_a_variant(bencher: Bencher<'_, '_>) {
    let key = Key::new(true, "makenot.work", "/p/17?page=2");
    bencher.bench_local(|| key.variant(7, black_box("accept-encoding,accept-language"), &ASKED[..]));
}

#[divan::bench]
fn to_judge_an_answer() -> Meta {
    stored()
}

/// What the Worker does with each hit.
#[divan::bench]
fn to_read_an_entry(bencher: Bencher<'_, '_>) {
    let encoded = stored().encode().expect("small");
    bencher.bench_local(|| Meta::decode(black_box(&encoded)));
}
