//! The stock SDK of opentelemetry.io with wasi:otel as its way out: a span processor, a log processor, and a reader
//! whose metrics are exported when the request is done.

use std::sync::{Arc, Weak};
use std::time::Duration;

use opentelemetry::{Context, InstrumentationScope, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::logs::{LogProcessor, SdkLogRecord, SdkLoggerProvider};
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::reader::MetricReader;
use opentelemetry_sdk::metrics::{
    Aggregation, Instrument, InstrumentKind, ManualReader, Pipeline, SdkMeterProvider, Stream, Temporality,
};
use opentelemetry_sdk::trace::{SdkTracerProvider, Span, SpanData, SpanProcessor};

use crate::bindings::{logs, metrics, tracing};
use crate::{convert, convert_metrics};

/// The three providers of one request.
pub(crate) struct Sdk {
    pub(crate) traces: SdkTracerProvider,
    pub(crate) logs: SdkLoggerProvider,
    pub(crate) metrics: SdkMeterProvider,
    reader: Reader,
}

impl Sdk {
    /// Of the service `guest-service`; the instrument `exponential` gets exponential buckets.
    pub(crate) fn start(temporality: Temporality) -> Self {
        let resource = Resource::builder_empty()
            .with_service_name("guest-service")
            .with_attribute(KeyValue::new("guest.resource", "of its own"))
            .build();
        let reader = Reader(Arc::new(ManualReader::builder().with_temporality(temporality).build()));
        let exponential = |instrument: &Instrument| {
            let aggregation =
                Aggregation::Base2ExponentialHistogram { max_size: 20, max_scale: 5, record_min_max: true };
            let stream = || Stream::builder().with_aggregation(aggregation).build().ok();
            (instrument.name() == "exponential").then(stream).flatten()
        };
        Self {
            traces: SdkTracerProvider::builder()
                .with_resource(resource.clone())
                .with_span_processor(Processor(resource.clone()))
                .build(),
            logs: SdkLoggerProvider::builder()
                .with_resource(resource.clone())
                .with_log_processor(Processor(resource.clone()))
                .build(),
            metrics: SdkMeterProvider::builder()
                .with_resource(resource)
                .with_reader(reader.clone())
                .with_view(exponential)
                .build(),
            reader,
        }
    }

    /// Exports what the instruments have; what the host said to it.
    pub(crate) fn export_metrics(&self) -> Result<(), String> {
        let mut collected = ResourceMetrics::default();
        self.reader.collect(&mut collected).map_err(|error| error.to_string())?;
        metrics::export(&convert_metrics::collected(&collected))
    }
}

/// Hands over what starts, ends or is logged, with the resource it is of.
#[derive(Debug)]
struct Processor(Resource);

impl SpanProcessor for Processor {
    fn on_start(&self, span: &mut Span, _: &Context) {
        tracing::on_start(&convert::context(opentelemetry::trace::Span::span_context(span)));
    }

    fn on_end(&self, span: SpanData) {
        tracing::on_end(&convert::span(&span));
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

impl LogProcessor for Processor {
    fn emit(&self, record: &mut SdkLogRecord, scope: &InstrumentationScope) {
        logs::on_emit(&convert::log(record, scope, &self.0));
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// The provider wants a reader of its own, and so do we.
#[derive(Clone, Debug)]
struct Reader(Arc<ManualReader>);

impl MetricReader for Reader {
    fn register_pipeline(&self, pipeline: Weak<Pipeline>) {
        self.0.register_pipeline(pipeline);
    }

    fn collect(&self, into: &mut ResourceMetrics) -> OTelSdkResult {
        self.0.collect(into)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }

    fn temporality(&self, kind: InstrumentKind) -> Temporality {
        self.0.temporality(kind)
    }
}
