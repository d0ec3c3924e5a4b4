//! The tree that people read: the server span, under it what the guest did, under that whom it called.

use crate::support::client;
use crate::support::origin::Origin;
use crate::support::{Abi, for_both_abis, pounce};

for_both_abis!(guest_spans_and_calls_stand_below_their_parents, what_is_left_open_is_marked);

/// The titles of the tree on stderr, as far as they are the same every time: no times, no attributes.
fn titles(stderr: &str) -> String {
    let titles = stderr.lines().filter_map(|line| {
        let (before, title) = line.split_once("● ")?;
        let (name, facts) = title.split_once("  ")?;
        let facts: Vec<_> = facts.split(" · ").collect();
        Some(format!("{before}● {name} ({}, {})\n", facts.first()?, facts.last()?))
    });
    titles.collect()
}

async fn guest_spans_and_calls_stand_below_their_parents(abi: Abi) {
    let (fine, broken) = (Origin::answering(200).await, Origin::answering(503).await);
    let server = pounce()
        .guest(abi, "calls")
        .flag("--otel-exporter", "console")
        .flag("--allow-outbound", "http://127.0.0.1:*")
        .start()
        .await;
    let path = format!("/calls?span&url={}&url={}", fine.url("/a"), broken.url("/b"));
    assert_eq!(client::fetch_path(server.addr(), &path).await.status, 200);
    let exit = server.stop().await;
    exit.expect(0, &["url.full", &fine.url("/a"), &broken.url("/b"), "pounce.connection.reused"]);
    let expected = "\
● GET /calls (server, ok)
└─● calls (internal, unset)
  ├─● GET (client, unset)
  └─● GET (client, error)
";
    assert_eq!(titles(&exit.stderr), expected, "{exit}");
    // Its own attributes stand to the right of the line that leads to the next.
    let line = exit.stderr.lines().find(|line| line.contains("url.full")).expect("url.full");
    assert!(line.starts_with("  │   url.full") && line.ends_with(&fine.url("/a")), "{line:?}");
}

async fn what_is_left_open_is_marked(abi: Abi) {
    let server = pounce().guest(abi, "spans").flag("--otel-exporter", "console").start().await;
    for path in ["/parents", "/open", "/status"] {
        assert_eq!(client::fetch_path(server.addr(), path).await.status, 200);
    }
    let exit = server.stop().await;
    exit.expect(0, &["pounce.incomplete"]);
    let titles = titles(&exit.stderr);
    let parents = "\
● GET /parents (server, ok)
├─● root (internal, unset)
│ └─● current (internal, unset)
├─● invocation (internal, unset)
└─● after both (internal, unset)
";
    let status = "\
● GET /status (server, ok)
├─● ok (internal, ok)
├─● error (internal, error: it broke)
├─● error then ok (internal, ok)
├─● ok then error (internal, ok)
└─● unset again (internal, error: forgiven)
";
    for expected in [parents, status] {
        assert!(titles.contains(expected), "{expected}is not in\n{titles}");
    }
    assert!(titles.contains("● open (internal, unset)\n"), "{titles}");
}
