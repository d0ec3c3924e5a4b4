//! From a finished span to the endpoint: batches, settings, failures. Nothing is lost in silence, and nothing that the
//! endpoint does reaches a request.

use crate::support::client::{self, Connection};
use crate::support::collector::Reply;
use crate::support::pounce::Pounce;
use crate::support::server::Identity;
use crate::support::{Abi, Collector, Protocol, eventually, for_both_abis, pounce};
use std::collections::BTreeSet;
use std::time::Duration;

for_both_abis!(the_console_shows_a_tree_for_each_request);

/// No batch goes out by its age within a test.
const NEVER: &str = "3600000";

/// Makes `n` requests, which must all be answered.
async fn request(server: &Pounce, n: usize) {
    let mut connection = Connection::open(server.addr(), Protocol::H2).await;
    for _ in 0..n {
        assert_eq!(connection.fetch(client::get("/200")).await.status, 200);
    }
}

#[tokio::test]
async fn a_full_batch_goes_out_at_once_and_none_is_larger() {
    let collector = Collector::start().await;
    let server = pounce()
        .fixture("status.wat")
        .traced(&collector)
        .env("OTEL_BSP_SCHEDULE_DELAY", NEVER)
        .env("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 10)
        .start()
        .await;
    request(&server, 5).await;
    assert_eq!(collector.exports().len(), 0, "half a batch went out before its time");
    request(&server, 20).await;
    eventually("two batches", async || collector.received().len() >= 20).await;
    server.stop().await.expect(0, &[]);
    assert_eq!(collector.received().len(), 25, "the rest goes out at the end");
    let sizes: Vec<_> = collector.exports().iter().map(|export| export.spans.len()).collect();
    assert!(sizes.iter().all(|size| *size <= 10), "{sizes:?}");
}

/// 5 s by default: long enough to gather, short enough to look at.
#[tokio::test]
async fn a_batch_goes_out_by_its_age() {
    let collector = Collector::start().await;
    let server = pounce().fixture("status.wat").flag("--otel-endpoint", collector.endpoint()).start().await;
    request(&server, 3).await;
    assert_eq!(collector.spans(3).await.len(), 3);
    assert!(collector.exports().len() <= 2, "spans of one moment travel together");
}

#[tokio::test]
async fn the_path_is_appended_where_it_is_missing() {
    let collector = Collector::start().await;
    for (path, target) in [
        ("", "/v1/traces"),
        ("/", "/v1/traces"),
        ("/base", "/base/v1/traces"),
        ("/base/", "/base/v1/traces"),
        ("/base/v1/traces", "/base/v1/traces"),
    ] {
        let before = collector.exports().len();
        let endpoint = format!("{}{path}", collector.endpoint());
        let server = pounce().fixture("status.wat").flag("--otel-endpoint", endpoint).start().await;
        request(&server, 1).await;
        server.stop().await.expect(0, &[]);
        let exports = collector.exports();
        assert_eq!(exports.len(), before + 1, "{path:?}");
        assert_eq!(exports[before].target, target, "{path:?}");
    }
}

#[tokio::test]
async fn headers_are_sent_and_never_printed() {
    let collector = Collector::start().await;
    let server = pounce()
        .fixture("status.wat")
        .traced(&collector)
        .env("OTEL_EXPORTER_OTLP_HEADERS", "x-api-key=t0p%20s3cret, x-team=shop")
        .flag("--log-level", "trace")
        .start()
        .await;
    request(&server, 1).await;
    collector.span().await;
    let exports = collector.exports();
    assert_eq!(exports[0].headers["x-api-key"], "t0p s3cret");
    assert_eq!(exports[0].headers["x-team"], "shop");
    let exit = server.stop().await;
    exit.expect(0, &[]);
    assert!(!exit.stderr.contains("s3cret") && !exit.stdout.contains("s3cret"), "{exit}");
}

#[tokio::test]
async fn https_is_trusted_by_the_systems_authorities_and_by_nothing_else() {
    let identity = Identity::of_localhost();
    let dir = tempfile::tempdir().unwrap();
    let (ours, others) = (dir.path().join("ours.pem"), dir.path().join("others.pem"));
    identity.write_certificate(&ours);
    Identity::of_localhost().write_certificate(&others);
    let collector = Collector::with(Some(&identity)).await;
    let endpoint = format!("https://localhost:{}", collector.addr().port());
    for (file, arrives) in [(&others, false), (&ours, true)] {
        let server = pounce()
            .fixture("status.wat")
            .flag("--otel-endpoint", &endpoint)
            .flag("--grace-period", "2s")
            .env("SSL_CERT_FILE", file.display())
            .start()
            .await;
        request(&server, 1).await;
        let exit = server.stop().await;
        if arrives {
            exit.expect(0, &[]);
            assert_eq!(exit.totals().exported, 1, "{exit}");
        } else {
            // The cause, not just that something went wrong.
            exit.expect(0, &["certificate"]);
            assert_eq!((exit.totals().exported, exit.totals().dropped), (0, 1), "{exit}");
        }
        assert_eq!(collector.received().len(), usize::from(arrives));
    }
}

/// Nobody listens there: requests are as good as ever, the log says so once, and the losses are counted.
#[tokio::test]
async fn a_dead_endpoint_costs_spans_and_nothing_else() {
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut server = pounce()
        .fixture("status.wat")
        .flag("--otel-endpoint", format!("http://{gone}"))
        .flag("--grace-period", "2s")
        .env("OTEL_BSP_SCHEDULE_DELAY", 20)
        // Of which there would be a word, too.
        .env("OTEL_METRICS_EXPORTER", "none")
        .start()
        .await;
    request(&server, 1).await;
    server.logged(&["cannot export spans", "refused", &gone.to_string()]).await;
    for _ in 0..5 {
        request(&server, 10).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let exit = server.stop().await;
    exit.expect(0, &["51 spans ended"]);
    assert_eq!(exit.stderr.matches("cannot export spans").count(), 1, "told once a minute\n{exit}");
    let totals = exit.totals();
    assert_eq!((totals.ended, totals.exported, totals.dropped), (51, 0, 51), "{exit}");
}

/// A slow endpoint fills the queue; what does not fit is dropped and counted, and nobody waits for it.
#[tokio::test]
async fn a_full_queue_drops_and_counts() {
    let collector = Collector::start().await;
    collector.always(Reply::Silence);
    let server = pounce()
        .fixture("status.wat")
        .traced(&collector)
        .env("OTEL_BSP_MAX_QUEUE_SIZE", 32)
        .env("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 8)
        .env("OTEL_BSP_EXPORT_TIMEOUT", 600_000)
        .env("OTEL_EXPORTER_OTLP_TIMEOUT", 600_000)
        .flag("--grace-period", "1s")
        .start()
        .await;
    request(&server, 300).await;
    let exit = server.stop().await;
    exit.expect(0, &["queue"]);
    let totals = exit.totals();
    assert_eq!((totals.ended, totals.exported, totals.dropped), (300, 0, 300), "{exit}");
}

/// Whatever it answers, each span is exported, rejected or dropped, and the numbers are those the endpoint has.
#[tokio::test]
async fn a_moody_endpoint_loses_nothing_in_silence() {
    let collector = Collector::start().await;
    collector.script([
        Reply::Refuse(503),
        Reply::Partial(1, "over the quota"),
        Reply::RetryAfter(429, 1),
        Reply::Garbage,
        Reply::HangUp,
        Reply::Refuse(400),
        Reply::AcceptAfter(Duration::from_millis(300)),
        Reply::Refuse(500),
    ]);
    let server = pounce().fixture("status.wat").traced(&collector).start().await;
    for n in 1..=12 {
        request(&server, 2).await;
        // One after another, so that the script is played to its end.
        collector.exports_of(n).await;
    }
    let exit = server.stop().await;
    exit.expect(0, &["over the quota"]);
    let totals = exit.totals();
    assert_eq!(totals.ended, 24, "{exit}");
    assert_eq!(totals.rejected, 1, "{exit}");
    assert_eq!(totals.exported + totals.rejected + totals.dropped, 24, "{exit}");
    let spans = collector.received();
    assert_eq!(spans.len(), totals.exported + totals.rejected, "{exit}");
    let ids: BTreeSet<_> = spans.iter().map(|span| &span.span_id).collect();
    assert_eq!(ids.len(), spans.len(), "a span came twice");
}

/// Off means off: no thread beside those that serve.
#[tokio::test]
async fn without_an_endpoint_there_is_no_telemetry_thread() {
    let collector = Collector::start().await;
    let mut names = Vec::new();
    for builder in [
        pounce().fixture("status.wat").traced(&collector),
        pounce().fixture("status.wat"),
        pounce()
            .fixture("status.wat")
            .traced(&collector)
            .env("OTEL_TRACES_EXPORTER", "none")
            .env("OTEL_METRICS_EXPORTER", "none")
            .env("OTEL_LOGS_EXPORTER", "none"),
        pounce().fixture("status.wat").traced(&collector).env("OTEL_SDK_DISABLED", "true"),
    ] {
        let server = builder.start().await;
        request(&server, 20).await;
        names.push(server.threads().into_iter().collect::<BTreeSet<_>>());
        server.stop().await.expect(0, &[]);
    }
    let exporter: Vec<_> = names[0].difference(&names[1]).collect();
    assert!(
        !exporter.is_empty(),
        "with telemetry on there should be a thread of a name of its own: {names:?}"
    );
    for off in &names[2..] {
        assert!(exporter.iter().all(|name| !off.contains(*name)), "{names:?}");
    }
    assert_eq!(collector.received().len(), 20);
}

#[tokio::test]
async fn a_malformed_standard_variable_is_told_and_ignored() {
    let collector = Collector::start().await;
    let mut server = pounce()
        .fixture("status.wat")
        .traced(&collector)
        .env("OTEL_BSP_MAX_QUEUE_SIZE", "plenty")
        .env("OTEL_SEMCONV_STABILITY_OPT_IN", "nonsense")
        .start()
        .await;
    server.logged(&["OTEL_BSP_MAX_QUEUE_SIZE", "plenty"]).await;
    request(&server, 1).await;
    assert_eq!(collector.span().await.name, "GET /200");
}

async fn the_console_shows_a_tree_for_each_request(abi: Abi) {
    let mut server = pounce().guest(abi, "attributes").flag("--otel-exporter", "console").start().await;
    client::fetch_path(server.addr(), "/items/7").await;
    server.logged(&["GET /items/{id}"]).await;
    client::fetch_path(server.addr(), "/?exception=it+broke&code=500").await;
    server.logged(&["guest.Failure"]).await;
    let exit = server.stop().await;
    // Ids to look up, the outcome, and what the guest said.
    exit.expect(0, &["200", "500", "guest.text", "hello", "guest.event", "it broke", "http.route"]);
    assert!(!exit.stderr.contains('\u{1b}'), "colours in a file");
    assert_eq!(exit.totals().exported, 2, "{exit}");
}
