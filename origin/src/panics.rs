//! A panic in a request's handling ends that request, with a 500, and nothing else. What was half done elsewhere is dropped with
//! it: connections close, places are given back.
//!
//! The panic's place is said on standard error, where Rust says it.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::metrics::{self, Event};

/// What `handling` comes to; what its panic said, where it panics, and then it is not to be polled again.
///
/// It stays where it is: moved into a future around it, it would be copied, which costs more than all else here.
///
/// What it shares with other requests stays usable: locks are taken for a few lines at a time, and a poisoned one is taken all the
/// same.
pub(crate) fn poll<F: Future>(handling: Pin<&mut F>, cx: &mut Context<'_>) -> Poll<Result<F::Output, String>> {
    match catch_unwind(AssertUnwindSafe(|| handling.poll(cx))) {
        Ok(polled) => polled.map(Ok),
        Err(panic) => {
            metrics::event(Event::Panic, "");
            Poll::Ready(Err(message(&*panic)))
        }
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref().cloned()).unwrap_or_else(|| "no text".to_owned())
}

#[cfg(test)]
mod tests {
    use super::poll;
    use std::future::poll_fn;
    use std::pin::pin;

    async fn caught<T>(handling: impl Future<Output = T>) -> Result<T, String> {
        let mut handling = pin!(handling);
        poll_fn(|cx| poll(handling.as_mut(), cx)).await
    }

    #[tokio::test]
    async fn what_a_panic_said_is_known() {
        assert_eq!(caught(async { 1 }).await, Ok(1));
        let later = async {
            tokio::task::yield_now().await;
            panic!("a {}", "reason");
        };
        assert_eq!(caught(later).await, Err::<(), _>("a reason".to_owned()));
        assert_eq!(caught(async { panic!("plain") }).await, Err::<(), _>("plain".to_owned()));
        assert_eq!(caught(async { std::panic::panic_any(1) }).await, Err::<(), _>("no text".to_owned()));
    }
}
