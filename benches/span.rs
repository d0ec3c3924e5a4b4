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
use std::time::Instant;

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
    let spans = Spans::measured(None);
    group.bench_function("off, with metrics, two threads", |b| {
        b.iter_custom(|n| {
            let begin = Instant::now();
            // As many requests on each: what they share shows as more than a thread alone would take.
            std::thread::scope(|threads| {
                for _ in 0..2 {
                    threads.spawn(|| (0..n).for_each(|_| spans.request(black_box(&plain))));
                }
            });
            begin.elapsed()
        });
    });
    group.finish();
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

criterion_group!(benches, spans, propagation);
criterion_main!(benches);
