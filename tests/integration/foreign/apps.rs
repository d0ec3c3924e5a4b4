//! Applications in the frameworks of others, each built by its own language's tools (guests/foreign): what their authors
//! mean arrives, on the right traces, and instances are reused where that is sound. `make test-foreign` builds and runs them.

use crate::support::client::{self, WithHeader};
use crate::support::guest::foreign;
use crate::support::origin::Origin;
use crate::support::pounce::Builder;
use crate::support::span::Span;
use crate::support::{Abi, Collector, PATIENCE, Protocol, pounce};
use http::Method;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;

/// A request, and what the application's author means it to be answered with.
struct Exchange {
    method: Method,
    path: &'static str,
    body: &'static str,
    status: u16,
    text: &'static str,
    /// A header of the answer, with its value.
    header: Option<(&'static str, &'static str)>,
    /// `error.type` of a request that fails, what its exception's message ends with, and what is in the stack.
    failure: Option<(&'static str, &'static str, &'static str)>,
}

fn gets(path: &'static str, status: u16, text: &'static str) -> Exchange {
    Exchange { method: Method::GET, path, body: "", status, text, header: None, failure: None }
}

fn posts(path: &'static str, body: &'static str, status: u16, text: &'static str) -> Exchange {
    Exchange { method: Method::POST, body, ..gets(path, status, text) }
}

/// What the application does not answer itself.
fn fails(
    path: &'static str,
    error_type: &'static str,
    message: &'static str,
    stack: &'static str,
) -> Exchange {
    Exchange { failure: Some((error_type, message, stack)), ..gets(path, 500, "Internal Server Error\n") }
}

impl Exchange {
    fn with(self, name: &'static str, value: &'static str) -> Self {
        Self { header: Some((name, value)), ..self }
    }
}

/// An application of guests/foreign.
struct App {
    stem: String,
    exchanges: Vec<Exchange>,
    /// What it answers to `/call?url=…` when the service there says 201, if it calls others.
    calls: Option<&'static str>,
    /// Whether `--isolation instance` reuses its instances; if not, what the warning says.
    reused: Result<(), &'static str>,
}

impl App {
    /// Compiling a language's runtime takes a while, once.
    fn serving(&self) -> Builder {
        pounce().component(foreign(&self.stem)).patience(PATIENCE * 5).flag("--request-timeout", "30s")
    }

    async fn is_served_as_meant(&self) {
        let (collector, origin) = (Collector::start().await, Origin::answering(201).await);
        let server = self.serving().flag("--allow-outbound", origin.url("")).traced(&collector).start().await;
        let trace = |n: usize| format!("{:032x}", 0xf0_0000 + n);
        let mut traces = 0;
        let mut request = |method: &Method, path: &str, body: &'static str| {
            traces += 1;
            let parent = format!("00-{}-{:016x}-01", trace(traces), traces);
            (traces, client::request(method.clone(), path, client::full(body)).with("traceparent", parent))
        };
        for exchange in &self.exchanges {
            let Exchange { method, path, body, status, text, header, failure } = exchange;
            for protocol in Protocol::BOTH {
                let (n, request) = request(method, path, body);
                let request = request.with("content-type", "application/json");
                let answer = client::fetch(server.addr(), protocol, request).await;
                let what = format!("{} {method} {path} over {protocol:?}", self.stem);
                assert_eq!((answer.status.as_u16(), answer.text()), (*status, *text), "{what}: {answer:?}");
                assert!(answer.error.is_none(), "{what}: {answer:?}");
                if let Some((name, value)) = header {
                    assert_eq!(answer.header(name), *value, "{what}");
                }
                let span = collector.span_where(&what, |span| span.trace_id == trace(n)).await;
                assert_eq!(
                    (span.parent.as_str(), span.kind),
                    (&*format!("{n:016x}"), SpanKind::Server),
                    "{what}"
                );
                assert_eq!(span.int("http.response.status_code"), Some(i64::from(*status)), "{what}");
                match failure {
                    Some((error_type, message, stack)) => {
                        assert_eq!(span.text("error.type"), *error_type, "{what}: {span:?}");
                        let exception = &span.event("exception").attributes;
                        let told = exception["exception.message"].to_string();
                        assert!(told.trim_end_matches('"').ends_with(message), "{what}: {told}");
                        let trace = exception.get("exception.stacktrace").map(ToString::to_string);
                        assert!(trace.unwrap_or_default().contains(stack), "{what}: {span:?}");
                    }
                    None => assert_eq!(span.failed(), *status >= 500, "{what}: {span:?}"),
                }
            }
        }
        if let Some(expected) = self.calls {
            let path = format!("/call?url={}", origin.url("/there"));
            let (n, request) = request(&Method::GET, &path, "");
            let answer = client::fetch(server.addr(), Protocol::H1, request).await;
            assert_eq!((answer.status.as_u16(), answer.text()), (200, expected), "{}: {answer:?}", self.stem);
            let of_trace = |kind| move |span: &Span| span.trace_id == trace(n) && span.kind == kind;
            let serving = collector.span_where("serving the call", of_trace(SpanKind::Server)).await;
            let calling = collector.span_where("the call", of_trace(SpanKind::Client)).await;
            assert_eq!(calling.parent, serving.span_id, "{}: {calling:?}", self.stem);
            assert_eq!(calling.int("http.response.status_code"), Some(201), "{}: {calling:?}", self.stem);
            let arrived = origin.arrived();
            let parent = format!("00-{}-{}-01", trace(n), calling.span_id);
            assert_eq!(arrived[0].values("traceparent")[0], parent, "{}", self.stem);
        }
    }

