//! `/health/events`: the page's changing part, again, to whoever has it open. As many as are configured; each gets the last picture when it
//! can take one, so that nothing piles up.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::Frame;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::Instant;

use super::Health;
use super::shown::Shown;
use crate::drain::Drain;

/// How often the figures are sent anew where no level has changed.
const OFTEN: Duration = Duration::from_secs(60);
/// How often something is sent at least, lest somebody between takes the connection for dead.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// The events of one subscriber, as a body.
pub(crate) struct Events {
    next: mpsc::Receiver<Bytes>,
    _place: OwnedSemaphorePermit,
}

impl Health {
    /// Events for one more subscriber; `None` where there are enough, or there is no page.
    pub(crate) fn events(&self, site: usize, draining: Drain) -> Option<Events> {
        let place = Arc::clone(&self.0.subscribers).try_acquire_owned().ok().filter(|_| self.has_page())?;
        let (sender, next) = mpsc::channel(1);
        let health = self.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = health.feed(site, &sender) => {}
                () = sender.closed() => {}
                () = draining.spread() => {}
            }
        });
        Some(Events { next, _place: place })
    }

    async fn feed(&self, site: usize, sender: &mpsc::Sender<Bytes>) {
        let mut news = self.0.news.subscribe();
        let (mut signature, mut sent) = (None, Instant::now());
        loop {
            let Some(shown) = self.shown(site) else { return };
            let now = signature_of(&shown);
            let event = if signature != Some(now) || sent.elapsed() >= OFTEN {
                (signature, sent) = (Some(now), Instant::now());
                event(shown.fragment())
            } else {
                ": still there\n\n".to_owned()
            };
            drop(shown);
            if sender.send(event.into()).await.is_err() {
                return;
            }
            // Until a level has changed, or something must be sent.
            let quiet = tokio::time::sleep(KEEP_ALIVE);
            tokio::pin!(quiet);
            loop {
                tokio::select! {
                    () = &mut quiet => break,
                    changed = news.changed() => match changed {
                        Ok(()) if self.shown(site).is_some_and(|shown| Some(signature_of(&shown)) == signature) => {}
                        Ok(()) => break,
                        Err(_) => return,
                    },
                }
            }
        }
    }
}

/// What of a picture is worth an event of its own.
fn signature_of(shown: &Shown) -> (u8, u64, usize) {
    let services =
        shown.services.iter().fold(0, |all: u64, service| all * 3 % 0xffff_fffb + u64::from(service.level.code()));
    (shown.level.code(), services, shown.incidents.len())
}

/// In the form of an event stream (WHATWG HTML, section 9.2.6).
fn event(html: &str) -> String {
    let mut event = String::with_capacity(html.len() + html.len() / 16);
    event.push_str("event: status\n");
    for line in html.lines().filter(|line| !line.trim().is_empty()) {
        event.push_str("data: ");
        event.push_str(line);
        event.push('\n');
    }
    event.push('\n');
    event
}

impl http_body::Body for Events {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::convert::Infallible>>> {
        self.next.poll_recv(cx).map(|next| next.map(|bytes| Ok(Frame::data(bytes))))
    }
}
