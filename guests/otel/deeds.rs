//! What the guest tells through its SDK, by path. `T` is 1700000000 s.
//!
//! | path | does |
//! | --- | --- |
//! | `/` | all of the next three |
//! | `/traces` | in the host's context: span `work` (internal; scope `guest.scope` 1.2.3 with schema and attribute `scope.kind` = `test`) with attributes `text`, `int` = 42, `double` = 0.5, `boolean`, `ints` = [1, 2], event `step`, a link; its child `call` (client), error `it broke`; `later` from T to T + 1 s |
//! | `/logs` | in span `logging`: record `hello` (WARN, event name `greeting`, attributes `n` = 1, `bytes` = 00 01 ff, `map` = {`a`: [1, `b`]}); outside of it a record without anything |
//! | `/metrics` | `counter` +3 and +4 with `kind` = `a`, `kind` = `b` +1; `up.down` −5; `gauge` 0.5; `histogram` 0.1, 7, 9000; `exponential` 1, 2, 1024; with `temporality=cumulative` not as deltas |
//! | `/root` | span `root` without a parent: a trace of the guest's own |
//! | `/unended` | span `unended`, started and never ended |
//! | `/call?url=URL` | span `caller`, in which it calls URL; the span ends after the call |
//! | `/raw?do=STEPS` | calls as spelt out, with an answer of its own: see [`super::raw`]; `then=STEPS` are done after the response |
//! | `/hostile` | what no SDK would hand over: see [`super::hostile`] |
//!
//! Answers `{"host": {"trace_id", "span_id", "sampled", "is_remote"}, "spans": {NAME: SPAN-ID}, "trace_id": of its spans,
//! "exported": null or what the host said to the metrics, "call": status or error}`.

use std::collections::HashMap;
use std::time::{Duration, UNIX_EPOCH};

use guest_http::{Call, Target};
use opentelemetry::logs::{AnyValue, LogRecord as _, Logger as _, LoggerProvider as _, Severity};
use opentelemetry::metrics::MeterProvider as _;
use opentelemetry::trace::{
    Link, Span as _, SpanContext, SpanKind, Status, TraceContextExt as _, TraceFlags, TraceState,
    Tracer as _, TracerProvider as _,
};
use opentelemetry::{Array, Context, InstrumentationScope, KeyValue, SpanId, TraceId, Value};
use opentelemetry_sdk::metrics::Temporality;
use serde_json::{Value as Json, json};

use crate::sdk::Sdk;
use crate::{bindings, convert, hostile, raw};

/// Does what the path says; none when it knows no such path.
pub(crate) async fn perform(
    target: &Target,
    host: bindings::tracing::SpanContext,
    mut send: impl AsyncFnMut(Call) -> Json,
) -> Option<Vec<u8>> {
    let temporality = match target.get("temporality").as_deref() {
        Some("cumulative") => Temporality::Cumulative,
        _ => Temporality::Delta,
    };
    let sdk = Sdk::start(temporality);
    let parent = Context::new().with_remote_span_context(convert::from_host(&host));
    let mut told = Told { spans: json!({}), trace_id: None };
    let (mut exported, mut call) = (Json::Null, Json::Null);
    let mut export = || {
        metrics(&sdk);
        exported = match sdk.export_metrics() {
            Ok(()) => json!("ok"),
            Err(error) => json!(error),
        };
    };
    match target.path() {
        "/" => {
            traces(&sdk, &parent, &mut told);
            logs(&sdk, &parent, &mut told);
            export();
        }
        "/traces" => traces(&sdk, &parent, &mut told),
        "/logs" => logs(&sdk, &parent, &mut told),
        "/metrics" => export(),
        "/root" => drop(told.start(&sdk, "root", SpanKind::Internal, &Context::new())),
        "/unended" => std::mem::forget(told.start(&sdk, "unended", SpanKind::Internal, &parent)),
        "/call" => {
            let _caller = told.start(&sdk, "caller", SpanKind::Client, &parent);
            if let Some(to) = Call::named(target, "url") {
                call = send(to).await;
            }
        }
        "/raw" => return Some(raw::perform(target.get("do").unwrap_or_default(), &host, send).await),
        "/hostile" => hostile::perform(&host),
        _ => return None,
    }
    let host = json!({
        "trace_id": host.trace_id,
        "span_id": host.span_id,
        "sampled": host.trace_flags.contains(bindings::tracing::TraceFlags::SAMPLED),
        "is_remote": host.is_remote,
    });
    let answer = json!({
        "host": host,
        "spans": told.spans,
        "trace_id": told.trace_id,
        "exported": exported,
        "call": call,
    });
    Some(answer.to_string().into_bytes())
}

