//! Full load for a while, with a hundredth of traps, aborts and slow readers: memory stays flat, every answer is one
//! that the contract knows, and each span is where the numbers say.
//!
//! 10 s for each ABI by default; `POUNCE_SOAK=60` for the long form. Run alone, it is a measurement as well.

use crate::support::client::{self, Connection, Raw};
use crate::support::server::{Serving, serve};
use crate::support::{Abi, Protocol, for_both_abis, pounce, within};
use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

for_both_abis!(memory_is_flat_and_no_span_is_lost);

/// Clients that send one request after another.
const CLIENTS: u64 = 12;
const MIB: u64 = 1024 * 1024;

/// Takes all signals and keeps the number of spans only: a long run would fill our own memory.
async fn counting_collector(count: Arc<AtomicUsize>) -> (SocketAddr, Serving) {
    serve(None, move |arrived| {
        let answer = Response::new(Full::<Bytes>::default());
        if arrived.target != "/v1/traces" {
            return std::future::ready(Some(answer));
        }
        let request = ExportTraceServiceRequest::decode(arrived.body).expect("OTLP");
        let spans = request.resource_spans.iter().flat_map(|r| &r.scope_spans).map(|s| s.spans.len());
        count.fetch_add(spans.sum(), Relaxed);
        std::future::ready(Some(answer))
    })
    .await
}

/// What the clients have seen.
#[derive(Default)]
struct Seen {
    /// Requests that were answered, by what they were and the status.
    answered: Mutex<BTreeMap<(&'static str, u16), usize>>,
    /// Requests whose client left.
    left: AtomicUsize,
}

impl Seen {
    fn answer(&self, what: &'static str, status: u16) {
        *self.answered.lock().expect("not poisoned").entry((what, status)).or_default() += 1;
    }

    fn sum(&self, wanted: impl Fn(&str, u16) -> bool) -> usize {
        let answered = self.answered.lock().expect("not poisoned");
        answered.iter().filter(|((what, status), _)| wanted(what, *status)).map(|(_, count)| count).sum()
    }
}

/// One client until `end`: mostly plain requests on one connection, now and then a mean one on its own.
async fn client(addr: SocketAddr, seed: u64, end: Instant, seen: Arc<Seen>) {
    let mut random = fastrand::Rng::with_seed(seed);
    let protocol = if seed.is_multiple_of(2) { Protocol::H1 } else { Protocol::H2 };
    let mut connection = Connection::open(addr, protocol).await;
    while Instant::now() < end {
        match random.u32(0..300) {
            0 => {
                let answer = client::fetch(addr, protocol, client::get("/?mib=64")).await;
                seen.answer("trap", answer.status.as_u16());
            }
            1 => {
                let mut leaving = Connection::open(addr, protocol).await;
                let response = tokio::spawn(leaving.start(client::get("/?mib=0&ms=10000")));
                tokio::time::sleep(Duration::from_millis(random.u64(1..50))).await;
                leaving.abort();
                let _nothing = response.await;
                seen.left.fetch_add(1, Relaxed);
            }
            2 => {
                // Takes its time over the few bytes of a response, then says nothing for a while.
                let mut slow = Raw::open(addr).await;
                let request = "GET /?mib=0 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
                for byte in request.bytes() {
                    slow.write([byte]).await.expect("the server waits");
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
                let answer = slow.read_to_end().await;
                let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
                seen.answer("slow", status.unwrap_or_else(|| panic!("no answer but {answer:?}")));
            }
            3 => {
                // Reads a large response bit by bit, and half of the time not to its end.
                let mut slow = Raw::open(addr).await;
                let request = "GET /?mib=0&kib=512 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
                slow.write(request).await.expect("the server reads");
                for _ in 0..20 {
                    slow.read_some(1024).await;
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                if random.bool() {
                    slow.reset();
                    seen.left.fetch_add(1, Relaxed);
                } else {
                    slow.read_to_end().await;
                    seen.answer("reader", 200);
                }
            }
            _ => {
                let answer = connection.fetch(client::get("/?mib=0")).await;
                // In a shared instance a neighbour's trap breaks off what was being answered.
                match answer.error {
                    Some(_) => {
                        connection = Connection::open(addr, protocol).await;
                        seen.answer("plain", 500);
                    }
                    None => seen.answer("plain", answer.status.as_u16()),
                }
            }
        }
    }
}

async fn memory_is_flat_and_no_span_is_lost(abi: Abi) {
    let seconds = std::env::var("POUNCE_SOAK").ok().and_then(|text| text.parse().ok()).unwrap_or(10);
    let arrived = Arc::new(AtomicUsize::new(0));
    let (collector, _serving) = counting_collector(arrived.clone()).await;
    let mut server = pounce()
        .guest(abi, "hog-memory")
        .flag("--max-memory", "32MiB")
        // Little enough for the memory of dead instances to go back to the kernel at once.
        .flag("--max-total-memory", "512MiB")
        .flag("--otel-endpoint", format!("http://{collector}"))
        .start()
        .await;
    let seen = Arc::new(Seen::default());
    let begun = Instant::now();
    let end = begun + Duration::from_secs(seconds);
    let clients: Vec<_> =
        (0..CLIENTS).map(|n| tokio::spawn(client(server.addr(), n, end, seen.clone()))).collect();
    let mut resident = Vec::new();
    while Instant::now() < end {
        resident.push(server.resident());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    for client in clients {
        within("a client to finish", client).await.expect("no client failed");
    }
    assert!(server.is_alive());
    let exit = server.stop().await;
    exit.expect(0, &[]);
    let totals = exit.totals();

    let (answered, left) = (seen.sum(|_, _| true), seen.left.load(Relaxed));
    println!(
        "{abi:?}: {} requests a second, {} traps, {left} left, {} spans dropped of {}",
        answered as u64 / seconds,
        seen.sum(|what, _| what == "trap"),
        totals.dropped,
        totals.ended
    );
    // In a shared instance a trap takes its neighbours with it; nothing else may go wrong.
    let known = |what: &str, status| status == 500 || (status == 200 && what != "trap");
    assert_eq!(seen.sum(|what, status| !known(what, status)), 0, "{:?}", seen.answered);
    let harmed = seen.sum(|what, status| what != "trap" && status == 500);
    let bound = if abi == Abi::P2 { 0 } else { seen.sum(|what, _| what == "trap") * 16 };
    assert!(harmed <= bound, "{harmed} innocent requests failed: {:?}", seen.answered);
    assert!(seen.sum(|what, _| what == "trap") > 0 && left > 0, "too short to say anything");

    assert_eq!(totals.ended, totals.exported + totals.rejected + totals.dropped, "{exit}");
    assert_eq!(totals.exported, arrived.load(Relaxed), "what was sent is what arrived");
    // Whether a request that was left had been read by then is a matter of luck.
    assert!(
        (answered..=answered + left).contains(&totals.ended),
        "{answered} answered, {left} left: {totals:?}"
    );

    // Pools and buffers fill in the first third; from then on nothing may grow. Guests that take 32 MiB come
    // and go meanwhile: what stays is the least of each third.
    let third = resident.len() / 3;
    let least = |part: &[u64]| part.iter().copied().min().expect("it ran");
    let (second, last) = (least(&resident[third..2 * third]), least(&resident[2 * third..]));
    assert!(last < second + second / 10 + 8 * MIB, "from {} to {} MiB resident", second / MIB, last / MIB);
}
