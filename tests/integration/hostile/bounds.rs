//! Memory, handles and time: what a guest can take of the host, over and over.

use super::{deed_at, guest, said, trace_id};
use crate::support::client::{self, WithHeader};
use crate::support::{Abi, Collector, Protocol, for_both_abis};

for_both_abis!(
    bombs_take_no_memory_that_stays,
    handles_that_are_hoarded_do_nothing,
    a_guest_that_hoards_handles_ends_and_nobody_else,
    bombs_beside_others_leave_them_alone,
);

/// Twenty bombs, then forty more: what the first twenty took is all there is to take.
async fn bombs_take_no_memory_that_stays(abi: Abi) {
    let collector = Collector::start().await;
    let server = guest(abi).traced(&collector).start().await;
    let bombs = async |count: usize| {
        for n in 0..count {
            let path =
                ["/span-bomb?n=10000&close", "/attributes?n=1000", "/big-spans", "/links?n=500"][n % 4];
            assert_eq!(client::fetch_path(server.addr(), path).await.status, 200, "{path}");
        }
    };
    bombs(20).await;
    let before = server.resident();
    bombs(20).await;
    bombs(20).await;
    let grown = server.resident().saturating_sub(before);
    assert!(grown < 48 << 20, "{grown} bytes more after 40 bombs more");
    let exit = server.stop().await;
    exit.expect(0, &[]);
    assert_eq!(exit.totals().ended, exit.totals().exported + exit.totals().dropped, "{exit}");
    // 9000 of each bomb, and some of those that filled their mebibyte.
    let dropped = said(&exit, "spans under requests dropped");
    assert!((15 * 9000..15 * 10_000).contains(&dropped), "{exit}");
}

/// Handles that are never given back do nothing beyond a limit, and cost the guest nothing but its own memory.
async fn handles_that_are_hoarded_do_nothing(abi: Abi) {
    let invalid = "telemetry calls of guests that were invalid or over a limit";
    // What is held is added up again and again, which takes a debug build on a busy machine as long as it takes.
    let patient = || guest(abi).flag("--request-timeout", "none");
    let done = deed_at(patient(), "/span-bomb?n=100000").await;
    assert_eq!(done.own("bomb ").len(), 1000);
    assert!(done.own("bomb ").iter().all(|span| span.is_incomplete()));
    assert_eq!(done.said("spans under requests dropped"), 99_000);
    // Half of what a store may have: the guest needs the rest to answer.
    assert_eq!(done.said(invalid), 95_000);
    let done = deed_at(patient(), "/scope-bomb?n=100000").await;
    assert_eq!((done.own("entered").len(), done.spans.len()), (1, 2));
    assert_eq!(done.said(invalid), 100_000 - 1024);
}

/// A guest that takes more handles than any may hold is ended, and it alone: what it did until then is told.
async fn a_guest_that_hoards_handles_ends_and_nobody_else(abi: Abi) {
    let collector = Collector::start().await;
    let mut server = guest(abi).traced(&collector).start().await;
    let traceparent = format!("00-{}-{:016x}-01", trace_id(0), 1);
    let request = client::get("/scope-bomb?n=200000").with("traceparent", traceparent);
    assert_eq!(client::fetch(server.addr(), Protocol::H1, request).await.status, 500);
    super::somebody_else(&server, trace_id(1)).await;
    assert!(server.is_alive());
    let exit = server.stop().await;
    exit.expect(0, &[]);
    let (spans, others): (Vec<_>, Vec<_>) =
        collector.received().into_iter().partition(|span| span.trace_id == trace_id(0));
    super::expect_unaffected(&others);
    let [server, entered] = &spans[..] else { panic!("{spans:?}") };
    assert_eq!(server.int("http.response.status_code"), Some(500));
    assert!(server.text("error.type").starts_with("wasm_trap."), "{}", server.text("error.type"));
    let message = server.event("exception").attributes["exception.message"].to_string();
    assert!(message.contains("handle"), "{message}");
    assert!(entered.name == "entered" && entered.is_incomplete());
    assert_eq!((exit.totals().ended, exit.totals().exported), (3, 3), "{exit}");
}

/// While some do their worst, others are served, and their traces are what they would be.
async fn bombs_beside_others_leave_them_alone(abi: Abi) {
    const OTHERS: usize = 40;
    let collector = Collector::start().await;
    let server = guest(abi).env("OTEL_BSP_MAX_QUEUE_SIZE", 100_000).traced(&collector).start().await;
    let addr = server.addr();
    let bombs: Vec<_> = ["/span-bomb?n=20000&close", "/events?n=2000", "/attributes?n=2000", "/names"]
        .into_iter()
        .map(|path| tokio::spawn(client::fetch_path(addr, path)))
        .collect();
    for n in 0..OTHERS {
        super::somebody_else(&server, trace_id(n)).await;
    }
    for bomb in bombs {
        assert_eq!(bomb.await.unwrap().status, 200);
    }
    let exit = server.stop().await;
    exit.expect(0, &[]);
    let spans = collector.received();
    for n in 0..OTHERS {
        let others: Vec<_> = spans.iter().filter(|span| span.trace_id == trace_id(n)).cloned().collect();
        super::expect_unaffected(&others);
    }
}
