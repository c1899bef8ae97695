//! What is measured, part by part. In each the proxies take turns, round by round, so that the machine's moods meet all of them.

use std::collections::BTreeMap;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::TokioIo;
use stack::idle::Idle;
use stack::link::Link;
use stack::open_loop::OpenLoop;
use stack::process::{memory, threads};
use stack::report::{Case, Report};

use crate::ground::Ground;
use crate::h2load::H2load;
use crate::peer::{Peer, Proxy};

/// Keep-alive connections of everything over HTTP/1.1.
const CONNECTIONS: usize = 50;
/// HTTP/2: connections to try, as few as an edge holds, and the streams of each at once.
const HTTP2_CONNECTIONS: [usize; 3] = [1, 2, 4];
const STREAMS: usize = 100;
/// How long each round of the open loop lasts.
const OPEN_LOOP: Duration = Duration::from_secs(4);
/// For how long the last of the idle connections has been idle when memory is looked at.
const SETTLE: Duration = Duration::from_secs(2);
/// How long an access-log line may take to be in its file.
const LINE: Duration = Duration::from_secs(5);
const MIB: f64 = 1_048_576.0;
/// Entries of which the memory is measured.
const ENTRIES: usize = 20_000;

/// What to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// CPU per request, in clear text and TLS
    Cpu,
    /// Memory while serving
    Memory,
    /// Latency at half of what each can do, in an open loop
    Latency,
    /// Memory of idle connections
    Idle,
    /// HTTP/2 over few connections: CPU, throughput, and how evenly threads are used
    Http2,
    /// Answers from the cache: CPU per hit, and memory per entry
    Hits,
}

/// The size of the app's answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Size {
    #[value(name = "1k")]
    Kib1,
    #[value(name = "64k")]
    Kib64,
    #[value(name = "1m")]
    Mib1,
}

impl Size {
    pub(crate) const ALL: [Self; 3] = [Self::Kib1, Self::Kib64, Self::Mib1];

    pub(crate) const fn file(self) -> &'static str {
        match self {
            Self::Kib1 => "1k",
            Self::Kib64 => "64k",
            Self::Mib1 => "1m",
        }
    }

    /// Where the app says that it may be stored.
    fn storable(self) -> String {
        format!("/hit/{}", self.file())
    }

    fn path(self) -> String {
        format!("/{}", self.file())
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Kib1 => "1 KiB",
            Self::Kib64 => "64 KiB",
            Self::Mib1 => "1 MiB",
        }
    }

    const fn bytes(self) -> usize {
        match self {
            Self::Kib1 => 1 << 10,
            Self::Kib64 => 64 << 10,
            Self::Mib1 => 1 << 20,
        }
    }

    /// Bytes that look like nothing in particular, the same every time.
    pub(crate) fn content(self) -> Vec<u8> {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state.to_be_bytes()[0]
        };
        std::iter::repeat_with(next).take(self.bytes()).collect()
    }

    /// Requests of one round: half a second of work or more for the fastest.
    const fn requests(self, quick: bool) -> usize {
        match (quick, self) {
            (true, _) => CONNECTIONS * 2,
            (_, Self::Kib1) => 12_000,
            (_, Self::Kib64) => 4_000,
            (_, Self::Mib1) => 500,
        }
    }
}

/// One run.
pub(crate) struct Bench<'a> {
    pub(crate) ground: &'a Ground,
    pub(crate) proxies: Vec<Proxy>,
    pub(crate) sizes: Vec<Size>,
    pub(crate) rounds: usize,
    pub(crate) idle: usize,
    pub(crate) quick: bool,
    pub(crate) report: Report,
    /// What did not work and is not in the report.
    pub(crate) failures: Vec<String>,
}

/// A figure's task, and its unit.
type Task<'a> = (&'a str, &'static str);

