//! The JSON is what `opentelemetry-proto` reads as the same message, and follows the rules that it does not check.

use super::*;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList, any_value::Value,
};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram, HistogramDataPoint,
    Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, Summary, SummaryDataPoint, exemplar,
    exponential_histogram_data_point::Buckets, metric::Data, number_data_point,
    summary_data_point::ValueAtQuantile,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use proptest::collection::vec;
use proptest::prelude::*;
use prost::Message as _;

/// Few digits: serde_json reads long ones inexactly, and `opentelemetry-proto` none that are infinite. Others are below.
fn double() -> impl Strategy<Value = f64> {
    prop_oneof![any::<i32>().prop_map(|n| f64::from(n / 1000) / 8.0), Just(-0.0)]
}

fn any_value() -> impl Strategy<Value = AnyValue> {
    let leaf = prop_oneof![
        Just(None),
        ".{0,20}".prop_map(|text| Some(Value::StringValue(text))),
        any::<bool>().prop_map(|bool| Some(Value::BoolValue(bool))),
        any::<i64>().prop_map(|int| Some(Value::IntValue(int))),
        double().prop_map(|double| Some(Value::DoubleValue(double))),
        vec(any::<u8>(), 0..20).prop_map(|bytes| Some(Value::BytesValue(bytes))),
    ];
    leaf.prop_map(|value| AnyValue { value }).prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            // `opentelemetry-proto` insists on the list.
            vec(inner.clone(), 1..4)
                .prop_map(|values| AnyValue { value: Some(Value::ArrayValue(ArrayValue { values })) }),
            vec((".{0,8}", inner), 1..4).prop_map(|entries| {
                let values = entries.into_iter().map(|(key, value)| key_value(key, value)).collect();
                AnyValue { value: Some(Value::KvlistValue(KeyValueList { values })) }
            }),
        ]
    })
}

fn key_value(key: String, value: AnyValue) -> KeyValue {
    // A key that is empty is not on the wire, and `opentelemetry-proto` insists on it.
    KeyValue { key: key + "k", value: Some(value), ..KeyValue::default() }
}

fn attributes() -> impl Strategy<Value = Vec<KeyValue>> {
    vec((".{0,8}", any_value()).prop_map(|(key, value)| key_value(key, value)), 0..4)
}

fn scope() -> impl Strategy<Value = (Resource, InstrumentationScope, String)> {
    (attributes(), attributes(), ".{0,9}", ".{0,9}", any::<u32>()).prop_map(
        |(of_resource, of_scope, name, version, dropped)| {
            let resource = Resource {
                attributes: of_resource,
                dropped_attributes_count: dropped,
                ..Resource::default()
            };
            let url = version.clone();
            let scope = InstrumentationScope {
                name,
                version,
                attributes: of_scope,
                dropped_attributes_count: dropped,
            };
            (resource, scope, url)
        },
    )
}

fn span() -> impl Strategy<Value = Span> {
    let ids = (vec(any::<u8>(), 16), vec(any::<u8>(), 8), vec(any::<u8>(), 0..9), any::<u32>());
    let times = (any::<u64>(), any::<u64>());
    let rest = (attributes(), attributes(), ".{0,30}", 0..6i32, any::<u32>(), 0..3usize);
    (ids, times, rest).prop_map(|((trace_id, span_id, parent_span_id, flags), (start, end), rest)| {
        let (attributes, more, name, kind, dropped, many) = rest;
        let event = Event {
            time_unix_nano: end,
            name: name.clone(),
            attributes: more.clone(),
            dropped_attributes_count: dropped,
        };
        let link = Link {
            trace_id: trace_id.clone(),
            span_id: span_id.clone(),
            trace_state: "a=1".into(),
            attributes: more,
            dropped_attributes_count: 1,
            flags,
        };
        Span {
            trace_id,
            span_id,
            trace_state: name.clone(),
            parent_span_id,
            flags,
            status: (many > 0).then(|| Status { message: name.clone(), code: kind }),
            name,
            kind,
            start_time_unix_nano: start,
            end_time_unix_nano: end,
            attributes,
            dropped_attributes_count: dropped,
            events: vec![event; many],
            dropped_events_count: dropped,
            links: vec![link; many],
            dropped_links_count: dropped,
        }
    })
}

