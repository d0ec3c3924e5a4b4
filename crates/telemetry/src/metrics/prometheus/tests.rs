//! Pages are read back with a strict reader of both formats: exact ones, and those of hostile names, labels and numbers.

mod reader;

use super::*;
use otlp::AggregationTemporality::Cumulative;
use proptest::prelude::*;
use reader::{Read, read};

fn text(key: &str, value: &str) -> KeyValue {
    let value = Some(AnyValue { value: Some(any_value::Value::StringValue(value.to_owned())) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

fn exemplar(value: f64, n: u8) -> otlp::Exemplar {
    otlp::Exemplar {
        value: Some(exemplar::Value::AsDouble(value)),
        trace_id: vec![n; 16],
        span_id: vec![n; 8],
        time_unix_nano: 1_700_000_000_123_456_789,
        ..otlp::Exemplar::default()
    }
}

fn point(value: f64, attributes: Vec<KeyValue>) -> otlp::NumberDataPoint {
    let value = Some(number_data_point::Value::AsDouble(value));
    otlp::NumberDataPoint { value, attributes, ..otlp::NumberDataPoint::default() }
}

fn metric(name: &str, unit: &str, data: metric::Data) -> otlp::Metric {
    otlp::Metric { name: name.into(), unit: unit.into(), data: Some(data), ..otlp::Metric::default() }
}

fn sum(is_monotonic: bool, data_points: Vec<otlp::NumberDataPoint>) -> metric::Data {
    metric::Data::Sum(otlp::Sum { data_points, is_monotonic, aggregation_temporality: Cumulative.into() })
}

fn gauge(data_points: Vec<otlp::NumberDataPoint>) -> metric::Data {
    metric::Data::Gauge(otlp::Gauge { data_points })
}

fn histogram(data_points: Vec<otlp::HistogramDataPoint>) -> metric::Data {
    let aggregation_temporality = Cumulative.into();
    metric::Data::Histogram(otlp::Histogram { data_points, aggregation_temporality })
}

fn durations(attributes: Vec<KeyValue>) -> otlp::HistogramDataPoint {
    otlp::HistogramDataPoint {
        attributes,
        count: 6,
        sum: Some(7.25),
        explicit_bounds: vec![0.005, 1.0],
        bucket_counts: vec![1, 2, 3],
        exemplars: vec![exemplar(0.5, 1), exemplar(4.0, 2)],
        ..otlp::HistogramDataPoint::default()
    }
}

fn host(metrics: Vec<otlp::Metric>) -> Scope<'static> {
    Scope { name: "pounce", metrics }
}

fn guests(metrics: Vec<otlp::Metric>) -> Scope<'static> {
    Scope { name: "pounce.guest", metrics }
}

fn show(format: Format, scopes: &[Scope<'_>]) -> (Read, Page) {
    let page = page(format, &[text("service.name", "shop")], scopes);
    let read = read(&page.text, format == Format::OpenMetrics)
        .unwrap_or_else(|wrong| panic!("{wrong}\n{}", page.text));
    (read, page)
}

#[test]
fn both_formats_are_exact() {
    let mut counter = point(3.0, vec![text("http.route", "/a\"b\\c\nd")]);
    counter.exemplars = vec![exemplar(2.0, 9)];
    let scopes = || {
        [host(vec![
            metric("http.server.request.duration", "s", histogram(vec![durations(vec![])])),
            metric("requests", "{request}", sum(true, vec![counter.clone()])),
            metric("in.flight", "{request}", sum(false, vec![point(-1.0, vec![])])),
        ])]
    };
    let text = show(Format::Text, &scopes()).1.text;
    assert_eq!(
        text,
        r#"# HELP target_info What runs here: the resource of all its telemetry.
# TYPE target_info gauge
target_info{service_name="shop"} 1
# HELP http_server_request_duration_seconds `http.server.request.duration` of the scope `pounce`.
# TYPE http_server_request_duration_seconds histogram
http_server_request_duration_seconds_bucket{otel_scope_name="pounce",le="0.005"} 1
http_server_request_duration_seconds_bucket{otel_scope_name="pounce",le="1.0"} 3
http_server_request_duration_seconds_bucket{otel_scope_name="pounce",le="+Inf"} 6
http_server_request_duration_seconds_sum{otel_scope_name="pounce"} 7.25
http_server_request_duration_seconds_count{otel_scope_name="pounce"} 6
# HELP in_flight `in.flight` of the scope `pounce`.
# TYPE in_flight gauge
in_flight{otel_scope_name="pounce"} -1.0
# HELP requests_total `requests` of the scope `pounce`.
# TYPE requests_total counter
requests_total{http_route="/a\"b\\c\nd",otel_scope_name="pounce"} 3.0
"#
    );
    let open = show(Format::OpenMetrics, &scopes()).1.text;
    let ids = |n: &str| format!("# {{trace_id=\"{}\",span_id=\"{}\"}}", n.repeat(16), n.repeat(8));
    for line in [
        "# TYPE target info".to_owned(),
        "# UNIT http_server_request_duration_seconds seconds".to_owned(),
        "# TYPE requests counter".to_owned(),
        format!("_bucket{{otel_scope_name=\"pounce\",le=\"1.0\"}} 3 {} 0.5 1700000000.123", ids("01")),
        format!("_bucket{{otel_scope_name=\"pounce\",le=\"+Inf\"}} 6 {} 4.0 1700000000.123", ids("02")),
        format!("}} 3.0 {} 2.0 1700000000.123", ids("09")),
    ] {
        assert!(open.contains(&line), "{line}\n{open}");
    }
    assert!(open.ends_with("# EOF\n"));
}

#[test]
fn of_two_with_one_name_the_host_s_stays() {
    let guest = vec![
        // A metric of the host's family, and two with names of its samples.
        metric("http.server.request.duration.seconds", "", histogram(vec![durations(vec![])])),
        metric("http.server.request.duration.seconds.count", "", gauge(vec![point(9.0, vec![])])),
        metric("http.server.request.duration.seconds_bucket", "", gauge(vec![point(9.0, vec![])])),
        // Two of the guest's own, and one that is called like a counter's samples.
        metric("a.b", "", sum(true, vec![point(1.0, vec![])])),
        metric("a_b", "", sum(true, vec![point(2.0, vec![])])),
        metric("a.b.total", "", gauge(vec![point(3.0, vec![])])),
        metric("target", "", gauge(vec![point(3.0, vec![])])),
        metric("target.info", "", gauge(vec![point(3.0, vec![])])),
    ];
    let scopes = [
        host(vec![metric("http.server.request.duration", "s", histogram(vec![durations(vec![])]))]),
        guests(guest),
    ];
    for format in [Format::Text, Format::OpenMetrics] {
        let (read, page) = show(format, &scopes);
        let lost: Vec<_> = page.collided.iter().map(|(_, name)| name.as_str()).collect();
        assert_eq!(
            lost,
            [
                "a.b.total",
                "a_b",
                "http.server.request.duration.seconds",
                "http.server.request.duration.seconds.count",
                "http.server.request.duration.seconds_bucket",
                "target",
                "target.info"
            ],
            "{format:?}"
        );
        assert_eq!(
            read.families,
            ["target", "http_server_request_duration_seconds", "a_b"].map(str::to_owned)
        );
        assert!(page.text.contains("a_b_total{otel_scope_name=\"pounce.guest\"} 1.0\n"), "{}", page.text);
    }
}

#[test]
fn labels_that_become_the_same_keep_all_values() {
    let attributes = vec![
        text("a.b", "1"),
        text("a_b", "2"),
        text("le", "x"),
        text("otel.scope.name", "pounce"),
        text("7", "y"),
    ];
    let of = histogram(vec![durations(attributes.clone()), durations(attributes)]);
    let (_, page) = show(Format::Text, &[guests(vec![metric("h", "", of)])]);
    let expected = r#"h_count{a_b="1;2",key_7="y",key_le="x",key_otel_scope_name="pounce",otel_scope_name="pounce.guest"} 6"#;
    assert!(page.text.contains(expected), "{}", page.text);
    assert_eq!(page.text.matches(expected).count(), 1, "the same series once");
    assert_eq!(page.collided.len(), 1, "and what is left out is told");
}

#[test]
fn a_metric_in_parts_is_one_family() {
    let part = |n: &str| metric("c", "By", sum(true, vec![point(1.0, vec![text("n", n)])]));
    let (read, page) = show(Format::OpenMetrics, &[guests(vec![part("1"), part("2")])]);
    assert_eq!((read.samples, page.collided.len()), (3, 0), "{}", page.text);
}

#[test]
fn histograms_that_do_not_add_up_stay_in_order() {
    let mut broken = durations(vec![]);
    (broken.count, broken.bucket_counts, broken.sum) = (2, vec![5, 5, 5], None);
    let exponential = otlp::ExponentialHistogramDataPoint { count: 3, sum: Some(2.0), ..Default::default() };
    let exponential = metric::Data::ExponentialHistogram(otlp::ExponentialHistogram {
        data_points: vec![exponential],
        aggregation_temporality: Cumulative.into(),
    });
    let metrics = vec![metric("broken", "", histogram(vec![broken])), metric("scaled", "", exponential)];
    let (_, page) = show(Format::OpenMetrics, &[guests(metrics)]);
    assert!(
        page.text.contains("scaled_bucket{otel_scope_name=\"pounce.guest\",le=\"+Inf\"} 3\n"),
        "{}",
        page.text
    );
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[a-zA-Z0-9_.\"\\\\{}#\n\r\t =,;/-]{0,12}",
        Just("le".to_owned()),
        Just("__name__".to_owned()),
        Just("otel_scope_name".to_owned())
    ]
}

fn any_number() -> impl Strategy<Value = f64> {
    prop_oneof![any::<f64>(), Just(f64::NAN), Just(f64::INFINITY), Just(-0.0), Just(1e300)]
}

fn any_metric() -> impl Strategy<Value = otlp::Metric> {
    let attributes = || prop::collection::vec((any_text(), any_text()), 0..4);
    let points = prop::collection::vec((any_number(), attributes(), any::<bool>(), any::<u8>()), 0..4);
    let name = prop_oneof!["[a-zA-Z][a-c./_-]{0,3}(total|sum|count|bucket|info|s)?", any_text()];
    (name, any_text(), any_text(), 0..4u8, points).prop_map(|(name, unit, help, kind, points)| {
        let pairs = |pairs: &[(String, String)]| pairs.iter().map(|(key, value)| text(key, value)).collect::<Vec<_>>();
        let numbers = || {
            let number = |(value, attributes, has_exemplar, n): &(f64, Vec<_>, bool, u8)| {
                let mut point = point(*value, pairs(attributes));
                point.exemplars = has_exemplar.then(|| exemplar(*value, *n)).into_iter().collect();
                point
            };
            points.iter().map(number).collect::<Vec<_>>()
        };
        let data = match kind {
            // A counter is never less than nothing, nor no number: recording sees to that.
            0 => sum(true, numbers().into_iter().filter(|point: &otlp::NumberDataPoint| matches!(point.value, Some(number_data_point::Value::AsDouble(value)) if value >= 0.0)).collect()),
            1 => sum(false, numbers()),
            2 => gauge(numbers()),
            _ => histogram(
                points
                    .iter()
                    .map(|(value, attributes, _, n)| {
                        let mut point = durations(pairs(attributes));
                        point.exemplars = vec![exemplar(*value, *n)];
                        point.sum = Some(value.abs()).filter(|sum| sum.is_finite());
                        point
                    })
                    .collect(),
            ),
        };
        otlp::Metric { description: help, ..metric(&name, &unit, data) }
    })
}

proptest! {
    #[test]
    fn whatever_guests_call_things_the_page_reads(
        of_host in prop::collection::vec(any_metric(), 0..3),
        of_guests in prop::collection::vec(any_metric(), 0..6),
        resource in prop::collection::vec((any_text(), any_text()), 0..4),
    ) {
        let resource: Vec<_> = resource.iter().map(|(key, value)| text(key, value)).collect();
        let given = of_host.len() + of_guests.len();
        let scopes = [host(of_host), guests(of_guests)];
        for format in [Format::Text, Format::OpenMetrics] {
            let page = page(format, &resource, &scopes);
            let read = read(&page.text, format == Format::OpenMetrics);
            prop_assert!(read.is_ok(), "{}\n{}", read.err().unwrap_or_default(), page.text);
            prop_assert!(page.collided.len() <= given);
        }
    }
}