impl Bench<'_> {
    /// Whether every proxy answers the same bytes in both ways, and logs them.
    pub(crate) fn check(&self) -> Result<(), String> {
        let runtime = runtime()?;
        for peer in self.start_all()? {
            for tls in [false, true] {
                for size in Size::ALL {
                    let path = size.path();
                    let link = self.ground.link(&peer, tls)?;
                    let fields = self.ground.fields(&peer, tls, &path);
                    let wrong = |what: String| format!("{}, {path}, TLS {tls}: {what}", peer.proxy.name());
                    let (id, body) = runtime.block_on(get(&link, &path, &fields)).map_err(wrong)?;
                    if body != size.content() {
                        return Err(wrong(format!("another body of {} bytes", body.len())));
                    }
                    logged(&peer, &id).map_err(wrong)?;
                }
            }
            eprintln!("versus   {} answers as it should", peer.proxy.name());
        }
        Ok(())
    }

    /// Measures one part into the report.
    pub(crate) fn run(&mut self, part: Part) -> Result<(), String> {
        match part {
            Part::Cpu => self.cpu(),
            Part::Memory => self.memory(),
            Part::Latency => self.latency(),
            Part::Idle => self.idle(),
            Part::Http2 => self.http2(),
            Part::Hits => self.hits(),
        }
    }

    fn start_all(&self) -> Result<Vec<Peer>, String> {
        self.proxies.iter().filter(|proxy| proxy.is_proxy()).map(|proxy| self.start(*proxy)).collect()
    }

    fn proxies(&self) -> Vec<Proxy> {
        self.proxies.iter().copied().filter(|proxy| proxy.is_proxy()).collect()
    }

    fn start(&self, proxy: Proxy) -> Result<Peer, String> {
        use std::sync::atomic::{AtomicUsize, Ordering};
        static INSTANCES: AtomicUsize = AtomicUsize::new(0);
        self.ground.start(proxy, INSTANCES.fetch_add(1, Ordering::Relaxed))
    }

    /// Adds a figure; the proxies of a task come in the order of `--only`.
    fn sample(&mut self, (name, unit): Task<'_>, less_is_better: bool, subject: &str, figure: f64) {
        let same = |c: &&mut Case| c.name == name && c.unit == unit && c.subject == subject;
        if let Some(case) = self.report.cases.iter_mut().find(same) {
            return case.samples.push(figure);
        }
        let (name, unit, subject) = (name.to_owned(), unit.to_owned(), subject.to_owned());
        self.report.cases.push(Case { name, subject, unit, less_is_better, samples: vec![figure] });
    }

    fn load(&self, peer: &Peer, tls: bool, size: Size, requests: usize) -> Result<f64, String> {
        let path = size.path();
        let load = H2load {
            url: &peer.url(tls, &path),
            fields: &self.ground.fields(peer, tls, &path),
            requests,
            connections: CONNECTIONS,
            streams: None,
            length: size.bytes(),
        };
        load.run(&self.ground.h2load)
    }

    fn failed(&mut self, what: &str, peer: &Peer, error: &str) {
        let failure = format!("{what}, {}: {error}", peer.proxy.name());
        eprintln!("versus   {failure}");
        self.failures.push(failure);
    }

    fn cpu(&mut self) -> Result<(), String> {
        let peers = self.start_all()?;
        for round in 0..=self.rounds {
            for tls in [false, true] {
                for size in self.sizes.clone() {
                    let name = format!("{}, {}", if tls { "TLS" } else { "clear text" }, size.name());
                    let requests = size.requests(self.quick);
                    for peer in &peers {
                        let before = Used::of(peer);
                        match self.load(peer, tls, size, requests) {
                            // The first round warms up.
                            Ok(_) if round == 0 => {}
                            Ok(_) => {
                                let used = before.until_now(peer).micros_per(requests);
                                self.sample((&name, "µs CPU/request"), true, peer.proxy.name(), used);
                            }
                            Err(error) => self.failed(&name, peer, &error),
                        }
                    }
                }
            }
            eprintln!("versus   CPU: round {round} of {}", self.rounds);
        }
        Ok(())
    }

    fn memory(&mut self) -> Result<(), String> {
        for size in self.sizes.clone() {
            for proxy in self.proxies() {
                // A fresh one each time: what was once taken is hardly ever given back.
                let peer = self.start(proxy)?;
                let name = format!("TLS, {}, {CONNECTIONS} connections", size.name());
                match self.load(&peer, true, size, size.requests(self.quick)) {
                    Ok(_) => {
                        let memory = memory(&peer.running.family());
                        self.sample((&name, "MiB, peak (VmHWM)"), true, proxy.name(), mib(memory.peak));
                        self.sample((&name, "MiB, after (PSS)"), true, proxy.name(), mib(memory.proportional));
                    }
                    Err(error) => self.failed(&name, &peer, &error),
                }
            }
            eprintln!("versus   memory: {} done", size.name());
        }
        Ok(())
    }

    fn latency(&mut self) -> Result<(), String> {
        let runtime = runtime()?;
        let peers = self.start_all()?;
        let size = Size::Kib1;
        let mut rates = Vec::new();
        for peer in &peers {
            let mut capacity = 0.0_f64;
            for _ in 0..if self.quick { 1 } else { 3 } {
                capacity = capacity.max(self.load(peer, true, size, size.requests(self.quick))?);
            }
            let rate = if self.quick { 100.0 } else { capacity / 2.0 };
            self.sample(("TLS, 1 KiB, half of its capacity", "requests/s"), false, peer.proxy.name(), rate);
            rates.push(rate);
        }
        // Nobody in between: what the generator and the app take by themselves.
        let alone = Link { address: self.ground.app, tls: None };
        let median = rates.get(rates.len() / 2).copied().unwrap_or(100.0);
        for round in 1..=self.rounds.min(3) {
            let mut subjects = vec![("the app alone, clear text", alone.clone(), Vec::new(), median)];
            for (peer, rate) in peers.iter().zip(&rates) {
                let fields = self.ground.fields(peer, true, &size.path());
                subjects.push((peer.proxy.name(), self.ground.link(peer, true)?, fields, *rate));
            }
            for (subject, link, fields, rate) in subjects {
                let lasting = if self.quick { Duration::from_secs(1) } else { OPEN_LOOP };
                let open = OpenLoop { link, path: size.path(), fields, connections: CONNECTIONS, rate, lasting };
                match runtime.block_on(open.run()) {
                    Ok(times) => {
                        for (name, quantile) in [("50 %", 0.5), ("90 %", 0.9), ("99 %", 0.99), ("99.9 %", 0.999)] {
                            #[expect(clippy::cast_precision_loss, reason = "under a minute")]
                            let millis = times.value_at_quantile(quantile) as f64 / 1000.0;
                            let name = format!("TLS, 1 KiB, {name} of requests within");
                            self.sample((&name, "ms"), true, subject, millis);
                        }
                    }
                    Err(error) => self.failures.push(format!("latency, {subject}: {error}")),
                }
            }
            eprintln!("versus   latency: round {round} of {}", self.rounds.min(3));
        }
        Ok(())
    }

    fn idle(&mut self) -> Result<(), String> {
        let runtime = runtime()?;
        for proxy in self.proxies() {
            let peer = self.start(proxy)?;
            let (size, count) = (Size::Kib1, self.idle);
            let name = format!("{count} idle TLS connections");
            let link = self.ground.link(&peer, true)?;
            let path = size.path();
            let before = memory(&peer.running.family());
            let began = Instant::now();
            let opened = runtime.block_on(async {
                let mut idle = Idle::open(&link, &path, size.bytes(), count).await?;
                tokio::time::sleep(SETTLE).await;
                let after = memory(&peer.running.family());
                Ok::<_, String>((after, idle.still_open().await))
            });
            match opened {
                Ok((after, open)) if open == count => {
                    self.sample((&name, "MiB (PSS)"), true, proxy.name(), mib(after.proportional));
                    #[expect(clippy::cast_precision_loss, reason = "thousands of connections, gigabytes")]
                    let each = after.proportional.saturating_sub(before.proportional) as f64 / 1024.0 / count as f64;
                    self.sample((&name, "KiB (PSS) for each"), true, proxy.name(), each);
                    eprintln!("versus   idle: {}, opened in {} s", proxy.name(), began.elapsed().as_secs());
                }
                Ok((_, open)) => self.failed(&name, &peer, &format!("only {open} were still open at the end")),
                Err(error) => self.failed(&name, &peer, &error),
            }
        }
        Ok(())
    }

    fn http2(&mut self) -> Result<(), String> {
        let peers = self.start_all()?;
        let size = Size::Kib1;
        let requests = size.requests(self.quick);
        for round in 0..=self.rounds {
            for connections in HTTP2_CONNECTIONS {
                let name = format!("HTTP/2, 1 KiB, {connections} × {STREAMS} streams");
                for peer in &peers {
                    let path = size.path();
                    let load = H2load {
                        url: &peer.url(true, &path),
                        fields: &self.ground.fields(peer, true, &path),
                        requests,
                        connections,
                        streams: Some(STREAMS),
                        length: size.bytes(),
                    };
                    let before = Used::of(peer);
                    match load.run(&self.ground.h2load) {
                        Ok(_) if round == 0 => {}
                        Ok(rate) => {
                            let used = before.until_now(peer);
                            let proxy = peer.proxy.name();
                            self.sample((&name, "µs CPU/request"), true, proxy, used.micros_per(requests));
                            self.sample((&name, "requests/s"), false, proxy, rate);
                            self.sample((&name, "% of its CPU in its busiest thread"), true, proxy, used.busiest());
                        }
                        Err(error) => self.failed(&name, peer, &error),
                    }
                }
            }
            eprintln!("versus   HTTP/2: round {round} of {}", self.rounds);
        }
        Ok(())
    }
}

