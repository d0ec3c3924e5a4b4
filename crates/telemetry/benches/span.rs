//! What tracing costs a request: from its head to the encoded span, and less when nothing is recorded. And what its
//! metrics cost: the difference that `with metrics` makes, of which the budget is 150 ns.
//!
//! Budgets (DESIGN 5): 0.5 µs and no allocation beyond the record for a plain sampled request, 20 ns otherwise. Take
//! the figures as ratios to `clock`, one reading of the clock, which a span cannot do without.

#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]

mod requests;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use http::{HeaderMap, request::Parts};
use pounce_telemetry::settings::Semconv;
use requests::{PARENT, Requests, head, propagate};
use std::hint::black_box;
use std::time::{Duration, Instant};

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
