//! The server span as a backend sees it.

use super::*;
use crate::config::Sampler as Sampling;
use http::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ScopeSpans, Span, status::StatusCode as Code};
use prost::Message;
use std::time::{SystemTime, UNIX_EPOCH};

const CALLER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// Telemetry whose spans stay in the buffers.
fn recording(change: impl FnOnce(&mut config::Otel)) -> Telemetry {
    let mut otel = settings();
    change(&mut otel);
    let pipeline = Arc::new(Pipeline::new(2048, 512));
    Telemetry::new(&otel, "hello", pipeline, export::Exporter::none())
}

fn spans(telemetry: &Telemetry) -> Vec<Span> {
    let pipeline = &telemetry.0.as_ref().unwrap().shared.pipeline;
    let chunks = pipeline.drain(false);
    let decode = |chunk: &pipeline::Chunk| ScopeSpans::decode(&*chunk.bytes).unwrap().spans;
    chunks.iter().flat_map(decode).collect()
}

fn one(telemetry: &Telemetry) -> Span {
    let spans = spans(telemetry);
    assert_eq!(spans.len(), 1);
    let span = spans.into_iter().next().unwrap();
    let keys: std::collections::BTreeSet<_> = span.attributes.iter().map(|a| &a.key).collect();
    assert_eq!(
        keys.len(),
        span.attributes.len(),
        "keys differ: {:?}",
        span.attributes
    );
    span
}

/// `key = value` of every attribute, sorted.
fn lines(span: &Span) -> Vec<String> {
    let show = |value: &any_value::Value| match value {
        any_value::Value::StringValue(text) => text.clone(),
        any_value::Value::IntValue(int) => int.to_string(),
        any_value::Value::BoolValue(bool) => bool.to_string(),
        any_value::Value::DoubleValue(double) => double.to_string(),
        other => format!("{other:?}"),
    };
    let mut lines: Vec<_> = span
        .attributes
        .iter()
        .map(|attribute| {
            let value = attribute.value.as_ref().unwrap().value.as_ref().unwrap();
            format!("{} = {}", attribute.key, show(value))
        })
        .collect();
    lines.sort();
    lines
}

fn attribute(span: &Span, key: &str) -> Option<String> {
    let prefix = format!("{key} = ");
    lines(span)
        .iter()
        .find_map(|line| Some(line.strip_prefix(&prefix)?.to_owned()))
}

fn status(span: &Span) -> (Code, &str) {
    span.status
        .as_ref()
        .map_or((Code::Unset, ""), |status| (status.code(), &status.message))
}

const STABLE: [&str; 15] = [
    "client.address = 10.0.0.1",
    "http.request.body.size = 5",
    "http.request.method = POST",
    "http.response.body.size = 42",
    "http.response.status_code = 200",
    "network.peer.address = 10.0.0.1",
    "network.peer.port = 1234",
    "network.protocol.version = 1.1",
    "pounce.component = hello",
    "server.address = example.com",
    "server.port = 8081",
    "url.path = /a/b",
    "url.query = x=1&sig=REDACTED",
    "url.scheme = http",
    "user_agent.original = curl/8",
];
const LEGACY: [&str; 7] = [
    "http.host = example.com:8081",
    "http.method = POST",
    "http.response_content_length = 42",
    "http.scheme = http",
    "http.status_code = 200",
    "http.target = /a/b?x=1&sig=REDACTED",
    "net.host.port = 8081",
];

#[test]
fn each_profile_has_its_attributes_name_and_status() {
    for (semconv, legacy, name, code) in [
        (Semconv::Compat, true, "POST /a/b", Code::Ok),
        (Semconv::HttpDup, true, "POST", Code::Unset),
        (Semconv::Http, false, "POST", Code::Unset),
    ] {
        let telemetry = recording(|otel| otel.semconv = semconv);
        let headers = [
            ("host", "example.com:8081"),
            ("user-agent", "curl/8"),
            ("content-length", "5"),
            ("traceparent", CALLER),
            ("tracestate", "a=1"),
        ];
        let before = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_nanos() as u64;
        let head = head("POST", "/a/b?x=1&sig=secret", &headers);
        let span = telemetry.server_span(&peer(), &head, None);
        let context = span.context().unwrap();
        span.response_head(StatusCode::OK);
        span.end(42);
        let found = one(&telemetry);
        let mut expected: Vec<_> = STABLE.to_vec();
        if legacy {
            expected.extend(LEGACY);
        }
        expected.sort_unstable();
        assert_eq!(lines(&found), expected, "{semconv:?}");
        assert_eq!((found.name.as_str(), status(&found)), (name, (code, "")));
        assert_eq!(found.trace_id, context.trace_id.0);
        assert_eq!(context.trace_id.to_string(), &CALLER[3..35]);
        assert_eq!(found.span_id, context.span_id.0);
        assert_eq!(
            SpanId(found.parent_span_id.try_into().unwrap()).to_string(),
            &CALLER[36..52]
        );
        assert_eq!(
            (found.flags, found.trace_state.as_str(), found.kind),
            (0x301, "a=1", 2)
        );
        assert!(found.start_time_unix_nano >= before);
        assert!(found.end_time_unix_nano >= found.start_time_unix_nano);
    }
}

