//! A sampler and a span exporter of the program's own, by OpenTelemetry's interfaces: health checks are not sampled, and
//! each span says in which region it was made before opentelemetry-otlp sends it.
//!
//! `cargo run --example own_telemetry`, with a collector at `http://localhost:4318`

use opentelemetry::trace::{Link, SpanKind, TraceId};
use opentelemetry::{Context, KeyValue};
use opentelemetry_http::hyper::HyperClient;
use opentelemetry_otlp::WithHttpConfig as _;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    Sampler, SamplingDecision, SamplingResult, ShouldSample, SpanData, SpanExporter,
};
use pounce::{App, Config, StartError};
use std::time::Duration;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let client = HyperClient::with_default_connector(Duration::from_secs(10), None);
    let otlp = opentelemetry_otlp::SpanExporter::builder().with_http().with_http_client(client).build()?;
    build(Config::new("examples/hello.wasm"), otlp).await?.run().await?;
    Ok(())
}

pub(crate) async fn build(config: Config, otlp: impl SpanExporter + 'static) -> Result<App, StartError> {
    let sampler = WithoutHealth(Sampler::ParentBased(Box::new(Sampler::AlwaysOn)));
    App::builder(config).sampler(sampler).span_exporter(InRegion("eu-1", otlp)).build().await
}

/// Samples as another sampler does, but for health checks.
#[derive(Clone, Debug)]
struct WithoutHealth(Sampler);

impl ShouldSample for WithoutHealth {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace_id: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let mut result = self.0.should_sample(parent, trace_id, name, kind, attributes, links);
        let path = attributes.iter().find(|attribute| attribute.key.as_str() == "url.path");
        if path.is_some_and(|path| path.value.as_str() == "/health") {
            result.decision = SamplingDecision::Drop;
        }
        result
    }
}

/// Adds a region to each span, and leaves the rest to another exporter.
#[derive(Debug)]
struct InRegion<E>(&'static str, E);

impl<E: SpanExporter> SpanExporter for InRegion<E> {
    async fn export(&self, mut batch: Vec<SpanData>) -> OTelSdkResult {
        for span in &mut batch {
            span.attributes.push(KeyValue::new("cloud.region", self.0));
        }
        self.1.export(batch).await
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.1.set_resource(resource);
    }
}
