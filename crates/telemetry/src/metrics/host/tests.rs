//! What requests come to, against what their spans say, and the limits.

use super::super::instrument::MAX_SERIES;
use super::super::tests::{collect, histogram, int, sum};
use super::super::{Reader, Registries};
use super::*;
use crate::limits::MAX_NAME;
use crate::settings::{Sampling, Temporality};
use crate::tests::{head, peer, settings};
use crate::{ServerSpan, Sources, Telemetry};
use http::{HeaderMap, Method, StatusCode, Uri, Version};
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use std::collections::BTreeMap;
use std::collections::BTreeSet;

/// Metrics alone, or beside spans that are sampled or not.
fn telemetry(sampling: Option<Sampling>) -> Telemetry {
    let mut otel = settings();
    let is_traced = sampling.is_some();
    otel.sampling = sampling.unwrap_or(Sampling::share(0.0));
    let spans = crate::pipeline::Pipeline::new(2048, 512);
    let mut sources = if is_traced { Sources::of_spans(spans) } else { Sources::default() };
    sources.metrics = Some(Registries::new(&otel, true));
    Telemetry::new(&otel, "hello", sources, None)
}

fn reader(telemetry: &Telemetry, temporality: Temporality) -> Reader {
    Reader::new(Arc::clone(telemetry.metrics().unwrap().host.metrics()), temporality)
}

fn line(attributes: &[KeyValue]) -> String {
    let show = |attribute: &KeyValue| {
        let value = match attribute.value.as_ref().unwrap().value.as_ref().unwrap() {
            any_value::Value::StringValue(text) => text.clone(),
            any_value::Value::IntValue(int) => int.to_string(),
            other => format!("{other:?}"),
        };
        format!("{}={value}", attribute.key)
    };
    attributes.iter().map(show).collect::<Vec<_>>().join(" ")
}

/// Attributes and count of each point of a histogram.
fn counts(data: &Data) -> BTreeMap<String, u64> {
    let Data::Histogram(all) = data else { panic!("{data:?}") };
    all.data_points.iter().map(|point| (line(&point.attributes), point.count)).collect()
}

/// The sums of a counter by attributes.
fn sums(data: &Data) -> BTreeMap<String, i64> {
    sum(data).data_points.iter().map(|point| (line(&point.attributes), int(point))).collect()
}

fn begin(telemetry: &Telemetry, method: &str) -> ServerSpan {
    telemetry.server_span(&peer(), &head(method, "/", &[]))
}

/// A request whose route is known before its guest runs.
fn routed(telemetry: &Telemetry, head: &http::request::Parts, route: &str) -> ServerSpan {
    let span = telemetry.server_span(&peer(), head);
    span.set_route(route);
    span
}

