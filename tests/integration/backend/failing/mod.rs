//! Receivers that fail in every way, each beside one that is well: what requests cost is the same, memory is bounded, and
//! every span is exported or counted.
//!
//! Two servers are asked in turns, a slice of requests each, so that both meet the same weather. By default a second or
//! so for each failure; `make receivers` has the long form, which prints what it measured.

use super::traffic::exported;
use crate::support::broken::{Broken, Trouble};
use crate::support::client::{self, Connection, WithHeader};
use crate::support::exit::Exit;
use crate::support::pounce::Pounce;
use crate::support::server::{Arrived, Serving, serve_on};
use crate::support::{Protocol, pounce};
use bytes::Bytes;
use http::{Response, StatusCode, header};
use http_body_util::Full;
use prost::Message;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::Mutex;

/// Spans that may wait, and 20 times as many are made.
const QUEUE: usize = 64;
/// Connections that ask one request after another.
const CLIENTS: usize = 4;
/// Requests of one connection in a slice.
const SLICE: usize = 20;
/// Slices for each of the two servers; the first is not measured.
const SLICES: usize = 1 + 20 * QUEUE / (CLIENTS * SLICE);
/// Text that each span carries several times.
const PAD: usize = 4000;

/// They would only measure each other.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

/// What came in the requests that a receiver answered with 200.
#[derive(Default)]
struct Took {
    spans: AtomicUsize,
    records: AtomicUsize,
}

/// A receiver under test.
struct Receiver {
    endpoint: String,
    took: Arc<Took>,
    /// What keeps it up.
    _up: Up,
}

enum Up {
    Nothing,
    Broken { _broken: Broken },
    Serving { _serving: Serving },
    ComingAndGoing { _task: tokio::task::JoinHandle<()> },
}

/// As much of a request for export of spans or log records as counting takes. A receiver that is well must not slow down the server beside it by
/// reading them in this process.
#[derive(Message)]
struct Request {
    #[prost(message, repeated, tag = "1")]
    resources: Vec<OfResource>,
}

#[derive(Message)]
struct OfResource {
    #[prost(message, repeated, tag = "2")]
    scopes: Vec<OfScope>,
}

#[derive(Message)]
struct OfScope {
    #[prost(bytes = "bytes", repeated, tag = "2")]
    items: Vec<Bytes>,
}

fn items_in(arrived: &Arrived) -> usize {
    let request = Request::decode(arrived.body.clone()).expect("OTLP");
    request.resources.iter().flat_map(|of| &of.scopes).map(|of| of.items.len()).sum()
}

/// An answer of this status and body.
fn saying(status: u16, body: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
    response
}

/// Serves on `listener`, counting what it takes; the answer to a request may depend on its number.
fn answering(
    listener: TcpListener,
    took: &Arc<Took>,
    answer: impl Fn(usize) -> Response<Full<Bytes>> + Clone + Send + Sync + 'static,
) -> (SocketAddr, Serving) {
    let (took, number) = (took.clone(), Arc::new(AtomicUsize::new(0)));
    serve_on(listener, None, move |arrived| {
        let response = answer(number.fetch_add(1, Relaxed));
        if response.status() == StatusCode::OK {
            match arrived.target.as_str() {
                "/v1/traces" => took.spans.fetch_add(items_in(&arrived), Relaxed),
                "/v1/logs" => took.records.fetch_add(items_in(&arrived), Relaxed),
                _ => 0,
            };
        }
        std::future::ready(Some(response))
    })
}

async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.expect("a free port")
}

impl Receiver {
    async fn that_answers(
        answer: impl Fn(usize) -> Response<Full<Bytes>> + Clone + Send + Sync + 'static,
    ) -> Self {
        let took = Arc::<Took>::default();
        let (addr, serving) = answering(listener().await, &took, answer);
        Receiver { endpoint: format!("http://{addr}"), took, _up: Up::Serving { _serving: serving } }
    }

    async fn that_is_well() -> Self {
        Self::that_answers(|_| saying(200, "")).await
    }

    async fn in_trouble(trouble: Trouble) -> Self {
        let broken = Broken::start(trouble).await;
        let scheme = if matches!(trouble, Trouble::HalfHandshake) { "https" } else { "http" };
        let endpoint = format!("{scheme}://{}", broken.addr());
        Receiver { endpoint, took: Arc::default(), _up: Up::Broken { _broken: broken } }
    }

