//! The examples of the library, each doing what it says.

#[allow(dead_code, reason = "its main is for who runs it")]
#[path = "../../examples/in_axum.rs"]
mod in_axum;
#[allow(dead_code, reason = "its main is for who runs it")]
#[path = "../../examples/own_telemetry.rs"]
mod own_telemetry;
#[allow(dead_code, reason = "its main is for who runs it")]
#[path = "../../examples/serve.rs"]
mod serve;

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use http::Request;
use http_body_util::BodyExt as _;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_http::hyper::HyperClient;
use opentelemetry_otlp::{WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
use pounce::{App, Config, Outcome};
use tower_service::Service as _;
use tracing::instrument::WithSubscriber as _;
use tracing_subscriber::layer::SubscriberExt as _;

use crate::support::guest::root;
use crate::support::{Collector, client};

fn hello() -> Config {
    let mut config = Config::new(root().join("guests/prebuilt/hello.wasm"));
    config.guest.cache = pounce::config::CacheDir::Off;
    config.http.listen = vec![(Ipv4Addr::LOCALHOST, 0).into()];
    config
}

#[tokio::test]
async fn a_server_in_twenty_lines_serves() {
    let source = include_str!("../../examples/serve.rs").lines().map(str::trim);
    let code = source.filter(|line| !line.is_empty() && !line.starts_with("//") && !line.starts_with('#'));
    assert!(code.count() <= 20);
    let app = serve::build(hello()).await.unwrap();
    let address = app.listeners()[0].tcp_addr().unwrap();
    let calls = async {
        assert_eq!(client::fetch_path(address, "/").await.text(), "Hello, World!\n");
    };
    assert_eq!(app.run_until(calls).await, Outcome::Drained);
}

#[tokio::test]
async fn a_sampler_and_an_exporter_of_the_programs_stand_for_our_own() {
    let collector = Collector::start().await;
    let client = HyperClient::with_default_connector(Duration::from_secs(10), None);
    let otlp = opentelemetry_otlp::SpanExporter::builder().with_http().with_http_client(client);
    let otlp = otlp.with_endpoint(format!("{}/v1/traces", collector.endpoint())).build().unwrap();
    let app = own_telemetry::build(hello(), otlp).await.unwrap();
    let address = app.listeners()[0].tcp_addr().unwrap();
    let calls = async {
        client::fetch_path(address, "/health").await;
        client::fetch_path(address, "/shop").await;
    };
    assert_eq!(app.run_until(calls).await, Outcome::Drained);
    let span = collector.span().await;
    assert_eq!((&*span.name, span.text("cloud.region")), ("GET /shop", "eu-1"));
    assert_eq!(span.int("http.response.status_code"), Some(200));
    assert!(collector.exports().iter().all(|export| export.accepted));
}

/// Spans of the application's own SDK.
#[derive(Clone, Debug, Default)]
struct Ended(Arc<Mutex<Vec<SpanData>>>);

impl SpanExporter for Ended {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.lock().unwrap().extend(batch);
        Ok(())
    }
}

#[tokio::test]
async fn a_component_in_axum_is_under_the_applications_spans() {
    let collector = Collector::start().await;
    let mut config = hello();
    config.http.listen.clear();
    config.otel.endpoint = Some(collector.endpoint().parse().unwrap());
    let app = App::build(config).await.unwrap();
    let mut router = in_axum::router(&app);

    let ended = Ended::default();
    let provider = SdkTracerProvider::builder().with_simple_exporter(ended.clone()).build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("application"));
    let subscriber = tracing_subscriber::registry().with(layer);
    let calls = async {
        for (path, expected) in [("/health", "fine"), ("/shop", "Hello, World!\n")] {
            let request = Request::get(path)
                // The client's own context: that of the application's span is nearer.
                .header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00")
                .body(Body::empty())
                .unwrap();
            let response = router.call(request).await.unwrap();
            assert_eq!(response.status(), 200);
            assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), expected);
        }
    };
    calls.with_subscriber(subscriber).await;
    drop(router);
    assert_eq!(app.run_until(async {}).await, Outcome::Drained);
    let span = collector.span().await;
    let ended = ended.0.lock().unwrap();
    // Beside those of the engine, which has spans of `tracing`, too.
    let application = ended.iter().rfind(|span| span.name == "application").unwrap();
    assert_eq!(span.parent, application.span_context.span_id().to_string());
    assert_eq!(span.trace_id, application.span_context.trace_id().to_string());
    assert_eq!(span.flags & 0x300, 0x100, "a parent in this process");
}
