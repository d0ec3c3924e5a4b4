//! A guest's failure by its own name: exceptions of JavaScript and Python on the span of the request that they failed,
//! wherever they happen; and what the runtimes of these languages cannot do.

use crate::support::attributes::Value as Attribute;
use crate::support::client::{self, Connection, WithHeader};
use crate::support::guest::built;
use crate::support::pounce::Builder;
use crate::support::span::{Event, Span, Status};
use crate::support::{Abi, Collector, PATIENCE, Protocol, eventually, pounce};

/// A guest of another language: compiling its runtime takes a while, once.
fn serving(stem: &str) -> Builder {
    pounce().component(built(stem)).patience(PATIENCE * 5).flag("--max-memory", "64MiB")
}

/// What happens to a request for a path.
struct Case {
    path: &'static str,
    /// What the client gets; `breaks` where the response breaks off after that.
    status: u16,
    breaks: bool,
    error_type: &'static str,
    /// `exception.type`, the end of `exception.message`, and what is in `exception.stacktrace`.
    exception: Option<(&'static str, &'static str, &'static str)>,
}

/// Before the head.
fn fails(
    path: &'static str,
    error_type: &'static str,
    exception: (&'static str, &'static str, &'static str),
) -> Case {
    Case { path, status: 500, breaks: false, error_type, exception: Some(exception) }
}

/// After it.
fn breaks(
    path: &'static str,
    error_type: &'static str,
    exception: (&'static str, &'static str, &'static str),
) -> Case {
    Case { path, status: 200, breaks: true, error_type, exception: Some(exception) }
}

/// The guest goes on.
fn survives(path: &'static str, exception: Option<(&'static str, &'static str, &'static str)>) -> Case {
    Case { path, status: 200, breaks: false, error_type: "", exception }
}

fn of(event: &Event, key: &str) -> String {
    match event.attributes.get(&format!("exception.{key}")) {
        Some(Attribute::Text(text)) => text.clone(),
        _ => String::new(),
    }
}

impl Case {
    fn check(&self, span: &Span) {
        let Case { path, error_type, .. } = self;
        assert_eq!(span.text("error.type"), *error_type, "{path}: {span:?}");
        assert_eq!(span.failed(), !error_type.is_empty(), "{path}: {span:?}");
        let events: Vec<_> = span.events.iter().filter(|event| event.name == "exception").collect();
        assert_eq!(events.len(), usize::from(self.exception.is_some()), "{path}: {span:?}");
        if let (Some((kind, message, stack)), [event]) = (self.exception, &events[..]) {
            assert_eq!(of(event, "type"), kind, "{path}");
            assert!(of(event, "message").ends_with(message), "{path}: {event:?}");
            let trace = of(event, "stacktrace");
            assert!(
                if stack.is_empty() { trace.is_empty() } else { trace.contains(stack) },
                "{path}: {trace}"
            );
            if span.failed() {
                assert_eq!(span.status, Status::Error(of(event, "message")), "{path}");
            }
        }
    }
}

async fn are_told(stem: &str, cases: &[Case]) {
    let collector = Collector::start().await;
    let server = serving(stem).flag("--request-timeout", "10s").traced(&collector).start().await;
    for case in cases {
        for protocol in Protocol::BOTH {
            let answer = client::fetch(server.addr(), protocol, client::get(case.path)).await;
            let found = (answer.status.as_u16(), answer.error.is_some());
            assert_eq!(found, (case.status, case.breaks), "{} over {protocol:?}: {answer:?}", case.path);
            let text = String::from_utf8_lossy(&answer.body);
            assert!(!text.contains("purpose") && !text.contains("Error:"), "{}: {text}", case.path);
        }
    }
    let spans = collector.spans(2 * cases.len()).await;
    for case in cases {
        let path = case.path.split('?').next().unwrap();
        let of_path: Vec<_> = spans.iter().filter(|span| span.text("url.path") == path).collect();
        assert_eq!(of_path.len(), 2, "{path}");
        of_path.iter().for_each(|span| case.check(span));
    }
}

const NEVER: &str = "a promise that never settles, or an exception before respondWith";
const UNREACHABLE: &str = "wasm `unreachable` instruction executed";
const NO_MEMORY: &str = "(guest.max-memory)";

/// StarlingMonkey answers for its guest, and leaves that response unfinished. It prints no type of an error that a promise
/// is rejected with.
#[tokio::test]
async fn javascript_exceptions() {
    are_told(
        "fails-js",
        &[
            fails("/listener?id=1", "guest_exception", ("RangeError", "listener 1", "app.js:")),
            fails("/before?id=2", "guest_exception", ("Error", "before 2", "reject@js/fails/app.js:")),
            fails("/caused?id=3", "guest_exception", ("Error", "caused 3\nStack:", "Caused by: the cause")),
            fails("/never", "guest_exception", ("Error", NEVER, "")),
            fails("/memory", "out_of_memory", ("Error", NO_MEMORY, "answer@js/fails/app.js:")),
            // What the runtime itself traps for has no exception before it: its wasm backtrace is all there is.
            fails("/trap", "wasm_trap.unreachable", ("wasm_trap.unreachable", UNREACHABLE, "<wasm function")),
            // It ends the body as if it were whole: a body is never broken off for what is printed.
            survives("/stream?id=4", Some(("Mistake", "stream 4", "app.js:"))),
            survives("/background?id=5", Some(("Error", "background 5", "reject@js/fails/app.js:"))),
            survives("/print", None),
            survives("/", None),
        ],
    )
    .await;
}

#[tokio::test]
async fn python_exceptions() {
    are_told(
        "fails-py",
        &[
            fails(
                "/before?2",
                "wasm_trap.unreachable",
                ("app.Mistake", "on purpose:\n/before?2", "KeyError: '/before?2'"),
            ),
            fails("/exit", "wasm_trap.exit", ("wasm_trap.exit", "exited with status 1", "")),
            fails("/exit-well", "no_response", ("no_response", "exited before it answered", "")),
            fails("/memory", "out_of_memory", ("MemoryError", NO_MEMORY, "in handle")),
            breaks(
                "/stream?3",
                "wasm_trap.unreachable",
                ("app.Mistake", "on purpose: /stream?3", "in answer"),
            ),
            breaks(
                "/write",
                "wasm_trap.write_too_large",
                ("wasm_trap.write_too_large", "in pieces", "blocking-write-and-flush"),
            ),
            survives("/print", None),
            survives("/", None),
        ],
    )
    .await;
}

#[tokio::test]
async fn python_exceptions_of_0_3() {
    are_told(
        "fails-p3-py",
        &[
            fails(
                "/before?2",
                "wasm_trap.unreachable",
                ("app.Mistake", "on purpose: /before?2", "in handle"),
            ),
            // In a task that has waited it is an exception like others.
            fails("/exit", "wasm_trap.unreachable", ("SystemExit", "3", "in handle")),
            fails("/memory", "out_of_memory", ("MemoryError", NO_MEMORY, "in handle")),
            breaks(
                "/stream?3",
                "wasm_trap.unreachable",
                ("app.Mistake", "on purpose: /stream?3", "in write"),
            ),
            survives("/", None),
        ],
    )
    .await;
}

#[tokio::test]
async fn quickjs_exceptions() {
    are_told(
        "fails-qjs-js",
        &[
            fails(
                "/before?2",
                "wasm_trap.unreachable",
                ("Error", "before /before?2", "at fail (/js/fails-qjs/app.js:"),
            ),
            fails("/memory", "out_of_memory", ("Error", NO_MEMORY, "at handle (/js/fails-qjs/app.js:")),
            // It ends the body as if it were whole, and prints nothing.
            survives("/stream", None),
            survives("/", None),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_guest_that_computes_for_ever_runs_out_of_time() {
    for stem in ["fails-js", "fails-py", "fails-p3-py", "fails-qjs-js"] {
        let collector = Collector::start().await;
        let server = serving(stem).flag("--request-timeout", "500ms").traced(&collector).start().await;
        assert_eq!(client::fetch_path(server.addr(), "/loop").await.status, 504, "{stem}");
        let span = collector.span().await;
        assert_eq!(
            (span.text("error.type"), of(span.event("exception"), "type")),
            ("timeout", "timeout".into())
        );
    }
}

/// What fails when the response is over is a line of the log and a log record, and no request's failure.
#[tokio::test]
async fn an_exception_after_the_response_is_told_in_the_log() {
    for (stem, path, kind, message) in [
        ("fails-py", "/after?7", "app.Mistake", "on purpose: /after?7"),
        ("fails-p3-py", "/after?7", "app.Mistake", "on purpose: /after?7"),
        ("trap", "/after", "wasm_trap.unreachable", "the guest panicked on purpose"),
        ("trap-p3", "/after", "wasm_trap.unreachable", "the guest panicked on purpose"),
    ] {
        let collector = Collector::start().await;
        let mut server = serving(stem)
            .traced(&collector)
            .env("OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN", "logs")
            .start()
            .await;
        // Of 0.2 the body goes out with its end when the guest has ended: only a slow one is over before.
        let answer = client::fetch_path(server.addr(), path).await;
        assert_eq!(answer.status, 200, "{stem}");
        let span = collector.span().await;
        if answer.error.is_none() {
            server
                .logged(&["guest failed after its response was over", message.split(':').next().unwrap()])
                .await;
            assert!(!span.failed(), "{stem}: {span:?}");
        }
        server.stop().await;
        let records = collector.own_log_records();
        let record = records.iter().find(|record| record.event == "http.server.request.exception");
        let record = record.unwrap_or_else(|| panic!("{stem}: {records:?}"));
        assert_eq!((&record.trace_id, &record.span_id), (&span.trace_id, &span.span_id), "{stem}");
        assert_eq!(record.attributes["exception.type"].to_string(), format!("{kind:?}"), "{stem}");
        let told = record.attributes["exception.message"].to_string();
        assert!(told.contains(message), "{stem}: {told}");
    }
}

/// StarlingMonkey goes on after a rejection that nobody handles: with the response over, it is a line of the log and a log
/// record.
#[tokio::test]
async fn a_rejection_after_the_response_is_told_in_the_log() {
    let collector = Collector::start().await;
    let mut server = serving("fails-js")
        .traced(&collector)
        .env("OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN", "logs")
        .start()
        .await;
    assert_eq!(client::fetch_path(server.addr(), "/later?id=7").await.text(), "fine\n");
    let span = collector.span().await;
    assert!(!span.failed() && span.events.is_empty(), "{span:?}");
    server.logged(&["the guest went on after an exception: later 7", &span.trace_id]).await;
    server.stop().await;
    let records = collector.own_log_records();
    let record = records.iter().find(|record| record.attributes.contains_key("exception.message"));
    let record = record.unwrap_or_else(|| panic!("{records:?}"));
    assert_eq!((&record.trace_id, &record.span_id), (&span.trace_id, &span.span_id));
    assert_eq!(record.attributes["exception.type"].to_string(), r#""Error""#);
    assert_eq!(record.attributes["exception.message"].to_string(), r#""later 7""#);
    assert!(record.attributes["exception.stacktrace"].to_string().contains("rejectLater"), "{record:?}");
}

/// Sixteen requests under way at once, three kinds of failures among them: each span tells of its own.
#[tokio::test]
async fn interleaved_failures_stay_apart() {
    for (stem, paths, isolation) in [
        ("fails-js", ["/before?id=", "/stream?id=", "/listener?id=", "/?id="], "request"),
        ("fails-py", ["/before?id=", "/stream?id=", "/print?id=", "/?id="], "request"),
        ("fails-p3-py", ["/before?id=", "/stream?id=", "/before?and&id=", "/?id="], "request"),
        ("fails-qjs-js", ["/before?id=", "/before?and&id=", "/before?or&id=", "/?id="], "request"),
        ("fails-py", ["/before?id=", "/stream?id=", "/print?id=", "/?id="], "instance"),
        ("fails-p3-py", ["/before?id=", "/stream?id=", "/before?and&id=", "/?id="], "instance"),
        ("fails-qjs-js", ["/before?id=", "/before?and&id=", "/before?or&id=", "/?id="], "instance"),
    ] {
        let collector = Collector::start().await;
        let server = serving(stem).flag("--isolation", isolation).traced(&collector).start().await;
        let mut connection = Connection::open(server.addr(), Protocol::H2).await;
        let trace = |n: usize| format!("{:032x}", 0xe0_0000 + n);
        let started: Vec<_> = (0..16)
            .map(|n| {
                let request = client::get(&format!("{}{n}", paths[n % 4]))
                    .with("traceparent", format!("00-{}-{:016x}-01", trace(n), n + 1));
                tokio::spawn(connection.start(request))
            })
            .collect();
        for response in started {
            client::Answer::read(response.await.unwrap().expect("a response")).await;
        }
        // In an instance that requests share, the first that traps takes the others along: those say so, and no more.
        let is_shared = stem.contains("p3") || stem.contains("qjs");
        let may_be_taken_along = is_shared && isolation == "instance";
        let mut told = 0;
        for span in collector.spans(16).await {
            let n = (0..16).find(|n| trace(*n) == span.trace_id).expect("a trace of ours");
            let is_quiet = ["/?id=", "/print?id="].contains(&paths[n % 4]);
            let raised: Vec<_> = span.events.iter().filter(|event| event.name == "exception").collect();
            if may_be_taken_along && span.text("error.type") == "worker_failed" {
                assert_eq!(raised.len(), 1, "{stem} {n}: {raised:?}");
                let message = of(raised[0], "message");
                assert_eq!(
                    message, "another request of the instance failed: wasm_trap.unreachable",
                    "{stem} {n}"
                );
                continue;
            }
            assert_eq!(raised.len(), usize::from(!is_quiet), "{stem} {isolation} {n}: {raised:?}");
            for message in raised.into_iter().map(|event| of(event, "message")) {
                let own = message.rsplit(['=', ' ']).next().and_then(|id| id.parse().ok());
                assert_eq!(own, Some(n), "{stem}: {message}");
                assert!(message.contains(span.text("url.path").trim_matches('/')), "{stem}: {message}");
                told += 1;
            }
        }
        assert!(told > 0, "{stem} {isolation}: nobody's own exception");
    }
}

/// A fetch event is all that an instance of StarlingMonkey's answers, whatever the operator would like.
#[tokio::test]
async fn javascript_gets_a_fresh_instance_for_each_request() {
    let mut server = serving("hello-js").flag("--isolation", "instance").start().await;
    for _ in 0..3 {
        assert_eq!(client::fetch_path(server.addr(), "/").await.text(), "Hello from JavaScript!\n");
    }
    server.logged(&["WARN", "componentize-js", "answers one request in each instance"]).await;
    let check = serving("hello-js").command("check").flag("--isolation", "instance").run().await;
    check.expect(0, &[]);
    assert!(check.stdout.contains("request: a fresh instance for each"), "{check}");
    assert!(check.stdout.contains("warning: it was made by componentize-js"), "{check}");
}

/// A task that a handler of Python 0.3 leaves running ends its instance: the neighbours are not in it.
#[tokio::test]
async fn python_of_0_3_gets_a_fresh_instance_by_default() {
    let mut server = serving("fails-p3-py").start().await;
    let addr = server.addr();
    let waiting: Vec<_> = (0..4).map(|_| tokio::spawn(client::fetch_path(addr, "/"))).collect();
    client::fetch_path(addr, "/outlive").await;
    for task in waiting {
        assert_eq!(task.await.unwrap().text(), "fine\n");
    }
    server.logged(&["INFO", "componentize-py", "gets one of its own", "--isolation instance"]).await;
    let check = serving("fails-p3-py").command("check").run().await;
    check.expect(0, &[]);
    assert!(check.stdout.contains("request: a fresh instance for each"), "{check}");
    assert!(check.stdout.contains("warning: it was made by componentize-py"), "{check}");
}

/// componentize-qjs wraps what it makes together with code of its own, which can call nobody: that is no composition.
#[tokio::test]
async fn quickjs_instances_are_shared() {
    let collector = Collector::start().await;
    let server = serving("fails-qjs-js").traced(&collector).start().await;
    let addr = server.addr();
    eventually("a request to find an instance that has served", async || {
        let all: Vec<_> = (0..16).map(|_| tokio::spawn(client::fetch_path(addr, "/"))).collect();
        for task in all {
            assert_eq!(task.await.unwrap().text(), "fine\n");
        }
        let reused = |span: &Span| span.attributes["pounce.instance.reused"].to_string() == "true";
        collector.received().iter().any(reused)
    })
    .await;
}

/// A guest that drops its way to answer, and then ends otherwise than by returning, is asked for its end.
#[tokio::test]
async fn an_instance_that_never_answered_is_not_used_again() {
    let collector = Collector::start().await;
    let server = pounce()
        .guest(Abi::P2, "no-response")
        .flag("--isolation", "instance")
        .traced(&collector)
        .start()
        .await;
    for _ in 0..2 {
        assert_eq!(client::fetch_path(server.addr(), "/").await.status, 500);
    }
    for span in collector.spans(2).await {
        assert_eq!(span.attributes["pounce.instance.reused"].to_string(), "false", "{span:?}");
        assert_eq!(span.text("error.type"), "no_response");
    }
}
