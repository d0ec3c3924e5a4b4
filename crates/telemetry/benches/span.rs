//! What tracing costs a request: from its head to the encoded span, and less when nothing is recorded. And what its
//! metrics cost: the difference that `with metrics` makes, of which the budget is 150 ns.
//!
//! Budgets (DESIGN 5): 0.5 µs and no allocation beyond the record for a plain sampled request, 20 ns otherwise. Take
//! the figures as ratios to `clock`, one reading of the clock, which a span cannot do without.

#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use http::{HeaderMap, Request, StatusCode, request::Parts};
use pounce_otlp::{Batching, Buffer};
use pounce_telemetry::settings::{Queue, Sampling, Semconv};
use pounce_telemetry::{
    Baggage, ChildOptions, LocalReaders, Peer, Propagator, ServerSpan, Settings, Telemetry,
};
use std::hint::black_box;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// Requests to a server with one kind of telemetry, whose spans are taken out and thrown away.
struct Requests {
    telemetry: Telemetry,
    buffer: Arc<Buffer>,
    peer: Peer,
    no_headers: HeaderMap,
}

impl Requests {
    fn of(telemetry: Telemetry, buffer: Arc<Buffer>) -> Self {
        let address = |port| Some(SocketAddr::from(([127, 0, 0, 1], port)));
        let peer = Peer { remote: address(40_000), local: address(8080), ..Peer::default() };
        Requests { telemetry, buffer, peer, no_headers: HeaderMap::new() }
    }

    /// Telemetry that is off.
    fn off() -> Self {
        Self::of(Telemetry::off(), Arc::new(Buffer::unread()))
    }

    fn with(settings: Settings, local: LocalReaders) -> Self {
        let spans = Queue { max_items: 1 << 20, batching: Batching::default() };
        let (telemetry, buffer) = Telemetry::buffered(&Settings { spans, ..settings }, "hello", local);
        Self::of(telemetry, buffer)
    }

    /// Each request is recorded or none.
    fn on(is_sampled: bool, semconv: Semconv) -> Self {
        Self::with(Settings { semconv, sampling: all_or_none(is_sampled), ..Settings::default() }, NOBODY)
    }

    /// Metrics beside spans that are sampled or not.
    fn measured(is_sampled: bool) -> Self {
        let sampling = all_or_none(is_sampled);
        let settings = Settings { sampling, semconv: Semconv::Http, ..Settings::default() };
        Self::with(settings, LocalReaders { metrics: true, ..NOBODY })
    }

    /// Metrics and no spans.
    fn only_measured() -> Self {
        let local = LocalReaders { metrics: true, ..NOBODY };
        let telemetry =
            Telemetry::start(&Settings::default(), "hello", local).expect("no endpoint, no spool");
        Self::of(telemetry, Arc::new(Buffer::unread()))
    }

    /// Each request is recorded, and shown among the recent traces, as with an admin listener.
    fn shown() -> Self {
        let settings = Settings { semconv: Semconv::Http, ..Settings::default() };
        Self::with(settings, LocalReaders { recent_traces: 100, ..NOBODY })
    }

    /// No request is sampled, and those that fail are kept.
    fn keeping_errors() -> Self {
        let sampling = all_or_none(false);
        let settings =
            Settings { sampling, semconv: Semconv::Http, keep_errors: true, ..Settings::default() };
        Self::with(settings, NOBODY)
    }

    fn begin(&self, head: &Parts) -> ServerSpan {
        self.telemetry.server_span(&self.peer, head)
    }

    /// One request from its head to the end of its response.
    fn request(&self, head: &Parts) {
        let span = self.begin(head);
        span.response_head(StatusCode::OK, &self.no_headers);
        span.end(42);
    }

    /// One request whose guest has a span of its own.
    fn request_with_child(&self, head: &Parts) {
        let span = self.begin(head);
        span.child(None, "work", ChildOptions::default()).end(None);
        span.response_head(StatusCode::OK, &self.no_headers);
        span.end(42);
    }

    /// Takes the encoded spans; gives their bytes.
    fn drain(&self) -> usize {
        self.buffer.drain(false).iter().map(|chunk| chunk.bytes.len()).sum()
    }
}

const NOBODY: LocalReaders = LocalReaders { metrics: false, recent_traces: 0, access_log: false };

