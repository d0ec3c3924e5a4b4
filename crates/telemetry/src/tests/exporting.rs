//! The exporter against real sockets: what arrives, what is tried again, what is lost and said.

use super::*;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use pounce_otlp::{Endpoint, Loss, Signal, Transport};
use prost::Message;
use std::io::{BufRead, BufReader, Read};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver};

/// One request as it arrived.
struct Arrived {
    line: String,
    headers: BTreeMap<String, String>,
    spans: usize,
    message: ExportTraceServiceRequest,
}

/// An endpoint that gives `answers` in turn, the last one for ever; an empty one is silence.
fn endpoint(answers: Vec<Vec<u8>>) -> (Endpoint, Receiver<Arrived>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1/traces", listener.local_addr().unwrap());
    let (arrived, requests) = mpsc::channel();
    let answers = Arc::new(std::sync::Mutex::new(answers));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (arrived, answers) = (arrived.clone(), Arc::clone(&answers));
            std::thread::spawn(move || {
                let stream = stream.unwrap();
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                while let Some(request) = read(&mut reader) {
                    let answer = {
                        let mut answers = answers.lock().unwrap();
                        if answers.len() > 1 { answers.remove(0) } else { answers[0].clone() }
                    };
                    let _gone = arrived.send(request);
                    if answer.is_empty() {
                        std::thread::sleep(Duration::from_secs(60));
                    }
                    (&stream).write_all(&answer).unwrap();
                }
            });
        }
    });
    (at(&url), requests)
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Arrived> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let headers: BTreeMap<_, _> = lines[1..]
        .iter()
        .map(|line| line.split_once(": ").unwrap())
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let mut body = vec![0; headers["content-length"].parse().unwrap()];
    reader.read_exact(&mut body).unwrap();
    let message = ExportTraceServiceRequest::decode(&*body).unwrap();
    let spans = message.resource_spans[0].scope_spans[0].spans.len();
    Some(Arrived { line: lines[0].clone(), headers, spans, message })
}

