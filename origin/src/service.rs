//! The data plane: one hyper service. Head ▸ site ▸ trust ▸ edge (if not yet done) ▸ cache ▸ app ▸ log.

use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use cache::Phase;
use contract::{Problem, RequestId, Target, client, header, news, wants_json};
use edge::exchange::Refused;
use edge::{Exchange, Head as _, Visitor, challenge, page, pipeline};
use http::header::{ACCEPT, CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Version};

use crate::access::{Record, Report};
use crate::body::Body;
use crate::conversation::Connection;
use crate::gateway::Core;
use crate::head::{HeaderFields, Incoming};
use crate::limits::rate::Asked;
use crate::native::Native;
use crate::trust::{self, Distrust, Peer, Trusted};
use crate::{compress, filtering, forwarded, hand_off, metrics, panics, timing, uploads, webhooks, websocket};

/// Answers one request.
pub(crate) async fn serve(
    core: Arc<Core>,
    connection: Connection,
    mut request: Request<hyper::body::Incoming>,
) -> Response<Body> {
    let started = Instant::now();
    let peer = connection.peer;
    let gateway = Arc::clone(&core.gateway);
    let gateway = &*gateway;
    // Before anything is looked up: what the edge stores of the answer is as of then or later.
    let sequence = gateway.orders.sequence();
    let random: [u8; 16] = rand::random();
    let version = request.version();
    let over_http2 = version == Version::HTTP_2 && websocket::from_http2(&mut request);
    let method = request.method().clone();
    let authority = authority(&request, version);
    let site = authority.as_ref().map_err(|problem| *problem).and_then(|authority| {
        let found = if gateway.sites.have_paths() {
            // A target that is refused goes to any of the host's sites, to be refused there.
            let target = request.uri().path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
            let target = Target::parse(target, target.len() * 3);
            gateway.sites.route(authority, target.as_ref().map_or("", Target::path))
        } else {
            gateway.sites.find(authority)
        };
        let n = found.ok_or(Problem::UnknownHost)?;
        Ok((n, gateway.sites.all().get(n).ok_or(Problem::UnknownHost)?))
    });
    let known = site.as_ref().ok().map(|(n, _)| *n);
    let limits = site.as_ref().map_or(&gateway.config.limits, |(_, site)| &site.limits);
    let too_large = http_body::Body::size_hint(request.body()).lower() > limits.body.0;
    let (parts, body) = request.into_parts();
    let body = Body::downstream(body, limits.body.0, limits.body_rate.0, &connection.place);
    let mut incoming = Incoming { authority: authority.unwrap_or_default().into(), parts, secure: peer.tls };
    let clearance = incoming.take_clearance();
    let site = site.and_then(|site| if too_large { Err(Problem::BodyTooLarge) } else { Ok(site) });
    let mut detail = "";
    let admitted = site.and_then(|(n, site)| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
        match trust::decide(peer, site.trust, gateway.config.edge.as_ref(), &incoming, now) {
            Ok((trusted, facts)) => Ok((n, trusted, facts)),
            Err(why) => {
                detail = why.as_str();
                Err(match why {
                    Distrust::NoCertificate | Distrust::NoSignature => Problem::EdgeRequired,
                    Distrust::BadSignature(_) | Distrust::BadFacts => Problem::SignatureRefused,
                })
            }
        }
    });
    let unknown = Refused {
        problem: Problem::BadRequest,
        id: RequestId::from_random(random),
        json: wants_json(cache::Fields::single(&incoming, "accept"), incoming.target()),
    };
    let serves = admitted.is_ok();
    let (n, trusted, mut exchange) = match admitted {
        Ok((n, trusted, facts)) => {
            incoming.secure |= trusted != Trusted::Direct;
            let max = usize::try_from(limits.target.0).unwrap_or(usize::MAX);
            let exchange = match facts {
                Some(facts) => pipeline::admitted(&incoming, &facts, max),
                None => pipeline::admit(&incoming, visitor(&incoming, peer, trusted), random, max),
            };
            (n, trusted, exchange)
        }
        // No site: any will do to say so, there is at least one.
        Err(problem) => {
            if gateway.sites.all().is_empty() {
                return Response::new(Body::empty());
            }
            (0, Trusted::Direct, Err(Refused { problem, ..unknown }))
        }
    };
    let native = Native { core, site: n, trusted, connection, started };
    if let Ok(exchange) = &mut exchange {
        pipeline::clear(&native, exchange, clearance.as_deref());
    }
    let client = exchange.as_ref().map_or(peer.address, |e| e.visitor.client);
    let path = exchange.as_ref().map_or_else(|_| incoming.parts.uri.path(), |e| e.target.path());
    let id = exchange.as_ref().map_or_else(|r| r.id, |e| e.id);
    let (secure, host) = (incoming.secure, &incoming.authority);
    metrics::count(|counts| counts.begun(&method, secure));
    let record = Record::new(started, id, client, trusted, method, secure, host, path, version);
    let mut record = Report::new(record);
    let wish = gateway.config.compress.as_ref().filter(|_| trusted == Trusted::Direct);
    let wish = wish.map(|settings| (settings, compress::wish(&incoming.parts.headers)));
    (record.site, record.admitted, record.sampling) = (known, serves, gateway.config.log);
    record.operator = timing::is_operators(gateway.config.timing.as_ref(), &incoming.parts.headers);
    record.traces.clone_from(&gateway.traces);
    if let Ok(exchange) = &mut exchange {
        if let Some(traces) = &gateway.traces {
            record.sampled = record.operator || traces.samples(&exchange.trace, exchange.id);
            exchange.trace.sampled |= record.sampled;
        }
        record.trace = exchange.trace;
    }
    let head_only = record.method == http::Method::HEAD;
    let json = exchange.as_ref().map_or_else(|r| r.json, |e| e.json);
    let accept = incoming.parts.headers.get(ACCEPT).cloned();

    let sender = exchange.as_ref().ok().and_then(|exchange| gateway.webhooks.find(exchange.target.path()));
    let answer = match (exchange, sender) {
        (Ok(exchange), Some(sender)) => {
            let upload = (!http_body::Body::is_end_stream(&body)).then_some(body);
            // In a box: few requests are one.
            let delivered = Box::pin(webhooks::answer(&native, sender, &exchange, incoming, upload)).await;
            record.reason = delivered.problem.map_or("", Problem::as_str);
            record.went(&exchange, |upstream| native.upstream_name(upstream));
            delivered.answer
        }
        (Ok(mut exchange), None) => {
            if let Some(closed) = pipeline::come_back_later(&native, &exchange).await {
                record.reason = closed.problem.map_or("", Problem::as_str);
                closed.answer
            } else {
                match filtering::judge(&native, &mut exchange, &incoming, body, &mut record).await {
                    Ok(body) => {
                        let upload = (!http_body::Body::is_end_stream(&body)).then_some(body);
                        let exchange = Arc::new(exchange);
                        let answer = answer(&native, &exchange, incoming, upload, &mut record).await;
                        record.went(&exchange, |upstream| native.upstream_name(upstream));
                        answer
                    }
                    Err(stopped) => {
                        record.went(&exchange, |upstream| native.upstream_name(upstream));
                        stopped
                    }
                }
            }
        }
        (Err(refused), _) => {
            record.reason = if detail.is_empty() { refused.problem.as_str() } else { detail };
            pipeline::refuse(&native, &refused)
        }
    };
    let mut answer = hand_off::carry_out(&native, answer, head_only, accept.as_ref()).unwrap_or_else(|problem| {
        // It was good when it was stored.
        record.reason = problem.as_str();
        pipeline::refuse(&native, &Refused { problem, id, json })
    });
    if let Some(headers) = gateway.config.headers.as_ref().filter(|_| answer.status != StatusCode::SWITCHING_PROTOCOLS)
    {
        headers.apply(secure, &mut answer.fields);
    }
    let mut response = Response::new(answer.body);
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::BAD_GATEWAY);
    *response.headers_mut() = answer.fields.0;
    if let Some((settings, wish)) = wish {
        response = compress::answer(settings, wish, response).await;
    }
    if over_http2 {
        websocket::to_http2(&mut response);
    }
    if trusted == Trusted::EdgeSigned {
        response.headers_mut().insert(forwarded::GATEWAY.clone(), HeaderValue::from_static("1"));
        response.headers_mut().insert(forwarded::PURGE_SEQUENCE.clone(), HeaderValue::from(sequence));
    }
    let rest = [Problem::BadRequest, Problem::BodyTooLarge, Problem::RequestTimeout].map(Problem::as_str);
    let last = gateway.draining.has_begun() && answer.status != StatusCode::SWITCHING_PROTOCOLS;
    if (rest.contains(&record.reason) || last) && version < Version::HTTP_2 {
        // We drain; or where the next request would begin is not sure, or a long way off.
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    record.answered = Instant::now();
    record.status = answer.status;
    if record.operator {
        timing::say(&record, response.headers_mut());
    }
    if head_only {
        // hyper asks a HEAD answer's body for nothing.
        record.complete();
    }
    response.map(|body| body.reporting(record))
}