fn all_or_none(is_sampled: bool) -> Sampling {
    Sampling::share(if is_sampled { 1.0 } else { 0.0 })
}

/// Reads the caller's context and writes it back.
fn propagate(from: &HeaderMap, to: &mut HeaderMap) {
    let propagator = Propagator::default();
    if let Some(context) = propagator.extract(from).context {
        propagator.inject(&context, &Baggage::default(), to);
    }
}

fn head(headers: &[(&str, &str)]) -> Parts {
    let mut request = Request::get("/users/7?page=2").header("host", "localhost:8080");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).expect("a valid request").into_parts().0
}

fn spans(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("span");
    group.throughput(Throughput::Elements(1));
    group.bench_function("clock", |b| b.iter(|| black_box(Instant::now())));
    let plain = head(&[("user-agent", "curl/8.5.0")]);
    let called = head(&[("user-agent", "curl/8.5.0"), ("traceparent", PARENT)]);
    for (name, spans, head) in [
        ("off", Requests::off(), &plain),
        ("unsampled", Requests::on(false, Semconv::Compat), &plain),
        ("unsampled, with a parent", Requests::on(false, Semconv::Compat), &called),
        ("http, 14 attributes", Requests::on(true, Semconv::Http), &plain),
        ("compat, 21 attributes", Requests::on(true, Semconv::Compat), &plain),
        ("compat, with a parent", Requests::on(true, Semconv::Compat), &called),
        ("off, with metrics", Requests::only_measured(), &plain),
        ("unsampled, with metrics", Requests::measured(false), &plain),
        ("http, with metrics", Requests::measured(true), &plain),
    ] {
        let mut since_drain = 0;
        group.bench_function(name, |b| {
            b.iter(|| {
                spans.request(black_box(head));
                since_drain += 1;
                // As the exporter would, so that the buffers stay as small as they are in a server.
                if since_drain == 512 {
                    since_drain = 0;
                    black_box(spans.drain());
                }
            });
        });
    }
    group.finish();
}

/// What threads share shows here: each makes as many requests, and two of them take longer than one alone.
fn threads(criterion: &mut Criterion) {
    type Request = fn(&Requests, &Parts);
    let (plain, with_child): (Request, Request) = (Requests::request, Requests::request_with_child);
    let head = head(&[("user-agent", "curl/8.5.0")]);
    for (name, spans, request) in [
        ("off, with metrics", Requests::only_measured(), plain),
        ("http", Requests::on(true, Semconv::Http), plain),
        ("http, recent traces", Requests::shown(), plain),
        ("http, a child", Requests::on(true, Semconv::Http), with_child),
        ("http, a child, recent traces", Requests::shown(), with_child),
        ("unsampled, kept if it fails, a child", Requests::keeping_errors(), with_child),
    ] {
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Elements(1));
        for count in [1, 2] {
            group.bench_function(format!("{count} threads"), |b| {
                b.iter_custom(|n| on_threads(count, n, &spans, |spans| request(spans, black_box(&head))));
            });
        }
        group.finish();
    }
}

/// Time for `n` requests on each of `count` threads, the first of which takes out the spans as the exporter would.
fn on_threads(count: usize, n: u64, spans: &Requests, request: impl Fn(&Requests) + Sync) -> Duration {
    let begin = Instant::now();
    std::thread::scope(|threads| {
        for thread in 0..count {
            let request = &request;
            threads.spawn(move || {
                for at in 1..=n {
                    request(spans);
                    if thread == 0 && at % 256 == 0 {
                        black_box(spans.drain());
                    }
                }
            });
        }
    });
    begin.elapsed()
}

fn propagation(criterion: &mut Criterion) {
    let mut from = HeaderMap::new();
    from.insert("traceparent", PARENT.parse().expect("a valid header"));
    let mut to = HeaderMap::new();
    criterion.bench_function("extract and inject", |b| b.iter(|| propagate(black_box(&from), &mut to)));
    from.insert("tracestate", "a=1,b=2,vendor=x".parse().expect("a valid header"));
    criterion.bench_function("extract and inject, with state", |b| {
        b.iter(|| propagate(black_box(&from), &mut to))
    });
}

criterion_group!(benches, spans, threads, propagation);
criterion_main!(benches);
