//! Endpoints that fail: requests are as good as ever, and each span is exported or counted.

use super::{request, to};
use crate::support::broken::{Broken, Trouble};
use crate::support::collector::Reply;
use crate::support::server::serve;
use crate::support::{Collector, eventually, pounce};
use http::{Response, header};
use http_body_util::Full;
use std::time::Duration;

#[tokio::test]
async fn an_endpoint_that_is_none_costs_spans_and_nothing_else() {
    for (trouble, scheme, told) in [
        (Trouble::Hang, "http", "no answer within 100ms"),
        (Trouble::Reset, "http", "reset|closed"),
        (Trouble::SlowRead, "http", "no answer within 100ms"),
        (Trouble::Garbage, "http", "4317 takes `otel.protocol = grpc`"),
        (Trouble::HalfHandshake, "https", "no answer within 100ms"),
    ] {
        let broken = Broken::start(trouble).await;
        let server = to(format!("{scheme}://localhost:{}", broken.addr().port()))
            .env("OTEL_EXPORTER_OTLP_TIMEOUT", 100)
            .env("OTEL_BSP_MAX_QUEUE_SIZE", 64)
            // Long before it is over, the server has stopped.
            .flag("--grace-period", "10m")
            .start()
            .await;
        request(&server, 200).await;
        tokio::time::sleep(Duration::from_millis(150)).await;
        let exit = server.stop().await;
        exit.expect(0, &[told]);
        let totals = exit.totals();
        assert_eq!((totals.ended, totals.exported, totals.dropped), (200, 0, 200), "{trouble:?} {exit}");
        assert_eq!(exit.stderr.matches("cannot export spans").count(), 1, "{exit}");
    }
}

