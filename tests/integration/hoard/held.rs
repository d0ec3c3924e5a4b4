//! What the host keeps for guests: an instance may have so much of it, all together so much, and it is given back.

use crate::support::client::{self, Answer};
use crate::support::{Abi, Collector, Protocol, eventually, for_both_abis, pounce};

for_both_abis!(
    an_instance_may_have_so_much_kept,
    all_instances_may_have_so_much_kept,
    who_gets_no_memory_for_want_of_it_is_shed,
    what_is_kept_after_the_head_breaks_the_response_off,
);

const MIB: u64 = 1 << 20;

/// Each kind of thing, far more of it than there is room for.
async fn an_instance_may_have_so_much_kept(abi: Abi) {
    let kinds: &[&str] = match abi {
        Abi::P2 => &[
            "/fields?n=2000",
            "/requests?n=2000&bytes=60000",
            "/bodies?n=2000",
            "/files?n=800",
            "/list?n=500000&ms=86400000",
        ],
        Abi::P3 => &[
            "/fields?n=2000",
            "/requests?n=2000&bytes=60000",
            "/streams?n=200000",
            "/futures?n=200000",
            "/timers?n=200000",
            "/sets?n=200000",
        ],
    };
    let collector = Collector::start().await;
    let folder = tempfile::tempdir().unwrap();
    let directory = format!("{}::/:rw", folder.path().display());
    for kind in kinds {
        let mut server = pounce()
            .guest(abi, "hoard")
            .flag("--request-timeout", "50s")
            .flag("--dir", &directory)
            .traced(&collector)
            .start()
            .await;
        assert_eq!(client::fetch_path(server.addr(), "/fields?n=10").await.text(), "kept 10\n");
        let before = server.resident();
        let path = kind.split('?').next().unwrap();
        let (answer, peak) = server.watched(tokio::spawn(client::fetch_path(server.addr(), kind))).await;
        assert_eq!(answer.status, 500, "{kind}: {answer:?}");
        // What may be kept, and the guest's own memory.
        let grown = peak.saturating_sub(before);
        assert!(grown < 64 * MIB, "{kind}: {} MiB", grown / MIB);
        let of_it = |span: &crate::support::span::Span| {
            span.text("url.path") == path && span.int("http.response.status_code") == Some(500)
        };
        let span = collector.span_where("of it", of_it).await;
        // Of handles there may be so many.
        let kinds = ["out_of_memory", "wasm_trap.host_error"];
        assert!(span.failed() && kinds.contains(&span.text("error.type")), "{span:?}");
        // Somebody else has as much room as ever.
        assert_eq!(client::fetch_path(server.addr(), "/fields?n=300").await.text(), "kept 300\n");
        assert!(server.is_alive());
    }
}

/// Many that each stay below their own limit. What a slot costs that an instance has had is the pool's, not a guest's: as
/// many have had theirs before.
async fn all_instances_may_have_so_much_kept(abi: Abi) {
    const LIMIT: u64 = 96 * MIB;
    let server = pounce()
        .guest(abi, "hoard")
        .flag("--max-total-memory", "96MiB")
        .flag("--isolation", "request")
        .flag("--request-timeout", "50s")
        .start()
        .await;
    let addr = server.addr();
    let at_once = |path: &'static str| async move {
        let tasks: Vec<_> = (0..32).map(|_| tokio::spawn(client::fetch_path(addr, path))).collect();
        let mut answers: Vec<Answer> = Vec::new();
        for task in tasks {
            answers.push(task.await.unwrap());
        }
        answers
    };
    assert!(at_once("/fields?n=10&ms=1000").await.iter().all(|answer| answer.status == 200));
    let before = server.resident();
    let (answers, peak) = server.watched(tokio::spawn(at_once("/fields?n=300&ms=2000"))).await;
    let shed = answers.iter().filter(|answer| answer.status == 503).collect::<Vec<_>>();
    assert!(shed.iter().all(|answer| !answer.header("retry-after").is_empty()));
    let kept = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(kept + shed.len(), answers.len(), "{answers:?}");
    assert!(!shed.is_empty() && kept > 0, "{kept} of {} kept it all", answers.len());
    let grown = peak.saturating_sub(before);
    assert!(grown < LIMIT + LIMIT / 5, "{} MiB", grown / MIB);
    // All of it has been given back.
    eventually("room for one that keeps as much", async || {
        client::fetch_path(addr, "/fields?n=300").await.status == 200
    })
    .await;
}

/// One has nearly all there is; another is let in, and wants more than is left.
async fn who_gets_no_memory_for_want_of_it_is_shed(abi: Abi) {
    let collector = Collector::start().await;
    let server = pounce()
        .guest(abi, "hoard")
        .flag("--max-total-memory", "64MiB")
        .flag("--isolation", "request")
        .flag("--request-timeout", "50s")
        .traced(&collector)
        .start()
        .await;
    let addr = server.addr();
    let one = tokio::spawn(client::fetch_path(addr, "/memory?n=40&bytes=1048576&ms=8000"));
    let resident = server.resident();
    eventually("the first to have its memory", async || server.resident() > resident + 38 * MIB).await;
    for (protocol, path) in [(Protocol::H1, "/memory?n=32&bytes=1048576"), (Protocol::H2, "/fields?n=400")] {
        let answer = client::fetch(addr, protocol, client::get(path)).await;
        assert_eq!(answer.status, 503, "{protocol:?} {path}: {answer:?}");
        assert!(!answer.header("retry-after").is_empty(), "{protocol:?} {path}");
    }
    assert_eq!(one.await.unwrap().text(), "kept 40\n");
    let shed = |span: &crate::support::span::Span| span.text("error.type") == "overloaded";
    let span = collector.span_where("of one that was shed", shed).await;
    assert!(span.failed());
    assert_eq!(span.int("http.response.status_code"), Some(503));
    let exit = server.stop().await;
    assert!(exit.stderr.contains("requests shed for want of room"), "{exit}");
}

/// The head is out: all that is left is to break off.
async fn what_is_kept_after_the_head_breaks_the_response_off(abi: Abi) {
    let server = pounce().guest(abi, "hoard").flag("--request-timeout", "50s").start().await;
    for protocol in Protocol::BOTH {
        let answer = client::fetch(server.addr(), protocol, client::get("/fields?n=400&after")).await;
        assert_eq!(answer.status, 200, "{protocol:?}");
        assert!(answer.error.is_some(), "{protocol:?}: it looks whole");
    }
    assert_eq!(client::fetch_path(server.addr(), "/fields?n=300").await.text(), "kept 300\n");
}

/// A read of a stream is given up at the end that writes: whatever comes of it, others are served.
#[tokio::test]
async fn the_wrong_end_of_a_stream_costs_nobody_else() {
    let mut server = pounce().guest(Abi::P3, "hoard").start().await;
    for protocol in Protocol::BOTH {
        for _ in 0..5 {
            let answer = client::fetch(server.addr(), protocol, client::get("/ends")).await;
            assert!([200, 500].contains(&answer.status.as_u16()), "{protocol:?}: {answer:?}");
            let answer = client::fetch(server.addr(), protocol, client::get("/fields?n=10")).await;
            assert_eq!(answer.text(), "kept 10\n", "{protocol:?}");
        }
    }
    assert!(server.is_alive());
    server.stop().await.expect(0, &[]);
}