#[test]
fn every_request_is_recorded_once_however_it_ends() {
    for sampling in [None, Some(Sampling::share(0.0)), Some(Sampling::share(1.0))] {
        let is_sampled = sampling == Some(Sampling::share(1.0));
        let telemetry = telemetry(sampling);
        let ok = begin(&telemetry, "GET");
        ok.response_head(StatusCode::OK, &HeaderMap::new());
        (0..2).for_each(|_| ok.end(42));
        let shed = begin(&telemetry, "GET");
        shed.response_head(StatusCode::SERVICE_UNAVAILABLE, &HeaderMap::new());
        shed.fail("overloaded", None);
        shed.end(0);
        let gone = begin(&telemetry, "FANCY");
        gone.set_route("/a/{id}");
        gone.fail("client_disconnected", None);
        gone.fail("later", None);
        gone.end(0);
        let guests = routed(&telemetry, &head("POST", "/", &[("content-length", "7")]), "/x");
        guests.set_attribute("error.type", Value::Text("mine".into()));
        guests.set_attribute("http.route", Value::Text("/y".into()));
        guests.response_head(StatusCode::BAD_GATEWAY, &HeaderMap::new());
        guests.end(3);
        let plain = begin(&telemetry, "PUT");
        plain.response_head(StatusCode::INTERNAL_SERVER_ERROR, &HeaderMap::new());
        plain.end(0);
        let abandoned = begin(&telemetry, "GET").context();
        let under_way = begin(&telemetry, "GET");
        let found = collect(&mut reader(&telemetry, Temporality::Cumulative));
        let expected = [
            "error.type=500 http.request.method=PUT http.response.status_code=500 \
             network.protocol.version=1.1 url.scheme=http",
            "error.type=abandoned http.request.method=GET network.protocol.version=1.1 url.scheme=http",
            "error.type=client_disconnected http.request.method=_OTHER http.route=/a/{id} \
             network.protocol.version=1.1 url.scheme=http",
            "error.type=mine http.request.method=POST http.response.status_code=502 http.route=/y \
             network.protocol.version=1.1 url.scheme=http",
            "error.type=overloaded http.request.method=GET http.response.status_code=503 \
             network.protocol.version=1.1 url.scheme=http",
            "http.request.method=GET http.response.status_code=200 network.protocol.version=1.1 url.scheme=http",
        ];
        let expected: BTreeMap<_, _> = expected.iter().map(|line| ((*line).to_owned(), 1)).collect();
        assert_eq!(counts(&found["http.server.request.duration"]), expected);
        let sent = counts(&found["http.server.response.body.size"]);
        assert_eq!(sent.values().sum::<u64>(), 4, "of those that had a response: {sent:?}");
        let came = counts(&found["http.server.request.body.size"]);
        assert_eq!(came.len(), 1, "of the one whose size is known: {came:?}");
        let active = sums(&found["http.server.active_requests"]);
        let of = |method: &str| active[&format!("http.request.method={method} url.scheme=http")];
        assert_eq!((of("GET"), of("POST"), of("_OTHER")), (1, 0, 0));
        let Data::Histogram(durations) = &found["http.server.request.duration"] else { panic!() };
        let exemplars = durations.data_points.iter().flat_map(|point| &point.exemplars);
        let ids: BTreeSet<_> = exemplars.map(|exemplar| exemplar.span_id.clone()).collect();
        let sampled = [&ok, &shed, &gone, &guests, &plain].map(|span| span.context()).into_iter();
        let sampled: BTreeSet<_> =
            sampled.chain([abandoned]).flatten().map(|context| context.span_id.0.to_vec()).collect();
        assert_eq!(ids, if is_sampled { sampled } else { BTreeSet::new() });
        under_way.end(0);
    }
}

#[test]
fn a_request_lasts_as_long_as_its_span() {
    let telemetry = telemetry(Some(Sampling::share(1.0)));
    let span = begin(&telemetry, "GET");
    std::thread::sleep(Duration::from_millis(20));
    span.end(0);
    let spans = crate::tests::spans(&telemetry);
    let lasted = (spans[0].end_time_unix_nano - spans[0].start_time_unix_nano) as f64 / 1e9;
    let found = collect(&mut reader(&telemetry, Temporality::Cumulative));
    assert_eq!(histogram(&found["http.server.request.duration"]).sum, Some(lasted));
}

#[test]
fn routes_beyond_the_limit_are_one_for_the_rest() {
    let telemetry = telemetry(None);
    for n in 0..MAX_SERIES + 500 {
        let span = routed(&telemetry, &head("GET", "/", &[]), &format!("/{n}"));
        span.response_head(StatusCode::OK, &HeaderMap::new());
        span.end(0);
    }
    let mut reader = reader(&telemetry, Temporality::Cumulative);
    let points: u32 = reader.collect().iter().map(|collected| collected.points).sum();
    assert!(points < 3 * MAX_SERIES as u32, "{points}");
    let host = &telemetry.metrics().unwrap().host;
    let instruments = host.metrics().instruments();
    let of =
        |name: &str| instruments.iter().find(|instrument| &*instrument.name == name).unwrap().all_series();
    let durations = of("http.server.request.duration");
    let count = |series: &Arc<Series>| match series.read() {
        Some(Reading::Distribution { buckets, .. }) => buckets.iter().sum::<u64>(),
        other => panic!("{other:?}"),
    };
    assert_eq!(durations.len(), MAX_SERIES);
    assert_eq!(durations.iter().map(count).sum::<u64>(), MAX_SERIES as u64 + 500, "none is lost");
    assert_eq!(count(durations.last().unwrap()), 501);
    let long = "x".repeat(10_000);
    let span = routed(&telemetry, &head("GET", "/", &[]), &long);
    span.end(0);
    assert!(
        of("http.server.request.duration")
            .iter()
            .all(|series| series.attributes.content() < 2 * MAX_NAME + 200)
    );
}

