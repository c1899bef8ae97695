//! The body of an app's answer, on its way to the client: bounded in silence, and with the connection that it comes on.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};

use super::Lease;
use crate::body::BodyError;
use crate::drain::Drain;

/// An app's body.
pub(crate) struct Download {
    incoming: Incoming,
    lease: Option<Lease>,
    idle: Duration,
    /// Made when there is something to wait for.
    alarm: Option<Pin<Box<Sleep>>>,
    waiting: bool,
    /// Ready when an endless body should end.
    end: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    ended: bool,
}

impl Download {
    /// With `drain` it is a body without an end: it ends when the gateway drains.
    pub(crate) fn new(incoming: Incoming, lease: Lease, idle: Duration, drain: Option<Drain>) -> Self {
        let end = drain.map(|drain| Box::pin(drain.spread()) as Pin<Box<dyn Future<Output = ()> + Send>>);
        Self { incoming, lease: Some(lease), idle, alarm: None, waiting: false, end, ended: false }
    }

    pub(crate) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(end) = &mut self.end
            && end.as_mut().poll(cx).is_ready()
        {
            (self.end, self.lease) = (None, None);
            self.ended = true;
        }
        if self.ended {
            return Poll::Ready(None);
        }
        let Poll::Ready(frame) = Pin::new(&mut self.incoming).poll_frame(cx) else {
            return self.wait(cx).map(|()| Some(Err(BodyError::Idle)));
        };
        self.waiting = false;
        match &frame {
            Some(Err(_)) => self.lease = None,
            // Given back as soon as the last byte is here: the receiver may never ask for the end.
            Some(Ok(frame)) if !frame.is_trailers() && !self.incoming.is_end_stream() => {}
            _ => {
                if let Some(lease) = self.lease.take() {
                    lease.give_back();
                }
            }
        }
        Poll::Ready(frame.map(|f| f.map_err(Into::into)))
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

    pub(crate) fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
