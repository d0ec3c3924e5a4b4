//! Metrics and log records of an SDK in the guest: what was collected goes out as it is, with the next export.

use super::{ask, ask_with};
use crate::support::client::{self, WithHeader};
use crate::support::signals::{LogRecord, Metric};
use crate::support::{Abi, Collector, for_both_abis, pounce};

for_both_abis!(
    metrics_of_each_kind_arrive_as_they_are,
    log_records_belong_to_the_span_that_emitted_them,
    records_are_kept_whatever_is_wrong_with_them,
    without_an_endpoint_nothing_fails,
);

fn named<'a>(metrics: &'a [Metric], name: &str) -> &'a Metric {
    metrics.iter().find(|metric| metric.name == name).unwrap_or_else(|| panic!("no metric {name}"))
}

async fn metrics_of_each_kind_arrive_as_they_are(abi: Abi) {
    let collector = Collector::start().await;
    let builder = pounce().guest(abi, "otel").traced(&collector);
    let server = builder.env("OTEL_METRIC_EXPORT_INTERVAL", 200).start().await;
    assert_eq!(ask(&server, "/metrics").await["exported"], "ok");
    let metrics = collector.metrics_where("of the guest", |metrics| !metrics.is_empty()).await;
    let own = "otel.scope.name=\"guest.meter\" service.name=\"guest-service\" →";
    for (name, kind, points) in [
        ("counter", "counter delta", vec![format!("kind=\"a\" {own} 7"), format!("kind=\"b\" {own} 1")]),
        ("up.down", "updown", vec![format!("{own} -5")]),
        ("gauge", "gauge", vec![format!("{own} 0.5")]),
        (
            "histogram",
            "histogram delta",
            vec![format!("{own} count=3 sum=9007.1 min=0.1 max=9000 ≤5:1 ≤10:1 ≤10000:1")],
        ),
        ("exponential", "exponential delta", vec![format!("{own} count=3 sum=1027 min=1 max=1024 scale=0")]),
    ] {
        let metric = named(&metrics, name);
        assert_eq!((metric.kind.as_str(), metric.lines()), (kind, points), "{name}");
        let component = metric.origin.scope_attributes["pounce.component"].to_string();
        assert_eq!(component, format!("{:?}", abi.stem("otel")));
        let service = metric.origin.resource["service.name"].to_string();
        assert_eq!(service, format!("{:?}", abi.stem("otel")), "the resource is ours");
    }
    // Another export: deltas are sent once.
    ask(&server, "/traces").await;
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    let sent = collector.others().into_iter().flat_map(|other| other.received.metrics());
    assert_eq!(sent.filter(|metric| metric.name == "counter").count(), 1);
}

async fn log_records_belong_to_the_span_that_emitted_them(abi: Abi) {
    let collector = Collector::start().await;
    let builder = pounce().guest(abi, "otel").traced(&collector);
    let mut server = builder.env("OTEL_BLRP_SCHEDULE_DELAY", 50).start().await;
    let answer = ask(&server, "/logs").await;
    let records = collector.log_records_of(2).await;
    let find = |event: &str| records.iter().find(|record| record.event == event).expect(event);
    let ids = |record: &LogRecord| (record.trace_id.clone(), record.span_id.clone());
    let host = answer["host"].as_object().unwrap();
    let text = |json: &serde_json::Value| json.as_str().unwrap().to_owned();
    let greeting = find("greeting");
    assert_eq!((greeting.severity.0, greeting.severity.1.as_str()), (13, "WARN"));
    assert_eq!(greeting.body, "\"hello\"");
    assert_eq!(greeting.time, 1_700_000_000_000_000_000, "when it says");
    assert_eq!(ids(greeting), (text(&host["trace_id"]), text(&answer["spans"]["logging"])));
    crate::support::attributes::expect(
        "attributes of the record",
        &greeting.attributes,
        r#"n = 1
           bytes = 0x0001ff
           map = {a: [1, "b"]}
           otel.scope.name = "guest.logger"
           service.name = "guest-service""#,
    );
    let bare = find("");
    assert_eq!(
        (bare.severity.0, ids(bare)),
        (0, (text(&host["trace_id"]), text(&host["span_id"]))),
        "unspecified"
    );
    server.logged(&["hello", &greeting.trace_id]).await;
}

async fn records_are_kept_whatever_is_wrong_with_them(abi: Abi) {
    let collector = Collector::start().await;
    let builder = pounce().guest(abi, "otel").traced(&collector);
    let server = builder.env("OTEL_METRIC_EXPORT_INTERVAL", 100).start().await;
    let answer = ask(&server, "/hostile").await;
    let exit = server.stop().await;
    let host = answer["host"].as_object().unwrap();
    let records = collector.log_records();
    assert_eq!(records.len(), 5 * 12, "severities by bodies: {exit}");
    assert!(
        records.iter().all(|record| host["trace_id"] == record.trace_id.as_str()),
        "not an id: the current"
    );
    let of = |severity: i32| records.iter().filter(|record| record.severity.0 == severity).count();
    assert_eq!((of(0), of(24)), (2 * 12, 3 * 12), "none and 0; 24, 25 and 255");
    assert!(collector.metrics().is_empty(), "a metric without a name: {:?}", collector.metrics());
    assert!(exit.stderr.contains("measurements dropped for an invalid name"), "{exit}");
}

async fn without_an_endpoint_nothing_fails(abi: Abi) {
    let mut server = pounce().guest(abi, "otel").start().await;
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let answer = ask_with(&server, client::get("/").with("traceparent", parent)).await;
    assert_eq!(answer["exported"], "ok");
    assert_eq!(answer["host"]["is_remote"], true);
    server.logged(&["hello"]).await;
    let exit = server.stop().await;
    assert!(!exit.stderr.contains("telemetry calls"), "{exit}");
}
