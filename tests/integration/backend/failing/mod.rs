//! Receivers that fail in every way, each beside one that is well: what requests cost is the same, memory is bounded, and
//! every span, log record and point of a metric is exported or counted.
//!
//! Servers are asked in turns, a slice of requests each, so that all meet the same weather. By default a second or so for
//! each failure; `make receivers` has the long form, which prints what it measured. Over `http/protobuf` each failure has
//! a test of its own; over the other protocols those that look different there stand side by side in one.

/// What can be wrong with a receiver.
mod receiver;
/// What can be wrong with HTTP/2 alone.
mod streams;

use crate::support::broken::Trouble;
use crate::support::client::{self, Connection, WithHeader};
use crate::support::exit::Exit;
use crate::support::pounce::Pounce;
use crate::support::{Protocol, eventually, pounce};
use receiver::{Receiver, later, saying, typed, yes};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};
use streams::Ends;
use tokio::sync::Mutex;

/// Spans that may wait, and 20 times as many are made.
const QUEUE: usize = 64;
/// Connections that ask one request after another.
const CLIENTS: usize = 4;
/// Requests of one connection in a slice.
const SLICE: usize = 20;
/// Slices for each of the servers; the first is not measured.
const SLICES: usize = 1 + 20 * QUEUE / (CLIENTS * SLICE);
/// Text that each span carries several times.
const PAD: usize = 4000;

/// They would only measure each other.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

/// What must become of the telemetry in the end.
#[derive(Clone, Copy, PartialEq)]
enum Fate {
    /// Nothing arrives.
    Lost,
    /// Some of it does.
    Partly,
    /// All does that the queue had room for.
    Sent,
}
use Fate::{Lost, Partly, Sent};

/// A server that sends to a receiver, and the connections that ask it.
struct Side {
    what: &'static str,
    receiver: Receiver,
    server: Pounce,
    admin: SocketAddr,
    connections: Vec<Connection>,
    asked: usize,
    /// How long each slice took, and each request.
    slices: Vec<Duration>,
    requests: Vec<Duration>,
    /// Resident memory after each slice.
    resident: Vec<u64>,
}