fn metric() -> impl Strategy<Value = Metric> {
    let numbers = (any::<u64>(), any::<i64>(), double(), any::<i32>(), any::<u32>());
    (numbers, attributes(), ".{0,9}", vec(any::<u64>(), 0..5), vec(double(), 0..5), 0..6u8).prop_map(
        |((number, int, double, scale, flags), attributes, name, counts, bounds, kind)| {
            let exemplar = Exemplar {
                filtered_attributes: attributes.clone(),
                time_unix_nano: number,
                span_id: vec![1; 8],
                trace_id: vec![0xab; 16],
                value: Some(if kind % 2 == 0 {
                    exemplar::Value::AsInt(int)
                } else {
                    exemplar::Value::AsDouble(double)
                }),
            };
            let exemplars = vec![exemplar; (kind % 3).into()];
            let point = |value| NumberDataPoint {
                attributes: attributes.clone(),
                start_time_unix_nano: number,
                time_unix_nano: number,
                exemplars: exemplars.clone(),
                flags,
                value,
            };
            let data = match kind {
                0 => Data::Gauge(Gauge { data_points: vec![point(None)] }),
                1 => Data::Gauge(Gauge {
                    data_points: vec![point(Some(number_data_point::Value::AsDouble(double)))],
                }),
                2 => Data::Sum(Sum {
                    data_points: vec![point(Some(number_data_point::Value::AsInt(int)))],
                    aggregation_temporality: 2,
                    is_monotonic: flags % 2 == 0,
                }),
                3 => Data::Histogram(Histogram {
                    data_points: vec![HistogramDataPoint {
                        attributes: attributes.clone(),
                        start_time_unix_nano: number,
                        time_unix_nano: number,
                        count: number,
                        sum: Some(double),
                        bucket_counts: counts,
                        explicit_bounds: bounds,
                        exemplars,
                        flags,
                        min: None,
                        max: Some(double),
                    }],
                    aggregation_temporality: 1,
                }),
                4 => Data::ExponentialHistogram(ExponentialHistogram {
                    data_points: vec![ExponentialHistogramDataPoint {
                        attributes: attributes.clone(),
                        start_time_unix_nano: number,
                        time_unix_nano: number,
                        count: number,
                        sum: None,
                        scale,
                        zero_count: number,
                        positive: Some(Buckets { offset: scale, bucket_counts: counts }),
                        negative: None,
                        flags,
                        exemplars,
                        min: Some(double),
                        max: None,
                        zero_threshold: double,
                    }],
                    aggregation_temporality: 1,
                }),
                _ => Data::Summary(Summary {
                    data_points: vec![SummaryDataPoint {
                        attributes: attributes.clone(),
                        start_time_unix_nano: number,
                        time_unix_nano: number,
                        count: number,
                        sum: double,
                        quantile_values: vec![ValueAtQuantile { quantile: 0.5, value: double }],
                        flags,
                    }],
                }),
            };
            Metric {
                name: name.clone(),
                description: name.clone(),
                unit: name,
                metadata: attributes,
                data: Some(data),
            }
        },
    )
}

fn log_record() -> impl Strategy<Value = LogRecord> {
    (any::<u64>(), 0..25i32, ".{0,9}", any_value(), attributes(), any::<u32>()).prop_map(
        |(time, severity_number, text, body, attributes, flags)| LogRecord {
            time_unix_nano: time,
            observed_time_unix_nano: time,
            severity_number,
            severity_text: text.clone(),
            body: Some(body),
            attributes,
            dropped_attributes_count: flags,
            flags,
            trace_id: vec![7; 16],
            span_id: vec![0xfe; 8],
            event_name: text,
        },
    )
}

proptest! {
    #[test]
    fn spans_read_back_as_they_were(spans in vec(span(), 0..3), (resource, scope, schema_url) in scope()) {
        let spans = ScopeSpans { scope: Some(scope), spans, schema_url: schema_url.clone() };
        let spans = ResourceSpans { resource: Some(resource), scope_spans: vec![spans], schema_url };
        let request = ExportTraceServiceRequest { resource_spans: vec![spans] };
        let json = of_request(Signal::Traces, &request.encode_to_vec()).unwrap();
        prop_assert_eq!(serde_json::from_slice::<ExportTraceServiceRequest>(&json).unwrap(), request);
    }

    #[test]
    fn metrics_read_back_as_they_were(
        metrics in vec(metric(), 0..4),
        (resource, scope, schema_url) in scope(),
    ) {
        let metrics = ScopeMetrics { scope: Some(scope), metrics, schema_url: schema_url.clone() };
        let metrics = ResourceMetrics { resource: Some(resource), scope_metrics: vec![metrics], schema_url };
        let request = ExportMetricsServiceRequest { resource_metrics: vec![metrics] };
        let json = of_request(Signal::Metrics, &request.encode_to_vec()).unwrap();
        prop_assert_eq!(serde_json::from_slice::<ExportMetricsServiceRequest>(&json).unwrap(), request);
    }

    #[test]
    fn log_records_read_back_as_they_were(
        log_records in vec(log_record(), 0..3),
        (resource, scope, schema_url) in scope(),
    ) {
        let logs = ScopeLogs { scope: Some(scope), log_records, schema_url: schema_url.clone() };
        let logs = ResourceLogs { resource: Some(resource), scope_logs: vec![logs], schema_url };
        let request = ExportLogsServiceRequest { resource_logs: vec![logs] };
        let json = of_request(Signal::Logs, &request.encode_to_vec()).unwrap();
        prop_assert_eq!(serde_json::from_slice::<ExportLogsServiceRequest>(&json).unwrap(), request);
    }

    #[test]
    fn any_double_is_written_exactly(double in any::<f64>().prop_filter("finite", |double| double.is_finite())) {
        let mut out = Vec::new();
        value(&mut out, Kind::Double, Wire::Number(double.to_bits()), 1).unwrap();
        let text = std::str::from_utf8(&out).unwrap();
        prop_assert_eq!(text.parse::<f64>().unwrap().to_bits(), double.to_bits());
    }

    #[test]
    fn any_bytes_are_json_or_malformed(bytes in vec(any::<u8>(), 0..300)) {
        for signal in [Signal::Traces, Signal::Metrics, Signal::Logs] {
            if let Ok(json) = of_request(signal, &bytes) {
                serde_json::from_slice::<serde_json::Value>(&json).unwrap();
            }
        }
    }
}