fn answer(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn ok() -> Vec<u8> {
    answer("200 OK", "content-type: application/x-protobuf\r\n", b"")
}

/// An endpoint of spans at this address.
fn at(url: &str) -> Endpoint {
    let base = "http://127.0.0.1".parse().unwrap();
    Endpoint {
        url: url.parse().unwrap(),
        user_agent: http::HeaderValue::from_static("test/1"),
        ..Endpoint::of(Signal::Traces, &base, Transport::default())
    }
}

/// Telemetry that sends spans to `endpoint`.
fn started(endpoint: Endpoint, change: impl FnOnce(&mut Settings)) -> Telemetry {
    let mut otel = settings();
    otel.endpoints = vec![(Signal::Traces, endpoint)];
    change(&mut otel);
    Telemetry::start(&otel, "hello", LocalReaders::default()).unwrap()
}

fn serve(telemetry: &Telemetry, count: usize) {
    for _ in 0..count {
        telemetry.server_span(&peer(), &head("GET", "/", &[])).end(0);
    }
}

fn in_seconds(seconds: u64) -> Instant {
    Instant::now() + Duration::from_secs(seconds)
}

fn balanced(totals: Totals) -> Totals {
    let spans = &totals.spans;
    assert_eq!(spans.ended, spans.exported + spans.losses.total(), "{spans:?}");
    totals
}

#[test]
fn a_batch_arrives_with_resource_scope_and_headers() {
    let (mut endpoint, requests) = endpoint(vec![ok()]);
    endpoint.headers =
        vec![(http::HeaderName::from_static("x-key"), http::HeaderValue::from_static("secret"))];
    let telemetry = started(endpoint, |otel| {
        otel.service_name = Some("shop".into());
        otel.semconv = Semconv::Http;
    });
    serve(&telemetry, 3);
    let totals = balanced(telemetry.shutdown(in_seconds(10)));
    assert_eq!((totals.spans.ended, totals.spans.exported), (3, 3));
    assert_eq!(totals.to_string(), "3 spans ended, 3 exported");
    let request = requests.try_recv().unwrap();
    assert_eq!(request.line, "POST /v1/traces HTTP/1.1");
    assert_eq!(request.headers["content-type"], "application/x-protobuf");
    assert_eq!(request.headers["x-key"], "secret");
    assert_eq!(request.headers["user-agent"], "test/1");
    let resource_spans = &request.message.resource_spans[0];
    let resource = text_attributes(&resource_spans.resource.as_ref().unwrap().attributes);
    assert_eq!(resource["service.name"], "shop");
    let scope_spans = &resource_spans.scope_spans[0];
    assert_eq!(scope_spans.scope.as_ref().unwrap().name, "pounce");
    assert_eq!(scope_spans.schema_url, semconv::SCHEMA_URL);
    assert_eq!(request.spans, 3);
    serve(&telemetry, 1);
    assert_eq!(balanced(telemetry.shutdown(second())).spans.losses.of(Loss::Shutdown), 1, "too late");
}

#[test]
fn batches_leave_when_full_and_when_due() {
    let (endpoint, requests) = endpoint(vec![ok()]);
    let telemetry = started(endpoint, |otel| {
        otel.spans.batching.max_items = 4;
        otel.spans.batching.delay = Duration::from_millis(500);
    });
    serve(&telemetry, 9);
    let mut sizes: Vec<_> =
        (0..3).map(|_| requests.recv_timeout(Duration::from_secs(10)).unwrap().spans).collect();
    assert_eq!(sizes.iter().sum::<usize>(), 9, "all came without a shutdown");
    sizes.sort_unstable();
    assert!(sizes.iter().all(|size| *size <= 4), "{sizes:?}");
    assert_eq!(balanced(telemetry.shutdown(in_seconds(10))).spans.exported, 9);
}

#[test]
fn an_endpoint_that_asks_to_wait_gets_the_batch_again() {
    let busy = answer("503 Service Unavailable", "retry-after: 1\r\n", b"");
    let too_many = answer("429 Too Many Requests", "", b"");
    let (endpoint, requests) = endpoint(vec![busy, too_many, ok()]);
    let telemetry = started(endpoint, |otel| otel.spans.batching.delay = Duration::from_millis(10));
    serve(&telemetry, 2);
    let begin = Instant::now();
    let first = requests.recv_timeout(Duration::from_secs(10)).unwrap();
    let second = requests.recv_timeout(Duration::from_secs(10)).unwrap();
    assert!(begin.elapsed() >= Duration::from_millis(900), "Retry-After is kept");
    let third = requests.recv_timeout(Duration::from_secs(10)).unwrap();
    assert_eq!(first.message, second.message);
    assert_eq!(first.message, third.message);
    assert_eq!(balanced(telemetry.shutdown(in_seconds(10))).spans.exported, 2);
}

#[test]
fn a_refused_batch_is_not_sent_again() {
    let (endpoint, requests) =
        endpoint(vec![answer("400 Bad Request", "content-type: text/plain\r\n", b"what?")]);
    let telemetry = started(endpoint, |_| {});
    serve(&telemetry, 2);
    let totals = balanced(telemetry.shutdown(in_seconds(10)));
    assert_eq!((totals.spans.exported, totals.spans.losses.of(Loss::ExportFailed)), (0, 2));
    assert_eq!(requests.try_iter().count(), 1);
}

#[test]
fn spans_that_the_endpoint_rejects_are_counted() {
    let partial = ExportTracePartialSuccess { rejected_spans: 2, error_message: "too old".into() };
    let body = ExportTraceServiceResponse { partial_success: Some(partial) }.encode_to_vec();
    let (endpoint, _requests) = endpoint(vec![answer("200 OK", "", &body)]);
    let telemetry = started(endpoint, |_| {});
    serve(&telemetry, 5);
    let totals = balanced(telemetry.shutdown(in_seconds(10)));
    assert_eq!((totals.spans.exported, totals.spans.losses.of(Loss::Rejected)), (3, 2));
    assert_eq!(totals.to_string(), "5 spans ended, 3 exported, 2 rejected by the endpoint");
}

#[test]
fn a_dead_endpoint_loses_spans_but_holds_up_nothing() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let endpoint = at(&format!("http://127.0.0.1:{port}/v1/traces"));
    let telemetry = started(endpoint, |otel| {
        otel.spans.max_items = 20;
        otel.spans.batching.max_items = 5;
    });
    let begin = Instant::now();
    serve(&telemetry, 1000);
    let totals = balanced(telemetry.shutdown(in_seconds(30)));
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
    assert_eq!((totals.spans.ended, totals.spans.exported), (1000, 0));
    assert!(
        totals.spans.losses.of(Loss::QueueFull) > 0 && totals.spans.losses.of(Loss::ExportFailed) > 0,
        "{totals:?}"
    );
}

