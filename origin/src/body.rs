//! The body type of everything the data plane sends, downstream and upstream: one enum, so that nothing is boxed on the
//! way, and later parts (collapsed fetches, ranges) add a kind and no layer.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;

use crate::access::Report;
use crate::chunk_log::{Broken, Reader};
use crate::drain::Drain;
use crate::endless::Endless;
use crate::limits::connections::Place;
use crate::limits::upload::{Progress, Upload};
use crate::upstream::{Download, Lease};

/// A body, and the access-log record that is written when its last byte has gone or its receiver has.
pub struct Body {
    kind: Kind,
    record: Option<Report>,
    /// The place of the connection that this goes to or comes from, held for as long as it does.
    place: Option<Arc<Place>>,
}

enum Kind {
    Empty,
    Full(Bytes),
    /// From a client, on the way to an app.
    Upload(Box<Upload>),
    /// From an app.
    Download(Download),
    /// From an app, by way of the cache, which receives it.
    Followed(Box<Reader>),
    /// One after the other, without trailers.
    Joined(Box<[Body; 2]>),
    /// Sent by somebody else: it never comes to its first byte.
    Elsewhere(Endless),
    /// From our own routes and static files, off the hot path.
    Own(axum::body::Body),
}

/// Why a body broke off.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The peer's connection failed or ended early.
    #[error("the connection ended before the body did: {0}")]
    Connection(#[from] hyper::Error),
    /// A client's body is over the limit.
    #[error("the body is over limits.body")]
    TooLarge,
    /// A client sends its body too slowly.
    #[error("the body comes slower than limits.body_rate")]
    TooSlow,
    /// An app has stopped in the middle of its answer.
    #[error("no byte came for timeouts.idle")]
    Idle,
    /// The same, of a stream that is read without hyper.
    #[error("the connection ended before the body did: {0}")]
    Stream(std::io::Error),
    /// What the cache was receiving did not come to its end.
    #[error("{0}")]
    Broken(#[from] Broken),
    /// One of our own routes failed.
    #[error("{0}")]
    Own(#[from] axum::Error),
}

impl Body {
    const fn of(kind: Kind) -> Self {
        Self { kind, record: None, place: None }
    }

    /// No bytes.
    #[must_use]
    pub const fn empty() -> Self {
        Self::of(Kind::Empty)
    }

    /// Bytes at hand.
    #[must_use]
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self::of(if bytes.is_empty() { Kind::Empty } else { Kind::Full(bytes) })
    }

    /// A client's body: `most` bytes, and not slower than `least_rate` bytes a second. It holds its connection's place, as its answer
    /// does: that may have ended before.
    pub(crate) fn downstream(incoming: Incoming, most: u64, least_rate: u64, place: &Arc<Place>) -> Self {
        if incoming.is_end_stream() {
            return Self::empty();
        }
        Self::of(Kind::Upload(Box::new(Upload::new(incoming, most, least_rate)))).holding(Arc::clone(place))
    }

    /// An app's body, with the connection it comes on; it breaks off where no byte comes for `idle`, and ends early with
    /// `drain` where that is given.
    pub(crate) fn upstream(incoming: Incoming, lease: Lease, idle: Duration, drain: Option<Drain>) -> Self {
        if incoming.is_end_stream() {
            lease.give_back();
            return Self::empty();
        }
        Self::of(Kind::Download(Download::new(incoming, lease, idle, drain)))
    }

    /// In place of an endless body that is taken from hyper.
    pub(crate) const fn elsewhere(endless: Endless) -> Self {
        Self::of(Kind::Elsewhere(endless))
    }

    /// Whether it is an app's that ends early where the gateway drains.
    pub(crate) const fn is_endless(&self) -> bool {
        matches!(&self.kind, Kind::Download(download) if download.is_endless())
    }

    /// A client's body, bounded further.
    pub(crate) fn at_most(mut self, most: u64) -> Self {
        if let Kind::Upload(upload) = &mut self.kind {
            upload.at_most(most);
        }
        self
    }

    /// How far a client's body has come; `None` where there is none.
    pub(crate) fn progress(&self) -> Option<Arc<Progress>> {
        match &self.kind {
            Kind::Upload(upload) => Some(upload.progress()),
            _ => None,
        }
    }

    /// A body that the cache is receiving.
    pub(crate) fn followed(reader: Reader) -> Self {
        Self::of(Kind::Followed(Box::new(reader)))
    }

    /// One body after another: what is stored of one, and the rest of it.
    pub(crate) fn joined(first: Self, second: Self) -> Self {
        Self::of(Kind::Joined(Box::new([first, second])))
    }

    /// A body of one of our own routes.
    #[must_use]
    pub fn own(body: axum::body::Body) -> Self {
        Self::of(Kind::Own(body))
    }

    /// Holds its connection's place until it ends.
    pub(crate) fn holding(mut self, place: Arc<Place>) -> Self {
        self.place = Some(place);
        self
    }

    /// Has `record` written when this body ends.
    pub(crate) fn reporting(mut self, record: Report) -> Self {
        self.record = Some(record);
        self
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        let frame = match &mut this.kind {
            Kind::Empty => None,
            Kind::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                this.kind = Kind::Empty;
                Some(Ok(Frame::data(bytes)))
            }
            Kind::Upload(upload) => ready!(upload.poll_frame(cx)),
            Kind::Download(download) => ready!(download.poll_frame(cx)),
            Kind::Followed(reader) => ready!(Pin::new(&mut **reader).poll_frame(cx)).map(|f| f.map_err(Into::into)),
            Kind::Joined(two) => ready!(poll_data(&mut **two, cx)),
            Kind::Elsewhere(endless) => {
                endless.asked();
                return Poll::Pending;
            }
            Kind::Own(body) => ready!(Pin::new(body).poll_frame(cx)).map(|f| f.map_err(Into::into)),
        };
        if let Some(record) = &mut this.record {
            match &frame {
                Some(Ok(frame)) => record.sent(frame.data_ref().map_or(0, Bytes::len)),
                Some(Err(error)) => record.cut(error),
                None => record.complete(),
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Empty => true,
            Kind::Full(_) | Kind::Elsewhere(_) => false,
            Kind::Upload(upload) => upload.is_end_stream(),
            Kind::Download(download) => download.is_end_stream(),
            Kind::Followed(reader) => reader.is_end_stream(),
            Kind::Joined(two) => two.iter().all(HttpBody::is_end_stream),
            Kind::Own(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Empty => SizeHint::with_exact(0),
            Kind::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Kind::Upload(upload) => upload.size_hint(),
            Kind::Download(download) => download.size_hint(),
            Kind::Followed(reader) => reader.size_hint(),
            Kind::Joined(two) => {
                let lengths = two.each_ref().map(|body| body.size_hint().exact());
                match lengths {
                    [Some(first), Some(second)] => SizeHint::with_exact(first.saturating_add(second)),
                    _ => SizeHint::new(),
                }
            }
            Kind::Elsewhere(_) => SizeHint::new(),
            Kind::Own(body) => body.size_hint(),
        }
    }
}

/// The next bytes of what comes first and has any.
fn poll_data(bodies: &mut [Body], cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
    for body in bodies {
        while let Some(frame) = ready!(Pin::new(&mut *body).poll_frame(cx)) {
            if frame.as_ref().is_ok_and(Frame::is_trailers) {
                continue;
            }
            return Poll::Ready(Some(frame));
        }
    }
    Poll::Ready(None)
}
