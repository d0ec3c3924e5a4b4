//! Jaeger receives our spans and gives them back through its own API. What it makes of them is the proof that the
//! encoding says to others what it says to us.

use super::traffic::{Keeps, send};
use super::{Daemon, PROTOCOLS, free_addrs, tool};
use crate::support::client::{self, WithHeader};
use crate::support::span::{self, Span};
use crate::support::{Abi, Protocol, eventually, pounce, within};
use serde_json::Value;
use std::net::SocketAddr;
use std::process::{Command, Stdio};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

/// A running Jaeger; killed when dropped.
pub(super) struct Jaeger {
    _daemon: Daemon,
    /// OTLP over HTTP.
    pub(super) otlp: SocketAddr,
    /// OTLP over gRPC.
    grpc: SocketAddr,
    query: SocketAddr,
}

impl Jaeger {
    pub(super) async fn start() -> Self {
        let addrs: [SocketAddr; 7] = free_addrs();
        let flags = [
            "collector.otlp.http.host-port",
            "collector.otlp.grpc.host-port",
            "query.http-server.host-port",
            "admin.http.host-port",
            "query.grpc-server.host-port",
            "collector.grpc-server.host-port",
            "collector.http-server.host-port",
        ];
        let mut daemon = Daemon::start(
            Command::new(tool("POUNCE_JAEGER", "jaeger-1.76.0/jaeger"))
                .args(flags.iter().zip(&addrs).map(|(flag, addr)| format!("--{flag}={addr}")))
                // It traces itself otherwise, and its own spans come first.
                .env("OTEL_TRACES_SAMPLER", "always_off")
                .stdout(Stdio::null())
                .stderr(Stdio::null()),
        );
        eventually("Jaeger to be ready", async || {
            assert!(daemon.is_alive(), "Jaeger has ended");
            match tokio::net::TcpStream::connect(addrs[3]).await {
                Ok(_) => client::fetch_path(addrs[3], "/").await.status == 200,
                Err(_) => false,
            }
        })
        .await;
        Jaeger { _daemon: daemon, otlp: addrs[0], grpc: addrs[1], query: addrs[2] }
    }

    /// What its API says of the traces of `service`, once it has `n` of them.
    pub(super) async fn traces(&self, service: &str, n: usize) -> Vec<Value> {
        let mut traces = Vec::new();
        eventually(&format!("{n} traces of {service} in Jaeger"), async || {
            let answer = client::fetch_path(self.query, &format!("/api/traces?service={service}")).await;
            let answer: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
            traces = answer["data"].as_array().cloned().unwrap_or_default();
            traces.len() >= n
        })
        .await;
        traces
    }

    /// The spans of a trace once there are `n`, by the API that speaks OTLP.
    pub(super) async fn spans(&self, trace_id: &str, n: usize) -> Vec<Span> {
        let mut spans = Vec::new();
        eventually(&format!("{n} spans of trace {trace_id} in Jaeger"), async || {
            let answer = client::fetch_path(self.query, &format!("/api/v3/traces/{trace_id}")).await;
            let answer: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
            spans = serde_json::from_value(answer["result"].clone()).map(span::read).unwrap_or_default();
            spans.len() >= n
        })
        .await;
        for span in &mut spans {
            // It says that it does not know the caller.
            span.attributes.remove("@jaeger@warnings");
            span.events.sort_by_key(|event| event.time);
        }
        spans
    }
}

/// The value of a tag of a span or a process.
pub(super) fn tag<'a>(of: &'a Value, key: &str) -> &'a Value {
    let tags = of["tags"].as_array().expect("tags");
    let tag = tags.iter().find(|tag| tag["key"] == key).unwrap_or_else(|| panic!("no tag {key} in {tags:?}"));
    &tag["value"]
}

