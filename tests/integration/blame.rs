//! Who failed, and what it said: the message of a panic on its own span, and a link to it on those of its neighbours.

use crate::support::client::{self, WithHeader};
use crate::support::span::{Span, Status};
use crate::support::{Abi, Collector, Protocol, eventually, for_both_abis, pounce};
use std::collections::BTreeSet;

for_both_abis!(
    a_panics_message_is_the_exceptions,
    a_trap_without_a_message_has_none_of_an_earlier_panic,
    what_went_wrong_first_is_what_is_told,
);

fn exception(span: &Span, key: &str) -> String {
    span.event("exception")
        .attributes
        .get(&format!("exception.{key}"))
        .map(ToString::to_string)
        .unwrap_or_default()
}

async fn a_panics_message_is_the_exceptions(abi: Abi) {
    for isolation in ["request", "instance"] {
        let collector = Collector::start().await;
        let builder = pounce().guest(abi, "trap").flag("--isolation", isolation);
        let server = builder.traced(&collector).start().await;
        let answer = client::fetch_path(server.addr(), "/panic").await;
        assert_eq!(
            (answer.status.as_u16(), answer.text().contains("on purpose")),
            (500, false),
            "{isolation}"
        );
        let span = collector.span().await;
        assert_eq!(exception(&span, "type"), r#""wasm_trap.unreachable""#, "{isolation}");
        let message = exception(&span, "message");
        assert!(message.contains("the guest panicked on purpose"), "{isolation}: {message}");
        // Where in its own sources; never where those were on some machine.
        assert!(message.contains("kinds.rs:") && !message.contains(env!("CARGO_MANIFEST_DIR")), "{message}");
        assert!(!message.contains("note: run with"), "{message}");
        assert!(exception(&span, "stacktrace").contains("fail"), "{}", exception(&span, "stacktrace"));
        // Status and type are the panic's, not those of the 500 that came of it.
        assert_eq!(
            (span.text("error.type"), span.int("http.response.status_code")),
            ("wasm_trap.unreachable", Some(500))
        );
        assert!(
            matches!(&span.status, Status::Error(text) if text.contains("on purpose")),
            "{:?}",
            span.status
        );
        assert_eq!((span.events.len(), span.links.len()), (1, 0), "{isolation}");
    }
}

async fn a_trap_without_a_message_has_none_of_an_earlier_panic(abi: Abi) {
    let collector = Collector::start().await;
    let server = pounce().guest(abi, "trap").traced(&collector).start().await;
    for path in ["/panic", "/unreachable", "/oob"] {
        assert_eq!(client::fetch_path(server.addr(), path).await.status, 500);
    }
    for span in collector.spans(3).await {
        let has_message = exception(&span, "message").contains("on purpose");
        assert_eq!(has_message, span.text("url.path") == "/panic", "{}", span.name);
    }
}

/// What a guest says of its failure stands, whatever the host makes of the response.
async fn what_went_wrong_first_is_what_is_told(abi: Abi) {
    let collector = Collector::start().await;
    let server = pounce().guest(abi, "attributes").traced(&collector).start().await;
    let answer = client::fetch_path(server.addr(), "/?exception=it+broke&code=500").await;
    assert_eq!(answer.status, 500);
    let span = collector.span().await;
    assert_eq!(span.status, Status::Error("it broke".into()));
    assert_eq!(
        (exception(&span, "type"), exception(&span, "message")),
        (r#""guest.Failure""#.into(), r#""it broke""#.into())
    );
    assert_eq!((span.events.len(), span.text("error.type")), (1, "500"));
}

/// Where the component knows its sources, the stack says where in them.
#[tokio::test]
async fn a_stack_names_files_and_lines_where_there_is_dwarf() {
    let collector = Collector::start().await;
    let server = pounce().fixture("dwarf.wasm").traced(&collector).start().await;
    assert_eq!(client::fetch_path(server.addr(), "/").await.status, 500);
    let span = collector.span().await;
    assert_eq!(exception(&span, "type"), r#""wasm_trap.integer_divide_by_zero""#);
    let stack = exception(&span, "stacktrace").replace("\\n", "\n");
    let lines: Vec<_> = stack.trim_matches('"').lines().map(str::trim).collect();
    let [inner, inner_at, _outer, outer_at] = lines[..] else {
        panic!("two frames with their lines:\n{stack}")
    };
    assert!(inner.starts_with("0: fall"), "{stack}");
    assert!(inner_at.starts_with("at ") && inner_at.ends_with("dwarf.wat:11"), "{stack}");
    assert!(outer_at.starts_with("at ") && outer_at.ends_with("dwarf.wat:9"), "{stack}");
}

/// Requests that share a 0.3 instance with a panic fail with it, and say whose it was: by a link, not by its words.
#[tokio::test]
async fn neighbours_of_a_panic_link_to_it() {
    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    let collector = Collector::start().await;
    let server =
        pounce().guest(Abi::P3, "weave").flag("--retry-neighbours", "off").traced(&collector).start().await;
    let addr = server.addr();
    let mut failed = 0;
    let mut culprits = 0;
    eventually("a request to share an instance with a panic", async || {
        let waiting: Vec<_> = (0..8)
            .map(|n| {
                let request = client::get(&format!("/innocent?id={n}&steps=1000"));
                tokio::spawn(client::fetch(addr, Protocol::H1, request))
            })
            .collect();
        client::fetch_path(addr, "/?id=50&steps=20").await;
        let guilty = client::get("/guilty?id=99&steps=2&panic")
            .with("traceparent", format!("00-{TRACE}-{:016x}-01", culprits + 1));
        assert_eq!(client::fetch(addr, Protocol::H1, guilty).await.status, 500);
        culprits += 1;
        for task in waiting {
            match task.await.unwrap().status.as_u16() {
                200 => {}
                500 => failed += 1,
                status => panic!("status {status}"),
            }
        }
        failed > 0
    })
    .await;
    assert_eq!(client::fetch_path(addr, "/?id=1").await.status, 200, "a new instance takes over");
    server.stop().await;
    let spans = collector.received();
    let of_server = |path: &'static str| spans.iter().filter(move |span| span.text("url.path") == path);
    let guilty: BTreeSet<_> = of_server("/guilty").map(|span| (&span.trace_id, &span.span_id)).collect();
    assert_eq!(guilty.len(), culprits);
    for span in of_server("/guilty") {
        assert_eq!(span.text("error.type"), "wasm_trap.unreachable");
        assert!(exception(span, "message").contains("request 99 was told to panic"), "{span:?}");
        assert_eq!(span.links.len(), 0);
    }
    let beside: Vec<_> = of_server("/innocent").filter(|span| span.failed()).collect();
    assert_eq!(beside.len(), failed);
    for span in beside {
        assert_eq!(
            (span.text("error.type"), exception(span, "type")),
            ("worker_failed", r#""worker_failed""#.into())
        );
        let [link] = &span.links[..] else { panic!("one link on {span:?}") };
        assert!(guilty.contains(&(&link.trace_id, &link.span_id)), "{link:?}");
        // Of the other request not a word but its kind of failure.
        let told = format!("{:?} {:?} {:?}", span.status, span.events, span.attributes);
        assert!(!told.contains("was told to panic") && !told.contains("work.rs"), "{told}");
        assert!(exception(span, "message").contains("wasm_trap.unreachable"), "{told}");
        assert_eq!(exception(span, "stacktrace"), "", "it would be the other request's");
    }
    // What they were doing is told too, and that it was not done.
    assert!(spans.iter().any(|span| span.name.starts_with("outer ") && span.is_incomplete()));
}