#[test]
fn requests_of_many_threads_add_up() {
    let telemetry = telemetry(None);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let telemetry = &telemetry;
            scope.spawn(move || {
                for n in 0..1000 {
                    let route = format!("/{}", (n + thread) % 100);
                    let span = routed(telemetry, &head("GET", "/", &[]), &route);
                    span.response_head(StatusCode::OK, &HeaderMap::new());
                    span.end(1);
                }
            });
        }
    });
    let found = collect(&mut reader(&telemetry, Temporality::Cumulative));
    let counts = counts(&found["http.server.request.duration"]);
    assert_eq!((counts.len(), counts.values().sum::<u64>()), (100, 4000));
    assert!(counts.values().all(|count| *count == 40));
    assert_eq!(sums(&found["http.server.active_requests"]).values().sum::<i64>(), 0);
}

#[test]
fn outgoing_requests_by_server_and_outcome() {
    let telemetry = telemetry(None);
    let host = &telemetry.metrics().unwrap().host;
    let uri: Uri = "https://user@api.example.com/x".parse().unwrap();
    let begin = || host.outgoing(&Method::GET, &uri, None);
    begin().end(OutgoingEnd::Response(StatusCode::OK, Version::HTTP_2));
    begin().end(OutgoingEnd::Response(StatusCode::NOT_FOUND, Version::HTTP_2));
    begin().end(OutgoingEnd::Failed("connection_refused"));
    drop(begin());
    let found = collect(&mut reader(&telemetry, Temporality::Cumulative));
    let lines: Vec<_> = counts(&found["http.client.request.duration"]).into_keys().collect();
    let at = "http.request.method=GET";
    let server = "server.address=api.example.com server.port=443";
    assert_eq!(
        lines,
        [
            format!("error.type=404 {at} http.response.status_code=404 network.protocol.version=2 {server}"),
            format!("error.type=cancelled {at} {server}"),
            format!("error.type=connection_refused {at} {server}"),
            format!("{at} http.response.status_code=200 network.protocol.version=2 {server}"),
        ]
    );
}

#[test]
fn instances_and_what_guests_cost() {
    let telemetry = telemetry(None);
    let host = &telemetry.metrics().unwrap().host;
    let (one, two) = (host.instance(), host.instance());
    host.instantiated(Duration::from_micros(20));
    host.reused();
    host.spent(Duration::from_millis(1500), Some(1 << 20), None);
    host.spent(Duration::from_millis(250), None, None);
    for error in ["wasm_trap.unreachable", "timeout", "timeout"] {
        host.guest_trapped(error, None);
    }
    drop(one);
    let found = collect(&mut reader(&telemetry, Temporality::Cumulative));
    let one_sum = |name: &str| int(&sum(&found[name]).data_points[0]);
    assert_eq!((host.live(), one_sum("pounce.instance.live")), (1, 1));
    assert_eq!((one_sum("pounce.instance.created"), one_sum("pounce.instance.reused")), (2, 1));
    let cpu = &sum(&found["pounce.guest.cpu_time"]).data_points[0].value;
    let seconds = opentelemetry_proto::tonic::metrics::v1::number_data_point::Value::AsDouble(1.75);
    assert_eq!(cpu.as_ref(), Some(&seconds));
    assert_eq!(histogram(&found["pounce.guest.memory.peak"]).sum, Some(1_048_576.0));
    let traps = sums(&found["pounce.guest.traps"]);
    let expected = [("error.type=timeout", 2), ("error.type=wasm_trap.unreachable", 1)];
    assert_eq!(traps, expected.map(|(key, count)| (key.to_owned(), count)).into());
    drop(two);
}