    async fn that_refuses() -> Self {
        let addr = listener().await.local_addr().expect("bound");
        Receiver { endpoint: format!("http://{addr}"), took: Arc::default(), _up: Up::Nothing }
    }

    /// There for a while, gone for a while.
    async fn that_comes_and_goes() -> Self {
        let took = Arc::<Took>::default();
        let mut listener = listener().await;
        let addr = listener.local_addr().expect("bound");
        let count = took.clone();
        let task = tokio::spawn(async move {
            loop {
                let (_, serving) = answering(listener, &count, |_| saying(200, ""));
                tokio::time::sleep(Duration::from_millis(150)).await;
                drop(serving);
                tokio::time::sleep(Duration::from_millis(150)).await;
                listener = loop {
                    match TcpListener::bind(addr).await {
                        Ok(listener) => break listener,
                        Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
                    }
                };
            }
        });
        Receiver { endpoint: format!("http://{addr}"), took, _up: Up::ComingAndGoing { _task: task } }
    }
}

/// A server that sends to a receiver, and the connections that ask it.
struct Side {
    server: Pounce,
    connections: Vec<Connection>,
    asked: usize,
    /// How long each slice took, and each request.
    slices: Vec<Duration>,
    requests: Vec<Duration>,
    /// Resident memory after each slice.
    resident: Vec<u64>,
}

impl Side {
    async fn start(receiver: &Receiver) -> Self {
        let server = pounce()
            .fixture("status.wat")
            .flag("--otel-endpoint", &receiver.endpoint)
            .flag("--otel-request-headers", "x-pad")
            .flag("--grace-period", "2s")
            .env("OTEL_BSP_MAX_QUEUE_SIZE", QUEUE)
            .env("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", QUEUE / 4)
            .env("OTEL_BSP_SCHEDULE_DELAY", 50)
            .env("OTEL_EXPORTER_OTLP_TIMEOUT", 500)
            .start()
            .await;
        let mut connections = Vec::new();
        for _ in 0..CLIENTS {
            connections.push(Connection::open(server.addr(), Protocol::H1).await);
        }
        Side { server, connections, asked: 0, slices: vec![], requests: vec![], resident: vec![] }
    }

    /// A slice of requests on each connection.
    async fn slice(&mut self, pad: &Arc<str>) {
        let mut asking = tokio::task::JoinSet::new();
        let begin = Instant::now();
        for mut connection in self.connections.drain(..) {
            let pad = pad.clone();
            asking.spawn(async move {
                let mut took = Vec::with_capacity(SLICE);
                for _ in 0..SLICE {
                    let request = client::get(&format!("/200?pad={pad}")).with("x-pad", pad.as_bytes());
                    let begin = Instant::now();
                    assert_eq!(connection.fetch(request).await.status, 200);
                    took.push(begin.elapsed());
                }
                (connection, took)
            });
        }
        for (connection, took) in asking.join_all().await {
            self.connections.push(connection);
            self.requests.extend(took);
        }
        self.slices.push(begin.elapsed());
        self.asked += CLIENTS * SLICE;
        self.resident.push(self.server.resident());
    }

    /// The first slice is that of a cold server.
    fn warm(&mut self) {
        self.slices.clear();
        self.requests.clear();
        self.resident.drain(..self.resident.len() - 1);
    }

    fn p99(&mut self) -> Duration {
        self.requests.sort();
        self.requests[self.requests.len() * 99 / 100]
    }

    /// Ends it and fails unless each span is where the numbers say.
    async fn stop(self, what: &str, receiver: &Receiver) -> Exit {
        let asked = self.asked;
        drop(self.connections);
        let begin = Instant::now();
        let exit = self.server.stop().await;
        assert!(begin.elapsed() < Duration::from_secs(10), "{what}: {:?} to stop", begin.elapsed());
        exit.expect(0, &[]);
        assert!(!exit.stderr.contains("panicked"), "{what}: {exit}");
        let totals = exit.totals();
        assert_eq!(totals.ended, asked, "{what}: {exit}");
        assert_eq!(totals.exported + totals.rejected + totals.dropped, asked, "{what}: {exit}");
        assert_eq!(totals.exported, receiver.took.spans.load(Relaxed), "{what}: {exit}");
        // Of our own log, which fails as the rest does.
        let records = exported(&exit, "log records emitted");
        assert_eq!(records, receiver.took.records.load(Relaxed), "{what}: {exit}");
        exit
    }
}