#[test]
fn a_route_and_the_guests_name_stand_in_the_name() {
    type Change = fn(&ServerSpan);
    let cases: [(Change, &str, Option<&str>); 6] = [
        (|_| {}, "GET /r/{id}", Some("/r/{id}")),
        (|span| span.set_route("/g"), "GET /g", Some("/g")),
        (|span| span.update_name("mine"), "mine", Some("/r/{id}")),
        (
            |span| {
                span.update_name("mine");
                span.set_route("/g");
            },
            "GET /g",
            Some("/g"),
        ),
        (
            |span| {
                span.update_name("mine");
                span.set_attribute("http.route", Value::Text("/a".into()));
            },
            "mine",
            Some("/a"),
        ),
        (
            |span| span.set_route(&"r".repeat(5000)),
            &format!("GET {}", "r".repeat(256)),
            None,
        ),
    ];
    for semconv in [Semconv::Compat, Semconv::HttpDup, Semconv::Http] {
        for (change, name, route) in &cases {
            let telemetry = recording(|otel| otel.semconv = semconv);
            let span = telemetry.server_span(&peer(), &head("GET", "/r/7", &[]), Some("/r/{id}"));
            change(&span);
            span.end(0);
            let found = one(&telemetry);
            assert_eq!(found.name, *name);
            if let Some(route) = route {
                assert_eq!(attribute(&found, "http.route").as_deref(), Some(*route));
            }
        }
    }
}

#[test]
fn beyond_five_hundred_paths_names_are_the_method_alone() {
    let telemetry = recording(|_| {});
    let lines = logged(|| serve_paths(&telemetry, 0..501));
    assert_eq!(lines.lines().count(), 1, "{lines}");
    assert!(lines.contains("set-route"), "{lines}");
    assert_eq!(
        logged(|| serve_paths(&telemetry, 501..503)),
        "",
        "said once"
    );
    telemetry
        .server_span(&peer(), &head("GET", "/7", &[]), None)
        .end(0);
    telemetry
        .server_span(&peer(), &head("GET", "/new", &[]), Some("/{n}"))
        .end(0);
    let names: Vec<_> = spans(&telemetry)
        .into_iter()
        .map(|span| span.name)
        .collect();
    assert_eq!(
        names[499..],
        ["GET /499", "GET", "GET", "GET", "GET /7", "GET /{n}"]
    );
}

fn serve_paths(telemetry: &Telemetry, paths: std::ops::Range<usize>) {
    for n in paths {
        telemetry
            .server_span(&peer(), &head("GET", &format!("/{n}"), &[]), None)
            .end(0);
    }
}

#[test]
fn unknown_methods_are_other() {
    for method in ["get", "BREW"] {
        let telemetry = recording(|_| {});
        telemetry
            .server_span(&peer(), &head(method, "/tea", &[]), None)
            .end(0);
        let found = one(&telemetry);
        assert_eq!(found.name, "HTTP /tea");
        assert_eq!(
            attribute(&found, "http.request.method").as_deref(),
            Some("_OTHER")
        );
        assert_eq!(
            attribute(&found, "http.request.method_original").as_deref(),
            Some(method)
        );
    }
}

#[test]
fn the_server_is_what_the_client_called() {
    for (uri, host, tls, expected) in [
        (
            "/",
            Some("h"),
            false,
            [Some("h"), Some("80"), Some("h"), Some("80")],
        ),
        (
            "/",
            Some("h"),
            true,
            [Some("h"), Some("443"), Some("h"), Some("443")],
        ),
        (
            "/",
            Some("[::1]:81"),
            false,
            [Some("::1"), Some("81"), Some("[::1]:81"), Some("81")],
        ),
        (
            "http://u:p@a:82/",
            Some("h"),
            false,
            [Some("a"), Some("82"), Some("a:82"), Some("82")],
        ),
        (
            "/",
            Some("a b"),
            false,
            [Some("a b"), Some("80"), Some("a b"), Some("80")],
        ),
        (
            "/",
            Some("h:x"),
            false,
            [None, None, Some("h:x"), Some("8080")],
        ),
        ("/", None, false, [None, None, None, Some("8080")]),
    ] {
        let telemetry = recording(|_| {});
        let headers: Vec<_> = host.map(|host| ("host", host)).into_iter().collect();
        let peer = Peer { tls, ..peer() };
        telemetry
            .server_span(&peer, &head("GET", uri, &headers), None)
            .end(0);
        let found = one(&telemetry);
        let keys = [
            "server.address",
            "server.port",
            "http.host",
            "net.host.port",
        ];
        let values = keys.map(|key| attribute(&found, key));
        assert_eq!(
            values.each_ref().map(Option::as_deref),
            expected,
            "{uri} {host:?}"
        );
        let scheme = if tls { "https" } else { "http" };
        assert_eq!(attribute(&found, "url.scheme").as_deref(), Some(scheme));
    }
}