#[tokio::test]
async fn jaeger_gives_back_what_was_sent() {
    let jaeger = Jaeger::start().await;
    let server = pounce()
        .guest(Abi::P2, "attributes")
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{}", jaeger.otlp))
        .env("OTEL_SERVICE_NAME", "shop")
        .env("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
        .env("OTEL_BSP_SCHEDULE_DELAY", 50)
        .start()
        .await;
    let joined =
        client::get("/items/7?fixed&sig=s3cret").with("traceparent", format!("00-{TRACE}-{PARENT}-01"));
    client::fetch(server.addr(), Protocol::H1, joined).await;
    client::fetch_path(server.addr(), "/broken?exception=it+broke&code=500").await;

    let traces = jaeger.traces("shop", 2).await;
    let span_of = |path: &str| {
        let found = traces.iter().find(|trace| *tag(&trace["spans"][0], "url.path") == path);
        let trace = found.unwrap_or_else(|| panic!("no trace of {path} in {traces:?}"));
        assert_eq!(trace["spans"].as_array().map(Vec::len), Some(1), "{trace}");
        (trace, &trace["spans"][0])
    };
    let (trace, span) = span_of("/items/7");
    assert_eq!((&span["traceID"], &span["operationName"]), (&TRACE.into(), &"GET /items/{id}".into()));
    assert_eq!(span["references"][0]["spanID"], PARENT, "{span}");
    for (key, value) in [
        ("span.kind", Value::from("server")),
        ("http.request.method", "GET".into()),
        ("http.response.status_code", 200.into()),
        ("http.status_code", 200.into()),
        ("http.route", "/items/{id}".into()),
        ("url.query", "fixed&sig=REDACTED".into()),
        ("guest.text", "hello".into()),
        ("guest.int", 42.into()),
        ("guest.boolean", true.into()),
        ("guest.double", 0.5.into()),
        ("pounce.component", "attributes".into()),
    ] {
        assert_eq!(*tag(span, key), value, "{key}");
    }
    assert_eq!(span["logs"].as_array().map(Vec::len), Some(2), "two events: {span}");
    let process = &trace["processes"]["p1"];
    assert_eq!(process["serviceName"], "shop");
    assert_eq!(*tag(process, "deployment.environment.name"), "test");
    assert!(tag(process, "service.instance.id").is_string());

    let (_, broken) = span_of("/broken");
    assert_eq!(
        (tag(broken, "error"), tag(broken, "otel.status_description")),
        (&true.into(), &"it broke".into())
    );
    let fields = broken["logs"][0]["fields"].as_array().expect("an event");
    assert!(fields.iter().any(|field| field["key"] == "exception.type" && field["value"] == "guest.Failure"));

    let listed = within("the list of services", client::fetch_path(jaeger.query, "/api/services")).await;
    let listed: Value = serde_json::from_slice(&listed.body).unwrap();
    assert!(listed["data"].as_array().is_some_and(|services| services.contains(&"shop".into())), "{listed}");
}

#[tokio::test]
async fn jaeger_gets_every_span_over_each_protocol() {
    let jaeger = Jaeger::start().await;
    for protocol in PROTOCOLS {
        let to = if protocol == "grpc" { jaeger.grpc } else { jaeger.otlp };
        let sent = send(protocol, &format!("http://{to}")).await;
        let spans = jaeger.spans(&sent.trace_id, sent.spans).await;
        sent.expect_spans(&spans, Keeps { lists: false, link_details: false, flags: false });
        // It takes neither metrics nor log records: told once of each by the guest that has some, and counted.
        for (what, told) in [("metrics", "takes no metrics"), ("log records", "takes no log records")] {
            let times = sent.said("attributes").matches(told).count();
            assert_eq!(times, 1, "{protocol}, {what}: {}", sent.said("attributes"));
        }
        assert_eq!((sent.records, sent.points), (0, 0), "{protocol}");
    }
}

/// What `docs/backends.md` says of Jaeger: a status Ok is no error and is shown, a link is a reference without its
/// attributes, and lists are text.
#[tokio::test]
async fn jaeger_shows_statuses_links_and_lists_in_its_own_way() {
    let jaeger = Jaeger::start().await;
    for (profile, status) in [("compat", Some("OK")), ("http/dup", None)] {
        let server = pounce()
            .guest(Abi::P2, "attributes")
            .flag("--otel-endpoint", format_args!("http://{}", jaeger.otlp))
            .flag("--otel-semconv", profile)
            // The caller's span becomes a link.
            .flag("--otel-trust-parent", "off")
            .env("OTEL_SERVICE_NAME", profile)
            .env("OTEL_BSP_SCHEDULE_DELAY", 50)
            .start()
            .await;
        let linked =
            client::get("/items/7?fixed&code=404").with("traceparent", format!("00-{TRACE}-{PARENT}-01"));
        assert_eq!(client::fetch(server.addr(), Protocol::H1, linked).await.status, 404);
        let [trace] = jaeger.traces(profile, 1).await.try_into().expect("one trace");
        let span = &trace["spans"][0];
        let tags = span["tags"].as_array().expect("tags");
        let found = |key: &str| tags.iter().find(|tag| tag["key"] == key).map(|tag| tag["value"].clone());
        assert_eq!(found("otel.status_code"), status.map(Value::from), "{profile}");
        assert_eq!(found("error"), None, "{profile}: 404 is not red");
        let reference = &span["references"][0];
        assert_eq!((&reference["refType"], &reference["spanID"]), (&"FOLLOWS_FROM".into(), &PARENT.into()));
        assert_eq!(found("guest.texts"), Some(r#"["a","b"]"#.into()));
        assert_eq!(found("otel.scope.name"), Some("pounce".into()));
    }
}
