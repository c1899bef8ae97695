//! Uploads that an app allows beforehand, at routes of their own, as GitLab's Workhorse has them: the app is asked once whether and where to, the bytes go
//! from the client to the bucket, and the app is told when they are there.
//!
//! ```text
//! client ▸ POST {path}           ▸ app: POST {path}/authorize   ▸ a form, or how many parts
//!        ▸ POST {path}/parts                                    ▸ URLs of parts
//!        ▸ POST {path}/list                                     ▸ which parts are there
//!        ▸ POST {path}/complete  ▸ app: POST {path}/done        ▸ what the app says
//!        ▸ POST {path}/abort
//! ```
//!
//! Whatever else the app answers is the client's answer. Nothing is kept here: what is to be known of an upload its client holds, sealed.

mod asked;
mod grant;
mod token;

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use cache::Fields as _;
use contract::{Problem, Target, header};
use edge::exchange::Refused;
use edge::{Answer, Conditions, Exchange, FieldsMut as _, Host as _, pipeline};
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, RANGE, SET_COOKIE, TRANSFER_ENCODING,
    UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::body::Body;
use crate::config::{Bucket, UploadRoute};
use crate::filtering;
use crate::head::{HeaderFields, Incoming};
use crate::native::Native;
use crate::storage::{Failure, Form, Found, InParts, Part, Plan, Refused as StoreRefused, Store, Upload, instant};
use asked::{Done, Step, Which, Wish};
use grant::{Beyond, Grant};
use token::Sealed;

/// The app's word on whether an upload may begin.
static GRANT: HeaderName = HeaderName::from_static("upload-grant");
/// What the app is told of a client's wish.
static WISH: HeaderName = HeaderName::from_static("upload-wish");

/// Bytes of what a client may send at any step.
const LONGEST: u64 = 64 << 10;
/// Parts that are signed in one request.
const PARTS: usize = 1_000;

/// All routes.
#[derive(Debug, Default)]
pub(crate) struct Uploads {
    routes: Vec<Route>,
}

/// A route, and what has come of its requests.
#[derive(Debug)]
pub(crate) struct Route {
    settings: UploadRoute,
    outcomes: Mutex<BTreeMap<&'static str, u64>>,
}

/// What came of a request: the answer, and why it is not as was asked.
pub(crate) struct Answered {
    pub(crate) answer: Answer<HeaderFields, Body>,
    pub(crate) reason: &'static str,
}

/// Why a step is not taken.
enum No {
    /// One of our own problems.
    Problem(Problem),
    /// The client asks for what can't be: status, code, and what would be right.
    Client(u16, &'static str, String),
    /// The app's answer stands.
    App(Box<Answer<HeaderFields, Body>>),
}

impl From<Problem> for No {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

/// An upload, as its client holds it.
#[derive(Debug, Deserialize, Serialize)]
struct Ticket {
    role: String,
    key: String,
    #[serde(rename = "type")]
    content_type: String,
    length: u64,
    /// Whether the key was made up for this upload, so that no other object can have it.
    own: bool,
    /// Where it goes in parts.
    multipart: Option<Multipart>,
}

#[derive(Debug, Deserialize, Serialize)]
struct Multipart {
    id: String,
    part_size: u64,
    mark: String,
}

impl Ticket {
    fn upload(&self) -> Upload<'_> {
        Upload { key: &self.key, content_type: &self.content_type, length: self.length, sha256: None, lasts: None }
    }

    /// Where it goes in parts.
    fn in_parts(&self) -> Result<InParts<'_>, No> {
        let Some(Multipart { id, part_size, mark }) = &self.multipart else {
            return Err(No::Client(409, "upload-in-one", "this upload goes in one go, by its form".to_owned()));
        };
        let plan = Plan { length: self.length, part_size: *part_size };
        Ok(InParts { upload: self.upload(), id, plan, mark })
    }
}