impl Bench<'_> {
    /// The same answers, from each one's cache.
    fn hits(&mut self) -> Result<(), String> {
        let caches: Vec<Proxy> = self.proxies.iter().copied().filter(|proxy| proxy.has_cache()).collect();
        let peers = caches.iter().map(|proxy| self.start(*proxy)).collect::<Result<Vec<_>, _>>()?;
        let sizes: Vec<Size> = self.sizes.iter().copied().filter(|size| *size != Size::Mib1).collect();
        for round in 0..=self.rounds {
            for tls in [false, true] {
                for size in sizes.clone() {
                    let name = format!("a hit, {}, {}", if tls { "TLS" } else { "clear text" }, size.name());
                    let requests = size.requests(self.quick);
                    for peer in peers.iter().filter(|peer| peer.proxy.has_tls() || !tls) {
                        let load = H2load {
                            url: &peer.url(tls, &size.storable()),
                            fields: &[],
                            requests,
                            connections: CONNECTIONS,
                            streams: None,
                            length: size.bytes(),
                        };
                        let before = Used::of(peer);
                        match load.run(&self.ground.h2load) {
                            // The first round warms up.
                            Ok(_) if round == 0 => {}
                            Ok(_) => {
                                let used = before.until_now(peer).micros_per(requests);
                                self.sample((&name, "µs CPU/request"), true, peer.proxy.name(), used);
                            }
                            Err(error) => self.failed(&name, peer, &error),
                        }
                    }
                }
            }
            eprintln!("versus   hits: round {round} of {}", self.rounds);
        }
        self.entries(&caches)
    }

    /// What an entry takes: the memory of a fresh process before and after it has stored many.
    fn entries(&mut self, caches: &[Proxy]) -> Result<(), String> {
        let runtime = runtime()?;
        let count = if self.quick { 100 } else { ENTRIES };
        for proxy in caches {
            let peer = self.start(*proxy)?;
            let link = self.ground.link(&peer, false)?;
            let path = Size::Kib1.storable();
            runtime.block_on(ask(&link, &path, 0..100))?;
            let before = memory(&peer.running.family());
            let name = format!("{count} entries of 1 KiB");
            match runtime.block_on(ask(&link, &path, 100..100 + count)) {
                Ok(()) => {
                    let after = memory(&peer.running.family());
                    #[expect(clippy::cast_precision_loss, reason = "thousands of entries, megabytes")]
                    let each = after.proportional.saturating_sub(before.proportional) as f64 / 1024.0 / count as f64;
                    self.sample((&name, "KiB (PSS) for each"), true, proxy.name(), each);
                }
                Err(error) => self.failed(&name, &peer, &error),
            }
        }
        Ok(())
    }
}

