//! Requests that nobody sampled, recorded until their end decides.

use super::*;
use http::StatusCode;

const UNSAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

fn keeping_errors() -> Telemetry {
    recording(|otel| otel.keep_errors = true)
}

fn request(telemetry: &Telemetry) -> ServerSpan {
    telemetry.server_span(&peer(), &head("GET", "/", &[("traceparent", UNSAMPLED)]))
}

fn call(span: &ServerSpan) -> ClientSpan {
    span.client(None, &http::Method::GET, &http::Uri::from_static("http://127.0.0.1/"), || None)
}

#[test]
fn it_is_recorded_and_its_context_says_that_it_is_not_sampled() {
    let telemetry = keeping_errors();
    let span = request(&telemetry);
    assert!(span.is_recording() && span.is_recording_children());
    assert!(!span.context().unwrap().is_sampled() && !call(&span).context().unwrap().is_sampled());
    let child = span.child(None, "child", ChildOptions::default());
    assert!(child.is_recording() && !child.context().unwrap().is_sampled());
    assert_eq!(span.exported_context(), None, "nobody knows yet");
}

#[test]
fn the_end_says_whether_others_may_refer_to_it() {
    let telemetry = keeping_errors();
    for (status, is_kept) in [(500, true), (499, false)] {
        let span = request(&telemetry);
        span.response_head(StatusCode::from_u16(status).unwrap(), &http::HeaderMap::new());
        span.end(0);
        assert_eq!(span.exported_context().is_some(), is_kept, "{status}");
        assert_eq!(spans(&telemetry).len(), usize::from(is_kept), "{status}");
    }
    let sampled = recording(|_| {}).server_span(&peer(), &head("GET", "/", &[]));
    assert_eq!(sampled.exported_context(), sampled.known_context());
    let unrecorded = request(&recording(|_| {}));
    assert!(unrecorded.context().is_some() && unrecorded.exported_context().is_none());
    assert_eq!(ServerSpan::off().exported_context(), None);
}

#[test]
fn children_go_the_way_of_their_request_before_and_after_its_end() {
    for fails in [true, false] {
        let telemetry = keeping_errors();
        let span = request(&telemetry);
        let (early, late) = (
            span.child(None, "early", ChildOptions::default()),
            span.child(None, "late", ChildOptions::default()),
        );
        early.end(None);
        assert!(spans(&telemetry).is_empty(), "held back");
        if fails {
            span.fail("timeout", None);
        }
        span.end(0);
        late.end(None);
        drop(call(&span));
        let names: Vec<_> = spans(&telemetry).into_iter().map(|span| span.name).collect();
        let expected: &[&str] = if fails { &["early", "GET /", "late", "GET"] } else { &[] };
        assert_eq!(names, expected);
        let ended = telemetry.totals().spans.ended;
        assert_eq!(ended, expected.len() as u64, "what is thrown away has not ended for anybody");
    }
}

#[test]
fn what_is_dropped_counts_only_where_somebody_gets_the_rest() {
    for fails in [true, false] {
        let telemetry = keeping_errors();
        let span = request(&telemetry);
        for n in 0..200 {
            span.set_attribute(&format!("k{n}"), Value::Bool(true));
        }
        for _ in 0..1003 {
            span.child(None, "child", ChildOptions::default()).end(None);
        }
        if fails {
            span.set_status(Status::Error("mine".into()));
        }
        span.end(0);
        span.set_attribute("late", Value::Bool(true));
        let totals = telemetry.totals();
        let found = (totals.left_out.attributes, totals.left_out.children, totals.left_out.late_writes);
        assert_eq!(found, if fails { (72, 3, 1) } else { (0, 0, 0) });
        assert_eq!(totals.lost(), 0);
    }
}

#[test]
fn one_that_nobody_ends_has_failed() {
    let telemetry = keeping_errors();
    let span = request(&telemetry);
    span.child(None, "child", ChildOptions::default()).end(None);
    drop(span);
    let found = spans(&telemetry);
    let server = found.iter().find(|span| span.kind == 2).unwrap();
    assert_eq!((found.len(), attribute(server, "error.type").as_deref()), (2, Some("abandoned")));
    assert_eq!(attribute(server, "pounce.sampling.reason").as_deref(), Some("error"));
}

#[test]
fn a_guest_cannot_say_why_it_was_kept() {
    let telemetry = recording(|otel| otel.keep_slow = Some(Duration::from_nanos(1)));
    let span = request(&telemetry);
    span.set_attribute("pounce.sampling.reason", Value::Text("mine".into()));
    std::thread::sleep(Duration::from_millis(1));
    span.end(0);
    assert_eq!(attribute(&one(&telemetry), "pounce.sampling.reason").as_deref(), Some("slow"));
}
