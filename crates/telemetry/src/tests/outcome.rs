//! How a server span ends: its status, what a guest adds, and the limits.

use super::*;
use http::StatusCode;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode as Code;

#[test]
fn the_outcome_decides_status_and_error_type() {
    type Story = fn(&ServerSpan);
    type Ended = (Code, &'static str);
    fn trap() -> Exception {
        Exception { kind: "Trap".into(), message: "boom".into(), ..Exception::default() }
    }
    let stories: [(Story, u16, Ended, Option<&str>); 11] = [
        (|_| {}, 404, (Code::Ok, ""), None),
        (|_| {}, 503, (Code::Error, ""), Some("503")),
        (|_| {}, 700, (Code::Unset, ""), None),
        (|span| span.fail("timeout", None), 504, (Code::Error, ""), Some("timeout")),
        (
            |span| span.fail("wasm_trap.unreachable", Some(trap())),
            200,
            (Code::Error, "boom"),
            Some("wasm_trap.unreachable"),
        ),
        (
            |span| {
                span.fail("out_of_memory", None);
                span.fail("client_disconnected", None);
            },
            500,
            (Code::Error, ""),
            Some("out_of_memory"),
        ),
        (|span| span.set_status(Status::Error("mine".into())), 200, (Code::Error, "mine"), None),
        (
            |span| {
                span.set_status(Status::Error("mine".into()));
                span.set_status(Status::Unset);
                span.fail("timeout", Some(trap()));
            },
            500,
            (Code::Error, "mine"),
            Some("timeout"),
        ),
        (
            |span| {
                span.set_status(Status::Error("first".into()));
                span.set_status(Status::Ok);
                span.set_status(Status::Error("late".into()));
            },
            200,
            (Code::Ok, ""),
            None,
        ),
        (|span| span.set_status(Status::Ok), 500, (Code::Error, ""), Some("500")),
        (
            |span| span.set_attribute("error.type", Value::Text("mine".into())),
            500,
            (Code::Error, ""),
            Some("mine"),
        ),
    ];
    for (at, (story, code, expected, error_type)) in stories.into_iter().enumerate() {
        let telemetry = recording(|_| {});
        let span = telemetry.server_span(&peer(), &head("GET", "/", &[]));
        span.response_head(StatusCode::from_u16(code).unwrap(), &http::HeaderMap::new());
        story(&span);
        span.end(0);
        let found = one(&telemetry);
        assert_eq!(status(&found), expected, "story {at}");
        assert_eq!(attribute(&found, "error.type").as_deref(), error_type, "story {at}");
        assert_eq!(attribute(&found, "http.response.status_code"), Some(code.to_string()));
    }
}

#[test]
fn the_guest_adds_and_replaces_but_does_not_forge() {
    let telemetry = recording(|_| {});
    let span = telemetry.server_span(&peer(), &head("GET", "/", &[]));
    for (key, value) in [
        ("user.id", Value::Int(1)),
        ("user.id", Value::Int(2)),
        ("client.address", Value::Text("203.0.113.9".into())),
        ("http.response.status_code", Value::Int(999)),
        ("pounce.component", Value::Text("forged".into())),
    ] {
        span.set_attribute(key, value);
    }
    span.add_event("cache.miss", vec![("key".into(), Value::Text("k".into()))], None);
    span.phases(Phases { reused: Some(true), queue: Some(Duration::from_micros(1500)), ..Phases::default() });
    span.phases(Phases { memory_peak: Some(65536), ..Phases::default() });
    span.response_head(StatusCode::OK, &http::HeaderMap::new());
    span.fail(
        "wasm_trap.unreachable",
        Some(Exception {
            kind: "wasm_trap.unreachable".into(),
            message: "m".into(),
            stacktrace: Some("0: f".into()),
            attributes: vec![],
        }),
    );
    span.end(0);
    let found = one(&telemetry);
    for (key, value) in [
        ("user.id", "2"),
        ("client.address", "203.0.113.9"),
        ("network.peer.address", "10.0.0.1"),
        ("http.response.status_code", "200"),
        ("pounce.component", "hello"),
        ("pounce.instance.reused", "true"),
        ("pounce.queue.duration", "0.0015"),
        ("pounce.guest.memory.peak", "65536"),
    ] {
        assert_eq!(attribute(&found, key).as_deref(), Some(value), "{key}");
    }
    assert_eq!(attribute(&found, "pounce.instantiate.duration"), None);
    assert_eq!(found.dropped_attributes_count, 2, "the forged component and status");
    assert_eq!(found.events.len(), 2);
    assert_eq!(found.events[0].name, "cache.miss");
    assert_eq!(found.events[1].name, "exception");
    assert_eq!(text_attributes(&found.events[1].attributes)["exception.stacktrace"], "0: f");
    for event in &found.events {
        assert!((found.start_time_unix_nano..=found.end_time_unix_nano).contains(&event.time_unix_nano));
    }
}

#[test]
fn what_is_over_the_limits_is_counted_on_the_span_and_in_the_totals() {
    let telemetry = recording(|_| {});
    let span = telemetry.server_span(&peer(), &head("GET", "/", &[]));
    for n in 0..200 {
        span.set_attribute(&format!("k{n}"), Value::Text("v".repeat(9000)));
        span.add_event("e", vec![], None);
    }
    span.end(0);
    span.set_attribute("late", Value::Bool(true));
    span.end(0);
    let found = one(&telemetry);
    let own = found.attributes.iter().filter(|attribute| attribute.key.starts_with('k')).count() as u32;
    assert!(own <= 64, "bytes of one span are bounded: {own}");
    assert_eq!(own + found.dropped_attributes_count, 200);
    assert!(text_attributes(&found.attributes)["k0"].len() == 4096);
    assert_eq!(found.events.len() as u32 + found.dropped_events_count, 200);
    let totals = telemetry.totals();
    assert_eq!(totals.left_out.attributes, u64::from(found.dropped_attributes_count));
    assert_eq!(totals.left_out.events, u64::from(found.dropped_events_count));
    assert_eq!((totals.spans.ended, totals.left_out.late_writes), (1, 1));
}

#[test]
fn a_span_ends_once_and_an_abandoned_one_all_the_same() {
    let telemetry = recording(|_| {});
    let span = telemetry.server_span(&peer(), &head("GET", "/", &[]));
    let guest = span.clone();
    assert!(guest.is_recording());
    span.end(1);
    guest.end(2);
    assert!(!guest.is_recording() && guest.is_on() && guest.context().is_some());
    drop((span, guest));
    assert_eq!(spans(&telemetry).len(), 1);
    drop(telemetry.server_span(&peer(), &head("GET", "/", &[])));
    let found = one(&telemetry);
    assert_eq!(attribute(&found, "error.type").as_deref(), Some("abandoned"));
    assert_eq!(status(&found).0, Code::Error);
}

#[test]
fn an_active_span_fits_into_a_kilobyte() {
    const { assert!(request::record::RECORD_SIZE <= 1024) };
    const { assert!(size_of::<ServerSpan>() <= 64) };
}

/// Its record is all that a request allocates here, traced and measured; nothing, where nobody is to know of it.
#[test]
fn a_plain_request_allocates_its_record_and_nothing_else() {
    let with_metrics = |sampling| {
        let otel = Settings { sampling, ..settings() };
        let spans = Some(Arc::new(Pipeline::new(2048, 512)));
        let metrics = Some(Registries::new(&otel, true));
        let sources = Sources { spans, metrics, ..Sources::default() };
        Telemetry::new(&otel, "hello", sources, None)
    };
    let (on, off) = (settings::Sampling::share(1.0), settings::Sampling::share(0.0));
    for (telemetry, expected) in [
        (recording(|_| {}), 1),
        (recording(|otel| otel.keep_errors = true), 1),
        (recording(|otel| otel.sampling = off.clone()), 0),
        (with_metrics(on), 1),
        (with_metrics(off.clone()), 1),
        (Telemetry::off(), 0),
    ] {
        let (peer, headers) = (peer(), http::HeaderMap::new());
        let head = head("GET", "/users/7?page=2", &[("host", "localhost"), ("user-agent", "curl/8")]);
        let serve = || {
            for _ in 0..50 {
                let span = telemetry.server_span(&peer, &head);
                span.phases(Phases { reused: Some(false), ..Phases::default() });
                span.response_head(StatusCode::OK, &headers);
                span.end(42);
            }
        };
        // What the first requests make room for is there for the next.
        (0..2).for_each(|_| serve());
        if let Some(spans) = telemetry.spans() {
            drop(spans.pipeline.drain(false));
        }
        let allocated = allocation_counter::measure(serve).count_total;
        assert_eq!(allocated, 50 * expected);
    }
}

/// What the host knows better is not the guest's to say; what it says alike is no loss.
#[test]
fn attributes_of_the_host_that_a_guest_sets_are_counted_where_they_differ() {
    type Story = fn(&ServerSpan);
    let stories: [(Story, u32); 6] = [
        (|_| {}, 0),
        (|span| span.set_attribute("http.response.status_code", Value::Int(500)), 0),
        (|span| span.set_attribute("http.response.status_code", Value::Int(201)), 1),
        (|span| span.set_attribute("http.route", Value::Int(1)), 1),
        (|span| span.set_attribute("error.type", Value::Text("mine".into())), 0),
        (
            |span| {
                span.set_attribute("error.type", Value::Text("mine".into()));
                span.fail("timeout", None);
            },
            1,
        ),
    ];
    for (at, (story, expected)) in stories.into_iter().enumerate() {
        let telemetry = recording(|_| {});
        let span = telemetry.server_span(&peer(), &head("GET", "/", &[]));
        story(&span);
        span.response_head(StatusCode::INTERNAL_SERVER_ERROR, &http::HeaderMap::new());
        span.end(0);
        assert_eq!(one(&telemetry).dropped_attributes_count, expected, "{at}");
        assert_eq!(telemetry.totals().left_out.attributes, u64::from(expected), "{at}");
    }
}
