//! One request from when it is due to its answer's last byte, and what belongs to it: the file that a redirect leads to, the events of a
//! stream, the messages over a WebSocket.

mod stays;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::record::{Observation, Recorder, TIMEOUT, micros};
use crate::scenario::{Scenario, Stays, Step};
use crate::target::Target;
use crate::visitors::Turn;
use crate::way::{Line, Sender, Way};
use crate::words::Words;

/// Everything that requests of a round share.
pub(crate) struct Asker {
    pub(crate) way: Arc<Way>,
    pub(crate) recorder: Mutex<Recorder>,
    /// By the kind of visitor, then step.
    kinds: Vec<Vec<Asked>>,
    words: Words,
    /// `Cookie` of each session.
    pub(crate) sessions: RwLock<Vec<HeaderValue>>,
    signed_in: Vec<bool>,
    target: Target,
    yes: Vec<String>,
    timeout: Duration,
    zeros: Bytes,
    /// Requests that were sent, with those that follow from others, and how many may be.
    sent: AtomicU64,
    most: u64,
    pub(crate) in_flight: AtomicUsize,
    /// Event streams and WebSockets that are open.
    pub(crate) streams: AtomicUsize,
    /// The round is over: what stays open is let go.
    pub(crate) over: CancellationToken,
    /// Hosts that redirects led to and that may not be loaded.
    pub(crate) refused: Mutex<BTreeSet<String>>,
}

/// A step, with what is known of it beforehand.
struct Asked {
    step: Step,
    method: Method,
    fields: Vec<(HeaderName, String)>,
    route: usize,
    /// Where it is counted what follows from it: the file, or the messages.
    second: usize,
}

/// An answer that was read.
struct Answer {
    status: u16,
    fields: HeaderMap,
    bytes: u64,
}

/// Why a request failed.
type Kind = &'static str;

impl Asker {
    pub(crate) fn new(
        scenario: &Scenario,
        target: &Target,
        yes: &[String],
        way: Arc<Way>,
        began: Instant,
    ) -> Result<Self, String> {
        let routes = scenario.routes();
        let place = |name: &str| routes.iter().position(|route| route == name).unwrap_or(routes.len());
        let mut kinds = Vec::new();
        let mut longest = 0;
        for visitor in &scenario.visitor {
            let mut asked = Vec::new();
            for step in &visitor.step {
                longest = longest.max(step.body_bytes.unwrap_or(0));
                let mut fields: BTreeMap<&String, &String> = visitor.fields.iter().collect();
                fields.extend(&step.fields);
                let name = |(name, value): (&String, &String)| {
                    let known = HeaderName::try_from(name).map_err(|_| format!("`{name}` is no name of a field"))?;
                    Ok((known, value.clone()))
                };
                let second = if step.follow { "the file" } else { "a message" };
                asked.push(Asked {
                    method: Method::from_bytes(step.method.as_bytes()).map_err(|e| e.to_string())?,
                    fields: fields.into_iter().map(name).collect::<Result<_, String>>()?,
                    route: place(&step.route),
                    second: place(&format!("{}, {second}", step.route)),
                    step: step.clone(),
                });
            }
            kinds.push(asked);
        }
        Ok(Self {
            way,
            recorder: Mutex::new(Recorder::new(began, scenario.phase.len(), routes.len())),
            kinds,
            words: Words::new(&scenario.choose, target.read_secrets()?),
            sessions: RwLock::default(),
            signed_in: scenario.visitor.iter().map(|visitor| visitor.signed_in).collect(),
            target: target.clone(),
            yes: yes.to_vec(),
            timeout: scenario.bounds.timeout.0,
            zeros: Bytes::from(vec![b'0'; longest]),
            sent: AtomicU64::new(0),
            most: scenario.bounds.requests,
            in_flight: AtomicUsize::new(0),
            streams: AtomicUsize::new(0),
            over: CancellationToken::new(),
            refused: Mutex::default(),
        })
    }

    /// Whether one more may be sent, also one that follows from another.
    pub(crate) fn may_send(&self) -> bool {
        self.sent.fetch_add(1, Ordering::Relaxed) < self.most
    }

    /// Whether one was not sent because it would have been one too many.
    pub(crate) fn is_over_bounds(&self) -> bool {
        self.sent.load(Ordering::Relaxed) > self.most
    }

    fn asked(&self, turn: &Turn) -> Option<&Asked> {
        self.kinds.get(turn.kind).and_then(|steps| steps.get(turn.step))
    }

