//! What a client gets when a guest fails, and what the span says (DESIGN §2.2).

use crate::support::client::{self, Answer, Raw};
use crate::support::span::Span;
use crate::support::{Abi, Collector, Protocol, eventually, for_both_abis, pounce};

for_both_abis!(
    a_trap_is_500_and_names_its_kind_on_the_span,
    without_a_response_the_client_gets_an_error,
    an_error_code_decides_the_status,
    a_trap_after_the_head_never_looks_like_a_whole_response,
);

/// Words that a client has no business to know.
const INTERNALS: [&str; 7] =
    ["wasm", "trap", "unreachable", "panic", "guest", env!("CARGO_MANIFEST_DIR"), "src/"];

fn expect_plain(answer: &Answer, status: u16) {
    assert_eq!(answer.status, status);
    let body = answer.text().to_lowercase();
    let leaked: Vec<_> = INTERNALS.iter().filter(|word| body.contains(**word)).collect();
    assert!(leaked.is_empty(), "{leaked:?} in {body:?}");
}

async fn a_trap_is_500_and_names_its_kind_on_the_span(abi: Abi) {
    let collector = Collector::start().await;
    let server = pounce().guest(abi, "trap").traced(&collector).start().await;
    for (path, error_type) in [
        ("/unreachable", "wasm_trap.unreachable"),
        ("/panic", "wasm_trap.unreachable"),
        ("/oob", "wasm_trap.out_of_bounds"),
        ("/stack-overflow", "wasm_trap.stack_overflow"),
        ("/divide-by-zero", "wasm_trap.integer_divide_by_zero"),
        ("/exit", "wasm_trap.exit"),
        ("/exit?ok", "no_response"),
        ("/write-too-large", "wasm_trap.write_too_large"),
        ("/zeroes-too-large", "wasm_trap.write_too_large"),
    ] {
        for protocol in Protocol::BOTH {
            expect_plain(&client::fetch(server.addr(), protocol, client::get(path)).await, 500);
        }
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let is_it = |span: &Span| span.text("url.path") == path && span.text("url.query") == query;
        let span = collector.span_where(path, is_it).await;
        assert_eq!(span.text("error.type"), error_type, "{path}?{query}");
        assert!(span.failed(), "{path}: {:?}", span.status);
        assert_eq!(span.int("http.response.status_code"), Some(500), "{path}");
    }
    let spans = collector.spans(18).await;
    assert!(
        spans
            .iter()
            .all(|span| { span.events.iter().filter(|event| event.name == "exception").count() == 1 })
    );
    for (path, call) in [
        ("/write-too-large", " blocking-write-and-flush,"),
        ("/zeroes-too-large", " blocking-write-zeroes-and-flush,"),
    ] {
        let span = spans.iter().find(|span| span.text("url.path") == path).unwrap();
        let message = span.event("exception").attributes["exception.message"].to_string();
        assert!(message.contains("4097 bytes") && message.contains(call), "{path}: {message}");
    }
}

async fn without_a_response_the_client_gets_an_error(abi: Abi) {
    // A 0.2 handler can return without one, and nothing is waited for. The bindings of 0.3 have no such thing: there
    // the guest waits for ever for what never comes.
    let (timeout, status, error_type) = match abi {
        Abi::P2 => ("0", 500, "no_response"),
        Abi::P3 => ("1s", 504, "timeout"),
    };
    let collector = Collector::start().await;
    let server = pounce()
        .guest(abi, "no-response")
        .flag("--request-timeout", timeout)
        .traced(&collector)
        .start()
        .await;
    for protocol in Protocol::BOTH {
        expect_plain(&client::fetch(server.addr(), protocol, client::get("/")).await, status);
    }
    for span in collector.spans(2).await {
        assert_eq!(span.text("error.type"), error_type);
        assert!(span.failed());
    }
}

/// A task of 0.3 that exits without a result: no bindings would let it, but WebAssembly does.
#[tokio::test]
async fn a_task_without_a_result_is_no_response() {
    let collector = Collector::start().await;
    let server = pounce().fixture("no-result.wat").traced(&collector).start().await;
    for protocol in Protocol::BOTH {
        expect_plain(&client::fetch(server.addr(), protocol, client::get("/")).await, 500);
    }
    for span in collector.spans(2).await {
        assert_eq!(span.text("error.type"), "no_response");
        assert!(span.failed());
    }
}

async fn an_error_code_decides_the_status(abi: Abi) {
    let collector = Collector::start().await;
    let server = pounce().guest(abi, "error-code").traced(&collector).start().await;
    for (code, status) in [
        ("internal-error", 500),
        ("configuration-error", 500),
        ("connection-refused", 502),
        ("dns-error", 502),
        ("tls-certificate-error", 502),
        ("http-protocol-error", 502),
        ("dns-timeout", 504),
        ("connection-timeout", 504),
        ("http-response-timeout", 504),
    ] {
        let answer = client::fetch_path(server.addr(), &format!("/?code={code}")).await;
        expect_plain(&answer, status);
        let query = format!("code={code}");
        let span = collector.span_where(code, |span| span.text("url.query") == query).await;
        assert_eq!(span.text("error.type"), code.replace('-', "_"));
        assert_eq!(span.int("http.response.status_code"), Some(status.into()), "{code}");
        assert!(span.failed(), "{code}");
    }
}

