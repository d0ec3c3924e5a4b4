//! The settings of `examples/backends`, as they are there but for the host and the key, against receivers that insist on
//! what those backends insist on.

use super::traffic::exported;
use crate::support::client;
use crate::support::forms::Form;
use crate::support::guest::root;
use crate::support::pounce::{Builder, Pounce};
use crate::support::server::{Arrived, Identity, Serving, serve_on};
use crate::support::signals::{Metric, Received};
use crate::support::span::{self, Span};
use crate::support::{Abi, pounce};
use http::{Response, StatusCode};
use http_body_util::{BodyExt, Full};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;

/// What a vendor says to a request, which is as `http/protobuf` has it: a refusal, or nothing.
type Insists = fn(&Arrived) -> Option<u16>;

/// A receiver that insists.
struct Vendor {
    addr: SocketAddr,
    took: Arc<Mutex<Vec<Arrived>>>,
    refused: Arc<Mutex<Vec<String>>>,
    _serving: Serving,
}

impl Vendor {
    async fn start(identity: Option<&Identity>, insists: Insists) -> Self {
        let (took, refused) = (Arc::<Mutex<Vec<_>>>::default(), Arc::<Mutex<Vec<_>>>::default());
        let lists = (took.clone(), refused.clone());
        let answer = move |arrived: Arrived| {
            let (took, refused) = lists.clone();
            async move {
                let plain = |status: StatusCode| {
                    let mut response = Response::new(Full::default());
                    *response.status_mut() = status;
                    response
                };
                let Some((form, arrived)) = Form::read(arrived) else {
                    refused.lock().unwrap().push("no OTLP".into());
                    return Some(plain(StatusCode::BAD_REQUEST).map(Full::boxed));
                };
                let response = match insists(&arrived) {
                    Some(status) => {
                        refused.lock().unwrap().push(format!("{status} to {arrived:?}"));
                        plain(StatusCode::from_u16(status).unwrap())
                    }
                    None => {
                        took.lock().unwrap().push(arrived);
                        let mut accepted = plain(StatusCode::OK);
                        let kind = http::HeaderValue::from_static("application/x-protobuf");
                        accepted.headers_mut().insert(http::header::CONTENT_TYPE, kind);
                        accepted
                    }
                };
                Some(form.answer(response).await)
            }
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let (addr, serving) = serve_on(listener, identity, answer);
        Vendor { addr, took, refused, _serving: serving }
    }

    fn of(&self, path: &str) -> Vec<Arrived> {
        let took = self.took.lock().unwrap();
        took.iter().filter(|arrived| arrived.target == path).cloned().collect()
    }

    fn spans(&self) -> Vec<Span> {
        let requests = self
            .of("/v1/traces")
            .into_iter()
            .map(|arrived| span::read(ExportTraceServiceRequest::decode(arrived.body).expect("OTLP")));
        requests.flatten().collect()
    }

    fn metrics(&self) -> Vec<Metric> {
        let requests = self.of("/v1/metrics");
        requests.iter().filter_map(Received::decode).flat_map(Received::metrics).collect()
    }
}

/// The settings of a backend, with `replaced` in place of what only its user can know. Each must be there.
fn settings(backend: &str, replaced: &[(&str, &str)]) -> Vec<(String, String)> {
    let path = root().join("examples/backends").join(format!("{backend}.env"));
    let mut text = std::fs::read_to_string(path).expect("the settings");
    for (placeholder, value) in replaced {
        assert!(text.contains(placeholder), "{backend} has no {placeholder}");
        text = text.replace(placeholder, value);
    }
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let pair = |line: &str| {
        let (name, value) = line.split_once('=').expect("NAME=VALUE");
        (name.to_owned(), value.to_owned())
    };
    lines.map(pair).collect()
}

fn with(settings: Vec<(String, String)>) -> Builder {
    settings
        .into_iter()
        .fold(pounce().guest(Abi::P2, "attributes"), |builder, (name, value)| builder.env(&name, value))
}

/// Has a guest make one of each signal, and a client a request that fails.
async fn use_it(server: &Pounce) {
    let all = "/?counter.orders=2&histogram.items=7&log.warn=late";
    assert_eq!(client::fetch_path(server.addr(), all).await.status, 200);
    assert_eq!(client::fetch_path(server.addr(), "/broken?exception=it+broke&code=500").await.status, 500);
}

/// An identity for `localhost`, and what makes a server trust it beside its settings.
fn tls(protocols: &[&str]) -> (Identity, tempfile::TempDir, String) {
    let identity = Identity::of(&["localhost"], protocols, None);
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("ca.pem");
    identity.write_certificate(&file);
    let file = file.display().to_string();
    (identity, dir, file)
}

#[test]
fn the_page_of_backends_has_the_same_settings() {
    let page = std::fs::read_to_string(root().join("docs/backends.md")).expect("the page");
    let files = std::fs::read_dir(root().join("examples/backends")).expect("the settings");
    let paths: Vec<_> = files.map(|file| file.expect("a file").path()).collect();
    assert!(paths.len() >= 3, "{paths:?}");
    for path in paths {
        let text = std::fs::read_to_string(&path).expect("text");
        assert!(
            page.contains(&format!("```sh\n{text}```\n")),
            "{} is not in docs/backends.md",
            path.display()
        );
    }
}

/// A team's key on everything, a dataset on metrics, https.
#[tokio::test]
async fn honeycomb() {
    let insists: Insists = |arrived| match arrived.target.as_str() {
        _ if arrived.values("x-honeycomb-team") != ["k3y"] => Some(401),
        "/v1/metrics" if arrived.values("x-honeycomb-dataset") != ["shop-metrics"] => Some(400),
        "/v1/traces" | "/v1/metrics" | "/v1/logs" => None,
        _ => Some(404),
    };
    let (identity, _dir, certificate) = tls(&["h2", "http/1.1"]);
    let vendor = Vendor::start(Some(&identity), insists).await;
    let endpoint = format!("https://localhost:{}", vendor.addr.port());
    let known = [("https://api.honeycomb.io", endpoint.as_str()), ("YOUR_API_KEY", "k3y")];
    let server =
        with(settings("honeycomb", &known)).env("OTEL_EXPORTER_OTLP_CERTIFICATE", &certificate).start().await;
    use_it(&server).await;
    let exit = server.stop().await;
    exit.expect(0, &["2 spans ended, 2 exported"]);
    assert!(!exit.stderr.contains("k3y"), "the key is a secret: {exit}");
    assert_eq!(*vendor.refused.lock().unwrap(), [""; 0]);
    assert!(vendor.spans().iter().all(|span| span.resource["service.name"].to_string() == r#""shop""#));
    assert!(vendor.metrics().iter().any(|metric| metric.name == "orders"));
    let records: Vec<_> = vendor.of("/v1/logs").iter().filter_map(Received::decode).collect();
    let records: Vec<_> = records.into_iter().flat_map(Received::logs).collect();
    assert_eq!(records.len(), exported(&exit, "log records emitted"), "{exit}");
    assert!(records.iter().any(|record| record.body == r#""late""# && !record.trace_id.is_empty()));

    // It does insist, and says who must do what.
    let wrong = [("https://api.honeycomb.io", endpoint.as_str()), ("YOUR_API_KEY", "n0ne")];
    let server =
        with(settings("honeycomb", &wrong)).env("OTEL_EXPORTER_OTLP_CERTIFICATE", certificate).start().await;
    use_it(&server).await;
    let exit = server.stop().await;
    exit.expect(0, &["2 spans ended, 0 exported", "401", "headers"]);
}

/// An agent beside the server: no key, clear text, sums and histograms as deltas, the names of its tags in the resource.
#[tokio::test]
async fn datadog_agent() {
    let insists: Insists = |arrived| match arrived.target.as_str() {
        "/v1/traces" => None,
        "/v1/metrics" => {
            let metrics = Received::decode(arrived).map(Received::metrics).unwrap_or_default();
            let is_total = |metric: &Metric| matches!(&*metric.kind, "counter" | "histogram" | "exponential");
            metrics.iter().any(is_total).then_some(400)
        }
        // Unless it is told to take them.
        _ => Some(404),
    };
    let vendor = Vendor::start(None, insists).await;
    let endpoint = format!("http://{}", vendor.addr);
    let server = with(settings("datadog", &[("http://localhost:4318", endpoint.as_str())])).start().await;
    use_it(&server).await;
    let exit = server.stop().await;
    exit.expect(0, &["2 spans ended, 2 exported"]);
    assert!(!exit.stderr.contains("takes no"), "{exit}");
    assert_eq!(*vendor.refused.lock().unwrap(), [""; 0]);
    let spans = vendor.spans();
    assert_eq!(spans.len(), 2);
    for (key, value) in [
        ("service.name", "shop"),
        ("deployment.environment.name", "production"),
        ("service.version", "1.4.2"),
    ] {
        let found =
            spans.iter().map(|span| &span.resource).all(|of| of[key].to_string() == format!("{value:?}"));
        assert!(found, "{key}: {:?}", spans[0].resource);
    }
    let metrics = vendor.metrics();
    let kind = |name: &str| metrics.iter().find(|metric| metric.name == name).map(|metric| &*metric.kind);
    assert_eq!((kind("orders"), kind("items")), (Some("counter delta"), Some("histogram delta")));
}

/// A gateway that knows users, and a tenant; traces only, by either protocol.
#[tokio::test]
async fn tempo() {
    let insists: Insists = |arrived| {
        let is_known = arrived.values("authorization") == ["Basic dXNlcjpwYXNzd29yZA=="];
        let has_tenant = arrived.values("x-scope-orgid") == ["team-a"];
        match arrived.target.as_str() {
            _ if !is_known || !has_tenant => Some(401),
            "/v1/traces" => None,
            _ => Some(404),
        }
    };
    for (protocol, offered) in [(None, "http/1.1"), (Some("grpc"), "h2")] {
        let (identity, _dir, certificate) = tls(&[offered]);
        let vendor = Vendor::start(Some(&identity), insists).await;
        let endpoint = format!("https://localhost:{}", vendor.addr.port());
        let mut server = with(settings("tempo", &[("https://tempo.example.com:4318", endpoint.as_str())]))
            .env("OTEL_EXPORTER_OTLP_CERTIFICATE", &certificate);
        if let Some(protocol) = protocol {
            server = server.env("OTEL_EXPORTER_OTLP_PROTOCOL", protocol);
        }
        let server = server.start().await;
        use_it(&server).await;
        let exit = server.stop().await;
        exit.expect(0, &["2 spans ended, 2 exported"]);
        assert!(!exit.stderr.contains("takes no"), "{exit}");
        assert_eq!((vendor.refused.lock().unwrap().len(), vendor.spans().len()), (0, 2), "{protocol:?}");
        assert!(!exit.stderr.contains("dXNlcjpwYXNzd29yZA"), "the password is a secret: {exit}");
    }
}
