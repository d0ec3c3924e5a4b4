//! The files in `ops/`: the rules do what they say, and rules and dashboard name only metrics that there are.

use super::prometheus::promtool;
use super::{metrics, with_admin};
use crate::support::client;
use crate::support::guest::root;
use crate::support::origin::Origin;
use crate::support::pounce::Pounce;
use crate::support::tls::Authority;
use crate::support::{Abi, Collector, PATIENCE, eventually};
use std::collections::{BTreeMap, BTreeSet};

fn file(name: &str) -> String {
    std::fs::read_to_string(root().join("ops").join(name)).expect("a file of ops/")
}

#[test]
fn every_alert_fires_when_it_should_and_only_then() {
    let tests = root().join("ops/pounce.rules.test.yml");
    let output = promtool(&["test", "rules", tests.to_str().expect("text")], "");
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    // Both a case that fires and one that does not.
    let cases = file("pounce.rules.test.yml");
    let rules = file("pounce.rules.yml");
    let alerts: Vec<_> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() >= 10, "{alerts:?}");
    for alert in alerts {
        let mut cases = cases.split("alertname: ").filter(|case| case.starts_with(&format!("{alert}\n")));
        let fires = |case: &str| !case.contains("exp_alerts: []");
        let all: Vec<_> = cases.by_ref().map(fires).collect();
        assert!(all.contains(&true) && all.contains(&false), "{alert}: {all:?}");
    }
}

/// The names of metrics in expressions of PromQL, as far as ours are concerned: each has a prefix of ours.
fn names(text: &str) -> BTreeSet<String> {
    const PREFIXES: [&str; 4] = ["http_server_", "http_client_", "pounce_", "otel_sdk_"];
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && !"_(|)".contains(c));
    let ours = words.filter_map(|word| {
        let at = PREFIXES.iter().filter_map(|prefix| word.find(prefix)).min()?;
        Some(&word[at..])
    });
    let mut names = BTreeSet::new();
    for word in ours {
        match word.split_once('(') {
            // `a_(b|c)_d`, as a regular expression of names.
            Some((before, rest)) if rest.contains(')') && !before.is_empty() => {
                let (inner, after) = rest.split_once(')').expect("just seen");
                names.extend(inner.split('|').map(|part| format!("{before}{part}{after}")));
            }
            _ => drop(names.insert(word.trim_matches(|c| "(|)".contains(c)).to_owned())),
        }
    }
    // Labels look alike.
    names.retain(|name| name != "http_response_status_code");
    names
}

#[test]
fn names_are_found_in_expressions() {
    let found = names(
        r#"rate({__name__=~"otel_sdk_exporter_(span|log)_exported_total"}[5m]) / sum(pounce_a{b="pounce"})"#,
    );
    let expected =
        ["otel_sdk_exporter_log_exported_total", "otel_sdk_exporter_span_exported_total", "pounce_a"];
    assert_eq!(found, expected.map(str::to_owned).into());
}

fn expressions(value: &serde_json::Value, out: &mut String) {
    match value {
        serde_json::Value::Object(map) => {
            for (key, value) in map {
                if let ("expr", Some(text)) = (key.as_str(), value.as_str()) {
                    out.push_str(text);
                    out.push('\n');
                }
                expressions(value, out);
            }
        }
        serde_json::Value::Array(all) => all.iter().for_each(|value| expressions(value, out)),
        _ => {}
    }
}

/// Servers of which each sees something that the others do not: traps, calls, instances that are used again, TLS.
struct Busy {
    servers: [Pounce; 4],
    _around: (Collector, Origin, tempfile::TempDir),
}

impl Busy {
    async fn start() -> Self {
        let collector = Collector::start().await;
        let origin = Origin::answering(200).await;
        let server = |guest| {
            let server =
                with_admin().guest(Abi::P3, guest).traced(&collector).env("OTEL_METRIC_EXPORT_INTERVAL", 100);
            server.flag("--allow-outbound", "http://127.0.0.1:*")
        };
        let folder = tempfile::tempdir().unwrap();
        let files = Authority::new("test").server(&["localhost"]).write(folder.path(), "server");
        let encrypted = server("hello")
            .flag("--tls-cert", files.certificate.display())
            .flag("--tls-key", files.key.display());
        let servers = [
            server("trap").start().await,
            server("calls").start().await,
            server("hello").start().await,
            encrypted.start().await,
        ];
        client::fetch_path(servers[0].addr(), "/unreachable").await;
        client::fetch_path(servers[1].addr(), &format!("/?url={}", origin.url("/"))).await;
        for _ in 0..2 {
            client::fetch_path(servers[2].addr(), "/").await;
        }
        Self { servers, _around: (collector, origin, folder) }
    }

