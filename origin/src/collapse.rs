//! One request to the app for many that ask for the same: each boards a flight, and one of them fetches.

use std::future::poll_fn;
use std::pin::pin;

use contract::Problem;
use edge::{Errand, Fetched, Sharing, fetch as errand};
use tokio::sync::oneshot;

use crate::flights::{Boarding, Flight, Landing};
use crate::native::Native;
use crate::panics;

/// Carries an errand out, or waits for another's.
pub(crate) async fn fetch(native: &Native, errand: Errand<Native>) -> Fetched<Native> {
    let Some(key) = errand.shared_key() else { return errand::run(native, errand).await };
    match native.gateway().flights.board(key.as_str()) {
        Boarding::Alone => {
            let fetched = errand::run(native, errand.alone()).await;
            if matches!(&fetched, Fetched::Answer { sharing: Sharing::Found | Sharing::Next, .. }) {
                native.gateway().flights.forget(key.as_str());
            }
            fetched
        }
        // What it did not find has landed meanwhile.
        Boarding::Lead(flight) if errand.is_cold() && native.gateway().store.get(&key).is_some() => {
            flight.land(Landing::Stored);
            Fetched::Again(Box::new(errand))
        }
        Boarding::Lead(flight) => lead(native.clone(), flight, errand).await,
        Boarding::Follow(follow) => match follow.landed().await {
            Landing::Failed(problem) => errand::failed(native, problem, errand).await,
            Landing::Stored | Landing::Gone => Fetched::Again(Box::new(errand)),
            Landing::NotStored => errand::run(native, errand).await,
        },
    }
}

/// In a task of its own: others may wait for it, and then it goes on when the client that it began with has left.
async fn lead(native: Native, flight: Flight, errand: Errand<Native>) -> Fetched<Native> {
    let (mut done, answer) = oneshot::channel();
    tokio::spawn(async move {
        let mut fetching = pin!(run(&native, errand));
        let fetched = tokio::select! {
            fetched = &mut fetching => fetched,
            () = done.closed() => {
                if !flight.is_followed() {
                    return;
                }
                fetching.await
            }
        };
        flight.land(match &fetched {
            Fetched::Answer { sharing: Sharing::Found, .. } => Landing::Stored,
            Fetched::Failed(problem) => Landing::Failed(*problem),
            Fetched::Answer { .. } | Fetched::Again(_) => Landing::NotStored,
        });
        // Where nobody is there any more to have it, that is that.
        drop(done.send(fetched));
    });
    answer.await.unwrap_or(Fetched::Failed(Problem::Internal))
}

/// Carries an errand out for nobody. One at a time for each key is enough.
pub(crate) fn fetch_later(native: &Native, errand: Errand<Native>) {
    let key = errand.exchange.key();
    if let Boarding::Lead(flight) = native.gateway().refreshes.board(key.as_str()) {
        let native = native.clone();
        tokio::spawn(async move {
            drop(run(&native, errand).await);
            flight.land(Landing::Stored);
        });
    }
}

/// Carries an errand out in a task of its own, where a panic is told like one that a client's request has.
async fn run(native: &Native, errand: Errand<Native>) -> Fetched<Native> {
    let id = errand.exchange.id;
    let mut running = pin!(errand::run(native, errand));
    poll_fn(|cx| panics::poll(running.as_mut(), cx)).await.unwrap_or_else(|panic| {
        tracing::error!(request.id = %id, panic, "a request's handling panicked");
        Fetched::Failed(Problem::Internal)
    })
}