    /// Whether there is room for one more of its kind: under way, or open and staying so.
    pub(crate) fn has_room(&self, turn: &Turn, most: usize) -> bool {
        let stays = self.asked(turn).is_some_and(|asked| asked.step.stays != Stays::No);
        self.in_flight.load(Ordering::Relaxed) < most && !(stays && self.streams.load(Ordering::Relaxed) >= most)
    }

    fn late(&self, due: Instant) {
        let late = micros(due.elapsed());
        self.recorder.lock().unwrap_or_else(PoisonError::into_inner).late.saturating_record(late);
    }

    /// Counts one that was never sent.
    pub(crate) fn not_sent(&self, turn: &Turn, phase: usize, due: Instant) {
        let Some(asked) = self.asked(turn) else { return };
        self.late(due);
        self.note(phase, asked.route, due, due, Err(Failed::from("not sent: too many under way")));
    }

    /// Sends it and sees to the end of it.
    pub(crate) async fn perform(self: Arc<Self>, turn: Turn, phase: usize, due: Instant) {
        // Whoever deals has counted it, so that none is overlooked that has not begun.
        let under_way = Counted(&self.in_flight);
        // Here and not where it is dealt: what waits for the runtime is late by the generator's fault, too.
        self.late(due);
        let Some(asked) = self.asked(&turn) else { return };
        match asked.step.stays {
            Stays::No => self.ask(asked, &turn, phase, due).await,
            Stays::Events => self.listen(asked, &turn, phase, due, under_way).await,
            Stays::Websocket => self.converse(asked, &turn, phase, due, under_way).await,
        }
    }

    async fn ask(&self, asked: &Asked, turn: &Turn, phase: usize, due: Instant) {
        let mut sent = due;
        let one = async {
            let _free = turn.line.free().await;
            sent = Instant::now();
            let request = self.request(asked, turn)?;
            let response = turn.line.sender().request(request).await.map_err(|e| kind_of(&e))?;
            read(response).await
        };
        let answered = timeout(self.timeout, one).await.unwrap_or(Err(TIMEOUT));
        let outcome = answered.map_err(Failed::from).and_then(|answer| expected(answer, &asked.step.expect));
        let leads = match &outcome {
            Ok(answer) if asked.step.follow && matches!(answer.status, 301 | 302 | 303 | 307 | 308) => {
                answer.fields.get(header::LOCATION).cloned()
            }
            _ => None,
        };
        self.note(phase, asked.route, due, sent, outcome);
        if let Some(location) = leads.filter(|_| self.may_send()) {
            self.follow(asked, &turn.line, phase, &location).await;
        }
    }

    /// The file, by a URL that needs none of our fields.
    async fn follow(&self, asked: &Asked, line: &Line, phase: usize, location: &HeaderValue) {
        let due = Instant::now();
        let one = async {
            let uri = location.to_str().ok().and_then(|to| self.way.resolve(to)).ok_or("a Location that is no URL")?;
            if uri.authority() != self.way.uri().authority() && !self.target.may_follow(&uri, &self.yes) {
                let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
                refused.insert(uri.host().unwrap_or_default().to_owned());
                return Err("a redirect to where we may not go");
            }
            let mut request = Request::get(uri);
            if let Some(range) = &asked.step.range {
                request = request.header(header::RANGE, range);
            }
            let request = request.body(Full::default()).map_err(|_| "no request")?;
            read(line.files().request(request).await.map_err(|e| kind_of(&e))?).await
        };
        let answered = timeout(self.timeout, one).await.unwrap_or(Err(TIMEOUT));
        let outcome = answered.map_err(Failed::from).and_then(|answer| expected(answer, &[200, 206]));
        self.note(phase, asked.second, due, due, outcome);
    }

