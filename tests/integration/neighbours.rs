//! What requests do to each other: as little as can be.

use crate::support::client::{self, Connection, Protocol, Raw};
use crate::support::span::Span;
use crate::support::{Abi, Collector, eventually, for_both_abis, pounce};
use std::time::{Duration, Instant};

for_both_abis!(a_handle_that_a_guest_keeps_holds_no_place, guests_that_compute_let_others_be_heard);

async fn a_handle_that_a_guest_keeps_holds_no_place(abi: Abi) {
    let server = pounce()
        .guest(abi, "attributes")
        .flag("--isolation", "instance")
        .flag("--max-in-flight", 4)
        .flag("--otel-exporter", "console")
        .start()
        .await;
    for n in 0..20 {
        assert_eq!(client::fetch_path(server.addr(), "/?keep").await.status, 200, "request {n}");
    }
}

/// As many busy guests as there may be; whoever comes then is told so at once, not when they pause for breath.
async fn guests_that_compute_let_others_be_heard(abi: Abi) {
    const BUSY: usize = 8;
    let mut server = pounce()
        .guest(abi, "busy-loop")
        .with_admin()
        .flag("--isolation", "request")
        .flag("--max-in-flight", BUSY)
        .flag("--max-in-flight-per-peer", BUSY)
        .flag("--request-timeout", "none")
        .start()
        .await;
    let mut busy = Vec::new();
    for _ in 0..BUSY {
        let mut raw = Raw::open(server.addr()).await;
        raw.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        busy.push(raw);
    }
    server.in_flight(BUSY as u64).await;
    // Some tens of milliseconds where the machine has nothing else to do for a moment; never under half a second when
    // sockets have to wait for dozens of turns of every guest.
    eventually("an answer at once", async || {
        let begun = Instant::now();
        assert_eq!(client::fetch_path(server.addr(), "/").await.status, 503);
        begun.elapsed() < Duration::from_millis(300)
    })
    .await;
}

/// In a shared instance a neighbour's long computation keeps the host from telling the guest that a client is gone:
/// no reason to end the instance, and everybody else in it.
#[tokio::test]
async fn a_client_that_leaves_takes_nobody_along() {
    let collector = Collector::start().await;
    let mut server = pounce().guest(Abi::P3, "slow").with_admin().traced(&collector).start().await;
    let mut neighbours = Connection::open(server.addr(), Protocol::H2).await;
    let mut leaving = Connection::open(server.addr(), Protocol::H1).await;
    let left = tokio::spawn(leaving.start(client::get("/left?ms=60000")));
    server.in_flight(1).await;
    let patient = tokio::spawn(neighbours.start(client::get("/patient?ms=3000")));
    let computing = tokio::spawn(neighbours.start(client::get("/computing?ms=1500&busy=1000")));
    tokio::time::sleep(Duration::from_millis(700)).await;
    leaving.abort();
    let _nothing = left.await;
    for response in [computing, patient] {
        assert_eq!(response.await.unwrap().expect("a response").status(), 200);
    }
    let reused = |span: &Span| span.attributes["pounce.instance.reused"].to_string() == "true";
    let shared = collector.spans(3).await.iter().filter(|span| reused(span)).count();
    assert!(shared > 0, "they did not share an instance: nothing was put to the test");
}
