//! A server at the edge for a while, at 70 % of what it can do: two components behind TLS, over HTTP/1.1 and HTTP/2, while
//! guests trap, the collector fails in each way, and settings and certificates change. Nobody has an answer that a trap
//! of their own does not explain, memory stays flat, and every span is accounted for.
//!
//! 12 s by default; `POUNCE_EDGE=1800` (`make edge`) for the half hour that is to be seen before a release.

use crate::support::client;
use crate::support::server::serve;
use crate::support::tls::{Authority, Client, VERSIONS};
use crate::support::{Abi, Protocol, eventually, pounce, within};
use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use serde_json::Value;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Clients of each component and version of HTTP.
const CLIENTS: u64 = 3;
const LOAD: f64 = 0.7;
/// One request in so many traps.
const TRAPS: u32 = 100;
/// Requests of a client on one connection.
const ON_A_CONNECTION: u32 = 500;
const MIB: u64 = 1024 * 1024;

/// How long the run takes, and how often things change in it.
struct Plan {
    whole: Duration,
    /// As fast as the clients can, to know what the whole load is.
    saturated: Duration,
    reload: Duration,
    certificate: Duration,
    outage: Duration,
}

impl Plan {
    fn of(seconds: u64) -> Self {
        let part = |share: f64, least: f64, most: f64| {
            Duration::from_secs_f64((seconds as f64 * share).clamp(least, most))
        };
        Self {
            whole: Duration::from_secs(seconds),
            saturated: part(0.1, 2.0, 15.0),
            reload: part(0.08, 1.0, 10.0),
            certificate: part(0.2, 2.0, 30.0),
            outage: part(0.1, 1.0, 20.0),
        }
    }
}

/// A receiver that takes spans, then refuses them, then hangs up, and so on.
#[derive(Default)]
struct Receiver {
    state: AtomicU32,
    taken: AtomicUsize,
}

impl Receiver {
    async fn start(self: &Arc<Self>) -> (SocketAddr, crate::support::server::Serving) {
        let receiver = self.clone();
        serve(None, move |arrived| {
            let answer = |status| Response::builder().status(status).body(Full::<Bytes>::default()).unwrap();
            std::future::ready(match receiver.state.load(Relaxed) % 4 {
                1 => Some(answer(503)),
                3 => None,
                _ => {
                    if arrived.target == "/v1/traces" {
                        let request = ExportTraceServiceRequest::decode(arrived.body).expect("OTLP");
                        let scopes = request.resource_spans.iter().flat_map(|r| &r.scope_spans);
                        receiver.taken.fetch_add(scopes.map(|s| s.spans.len()).sum(), Relaxed);
                    }
                    Some(answer(200))
                }
            })
        })
        .await
    }
}

/// What the clients have seen.
#[derive(Default)]
struct Seen {
    answered: AtomicU64,
    traps: AtomicU64,
    /// Requests that another's trap failed.
    harmed: AtomicU64,
}

/// Where a client asks, and how.
#[derive(Clone)]
struct Asks {
    client: Client,
    addr: SocketAddr,
    protocol: Protocol,
    prefix: &'static str,
    seen: Arc<Seen>,
    /// Nanoseconds between two requests of a client; 0 for none.
    pause: Arc<AtomicU64>,
}

impl Asks {
    async fn until(self, end: Instant, seed: u64) {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut next = Instant::now();
        while next < end {
            let mut connection = self.client.open(self.addr, "localhost", self.protocol).await;
            for _ in 0..ON_A_CONNECTION {
                let traps = random.u32(0..TRAPS) == 0;
                let path = format!("{}?mib={}", self.prefix, if traps { 64 } else { 0 });
                let answer = connection.fetch(client::get(&path)).await;
                let shares = self.prefix.starts_with("/p3");
                let count = match (traps, answer.status.as_u16(), answer.error.is_some()) {
                    (true, 500, false) => &self.seen.traps,
                    (false, 200, false) => &self.seen.answered,
                    // A head that had gone out by then is not taken back.
                    (false, 500, false) | (false, 200, true) if shares => &self.seen.harmed,
                    _ => panic!("{path}: {answer:?}"),
                };
                count.fetch_add(1, Relaxed);
                if answer.error.is_some() {
                    break;
                }
                // Who comes late does not catch up: the load would be another one.
                next = (next + Duration::from_nanos(self.pause.load(Relaxed))).max(Instant::now());
                if next >= end {
                    break;
                }
                tokio::time::sleep_until(next.into()).await;
            }
        }
    }
}

/// Settings with another component each second time.
fn settings(path: &Path, generation: usize) {
    let mut text = String::new();
    let mut add = |name: &str, abi: Abi, guest: &str| {
        text += &format!(
            "[[component]]\nname = \"{name}\"\nsource = {:?}\n[[route]]\ncomponent = \"{name}\"\npath = \"/{name}/{{*rest}}\"\n",
            abi.guest(guest)
        );
    };
    add("p2", Abi::P2, "hog-memory");
    add("p3", Abi::P3, "hog-memory");
    if generation % 2 == 1 {
        add("more", Abi::P2, "hello");
    }
    let draft = path.with_extension("draft");
    std::fs::write(&draft, text).expect("written");
    std::fs::rename(draft, path).expect("renamed");
}

