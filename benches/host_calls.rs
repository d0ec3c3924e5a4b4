//! What a call of `pounce:telemetry` costs a request: from the guest's code to the host's and back.
//!
//! Each sample is the difference between a request with 900 calls and one with none, so that the request itself cancels
//! out; of each kind of request the quickest counts, as whatever else the machine does only ever adds. `is-recording` is the base line: a call that carries nothing either way. A request that is not recorded should
//! pay no more than that and what it takes to carry the arguments over, whatever it calls.

#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]

use criterion::{Criterion, SamplingMode, criterion_group, criterion_main};
use http::Request;
use pounce::bench::Served;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// Calls of one request; it may have a thousand spans.
const CALLS: u64 = 900;

/// In the order of their numbers in `host_calls.wat`.
const KINDS: [&str; 6] = [
    "is-recording",
    "set-attribute, int",
    "set-attribute, text",
    "inject",
    "current-context",
    "span and drop",
];

const COMPONENTS: [(&str, &str); 2] =
    [("0.2 fresh", include_str!("host_calls_02.wat")), ("0.3 shared", include_str!("host_calls_03.wat"))];

/// The flags of the caller's `traceparent`; without them telemetry is off.
const TRACING: [(&str, Option<&str>); 3] =
    [("off", None), ("unsampled", Some("00")), ("recording", Some("01"))];

fn request(kind: usize, calls: u64, flags: Option<&str>) -> Request<()> {
    let path = format!("http://localhost/{kind}{calls:04}");
    let flags = flags.unwrap_or("01");
    let parent = format!("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-{flags}");
    Request::get(path).header("traceparent", parent).body(()).expect("a valid request")
}

/// Answers a request; gives the time that took.
fn timed(served: &Served, request: Request<()>) -> Duration {
    let start = Instant::now();
    served.request(request).expect("an answer");
    let spent = start.elapsed();
    // As the exporter would, so that the buffers stay as small as they are in a server.
    black_box(served.drain());
    spent
}

fn host_calls(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a folder");
    for (version, component) in COMPONENTS {
        let path = folder.path().join(format!("{version}.wat"));
        let text = component.replace(";; CALLS\n", include_str!("host_calls.wat"));
        std::fs::write(&path, text).expect("a file");
        let mut group = criterion.benchmark_group(version);
        group.sampling_mode(SamplingMode::Flat).sample_size(20);
        group.warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
        for (tracing, flags) in TRACING {
            let served = Served::load(&path, flags.is_some()).expect("a component");
            group.bench_function(format!("whole request, {tracing}"), |b| {
                b.iter_custom(|requests| (0..requests).map(|_| timed(&served, request(0, 0, flags))).sum());
            });
            for (kind, name) in KINDS.iter().enumerate() {
                group.bench_function(format!("{name}, {tracing}"), |b| {
                    b.iter_custom(|calls| {
                        let (mut with, mut without) = (Duration::MAX, Duration::MAX);
                        for _ in 0..calls.div_ceil(CALLS) {
                            with = with.min(timed(&served, request(kind, CALLS, flags)));
                            without = without.min(timed(&served, request(kind, 0, flags)));
                        }
                        let one = with.saturating_sub(without).as_secs_f64() / CALLS as f64;
                        Duration::from_secs_f64(one * calls as f64).max(Duration::from_nanos(1))
                    });
                });
            }
        }
        group.finish();
    }
}

criterion_group!(benches, host_calls);
criterion_main!(benches);