/// The answer to a request whose handling panicked before there was anything to say of it, not even its id.
pub(crate) fn panicked(panic: &str) -> Response<Body> {
    let id = RequestId::from_random(rand::random());
    tracing::error!(request.id = %id, panic, "a request's handling panicked");
    let reply = page::render(Problem::Internal, id, true);
    let mut response = Response::new(Body::full(reply.body));
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    let headers = response.headers_mut();
    for (name, value) in reply.fields {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // What of the request has been read, nobody knows.
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

async fn answer(
    native: &Native,
    exchange: &Arc<Exchange>,
    incoming: Incoming,
    upload: Option<Body>,
    record: &mut Record,
) -> edge::Answer<HeaderFields, Body> {
    if native.trusted == Trusted::EdgeSigned && exchange.target.path() == news::PATH {
        return news(native, exchange, &incoming);
    }
    let gateway = &native.core.gateway;
    let counted = gateway.rates.check(&Asked {
        exchange,
        method: &incoming.parts.method,
        headers: &incoming.parts.headers,
        // Behind a Cloudflare that is not ours, a creator's own, stand many fans.
        shared: !gateway.rates.is_empty()
            && native.trusted == Trusted::Direct
            && gateway.ranges.contain(exchange.visitor.client),
    });
    if let Some(counted) = counted.as_ref().filter(|counted| counted.wait.is_some()) {
        let problem = Problem::RateLimited;
        record.reason = problem.as_str();
        let refused = Refused { problem, id: exchange.id, json: exchange.json };
        let mut answer = pipeline::refuse(native, &refused);
        counted.say(&mut answer.fields.0);
        return answer;
    }
    if exchange.target.path() == challenge::PATH {
        // In a box: few requests are one.
        return Box::pin(filtering::challenged(native, exchange, incoming.method(), upload, record)).await;
    }
    if let Some((route, step)) = gateway.uploads.find(exchange.target.path()) {
        // In a box: few requests are one.
        let answered = Box::pin(uploads::answer(native, route, step, exchange, incoming, upload)).await;
        record.reason = answered.reason;
        let mut answer = answered.answer;
        if let Some(counted) = counted {
            counted.say(&mut answer.fields.0);
        }
        return answer;
    }
    let mut answering = pin!(pipeline::answer(native, exchange, incoming, upload));
    let answered = match poll_fn(|cx| panics::poll(answering.as_mut(), cx)).await {
        Ok(answered) => answered,
        Err(panic) => {
            tracing::error!(request.id = %exchange.id, panic, "a request's handling panicked");
            record.reason = Problem::Internal.as_str();
            let refused = Refused { problem: Problem::Internal, id: exchange.id, json: exchange.json };
            return pipeline::refuse(native, &refused);
        }
    };
    record.cache = answered.phase.map_or("none", |p| p.as_str());
    record.reason = answered.problem.map_or("", Problem::as_str);
    let mut answer = answered.answer;
    // What is stored, here or at the edge, is for others, too.
    if let Some(counted) = counted.filter(|_| !answered.phase.is_some_and(Phase::is_shared)) {
        counted.say(&mut answer.fields.0);
    }
    answer
}

/// What the edge asks for itself; what it has counted comes with it.
fn news(native: &Native, exchange: &Exchange, incoming: &Incoming) -> edge::Answer<HeaderFields, Body> {
    if let Some(counts) = cache::Fields::single(incoming, header::EDGE_COUNTS) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
        native.core.gateway.metrics.isolates.take(counts, now);
    }
    let text = native.core.gateway.orders.news(news::after(exchange.target.query())).to_string();
    let mut headers = HeaderMap::new();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(text.len()));
    edge::Answer { status: 200, fields: HeaderFields(headers), body: Body::full(text) }
}

