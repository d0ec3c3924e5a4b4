//! What a call of `pounce:telemetry` costs a request: from the guest's code to the host's and back.
//!
//! Each sample is the difference between a request with 900 calls and one with none, so that the request itself cancels
//! out; of each kind of request the quickest counts, as whatever else the machine does only ever adds. `is-recording` is the base line: a call that carries nothing either way. A request that is not recorded should
//! pay no more than that and what it takes to carry the arguments over, whatever it calls.

#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]

use criterion::{Criterion, SamplingMode, criterion_group, criterion_main};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

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

fn request(kind: usize, calls: u64, flags: Option<&str>) -> String {
    let flags = flags.unwrap_or("01");
    let parent = format!("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-{flags}");
    format!("GET /{kind}{calls:04} HTTP/1.1\r\nhost: localhost\r\ntraceparent: {parent}\r\n\r\n")
}

/// A server of one component on a thread of its own, and a connection to it.
struct Served {
    connection: TcpStream,
    _stop: oneshot::Sender<()>,
}

impl Served {
    /// Serves the component at `path`; `traced` is whether telemetry is on. Its spans go to the recent traces.
    fn load(path: &Path, traced: bool) -> Self {
        let mut config = pounce::Config::new(path);
        config.http.listen = vec!["127.0.0.1:0".parse().expect("an address")];
        if traced {
            config.admin.listen = Some("127.0.0.1:0".parse().expect("an address"));
        }
        let (stop, stopped) = oneshot::channel::<()>();
        let (listens, address) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let mut runtime = tokio::runtime::Builder::new_multi_thread();
            let runtime = runtime.worker_threads(1).enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let app = pounce::App::build(config).await.expect("a server");
                listens.send(app.listeners()[0].tcp_addr()).expect("somebody waits for it");
                app.run_until(async { _ = stopped.await }).await
            })
        });
        let address = address.recv().expect("a server").expect("a TCP address");
        let connection = TcpStream::connect(address).expect("a connection");
        connection.set_nodelay(true).expect("a socket");
        Served { connection, _stop: stop }
    }

    /// Asks for a request to be answered, which must be with 200; gives the time that took.
    fn timed(&mut self, request: &str) -> Duration {
        let mut answer = [0; 1024];
        let start = Instant::now();
        self.connection.write_all(request.as_bytes()).expect("it reads on");
        let mut length = 0;
        while !is_whole(&answer[..length]) {
            let read = self.connection.read(&mut answer[length..]).expect("an answer");
            assert!(read > 0, "{}", String::from_utf8_lossy(&answer[..length]));
            length += read;
        }
        let spent = start.elapsed();
        assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answer[..length]));
        spent
    }
}

/// Whether it is all of an answer, whose body is empty.
fn is_whole(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer).to_ascii_lowercase();
    let end = if text.contains("transfer-encoding: chunked") { "\r\n\r\n0\r\n\r\n" } else { "\r\n\r\n" };
    text.ends_with(end)
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
            let mut served = Served::load(&path, flags.is_some());
            group.bench_function(format!("whole request, {tracing}"), |b| {
                b.iter_custom(|requests| (0..requests).map(|_| served.timed(&request(0, 0, flags))).sum());
            });
            for (kind, name) in KINDS.iter().enumerate() {
                group.bench_function(format!("{name}, {tracing}"), |b| {
                    b.iter_custom(|calls| {
                        let (mut with, mut without) = (Duration::MAX, Duration::MAX);
                        for _ in 0..calls.div_ceil(CALLS) {
                            with = with.min(served.timed(&request(kind, CALLS, flags)));
                            without = without.min(served.timed(&request(kind, 0, flags)));
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
