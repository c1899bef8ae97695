//! The link to the other gateway: asking its private listener, and answering it there.
//!
//! `GET /orders?after=NUMBER` has one line, and then what the exchange with the edge says ([`contract::news`]):
//!
//! ```text
//! peer-orders 1 2f1c0a9d5e6b7788 1795000000180
//! edge-exchange 1 1795000000125 1
//! hard 1795000000125 tag creator-7
//! ```
//!
//! First the format and its version, the process that answers, and the number up to which it gives none any more.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use cache::purge::Log;
use contract::news::{self, News};
use http::header::AUTHORIZATION;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::peer::{POLL, Turn};
use super::{Orders, PoisonError, following, now};
use crate::gateway::Gateway;

/// Where it is asked.
pub(crate) const PATH: &str = "/orders";
const FORMAT: &str = "peer-orders 1";
/// For a connection and an answer: less than what counts as silence.
const WITHIN: Duration = Duration::from_millis(500);
/// Bytes of an answer that are taken at most.
const LARGEST: usize = 16 << 20;
/// What an answer says at most; the other half is more than what stands around so many names, and the standing orders.
const BOUNDS: following::Bounds = following::Bounds { most: 2 * (Log::MOST + 1), longest: LARGEST / 2 };

/// What the other has said.
struct Said {
    /// The process that has.
    instance: u64,
    promised: u64,
    news: News,
}

impl Said {
    fn parse(text: &str) -> Option<Self> {
        let (head, news) = text.split_once('\n')?;
        let (instance, promised) = head.strip_prefix(FORMAT)?.strip_prefix(' ')?.split_once(' ')?;
        let instance = u64::from_str_radix(instance, 16).ok()?;
        Some(Self { instance, promised: promised.parse().ok()?, news: News::parse(news)? })
    }
}

/// Where we are with one process of the other gateway.
#[derive(Clone, Copy, Default)]
struct Cursor {
    instance: u64,
    after: u64,
}

impl Orders {
    /// Answers the other gateway, which knows our orders up to `after`; nothing where there is none.
    pub(crate) fn answer_peer(&self, after: u64) -> Option<String> {
        self.peer.as_ref()?;
        // What another process of ours has ordered while one hands over to the other.
        if self.with_journal(|journal| journal.is_behind()) == Some(true) {
            self.change(|_| {}, |journal, known| journal.read(known));
        }
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let newest = known.log.newest();
        // While nobody can order anything.
        let promised = self.with_peer(|peer| peer.asked(after, newest, now(), self.began.elapsed()))?;
        let news = following::news(&known.log, &known.standing, after, BOUNDS);
        drop(known);
        self.settle();
        Some(format!("{FORMAT} {:016x} {promised}\n{news}", self.instance))
    }

    /// Takes over what the other has said; whether there was anything new.
    fn learn_of_peer(&self, said: &Said) -> bool {
        let before = self.newest();
        let news = &said.news;
        if news.sequence > before || !news.purges.is_empty() || news.standing.is_some() {
            self.change(|known| drop(known.learn(news)), |journal, known| journal.learn(known, news));
        }
        self.with_peer(|peer| peer.heard(said.promised, self.began.elapsed()));
        self.settle();
        self.newest() > before
    }

    /// Decides anew what edges are told.
    fn settle(&self) {
        let settled = self.with_peer(|peer| {
            let turn = peer.settle(self.newest(), self.began.elapsed());
            (turn, peer.told())
        });
        let Some((turn, told)) = settled else { return };
        self.told.fetch_max(told, Ordering::AcqRel);
        match turn {
            Turn::Same => {}
            Turn::Left => {
                tracing::warn!("the other gateway does not answer, or does not ask: orders go to edges without it")
            }
            Turn::Back(since) => {
                tracing::info!("the other gateway is there; what was ordered without it is ordered once more");
                self.order_again(since);
            }
        }
    }

    /// Purges once more what has a number above `since`.
    fn order_again(&self, since: u64) {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner).log.since(since, usize::MAX);
        for soft in [true, false] {
            let scopes: Vec<_> = known.iter().filter(|p| p.soft == soft).map(|p| p.scope.clone()).collect();
            if !scopes.is_empty() {
                self.purge(&scopes, soft);
            }
        }
    }

    /// Whether the other gateway is heard, where there is one.
    pub(crate) fn hears_peer(&self) -> Option<bool> {
        self.with_peer(|peer| !peer.is_silent())
    }
}

