//! What an SDK in a guest collects is on `/metrics`, and says there what the exports add up to.

use super::ask;
use crate::admin::prometheus::promtool;
use crate::admin::{metrics, sample};
use crate::support::client::{self, WithHeader};
use crate::support::pounce::Builder;
use crate::support::{Abi, Collector, eventually, for_both_abis, pounce};
use std::net::SocketAddr;

for_both_abis!(
    pages_and_exports_say_the_same,
    pages_need_no_endpoint,
    what_no_sdk_would_hand_over_leaves_the_page_whole,
);

const PATH: &str = "/metrics?temporality=";

fn server(abi: Abi) -> Builder {
    pounce().guest(abi, "otel").flag("--admin-listen", "127.0.0.1:0")
}

/// What the page says of each of the guest's metrics after so many requests.
async fn expect_page(admin: SocketAddr, requests: f64) {
    let page = metrics(admin).await;
    let own =
        r#"key_otel_scope_name="guest.meter",otel_scope_name="pounce.guest",service_name="guest-service""#;
    let buckets = |le: &str| format!("histogram_seconds_bucket{{{own},le=\"{le}\"}}");
    for (line, value) in [
        (
            r#"counter_total{key_otel_scope_name="guest.meter",kind="a",otel_scope_name="pounce.guest","#
                .to_owned(),
            7.0 * requests,
        ),
        (
            r#"counter_total{key_otel_scope_name="guest.meter",kind="b",otel_scope_name="pounce.guest","#
                .to_owned(),
            requests,
        ),
        // A sum that may shrink is never a delta: the latest stands, as it does where exports go.
        (format!("up_down{{{own}}}"), -5.0),
        (format!("gauge{{{own}}}"), 0.5),
        (buckets("5.0"), requests),
        (buckets("10.0"), 2.0 * requests),
        (buckets("7500.0"), 2.0 * requests),
        (buckets("10000.0"), 3.0 * requests),
        (buckets("+Inf"), 3.0 * requests),
        (format!("histogram_seconds_count{{{own}}}"), 3.0 * requests),
        (format!("exponential_count{{{own}}}"), 3.0 * requests),
        (format!("exponential_sum{{{own}}}"), 1027.0 * requests),
    ] {
        assert_eq!(sample(&page, &[&line]), Some(value), "{line}:\n{page}");
    }
    for kind in [
        "counter_total counter",
        "up_down gauge",
        "gauge gauge",
        "histogram_seconds histogram",
        "exponential histogram",
    ] {
        assert!(page.contains(&format!("# TYPE {kind}\n")), "{kind}:\n{page}");
    }
    let dropped =
        sample(&page, &["pounce_telemetry_dropped_total{", "signal=\"metrics\"", "reason=\"page_full\""]);
    assert_eq!(dropped, Some(0.0));
}

async fn pages_and_exports_say_the_same(abi: Abi) {
    for temporality in ["delta", "cumulative"] {
        let collector = Collector::start().await;
        let builder = server(abi).traced(&collector);
        let mut server = builder.env("OTEL_METRIC_EXPORT_INTERVAL", 50).start().await;
        let admin = server.admin().await;
        for requests in 1..=3u32 {
            assert_eq!(ask(&server, &format!("{PATH}{temporality}")).await["exported"], "ok");
            expect_page(admin, requests.into()).await;
            // Also once an export has taken what waits for it.
            let exported = || {
                let all = collector.others().into_iter().flat_map(|other| other.received.metrics());
                let points = all.filter(|metric| metric.name == "counter").flat_map(|metric| metric.points);
                points.map(|point| point.value.parse::<u32>().expect("a number")).sum::<u32>()
            };
            eventually("all to be exported", async || exported() == 8 * requests).await;
            expect_page(admin, requests.into()).await;
        }
    }
}

async fn pages_need_no_endpoint(abi: Abi) {
    let mut server = server(abi).start().await;
    let admin = server.admin().await;
    for requests in 1..=2u32 {
        assert_eq!(ask(&server, &format!("{PATH}delta")).await["exported"], "ok");
        expect_page(admin, requests.into()).await;
    }
    let page = metrics(admin).await;
    let output = promtool(&["check", "metrics"], &page);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}\n{page}");
    let open = client::get("/metrics").with("accept", "application/openmetrics-text");
    let open = client::fetch(admin, client::Protocol::H1, open).await;
    assert!(open.text().ends_with("# EOF\n") && open.text().contains("# TYPE counter counter\n"));
    let exit = server.stop().await;
    assert!(!exit.stderr.contains("measurements"), "nothing is lost: {exit}");
}

async fn what_no_sdk_would_hand_over_leaves_the_page_whole(abi: Abi) {
    let mut server = server(abi).start().await;
    let admin = server.admin().await;
    ask(&server, "/hostile").await;
    let page = metrics(admin).await;
    let output = promtool(&["check", "metrics"], &page);
    assert!(output.status.success(), "{}\n{page}", String::from_utf8_lossy(&output.stderr));
    let reason = ["pounce_telemetry_dropped_total{", "signal=\"metrics\"", "reason=\"invalid_name\""];
    assert!(sample(&page, &reason).is_some_and(|dropped| dropped > 0.0), "{page}");
}
