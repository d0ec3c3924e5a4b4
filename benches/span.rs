//! What tracing costs a request: from its head to the encoded span, and less when nothing is recorded. And what its
//! metrics cost: the difference that `with metrics` makes, of which the budget is 150 ns.
//!
//! Budgets (DESIGN 5): 0.5 µs and no allocation beyond the record for a plain sampled request, 20 ns otherwise. Take
//! the figures as ratios to `clock`, one reading of the clock, which a span cannot do without.

#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use http::{HeaderMap, Request, request::Parts};
use pounce::bench::{Spans, propagate};
use pounce::config::Semconv;
use std::hint::black_box;
use std::time::{Duration, Instant};

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

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
        ("off", Spans::off(), &plain),
        ("unsampled", Spans::on(false, Semconv::Compat), &plain),
        ("unsampled, with a parent", Spans::on(false, Semconv::Compat), &called),
        ("http, 14 attributes", Spans::on(true, Semconv::Http), &plain),
        ("compat, 21 attributes", Spans::on(true, Semconv::Compat), &plain),
        ("compat, with a parent", Spans::on(true, Semconv::Compat), &called),
        ("off, with metrics", Spans::measured(None), &plain),
        ("unsampled, with metrics", Spans::measured(Some(false)), &plain),
        ("http, with metrics", Spans::measured(Some(true)), &plain),
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
    type Request = fn(&Spans, &Parts);
    let (plain, with_child): (Request, Request) = (Spans::request, Spans::request_with_child);
    let head = head(&[("user-agent", "curl/8.5.0")]);
    for (name, spans, request) in [
        ("off, with metrics", Spans::measured(None), plain),
        ("http", Spans::on(true, Semconv::Http), plain),
        ("http, recent traces", Spans::shown(), plain),
        ("http, a child", Spans::on(true, Semconv::Http), with_child),
        ("http, a child, recent traces", Spans::shown(), with_child),
        ("unsampled, kept if it fails, a child", Spans::keeping_errors(), with_child),
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
fn on_threads(count: usize, n: u64, spans: &Spans, request: impl Fn(&Spans) + Sync) -> Duration {
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
