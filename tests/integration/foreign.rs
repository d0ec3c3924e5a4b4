//! Components that nobody here wrote the toolchain of: JavaScript and Python, built by their own tools.

/// Frameworks and languages of others.
mod apps;

use crate::support::client::{self, Connection};
use crate::support::guest::built;
use crate::support::{Collector, Protocol, pounce};

#[tokio::test]
async fn a_javascript_component_is_served_and_traced() {
    is_served_and_traced("hello-js", "Hello from JavaScript!\n").await;
}

#[tokio::test]
async fn a_python_component_is_served_and_traced() {
    is_served_and_traced("hello-py", "Hello from Python!\n").await;
}

/// A toolkit with a server macro of its own, and the SDK beside it.
#[tokio::test]
async fn a_wstd_component_speaks_through_the_sdk() {
    let collector = Collector::start().await;
    let server = pounce().component(built("with-wstd")).traced(&collector).start().await;
    assert_eq!(client::fetch_path(server.addr(), "/").await.text(), "Hello, wstd!\n");
    let span = collector.span().await;
    assert_eq!((span.name.as_str(), span.text("guest.toolkit")), ("GET /wstd", "wstd"));
}

async fn is_served_and_traced(stem: &str, greeting: &str) {
    let collector = Collector::start().await;
    let server = pounce().interpreted(stem).traced(&collector).start().await;
    for protocol in [Protocol::H1, Protocol::H2] {
        let mut connection = Connection::open(server.addr(), protocol).await;
        assert_eq!(connection.fetch(client::get("/greeting")).await.text(), greeting, "{protocol:?}");
        let body = "sent there and back ".repeat(5000);
        assert_eq!(connection.fetch(client::post("/echo", body.clone())).await.text(), body, "{protocol:?}");
    }
    let spans = collector.spans(4).await;
    let names: Vec<_> = spans.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(names, ["GET /greeting", "POST /echo", "GET /greeting", "POST /echo"]);
    for span in spans {
        assert_eq!((span.text("pounce.component"), span.int("http.response.status_code")), (stem, Some(200)));
        assert!(!span.failed());
    }
}