async fn a_trap_after_the_head_never_looks_like_a_whole_response(abi: Abi) {
    let collector = Collector::start().await;
    let server = pounce().guest(abi, "trap").traced(&collector).start().await;

    let mut raw = Raw::open(server.addr()).await;
    raw.write("GET /after-head HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let bytes = raw.read_to_end().await;
    assert!(bytes.starts_with("HTTP/1.1 200"), "{bytes}");
    assert!(!bytes.ends_with("0\r\n\r\n"), "the last chunk says that the body is whole:\n{bytes}");

    let answer = client::fetch(server.addr(), Protocol::H1, client::get("/after-head")).await;
    assert_eq!(answer.status, 200);
    assert!(answer.error.is_some(), "the body ended well: {answer:?}");

    let answer = client::fetch(server.addr(), Protocol::H2, client::get("/after-head")).await;
    assert_eq!(answer.status, 200);
    let reset = answer.reset();
    assert!(reset.is_some_and(|reason| reason != h2::Reason::NO_ERROR), "{reset:?}, {answer:?}");

    for span in collector.spans(3).await {
        assert_eq!(span.text("error.type"), "wasm_trap.unreachable");
        assert!(span.failed());
        assert_eq!(span.int("http.response.status_code"), Some(200), "the status that was sent");
        span.event("exception");
    }
}

#[tokio::test]
async fn an_error_at_the_end_of_a_body_breaks_it_off() {
    let server = pounce().guest(Abi::P3, "error-code").start().await;
    let path = "/?code=connection-terminated&after-head";
    let answer = client::fetch(server.addr(), Protocol::H1, client::get(path)).await;
    assert!(answer.status == 200 && answer.error.is_some(), "{answer:?}");
    let answer = client::fetch(server.addr(), Protocol::H2, client::get(path)).await;
    assert!(answer.status == 200 && answer.reset().is_some(), "{answer:?}");
}

/// Requests that share a 0.3 instance share its end: the one that trapped is told apart from those that were only there.
#[tokio::test]
async fn requests_beside_a_trap_are_worker_failed() {
    let collector = Collector::start().await;
    let server = pounce()
        .guest(Abi::P3, "hog-memory")
        .flag("--max-memory", "32MiB")
        .flag("--retry-neighbours", "off")
        .traced(&collector)
        .start()
        .await;
    let addr = server.addr();
    // Which instance a request gets is the server's choice: again until some had company.
    let mut innocent = 0;
    eventually("a request to share an instance with a trap", async || {
        let waiting: Vec<_> =
            (0..8).map(|_| tokio::spawn(client::fetch_path(addr, "/innocent?mib=1&ms=2000"))).collect();
        // By when this one has been in and out, the eight are most likely in.
        client::fetch_path(addr, "/?mib=1&ms=200").await;
        assert_eq!(client::fetch_path(addr, "/guilty?mib=64").await.status, 500);
        for task in waiting {
            match task.await.unwrap().status.as_u16() {
                200 => {}
                500 => innocent += 1,
                status => panic!("status {status}"),
            }
        }
        innocent > 0
    })
    .await;
    assert_eq!(client::fetch_path(addr, "/?mib=1").await.status, 200, "a new instance takes over");
    let guilty = collector.span_where("of the trap", |span| span.text("url.path") == "/guilty").await;
    assert_eq!(guilty.text("error.type"), "out_of_memory");
    let beside: Vec<_> = collector
        .received()
        .into_iter()
        .filter(|span| span.text("url.path") == "/innocent" && span.failed())
        .collect();
    assert!(!beside.is_empty());
    assert!(beside.iter().all(|span| span.text("error.type") == "worker_failed"), "{beside:?}");
}

/// With an instance for each request nobody else notices a trap.
#[tokio::test]
async fn with_isolation_a_trap_is_nobody_elses() {
    let server = pounce()
        .guest(Abi::P3, "hog-memory")
        .flag("--max-memory", "32MiB")
        .flag("--isolation", "request")
        .start()
        .await;
    let addr = server.addr();
    let waiting: Vec<_> = (0..8).map(|_| tokio::spawn(client::fetch_path(addr, "/?mib=1&ms=1500"))).collect();
    for _ in 0..4 {
        assert_eq!(client::fetch_path(addr, "/?mib=64&ms=100").await.status, 500);
    }
    for task in waiting {
        assert_eq!(task.await.unwrap().text(), "took 1 MiB\n");
    }
}