impl Uploads {
    pub(crate) fn new(routes: &[UploadRoute]) -> Self {
        let route = |settings: &UploadRoute| Route { settings: settings.clone(), outcomes: Mutex::default() };
        Self { routes: routes.iter().map(route).collect() }
    }

    /// Whose path it is, and which step.
    pub(crate) fn find(&self, path: &str) -> Option<(&Route, Step)> {
        self.routes.iter().find_map(|route| Some((route, asked::step(path, &route.settings.path)?)))
    }

    /// How many requests came to what, by route.
    pub(crate) fn outcomes(&self) -> Vec<(&str, &'static str, u64)> {
        let mut all = Vec::new();
        for Route { settings, outcomes } in &self.routes {
            let outcomes = outcomes.lock().unwrap_or_else(PoisonError::into_inner);
            all.extend(outcomes.iter().map(|(outcome, count)| (&*settings.name, *outcome, *count)));
        }
        all
    }
}

/// Answers a request to a route.
pub(crate) async fn answer(
    native: &Native,
    route: &Route,
    step: Step,
    exchange: &Exchange,
    incoming: Incoming,
    body: Option<Body>,
) -> Answered {
    let taken = take(native, &route.settings, step, exchange, incoming, body).await;
    let (answer, outcome, reason) = match taken {
        Ok(answer) => (answer, step.as_str(), ""),
        Err(No::App(answer)) => (*answer, "refused-by-app", ""),
        Err(No::Problem(problem)) => {
            let mut answer = pipeline::refuse(native, &Refused { problem, id: exchange.id, json: true });
            if problem == Problem::MethodNotAllowed {
                answer.fields.0.insert(ALLOW, HeaderValue::from_static("POST"));
            }
            (answer, problem.as_str(), problem.as_str())
        }
        Err(No::Client(status, code, what)) => {
            let said = json!({ "error": what, "code": code, "request_id": exchange.id.text().as_str() });
            (say(status, &said), code, code)
        }
    };
    *route.outcomes.lock().unwrap_or_else(PoisonError::into_inner).entry(outcome).or_default() += 1;
    let mut answer = answer;
    answer.fields.set(header::REQUEST_ID, exchange.id.text().as_str());
    Answered { answer, reason }
}

async fn take(
    native: &Native,
    route: &UploadRoute,
    step: Step,
    exchange: &Exchange,
    incoming: Incoming,
    body: Option<Body>,
) -> Result<Answer<HeaderFields, Body>, No> {
    if native.standing(|standing| standing.closed(&exchange.authority, exchange.visitor.client).is_some()) {
        return Err(Problem::Maintenance.into());
    }
    if step == Step::None {
        return Err(Problem::NotFound.into());
    }
    if incoming.parts.method != Method::POST {
        return Err(Problem::MethodNotAllowed.into());
    }
    // What another site's page can have a browser send without asking has no such type.
    let kind = incoming.single("content-type").and_then(|kind| kind.split(';').next()).unwrap_or_default();
    if !kind.trim().eq_ignore_ascii_case("application/json") {
        let what = "send JSON, as Content-Type: application/json".to_owned();
        return Err(No::Client(415, "type-refused", what));
    }
    let body = match body {
        Some(body) => filtering::read(body, LONGEST).await?,
        None => Bytes::new(),
    };
    if step == Step::Begin {
        return begin(native, route, exchange, &incoming, &body).await;
    }
    let which: Which = read(&body)?;
    let opened =
        |ticket: &Ticket| bucket(native, &ticket.role).map(|bucket| bucket.reader.credentials().secret.clone());
    let sealed = Sealed::<Ticket>::open(&which.upload, native.now().as_secs(), opened)
        .filter(|sealed| sealed.route == route.name && *sealed.host == *exchange.authority)
        .ok_or_else(|| {
            let what = "upload: not one of this route's, or its time is over: begin it again".to_owned();
            No::Client(400, "upload-refused", what)
        })?;
    match step {
        Step::Parts => parts(native, &sealed, &which.parts),
        Step::List => list(native, &sealed).await,
        Step::Abort => abort(native, &sealed).await,
        _ => {
            // A client that goes away now has its upload completed all the same, and the app told.
            let (native, route, exchange) = (native.clone(), route.clone(), exchange.clone());
            let completing = async move { complete(&native, &route, &exchange, &incoming, &sealed).await };
            tokio::spawn(completing).await.unwrap_or(Err(No::Problem(Problem::Internal)))
        }
    }
}

