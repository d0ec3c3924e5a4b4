//! Receivers that take no more than so many bytes at once: batches fit into what they take by default, and what is too large
//! for one all the same goes in parts.

use super::to;
use crate::support::client::{self, Connection};
use crate::support::collector::Reply;
use crate::support::pounce::{Builder, Pounce};
use crate::support::{Abi, Collector, Protocol, eventually, pounce};
use std::path::Path;
use tempfile::TempDir;

/// What gRPC receivers take by default, all that stands around the items included.
const OF_GRPC: usize = 4 * 1024 * 1024;
/// What Pounce makes of it.
const OURS: usize = 7 * 512 * 1024;
/// So little that a dozen items are too many.
const LITTLE: usize = 10 * 1024;

const PROTOCOLS: [&str; 3] = ["http/protobuf", "http/json", "grpc"];

/// Makes `n` requests whose spans have 17 KB each, most of it paths.
async fn long_paths(server: &Pounce, n: usize) {
    let path = format!("/200{}?q={}", "p".repeat(4017), "v".repeat(4001));
    let mut connection = Connection::open(server.addr(), Protocol::H1).await;
    for _ in 0..n {
        assert_eq!(connection.fetch(client::get(&path)).await.status, 200);
    }
}

/// Has the guest `attributes` do what each query says.
async fn deeds(server: &Pounce, queries: impl IntoIterator<Item = String>) {
    let mut connection = Connection::open(server.addr(), Protocol::H1).await;
    for query in queries {
        let answer = connection.fetch(client::get(&format!("/deeds?{query}"))).await;
        assert_eq!(answer.status, 200, "{query}");
    }
}

/// A server that sends all that it has at once, in the end.
fn all_at_once(collector: &Collector, protocol: &str) -> Builder {
    pounce()
        .flag("--otel-endpoint", collector.endpoint())
        .flag("--otel-protocol", protocol)
        .env("OTEL_BSP_SCHEDULE_DELAY", 60_000)
        .env("OTEL_BLRP_SCHEDULE_DELAY", 60_000)
}

fn expect_fit(collector: &Collector, what: &str) {
    assert_eq!(collector.too_large(), 0, "{what}: nothing was refused");
    let largest = collector.sizes().into_iter().max().unwrap();
    assert!((OURS / 2..=OURS).contains(&largest), "{what}: {largest} bytes are full, and no more than that");
}

/// 248 such spans are a few bytes more than 4 MiB with what stands around them, and less without.
#[tokio::test]
async fn spans_arrive_where_4_mib_are_taken() {
    for protocol in PROTOCOLS {
        for count in [248, 512] {
            // Receivers of gRPC count after decompression.
            let compressions = if protocol == "grpc" { &["none", "gzip"][..] } else { &["none"] };
            for compression in compressions {
                let what = format!("{count} spans, {protocol}, {compression}");
                let collector = Collector::start().await;
                collector.takes_at_most(OF_GRPC, 413);
                let server = all_at_once(&collector, protocol)
                    .fixture("status.wat")
                    .flag("--otel-compression", compression)
                    .env("OTEL_METRICS_EXPORTER", "none")
                    .start()
                    .await;
                long_paths(&server, count).await;
                let exit = server.stop().await;
                let totals = exit.totals();
                assert_eq!(
                    (totals.ended, totals.exported, totals.dropped),
                    (count, count, 0),
                    "{what} {exit}"
                );
                assert_eq!(collector.received().len(), count, "{what}");
                expect_fit(&collector, &what);
            }
        }
    }
}

#[tokio::test]
async fn log_records_and_metrics_arrive_where_4_mib_are_taken() {
    for protocol in PROTOCOLS {
        let collector = Collector::start().await;
        collector.takes_at_most(OF_GRPC, 413);
        let server = all_at_once(&collector, protocol)
            .guest(Abi::P2, "attributes")
            .env("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", 2048)
            .start()
            .await;
        let records = format!("times=200&log.info={}", "r".repeat(3500));
        deeds(&server, vec![records; 7]).await;
        let exit = server.stop().await;
        let totals = exit.log_totals();
        assert_eq!((totals.exported, totals.dropped), (totals.ended, 0), "{protocol} {exit}");
        assert_eq!(collector.log_records().len(), 1400, "{protocol}");
        expect_fit(&collector, &format!("log records, {protocol}"));

        let collector = Collector::start().await;
        collector.takes_at_most(OF_GRPC, 413);
        let server = all_at_once(&collector, protocol).guest(Abi::P2, "attributes").start().await;
        let value = "v".repeat(4000);
        let series = (0..200).map(|n| {
            let all: String = (0..7).map(|counter| format!("&counter.c{counter}=1")).collect();
            format!("with.k={n}-{value}{all}")
        });
        deeds(&server, series).await;
        let exit = server.stop().await;
        let exported = format!("; {} points of metrics exported", collector.points());
        exit.expect(0, &[&exported]);
        assert!(!exit.stderr.contains("not exported"), "{protocol} {exit}");
        let points = collector.others().into_iter().flat_map(|other| other.received.metrics());
        let points: usize = points.map(|metric| metric.points.len()).sum();
        assert_eq!(points, 1400, "{protocol}");
        expect_fit(&collector, &format!("metrics, {protocol}"));
    }
}