#[test]
fn odd_requests_give_valid_spans() {
    let telemetry = recording(|_| {});
    let mut odd = head("OPTIONS", "*", &[]);
    odd.version = http::Version::HTTP_2;
    odd.headers.insert(
        "user-agent",
        http::HeaderValue::from_bytes(b"\xff\xfe").unwrap(),
    );
    odd.headers
        .insert("content-length", http::HeaderValue::from_static("+5"));
    telemetry.server_span(&Peer::default(), &odd, None).end(0);
    let found = one(&telemetry);
    assert_eq!(found.name, "OPTIONS *");
    assert_eq!(
        attribute(&found, "network.protocol.version").as_deref(),
        Some("2")
    );
    assert_eq!(
        attribute(&found, "user_agent.original").as_deref(),
        Some("\u{fffd}\u{fffd}")
    );
    for absent in [
        "network.peer.address",
        "client.address",
        "http.request.body.size",
        "http.response.body.size",
        "http.response.status_code",
        "error.type",
    ] {
        assert_eq!(attribute(&found, absent), None);
    }
    telemetry
        .server_span(&peer(), &head("CONNECT", "example.com:443", &[]), None)
        .end(0);
    assert_eq!(one(&telemetry).name, "CONNECT");
    let long = format!("/{}", "p".repeat(9000));
    telemetry
        .server_span(&peer(), &head("GET", &long, &[]), None)
        .end(0);
    assert_eq!(
        attribute(&one(&telemetry), "url.path").map(|path| path.len()),
        Some(4096)
    );
}

#[test]
fn the_outcome_decides_status_and_error_type() {
    type Story = fn(&ServerSpan);
    fn trap() -> Exception {
        Exception {
            kind: "Trap".into(),
            message: "boom".into(),
            ..Exception::default()
        }
    }
    let stories: [(Story, u16, (Code, &str), Option<&str>); 11] = [
        (|_| {}, 404, (Code::Ok, ""), None),
        (|_| {}, 503, (Code::Error, ""), Some("503")),
        (|_| {}, 700, (Code::Unset, ""), None),
        (
            |span| span.fail("timeout", None),
            504,
            (Code::Error, ""),
            Some("timeout"),
        ),
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
        (
            |span| span.set_status(Status::Error("mine".into())),
            200,
            (Code::Error, "mine"),
            None,
        ),
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
        (
            |span| span.set_status(Status::Ok),
            500,
            (Code::Error, ""),
            Some("500"),
        ),
        (
            |span| span.set_attribute("error.type", Value::Text("mine".into())),
            500,
            (Code::Error, ""),
            Some("mine"),
        ),
    ];
    for (at, (story, code, expected, error_type)) in stories.into_iter().enumerate() {
        let telemetry = recording(|_| {});
        let span = telemetry.server_span(&peer(), &head("GET", "/", &[]), None);
        span.response_head(StatusCode::from_u16(code).unwrap());
        story(&span);
        span.end(0);
        let found = one(&telemetry);
        assert_eq!(status(&found), expected, "story {at}");
        assert_eq!(
            attribute(&found, "error.type").as_deref(),
            error_type,
            "story {at}"
        );
        assert_eq!(
            attribute(&found, "http.response.status_code"),
            Some(code.to_string())
        );
    }
}

#[test]
fn the_guest_adds_and_replaces_but_does_not_forge() {
    let telemetry = recording(|_| {});
    let span = telemetry.server_span(&peer(), &head("GET", "/", &[]), None);
    for (key, value) in [
        ("user.id", Value::Int(1)),
        ("user.id", Value::Int(2)),
        ("client.address", Value::Text("203.0.113.9".into())),
        ("http.response.status_code", Value::Int(999)),
        ("pounce.component", Value::Text("forged".into())),
    ] {
        span.set_attribute(key, value);
    }
    span.add_event("cache.miss", vec![("key".into(), Value::Text("k".into()))]);
    span.phases(Phases {
        reused: Some(true),
        queue: Some(Duration::from_micros(1500)),
        ..Phases::default()
    });
    span.phases(Phases {
        memory_peak: Some(65536),
        ..Phases::default()
    });
    span.response_head(StatusCode::OK);
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
    assert_eq!(found.dropped_attributes_count, 1, "the forged component");
    assert_eq!(found.events.len(), 2);
    assert_eq!(found.events[0].name, "cache.miss");
    assert_eq!(found.events[1].name, "exception");
    assert_eq!(
        text_attributes(&found.events[1].attributes)["exception.stacktrace"],
        "0: f"
    );
    for event in &found.events {
        assert!(
            (found.start_time_unix_nano..=found.end_time_unix_nano).contains(&event.time_unix_nano)
        );
    }
}

