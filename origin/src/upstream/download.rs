//! The body of an app's answer, on its way to the client: bounded in silence, and with the connection that it comes on.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};

use super::Lease;
use super::events::Events;
use crate::body::BodyError;
use crate::drain::Drain;

/// Where it comes from.
enum Source {
    Hyper(Incoming, Option<Lease>),
    /// Its connection itself: a stream of events.
    Events(Events),
    /// It has ended.
    None,
}

/// An app's body.
pub(crate) struct Download {
    source: Source,
    idle: Duration,
    /// Made when there is something to wait for.
    alarm: Option<Pin<Box<Sleep>>>,
    waiting: bool,
    /// Ready when an endless body should end.
    end: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl Download {
    /// With `drain` it is a body without an end: it ends when the gateway drains.
    pub(crate) fn new(incoming: Incoming, lease: Lease, idle: Duration, drain: Option<Drain>) -> Self {
        let end = drain.map(|drain| Box::pin(drain.spread()) as Pin<Box<dyn Future<Output = ()> + Send>>);
        let source = if lease.is_taken() {
            lease.into_events().map_or(Source::None, Source::Events)
        } else {
            Source::Hyper(incoming, Some(lease))
        };
        Self { source, idle, alarm: None, waiting: false, end }
    }

    pub(crate) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(end) = &mut self.end
            && end.as_mut().poll(cx).is_ready()
        {
            (self.end, self.source) = (None, Source::None);
        }
        let Poll::Ready(frame) = self.source.poll_frame(cx) else {
            return self.wait(cx).map(|()| Some(Err(BodyError::Idle)));
        };
        self.waiting = false;
        Poll::Ready(frame)
    }

    /// Ready when the app has been silent for too long. Time in which nobody asked for more does not count.
    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(tokio::time::sleep(self.idle)));
        if !self.waiting {
            self.waiting = true;
            alarm.as_mut().reset(Instant::now() + self.idle);
        }
        alarm.as_mut().poll(cx)
    }

    /// Whether it ends when the gateway drains.
    pub(crate) const fn is_endless(&self) -> bool {
        self.end.is_some()
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        self.source.is_end_stream()
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Hyper(incoming, _) => incoming.size_hint(),
            Source::Events(_) => SizeHint::new(),
            Source::None => SizeHint::with_exact(0),
        }
    }
}

impl Source {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self {
            Self::Hyper(incoming, lease) => {
                let frame = ready!(Pin::new(&mut *incoming).poll_frame(cx));
                match &frame {
                    Some(Err(_)) => *lease = None,
                    // Given back as soon as the last byte is here: the receiver may never ask for the end.
                    Some(Ok(frame)) if !frame.is_trailers() && !incoming.is_end_stream() => {}
                    _ => {
                        if let Some(lease) = lease.take() {
                            lease.give_back();
                        }
                    }
                }
                Poll::Ready(frame.map(|f| f.map_err(Into::into)))
            }
            Self::Events(events) => {
                let data = ready!(events.poll_data(cx));
                if !matches!(data, Some(Ok(_))) {
                    *self = Self::None;
                }
                Poll::Ready(data.map(|data| data.map(Frame::data).map_err(BodyError::Stream)))
            }
            Self::None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Hyper(incoming, _) => incoming.is_end_stream(),
            Self::Events(events) => events.has_ended(),
            Self::None => true,
        }
    }
}