    async fn is_reused_where_that_is_sound(&self) {
        let collector = Collector::start().await;
        let mut server = self.serving().flag("--isolation", "instance").traced(&collector).start().await;
        let first = &self.exchanges[0];
        for _ in 0..3 {
            let answer = client::fetch_path(server.addr(), first.path).await;
            assert_eq!((answer.status.as_u16(), answer.text()), (first.status, first.text), "{}", self.stem);
        }
        let spans = collector.spans(3).await;
        let reused = |span: &&Span| span.attributes["pounce.instance.reused"].to_string() == "true";
        let reused = spans.iter().filter(reused).count();
        match self.reused {
            // `--warm` makes one for each processor.
            Ok(()) => assert!(reused > 0, "{}: {spans:?}", self.stem),
            Err(warning) => {
                assert_eq!(reused, 0, "{}", self.stem);
                server.logged(&["WARN", warning]).await;
            }
        }
    }

    async fn check(self) {
        self.is_served_as_meant().await;
        self.is_reused_where_that_is_sound().await;
    }
}

const ONE_EACH: &str = "answers one request in each instance";

#[tokio::test]
#[ignore = "make test-foreign builds it"]
async fn hono_on_fetch_events() {
    let through = ("x-through", "middleware");
    App {
        stem: "hono".into(),
        exchanges: vec![
            gets("/", 200, "Hello from hono!\n").with(through.0, through.1),
            gets("/items/7?q=a%20b", 200, r#"{"id":7,"q":"a b"}"#).with("content-type", "application/json"),
            gets("/items/seven", 404, "404 Not Found").with(through.0, through.1),
            posts("/items", r#"{"name":"book"}"#, 201, r#"{"name":"book"}"#),
            gets("/teapot", 418, "a teapot\n"),
            // hono itself answers for what its handlers throw, and prints it.
            gets("/broken", 500, "Internal Server Error"),
            gets("/stream", 200, "piece 0\npiece 1\npiece 2\n"),
        ],
        calls: Some("201 answer of the origin"),
        reused: Err(ONE_EACH),
    }
    .check()
    .await;
}

#[tokio::test]
#[ignore = "make test-foreign builds it"]
async fn hono_by_the_adapter_of_jco() {
    App {
        stem: "hono-jco".into(),
        exchanges: vec![
            gets("/", 200, "Hello from hono on jco-std!\n"),
            gets("/items/7", 200, r#"{"id":"7"}"#),
            gets("/settings/greeting", 200, r#"{"value":null}"#),
            gets("/none", 404, "404 Not Found"),
        ],
        calls: None,
        reused: Err(ONE_EACH),
    }
    .check()
    .await;
}

/// What the adapter imports `wasi:config` for.
#[tokio::test]
#[ignore = "make test-foreign builds it"]
async fn hono_by_the_adapter_of_jco_reads_settings() {
    let server = pounce()
        .component(foreign("hono-jco"))
        .patience(PATIENCE * 5)
        .flag("--wasi-config", "greeting=hello")
        .start()
        .await;
    assert_eq!(client::fetch_path(server.addr(), "/settings/greeting").await.text(), r#"{"value":"hello"}"#);
}

#[tokio::test]
#[ignore = "make test-foreign builds it"]
async fn itty_router_on_fetch_events() {
    App {
        stem: "itty-router".into(),
        exchanges: vec![
            gets("/", 200, r#""Hello from itty-router!""#),
            gets("/items/7?q=x", 200, r#"{"id":"7","q":"x","started":"before"}"#),
            posts("/items", r#"{"name":"book"}"#, 200, r#""book""#),
            posts("/items", "{}", 400, r#"{"status":400,"error":"a name is missing"}"#),
            Exchange { method: Method::DELETE, ..gets("/items/7", 204, "") },
            gets("/none", 404, r#"{"status":404,"error":"Not Found"}"#),
            gets("/broken", 500, r#"{"status":500,"error":"itty-router is broken on purpose"}"#),
        ],
        calls: Some(r#"{"status":201,"text":"answer of the origin"}"#),
        reused: Err(ONE_EACH),
    }
    .check()
    .await;
}

#[tokio::test]
#[ignore = "make test-foreign builds it"]
async fn axum_by_wstd() {
    App {
        stem: Abi::P2.stem("axum-app"),
        exchanges: vec![
            gets("/", 200, "Hello from axum!\n"),
            gets("/items/7?q=x", 200, r#"{"id":7,"q":"x"}"#).with("cache-control", "no-store"),
            gets("/items/seven", 400, "Invalid URL: Cannot parse `seven` to a `u32`"),
            posts("/items", r#"{"id":8,"q":null}"#, 201, r#"{"id":8,"q":null}"#),
            posts(
                "/items",
                r#"{"id":8"#,
                400,
                "Failed to parse the request body as JSON: EOF while parsing an object at line 1 column 7",
            ),
            Exchange { method: Method::DELETE, ..gets("/items", 405, "") }.with("allow", "GET,HEAD,POST"),
            posts("/echo", "there and back", 200, "there and back"),
            gets("/none", 404, "nothing is here\n"),
            fails("/broken", "wasm_trap.unreachable", "axum is broken on purpose", "axum_app"),
        ],
        calls: Some("201 answer of the origin"),
        reused: Ok(()),
    }
    .check()
    .await;
}

#[tokio::test]
#[ignore = "make test-foreign builds it"]
async fn spins_sdk() {
    App {
        stem: Abi::P3.stem("spin-app"),
        exchanges: vec![
            gets("/", 200, "Hello from Spin!\n"),
            posts("/echo", "there and back", 200, "there and back"),
            gets("/none", 404, "nothing is here\n"),
            fails("/error", "internal_error", "Spin's handler failed on purpose", ""),
            fails("/broken", "wasm_trap.unreachable", "Spin is broken on purpose", "spin_app"),
        ],
        calls: Some("201 answer of the origin"),
        reused: Ok(()),
    }
    .check()
    .await;
}

#[tokio::test]
#[ignore = "make test-foreign builds it"]
async fn go_by_wit_bindgen() {
    App {
        stem: "go".into(),
        exchanges: vec![
            gets("/", 200, "Hello from Go!\n"),
            gets("/sum?1234567890", 200, "45\n"),
            posts("/echo", "there and back", 200, "there and back"),
            gets("/none", 404, "nothing is here\n"),
            // Why there is no kit for Go: it reads in small pieces, and its heap grows while an import returns one.
            Exchange {
                method: Method::POST,
                body: "x".repeat(1_000_000).leak(),
                ..fails("/echo", "wasm_trap.component_model", "cannot leave component instance", "")
            },
            fails("/panic", "wasm_trap.unreachable", "assignment to entry in nil map", "goroutine"),
            fails("/exit", "wasm_trap.exit", "status 1", ""),
        ],
        calls: None,
        reused: Ok(()),
    }
    .check()
    .await;
}

#[tokio::test]
#[ignore = "make test-foreign builds it"]
async fn c_by_wit_bindgen() {
    App {
        stem: "c".into(),
        exchanges: vec![
            gets("/", 200, "Hello from C!\n"),
            // Each has an instance of its own.
            gets("/count", 200, "one\n"),
            posts("/echo", "there and back", 200, "there and back"),
            gets("/none", 404, "nothing is here\n"),
            fails(
                "/trap",
                "wasm_trap.unreachable",
                "wasm `unreachable` instruction executed",
                "incoming_handler_handle",
            ),
        ],
        calls: None,
        reused: Ok(()),
    }
    .check()
    .await;
}
