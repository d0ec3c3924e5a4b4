//! How a request goes from phase to phase, and who keeps its place.

use super::*;
use crate::host::place::{Rooms, Share};
use futures_util::FutureExt as _;
use http::{HeaderMap, StatusCode};
use pounce_telemetry::{LocalReaders, Peer, Settings, Telemetry};

fn request() -> (RequestScope, Arc<Rooms>) {
    let rooms = Arc::new(Rooms::new(1, 1, u64::MAX));
    let place = Share { all: rooms.clone(), own: None }.take().unwrap();
    (RequestScope::new(ServerSpan::off(), None, Baggage::default(), place), rooms)
}

/// Whether the response is answered, over and cancelled.
fn state(scope: &RequestScope) -> (bool, bool, bool) {
    let is_cancelled = scope.cancelled().now_or_never().is_some();
    (scope.is_answered(), scope.closed().now_or_never().is_some(), is_cancelled)
}

#[test]
fn a_response_is_over_once() {
    let (complete, _) = request();
    complete.taken_up(false, None, Arc::default());
    assert_eq!(state(&complete), (false, false, false));
    complete.answer(None);
    assert_eq!(state(&complete), (true, false, false));
    complete.close();
    complete.cancel();
    assert_eq!(state(&complete), (true, true, false));

    let (cancelled, _) = request();
    cancelled.cancel();
    cancelled.close();
    cancelled.taken_up(false, None, Arc::default());
    assert_eq!(state(&cancelled), (false, true, true));
    // Its guest did not know.
    cancelled.answer(None);
    assert_eq!(state(&cancelled), (true, true, true));
}

#[test]
fn a_worker_is_told_of_a_request_that_is_cancelled_before_or_after_it_asks() {
    for is_before in [true, false] {
        let (scope, flag) = (request().0, Arc::new(AtomicBool::new(false)));
        if is_before {
            scope.cancel();
        }
        scope.on_cancel(flag.clone());
        assert_eq!(flag.load(Ordering::Relaxed), is_before);
        scope.cancel();
        assert!(flag.load(Ordering::Relaxed) && scope.is_ignored_for(Duration::ZERO));
        scope.acknowledge();
        assert!(!scope.is_ignored_for(Duration::ZERO));
    }
}

#[test]
fn the_first_reason_stays() {
    let (scope, _) = request();
    assert!(scope.failed().now_or_never().is_none());
    scope.fail(Failure::timeout(Duration::ZERO, "a setting"));
    scope.abandon(Failure::client_disconnected());
    assert!(scope.is_timed_out() && scope.is_closed());
    assert!(matches!(scope.failed().now_or_never().unwrap().kind, FailureKind::Timeout));
}

#[tokio::test]
async fn all_who_wait_are_woken() {
    let (scope, _) = request();
    let waiters = [0, 1].map(|_| {
        tokio::spawn({
            let scope = scope.clone();
            async move { scope.closed().await }
        })
    });
    tokio::task::yield_now().await;
    scope.close();
    for waiter in waiters {
        waiter.await.unwrap();
    }
}

#[test]
fn a_place_is_kept_by_those_who_work_on_the_request_and_by_nobody_else() {
    let (scope, rooms) = request();
    let (trace, other) = (Trace::clone(&scope), scope.clone());
    drop(scope);
    assert_eq!((rooms.working.taken(), trace.is_worked_on()), (1, true));
    let again = trace.scope().unwrap();
    drop(other);
    again.finish();
    assert_eq!((rooms.working.taken(), rooms.waiting.taken()), (0, 1));
    drop(again);
    assert_eq!((rooms.waiting.taken(), trace.is_worked_on()), (0, false));
    assert!(trace.scope().is_none());
}

/// Its record and its scope are all that is allocated to keep book of a request that is traced and measured.
#[test]
fn a_plain_traced_request_allocates_its_record_and_its_scope() {
    let local = LocalReaders { metrics: true, ..LocalReaders::default() };
    let (telemetry, spans) = Telemetry::buffered(&Settings::default(), "hello", local);
    let share = Share { all: Arc::new(Rooms::new(1, 1, u64::MAX)), own: None };
    let head =
        http::Request::get("/users/7?page=2").header("host", "localhost").header("user-agent", "curl/8");
    let (head, ()) = head.body(()).unwrap().into_parts();
    let (peer, headers, peak) = (Peer::default(), HeaderMap::new(), Arc::new(AtomicU64::new(0)));
    let serve = || {
        for _ in 0..50 {
            let span = telemetry.server_span(&peer, &head);
            let baggage = telemetry.baggage(&peer, &head, None);
            let scope = RequestScope::new(span.clone(), None, baggage, share.take().unwrap());
            // As the guest's call and the response's body have it.
            let (call, body) = (scope.clone(), scope.clone());
            call.taken_up(false, None, peak.clone());
            call.answer(None);
            span.response_head(StatusCode::OK, &headers);
            call.finish();
            body.close();
            span.phases(scope.taken());
            span.end(42);
        }
    };
    // What the first requests make room for is there for the next.
    (0..2).for_each(|_| serve());
    drop(spans.drain(false));
    assert_eq!(allocation_counter::measure(serve).count_total, 50 * 2);
}