/// Who asks: Cloudflare says it on a connection that is Cloudflare's, else it is the peer.
fn visitor(incoming: &Incoming, peer: Peer, trusted: Trusted) -> Visitor {
    let said: Option<IpAddr> = match trusted {
        Trusted::Cloudflare => cache::Fields::single(incoming, header::CF_CONNECTING_IP).and_then(client::parse),
        Trusted::EdgeSigned | Trusted::Direct => None,
    };
    Visitor { client: said.unwrap_or(peer.address), country: None, asn: None }
}

/// The one host that a request is for (RFC 9112 section 3.2): one Host field in HTTP/1.1, and nothing in the target that
/// says otherwise.
pub(crate) fn authority<B>(request: &Request<B>, version: Version) -> Result<String, Problem> {
    let mut hosts = request.headers().get_all(HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (Some(host), None) => Some(host.to_str().map_err(|_| Problem::BadRequest)?),
        (None, None) => None,
        _ => return Err(Problem::BadRequest),
    };
    let named = request.uri().authority().map(http::uri::Authority::as_str);
    let authority = match (named, host) {
        (Some(named), Some(host)) if named.eq_ignore_ascii_case(host) => named,
        (Some(named), None) if version == Version::HTTP_2 => named,
        (None, Some(host)) => host,
        _ => return Err(Problem::BadRequest),
    };
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b':' | b'[' | b']');
    if authority.is_empty() || !authority.bytes().all(plain) {
        return Err(Problem::BadRequest);
    }
    Ok(authority.to_owned())
}
