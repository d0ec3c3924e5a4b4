//! Each limit: what a client gets beyond it, that it holds, and that nobody else pays for it. Here: how many, and how
//! much memory.

use crate::support::client::{self, Connection};
use crate::support::{Abi, Collector, Protocol, eventually, for_both_abis, pounce, within};
use std::net::SocketAddr;
use std::time::Duration;

/// How many requests a second, and uploads that stand still.
mod rates;
/// Shares of the places, and clients that hold them and take nothing.
mod shares;
/// Heads and bodies.
mod sizes;
/// Heads, idle connections and guests.
mod times;
/// Responses that take too long.
mod whole;
/// Peers that leave no room for their response.
mod windows;

for_both_abis!(
    beyond_max_in_flight_requests_are_shed,
    a_guest_beyond_max_memory_is_500,
    beyond_max_total_memory_requests_are_refused_and_the_server_lives,
);

/// Goes on until its client hangs up.
const ENDLESS: &str = "/?ms=0&body_ms=100&chunks=1000000";

async fn beyond_max_in_flight_requests_are_shed(abi: Abi) {
    let server = pounce().guest(abi, "slow").flag("--max-in-flight", 1).start().await;
    for protocol in Protocol::BOTH {
        let (first, response) = client::hold(server.addr(), protocol, ENDLESS).await;
        let answer = client::fetch(server.addr(), protocol, client::get("/?ms=0")).await;
        assert_eq!(answer.status, 503, "{protocol:?}");
        let seconds: u32 = answer.header("retry-after").parse().expect("seconds in Retry-After");
        assert!((1..=60).contains(&seconds), "{protocol:?}: {seconds}");
        // The place is free again once its client is gone.
        first.abort();
        drop(response);
        eventually("the place to be free", async || {
            client::fetch(server.addr(), protocol, client::get("/?ms=0")).await.status == 200
        })
        .await;
    }
}

async fn a_guest_beyond_max_memory_is_500(abi: Abi) {
    let collector = Collector::start().await;
    let server =
        pounce().guest(abi, "hog-memory").flag("--max-memory", "32MiB").traced(&collector).start().await;
    assert_eq!(client::fetch_path(server.addr(), "/?mib=16").await.text(), "took 16 MiB\n");
    assert_eq!(client::fetch_path(server.addr(), "/?mib=48").await.status, 500);
    assert_eq!(client::fetch_path(server.addr(), "/?mib=16").await.text(), "took 16 MiB\n");
    let failed: Vec<_> = collector.spans(3).await.into_iter().filter(|span| span.failed()).collect();
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0].text("error.type"), "out_of_memory");
    let peak = failed[0].int("pounce.guest.memory.peak");
    assert!(peak.is_none_or(|peak| (16 << 20..=32 << 20).contains(&peak)), "{peak:?}");
}

/// What `docs/guest-rust.md` says of the linker's option holds: most of an ordinary guest's memory is its stack.
#[tokio::test]
async fn a_guest_linked_with_a_small_stack_takes_little_memory() {
    const PAGES: i64 = 64 * 1024;
    for (guest, pages) in [("hello", 17..=20), ("hello-small", 2..=3)] {
        let collector = Collector::start().await;
        let server = pounce().guest(Abi::P2, guest).traced(&collector).start().await;
        assert_eq!(client::fetch_path(server.addr(), "/").await.text(), "Hello, World!\n");
        let peak = collector.span().await.int("pounce.guest.memory.peak").expect("a fresh instance");
        assert!(pages.contains(&(peak / PAGES)), "{guest}: {peak} bytes");
    }
}

/// Waits until a guest holds the `mib` MiB that it was asked to take: beside the MiB of its stack and data, with which alone
/// it would seem to have one more of them than it has.
async fn guest_holds(admin: SocketAddr, mib: u64) {
    eventually("the guest to hold its memory", async || {
        let status = client::fetch_json(admin, "/status").await;
        status["limits"]["guest_memory"]["used"].as_u64().expect("a number") >= (mib + 1) << 20
    })
    .await;
}

/// Instances that each may have 128 MiB, and 64 MiB for all: some requests are refused, none brings the server down,
/// and it never holds more than it was told to.
async fn beyond_max_total_memory_requests_are_refused_and_the_server_lives(abi: Abi) {
    let mut server = pounce()
        .guest(abi, "hog-memory")
        .flag("--max-total-memory", "64MiB")
        .flag("--isolation", "request")
        .flag("--request-timeout", "none")
        .with_admin()
        .start()
        .await;
    let (addr, admin) = (server.addr(), server.admin().await);
    let before = server.resident();
    let big = tokio::spawn(client::fetch_path(addr, "/?mib=48&ms=6000"));
    guest_holds(admin, 48).await;
    // Each wants 2 MiB and more, and keeps it: without the big one, too, there is not enough for all of them.
    let mut small = Vec::new();
    for _ in 0..40 {
        let mut connection = Connection::open(addr, Protocol::H1).await;
        let answer = tokio::spawn(connection.start(client::get("/?mib=1&ms=86400000")));
        small.push((connection, answer));
    }
    let mut peak = server.resident();
    eventually("somebody to be shed", async || {
        peak = peak.max(server.resident());
        small.iter().any(|(_, answer)| answer.is_finished())
    })
    .await;
    assert!(peak < before + (112 << 20), "{} MiB resident, {} before", peak >> 20, before >> 20);
    assert_eq!(big.await.unwrap().text(), "took 48 MiB\n", "the one that had its memory");
    for (connection, answer) in small {
        if answer.is_finished() {
            // Not let in, or let in when there was no more.
            let answer = answer.await.unwrap().expect("a response");
            assert_eq!(answer.status(), 503);
            assert!(answer.headers().contains_key("retry-after"));
        }
        connection.abort();
    }
    eventually("memory to be given back", async || client::fetch_path(addr, "/?mib=48").await.status == 200)
        .await;
}

#[tokio::test]
async fn beyond_max_connections_clients_wait() {
    let server = pounce().fixture("status.wat").flag("--max-connections", 2).start().await;
    let mut open = Vec::new();
    for _ in 0..2 {
        let mut connection = Connection::open(server.addr(), Protocol::H1).await;
        assert_eq!(connection.fetch(client::get("/200")).await.status, 200);
        open.push(connection);
    }
    let mut third = tokio::spawn(client::fetch_path(server.addr(), "/200"));
    let early = tokio::time::timeout(Duration::from_secs(2), &mut third).await;
    assert!(early.is_err(), "a third connection was served beside the two");
    open.remove(0).abort();
    assert_eq!(within("the third client's turn", third).await.unwrap().status, 200);
}
