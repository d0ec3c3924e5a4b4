//! A real Prometheus scrapes `/metrics` and answers queries, exemplars among them, and its own tools find no fault.

use super::{ask, metrics, with_admin};
use crate::support::client::{self, WithHeader};
use crate::support::{Abi, Collector, eventually};
use serde_json::Value;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

/// Debian's version; also in scripts/tools.sh.
const FOLDER: &str = "prometheus-debian";

/// Where `make setup` leaves a program of Prometheus, or one that is installed.
pub(super) fn program(name: &str) -> PathBuf {
    let var = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = || var("HOME").expect("a home").join(".cache");
    let cache =
        var("POUNCE_CACHE").unwrap_or_else(|| var("XDG_CACHE_HOME").unwrap_or_else(home).join("pounce"));
    let path = cache.join(FOLDER).join("usr/bin").join(name);
    assert!(path.exists(), "{} is missing: run `make setup`", path.display());
    path
}

/// Runs `promtool` with this on its stdin.
pub(crate) fn promtool(args: &[&str], stdin: &str) -> Output {
    let mut child = Command::new(program("promtool"))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool starts");
    child.stdin.take().expect("piped").write_all(stdin.as_bytes()).expect("it reads");
    child.wait_with_output().expect("our child")
}

/// A running Prometheus; killed when dropped.
struct Prometheus {
    child: Child,
    addr: SocketAddr,
    _dir: tempfile::TempDir,
}

impl Prometheus {
    /// Scrapes `target` four times a second.
    fn start(target: SocketAddr) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let config = format!(
            "global:\n  scrape_interval: 250ms\n  scrape_timeout: 250ms\nstorage:\n  exemplars:\n    max_exemplars: 1000\n\
             scrape_configs:\n  - job_name: pounce\n    static_configs:\n      - targets: ['{target}']\n"
        );
        std::fs::write(dir.path().join("prometheus.yml"), config).expect("written");
        // A port that was free a moment ago.
        let addr = TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("bound");
        let child = Command::new(program("prometheus"))
            .arg(format!("--config.file={}", dir.path().join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", dir.path().join("data").display()))
            .arg(format!("--web.listen-address={addr}"))
            .arg("--enable-feature=exemplar-storage")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("Prometheus starts");
        Prometheus { child, addr, _dir: dir }
    }

    /// What its API says; null until it answers.
    async fn get(&self, path: &str) -> Value {
        if tokio::net::TcpStream::connect(self.addr).await.is_err() {
            return Value::Null;
        }
        let answer = client::fetch_path(self.addr, path).await;
        serde_json::from_slice::<Value>(&answer.body).unwrap_or_default()["data"].clone()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        self.child.kill().and_then(|()| self.child.wait()).expect("our child");
    }
}

#[tokio::test]
async fn a_real_prometheus_scrapes_and_its_exemplars_lead_to_traces() {
    let collector = Collector::start().await;
    let mut server = with_admin().guest(Abi::P2, "attributes").traced(&collector).start().await;
    let admin = server.admin().await;
    let prometheus = Prometheus::start(admin);
    client::fetch_path(server.addr(), "/deeds?with.shop=be%22r%5Clin&counter.orders=3&histogram.items=7")
        .await;
    let span = collector.span().await;
    let mut found = Value::Null;
    eventually("Prometheus to have the counter", async || {
        found = prometheus.get("/api/v1/query?query=orders_total").await["result"][0].clone();
        found["value"][1] == "3"
    })
    .await;
    let labels = &found["metric"];
    assert_eq!((&labels["shop"], &labels["otel_scope_name"]), (&"be\"r\\lin".into(), &"pounce.guest".into()));
    assert_eq!((&labels["job"], &labels["instance"]), (&"pounce".into(), &admin.to_string().into()));
    for query in ["orders_total", "items_bucket"] {
        let mut exemplar = Value::Null;
        eventually("Prometheus to have the exemplar", async || {
            let path = format!("/api/v1/query_exemplars?query={query}&start=0&end=99999999999");
            exemplar = prometheus.get(&path).await[0]["exemplars"][0].clone();
            !exemplar.is_null()
        })
        .await;
        let ids = &exemplar["labels"];
        assert_eq!(
            (&ids["trace_id"], &ids["span_id"]),
            (&span.trace_id.clone().into(), &span.span_id.clone().into())
        );
    }
    let info = prometheus.get("/api/v1/query?query=target_info").await["result"][0]["metric"].clone();
    assert_eq!(
        (&info["service_name"], &info["telemetry_sdk_name"]),
        (&"attributes".into(), &"pounce".into())
    );
    let targets = prometheus.get("/api/v1/targets").await["activeTargets"].clone();
    assert_eq!((&targets[0]["health"], &targets[0]["lastError"]), (&"up".into(), &"".into()), "{targets}");
}

#[tokio::test]
async fn promtool_finds_no_fault_with_a_page() {
    let mut server = with_admin().guest(Abi::P2, "attributes").start().await;
    let admin = server.admin().await;
    client::fetch_path(
        server.addr(),
        "/deeds?counter.orders=3&histogram.items=7&updown.queue=-2&gauge.temperature=1.5",
    )
    .await;
    let page = metrics(admin).await;
    let output = promtool(&["check", "metrics"], &page);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}\n{page}");
    let open = ask(admin, client::get("/metrics").with("accept", "application/openmetrics-text")).await;
    assert!(open.text().contains(" # {trace_id="), "{}", open.text());
}