/// What others count is asked for; what it was stays when they are gone, and a delta tells what came.
#[test]
fn sums_of_others_are_asked_for() {
    let telemetry = telemetry(None);
    let host = &telemetry.metrics().unwrap().host;
    let count = Arc::new(std::sync::atomic::AtomicU64::new(3));
    let weak = Arc::downgrade(&count);
    host.observe(&REQUESTS_SHED, &[], move || {
        weak.upgrade().map(|count| count.load(std::sync::atomic::Ordering::Relaxed))
    });
    let mut deltas = reader(&telemetry, Temporality::Delta);
    let mut all = reader(&telemetry, Temporality::Cumulative);
    let shed = |found: &BTreeMap<String, Data>| {
        found.get("pounce.requests.shed").map(|data| int(&sum(data).data_points[0]))
    };
    assert_eq!((shed(&collect(&mut deltas)), shed(&collect(&mut all))), (Some(3), Some(3)));
    count.store(10, std::sync::atomic::Ordering::Relaxed);
    assert_eq!((shed(&collect(&mut deltas)), shed(&collect(&mut all))), (Some(7), Some(10)));
    let mut frugal = reader(&telemetry, Temporality::LowMemory);
    assert_eq!(shed(&collect(&mut frugal)), Some(10), "a total, as it is asked for");
    drop(count);
    assert_eq!((shed(&collect(&mut deltas)), shed(&collect(&mut all))), (None, Some(10)));
}

#[test]
fn telemetry_tells_of_itself_what_the_words_at_exit_say() {
    let telemetry = telemetry(Some(Sampling::share(1.0)));
    for _ in 0..3 {
        begin(&telemetry, "GET").end(0);
    }
    let late = begin(&telemetry, "GET");
    late.end(0);
    late.set_attribute("a", Value::Bool(true));
    let metrics = telemetry.metrics().unwrap();
    metrics.guests.add_counter("no name", 1, vec![], None);
    let found = collect(&mut reader(&telemetry, Temporality::Cumulative));
    let of = |name: &str, attributes: &str| sums(&found[name])[attributes];
    assert_eq!(of("otel.sdk.processor.span.queue.size", ""), 4);
    assert_eq!(of("otel.sdk.processor.span.queue.capacity", ""), 2048);
    assert_eq!(of("otel.sdk.processor.span.processed", ""), 0);
    assert_eq!(of("pounce.telemetry.dropped", "reason=late_writes signal=traces"), 1);
    assert_eq!(of("pounce.telemetry.dropped", "reason=invalid_name signal=metrics"), 1);
    assert_eq!(of("otel.sdk.exporter.span.exported", "error.type=export_failed"), 0, "told from the start");
    assert_eq!(crate::tests::spans(&telemetry).len(), 4);
    let found = collect(&mut reader(&telemetry, Temporality::Cumulative));
    let of = |name: &str, attributes: &str| sums(&found[name])[attributes];
    assert_eq!(of("otel.sdk.processor.span.processed", ""), 4);
    assert_eq!(of("otel.sdk.exporter.span.inflight", ""), 4);
    assert_eq!(of("otel.sdk.processor.span.queue.size", ""), 0);
}

#[test]
fn names_are_valid_and_each_is_there_once() {
    let names: BTreeSet<_> = ALL.iter().map(|definition| definition.name).collect();
    assert_eq!(names.len(), ALL.len());
    for definition in ALL {
        assert!(super::super::instrument::is_name(definition.name), "{definition:?}");
        assert!(!definition.unit.is_empty() && definition.description.ends_with(['.', ')']));
        assert!(definition.bounds.is_sorted());
        assert_eq!(definition.bounds.is_empty(), definition.kind != super::super::kind::Kind::Histogram);
    }
}
