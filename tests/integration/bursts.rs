//! What stays of a burst when it is over: nothing that an operator would see.

use crate::support::client::{self, Raw};
use crate::support::pounce::Pounce;
use crate::support::{Abi, eventually, for_both_abis, pounce};
use futures_util::future::join_all;

for_both_abis!(memory_of_connections_is_given_back, memory_kept_for_guests_is_given_back);

const MIB: u64 = 1 << 20;

/// Waits until a quarter of what a burst took is left of it, at most.
async fn given_back(server: &Pounce, before: u64, peak: u64) {
    let taken = peak.saturating_sub(before);
    assert!(taken > 16 * MIB, "a burst of {} MiB says nothing", taken / MIB);
    eventually("the memory of a burst to be given back", async || server.resident() < before + taken / 4)
        .await;
}

/// Connections that are kept, each after a request.
async fn memory_of_connections_is_given_back(abi: Abi) {
    const CONNECTIONS: usize = 2000;
    let server = pounce().guest(abi, "hello").start().await;
    assert_eq!(client::fetch_path(server.addr(), "/").await.status, 200);
    let before = server.resident();
    let mut kept = Vec::new();
    while kept.len() < CONNECTIONS {
        // So many at once as the queue of a listener takes.
        kept.extend(
            join_all((0..50).map(async |_| {
                let mut raw = Raw::open(server.addr()).await;
                raw.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
                raw.read_until("Hello, World!\n").await;
                raw
            }))
            .await,
        );
    }
    let peak = server.resident();
    drop(kept);
    given_back(&server, before, peak).await;
}

/// Guests for which the host keeps as much as it may.
async fn memory_kept_for_guests_is_given_back(abi: Abi) {
    let server = pounce()
        .guest(abi, "hoard")
        .flag("--isolation", "request")
        .flag("--request-timeout", "50s")
        .start()
        .await;
    let addr = server.addr();
    assert_eq!(client::fetch_path(addr, "/fields?n=10").await.status, 200);
    let before = server.resident();
    let hoarding = tokio::spawn(join_all((0..16).map(|_| client::fetch_path(addr, "/fields?n=300&ms=2000"))));
    let (answers, peak) = server.watched(hoarding).await;
    assert!(answers.iter().all(|answer| answer.status == 200));
    given_back(&server, before, peak).await;
}