impl Side {
    async fn start(what: &'static str, fate: Fate, receiver: Receiver) -> Self {
        // What arrives must be told so in time, however busy the machine is: it would be counted as lost, too.
        let (patience, grace) = if fate == Lost { (500, "2s") } else { (5000, "8s") };
        let mut server = pounce()
            .fixture("status.wat")
            .flag("--otel-endpoint", &receiver.endpoint)
            .flag("--otel-protocol", receiver.protocol)
            .flag("--otel-request-headers", "x-pad")
            .flag("--grace-period", grace)
            .flag("--admin-listen", "127.0.0.1:0")
            .env("OTEL_BSP_MAX_QUEUE_SIZE", QUEUE)
            .env("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", QUEUE / 4)
            .env("OTEL_BSP_SCHEDULE_DELAY", 50)
            .env("OTEL_METRIC_EXPORT_INTERVAL", 100)
            .env("OTEL_METRIC_EXPORT_TIMEOUT", patience)
            .env("OTEL_EXPORTER_OTLP_TIMEOUT", patience)
            .start()
            .await;
        let admin = server.admin().await;
        let mut connections = Vec::new();
        for _ in 0..CLIENTS {
            connections.push(Connection::open(server.addr(), Protocol::H1).await);
        }
        let (slices, requests, resident) = (vec![], vec![], vec![]);
        Side { what, receiver, server, admin, connections, asked: 0, slices, requests, resident }
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

    fn p99(&self) -> Duration {
        let mut requests = self.requests.clone();
        requests.sort();
        requests[requests.len() * 99 / 100]
    }

    /// By how much memory has grown at most.
    fn grown(&self) -> u64 {
        self.resident.iter().max().expect("slices").saturating_sub(self.resident[0])
    }

    /// The throughput of `other` as a share of this one's.
    fn share_of(&self, other: &Side) -> f64 {
        let slices = self.slices.iter().zip(&other.slices);
        let mut ratios: Vec<f64> = slices.map(|(own, other)| own.div_duration_f64(*other)).collect();
        ratios.sort_by(f64::total_cmp);
        ratios[ratios.len() / 2]
    }

    fn measured(&self, other: &Side) -> String {
        format!(
            "throughput {:.3} of a healthy receiver's, p99 {:?} against {:?}, memory +{} KiB while spans of {} KiB were made",
            self.share_of(other),
            other.p99(),
            self.p99(),
            other.grown() / 1024,
            other.asked * PAD * 2 / 1024,
        )
    }

    /// What requests cost in `other` more than in this one, or the memory that it takes more and more of.
    fn flaw_of(&self, other: &Side) -> Option<String> {
        // Of a few milliseconds, the machine's own unrest is the larger part.
        let is_slow = other.p99() > self.p99() * 3 + Duration::from_millis(10);
        // Half of what has been made at the least, and no more in an hour.
        let is_large = other.grown() >= 6 << 20;
        (self.share_of(other) < 0.7 || is_slow || is_large).then(|| self.measured(other))
    }

    /// Points of metrics that were exported, and that were not, as `/metrics` tells it.
    async fn points(&self) -> (usize, usize) {
        let page = client::fetch_path(self.admin, "/metrics").await;
        let series = |line: &&str| line.starts_with("otel_sdk_exporter_metric_data_point_exported_total{");
        let (mut exported, mut failed) = (0, 0);
        for line in page.text().lines().filter(series) {
            let (labels, value) = line.rsplit_once("} ").expect("labels and a value");
            let value: f64 = value.parse().expect("a number");
            let count = if labels.contains("error_type=") { &mut failed } else { &mut exported };
            *count += value as usize;
        }
        (exported, failed)
    }

    /// Ends it and fails unless each span, log record and point is where the numbers say.
    async fn stop(self, fate: Fate) {
        let (what, took) = (self.what, Arc::clone(&self.receiver.took));
        if fate == Partly {
            // By chance, a receiver that comes and goes was away at each attempt so far.
            eventually(&format!("{what}: something to arrive"), async || took.spans.load(Relaxed) > 0).await;
        }
        let mut told = (0, 0);
        eventually(&format!("{what}: /metrics to tell of each point"), async || {
            let before = took.points.load(Relaxed);
            told = self.points().await;
            let shows_loss = fate != Lost || self.receiver.asks_to_wait || told.1 > 0;
            shows_loss && (told.0, before) == (before, took.points.load(Relaxed))
        })
        .await;
        drop(self.connections);
        let begin = Instant::now();
        let exit = self.server.stop().await;
        assert!(begin.elapsed() < Duration::from_secs(10), "{what}: {:?} to stop", begin.elapsed());
        exit.expect(0, &[]);
        assert!(!exit.stderr.contains("panicked"), "{what}: {exit}");

        let spans = exit.totals();
        assert_eq!(spans.ended, self.asked, "{what}: {exit}");
        assert_eq!(spans.exported + spans.rejected + spans.dropped, self.asked, "{what}: {exit}");
        assert_eq!(spans.exported, took.spans.load(Relaxed), "{what}: {exit}");
        // Of our own log, which fails as the rest does.
        let records = exit.log_totals();
        let accounted = records.exported + records.rejected + records.dropped;
        assert_eq!(
            (accounted, records.exported),
            (records.ended, took.records.load(Relaxed)),
            "{what}: {exit}"
        );
        let (exported, failed) = points_of(&exit);
        if std::env::var_os("POUNCE_RECEIVERS").is_some() {
            println!("{what} ({}): {spans:?}; {exported} points, {failed} not", self.receiver.protocol);
        }
        assert_eq!(exported, took.points.load(Relaxed), "{what}: {exit}");
        assert!(told.0 <= exported && told.1 <= failed, "{what}: /metrics said {told:?}: {exit}");
        let offered = took.offered();
        assert!(exported + failed >= offered, "{what}: {offered} points were offered: {exit}");
        if self.receiver.sees_all {
            assert_eq!(exported + failed, offered, "{what}: points were offered: {exit}");
        }
        match fate {
            Lost => {
                assert_eq!((spans.exported, exported), (0, 0), "{what}: {exit}");
                assert!(failed > 0, "{what}: {exit}");
                exit.expect(0, &["cannot export spans"]);
            }
            Partly => assert!(spans.exported > 0, "{what}: {exit}"),
            Sent => {
                assert!(spans.exported > 0 && exported > 0 && failed == 0, "{what}: {exit}");
                assert!(!exit.stderr.contains("because the export failed"), "{what}: {exit}");
            }
        }
    }
}

/// Points of metrics that were exported, and that were not, by the last words.
fn points_of(exit: &Exit) -> (usize, usize) {
    let line = exit.stderr.lines().rfind(|line| line.contains("spans ended")).expect("totals");
    let part = line.split(';').find(|part| part.contains("points of metrics exported"));
    let part = part.unwrap_or_else(|| panic!("nothing of points: {exit}"));
    let count = |words: &str| {
        let before = part.split(words).next().filter(|before| before.len() < part.len());
        let digits = before.and_then(|before| before.rsplit(|c: char| !c.is_ascii_digit()).next());
        digits.map_or(0, |digits| digits.parse().expect("a number"))
    };
    let failed = count(" rejected by the endpoint") + count(" dropped because the export failed");
    (count(" points of metrics exported"), failed)
}

/// Asks a server whose receiver is well and those whose receivers fail in turns, and compares.
async fn compare(failing: Vec<(&'static str, Fate, Receiver)>) {
    let _alone = ONE_AT_A_TIME.lock().await;
    let seconds = std::env::var("POUNCE_RECEIVERS").ok().and_then(|seconds| seconds.parse().ok());
    let at_least = Duration::from_secs(seconds.unwrap_or(0)) * failing.len() as u32;
    let well = Receiver::that_is_well(failing[0].2.protocol).await;
    let (mut sides, mut fates) = (vec![Side::start("healthy", Sent, well).await], vec![Sent]);
    for (what, fate, receiver) in failing {
        sides.push(Side::start(what, fate, receiver).await);
        fates.push(fate);
    }
    let pad: Arc<str> = "x".repeat(PAD).into();
    let begin = Instant::now();
    let mut done = 0;
    // On a machine that does other things as well, what looks slow is looked at for longer.
    while done < SLICES
        || begin.elapsed() < at_least
        || (done < 4 * SLICES && sides[1..].iter().any(|other| sides[0].flaw_of(other).is_some()))
    {
        // Each has each place among the others, and either neighbour before it.
        for n in 0..sides.len() {
            let n = if done % 2 == 0 { n } else { sides.len() - 1 - n };
            let at = (done / 2 + n) % sides.len();
            sides[at].slice(&pad).await;
            if done == 0 {
                sides[at].warm();
            }
        }
        done += 1;
    }
    for other in &sides[1..] {
        if seconds.is_some() {
            println!("{} ({}): {}", other.what, other.receiver.protocol, sides[0].measured(other));
        }
        assert_eq!(sides[0].flaw_of(other), None, "{}", other.what);
    }
    let ends = sides.into_iter().zip(fates).map(|(side, fate)| side.stop(fate));
    futures_util::future::join_all(ends).await;
}

const PROTOBUF: &str = "http/protobuf";
const JSON: &str = "http/json";
const GRPC: &str = "grpc";

async fn in_trouble(what: &'static str, trouble: Trouble) {
    compare(vec![(what, Lost, Receiver::in_trouble(PROTOBUF, trouble).await)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refusing_connections() {
    compare(vec![("refuses", Lost, Receiver::that_refuses(PROTOBUF).await)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hanging() {
    in_trouble("hangs", Trouble::Hang).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn resetting_connections() {
    in_trouble("resets", Trouble::Reset).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_slowly() {
    in_trouble("reads slowly", Trouble::SlowRead).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answering_garbage() {
    in_trouble("garbage", Trouble::Garbage).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_in_the_tls_handshake() {
    in_trouble("half a handshake", Trouble::HalfHandshake).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn asking_for_a_wait() {
    let receiver = Receiver::that_answers(PROTOBUF, |_| later(429)).await;
    compare(vec![("429 with Retry-After", Lost, receiver)]).await;
}

/// Three of six are told to come again: less often than a batch is tried before the server ends.
fn bursts(number: usize) -> http::Response<http_body_util::Full<bytes::Bytes>> {
    if number % 6 < 3 { saying(503, "") } else { yes() }
}

#[tokio::test(flavor = "multi_thread")]
async fn unavailable_in_bursts() {
    compare(vec![("503 in bursts", Partly, Receiver::that_answers(PROTOBUF, bursts).await)]).await;
}

/// That it came is all that counts.
#[tokio::test(flavor = "multi_thread")]
async fn answering_success_with_garbage() {
    let page = Receiver::that_babbles(PROTOBUF, |_| saying(200, "<html>It works!</html>")).await;
    compare(vec![("200 with a page", Sent, page)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn coming_and_going() {
    compare(vec![("comes and goes", Partly, Receiver::that_comes_and_goes(PROTOBUF).await)]).await;
}

/// Connections fail as over HTTP/1.1; what is said over them is another matter.
#[tokio::test(flavor = "multi_thread")]
async fn json_that_is_answered_otherwise() {
    let nonsense = |number| match number % 3 {
        0 => typed(200, "application/json", "[1"),
        1 => typed(200, "application/json", r#"{"partialSuccess":{"rejectedSpans":"many"}}"#),
        _ => typed(200, "application/json", "\u{feff}null"),
    };
    compare(vec![
        ("429 with Retry-After", Lost, Receiver::that_answers(JSON, |_| later(429)).await),
        ("503 in bursts", Partly, Receiver::that_answers(JSON, bursts).await),
        ("200 with nonsense", Sent, Receiver::that_babbles(JSON, nonsense).await),
        ("comes and goes", Partly, Receiver::that_comes_and_goes(JSON).await),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_whose_connections_fail() {
    compare(vec![
        ("refuses", Lost, Receiver::that_refuses(GRPC).await),
        ("hangs", Lost, Receiver::in_trouble(GRPC, Trouble::Hang).await),
        ("resets", Lost, Receiver::in_trouble(GRPC, Trouble::Reset).await),
        ("speaks no HTTP", Lost, Receiver::in_trouble(GRPC, Trouble::Garbage).await),
        ("GOAWAY with an error", Lost, Receiver::that_ends(Ends::Connections).await),
        ("GOAWAY when old", Sent, Receiver::that_ends(Ends::OldConnections).await),
        ("comes and goes", Partly, Receiver::that_comes_and_goes(GRPC).await),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_whose_calls_fail() {
    // INTERNAL, UNAVAILABLE, RESOURCE_EXHAUSTED without a time, UNAUTHENTICATED: in the headers, with nothing behind.
    let statuses = |number| saying([500, 503, 429, 401][number % 4], "");
    let nonsense = |number| match number % 4 {
        0 => typed(200, "application/grpc", "\u{1}\u{ff}no frame"),
        1 => typed(200, "text/html", "<html>It works!</html>"),
        2 => {
            let mut answer = typed(200, "application/grpc", "");
            answer.headers_mut().insert("grpc-status", http::HeaderValue::from_static("fine"));
            answer
        }
        _ => saying(502, "Bad Gateway"),
    };
    compare(vec![
        ("UNAVAILABLE with RetryInfo", Lost, Receiver::that_answers(GRPC, |_| later(503)).await),
        ("UNAVAILABLE in bursts", Partly, Receiver::that_answers(GRPC, bursts).await),
        ("a status in headers only", Lost, Receiver::that_answers(GRPC, statuses).await),
        ("a status in trailers", Lost, Receiver::that_ends(Ends::CallsInTrailers).await),
        ("half a message", Lost, Receiver::that_ends(Ends::Messages).await),
        ("nonsense", Lost, Receiver::that_babbles(GRPC, nonsense).await),
        ("RST_STREAM", Partly, Receiver::that_ends(Ends::Streams).await),
    ])
    .await;
}