/// Asks for so many different URLs, one after the other, on one connection.
async fn ask(link: &Link, path: &str, numbers: std::ops::Range<usize>) -> Result<(), String> {
    let io = TokioIo::new(link.connect().await?);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.map_err(|e| e.to_string())?;
    let driver = tokio::spawn(connection);
    for n in numbers {
        let request = http::Request::get(format!("{path}?{n}")).header("host", link.address.to_string());
        let request = request.body(Empty::<bytes::Bytes>::new()).map_err(|e| e.to_string())?;
        sender.ready().await.map_err(|e| e.to_string())?;
        let response = sender.send_request(request).await.map_err(|e| e.to_string())?;
        if response.status() != 200 {
            return Err(format!("the answer is {}", response.status()));
        }
        response.into_body().collect().await.map_err(|e| e.to_string())?;
    }
    driver.abort();
    Ok(())
}

/// CPU that a proxy's threads have used, in seconds.
struct Used(BTreeMap<u32, f64>);

impl Used {
    fn of(peer: &Peer) -> Self {
        Self(threads(&peer.running.family()))
    }

    /// What was used since. Lines of the log may still be on their way to the file: a moment for them.
    fn until_now(&self, peer: &Peer) -> Self {
        thread::sleep(Duration::from_millis(50));
        let now = threads(&peer.running.family());
        Self(now.into_iter().map(|(tid, used)| (tid, used - self.0.get(&tid).unwrap_or(&0.0))).collect())
    }