/// Small ones of each signal, and in their midst one that is too large by itself. Answers how many spans, log records of the
/// guest and points of it that are.
async fn small_ones_and_a_large_one(server: &Pounce) -> [usize; 3] {
    let small = |n: usize| format!("with.n={n}&counter.orders=1&histogram.size=2&log.info=record-{n}");
    deeds(server, (0..25).map(small)).await;
    let value = "v".repeat(3500);
    let of_signals: String = (0..3).map(|n| format!("&with.k{n}={value}")).collect();
    let of_span: String = (0..3).map(|n| format!("&set.k{n}={value}")).collect();
    deeds(server, [format!("{of_span}{of_signals}&counter.orders=1&event.info=large")]).await;
    deeds(server, (25..40).map(small)).await;
    [40, 40, 80]
}

fn expect_all_but_the_large_one(
    exit: &crate::support::exit::Exit,
    collector: &Collector,
    expected: [usize; 3],
) {
    let [spans, records, points] = expected;
    let totals = exit.totals();
    assert_eq!((totals.ended, totals.exported, totals.dropped), (spans + 1, spans, 1), "{exit}");
    let logs = exit.log_totals();
    assert_eq!((logs.ended, logs.exported, logs.dropped), (logs.ended, logs.ended - 1, 1), "{exit}");
    assert_eq!((collector.received().len(), collector.log_records().len()), (spans, records), "{exit}");
    let metrics = collector.others().into_iter().flat_map(|other| other.received.metrics());
    assert_eq!(metrics.map(|metric| metric.points.len()).sum::<usize>(), points, "{exit}");
    exit.expect(
        0,
        &[
            "1 dropped as too large for the endpoint; ",
            &format!(
                "{} points of metrics exported, 1 dropped as too large for the endpoint",
                collector.points()
            ),
            "that is too large for it by itself",
        ],
    );
}

/// Each span, log record and point that is taken alone arrives, once, whatever it was sent beside.
#[tokio::test]
async fn what_a_receiver_finds_too_large_goes_in_parts() {
    for (protocol, status) in [
        ("http/protobuf", 413),
        ("http/protobuf", 400),
        ("http/json", 413),
        ("http/json", 400),
        ("grpc", 413),
    ] {
        let collector = Collector::start().await;
        collector.takes_at_most(LITTLE, status);
        let server = all_at_once(&collector, protocol).guest(Abi::P2, "attributes").start().await;
        let expected = small_ones_and_a_large_one(&server).await;
        let exit = server.stop().await;
        expect_all_but_the_large_one(&exit, &collector, expected);
        for items in ["spans", "log records", "metrics"] {
            let told =
                format!("bytes of {items} are too large a batch for the endpoint: they are sent in parts");
            assert_eq!(exit.stderr.matches(&told).count(), 1, "{protocol} {status} {exit}");
        }
        exit.expect(0, &["nothing is lost; raise its limit, or lower OTEL_BSP_MAX_EXPORT_BATCH_SIZE"]);
    }
}

/// What an endpoint has found too large once, it is not sent again.
#[tokio::test]
async fn a_limit_is_found_once() {
    let collector = Collector::start().await;
    collector.takes_at_most(64 * 1024, 413);
    let server = to(collector.endpoint())
        .env("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 40)
        .env("OTEL_METRICS_EXPORTER", "none")
        .start()
        .await;
    // Batches of up to 680 KB, eight times and more what it takes.
    long_paths(&server, 600).await;
    collector.spans(600).await;
    // Batches that are on their way at once find it together.
    assert!((1..=16).contains(&collector.too_large()), "{} times", collector.too_large());
    let exit = server.stop().await;
    assert_eq!((exit.totals().exported, exit.totals().dropped), (600, 0), "{exit}");
}

/// Where nobody listens, until a collector does.
async fn nobody() -> std::net::SocketAddr {
    tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

fn files(spool: &Path) -> usize {
    let names = std::fs::read_dir(spool).unwrap().map(|entry| entry.unwrap().file_name());
    names.filter(|name| name.to_string_lossy().ends_with(".otlp")).count()
}

/// The files of the spool, too, which an earlier process may have written for another endpoint.
#[tokio::test]
async fn what_waits_on_the_disk_goes_in_parts_too() {
    for protocol in PROTOCOLS {
        let spool = TempDir::new().unwrap();
        let addr = nobody().await;
        let server = |endpoint: String| {
            pounce()
                .guest(Abi::P2, "attributes")
                .flag("--otel-endpoint", endpoint)
                .flag("--otel-protocol", protocol)
                .flag("--otel-spool", spool.path().display())
                .env("OTEL_BSP_SCHEDULE_DELAY", 60_000)
                .env("OTEL_BLRP_SCHEDULE_DELAY", 60_000)
        };
        let first = server(format!("http://{addr}")).start().await;
        let [spans, records, points] = small_ones_and_a_large_one(&first).await;
        let exit = first.stop().await;
        let left = exit.totals();
        assert_eq!((left.ended, left.exported, left.dropped), (spans + 1, 0, 0), "{exit}");

        let collector = Collector::back_at(addr).await;
        collector.takes_at_most(LITTLE, 413);
        // In the middle of the parts it goes away for a while.
        collector.script([Reply::Accept, Reply::Refuse(503), Reply::Accept, Reply::Refuse(503)]);
        let second = server(collector.endpoint()).start().await;
        collector.spans(spans).await;
        collector.log_records_of(records).await;
        eventually("an empty spool", async || files(spool.path()) == 0).await;
        let exit = second.stop().await;
        let found = format!("{} found in the spool at the start", spans + 1);
        exit.expect(0, &["0 spans ended, 40 exported, 1 dropped as too large for the endpoint", &found]);
        assert!(!exit.stderr.contains("left in the spool"), "{protocol} {exit}");
        let metrics = collector.others().into_iter().flat_map(|other| other.received.metrics());
        assert_eq!(metrics.map(|metric| metric.points.len()).sum::<usize>(), points, "{protocol} {exit}");
    }
}
