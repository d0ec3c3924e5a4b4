//! How a request's body comes in: known to whoever reads it off the wire, and to those who answer the request.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::task::AtomicWaker;
use tokio::sync::Notify;

use crate::host::Failure;

/// Stands for a length that no head has announced.
const UNKNOWN: u64 = u64::MAX;

/// What is known of a request's body on its way in. Cheap to clone; of a request without a body there is nothing to
/// know.
#[derive(Clone, Debug, Default)]
pub(crate) struct Arrival(Option<Arc<State>>);

/// What has not come yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rest {
    /// The body has come whole, or there is none.
    Nothing,
    /// The bytes that the head announced and that have not come.
    Bytes(u64),
    /// The head did not announce a length.
    Unknown,
}

#[derive(Debug)]
struct State {
    fault: OnceLock<Failure>,
    is_whole: AtomicBool,
    /// Bytes that the head announces and that have not come, or [`UNKNOWN`].
    rest: AtomicU64,
    begun: AtomicBool,
    let_go: AtomicBool,
    /// The reader waits, and nothing has come since it asked.
    awaited: AtomicBool,
    reader: AtomicWaker,
    response_over: Notify,
    upload_over: Notify,
}

/// Called by the HTTP library when there is something to read.
impl Wake for State {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.awaited.store(false, Ordering::Release);
        self.reader.wake();
    }
}

impl Arrival {
    /// A body of which nothing has been read; `length` is what the head announces.
    pub(crate) fn of(length: Option<u64>) -> Self {
        Self(Some(Arc::new(State {
            fault: OnceLock::new(),
            is_whole: AtomicBool::new(false),
            rest: AtomicU64::new(length.unwrap_or(UNKNOWN)),
            begun: AtomicBool::new(false),
            let_go: AtomicBool::new(false),
            awaited: AtomicBool::new(false),
            reader: AtomicWaker::new(),
            response_over: Notify::new(),
            upload_over: Notify::new(),
        })))
    }

    /// Reads on: `read` must poll the body with the context that it is given.
    pub(crate) fn poll<T>(
        &self,
        cx: &mut Context<'_>,
        read: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        let Some(state) = &self.0 else { return read(cx) };
        state.begun.store(true, Ordering::Release);
        state.reader.register(cx.waker());
        state.awaited.store(true, Ordering::Release);
        let poll = read(&mut Context::from_waker(&Waker::from(state.clone())));
        if poll.is_ready() {
            state.awaited.store(false, Ordering::Release);
        }
        poll
    }

    /// Counts bytes that have come.
    pub(crate) fn came(&self, bytes: u64) {
        if let Some(state) = &self.0 {
            let rest = state.rest.load(Ordering::Acquire);
            if rest != UNKNOWN {
                // One task reads at a time.
                state.rest.store(rest.saturating_sub(bytes), Ordering::Release);
            }
        }
    }

    /// The body has come whole.
    pub(crate) fn complete(&self) {
        if let Some(state) = &self.0 {
            state.is_whole.store(true, Ordering::Release);
        }
    }

    /// The guest reads no further.
    pub(crate) fn let_go(&self) {
        if let Some(state) = &self.0 {
            state.awaited.store(false, Ordering::Release);
            state.let_go.store(true, Ordering::Release);
        }
    }

    /// The body broke off; the first reason stays.
    pub(crate) fn break_off(&self, failure: Failure) {
        if let Some(state) = &self.0 {
            _ = state.fault.set(failure);
        }
    }

    /// What broke the body off, if anything did: what a guest makes of that is then not what went wrong.
    pub(crate) fn fault(&self) -> Option<Failure> {
        self.0.as_ref()?.fault.get().cloned()
    }

    /// What has not come yet.
    pub(crate) fn rest(&self) -> Rest {
        match &self.0 {
            Some(state) if !state.is_whole.load(Ordering::Acquire) => {
                match state.rest.load(Ordering::Acquire) {
                    UNKNOWN => Rest::Unknown,
                    bytes => Rest::Bytes(bytes),
                }
            }
            _ => Rest::Nothing,
        }
    }

    /// Whether the guest has begun to read.
    pub(crate) fn has_begun(&self) -> bool {
        self.0.as_ref().is_some_and(|state| state.begun.load(Ordering::Acquire))
    }

    /// Whether the guest will read no further.
    pub(crate) fn is_let_go(&self) -> bool {
        self.0.as_ref().is_some_and(|state| state.let_go.load(Ordering::Acquire))
    }

    /// Whether the guest waits for the client: it has asked for more of the body, and nothing has come since.
    pub(crate) fn is_awaited(&self) -> bool {
        self.0.as_ref().is_some_and(|state| state.awaited.load(Ordering::Acquire))
    }

    /// The response is over.
    pub(crate) fn end_response(&self) {
        if let Some(state) = &self.0 {
            state.response_over.notify_one();
        }
    }

    /// Nothing more is read of the body.
    pub(crate) fn end_upload(&self) {
        if let Some(state) = &self.0 {
            state.upload_over.notify_one();
        }
    }

    /// Resolves once nothing more is read of a body that the guest has let go. For one waiter, once.
    pub(crate) async fn upload_over(&self) {
        if let Some(state) = &self.0 {
            state.upload_over.notified().await;
        }
    }

    /// Resolves once the response is over. For one waiter, once.
    pub(crate) async fn response_over(&self) {
        if let Some(state) = &self.0 {
            state.response_over.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Poll::{Pending, Ready};

    #[test]
    fn a_body_is_awaited_from_the_question_to_the_next_bytes() {
        let arrival = Arrival::of(Some(10));
        assert!(!arrival.is_awaited() && !arrival.has_begun());
        let mut library = None;
        let mut cx = Context::from_waker(Waker::noop());
        let poll: Poll<()> = arrival.poll(&mut cx, |cx| {
            library = Some(cx.waker().clone());
            Pending
        });
        assert!(poll.is_pending() && arrival.is_awaited() && arrival.has_begun());
        library.unwrap().wake();
        assert!(!arrival.is_awaited(), "something has come: the guest is to read it");
        assert!(arrival.poll(&mut cx, |_| Ready(())).is_ready() && !arrival.is_awaited());
        assert!(arrival.poll(&mut cx, |_| Poll::<()>::Pending).is_pending());
        arrival.let_go();
        assert!(!arrival.is_awaited(), "nobody waits any more");
    }

    #[test]
    fn the_rest_is_what_was_announced_less_what_came() {
        let arrival = Arrival::of(Some(10));
        arrival.came(4);
        assert_eq!(arrival.rest(), Rest::Bytes(6));
        arrival.complete();
        assert_eq!(arrival.rest(), Rest::Nothing);
        let arrival = Arrival::of(None);
        arrival.came(4);
        assert_eq!(arrival.rest(), Rest::Unknown);
        assert_eq!(Arrival::default().rest(), Rest::Nothing);
    }

    #[test]
    fn the_first_fault_stays() {
        let arrival = Arrival::of(None);
        arrival.break_off(Failure::bad_request("one"));
        arrival.break_off(Failure::client_disconnected());
        assert_eq!(arrival.fault().unwrap().message, "one");
    }
}
