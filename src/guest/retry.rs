//! Requests that a neighbour's trap failed, and that run once more, each alone in a fresh instance
//! (`guest.retry-neighbours`): a trap costs the request that trapped.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Uri, Version, request};
use http_body::{Body, Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::body::RequestBodyError;
use crate::config::{Guest, RetryNeighbours};
use crate::host::{Failure, RequestScope};
use pounce_telemetry::Baggage;

/// The part of the requests in flight that may run once more at the same time: traps must not multiply load.
const PART: usize = 4;

/// Which requests run once more, and what became of those that did.
#[derive(Debug)]
pub(super) struct Retries {
    which: RetryNeighbours,
    places: Arc<Semaphore>,
    /// In the order of [`OUTCOMES`].
    counts: [AtomicU64; OUTCOMES.len()],
}

/// What became of requests that could run once more.
pub(super) const OUTCOMES: [&str; 3] = ["answered", "failed", "refused"];

impl Retries {
    /// Places of the requests of all components that run once more, where `max_in_flight` are served at once.
    pub(super) fn places(max_in_flight: usize) -> Arc<Semaphore> {
        Arc::new(Semaphore::new((max_in_flight / PART).clamp(1, Semaphore::MAX_PERMITS)))
    }

    /// The retries of a component with such settings, in some of these `places`.
    pub(super) fn new(guest: &Guest, places: Arc<Semaphore>) -> Self {
        // What was written would be written twice, and only the guest knows whether that matters.
        let may_write = guest.dir.iter().any(|dir| dir.read_write);
        let which = if may_write { RetryNeighbours::Off } else { guest.retry_neighbours };
        Self { which, places, counts: Default::default() }
    }

    /// Keeps what it takes to run `request` once more, if that may be done.
    pub(super) fn keep<B: Body>(
        &self,
        request: Request<B>,
        baggage: &Baggage,
    ) -> (Request<Lent<B>>, Option<Kept<B>>) {
        let has_body = !request.body().is_end_stream();
        let may_run_again = match self.which {
            RetryNeighbours::Safe => {
                !has_body && [Method::GET, Method::HEAD, Method::OPTIONS].contains(request.method())
            }
            RetryNeighbours::All => true,
            RetryNeighbours::Off => false,
        };
        if !may_run_again {
            return (request.map(Lent::Given), None);
        }
        let (parts, body) = request.into_parts();
        let (lent, body) = if has_body {
            let body = Arc::new(Mutex::new(Some(body)));
            (Lent::Shared(body.clone()), Some(body))
        } else {
            (Lent::Given(body), None)
        };
        let kept = Kept { head: Head::of(&parts), body, baggage: baggage.clone() };
        (Request::from_parts(parts, lent), Some(kept))
    }

    /// What runs in place of the attempt of `scope`, which ended with `failure`: the request, and its second attempt.
    /// None where that was its own end, or it must not be done twice, or too many run once more already.
    pub(super) fn once_more<B: Body>(
        &self,
        kept: Kept<B>,
        scope: &RequestScope,
        failure: &Failure,
    ) -> Option<(Request<Lent<B>>, RequestScope)> {
        if !failure.is_neighbours() || scope.is_answered() || scope.has_acted() {
            return None;
        }
        let body = match kept.body {
            None => Lent::Taken,
            // Gone once the guest has asked for any of it.
            Some(body) => Lent::Given(body.lock().unwrap_or_else(PoisonError::into_inner).take()?),
        };
        let Some(permit) = self.permit() else {
            self.count(2);
            return None;
        };
        if let Some(error_type) = failure.kind.error_type() {
            scope.span.retry(error_type);
        }
        Some((kept.head.request(body), scope.once_more(kept.baggage, permit)))
    }

    fn permit(&self) -> Option<OwnedSemaphorePermit> {
        self.places.clone().try_acquire_owned().ok()
    }

    /// Counts a request that has run once more.
    pub(super) fn has_run<T>(&self, answer: &Result<T, Failure>) {
        self.count(usize::from(answer.is_err()));
    }

    fn count(&self, outcome: usize) {
        self.counts[outcome].fetch_add(1, Ordering::Relaxed);
    }

    /// Requests since the start, in the order of [`OUTCOMES`].
    pub(super) fn counts(&self) -> [u64; OUTCOMES.len()] {
        self.counts.each_ref().map(|count| count.load(Ordering::Relaxed))
    }
}

/// What it takes to run a request once more.
pub(super) struct Kept<B> {
    head: Head,
    /// The body, where there is one, for as long as nobody has asked for any of it.
    body: Option<Arc<Mutex<Option<B>>>>,
    /// The baggage that the request came with.
    baggage: Baggage,
}

/// What a guest sees of a request's head. Kept of each request and seldom used: the fields are a list, which takes one
/// allocation where a map takes several.
struct Head {
    method: Method,
    uri: Uri,
    version: Version,
    fields: Vec<(HeaderName, HeaderValue)>,
}

impl Head {
    fn of(parts: &request::Parts) -> Self {
        let request::Parts { method, uri, version, headers, .. } = parts;
        let fields = headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        Self { method: method.clone(), uri: uri.clone(), version: *version, fields }
    }

    fn request<B>(self, body: B) -> Request<B> {
        let mut request = Request::new(body);
        *request.method_mut() = self.method;
        *request.uri_mut() = self.uri;
        *request.version_mut() = self.version;
        for (name, value) in self.fields {
            request.headers_mut().append(name, value);
        }
        request
    }
}

/// A request's body as an attempt has it.
pub(super) enum Lent<B> {
    /// For good.
    Given(B),
    /// Until the guest asks for any of it, which is then given for good.
    Shared(Arc<Mutex<Option<B>>>),
    /// Another attempt has it, or there is none.
    Taken,
}

impl<B: Body> Lent<B> {
    /// What `look` says of the body; None where there is none.
    fn see<T>(&self, look: impl FnOnce(&B) -> T) -> Option<T> {
        match self {
            Self::Given(body) => Some(look(body)),
            Self::Shared(body) => body.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(look),
            Self::Taken => None,
        }
    }
}

impl<B> Body for Lent<B>
where
    B: Body<Data = Bytes, Error = RequestBodyError> + Unpin,
{
    type Data = Bytes;
    type Error = RequestBodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RequestBodyError>>> {
        if let Self::Shared(shared) = &*self {
            let body = shared.lock().unwrap_or_else(PoisonError::into_inner).take();
            *self = body.map_or(Self::Taken, Self::Given);
        }
        match &mut *self {
            Self::Given(body) => Poll::Ready(ready!(Pin::new(body).poll_frame(cx))),
            Self::Shared(_) | Self::Taken => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.see(B::is_end_stream).unwrap_or(true)
    }

    fn size_hint(&self) -> SizeHint {
        self.see(B::size_hint).unwrap_or_else(|| SizeHint::with_exact(0))
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt as _, Full};

    use super::*;
    use crate::host::{Rooms, Share};
    use pounce_telemetry::ServerSpan;

    type Text =
        http_body_util::combinators::MapErr<Full<Bytes>, fn(std::convert::Infallible) -> RequestBodyError>;

    fn text(text: &'static str) -> Text {
        Full::new(Bytes::from_static(text.as_bytes())).map_err(|never| match never {})
    }

    fn request(method: &str, body: &'static str) -> Request<Text> {
        Request::builder().method(method).uri("http://a/").body(text(body)).unwrap()
    }

    fn retries(which: RetryNeighbours, max_in_flight: usize) -> Retries {
        let guest = Guest { retry_neighbours: which, ..Guest::default() };
        Retries::new(&guest, Retries::places(max_in_flight))
    }

    fn scope() -> RequestScope {
        let share = Share { all: Arc::new(Rooms::new(8, 8, u64::MAX)), own: None };
        RequestScope::new(ServerSpan::off(), None, Baggage::default(), share.take().unwrap())
    }

    fn neighbours() -> Failure {
        Failure::worker_failed(&crate::host::FailureKind::NoResponse, None, true)
    }

    #[test]
    fn which_requests_may_run_once_more() {
        use RetryNeighbours::{All, Off, Safe};
        for (which, method, body, may) in [
            (Safe, "GET", "", true),
            (Safe, "HEAD", "", true),
            (Safe, "OPTIONS", "", true),
            (Safe, "GET", "text", false),
            (Safe, "POST", "", false),
            (Safe, "DELETE", "", false),
            (All, "POST", "text", true),
            (All, "DELETE", "", true),
            (Off, "GET", "", false),
        ] {
            let (_, kept) = retries(which, 8).keep(request(method, body), &Baggage::default());
            assert_eq!(kept.is_some(), may, "{which} {method} {body:?}");
        }
        let dir = |text: &str| crate::config::DirMount {
            host: "/".into(),
            guest: "/".into(),
            read_write: text == "rw",
        };
        for (mode, may) in [("ro", true), ("rw", false)] {
            let guest = Guest { dir: vec![dir(mode)], ..Guest::default() };
            let (_, kept) =
                Retries::new(&guest, Retries::places(8)).keep(request("GET", ""), &Baggage::default());
            assert_eq!(kept.is_some(), may, "{mode}");
        }
    }

    #[test]
    fn the_second_attempt_has_the_head_of_the_first() {
        let retries = retries(RetryNeighbours::Safe, 8);
        let mut request = request("HEAD", "");
        *request.uri_mut() = "http://a:1/b?c".parse().unwrap();
        *request.version_mut() = Version::HTTP_2;
        for (name, value) in [("host", "a"), ("x-many", "1"), ("x-many", "2")] {
            request.headers_mut().append(name, value.parse().unwrap());
        }
        let (first, kept) = retries.keep(request, &Baggage::default());
        let (second, _) = retries.once_more(kept.unwrap(), &scope(), &neighbours()).unwrap();
        let (first, second) = (first.into_parts().0, second.into_parts().0);
        assert_eq!((second.method, second.uri, second.version), (first.method, first.uri, first.version));
        assert_eq!(second.headers, first.headers);
    }

    #[test]
    fn only_what_was_anothers_and_has_left_no_mark_runs_once_more() {
        let retries = retries(RetryNeighbours::Safe, 8);
        let again = |scope: &RequestScope, failure: &Failure| {
            let (_, kept) = retries.keep(request("GET", ""), &Baggage::default());
            retries.once_more(kept.unwrap(), scope, failure).is_some()
        };
        assert!(again(&scope(), &neighbours()));
        let uncertain = Failure::worker_failed(&crate::host::FailureKind::NoResponse, None, false);
        assert!(!again(&scope(), &uncertain), "it may be the one that trapped");
        assert!(!again(&scope(), &Failure::overloaded("full")));
        let (answered, acted) = (scope(), scope());
        answered.answer(None);
        acted.act();
        assert!(!again(&answered, &neighbours()) && !again(&acted, &neighbours()));
        assert_eq!(retries.counts(), [0; 3]);
    }

    #[tokio::test]
    async fn a_body_goes_to_the_second_attempt_unless_the_first_has_asked_for_it() {
        let retries = retries(RetryNeighbours::All, 8);
        let keep = || {
            let (first, kept) = retries.keep(request("POST", "text"), &Baggage::default());
            (first, kept.unwrap())
        };
        let (first, kept) = keep();
        assert!(!first.body().is_end_stream() && first.body().size_hint().exact() == Some(4));
        let (second, _) = retries.once_more(kept, &scope(), &neighbours()).unwrap();
        assert_eq!(second.into_body().collect().await.unwrap().to_bytes(), "text");
        assert!(first.into_body().collect().await.unwrap().to_bytes().is_empty());
        let (first, kept) = keep();
        assert_eq!(first.into_body().collect().await.unwrap().to_bytes(), "text");
        assert!(retries.once_more(kept, &scope(), &neighbours()).is_none());
    }

    #[test]
    fn a_quarter_of_what_may_be_in_flight_runs_once_more_at_once() {
        let retries = retries(RetryNeighbours::Safe, 8);
        let again = || {
            let (_, kept) = retries.keep(request("GET", ""), &Baggage::default());
            Some(retries.once_more(kept?, &scope(), &neighbours())?.1)
        };
        let (one, two) = (again().unwrap(), again().unwrap());
        assert!(again().is_none());
        assert_eq!(retries.counts(), [0, 0, 1]);
        drop(one.clone());
        assert!(again().is_none(), "it is worked on");
        drop(one);
        assert!(again().is_some());
        drop(two);
    }
}