/// The text of a request with this one span.
fn json_of(span: Span) -> String {
    let spans = ScopeSpans { spans: vec![span], ..ScopeSpans::default() };
    let spans = ResourceSpans { scope_spans: vec![spans], ..ResourceSpans::default() };
    let request = ExportTraceServiceRequest { resource_spans: vec![spans] };
    String::from_utf8(of_request(Signal::Traces, &request.encode_to_vec()).unwrap()).unwrap()
}

#[test]
fn the_form_is_that_of_the_specification() {
    let attribute = |key: &str, value| key_value(key.into(), AnyValue { value: Some(value) });
    let span = Span {
        trace_id: vec![0x5b; 16],
        span_id: vec![0xee; 8],
        name: "a \"b\"\n".into(),
        kind: 2,
        start_time_unix_nano: u64::MAX,
        attributes: vec![
            attribute("int", Value::IntValue(i64::MIN)),
            attribute("zero", Value::IntValue(0)),
            attribute("bytes", Value::BytesValue(vec![0, 255])),
            attribute("nan", Value::DoubleValue(f64::NAN)),
            attribute("least", Value::DoubleValue(f64::NEG_INFINITY)),
            attribute("most", Value::DoubleValue(f64::INFINITY)),
            attribute("none", Value::ArrayValue(ArrayValue::default())),
        ],
        status: Some(Status { message: String::new(), code: 2 }),
        ..Span::default()
    };
    let expected = concat!(
        r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b","#,
        r#""spanId":"eeeeeeeeeeeeeeee","name":"a \"b\"\n","kind":2,"startTimeUnixNano":"18446744073709551615","#,
        r#""attributes":[{"key":"intk","value":{"intValue":"-9223372036854775808"}},"#,
        r#"{"key":"zerok","value":{"intValue":"0"}},{"key":"bytesk","value":{"bytesValue":"AP8="}},"#,
        r#"{"key":"nank","value":{"doubleValue":"NaN"}},{"key":"leastk","value":{"doubleValue":"-Infinity"}},"#,
        r#"{"key":"mostk","value":{"doubleValue":"Infinity"}},{"key":"nonek","value":{"arrayValue":{}}}],"#,
        r#""status":{"code":2}}]}]}]}"#
    );
    assert_eq!(json_of(span), expected);
}

#[test]
fn elements_that_stand_apart_are_one_list_and_the_last_choice_counts() {
    // Field 2, the spans, twice around field 3; in an attribute's value a number and then a text.
    let attribute = b"\x4a\x0a\x0a\x01k\x12\x05\x18\x07\x0a\x01v";
    let mut scope_spans = b"\x12\x03\x2a\x01a\x1a\x01u\x12\x0c".to_vec();
    scope_spans.extend(attribute);
    let mut request = vec![0x0a, scope_spans.len() as u8 + 2, 0x12, scope_spans.len() as u8];
    request.extend(&scope_spans);
    let json = String::from_utf8(of_request(Signal::Traces, &request).unwrap()).unwrap();
    let expected = concat!(
        r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"a"},"#,
        r#"{"attributes":[{"key":"k","value":{"stringValue":"v"}}]}],"schemaUrl":"u"}]}]}"#
    );
    assert_eq!(json, expected);
}

#[test]
fn what_is_no_such_message_is_refused() {
    let mut deep = Vec::new();
    for _ in 0..200 {
        // A value that is a list with one value.
        let inner = deep.clone();
        deep = vec![0x0a];
        prost::encoding::encode_varint(inner.len() as u64, &mut deep);
        deep.extend(&inner);
        let list = std::mem::take(&mut deep);
        deep.push(0x2a);
        prost::encoding::encode_varint(list.len() as u64, &mut deep);
        deep.extend(&list);
    }
    let mut nested = deep;
    for key in [0x2a, 0x12, 0x12, 0x0a] {
        // The body of a log record, in a scope, in a resource, in a request.
        let inner = std::mem::take(&mut nested);
        nested.push(key);
        prost::encoding::encode_varint(inner.len() as u64, &mut nested);
        nested.extend(&inner);
    }
    for bytes in [&b"\x0a"[..], b"\x0a\x05ab", b"\x08\x01", b"\x0b", &nested] {
        assert_eq!(of_request(Signal::Logs, bytes), Err(Malformed), "{bytes:?}");
    }
    assert_eq!(of_request(Signal::Logs, b""), Ok(b"{}".to_vec()));
}