/// The spans started, by name.
struct Told {
    spans: Json,
    trace_id: Option<String>,
}

impl Told {
    fn start(&mut self, sdk: &Sdk, name: &'static str, kind: SpanKind, parent: &Context) -> Context {
        let scope = InstrumentationScope::builder("guest.scope")
            .with_version("1.2.3")
            .with_schema_url("https://opentelemetry.io/schemas/1.36.0")
            .with_attributes([KeyValue::new("scope.kind", "test")])
            .build();
        let tracer = sdk.traces.tracer_with_scope(scope);
        let span = tracer.span_builder(name).with_kind(kind).start_with_context(&tracer, parent);
        self.look(name, span.span_context());
        parent.with_span(span)
    }

    fn look(&mut self, name: &str, context: &SpanContext) {
        self.spans[name] = json!(context.span_id().to_string());
        self.trace_id = Some(context.trace_id().to_string());
    }
}

fn traces(sdk: &Sdk, parent: &Context, told: &mut Told) {
    let work = told.start(sdk, "work", SpanKind::Internal, parent);
    let span = work.span();
    span.set_attribute(KeyValue::new("text", "hello"));
    span.set_attribute(KeyValue::new("int", 42));
    span.set_attribute(KeyValue::new("double", 0.5));
    span.set_attribute(KeyValue::new("boolean", true));
    span.set_attribute(KeyValue::new("ints", Value::Array(Array::I64(vec![1, 2]))));
    span.add_event("step", vec![KeyValue::new("n", 1)]);
    let elsewhere = SpanContext::new(
        TraceId::from_hex("0af7651916cd43dd8448eb211c80319c").unwrap_or(TraceId::INVALID),
        SpanId::from_hex("b7ad6b7169203331").unwrap_or(SpanId::INVALID),
        TraceFlags::SAMPLED,
        true,
        TraceState::from_key_value([("vendor", "1")]).unwrap_or_default(),
    );
    span.add_link(elsewhere, vec![KeyValue::new("why", "linked")]);
    let call = told.start(sdk, "call", SpanKind::Client, &work);
    call.span().record_error(&std::io::Error::other("it broke"));
    call.span().set_status(Status::error("it broke"));
    call.span().end();
    span.end();

    let begin = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let tracer = sdk.traces.tracer("guest.scope");
    let linked = vec![Link::new(work.span().span_context().clone(), Vec::new(), 0)];
    let mut later = tracer
        .span_builder("later")
        .with_start_time(begin)
        .with_links(linked)
        .start_with_context(&tracer, parent);
    told.look("later", later.span_context());
    later.end_with_timestamp(begin + Duration::from_secs(1));
}

fn logs(sdk: &Sdk, parent: &Context, told: &mut Told) {
    let logger = sdk.logs.logger("guest.logger");
    let logging = told.start(sdk, "logging", SpanKind::Internal, parent);
    {
        let _current = logging.clone().attach();
        let mut record = logger.create_log_record();
        record.set_event_name("greeting");
        record.set_timestamp(UNIX_EPOCH + Duration::from_secs(1_700_000_000));
        record.set_severity_number(Severity::Warn);
        record.set_severity_text("WARN");
        record.set_body("hello".into());
        record.add_attribute("n", 1);
        record.add_attribute("bytes", AnyValue::Bytes(Box::new(vec![0, 1, 255])));
        let list = AnyValue::ListAny(Box::new(vec![1.into(), "b".into()]));
        record.add_attribute("map", AnyValue::Map(Box::new(HashMap::from([("a".into(), list)]))));
        logger.emit(record);
    }
    logging.span().end();
    logger.emit(logger.create_log_record());
}

fn metrics(sdk: &Sdk) {
    let meter = sdk.metrics.meter("guest.meter");
    let counter = meter.u64_counter("counter").with_unit("{thing}").with_description("things").build();
    for (count, kind) in [(3, "a"), (4, "a"), (1, "b")] {
        counter.add(count, &[KeyValue::new("kind", kind)]);
    }
    meter.i64_up_down_counter("up.down").build().add(-5, &[]);
    meter.f64_gauge("gauge").build().record(0.5, &[]);
    let histogram = meter.f64_histogram("histogram").with_unit("s").build();
    [0.1, 7.0, 9000.0].iter().for_each(|value| histogram.record(*value, &[]));
    let exponential = meter.u64_histogram("exponential").build();
    [1, 2, 1024].iter().for_each(|value| exponential.record(*value, &[]));
}
