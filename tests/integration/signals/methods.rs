//! Which methods have names is the operator's to say, and holds for metrics and log records as for spans: what a client
//! makes up is one series.

use crate::support::client::{self, Protocol};
use crate::support::origin::Origin;
use crate::support::{Abi, Collector, pounce};
use std::collections::BTreeMap;

const VARIABLE: &str = "OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS";

/// So many points of this metric by method.
fn points(collector: &Collector, name: &str) -> BTreeMap<String, String> {
    let metrics = collector.host_metrics();
    let metric = metrics.iter().find(|metric| metric.name == name).unwrap_or_else(|| panic!("no {name}"));
    let of = |point: &crate::support::signals::Point| {
        let count = point.value.split(' ').next().unwrap_or_default().to_owned();
        (point.attributes["http.request.method"].to_string(), count)
    };
    let by_method: BTreeMap<_, _> = metric.points.iter().map(of).collect();
    assert_eq!(by_method.len(), metric.points.len(), "{name}: one for each method");
    by_method
}

fn is<const N: usize>(expected: [(&str, &str); N]) -> BTreeMap<String, String> {
    expected.map(|(method, count)| (format!("{method:?}"), count.to_owned())).into()
}

#[tokio::test]
async fn methods_that_have_no_name_are_one_series() {
    for (set, known) in [(None, "POST"), (Some("PROPFIND, REPORT,PROPFIND"), "PROPFIND")] {
        let collector = Collector::start().await;
        let mut server = pounce()
            .fixture("status.wat")
            .traced(&collector)
            .flag("--admin-listen", "127.0.0.1:0")
            .arg("--log-access");
        if let Some(set) = set {
            server = server.env(VARIABLE, set);
        }
        let mut server = server.start().await;
        let admin = server.admin().await;
        for method in [known, "BREW", known, "X1", "post", "X2"] {
            let request = client::request(method.parse().unwrap(), "/200", client::empty());
            client::fetch(server.addr(), Protocol::H1, request).await;
        }
        let page = client::fetch_path(admin, "/metrics").await.text().to_owned();
        let counts =
            page.lines().filter(|line| line.starts_with("http_server_request_duration_seconds_count{"));
        let counts: Vec<_> = counts.collect();
        assert_eq!(counts.len(), 2, "{counts:?}");
        for (method, count) in [(known, " 2"), ("_OTHER", " 4")] {
            let label = format!("http_request_method=\"{method}\"");
            let of = counts.iter().find(|line| line.contains(&label)).expect(&label);
            assert!(of.ends_with(count), "{of}");
        }
        let exit = server.stop().await;
        let found = points(&collector, "http.server.request.duration");
        assert_eq!(found, is([(known, "count=2"), ("_OTHER", "count=4")]), "{set:?}");
        assert_eq!(points(&collector, "http.server.active_requests"), is([(known, "0"), ("_OTHER", "0")]));

        // The access log has what was sent; its records beside that what spans and metrics call it.
        let lines = crate::log::lines(&exit);
        let mut sent: Vec<_> = lines
            .iter()
            .filter(|line| line["target"] == "access")
            .map(|line| ["message", "method"].map(|key| line[key].as_str().unwrap_or_default().to_owned()))
            .map(|[message, method]| (message, method))
            .collect();
        let asked = [known, "BREW", known, "X1", "post", "X2"];
        let mut expected: Vec<_> =
            asked.iter().map(|method| (format!("{method} /200 200"), (*method).to_owned())).collect();
        sent.sort();
        expected.sort();
        assert_eq!(sent, expected);
        let records = collector.own_log_records();
        let records = records.iter().filter(|record| record.event == "pounce.access");
        let mut said: Vec<_> = records
            .map(|record| {
                let of = |key| record.attributes.get(key).map(ToString::to_string).unwrap_or_default();
                let methods = [of("http.request.method"), of("http.request.method_original")];
                (record.body.clone(), methods.join(" ").replace('"', "").trim_end().to_owned())
            })
            .collect();
        let mut expected: Vec<_> = asked
            .iter()
            .map(|method| {
                let known_as = if *method == known { known.to_owned() } else { format!("_OTHER {method}") };
                (format!("\"{method} /200 200\""), known_as)
            })
            .collect();
        // They come from several queues.
        said.sort();
        expected.sort();
        assert_eq!(said, expected);
    }
}

/// A method as long as a client likes is cut in the log, and is no series.
#[tokio::test]
async fn a_long_method_is_shortened() {
    let collector = Collector::start().await;
    let server = pounce().fixture("status.wat").traced(&collector).arg("--log-access").start().await;
    let long = "M".repeat(5000);
    let request = client::request(long.parse().unwrap(), "/200", client::empty());
    client::fetch(server.addr(), Protocol::H1, request).await;
    let exit = server.stop().await;
    assert!(!exit.stderr.contains(&long), "{exit}");
    assert_eq!(points(&collector, "http.server.request.duration"), is([("_OTHER", "count=1")]));
    let records = collector.own_log_records();
    let record = records.iter().find(|record| record.event == "pounce.access").expect("its record");
    let original = record.attributes["http.request.method_original"].to_string();
    assert!(original.starts_with("\"MMM") && original.len() < 1000 && record.body.len() < 1000, "{record:?}");
}

#[tokio::test]
async fn outgoing_methods_are_named_by_the_same_list() {
    for (set, name) in [(None, "POST"), (Some("GET"), "_OTHER")] {
        let (collector, origin) = (Collector::start().await, Origin::answering(200).await);
        let mut server =
            pounce().guest(Abi::P2, "relay").flag("--allow-outbound", origin.url("")).traced(&collector);
        if let Some(set) = set {
            server = server.env(VARIABLE, set);
        }
        let server = server.start().await;
        let one = serde_json::json!([{ "url": origin.url("/a"), "arguments": {} }]).to_string();
        client::fetch(server.addr(), Protocol::H1, client::post("/", one)).await;
        server.stop().await.expect(0, &[]);
        assert_eq!(points(&collector, "http.client.request.duration"), is([(name, "count=1")]));
    }
}