/// Asks the other gateway, for as long as we serve.
pub(crate) async fn follow(gateway: Arc<Gateway>) {
    let Some(peer) = &gateway.config.peer else { return };
    let mut connection = None;
    let mut cursor = Cursor::default();
    // From then on our successor asks; what it learns we read in the journal.
    while !gateway.draining.has_begun() {
        let asked = tokio::time::timeout(WITHIN, ask(&mut connection, &gateway, peer.admin, cursor.after)).await;
        let said = asked.unwrap_or_else(|_| Err(format!("no answer within {} ms", WITHIN.as_millis())));
        let more = match said {
            Ok(said) if cursor.after > 0 && said.instance != cursor.instance => {
                // Another process has not made the promise that we have asked after.
                cursor = Cursor::default();
                true
            }
            Ok(said) => {
                cursor = Cursor { instance: said.instance, after: said.promised };
                gateway.orders.learn_of_peer(&said)
            }
            Err(error) => {
                connection = None;
                gateway.orders.settle();
                tracing::debug!(peer.address = %peer.admin, error, "the other gateway can't be asked");
                false
            }
        };
        // Where there was something, it hears at once that we know it.
        if !more {
            tokio::time::sleep(POLL).await;
        }
    }
}

type Connection = SendRequest<Empty<Bytes>>;

async fn ask(
    open: &mut Option<Connection>,
    gateway: &Gateway,
    address: std::net::SocketAddr,
    after: u64,
) -> Result<Said, String> {
    let mut sender = match open.take().filter(|sender| !sender.is_closed()) {
        Some(sender) => sender,
        None => {
            let stream = TcpStream::connect(address).await.map_err(|e| e.to_string())?;
            let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(|e| e.to_string())?;
            tokio::spawn(connection);
            sender
        }
    };
    let mut request = Request::get(format!("{PATH}?{}", news::query(after))).header("host", address.to_string());
    if let Some(token) = gateway.config.admin.as_ref().and_then(|admin| admin.token.as_ref()) {
        request = request.header(AUTHORIZATION, token.bearer());
    }
    let request = request.body(Empty::new()).map_err(|e| e.to_string())?;
    let answer = sender.send_request(request).await.map_err(|e| e.to_string())?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), LARGEST).collect().await.map_err(|e| e.to_string())?.to_bytes();
    if status != StatusCode::OK {
        return Err(format!("it says {status}"));
    }
    *open = Some(sender);
    std::str::from_utf8(&body).ok().and_then(Said::parse).ok_or_else(|| "it says what is no orders".to_owned())
}

#[cfg(test)]
mod tests {
    use cache::purge::{Log, Scope};
    use contract::news::What;
    use edge::Standing;

    use super::{BOUNDS, FORMAT, LARGEST, Said, following};

    /// However much there is to tell, the other takes it.
    #[test]
    fn what_is_told_is_never_too_long_to_be_heard() {
        let said = |length: usize| {
            let mut log = Log::starting_at(0);
            for n in 1..Log::MOST {
                log.add(&Scope::Tag(format!("{n}{}", "x".repeat(length)).into()), false);
                log.add(&Scope::Tag(format!("{n}{}", "x".repeat(length)).into()), true);
            }
            let news = following::news(&log, &Standing::default(), 1, BOUNDS);
            let text = format!("{FORMAT} {:016x} {}\n{news}", 7, log.newest());
            assert!(text.len() < LARGEST, "{length}: {}", text.len());
            Said::parse(&text).expect("whole").news.purges
        };
        let (all, cut) = (said(100), said(4_000));
        assert_eq!(all.len(), 2 * (Log::MOST - 1) - 1, "all but the one that is known");
        assert!(all.iter().all(|purge| purge.what != What::All));
        // What has no room is told as one of everything, and what is newer by name.
        let (last, named) = cut.split_last().expect("some");
        assert!(last.what == What::All && named.len() > 1_000 && named.iter().all(|purge| purge.at >= last.at));
    }
}
