//! What stays open: event streams, and WebSockets with their messages.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use futures_util::{SinkExt as _, StreamExt as _};
use http::{HeaderMap, Uri};
use http_body_util::BodyExt as _;
use hyper_util::rt::TokioIo;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite;
use tower::Service as _;

use super::{Answer, Asked, Asker, Counted, Failed, Kind, expected, kind_of};
use crate::record::TIMEOUT;
use crate::scenario::Step;
use crate::visitors::Turn;

/// How late the runtime's timers may wake.
const TIMERS: Duration = Duration::from_millis(2);

impl Asker {
    pub(super) async fn listen(&self, asked: &Asked, turn: &Turn, phase: usize, due: Instant, opening: Counted<'_>) {
        let sent = Instant::now();
        let one = async {
            let request = self.request(asked, turn)?;
            let response = turn.line.sender().request(request).await.map_err(|e| Failed::from(kind_of(&e)))?;
            let answer = Answer { status: response.status().as_u16(), fields: response.headers().clone(), bytes: 0 };
            expected(answer, &asked.step.expect)?;
            let mut body = response.into_body();
            let mut begun = Vec::new();
            while !has_event(&begun) {
                let frame = body.frame().await.and_then(Result::ok).ok_or(Failed::from("closed"))?;
                begun.extend_from_slice(&frame.into_data().unwrap_or_default());
            }
            Ok::<_, Failed>(body)
        };
        let opened = timeout(self.timeout, one).await.unwrap_or(Err(Failed::from(TIMEOUT)));
        let (body, outcome) = match opened {
            Ok(body) => (Some(body), Ok(Answer { status: 200, fields: HeaderMap::new(), bytes: 0 })),
            Err(failed) => (None, Err(failed)),
        };
        self.note(phase, asked.route, due, sent, outcome);
        drop(opening);
        let Some(mut body) = body else { return };
        let _counted = Counted::one(&self.streams);
        let rest = async { while let Some(Ok(_)) = body.frame().await {} };
        tokio::select! {
            ended = timeout(lasts(&asked.step), rest) => if ended.is_ok() { self.broke_off(phase, asked.route) },
            () = self.over.cancelled() => {}
        }
    }

    pub(super) async fn converse(&self, asked: &Asked, turn: &Turn, phase: usize, due: Instant, opening: Counted<'_>) {
        let sent = Instant::now();
        let opened = timeout(self.timeout, self.open_socket(asked, turn)).await.unwrap_or(Err(TIMEOUT));
        let (socket, outcome) = match opened {
            Ok(socket) => (Some(socket), Ok(Answer { status: 101, fields: HeaderMap::new(), bytes: 0 })),
            Err(kind) => (None, Err(Failed::from(kind))),
        };
        self.note(phase, asked.route, due, sent, outcome);
        drop(opening);
        let Some(mut socket) = socket else { return };
        let _counted = Counted::one(&self.streams);
        let every = asked.step.every.map_or(Duration::from_secs(1), |every| every.0);
        let until = Instant::now() + lasts(&asked.step);
        let mut due = Instant::now() + every;
        while due < until {
            tokio::select! {
                () = tokio::time::sleep_until(due.into()) => {}
                () = self.over.cancelled() => return,
            }
            if !self.may_send() {
                return;
            }
            let text = self.words.fill(asked.step.body.as_deref().unwrap_or("hello"), &mut rand::rng());
            let _under_way = Counted::one(&self.in_flight);
            let sent = Instant::now();
            // The runtime's timers are only good to the millisecond; what is later is not theirs.
            let from = if sent.saturating_duration_since(due) < TIMERS { sent } else { due };
            let one = async {
                socket.send(tungstenite::Message::text(text)).await.map_err(|_| "closed")?;
                while !socket.next().await.ok_or("closed")?.map_err(|_| "closed")?.is_text() {}
                Ok::<_, Kind>(Answer { status: 101, fields: HeaderMap::new(), bytes: 0 })
            };
            let answered = timeout(self.timeout, one).await.unwrap_or(Err(TIMEOUT));
            let failed = answered.is_err();
            self.note(phase, asked.second, from, sent, answered.map_err(Failed::from));
            if failed {
                return;
            }
            due += every;
        }
        let _ = timeout(Duration::from_secs(1), socket.close(None)).await;
    }

    async fn open_socket(
        &self,
        asked: &Asked,
        turn: &Turn,
    ) -> Result<tokio_tungstenite::WebSocketStream<impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin>, Kind>
    {
        let (parts, _) = self.request(asked, turn)?.into_parts();
        let scheme = if parts.uri.scheme_str() == Some("https") { "wss" } else { "ws" };
        let io = turn.line.upgrade.clone().call(parts.uri.clone()).await.map_err(|_| "connect")?;
        let authority = parts.uri.authority().map_or("", |authority| authority.as_str());
        let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
        let uri: Uri = format!("{scheme}://{authority}{target}").parse().map_err(|_| "no request")?;
        let request = tungstenite::ClientRequestBuilder::new(uri);
        let request = parts.headers.iter().fold(request, |request, (name, value)| {
            request.with_header(name.as_str(), value.to_str().unwrap_or_default())
        });
        let opened = tokio_tungstenite::client_async(request, TokioIo::new(io)).await;
        opened.map(|(socket, _)| socket).map_err(|error| match error {
            tungstenite::Error::Http(_) => "status",
            _ => "closed",
        })
    }

    fn broke_off(&self, phase: usize, route: usize) {
        let mut recorder = self.recorder.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(record) = recorder.routes.get_mut(phase).and_then(|routes| routes.get_mut(route)) {
            *record.errors.entry("broke off").or_default() += 1;
        }
    }
}

/// Whether a first event is there: an empty line, by whichever end of line (WHATWG HTML, 9.2.6).
fn has_event(text: &[u8]) -> bool {
    [&b"\n\n"[..], b"\r\r", b"\r\n\r\n"].iter().any(|end| text.windows(end.len()).any(|part| part == *end))
}

fn lasts(step: &Step) -> Duration {
    step.lasts.map_or(Duration::ZERO, |lasts| lasts.0)
}

#[cfg(test)]
mod tests {
    use super::has_event;

    #[test]
    fn an_event_ends_with_an_empty_line_of_any_kind() {
        for (text, is_there) in [
            ("data: 1\n\n", true),
            ("data: 1\r\n\r\n", true),
            ("data: 1\r\r", true),
            (": hello\ndata: 1\n\nda", true),
            ("data: 1\n", false),
            ("data: 1\r\ndata: 2\r\n", false),
            ("", false),
        ] {
            assert_eq!(has_event(text.as_bytes()), is_there, "{text:?}");
        }
    }
}