/// Asks the app, and begins what it allows.
async fn begin(
    native: &Native,
    route: &UploadRoute,
    exchange: &Exchange,
    incoming: &Incoming,
    body: &[u8],
) -> Result<Answer<HeaderFields, Body>, No> {
    let wish: Wish = read(body)?;
    if let Some(fault) = wish.fault() {
        return Err(No::Client(422, "wish-refused", fault));
    }
    if wish.size > route.size {
        return Err(too_large(route.size));
    }
    let mut more = HeaderMap::new();
    more.insert(&WISH, grant::wish_field(&wish).ok_or(Problem::BadRequest)?);
    let allowed = ask(native, exchange, incoming, &format!("{}/authorize", route.path), more, None).await?;
    let mut said = allowed.fields.0.get_all(&GRANT).iter();
    let value = match (said.next(), said.next()) {
        (Some(value), None) if (200..300).contains(&allowed.status) => value.clone(),
        (Some(_), _) => return Err(no_grant(&"its status says no, or the field is there twice")),
        // The app's no, in its own words.
        (None, _) => return Err(No::App(Box::new(allowed))),
    };
    let grant = Grant::parse(&value).map_err(|error| no_grant(&error))?;
    grant.covers(&wish, route.size).map_err(|beyond| match beyond {
        Beyond::Size(most) => too_large(most),
        Beyond::Type(kind) => No::Client(415, "type-refused", format!("type: {kind} is what may be uploaded here")),
    })?;
    let bucket =
        bucket(native, &grant.role).ok_or_else(|| no_grant(&format!("there is no [bucket.{}]", grant.role)))?;
    let (key, own, now) = (grant.key(rand::random()), grant.makes_up(), native.now().as_secs());
    let Wish { name, content_type, size: length } = wish;
    let mut ticket = Ticket { role: grant.role, key, content_type, length, own, multipart: None };
    // Parts are signed by the write-only key; without one everything goes in a form.
    let mut told = if ticket.length < bucket.parts_from || bucket.writer.is_none() {
        let Form { url, fields, expires } = ticket.upload().form(bucket, now).map_err(not_taken)?;
        json!({ "form": { "url": url, "fields": fields, "expires_at": instant(expires) } })
    } else {
        let plan = Plan::new(bucket, ticket.length);
        let count = plan.parts().ok_or(Problem::Internal)?;
        let mark = grant::hexadecimal(rand::random());
        let store = store(native, bucket)?;
        let id = store.begin(bucket, &ticket.upload(), &mark).await.map_err(not_taken)?;
        ticket.multipart = Some(Multipart { id, part_size: plan.part_size, mark });
        json!({ "part_size": plan.part_size, "parts": count })
    };
    let until = now + route.lasts.as_secs();
    let secret = bucket.reader.credentials().secret.as_str();
    let sealed =
        Sealed { route: route.name.clone(), host: exchange.authority.to_string(), until, name, upload: ticket };
    told["upload"] = sealed.seal(secret).ok_or(Problem::Internal)?.into();
    told["expires_at"] = instant(until).into();
    let mut answer = say(200, &told);
    for cookie in allowed.fields.0.get_all(SET_COOKIE) {
        answer.fields.0.append(SET_COOKIE, cookie.clone());
    }
    Ok(answer)
}

