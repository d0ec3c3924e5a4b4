//! Memory, handles and time: what a guest can take of the host, over and over.

use super::{guest, said, trace_id};
use crate::support::client::{self, WithHeader};
use crate::support::{Abi, Collector, Protocol, for_both_abis};

for_both_abis!(
    bombs_take_no_memory_that_stays,
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

/// Handles that are never given back are the guest's own memory, and it is the guest that runs out of them.
async fn a_guest_that_hoards_handles_ends_and_nobody_else(abi: Abi) {
    let collector = Collector::start().await;
    let mut server = guest(abi).traced(&collector).start().await;
    for (n, path) in ["/span-bomb?n=100000", "/scope-bomb?n=100000"].into_iter().enumerate() {
        let request = client::get(path).with("traceparent", format!("00-{}-{:016x}-01", trace_id(n), 1));
        assert_eq!(client::fetch(server.addr(), Protocol::H1, request).await.status, 500, "{path}");
        super::somebody_else(&server, trace_id(10 + n)).await;
        let of_request = |span: &crate::support::span::Span| {
            span.trace_id == trace_id(n) && span.attributes.contains_key("url.scheme")
        };
        let span = collector.span_where(path, of_request).await;
        assert_eq!(span.int("http.response.status_code"), Some(500));
        assert!(span.text("error.type").starts_with("wasm_trap."), "{}", span.text("error.type"));
        let message = span.event("exception").attributes["exception.message"].to_string();
        assert!(
            message.contains("table") || message.contains("handle") || message.contains("resource"),
            "{message}"
        );
    }
    assert!(server.is_alive());
    let exit = server.stop().await;
    exit.expect(0, &[]);
    // A thousand spans of the bomb, the one that was entered, and four requests.
    assert_eq!((exit.totals().ended, exit.totals().exported), (1005, 1005), "{exit}");
    let spans = collector.received();
    assert_eq!(spans.iter().filter(|span| span.is_incomplete()).count(), 1001);
    for n in [10, 11] {
        let others: Vec<_> = spans.iter().filter(|span| span.trace_id == trace_id(n)).cloned().collect();
        super::expect_unaffected(&others);
    }
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
