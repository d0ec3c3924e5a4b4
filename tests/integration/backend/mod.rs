//! A real backend: Jaeger receives our spans and gives them back through its own API. What it makes of them is the proof
//! that the encoding says to others what it says to us.

use crate::support::client::{self, WithHeader};
use crate::support::{Abi, Protocol, eventually, pounce, within};
use serde_json::Value;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// A trace through services of ours and of others.
mod chain;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

/// A running Jaeger; killed when dropped.
struct Jaeger {
    child: Child,
    otlp: SocketAddr,
    query: SocketAddr,
}

/// Where `make setup` leaves a tool (scripts/tools.sh), unless the variable says otherwise.
fn tool(variable: &str, place: &str) -> PathBuf {
    let var = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let path = var(variable).unwrap_or_else(|| {
        let home = || var("HOME").expect("a home").join(".cache");
        let cache =
            var("POUNCE_CACHE").unwrap_or_else(|| var("XDG_CACHE_HOME").unwrap_or_else(home).join("pounce"));
        cache.join(place)
    });
    assert!(path.exists(), "{} is missing: run `make setup`", path.display());
    path
}

impl Jaeger {
    async fn start() -> Self {
        // Ports that were free a moment ago; all are held until all are known, so that they differ.
        let held: Vec<_> = (0..7).map(|_| TcpListener::bind("127.0.0.1:0").expect("a free port")).collect();
        let addrs: Vec<_> = held.iter().map(|listener| listener.local_addr().expect("bound")).collect();
        drop(held);
        let flags = [
            "collector.otlp.http.host-port",
            "query.http-server.host-port",
            "admin.http.host-port",
            "collector.otlp.grpc.host-port",
            "query.grpc-server.host-port",
            "collector.grpc-server.host-port",
            "collector.http-server.host-port",
        ];
        let child = Command::new(tool("POUNCE_JAEGER", "jaeger-1.76.0/jaeger"))
            .args(flags.iter().zip(&addrs).map(|(flag, addr)| format!("--{flag}={addr}")))
            // It traces itself otherwise, and its own spans come first.
            .env("OTEL_TRACES_SAMPLER", "always_off")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("Jaeger starts");
        let mut jaeger = Jaeger { child, otlp: addrs[0], query: addrs[1] };
        eventually("Jaeger to be ready", async || {
            assert!(jaeger.child.try_wait().expect("our child").is_none(), "Jaeger has ended");
            match tokio::net::TcpStream::connect(addrs[2]).await {
                Ok(_) => client::fetch_path(addrs[2], "/").await.status == 200,
                Err(_) => false,
            }
        })
        .await;
        jaeger
    }

    /// What its API says of the traces of `service`, once it has `n` of them.
    async fn traces(&self, service: &str, n: usize) -> Vec<Value> {
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
}

impl Drop for Jaeger {
    fn drop(&mut self) {
        self.child.kill().and_then(|()| self.child.wait()).expect("our child");
    }
}

/// The value of a tag of a span or a process.
fn tag<'a>(of: &'a Value, key: &str) -> &'a Value {
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