    fn micros_per(&self, requests: usize) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "thousands of requests")]
        let requests = requests as f64;
        self.0.values().sum::<f64>() * 1e6 / requests
    }

    fn busiest(&self) -> f64 {
        let all: f64 = self.0.values().sum();
        self.0.values().copied().fold(0.0, f64::max) * 100.0 / all
    }
}

#[expect(clippy::cast_precision_loss, reason = "megabytes")]
fn mib(bytes: u64) -> f64 {
    bytes as f64 / MIB
}

/// On this thread: the load generator is not to spread over the cores.
fn runtime() -> Result<tokio::runtime::Runtime, String> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())
}

/// One request; its id as the answer has it, and the body.
async fn get(link: &Link, path: &str, fields: &[(String, String)]) -> Result<(String, Vec<u8>), String> {
    let io = TokioIo::new(link.connect().await?);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.map_err(|e| e.to_string())?;
    let driver = tokio::spawn(connection);
    let mut request = http::Request::get(path).header("host", link.address.to_string());
    for (name, value) in fields {
        request = request.header(name, value);
    }
    let request = request.body(Empty::<bytes::Bytes>::new()).map_err(|e| e.to_string())?;
    let response = sender.send_request(request).await.map_err(|e| e.to_string())?;
    if response.status() != 200 {
        return Err(format!("the answer is {}", response.status()));
    }
    let id = response.headers().get("x-request-id").and_then(|id| id.to_str().ok()).map(ToOwned::to_owned);
    let body = response.into_body().collect().await.map_err(|e| e.to_string())?.to_bytes();
    driver.abort();
    Ok((id.ok_or("there is no X-Request-Id in the answer")?, body.into()))
}

/// Whether the access log has a line with that id, soon, and the line is JSON.
fn logged(peer: &Peer, id: &str) -> Result<(), String> {
    let until = Instant::now() + LINE;
    loop {
        let log = fs::read_to_string(&peer.log).unwrap_or_default();
        if let Some(line) = log.lines().find(|line| line.contains(id)) {
            return match serde_json::from_str::<serde_json::Value>(line) {
                Ok(line) if line.is_object() => Ok(()),
                _ => Err(format!("its log line is no JSON: {line}")),
            };
        }
        if Instant::now() > until {
            return Err(format!("its log {} has no line for request {id}", peer.log.display()));
        }
        thread::sleep(Duration::from_millis(20));
    }
}