    fn request(&self, asked: &Asked, turn: &Turn) -> Result<Request<Full<Bytes>>, Kind> {
        let mut rng = rand::rng();
        let target = self.words.fill(&asked.step.path, &mut rng);
        let (scheme, authority) = (self.way.uri().scheme_str(), self.way.uri().authority());
        let uri = Uri::builder()
            .scheme(scheme.unwrap_or("http"))
            .authority(authority.map_or("", |authority| authority.as_str()))
            .path_and_query(target.as_str())
            .build();
        let body = match (&asked.step.body, asked.step.body_bytes) {
            (Some(text), _) if asked.step.stays == Stays::No => Bytes::from(self.words.fill(text, &mut rng)),
            (_, Some(length)) => self.zeros.slice(..length.min(self.zeros.len())),
            _ => Bytes::new(),
        };
        let request = Request::builder().method(asked.method.clone()).uri(uri.map_err(|_| "no request")?);
        let mut request = request.body(Full::new(body)).map_err(|_| "no request")?;
        for (name, value) in &asked.fields {
            let value = self.words.fill(value, &mut rng);
            request.headers_mut().append(name, HeaderValue::try_from(value).map_err(|_| "no request")?);
        }
        if self.signed_in.get(turn.kind) == Some(&true) {
            let sessions = self.sessions.read().unwrap_or_else(PoisonError::into_inner);
            let place = usize::try_from(turn.session).unwrap_or_default().checked_rem(sessions.len());
            let session = place.and_then(|place| sessions.get(place)).ok_or("nobody is signed in")?;
            request.headers_mut().insert(header::COOKIE, session.clone());
        }
        let (line, fields) = (&turn.line, request.headers_mut());
        self.way.sign(line, asked.method.as_str(), &target, fields).map_err(|_| "no request")?;
        Ok(request)
    }

    fn note(&self, phase: usize, route: usize, due: Instant, sent: Instant, outcome: Result<Answer, Failed>) {
        let ended = Instant::now();
        let mut seen = Observation { phase, route, due, sent, ended, status: None, error: None, bytes: 0, hit: None };
        match outcome {
            Ok(answer) => {
                seen.status = Some(answer.status);
                seen.bytes = answer.bytes;
                seen.hit = hit(&answer.fields);
            }
            Err(Failed(status, kind)) => (seen.status, seen.error) = (status, Some(kind)),
        }
        self.recorder.lock().unwrap_or_else(PoisonError::into_inner).take(&seen);
    }
}

/// A status where there was an answer, and what is wrong.
struct Failed(Option<u16>, Kind);

impl From<Kind> for Failed {
    fn from(kind: Kind) -> Self {
        Self(None, kind)
    }
}

/// Whether the status is one of those that are right.
fn expected(answer: Answer, expect: &[u16]) -> Result<Answer, Failed> {
    let status = answer.status;
    let right = if expect.is_empty() { (200..400).contains(&status) } else { expect.contains(&status) };
    if right { Ok(answer) } else { Err(Failed(Some(status), "status")) }
}

async fn read(response: Response<Incoming>) -> Result<Answer, Kind> {
    let (parts, mut body) = response.into_parts();
    let mut bytes = 0;
    while let Some(frame) = body.frame().await {
        bytes += frame.map_err(|_| "cut off")?.data_ref().map_or(0, |data| data.len() as u64);
    }
    Ok(Answer { status: parts.status.as_u16(), fields: parts.headers, bytes })
}

fn kind_of(error: &hyper_util::client::legacy::Error) -> Kind {
    if error.is_connect() {
        return "connect";
    }
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if let Some(hyper) = cause.downcast_ref::<hyper::Error>() {
            return if hyper.is_parse() { "not HTTP" } else { "closed" };
        }
        source = cause.source();
    }
    "closed"
}

/// An error with what caused it: hyper's own word for a certificate that is not trusted is `client error (Connect)`.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut said = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_says = cause.to_string();
        // Some repeat what is below them.
        if !said.contains(&cause_says) {
            said.push_str(": ");
            said.push_str(&cause_says);
        }
        source = cause.source();
    }
    said
}

/// Whether any cache on the way answered from its store (RFC 9211).
pub(crate) fn hit(fields: &HeaderMap) -> Option<bool> {
    let mut spoke = false;
    for value in fields.get_all("cache-status") {
        spoke = true;
        let text = value.to_str().unwrap_or_default();
        if text.split(',').any(|cache| cache.split(';').any(|parameter| parameter.trim() == "hit")) {
            return Some(true);
        }
    }
    spoke.then_some(false)
}

/// Adds one while it lives.
struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn one(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Asks once, outside of what is measured; status, fields and body.
pub(crate) async fn once(sender: &Sender, request: Request<Full<Bytes>>) -> Result<(u16, HeaderMap, Bytes), String> {
    let uri = request.uri().clone();
    let one = async {
        let response = sender.request(request).await.map_err(|e| format!("{uri}: {}", chain(&e)))?;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.map_err(|e| format!("{uri}: {e}"))?.to_bytes();
        Ok((parts.status.as_u16(), parts.headers, body))
    };
    timeout(Duration::from_secs(10), one).await.unwrap_or_else(|_| Err(format!("{uri}: no answer within 10 s")))
}