/// URLs of parts.
fn parts(native: &Native, sealed: &Sealed<Ticket>, numbers: &[u16]) -> Result<Answer<HeaderFields, Body>, No> {
    if numbers.is_empty() || numbers.len() > PARTS {
        let what = format!("parts: 1 to {PARTS} numbers at once, as in [1, 2, 3]");
        return Err(No::Client(422, "wish-refused", what));
    }
    let (ticket, bucket) = (&sealed.upload, of(native, sealed)?);
    let InParts { id, plan, .. } = ticket.in_parts()?;
    let now = native.now().as_secs();
    let sign = |number: &u16| {
        let length = plan.length_of(*number).ok_or_else(|| {
            let count = plan.parts().unwrap_or_default();
            No::Client(422, "part-refused", format!("parts: there is no part {number}: they go from 1 to {count}"))
        })?;
        let part = Part { key: &ticket.key, upload: id, number: *number, length, lasts: None };
        let put = part.sign(bucket, now).map_err(not_taken)?;
        Ok(json!({ "number": number, "url": put.url, "size": length, "expires_at": instant(put.expires) }))
    };
    let all = numbers.iter().map(sign).collect::<Result<Vec<Value>, No>>()?;
    Ok(say(200, &json!({ "parts": all })))
}

/// Which parts are there.
async fn list(native: &Native, sealed: &Sealed<Ticket>) -> Result<Answer<HeaderFields, Body>, No> {
    let bucket = of(native, sealed)?;
    let upload = sealed.upload.in_parts()?;
    let there = store(native, bucket)?.list(bucket, &upload).await.map_err(not_taken)?;
    let there: Vec<u16> = there.iter().map(|part| part.number).collect();
    let all = 1..=upload.plan.parts().unwrap_or_default();
    let missing: Vec<u16> = all.filter(|number| there.binary_search(number).is_err()).collect();
    Ok(say(
        200,
        &json!({ "parts": there, "missing": missing, "part_size": upload.plan.part_size, "size": upload.plan.length }),
    ))
}

/// Gives it up.
async fn abort(native: &Native, sealed: &Sealed<Ticket>) -> Result<Answer<HeaderFields, Body>, No> {
    let bucket = of(native, sealed)?;
    let ticket = &sealed.upload;
    let id = ticket.in_parts()?.id;
    store(native, bucket)?.abort(bucket, &ticket.key, id).await.map_err(not_taken)?;
    let mut headers = HeaderMap::new();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(Answer { status: 204, fields: HeaderFields(headers), body: Body::empty() })
}

/// Makes the object whole, looks whether it is what was announced, and tells the app.
async fn complete(
    native: &Native,
    route: &UploadRoute,
    exchange: &Exchange,
    incoming: &Incoming,
    sealed: &Sealed<Ticket>,
) -> Result<Answer<HeaderFields, Body>, No> {
    let (ticket, bucket) = (&sealed.upload, of(native, sealed)?);
    let store = store(native, bucket)?;
    let found = match &ticket.multipart {
        Some(_) => store.complete(bucket, &ticket.in_parts()?).await,
        None => store.arrived(bucket, &ticket.upload()).await,
    };
    let (found, pending) = match found {
        Ok(found) => (found, bucket.pending.is_some()),
        // Perhaps the app has released it, and its answer got lost.
        Err(failure) => (released(store, bucket, ticket, &failure).await.ok_or_else(|| not_taken(failure))?, false),
    };
    let done = Done {
        bucket: &ticket.role,
        key: &ticket.key,
        pending,
        version: found.version.as_deref(),
        etag: &found.etag,
        size: found.length,
        content_type: &found.content_type,
        name: &sealed.name,
    };
    let text = serde_json::to_vec(&done).map_err(|_| Problem::Internal)?;
    let mut more = HeaderMap::new();
    more.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let path = format!("{}/done", route.path);
    let answer = ask(native, exchange, incoming, &path, more, Some(text.into())).await?;
    if (200..300).contains(&answer.status) { Ok(answer) } else { Err(No::App(Box::new(answer))) }
}

