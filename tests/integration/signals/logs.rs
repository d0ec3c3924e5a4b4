//! Log records of guests: in our own log, and at the endpoint with the trace they belong to.

use super::deeds;
use crate::support::attributes::expect;
use crate::support::{Abi, Collector, for_both_abis, pounce};
use serde_json::{Value, json};

for_both_abis!(
    a_record_arrives_with_its_trace_and_is_a_line_of_our_log,
    the_level_decides_what_our_log_keeps,
    records_without_telemetry_reach_our_log,
    a_flood_is_limited_and_counted,
);

/// The lines of our log that are guests' records, by their message.
fn lines(stderr: &str) -> Vec<Value> {
    let lines = stderr.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    lines.filter(|line| line["target"] == "guest" && line["stream"].is_null()).collect()
}

async fn a_record_arrives_with_its_trace_and_is_a_line_of_our_log(abi: Abi) {
    let collector = Collector::start().await;
    let server = pounce()
        .guest(abi, "attributes")
        .traced(&collector)
        .env("OTEL_BLRP_SCHEDULE_DELAY", 50)
        .start()
        .await;
    deeds(&server, "log.warn=no%0Amore&with.order=7&with.pounce.x=1&event.fatal=order.lost").await;
    let span = collector.span().await;
    let [first, second] = collector.log_records_of(2).await.try_into().unwrap();
    assert_eq!(first.severity, (13, "WARN".into()));
    assert_eq!((first.body.as_str(), first.event.as_str()), (r#""no\nmore""#, ""));
    assert_eq!(second.severity, (21, "FATAL".into()));
    assert_eq!((second.body.as_str(), second.event.as_str()), ("42", "order.lost"));
    expect("attributes", &first.attributes, "");
    expect("attributes", &second.attributes, r#"order = "7""#);
    assert_eq!(second.dropped_attributes, 1, "that name is ours");
    for record in [&first, &second] {
        assert_eq!((&record.trace_id, &record.span_id), (&span.trace_id, &span.span_id));
        assert_eq!(record.flags, span.flags & 0xff);
        assert!((span.start..=span.end).contains(&record.time), "emitted within its span");
        assert_eq!(record.origin.resource, span.resource);
        assert_eq!(record.origin.scope, "pounce.guest");
        let component = format!("pounce.component = {:?}", abi.stem("attributes"));
        expect("attributes of the scope", &record.origin.scope_attributes, &component);
    }
    let exit = server.stop().await;
    let emitted = 2 + exit.own_lines();
    assert_eq!((exit.log_totals().ended, exit.log_totals().exported), (emitted, emitted), "{exit}");
    let [first, second] =
        lines(&exit.stderr).try_into().unwrap_or_else(|lines| panic!("two lines: {lines:#?}"));
    assert_eq!((&first["level"], &first["message"]), (&json!("WARN"), &json!("no\\nmore")), "on one line");
    assert_eq!((&second["level"], &second["message"]), (&json!("ERROR"), &json!("42")));
    assert_eq!((&second["event"], &second["attributes"]), (&json!("order.lost"), &json!(r#"{"order":"7"}"#)));
    assert_eq!((&first["event"], &first["attributes"]), (&Value::Null, &Value::Null));
    for line in [first, second] {
        assert_eq!((&line["trace_id"], &line["span_id"]), (&json!(span.trace_id), &json!(span.span_id)));
        assert_eq!(line["component"], json!(abi.stem("attributes")));
    }
}

async fn the_level_decides_what_our_log_keeps(abi: Abi) {
    const EACH: &str = "log.trace=t&log.debug=d&log.info=i&log.warn=w&log.error=e&log.fatal=f";
    // What our log keeps, what the endpoint gets, and what a guest is told.
    for (level, ours, theirs, enabled) in [
        ("error", "ef", "iwef", [false, false, true, true, true, true]),
        ("info", "iwef", "iwef", [false, false, true, true, true, true]),
        ("debug", "diwef", "diwef", [false, true, true, true, true, true]),
    ] {
        let collector = Collector::start().await;
        let server =
            pounce().guest(abi, "attributes").traced(&collector).flag("--log-level", level).start().await;
        let report = deeds(&server, EACH).await;
        assert_eq!(report["log_enabled"], json!(enabled), "{level}");
        let exit = server.stop().await;
        let kept: String = lines(&exit.stderr).iter().filter_map(|line| line["message"].as_str()).collect();
        assert_eq!(kept, ours, "{level}\n{exit}");
        let arrived: String =
            collector.log_records().iter().map(|record| record.body.trim_matches('"').to_owned()).collect();
        assert_eq!(arrived, theirs, "{level}\n{exit}");
    }
}

async fn records_without_telemetry_reach_our_log(abi: Abi) {
    for builder in [
        pounce().guest(abi, "attributes"),
        pounce().guest(abi, "attributes").flag("--otel-exporter", "console"),
    ] {
        let server = builder.start().await;
        let report = deeds(&server, "log.info=hello&log.debug=no&counter.c=1&gauge.g=nan").await;
        assert_eq!(report["log_enabled"], json!([false, false, true, true, true, true]));
        let exit = server.stop().await;
        exit.expect(0, &["hello"]);
        assert!(!exit.stderr.contains("measurements"), "nothing is aggregated: {exit}");
    }
}

async fn a_flood_is_limited_and_counted(abi: Abi) {
    let collector = Collector::start().await;
    let server = pounce()
        .guest(abi, "attributes")
        .traced(&collector)
        .env("OTEL_BLRP_MAX_QUEUE_SIZE", 100)
        .env("OTEL_BLRP_SCHEDULE_DELAY", 3_600_000)
        .env("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", 100)
        .start()
        .await;
    collector.always_to_others(crate::support::collector::Reply::Refuse(400));
    // Far more than are logged in the time that they take, however slow the machine is.
    deeds(&server, "times=20000&log.info=again").await;
    let exit = server.stop().await;
    exit.expect(0, &["19000 more dropped beyond what a request may emit"]);
    let records = exit.log_totals();
    assert_eq!((records.ended, records.exported), (1000 + exit.own_lines(), 0), "{exit}");
    let ours = lines(&exit.stderr).iter().filter(|line| line["message"] == "again").count();
    assert!((1000..20_000).contains(&ours), "{ours} lines in our log");
    exit.expect(0, &["lines of guest output dropped"]);
}