    /// What `/metrics` of all of them says.
    async fn pages(&mut self) -> String {
        let mut pages = String::new();
        for server in &mut self.servers {
            pages += &metrics(server.admin().await).await;
        }
        pages
    }
}

#[tokio::test]
async fn rules_and_dashboard_name_only_metrics_that_there_are() {
    let rules = file("pounce.rules.yml");
    let rules: String =
        rules.lines().filter(|line| !line.trim_start().starts_with('#')).collect::<Vec<_>>().join("\n");
    let dashboard: serde_json::Value = serde_json::from_str(&file("grafana-dashboard.json")).expect("JSON");
    let mut wanted = String::new();
    expressions(&dashboard, &mut wanted);
    let of_dashboard = names(&wanted);
    // What stands in quotes are annotations, except within expressions.
    let of_rules: String = rules
        .lines()
        .filter(|line| !line.contains("summary:") && !line.contains("description:"))
        .map(|line| format!("{line}\n"))
        .collect();
    let mut wanted = names(&of_rules);
    wanted.retain(|name| name != "pounce_");
    assert!(wanted.len() >= 8 && of_dashboard.len() >= 15, "{wanted:?}\n{of_dashboard:?}");
    wanted.extend(of_dashboard);

    let mut busy = Busy::start().await;
    let mut missing: Vec<String> = Vec::new();
    let looked = tokio::time::timeout(PATIENCE, async {
        loop {
            let pages = busy.pages().await;
            let is_there = |name: &str| pages.lines().any(|line| line.starts_with(&format!("{name}{{")));
            missing = wanted.iter().filter(|name| !is_there(name)).cloned().collect();
            if missing.is_empty() {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    });
    let looked = looked.await;
    assert!(looked.is_ok(), "no server has {missing:?}");
}

/// Labels that every sample may have, and the one of buckets.
const OF_ALL: [&str; 4] = ["otel_scope_name", "otel_scope_version", "pounce_component", "le"];
/// Metrics that only servers with other settings have.
const OF_OTHERS: [&str; 1] = ["pounce_proxy_protocol_failed_total"];

/// `docs/metrics.md` has every metric that there is, with its kind and all of its attributes, and no other.
#[tokio::test]
async fn the_page_of_metrics_has_all_that_there_are() {
    let docs = std::fs::read_to_string(root().join("docs/metrics.md")).unwrap();
    let words = |text: &str| text.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    let rows = docs.lines().filter(|line| line.contains("<br>")).map(|line| {
        let cells: Vec<_> = line.split(" | ").collect();
        let (_, made) = cells[1].rsplit_once("<br>").unwrap();
        let kind = match made.split_once(" in `").unwrap().0 {
            "up-down counter" => "gauge",
            kind => kind,
        };
        let labels = words(made)[1..].iter().map(|key| key.replace('.', "_")).collect::<BTreeSet<_>>();
        (words(cells[0])[1].clone(), (kind.to_owned(), labels))
    });
    let told: BTreeMap<_, _> = rows.collect();
    assert!(told.len() > 40, "{told:?}");

    let mut busy = Busy::start().await;
    eventually("all metrics to be there", async || {
        let pages = busy.pages().await;
        let is_there = |name: &String| pages.contains(&format!("# TYPE {name} "));
        told.keys().all(|name| is_there(name) || OF_OTHERS.contains(&name.as_str()))
    })
    .await;
    let pages = busy.pages().await;
    let mut faults = BTreeSet::new();
    let mut count = 0;
    for line in pages.lines() {
        if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            let is_told = told.get(name).is_some_and(|(told, _)| told == kind);
            if !is_told && !name.starts_with("target") {
                faults.insert(format!("{name} is a {kind}"));
            }
            continue;
        }
        let Some((name, rest)) = line.split_once('{').filter(|_| line.contains("otel_scope_name=\"pounce\""))
        else {
            continue;
        };
        count += 1;
        let ends = ["_bucket", "_sum", "_count"];
        let family =
            ends.iter().find_map(|end| name.strip_suffix(end).filter(|name| told.contains_key(*name)));
        let Some((_, labels)) = told.get(family.unwrap_or(name)) else {
            faults.insert(format!("{name} is not on the page"));
            continue;
        };
        // No value here has a comma or a quote in it.
        let keys = rest.rsplit_once('}').unwrap().0.split(',').map(|pair| pair.split_once('=').unwrap().0);
        let others = keys.filter(|key| !labels.contains(*key) && !OF_ALL.contains(key));
        faults.extend(others.map(|key| format!("{name} has the label {key}")));
    }
    assert!(count > 100, "{count} samples");
    assert!(faults.is_empty(), "{faults:#?}");
}