/// An upload that waits no more where it had landed, but lies under its own key.
async fn released(store: &Store, bucket: &Bucket, ticket: &Ticket, failure: &Failure) -> Option<Found> {
    let gone = matches!(failure, Failure::UploadUnknown | Failure::Incomplete(_));
    if !gone || !ticket.own || bucket.pending.is_none() {
        return None;
    }
    let found = store.head(&ticket.key, None).await.ok().flatten();
    found.filter(|found| found.length == ticket.length)
}

/// Asks the app, in the client's name: with its fields and cookies, by POST, and without what it has sent.
async fn ask(
    native: &Native,
    exchange: &Exchange,
    incoming: &Incoming,
    path: &str,
    more: HeaderMap,
    body: Option<Bytes>,
) -> Result<Answer<HeaderFields, Body>, Problem> {
    let target = Target::parse(path, path.len() * 3).map_err(|e| e.problem())?.into_owned();
    let exchange = Exchange { target, ..exchange.clone() };
    let mut asking = incoming.again();
    asking.parts.method = Method::POST;
    asking.parts.uri = path.parse::<Uri>().map_err(|_| Problem::Internal)?;
    let headers = &mut asking.parts.headers;
    for name in
        [&CONTENT_LENGTH, &CONTENT_TYPE, &CONTENT_ENCODING, &TRANSFER_ENCODING, &EXPECT, &RANGE, &UPGRADE, &WISH]
    {
        headers.remove(name);
    }
    headers.extend(more);
    // Also where there is none: some apps want it of every POST.
    headers.insert(CONTENT_LENGTH, HeaderValue::from(body.as_ref().map_or(0, Bytes::len)));
    native.forward(&exchange, asking, body.map(Body::full), Conditions::Clients, false).await
}

fn bucket<'a>(native: &'a Native, role: &str) -> Option<&'a Bucket> {
    native.gateway().config.buckets.iter().find(|bucket| bucket.role == role)
}

/// The bucket of an upload, which was there when it began.
fn of<'a>(native: &'a Native, sealed: &Sealed<Ticket>) -> Result<&'a Bucket, No> {
    bucket(native, &sealed.upload.role).ok_or(No::Problem(Problem::Internal))
}

/// The way to a bucket.
fn store<'a>(native: &'a Native, bucket: &Bucket) -> Result<&'a Store, No> {
    native.gateway().files.store(&bucket.role).map_err(|error| {
        tracing::error!(error, "an upload does not go on");
        No::Problem(Problem::Internal)
    })
}

/// What a client sent, from JSON.
fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, No> {
    serde_json::from_slice(body).map_err(|e| No::Client(400, "bad-request", format!("the body is no such JSON: {e}")))
}

fn too_large(most: u64) -> No {
    No::Client(413, "length-refused", format!("size: {most} bytes are the most that may be uploaded here"))
}

/// What the app said is no grant: the log says why, the client that something is wrong with us.
fn no_grant(error: &dyn std::fmt::Display) -> No {
    tracing::error!(%error, "the app's upload grant is refused");
    Problem::HandoffRefused.into()
}

/// What the bucket or the storage does not take.
fn not_taken(failure: impl Into<Failure>) -> No {
    let failure = failure.into();
    let client = |status| No::Client(status, failure.as_str(), failure.to_string());
    match &failure {
        Failure::Refused(StoreRefused::Type(_)) => client(415),
        Failure::Refused(StoreRefused::TooLarge(_)) => client(413),
        Failure::Refused(refused) => no_grant(refused),
        Failure::Store(error) => {
            tracing::error!(%error, "an upload does not go on");
            No::Client(
                503,
                failure.as_str(),
                "the storage does not answer as it should: try again in a moment".to_owned(),
            )
        }
        Failure::UploadUnknown => client(404),
        Failure::Incomplete(_) | Failure::Differs(_) | Failure::VersionUnknown => client(409),
    }
}

/// An answer of our own, which no cache keeps.
fn say(status: u16, said: &Value) -> Answer<HeaderFields, Body> {
    let text = said.to_string();
    let mut headers = HeaderMap::new();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(text.len()));
    Answer { status, fields: HeaderFields(headers), body: Body::full(text) }
}
