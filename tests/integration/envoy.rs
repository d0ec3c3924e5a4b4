//! Envoy before two servers, with the settings of `ops/envoy` but for addresses: traces, retries, drains, ejection.

use crate::backend::{Daemon, tool};
use crate::support::attributes::Value;
use crate::support::client::{self, Connection};
use crate::support::guest::root;
use crate::support::pounce::{Builder, Pounce};
use crate::support::span::Span;
use crate::support::{Abi, Collector, Protocol, eventually, pounce};
use http::Method;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// A running Envoy; killed when dropped.
struct Envoy {
    _daemon: Daemon,
    clients: SocketAddr,
    admin: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Envoy {
    async fn before(servers: [&mut Pounce; 2], collector: &Collector) -> Self {
        let mut text = std::fs::read_to_string(root().join("ops/envoy/envoy.yaml")).expect("the settings");
        let mut put = |from: &str, to: String| {
            assert!(text.contains(from), "{from} in the settings");
            text = text.replace(from, &to);
        };
        let endpoint = |addr: SocketAddr| format!("address: {}, port_value: {}", addr.ip(), addr.port());
        put("address: 0.0.0.0, port_value: 8000", "address: 127.0.0.1, port_value: 0".to_owned());
        put("port_value: 9901", "port_value: 0".to_owned());
        put("address: otel-collector, port_value: 4318", endpoint(collector.addr()));
        for (server, name) in servers.into_iter().zip(["pounce-1", "pounce-2"]) {
            let admin = server.admin().await.port();
            let from = "}\n                  health_check_config: {port_value: 8081}";
            put(
                &format!("address: {name}, port_value: 8080{from}"),
                format!("{}{}", endpoint(server.addr()), from.replace("8081", &admin.to_string())),
            );
        }
        let folder = tempfile::tempdir().expect("a folder");
        let [settings, said] = ["envoy.yaml", "admin"].map(|name| folder.path().join(name));
        std::fs::write(&settings, text).expect("written");
        let mut command = Command::new(tool("POUNCE_ENVOY", "envoy-1.40.0/envoy"));
        command
            .arg("-c")
            .arg(&settings)
            .arg("--admin-address-path")
            .arg(&said)
            .args(["--concurrency", "1", "--use-dynamic-base-id", "--log-level", "error"])
            .stdout(Stdio::null());
        let mut daemon = Daemon::start(&mut command);
        let mut found = None;
        eventually("Envoy to listen", async || {
            assert!(daemon.is_alive(), "Envoy has ended");
            let Ok(admin) = std::fs::read_to_string(&said).unwrap_or_default().trim().parse() else {
                return false;
            };
            let ready = client::fetch_path(admin, "/ready").await;
            let page = client::fetch_path(admin, "/listeners?format=json").await;
            let page: serde_json::Value = serde_json::from_slice(&page.body).expect("JSON");
            let socket = &page["listener_statuses"][0]["local_address"]["socket_address"];
            if let (200, Some(port)) = (ready.status.as_u16(), socket["port_value"].as_u64()) {
                let clients = SocketAddr::from(([127, 0, 0, 1], u16::try_from(port).expect("a port")));
                found = Some((clients, admin));
            }
            found.is_some()
        })
        .await;
        let (clients, admin) = found.expect("it listens");
        Self { _daemon: daemon, clients, admin, _folder: folder }
    }

    /// What it knows of how a server is, such as `failed_outlier_check`.
    async fn says_of(&self, server: SocketAddr, word: &str) -> bool {
        let page = client::fetch_path(self.admin, "/clusters?format=json").await;
        let page: serde_json::Value = serde_json::from_slice(&page.body).expect("JSON");
        let clusters = page["cluster_statuses"].as_array().expect("clusters");
        let hosts = clusters.iter().filter_map(|cluster| cluster["host_statuses"].as_array()).flatten();
        let port = u64::from(server.port());
        let mut hosts = hosts.filter(|host| host["address"]["socket_address"]["port_value"] == port);
        hosts.any(|host| host["health_status"][word] == true)
    }
}

/// A server behind the proxy, which says by its name which it is.
fn behind(collector: &Collector, name: &str) -> Builder {
    pounce()
        .serve()
        .traced(collector)
        .flag("--otel-service-name", name)
        .flag("--trusted-proxies", "127.0.0.1")
        .flag("--drain-delay", "2s")
        .with_admin()
}

/// The traces so far, by their ids.
fn traces(collector: &Collector) -> BTreeMap<String, Vec<Span>> {
    let mut traces = BTreeMap::<_, Vec<_>>::new();
    for span in collector.received() {
        traces.entry(span.trace_id.clone()).or_default().push(span);
    }
    traces
}

fn service(span: &Span) -> &str {
    match span.resource.get("service.name") {
        Some(Value::Text(name)) => name,
        other => panic!("a service's name: {other:?}"),
    }
}

/// The services along a trace's way, from its root to the answer that the client got.
fn way(spans: &[Span]) -> Vec<String> {
    let answered = |span: &&Span| {
        service(span) != "envoy"
            && span.kind == SpanKind::Server
            && span.int("http.response.status_code") == Some(200)
    };
    let mut way = Vec::new();
    let mut at = spans.iter().find(answered);
    while let Some(span) = at {
        way.insert(0, format!("{} {:?}", service(span), span.kind));
        at = spans.iter().find(|parent| parent.span_id == span.parent);
        assert!(way.len() <= spans.len(), "a ring");
    }
    way
}

/// Clients ask all the time, over both protocols, while one of two servers is told to stop and ends. No request fails, and
/// each is one trace, from Envoy through the server that answered it.
#[tokio::test(flavor = "multi_thread")]
async fn one_of_two_drains_and_no_request_and_no_span_is_lost() {
    let collector = Collector::start().await;
    let mut stays = behind(&collector, "stays").guest(Abi::P2, "hello").start().await;
    let mut goes = behind(&collector, "goes").guest(Abi::P3, "hello").start().await;
    let envoy = Envoy::before([&mut stays, &mut goes], &collector).await;
    let (over, served) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = [Protocol::H1, Protocol::H2, Protocol::H1, Protocol::H2]
        .into_iter()
        .map(|protocol| {
            let (over, served, addr) = (over.clone(), served.clone(), envoy.clients);
            tokio::spawn(async move {
                let mut connection = Connection::open(addr, protocol).await;
                while !over.load(Ordering::Relaxed) {
                    let request = match served.fetch_add(1, Ordering::Relaxed) % 2 {
                        0 => client::get("/"),
                        _ => client::post("/", "order"),
                    };
                    let answer = connection.fetch(request).await;
                    assert!(answer.status == 200 && answer.error.is_none(), "{answer:?}");
                    // Load, and no flood of spans.
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            })
        })
        .collect();
    let more = async |requests| {
        let before = served.load(Ordering::Relaxed);
        eventually("more requests", async || {
            assert!(!clients.iter().any(tokio::task::JoinHandle::is_finished), "a request failed");
            served.load(Ordering::Relaxed) >= before + requests
        })
        .await;
    };
    more(100).await;
    let addr = goes.addr();
    goes.term();
    eventually("Envoy to know", async || envoy.says_of(addr, "failed_active_health_check").await).await;
    let totals = goes.wait().await;
    totals.expect(0, &["draining"]);
    more(100).await;
    over.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.expect("no request failed");
    }

    let served = served.load(Ordering::Relaxed);
    eventually("all traces", async || {
        let whole = traces(&collector).into_values().filter(|spans| way(spans).len() == 3);
        whole.count() == served
    })
    .await;
    let ways: BTreeSet<_> = traces(&collector).values().map(|spans| way(spans)).collect();
    let of = |last: &str| ["envoy Server", "envoy Client", last].map(str::to_owned).to_vec();
    assert_eq!(ways, BTreeSet::from([of("goes Server"), of("stays Server")]));
    let exit = stays.stop().await;
    exit.expect(0, &[]);
    assert_eq!((totals.totals().dropped, exit.totals().dropped), (0, 0));
}

/// Who answers 503 has not worked for the request: another is asked, where repeating it is safe.
#[tokio::test(flavor = "multi_thread")]
async fn requests_that_are_safe_to_repeat_go_to_another_server() {
    let collector = Collector::start().await;
    let mut one = behind(&collector, "one").fixture("status.wat").start().await;
    let mut other = behind(&collector, "other").fixture("status.wat").start().await;
    let envoy = Envoy::before([&mut one, &mut other], &collector).await;
    for (method, asked) in [(Method::GET, 2), (Method::POST, 1)] {
        let request = client::request(method.clone(), "/503", client::empty());
        assert_eq!(client::fetch(envoy.clients, Protocol::H1, request).await.status, 503);
        let of_it =
            |span: &&Span| service(span) != "envoy" && span.text("http.request.method") == method.as_str();
        // Envoy's own comes when all attempts are over.
        let trace = collector.span_where("of Envoy", |span| {
            service(span) == "envoy"
                && span.kind == SpanKind::Server
                && span.text("http.method") == method.as_str()
        });
        let trace = trace.await.trace_id;
        eventually("the spans of the servers", async || {
            collector.received().iter().filter(of_it).count() >= asked
        })
        .await;
        let spans = collector.received();
        let servers = spans.iter().filter(of_it).map(service).collect::<Vec<_>>();
        assert_eq!(servers.len(), asked, "{method}: {servers:?}");
        assert_eq!(servers.iter().collect::<BTreeSet<_>>().len(), asked, "{method}: {servers:?}");
        assert!(spans.iter().filter(of_it).all(|span| span.trace_id == trace));
    }
    one.stop().await.expect(0, &[]);
    other.stop().await.expect(0, &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_fails_is_left_out() {
    let collector = Collector::start().await;
    let mut well = behind(&collector, "well").fixture("status.wat").start().await;
    let mut ill = behind(&collector, "ill").guest(Abi::P2, "no-response").start().await;
    let envoy = Envoy::before([&mut well, &mut ill], &collector).await;
    let mut failed = 0;
    eventually("the server that fails to be left out", async || {
        let answer = client::fetch_path(envoy.clients, "/200").await;
        failed += usize::from(answer.status == 500);
        envoy.says_of(ill.addr(), "failed_outlier_check").await
    })
    .await;
    assert!(failed >= 5, "no sooner than outlier_detection.consecutive_5xx says: {failed}");
    // Envoy's threads hear of it one after the other.
    eventually("only the other to be asked", async || {
        for _ in 0..20 {
            if client::fetch_path(envoy.clients, "/200").await.status != 200 {
                return false;
            }
        }
        true
    })
    .await;
    ill.stop().await.expect(0, &[]);
    well.stop().await.expect(0, &[]);
}