/// A wait that the endpoint asks for holds for all batches of the signal, none of which is lost.
#[tokio::test]
async fn who_asks_for_a_wait_is_left_alone_and_gets_everything() {
    for protocol in ["http/protobuf", "grpc"] {
        let collector = Collector::start().await;
        collector.script([Reply::RetryAfter(503, 2)]);
        let mut server = to(collector.endpoint())
            .flag("--otel-protocol", protocol)
            .env("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 4)
            // Less than the wait, which does not count.
            .env("OTEL_BSP_EXPORT_TIMEOUT", 1500)
            .start()
            .await;
        request(&server, 1).await;
        collector.exports_of(1).await;
        // Its answer has arrived, too: what was sent just before that could not know.
        server.logged(&["cannot export spans", "it asks to be left alone"]).await;
        request(&server, 40).await;
        collector.spans(41).await;
        let times: Vec<_> = collector.exports().iter().map(|export| export.at).collect();
        let waited = times[1] - times[0];
        assert!(waited > Duration::from_millis(1900), "{protocol}: somebody waited {waited:?} only");
        let exit = server.stop().await;
        assert_eq!((exit.totals().exported, exit.totals().dropped), (41, 0), "{protocol} {exit}");
    }
}

/// What waits for another try counts as waiting: the queue's bound is that of all.
#[tokio::test]
async fn what_is_held_and_what_waits_are_bounded_together() {
    let collector = Collector::start().await;
    collector.always(Reply::RetryAfter(503, 60));
    let server = to(collector.endpoint())
        .env("OTEL_BSP_MAX_QUEUE_SIZE", 40)
        .env("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 4)
        .start()
        .await;
    request(&server, 1).await;
    collector.exports_of(1).await;
    request(&server, 500).await;
    collector.always(Reply::Accept);
    let exit = server.stop().await;
    let totals = exit.totals();
    assert_eq!(totals.exported + totals.dropped, 501, "{exit}");
    exit.expect(0, &["queue"]);
    // One batch was on its way when the endpoint asked to wait.
    assert!(totals.dropped >= 501 - 44, "{exit}");
}

#[tokio::test]
async fn an_endpoint_that_disappears_and_returns_gets_what_waited() {
    let collector = Collector::start().await;
    let addr = collector.addr();
    let mut server = to(collector.endpoint()).start().await;
    request(&server, 1).await;
    collector.spans(1).await;
    drop(collector);
    request(&server, 10).await;
    server.logged(&["cannot export spans"]).await;
    let back = Collector::back_at(addr).await;
    eventually("the spans of the meantime", async || back.received().len() == 10).await;
    server.logged(&["spans are exported again"]).await;
    let exit = server.stop().await;
    assert_eq!((exit.totals().exported, exit.totals().dropped), (11, 0), "{exit}");
}

#[tokio::test]
async fn loss_is_told_when_it_begins_and_when_it_ends() {
    let collector = Collector::start().await;
    let addr = collector.addr();
    let mut server = to(collector.endpoint())
        .env("OTEL_BSP_MAX_QUEUE_SIZE", 64)
        .env("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 16)
        .env("OTEL_METRICS_EXPORTER", "none")
        .start()
        .await;
    request(&server, 1).await;
    collector.spans(1).await;
    drop(collector);
    request(&server, 10).await;
    server.logged(&["cannot export spans", "\"dropped\":0"]).await;
    request(&server, 500).await;
    server.logged(&["spans are lost from now on, and counted"]).await;
    let back = Collector::back_at(addr).await;
    let ended = server.logged(&["spans are exported again", "were lost meanwhile"]).await;
    // What is away for good by then is all that is lost.
    let lost = ended.split("\"lost\":").nth(1).and_then(|rest| rest.split(',').next()).unwrap().to_owned();
    request(&server, 1).await;
    let exit = server.stop().await;
    let totals = exit.totals();
    assert_eq!((totals.ended, totals.exported), (512, back.received().len() + 1), "{exit}");
    assert_eq!(totals.dropped.to_string(), lost, "{exit}");
    assert!(!exit.stderr.contains("come faster"), "the endpoint was away: {exit}");
}

/// Whoever stops a server does not wait for what will not come.
#[tokio::test]
async fn an_endpoint_that_always_asks_to_try_again_does_not_hold_up_the_end() {
    for reply in [Reply::Refuse(503), Reply::RetryAfter(429, 15)] {
        let collector = Collector::start().await;
        collector.always(reply.clone());
        let server = to(collector.endpoint()).flag("--grace-period", "10m").start().await;
        request(&server, 1).await;
        collector.exports_of(1).await;
        let exit = server.stop().await;
        assert_eq!(exit.totals().dropped, 1, "{exit}");
    }
}

/// 0 is no limit: such an attempt is not cut, as long as the batch has time.
#[tokio::test]
async fn a_timeout_of_zero_is_none() {
    let collector = Collector::start().await;
    collector.always(Reply::AcceptAfter(Duration::from_millis(500)));
    let server = to(collector.endpoint()).env("OTEL_EXPORTER_OTLP_TIMEOUT", 0).start().await;
    request(&server, 1).await;
    collector.spans(1).await;
    let exit = server.stop().await;
    assert_eq!(exit.totals().exported, 1, "{exit}");
    assert_eq!(collector.exports().len(), 1);
}

/// However patient an attempt is, the batch's own limit ends it.
#[tokio::test]
async fn the_limit_of_a_batch_holds_for_all_its_attempts() {
    let collector = Collector::start().await;
    collector.always(Reply::Silence);
    let mut server = to(collector.endpoint())
        .env("OTEL_EXPORTER_OTLP_TIMEOUT", 0)
        .env("OTEL_BSP_EXPORT_TIMEOUT", 300)
        .start()
        .await;
    request(&server, 1).await;
    server.logged(&["cannot export spans", "no answer within 300ms", "\"dropped\":1"]).await;
    let exit = server.stop().await;
    assert_eq!(exit.totals().dropped, 1, "{exit}");
}

/// What an endpoint means by its words, and what to do, stands in the line of the log that tells of it.
#[tokio::test]
async fn a_refusal_is_told_with_what_to_do() {
    const TEMPORALITY: &str = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE";
    let deltas = "invalid temporality and type combination for metric \"http.server.request.body.size\"";
    for (status, text, variable, advice) in [
        (
            500,
            deltas,
            "METRICS",
            "unset OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE: it takes cumulative only",
        ),
        (
            404,
            "",
            "TRACES",
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is used as it is, path and all: add /v1/traces to it",
        ),
        (400, "unsupported path requested: \"/\"", "TRACES", "add /v1/traces to it"),
        (404, "", "METRICS", "add /v1/metrics to it"),
        (404, "", "LOGS", "add /v1/logs to it"),
    ] {
        let (addr, _serving) = serve(None, move |_| async move {
            let mut answer = Response::new(Full::from(text));
            *answer.status_mut() = status.try_into().unwrap();
            answer.headers_mut().insert(header::CONTENT_TYPE, "text/plain".parse().unwrap());
            Some(answer)
        })
        .await;
        let mut server = pounce()
            .fixture("status.wat")
            .env(&format!("OTEL_EXPORTER_OTLP_{variable}_ENDPOINT"), format!("http://{addr}"))
            .env(TEMPORALITY, "delta")
            .env("OTEL_BSP_SCHEDULE_DELAY", 20)
            .env("OTEL_BLRP_SCHEDULE_DELAY", 20)
            .env("OTEL_METRIC_EXPORT_INTERVAL", 50)
            .start()
            .await;
        request(&server, 1).await;
        server.logged(&["WARN", &format!("the endpoint answered {status}"), advice]).await;
        server.stop().await.expect(0, &[]);
    }
}