#[test]
fn a_silent_endpoint_does_not_hold_up_the_shutdown() {
    let (mut endpoint, _requests) = endpoint(vec![Vec::new()]);
    endpoint.timeout = None;
    let telemetry = started(endpoint, |_| {});
    serve(&telemetry, 7);
    let begin = Instant::now();
    let totals = balanced(telemetry.shutdown(begin + Duration::from_millis(300)));
    assert!(begin.elapsed() < Duration::from_secs(5));
    assert_eq!((totals.spans.exported, totals.spans.losses.of(Loss::Shutdown)), (0, 7));
}

#[test]
fn an_attempt_has_a_timeout_and_a_batch_a_limit() {
    let (mut endpoint, requests) = endpoint(vec![Vec::new()]);
    endpoint.timeout = Some(Duration::from_millis(100));
    endpoint.export_timeout = Some(Duration::from_millis(1200));
    let telemetry = started(endpoint, |otel| otel.spans.batching.delay = Duration::from_millis(10));
    serve(&telemetry, 1);
    let begin = Instant::now();
    while telemetry.totals().spans.losses.of(Loss::ExportFailed) == 0 {
        assert!(begin.elapsed() < Duration::from_secs(20));
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(requests.try_iter().count() >= 2, "it was tried again");
    balanced(telemetry.shutdown(second()));
}

#[test]
fn the_handle_may_just_be_dropped() {
    let (endpoint, requests) = endpoint(vec![ok()]);
    let telemetry = started(endpoint, |_| {});
    serve(&telemetry, 1);
    drop(telemetry);
    assert_eq!(requests.recv_timeout(Duration::from_secs(10)).unwrap().spans, 1);
}

#[test]
fn the_console_shows_each_trace_soon_after_its_end() {
    let screen = Screen::default();
    let text = || screen.text();
    let otel = settings();
    let target = export::Target::console(&otel, screen.clone());
    let sources = target.sources();
    let exporter = export::Exporter::start(target, &sources).unwrap();
    let telemetry = Telemetry::new(&otel, "hello", sources, Some(exporter));
    let begin = Instant::now();
    serve(&telemetry, 1);
    while !text().contains("● GET /  server · ") {
        assert!(begin.elapsed() < Duration::from_secs(10), "{}", text());
        std::thread::sleep(Duration::from_millis(5));
    }
    serve(&telemetry, 2);
    let totals = balanced(telemetry.shutdown(in_seconds(10)));
    assert_eq!((totals.spans.ended, totals.spans.exported), (3, 3));
    assert_eq!(text().matches("● GET /  server · ").count(), 3);
    assert!(text().contains("│ trace ") || text().contains("  trace "), "{}", text());
}

#[test]
fn a_page_for_people_is_no_receipt() {
    let page = answer("200 OK", "content-type: text/html; charset=utf-8\r\n", b"<html>Log in</html>");
    let (endpoint, requests) = endpoint(vec![page]);
    let telemetry = started(endpoint, |_| {});
    serve(&telemetry, 2);
    let totals = balanced(telemetry.shutdown(in_seconds(10)));
    assert_eq!((totals.spans.exported, totals.spans.losses.of(Loss::ExportFailed)), (0, 2));
    assert_eq!(requests.try_iter().count(), 1);
}

#[test]
fn a_receipt_that_stalls_is_one_all_the_same() {
    let stalls = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nso far".to_vec();
    let (mut endpoint, requests) = endpoint(vec![stalls]);
    endpoint.timeout = Some(Duration::from_millis(200));
    let telemetry = started(endpoint, |_| {});
    serve(&telemetry, 2);
    assert_eq!(balanced(telemetry.shutdown(in_seconds(10))).spans.exported, 2);
    assert_eq!(requests.try_iter().count(), 1, "not again");
}

#[test]
fn a_batch_outlives_the_longest_quiet_that_an_endpoint_may_ask_for() {
    for seconds in [3600, 99_999_999_999_u64] {
        let quiet = answer("429 Too Many Requests", &format!("retry-after: {seconds}\r\n"), b"");
        let (endpoint, requests) = endpoint(vec![quiet, ok()]);
        let telemetry = started(endpoint, |otel| otel.spans.batching.delay = Duration::from_millis(10));
        serve(&telemetry, 2);
        requests.recv_timeout(Duration::from_secs(10)).unwrap();
        std::thread::sleep(Duration::from_millis(100));
        assert_eq!(telemetry.totals().spans.losses.total(), 0, "it is held");
        // The end does not wait that long, and asks once more.
        assert_eq!(balanced(telemetry.shutdown(in_seconds(10))).spans.exported, 2);
    }
}
