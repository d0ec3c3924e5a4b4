//! What no SDK would hand over wasi:otel, and a host must take without harm: malformed ids, values that are no JSON, times
//! that are none, spans that end without a start, twice, or as somebody else's.

use crate::bindings::Datetime;
use crate::bindings::logs::{self, LogRecord};
use crate::bindings::metrics::{
    self, Exemplar, Gauge, GaugeDataPoint, Metric, MetricData, MetricNumber, ResourceMetrics, ScopeMetrics,
};
use crate::bindings::tracing::{self, Event, Link, SpanContext, SpanData, SpanKind, Status, TraceFlags};
use crate::bindings::types::{InstrumentationScope, KeyValue, Resource};

const MIB: usize = 1 << 20;
/// Attribute values: not JSON, JSON of a kind that attributes don't have, numbers beyond all types, depth.
const VALUES: [&str; 12] = [
    "",
    "not json",
    "{\"open\":",
    "null",
    "{\"a\":{\"b\":null}}",
    "[1,\"two\",null,[3]]",
    "18446744073709551616",
    "1e999",
    "\"\\ud800\"",
    "\"data:application/octet-stream;base64,!!!\"",
    "[]",
    "{\"a\":1,\"a\":2}",
];

pub(crate) fn perform(host: &SpanContext) {
    let ids = ["", "0", "zz", "DEADBEEFDEADBEEF", "0000000000000000", "deadbeefdeadbeef", "ü"];
    for id in ids {
        for trace in [host.trace_id.as_str(), "", "deadbeefdeadbeefdeadbeefdeadbeef", "0", "ü"] {
            let context = context(trace, id);
            // Never started; started twice; ended twice.
            tracing::on_end(&span("never started", &context, id));
            tracing::on_start(&context);
            tracing::on_start(&context);
            tracing::on_end(&span("hostile", &context, id));
            tracing::on_end(&span("hostile", &context, id));
        }
    }
    // The host's own span.
    tracing::on_start(host);
    tracing::on_end(&span("the host's own", host, ""));
    for number in 0..2000 {
        tracing::on_start(&context(&host.trace_id, &format!("{:016x}", number + 1)));
    }
    // 3 MiB in one call, of the 4 that one call may copy.
    let long = context(&"a".repeat(MIB / 4), &"b".repeat(MIB / 8));
    tracing::on_start(&long);
    tracing::on_end(&span(&"n".repeat(MIB), &long, &"c".repeat(MIB)));

    for severity in [None, Some(0), Some(24), Some(25), Some(255)] {
        for body in VALUES {
            logs::on_emit(&record(severity, body));
        }
    }
    for value in [f64::NAN, f64::INFINITY, 0.0] {
        // What it answers is the host's choice; that it answers is the point.
        let _ = metrics::export(&gauge(value));
    }
}

fn context(trace_id: &str, span_id: &str) -> SpanContext {
    SpanContext {
        trace_id: trace_id.to_owned(),
        span_id: span_id.to_owned(),
        trace_flags: TraceFlags::all(),
        is_remote: false,
        trace_state: vec![
            (String::new(), String::new()),
            ("a".into(), "b,c=d".into()),
            ("ü".into(), "\n".into()),
        ],
    }
}

fn attributes() -> Vec<KeyValue> {
    let list = VALUES.iter().enumerate();
    let mut list: Vec<_> = list
        .map(|(number, value)| KeyValue { key: format!("key {number}"), value: (*value).to_owned() })
        .collect();
    list.push(KeyValue { key: String::new(), value: "1".into() });
    list.push(KeyValue { key: "deep".into(), value: "[".repeat(5000) + &"]".repeat(5000) });
    list
}

fn scope() -> InstrumentationScope {
    InstrumentationScope {
        name: String::new(),
        version: Some(String::new()),
        schema_url: Some("not a url".into()),
        attributes: attributes(),
    }
}

/// Ends before it starts, at a time that is none.
fn span(name: &str, context: &SpanContext, parent: &str) -> SpanData {
    let never = Datetime { seconds: u64::MAX, nanoseconds: u32::MAX };
    SpanData {
        span_context: context.clone(),
        parent_span_id: parent.to_owned(),
        span_kind: SpanKind::Server,
        name: name.to_owned(),
        start_time: never,
        end_time: Datetime { seconds: 0, nanoseconds: 1_000_000_000 },
        attributes: attributes(),
        events: vec![Event { name: String::new(), time: never, attributes: attributes() }; 3],
        links: vec![Link { span_context: context.clone(), attributes: attributes() }; 3],
        status: Status::Error(String::new()),
        instrumentation_scope: scope(),
        dropped_attributes: u32::MAX,
        dropped_events: u32::MAX,
        dropped_links: u32::MAX,
    }
}

fn record(severity: Option<u8>, body: &str) -> LogRecord {
    LogRecord {
        timestamp: Some(Datetime { seconds: u64::MAX, nanoseconds: u32::MAX }),
        observed_timestamp: None,
        severity_text: Some(String::new()),
        severity_number: severity,
        body: Some(body.to_owned()),
        attributes: Some(attributes()),
        event_name: Some(String::new()),
        resource: None,
        instrumentation_scope: Some(scope()),
        trace_id: Some("not an id".into()),
        span_id: Some(String::new()),
        trace_flags: Some(TraceFlags::all()),
    }
}

fn gauge(value: f64) -> ResourceMetrics {
    let time = Datetime { seconds: u64::MAX, nanoseconds: u32::MAX };
    let exemplar = Exemplar {
        filtered_attributes: attributes(),
        time,
        value: MetricNumber::U64(u64::MAX),
        span_id: "short".into(),
        trace_id: "ü".repeat(40),
    };
    let point = GaugeDataPoint {
        attributes: attributes(),
        value: MetricNumber::F64(value),
        exemplars: vec![exemplar; 3],
    };
    let metric = Metric {
        name: String::new(),
        description: "x".repeat(MIB),
        unit: "\0".into(),
        // Says one type, carries another.
        data: MetricData::S64Gauge(Gauge { data_points: vec![point; 3], start_time: None, time }),
    };
    ResourceMetrics {
        resource: Resource { attributes: attributes(), schema_url: None },
        scope_metrics: vec![ScopeMetrics { scope: scope(), metrics: vec![metric] }],
    }
}
