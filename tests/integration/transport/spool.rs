//! Telemetry waits on the disk for an endpoint that is away (`otel.spool`): nothing is lost, across restarts too, within
//! the bound of the disk; and a disk that fails costs what it would cost without one.

use super::{request, to};
use crate::support::broken::{Broken, Trouble};
use crate::support::collector::Reply;
use crate::support::pounce::{Builder, Pounce};
use crate::support::{Collector, eventually};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::TcpListener;

/// Where nobody listens, until a collector does.
async fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

/// A queue far too small for what the tests send, and batches of few.
fn spooled(endpoint: impl ToString, spool: &Path) -> Builder {
    to(endpoint)
        .flag("--otel-spool", spool.display())
        .env("OTEL_BSP_MAX_QUEUE_SIZE", 64)
        .env("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 16)
        .env("OTEL_METRIC_EXPORT_INTERVAL", 200)
}

/// Batches that wait there.
fn files(spool: &Path) -> usize {
    names(spool).len()
}

fn names(spool: &Path) -> Vec<String> {
    let names = std::fs::read_dir(spool).into_iter().flatten().map(|entry| entry.unwrap().file_name());
    names.filter_map(|name| name.into_string().ok()).filter(|name| name.ends_with(".otlp")).collect()
}

/// Requests in turns, so that the exporter of a small queue keeps up.
async fn requests(server: &Pounce, n: usize) {
    for _ in 0..n / 20 {
        request(server, 20).await;
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
}

#[tokio::test]
async fn what_an_endpoint_misses_comes_when_it_is_back() {
    for protocol in ["http/protobuf", "http/json", "grpc"] {
        let place = TempDir::new().unwrap();
        let addr = nobody().await;
        let mut server = spooled(format!("http://{addr}"), place.path())
            .flag("--otel-protocol", protocol)
            .flag("--otel-compression", "gzip")
            .start()
            .await;
        requests(&server, 300).await;
        server.logged(&["cannot export spans", "\"spool\":\"", "Connection refused"]).await;
        eventually("all on the disk", async || files(place.path()) >= 300 / 16).await;
        let back = Collector::back_at(addr).await;
        back.spans(300).await;
        server.logged(&["spans are exported again"]).await;
        requests(&server, 20).await;
        back.spans(320).await;
        eventually("an empty spool", async || files(place.path()) == 0).await;
        let exit = server.stop().await;
        exit.expect(0, &[]);
        let totals = exit.totals();
        assert_eq!((totals.ended, totals.exported, totals.dropped), (320, 320, 0), "{protocol} {exit}");
        let last = exit.stderr.lines().last().unwrap();
        assert!(!last.contains("spool") && !last.contains("fail"), "all of all signals arrived: {last}");

        // Each series of a metric in its order, which backends insist on.
        let mut seen = std::collections::HashMap::new();
        let accepted = back.hosts().into_iter().filter(|export| export.accepted);
        for metric in accepted.flat_map(|export| export.received.metrics()) {
            for point in metric.points {
                let times = seen
                    .entry((metric.name.clone(), format!("{:?}", point.attributes)))
                    .or_insert_with(Vec::new);
                times.push(point.time.1);
            }
        }
        let active = seen.iter().find(|((name, _), _)| name == "http.server.active_requests");
        assert!(active.expect("the host's metrics").1.len() >= 3, "of the time before, too: {active:?}");
        for (series, times) in &seen {
            assert!(times.is_sorted(), "{protocol} {series:?} {times:?}");
        }
    }
}

#[tokio::test]
async fn what_waits_outlives_the_process_however_it_ends() {
    let place = TempDir::new().unwrap();
    let spool = place.path().join("spool");
    let addr = nobody().await;
    // Nobody waits for the endpoint that long.
    let server = spooled(format!("http://{addr}"), &spool).flag("--grace-period", "10m").start().await;
    requests(&server, 100).await;
    let exit = server.stop().await;
    exit.expect(0, &["100 spans ended, 0 exported, 100 left in the spool for the next start"]);

    // One that is killed leaves what is there, and what it wrote just then may be cut off.
    let server = spooled(format!("http://{addr}"), &spool).start().await;
    request(&server, 10).await;
    eventually("ten more", async || files(&spool) > 100 / 16 + 2).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    drop(server);
    let cut = spool.join("00000000000000000007-traces-5.otlp");
    std::fs::write(&cut, "pounce1\n and no more").unwrap();

    let collector = Collector::back_at(addr).await;
    let mut server = spooled(collector.endpoint(), &spool).start().await;
    server.logged(&["115 spans of an earlier run wait in the spool"]).await;
    server.logged(&["5 spans in the spool are lost: their file cannot be read", "00007-traces-5.otlp"]).await;
    request(&server, 1).await;
    collector.spans(111).await;
    eventually("an empty spool", async || files(&spool) == 0).await;
    let exit = server.stop().await;
    exit.expect(
        0,
        &["1 spans ended, 111 exported, 5 dropped from the spool as unreadable, \
             115 found in the spool at the start"],
    );
    assert_eq!(files(&spool), 0);
}

#[tokio::test]
async fn what_waits_of_a_signal_that_is_off_now_is_told_and_kept() {
    let place = TempDir::new().unwrap();
    let spool = place.path().join("spool");
    let addr = nobody().await;
    let server = spooled(format!("http://{addr}"), &spool).env("OTEL_METRICS_EXPORTER", "none").start().await;
    requests(&server, 100).await;
    server.stop().await.expect(0, &["100 left in the spool for the next start"]);
    let of_traces = || names(&spool).into_iter().filter(|name| name.contains("-traces-")).collect::<Vec<_>>();
    let before = of_traces();

    let collector = Collector::start().await;
    let mut server = spooled(collector.endpoint(), &spool).env("OTEL_TRACES_EXPORTER", "none").start().await;
    server.logged(&["100 spans of an earlier run stay in the spool, since no spans are exported now"]).await;
    let exit = server.stop().await;
    exit.expect(0, &[]);
    assert_eq!(of_traces(), before);
}

/// Nothing is waited for long at the end: the disk has it.
#[tokio::test]
async fn a_server_stops_soon_although_its_endpoint_hangs() {
    let place = TempDir::new().unwrap();
    let broken = Broken::start(Trouble::Hang).await;
    let server = spooled(format!("http://{}", broken.addr()), place.path())
        .flag("--grace-period", "10m")
        .start()
        .await;
    // More than is on its way at once and waits: the disk has the rest meanwhile.
    requests(&server, 400).await;
    let exit = server.stop().await;
    exit.expect(0, &["400 spans ended, 0 exported, 400 left in the spool"]);
}

/// The most recent is worth more than the oldest.
#[tokio::test]
async fn a_full_spool_drops_its_oldest_and_counts() {
    let place = TempDir::new().unwrap();
    let addr = nobody().await;
    let mut server = spooled(format!("http://{addr}"), place.path())
        .flag("--otel-spool-max", "8MiB")
        .env("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 1)
        .env("OTEL_METRICS_EXPORTER", "none")
        .env("OTEL_LOGS_EXPORTER", "none")
        .start()
        .await;
    requests(&server, 2400).await;
    server.logged(&["the spool is full", "raise otel.spool-max"]).await;
    let back = Collector::back_at(addr).await;
    server.logged(&["spans are exported again"]).await;
    request(&server, 1).await;
    eventually("an empty spool", async || files(place.path()) == 0).await;
    let exit = server.stop().await;
    let totals = exit.totals();
    assert_eq!((totals.ended, totals.exported), (2401, back.received().len()), "{exit}");
    assert_eq!(totals.exported + totals.dropped, 2401, "{exit}");
    assert!(totals.exported > 1500 && totals.dropped > 300, "2048 files of 4 KiB: {exit}");
    exit.expect(0, &["dropped from the spool because it was full"]);
}

/// Who we are can be put right, and a page of a hotel's network goes away; a malformed batch stays one.
#[tokio::test]
async fn what_an_operator_can_put_right_is_kept() {
    for (reply, kept) in [(Reply::Refuse(401), true), (Reply::Refuse(403), true), (Reply::Refuse(400), false)]
    {
        let place = TempDir::new().unwrap();
        let collector = Collector::start().await;
        collector.always(reply.clone());
        let server = spooled(collector.endpoint(), place.path()).start().await;
        request(&server, 5).await;
        collector.exports_of(1).await;
        collector.always(Reply::Accept);
        if kept {
            collector.spans(5).await;
        }
        let exit = server.stop().await;
        assert_eq!(exit.totals().dropped == 0, kept, "{reply:?} {exit}");
        assert_eq!(exit.totals().exported + exit.totals().dropped, 5, "{reply:?} {exit}");
    }
}

#[tokio::test]
async fn a_disk_that_goes_away_costs_no_request_and_no_span_that_memory_holds() {
    let place = TempDir::new().unwrap();
    let spool = place.path().join("spool");
    let addr = nobody().await;
    let mut server = spooled(format!("http://{addr}"), &spool).start().await;
    request(&server, 20).await;
    eventually("some on the disk", async || files(&spool) > 0).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    std::fs::rename(&spool, place.path().join("away")).unwrap();
    std::fs::write(&spool, "in its place").unwrap();
    request(&server, 200).await;
    server.logged(&["cannot use the spool", "Not a directory"]).await;
    let back = Collector::back_at(addr).await;
    server.logged(&["spans are exported again"]).await;
    let exit = server.stop().await;
    let totals = exit.totals();
    assert_eq!(totals.ended, 220, "{exit}");
    assert_eq!(totals.exported, back.received().len(), "{exit}");
    assert_eq!(totals.exported + totals.dropped, 200, "{exit}");
    exit.expect(0, &["20 left in the spool"]);
}

/// Somebody tidied up.
#[tokio::test]
async fn a_directory_that_is_removed_is_made_again() {
    let place = TempDir::new().unwrap();
    let spool = place.path().join("spool");
    let addr = nobody().await;
    let mut server = spooled(format!("http://{addr}"), &spool).start().await;
    requests(&server, 20).await;
    eventually("all on the disk", async || files(&spool) > 0).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    std::fs::remove_dir_all(&spool).unwrap();
    requests(&server, 100).await;
    let back = Collector::back_at(addr).await;
    server.logged(&["spans in the spool are lost", "No such file"]).await;
    back.spans(100).await;
    let exit = server.stop().await;
    exit.expect(0, &["120 spans ended, 100 exported, 20 dropped from the spool as unreadable"]);
}

#[tokio::test]
async fn two_processes_cannot_share_one_and_a_file_is_none() {
    let place = TempDir::new().unwrap();
    let collector = Collector::start().await;
    let first = spooled(collector.endpoint(), place.path()).start().await;
    let exit = spooled(collector.endpoint(), place.path()).run().await;
    exit.expect(1, &["another process uses the directory", "otel.spool", "give each its own"]);
    first.stop().await.expect(0, &[]);

    let file = place.path().join("a file");
    std::fs::write(&file, "").unwrap();
    let exit = spooled(collector.endpoint(), &file).run().await;
    exit.expect(2, &["--otel-spool", "is not a directory", "a file"]);
    let exit = spooled(collector.endpoint(), place.path()).flag("--otel-spool-max", "100KiB").run().await;
    exit.expect(2, &["--otel-spool-max: 100KiB is too small", "8MiB"]);
}
