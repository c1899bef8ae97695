//! One connection from downstream: handshake, then HTTP/1.1 or HTTP/2 until either side ends it or the gateway drains.

mod http1;
mod http2;
mod relay;

use std::convert::Infallible;
use std::future::poll_fn;
use std::io::ErrorKind;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::endless::Endless;
use crate::gateway::Core;
use crate::limits::connections::Place;
use crate::listen::{self, Guard, Identity, Stream, Switched};
use crate::metrics::{self, Event};
use crate::trust::Peer;
use crate::{panics, service};

/// Bytes of an HTTP/1.1 connection's read and write buffers at most, or a request's head, where that may be larger.
const BUFFER: usize = 64 << 10;

/// A connection as its requests see it.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    pub(crate) peer: Peer,
    /// To be set when it switches to another protocol.
    pub(crate) switched: Switched,
    /// Its place among the open ones; whoever goes on with it after a switch keeps it.
    pub(crate) place: Arc<Place>,
}

/// Holds one connection to its end. Where there is no identity it is in clear text.
pub(crate) async fn hold(core: Arc<Core>, identity: Option<Arc<Identity>>, mut stream: Stream, mut place: Place) {
    metrics::count(|counts| counts.connections.add(1));
    if identity.is_some() && !introduced(&core, &mut stream).await {
        return;
    }
    let address = stream.peer();
    if let Stream::Tcp(stream, _) = &stream {
        // Without it small answers wait for the peer's acknowledgement.
        let _ = stream.set_nodelay(true);
    }
    let timeouts = &core.gateway.config.timeouts;
    let clear = Peer { address, certified: false, tls: false };
    match (stream, identity) {
        (Stream::Tcp(stream, _), Some(identity)) => {
            // In a box, which is gone when the handshake is done.
            match Box::pin(identity.accept(stream, address, timeouts.handshake.0)).await {
                Ok(Some(shaken)) => {
                    metrics::count(|counts| counts.handshakes.add(1));
                    let peer = Peer { address, certified: shaken.certified, tls: true };
                    // Behind our zone's certificate are many clients, and on loopback a proxy of ours.
                    if !peer.certified && !address.is_loopback() && !place.is_of(address) {
                        metrics::event(Event::ConnectionRefused, "connections-per-client");
                        return tracing::info!(client.address = %address, "closed: it has limits.connections_per_client open");
                    }
                    converse(core, shaken.stream, peer, place, shaken.http2).await;
                }
                // A CA has looked whether a name is ours.
                Ok(None) => {}
                Err(error) => {
                    metrics::event(Event::Handshake, listen::why_no_handshake(&error));
                    tracing::debug!(client.address = %address, %error, "no handshake");
                }
            }
        }
        (stream, _) => {
            let http2 = tokio::select! {
                begins = tokio::time::timeout(timeouts.head.0, begins_http2(&stream)) => begins.unwrap_or(false),
                // It has said nothing yet, so nothing is lost.
                () = core.gateway.draining.lingered() => return,
            };
            match stream {
                Stream::Tcp(stream, _) => converse(core, stream, clear, place, http2).await,
                Stream::Unix(stream) => converse(core, stream, clear, place, http2).await,
            }
        }
    }
}

/// Has a balancer, where one passes the connection on, say for whom; `false` where it does not.
pub(crate) async fn introduced(core: &Core, stream: &mut Stream) -> bool {
    let config = &core.gateway.config;
    if !stream.is_passed_on_by(&config.listen.balancers) {
        return true;
    }
    let balancer = stream.peer();
    // In a box, which is gone when it has said so.
    match Box::pin(stream.introduce(config.timeouts.handshake.0)).await {
        Ok(()) => return true,
        // It has looked whether somebody listens.
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
            tracing::debug!(balancer.address = %balancer, "a balancer has left before it said for whom it comes");
        }
        Err(error) => {
            metrics::event(Event::ConnectionRefused, "proxy-header");
            tracing::warn!(balancer.address = %balancer, %error, "closed: the balancer does not say by the PROXY protocol for whom it comes");
        }
    }
    false
}

/// Whether a client in clear text begins with HTTP/2's preface (RFC 9113 section 3.3); no method begins like it.
async fn begins_http2(stream: &Stream) -> bool {
    let mut first = [0; 3];
    loop {
        match stream.peek(&mut first).await {
            Ok(n) if n > 0 && first[..n] == b"PRI"[..n] => {
                if n == 3 {
                    return true;
                }
                // One byte of three is there; the others are on their way.
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            _ => return false,
        }
    }
}

async fn converse<I>(core: Arc<Core>, io: I, peer: Peer, place: Place, http2: bool)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let drain = core.gateway.draining.clone();
    let max_head = usize::try_from(core.gateway.config.limits.head.0).unwrap_or(BUFFER);
    let head_within = core.gateway.config.timeouts.head.0;
    let switched = Switched::default();
    let connection = Connection { peer, switched: switched.clone(), place: Arc::new(place) };
    let place = Arc::clone(&connection.place);
    let endless = Endless::default();
    let taken = (!http2).then(|| endless.clone());
    let service = service_fn(move |request| {
        let (core, connection) = (Arc::clone(&core), connection.clone());
        let open = connection.place.request();
        let endless = taken.clone();
        // Here it stays so small that the future is made where it will be: it is large, and would be copied.
        async move {
            let fit = endless.and_then(|endless| endless.fits(&request));
            let mut serving = pin!(service::serve(core, connection, request));
            let answered = poll_fn(|cx| panics::poll(serving.as_mut(), cx)).await;
            let response = answered.unwrap_or_else(|panic| service::panicked(&panic));
            let response = response.map(|body| body.holding(open));
            Ok::<_, Infallible>(match fit {
                Some(fit) => fit.take_endless(response),
                None => response,
            })
        }
    });
    // In boxes: each is far larger than what a parked connection comes to.
    let ended = if http2 {
        Box::pin(http2::converse(io, service, place, drain, max_head, head_within)).await.map_err(Into::into)
    } else {
        let (endlessly, own) = (endless.clone(), Arc::clone(&place));
        let guard = Box::new(Guard::new(io, max_head, head_within, peer.address, switched, endlessly, own));
        http1::converse(guard, service, endless, place, drain, max_head, head_within).await
    };
    if let Err(error) = ended {
        tracing::debug!(client.address = %peer.address, %error, "the connection broke off");
    }
}