#[tokio::test]
async fn a_server_at_the_edge_stays_well() {
    let seconds = std::env::var("POUNCE_EDGE").ok().and_then(|text| text.parse().ok()).unwrap_or(12);
    let plan = Plan::of(seconds);
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new("test"));
    let files = authority.server(&["localhost"]).write(folder.path(), "server");
    let config = folder.path().join("pounce.toml");
    settings(&config, 0);
    let receiver = Arc::new(Receiver::default());
    let (collector, _serving) = receiver.start().await;
    let mut server = pounce()
        .arg("--config")
        .arg(&config)
        .with_admin()
        .flag("--tls-cert", files.certificate.display())
        .flag("--tls-key", files.key.display())
        .flag("--max-memory", "32MiB")
        // Little enough for the memory of dead instances to go back to the kernel at once.
        .flag("--max-total-memory", "512MiB")
        .flag("--otel-endpoint", format!("http://{collector}"))
        .start()
        .await;

    let (seen, pause) = (Arc::new(Seen::default()), Arc::new(AtomicU64::new(0)));
    let begun = Instant::now();
    let end = begun + plan.whole;
    let mut clients = Vec::new();
    for protocol in Protocol::BOTH {
        for prefix in ["/p2/a", "/p3/a"] {
            for _ in 0..CLIENTS {
                let (client, addr) = (authority.trusting(&VERSIONS), server.addr());
                let (seen, pause) = (seen.clone(), pause.clone());
                let asks = Asks { client, addr, protocol, prefix, seen, pause };
                clients.push(tokio::spawn(asks.until(end, clients.len() as u64)));
            }
        }
    }
    tokio::time::sleep(plan.saturated).await;
    let whole = seen.answered.load(Relaxed) as f64 / begun.elapsed().as_secs_f64();
    assert!(whole > 1.0, "nobody is served");
    pause.store((clients.len() as f64 / (LOAD * whole) * 1e9) as u64, Relaxed);

    let mut resident = Vec::new();
    let mut shown = Vec::new();
    let (mut reloads, mut certificates, mut outages) = (0, 0, 0);
    let watching = authority.trusting(&VERSIONS);
    let every = |wait: Duration, so_far: usize| begun + plan.saturated + wait * (so_far as u32 + 1);
    while Instant::now() < end {
        let now = Instant::now();
        if now >= every(plan.outage, outages) {
            outages += 1;
            receiver.state.fetch_add(1, Relaxed);
        }
        if now >= every(plan.certificate, certificates) {
            certificates += 1;
            let pair = authority.server(&["localhost"]);
            pair.write(folder.path(), "server");
            shown = pair.der().to_vec();
        }
        if now >= every(plan.reload, reloads) {
            reloads += 1;
            settings(&config, reloads);
            assert_eq!(server.reload().await["done"], reloads);
        }
        resident.push(server.resident());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    for client in clients {
        within("a client to finish", client).await.expect("no client failed");
    }
    eventually("the last certificate", async || watching.shown(server.addr(), "localhost").await == shown)
        .await;
    let reload = server.status().await["reload"].clone();
    assert_eq!((&reload["failed"], &reload["last_error"]), (&0.into(), &Value::Null));
    receiver.state.store(0, Relaxed);
    let exit = server.stop().await;
    exit.expect(0, &[]);

    let count = |count: &AtomicU64| count.load(Relaxed);
    let (answered, traps, harmed) = (count(&seen.answered), count(&seen.traps), count(&seen.harmed));
    let totals = exit.totals();
    println!(
        "{answered} answered ({whole:.0} a second at full load), {traps} traps, {harmed} harmed; {reloads} reloads, \
         {certificates} certificates, {outages} outages; {} spans, {} of them dropped",
        totals.ended, totals.dropped
    );
    assert!(reloads > 3 && certificates > 1 && outages > 3 && traps > 0, "too short to say anything");
    // Requests that share an instance with a trap run once more, but for those that come when too many do.
    assert!(harmed <= traps / 2, "{harmed} requests failed with the {traps} that trapped");
    assert_eq!(totals.ended as u64, answered + traps + harmed, "a span for each request");
    assert_eq!(totals.ended, totals.exported + totals.rejected + totals.dropped, "{exit}");
    assert_eq!(totals.exported, receiver.taken.load(Relaxed), "what was taken is what counts as sent");

    // Pools, buffers and both generations fill in the first third; from then on nothing may grow. Guests that take 32 MiB
    // come and go meanwhile: what stays is the least of each third.
    let third = resident.len() / 3;
    let least = |part: &[u64]| part.iter().copied().min().expect("it ran");
    let (second, last) = (least(&resident[third..2 * third]), least(&resident[2 * third..]));
    println!("resident: {} MiB, then {} MiB", second / MIB, last / MIB);
    assert!(last < second + second / 10 + 8 * MIB, "from {} to {} MiB resident", second / MIB, last / MIB);
}