/// Asks both servers in turns and compares.
async fn compare(what: &str, failing: Receiver) -> Exit {
    let _alone = ONE_AT_A_TIME.lock().await;
    let seconds = std::env::var("POUNCE_RECEIVERS").ok().and_then(|seconds| seconds.parse().ok());
    let at_least = Duration::from_secs(seconds.unwrap_or(0));
    let well = Receiver::that_is_well().await;
    let mut sides = [Side::start(&well).await, Side::start(&failing).await];
    let pad: Arc<str> = "x".repeat(PAD).into();
    let begin = Instant::now();
    let mut done = 0;
    while done < SLICES || begin.elapsed() < at_least {
        // Each is the first as often as the other.
        for n in [done % 2, 1 - done % 2] {
            sides[n].slice(&pad).await;
            if done == 0 {
                sides[n].warm();
            }
        }
        done += 1;
    }
    let [mut healthy, mut other] = sides;
    let mut ratios: Vec<f64> =
        healthy.slices.iter().zip(&other.slices).map(|(h, o)| h.div_duration_f64(*o)).collect();
    ratios.sort_by(f64::total_cmp);
    let throughput = ratios[ratios.len() / 2];
    let p99 = (healthy.p99(), other.p99());
    let grown = other.resident.iter().max().expect("slices").saturating_sub(other.resident[0]);
    let made = other.asked * PAD * 2;
    if seconds.is_some() {
        println!(
            "{what}: throughput {throughput:.3} of a healthy receiver's, p99 {:?} against {:?}, memory +{} KiB while spans of {} KiB were made",
            p99.1,
            p99.0,
            grown / 1024,
            made / 1024
        );
    }
    assert!(throughput >= 0.7, "{what}: throughput is {throughput:.2} of that with a healthy receiver");
    // Of a few milliseconds, the machine's own unrest is the larger part.
    let bound = p99.0 * 3 + Duration::from_millis(10);
    assert!(p99.1 <= bound, "{what}: p99 {:?} against {:?} with a healthy receiver", p99.1, p99.0);
    // Half of what has been made at the least, and no more in an hour.
    assert!(grown < 6 << 20, "{what}: memory grew by {} KiB", grown / 1024);
    healthy.stop("healthy", &well).await;
    other.stop(what, &failing).await
}

/// Nothing of it arrives.
async fn all_is_lost(what: &str, failing: Receiver) {
    let exit = compare(what, failing).await;
    assert_eq!(exit.totals().exported, 0, "{what}: {exit}");
    exit.expect(0, &["cannot export spans"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn refusing_connections() {
    all_is_lost("refuses", Receiver::that_refuses().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hanging() {
    all_is_lost("hangs", Receiver::in_trouble(Trouble::Hang).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn resetting_connections() {
    all_is_lost("resets", Receiver::in_trouble(Trouble::Reset).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_slowly() {
    all_is_lost("reads slowly", Receiver::in_trouble(Trouble::SlowRead).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answering_garbage() {
    all_is_lost("garbage", Receiver::in_trouble(Trouble::Garbage).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_in_the_tls_handshake() {
    all_is_lost("half a handshake", Receiver::in_trouble(Trouble::HalfHandshake).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn asking_for_a_wait() {
    let wait = |_| {
        let mut response = saying(429, "");
        response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from(1));
        response
    };
    all_is_lost("429 with Retry-After", Receiver::that_answers(wait).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unavailable_in_bursts() {
    let bursts = |number| if number % 8 < 5 { saying(503, "") } else { saying(200, "") };
    let exit = compare("503 in bursts", Receiver::that_answers(bursts).await).await;
    assert!(exit.totals().exported > 0, "{exit}");
}

/// That it came is all that counts.
#[tokio::test(flavor = "multi_thread")]
async fn answering_success_with_garbage() {
    let html = |_| saying(200, "<html>It works!</html>");
    let exit = compare("200 with a page", Receiver::that_answers(html).await).await;
    assert!(exit.totals().exported > 0, "{exit}");
}

#[tokio::test(flavor = "multi_thread")]
async fn coming_and_going() {
    let exit = compare("comes and goes", Receiver::that_comes_and_goes().await).await;
    assert!(exit.totals().exported > 0, "{exit}");
}
