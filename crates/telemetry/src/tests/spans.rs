//! The server span as a backend sees it: identity, name and the attributes of a request.

use super::*;
use crate::settings::Sampling;
use http::StatusCode;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode as Code;
use pounce_otlp::{Endpoint, Signal, Transport};
use std::time::{SystemTime, UNIX_EPOCH};

const CALLER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

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
        let before = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
        let head = head("POST", "/a/b?x=1&sig=secret", &headers);
        let span = telemetry.server_span(&peer(), &head);
        let context = span.context().unwrap();
        span.response_head(StatusCode::OK, &http::HeaderMap::new());
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
        assert_eq!(SpanId(found.parent_span_id.try_into().unwrap()).to_string(), &CALLER[36..52]);
        assert_eq!((found.flags, found.trace_state.as_str(), found.kind), (0x301, "a=1", 2));
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
        (|span| span.set_route(&"r".repeat(5000)), &format!("GET {}", "r".repeat(256)), None),
    ];
    for semconv in [Semconv::Compat, Semconv::HttpDup, Semconv::Http] {
        for (change, name, route) in &cases {
            let telemetry = recording(|otel| otel.semconv = semconv);
            let span = telemetry.server_span(&peer(), &head("GET", "/r/7", &[]));
            span.set_route("/r/{id}");
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
    assert_eq!(logged(|| serve_paths(&telemetry, 501..503)), "", "said once");
    telemetry.server_span(&peer(), &head("GET", "/7", &[])).end(0);
    let routed = telemetry.server_span(&peer(), &head("GET", "/new", &[]));
    routed.set_route("/{n}");
    routed.end(0);
    let names: Vec<_> = spans(&telemetry).into_iter().map(|span| span.name).collect();
    assert_eq!(names[499..], ["GET /499", "GET", "GET", "GET", "GET /7", "GET /{n}"]);
}

fn serve_paths(telemetry: &Telemetry, paths: std::ops::Range<usize>) {
    for n in paths {
        telemetry.server_span(&peer(), &head("GET", &format!("/{n}"), &[])).end(0);
    }
}

#[test]
fn unknown_methods_are_other() {
    for method in ["get", "BREW"] {
        let telemetry = recording(|_| {});
        telemetry.server_span(&peer(), &head(method, "/tea", &[])).end(0);
        let found = one(&telemetry);
        assert_eq!(found.name, "HTTP /tea");
        assert_eq!(attribute(&found, "http.request.method").as_deref(), Some("_OTHER"));
        assert_eq!(attribute(&found, "http.request.method_original").as_deref(), Some(method));
    }
}

#[test]
fn the_server_is_what_the_client_called() {
    for (uri, host, tls, expected) in [
        ("/", Some("h"), false, [Some("h"), Some("80"), Some("h"), Some("80")]),
        ("/", Some("h"), true, [Some("h"), Some("443"), Some("h"), Some("443")]),
        ("/", Some("[::1]:81"), false, [Some("::1"), Some("81"), Some("[::1]:81"), Some("81")]),
        ("http://u:p@a:82/", Some("h"), false, [Some("a"), Some("82"), Some("a:82"), Some("82")]),
        ("/", Some("a b"), false, [Some("a b"), Some("80"), Some("a b"), Some("80")]),
        ("/", Some("h:x"), false, [None, None, Some("h:x"), Some("8080")]),
        ("/", None, false, [None, None, None, Some("8080")]),
    ] {
        let telemetry = recording(|_| {});
        let headers: Vec<_> = host.map(|host| ("host", host)).into_iter().collect();
        let encrypted = || crate::Tls { version: "1.3", cipher: "".into(), client: None };
        let peer = Peer { tls: tls.then(|| std::sync::Arc::new(encrypted())), ..peer() };
        telemetry.server_span(&peer, &head("GET", uri, &headers)).end(0);
        let found = one(&telemetry);
        let keys = ["server.address", "server.port", "http.host", "net.host.port"];
        let values = keys.map(|key| attribute(&found, key));
        assert_eq!(values.each_ref().map(Option::as_deref), expected, "{uri} {host:?}");
        let scheme = if tls { "https" } else { "http" };
        assert_eq!(attribute(&found, "url.scheme").as_deref(), Some(scheme));
    }
}

#[test]
fn odd_requests_give_valid_spans() {
    let telemetry = recording(|_| {});
    let mut odd = head("OPTIONS", "*", &[]);
    odd.version = http::Version::HTTP_2;
    odd.headers.insert("user-agent", http::HeaderValue::from_bytes(b"\xff\xfe").unwrap());
    odd.headers.insert("content-length", http::HeaderValue::from_static("+5"));
    telemetry.server_span(&Peer::default(), &odd).end(0);
    let found = one(&telemetry);
    assert_eq!(found.name, "OPTIONS *");
    assert_eq!(attribute(&found, "network.protocol.version").as_deref(), Some("2"));
    assert_eq!(attribute(&found, "user_agent.original").as_deref(), Some("\u{fffd}\u{fffd}"));
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
    telemetry.server_span(&peer(), &head("CONNECT", "example.com:443", &[])).end(0);
    assert_eq!(one(&telemetry).name, "CONNECT");
    let long = format!("/{}", "p".repeat(9000));
    telemetry.server_span(&peer(), &head("GET", &long, &[])).end(0);
    assert_eq!(attribute(&one(&telemetry), "url.path").map(|path| path.len()), Some(4096));
}

#[test]
fn an_unsampled_request_has_a_context_and_no_record() {
    let telemetry = recording(|otel| otel.sampling = Sampling::share(0.0));
    let span =
        telemetry.server_span(&peer(), &head("GET", "/", &[("traceparent", CALLER), ("tracestate", "a=1")]));
    assert!(span.is_on() && !span.is_recording());
    let context = span.context().unwrap();
    assert_eq!((context.trace_id.to_string().as_str(), context.flags), (&CALLER[3..35], 0));
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
    let head = head("GET", "/", &[("traceparent", &broken), ("tracestate", "a=1")]);
    telemetry.server_span(&peer(), &head).end(0);
    let found = one(&telemetry);
    assert_eq!((found.flags, found.trace_state.as_str()), (0x103, ""));
    assert!(found.parent_span_id.is_empty());
}

#[test]
fn without_an_exporter_nothing_is_made() {
    let telemetry = Telemetry::start(&settings(), "hello", LocalReaders::default()).unwrap();
    let span = telemetry.server_span(&peer(), &head("GET", "/", &[]));
    assert!(!telemetry.is_on() && !span.is_on() && span.context().is_none());
    span.end(0);
    assert_eq!(telemetry.shutdown(second()), Totals::default());
}

#[test]
fn each_signal_is_on_by_itself() {
    let endpoint =
        |signal| (signal, Endpoint::of(signal, &"http://127.0.0.1:1".parse().unwrap(), Transport::default()));
    let endpoints = vec![endpoint(Signal::Metrics), endpoint(Signal::Logs)];
    let telemetry =
        Telemetry::start(&Settings { endpoints, ..settings() }, "hello", LocalReaders::default()).unwrap();
    let signals = telemetry.signals();
    assert!(telemetry.is_on() && signals.metrics.is_some() && signals.logs.is_some());
    assert!(!telemetry.server_span(&peer(), &head("GET", "/", &[])).is_on(), "spans go nowhere");
    telemetry.shutdown(second());
    // Nothing is exported, and yet somebody reads the metrics.
    let telemetry =
        Telemetry::start(&settings(), "hello", LocalReaders { metrics: true, ..LocalReaders::default() })
            .unwrap();
    let signals = telemetry.signals();
    assert!(!telemetry.is_on() && signals.metrics.is_some() && signals.logs.is_none());
}