#[test]
fn what_is_over_the_limits_is_counted_on_the_span_and_in_the_totals() {
    let telemetry = recording(|_| {});
    let span = telemetry.server_span(&peer(), &head("GET", "/", &[]), None);
    for n in 0..200 {
        span.set_attribute(&format!("k{n}"), Value::Text("v".repeat(9000)));
        span.add_event("e", vec![]);
    }
    span.end(0);
    span.set_attribute("late", Value::Bool(true));
    span.end(0);
    let found = one(&telemetry);
    let own = found
        .attributes
        .iter()
        .filter(|attribute| attribute.key.starts_with('k'))
        .count() as u32;
    assert!(own <= 64, "bytes of one span are bounded: {own}");
    assert_eq!(own + found.dropped_attributes_count, 200);
    assert!(text_attributes(&found.attributes)["k0"].len() == 4096);
    assert_eq!(found.events.len() as u32 + found.dropped_events_count, 200);
    let totals = telemetry.totals();
    assert_eq!(
        totals.attributes_dropped,
        u64::from(found.dropped_attributes_count)
    );
    assert_eq!(totals.events_dropped, u64::from(found.dropped_events_count));
    assert_eq!((totals.ended, totals.late_writes), (1, 1));
}

#[test]
fn a_span_ends_once_and_an_abandoned_one_all_the_same() {
    let telemetry = recording(|_| {});
    let span = telemetry.server_span(&peer(), &head("GET", "/", &[]), None);
    let guest = span.clone();
    assert!(guest.is_recording());
    span.end(1);
    guest.end(2);
    assert!(!guest.is_recording() && guest.is_on() && guest.context().is_some());
    drop((span, guest));
    assert_eq!(spans(&telemetry).len(), 1);
    drop(telemetry.server_span(&peer(), &head("GET", "/", &[]), None));
    let found = one(&telemetry);
    assert_eq!(
        attribute(&found, "error.type").as_deref(),
        Some("abandoned")
    );
    assert_eq!(status(&found).0, Code::Error);
}

#[test]
fn an_unsampled_request_has_a_context_and_no_record() {
    let telemetry = recording(|otel| otel.sampler = Sampling::AlwaysOff);
    let span = telemetry.server_span(
        &peer(),
        &head(
            "GET",
            "/",
            &[("traceparent", CALLER), ("tracestate", "a=1")],
        ),
        None,
    );
    assert!(span.is_on() && !span.is_recording());
    let context = span.context().unwrap();
    assert_eq!(
        (context.trace_id.to_string().as_str(), context.flags),
        (&CALLER[3..35], 0)
    );
    assert_eq!(context.trace_state.as_str(), "a=1");
    assert_ne!(context.span_id.to_string(), &CALLER[36..52]);
    span.set_attribute("a", Value::Bool(true));
    span.end(0);
    assert!(spans(&telemetry).is_empty());
    assert_eq!(telemetry.totals(), Totals::default());
}

#[test]
fn new_traces_are_random_and_broken_callers_start_one() {
    let telemetry = recording(|_| {});
    let broken = CALLER.to_uppercase();
    let head = head(
        "GET",
        "/",
        &[("traceparent", &broken), ("tracestate", "a=1")],
    );
    telemetry.server_span(&peer(), &head, None).end(0);
    let found = one(&telemetry);
    assert_eq!((found.flags, found.trace_state.as_str()), (0x103, ""));
    assert!(found.parent_span_id.is_empty());
}

#[test]
fn without_an_exporter_nothing_is_made() {
    for change in [
        |_: &mut config::Otel| {},
        |otel: &mut config::Otel| {
            otel.exporter = config::Exporter::None;
            otel.endpoint = Some("http://127.0.0.1:1".parse().unwrap());
        },
    ] {
        let mut otel = settings();
        change(&mut otel);
        let telemetry = Telemetry::start(&otel, "hello").unwrap();
        let span = telemetry.server_span(&peer(), &head("GET", "/", &[]), None);
        assert!(!telemetry.is_on() && !span.is_on() && span.context().is_none());
        span.end(0);
        assert_eq!(telemetry.shutdown(second()), Totals::default());
    }
}

#[test]
fn an_active_span_fits_into_a_kilobyte() {
    assert!(
        server_span::RECORD_SIZE <= 1024,
        "{}",
        server_span::RECORD_SIZE
    );
    assert!(size_of::<ServerSpan>() <= 56, "{}", size_of::<ServerSpan>());
}
