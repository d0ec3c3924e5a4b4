//! Whose child a call is, and what the origin is told of it.

use super::{CALLER, Made, TRACE, call, call_with, guest, parts};
use crate::support::origin::Origin;
use crate::support::span::tree;
use crate::support::{Abi, for_both_abis};
use std::collections::BTreeSet;

for_both_abis!(
    the_origin_is_told_the_calls_own_span,
    a_call_is_a_child_of_the_span_entered,
    a_guest_may_name_a_span_of_its_own_request,
    what_a_guest_makes_up_is_never_believed,
    concurrent_calls_have_spans_of_their_own,
    an_unsampled_request_tells_each_origin_a_parent_of_its_own,
    tracestate_goes_along,
);

/// Fails unless call `n` reached the origin once, with the ids of a CLIENT span; gives the span's parent.
fn parent_of<'a>(made: &'a Made, origin: &Origin, n: usize) -> &'a str {
    let number = n.to_string();
    let arrived = origin.arrived();
    let mut found = arrived.iter().filter(|request| request.values("x-call") == [number.as_str()]);
    let (Some(request), None) = (found.next(), found.next()) else { panic!("call {n} did not arrive once") };
    let [traceparent] = request.values("traceparent")[..] else { panic!("{request:?}") };
    let [version, trace_id, span_id, flags] = parts(traceparent);
    assert_eq!((version, trace_id, flags), ("00", TRACE, "01"));
    let calls = made.calls();
    let call =
        calls.iter().find(|span| span.span_id == span_id).expect("the origin's parent is a CLIENT span");
    &call.parent
}

async fn the_origin_is_told_the_calls_own_span(abi: Abi) {
    let origin = Origin::answering(200).await;
    let made = call(abi, &[&origin.url("/")], "n=2").await;
    for n in 0..2 {
        assert_eq!(parent_of(&made, &origin, n), made.server().span_id);
    }
    assert_eq!(made.seen["server"], made.server().span_id);
    assert_eq!(tree(&made.spans), "Server GET /calls <remote>\n  Client GET\n  Client GET\n");
}

async fn a_call_is_a_child_of_the_span_entered(abi: Abi) {
    let origin = Origin::answering(200).await;
    for how in ["sync", "concurrent"] {
        let made = call(abi, &[&origin.url("/")], &format!("span&how={how}")).await;
        let expected = "Server GET /calls <remote>\n  Internal calls\n    Client GET\n";
        assert_eq!(tree(&made.spans), expected, "{how}");
        assert_eq!(made.call().parent, made.seen["span"].as_str().unwrap());
    }
}

async fn a_guest_may_name_a_span_of_its_own_request(abi: Abi) {
    let origin = Origin::answering(200).await;
    // Although another one is entered.
    let made = call(abi, &[&origin.url("/")], "span&traceparent=server").await;
    assert_eq!(parent_of(&made, &origin, 0), made.server().span_id);
    let expected = "Server GET /calls <remote>\n  Internal calls\n  Client GET\n";
    assert_eq!(tree(&made.spans), expected);

    let origin = Origin::answering(200).await;
    let made = call(abi, &[&origin.url("/")], "span&traceparent=child").await;
    let child = made.spans.iter().find(|span| span.name == "child").expect("the span");
    assert_eq!(parent_of(&made, &origin, 0), child.span_id);
    let expected = "Server GET /calls <remote>\n  Internal child\n    Client GET\n  Internal calls\n";
    assert_eq!(tree(&made.spans), expected);
}

async fn what_a_guest_makes_up_is_never_believed(abi: Abi) {
    let origin = Origin::answering(200).await;
    let unknown = format!("00-{TRACE}-{}-01", "d".repeat(16));
    let caller = format!("00-{TRACE}-{CALLER}-01");
    // Another trace, an unknown span of this one, the caller's (as a guest that forwards headers does), and nonsense.
    let made_up = ["forged", &unknown, &caller, "00-xyz", ""];
    for (n, value) in made_up.iter().enumerate() {
        let made = call(abi, &[&origin.url("/")], &format!("span&traceparent={value}")).await;
        let arrived = origin.arrived();
        assert_eq!(arrived.len(), n + 1);
        let [traceparent] = arrived[n].values("traceparent")[..] else { panic!("{:?}", arrived[n]) };
        let call = made.call();
        assert_eq!(traceparent, format!("00-{TRACE}-{}-01", call.span_id), "{value:?}");
        assert_eq!(call.parent, made.seen["span"].as_str().unwrap(), "{value:?}");
        assert!(made.spans.iter().all(|span| span.trace_id == TRACE), "{value:?}");
    }
}

async fn concurrent_calls_have_spans_of_their_own(abi: Abi) {
    let origins = [Origin::answering(200).await, Origin::answering(404).await, Origin::answering(500).await];
    let urls: Vec<_> = origins.iter().map(|origin| origin.url("/x")).collect();
    let urls: Vec<_> = urls.iter().map(String::as_str).collect();
    let made = call(abi, &urls, "n=12&how=concurrent&span").await;
    let calls = made.calls();
    assert_eq!(calls.len(), 12);
    for (n, origin) in (0..12).map(|n| (n, &origins[n % 3])) {
        assert_eq!(parent_of(&made, origin, n), made.seen["span"].as_str().unwrap());
    }
    for call in calls {
        let origin = origins.iter().position(|origin| call.text("url.full") == origin.url("/x")).unwrap();
        assert_eq!(call.int("http.response.status_code"), Some([200, 404, 500][origin]));
    }
}

async fn an_unsampled_request_tells_each_origin_a_parent_of_its_own(abi: Abi) {
    let origin = Origin::answering(200).await;
    for more in ["n=3", "n=3&how=concurrent&span", "n=3&traceparent=child", "n=3&traceparent=forged"] {
        let before = origin.arrived().len();
        let made = call_with(guest(abi), &[&origin.url("/")], more, "00").await;
        assert_eq!(made.spans.len(), 0, "{more}: {:?}", made.spans);
        let mut ids = BTreeSet::from([CALLER.to_owned(), made.seen["server"].as_str().unwrap().to_owned()]);
        for request in &origin.arrived()[before..] {
            let [traceparent] = request.values("traceparent")[..] else { panic!("{request:?}") };
            let [_, trace_id, span_id, flags] = parts(traceparent);
            assert_eq!((trace_id, flags), (TRACE, "00"), "{more}");
            assert!(ids.insert(span_id.to_owned()), "{more}: {span_id} comes twice");
        }
        assert_eq!(ids.len(), 5, "{more}");
    }
}

async fn tracestate_goes_along(abi: Abi) {
    let origin = Origin::answering(200).await;
    let made = call(abi, &[&origin.url("/")], "set.tracestate=forged%3D1&set.x-own=kept").await;
    let arrived = &origin.arrived()[0];
    // The request brought none, so what the guest says is no state of this trace.
    assert_eq!(arrived.values("tracestate"), [""; 0]);
    assert_eq!(arrived.values("x-own"), ["kept"]);
    assert_eq!(made.call().trace_state, "");
}
