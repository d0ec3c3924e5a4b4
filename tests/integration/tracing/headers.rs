//! Headers that the operator wants on spans, and none that let their holder in.

use crate::support::client::{self, WithHeader};
use crate::support::{Collector, Protocol, pounce};

#[tokio::test]
async fn headers_that_are_asked_for_are_recorded() {
    let collector = Collector::start().await;
    let server = pounce()
        .guest(crate::support::Abi::P2, "hello")
        .flag("--otel-request-headers", "X-Request-Id")
        .flag("--otel-request-headers", "x-absent")
        .flag("--otel-response-headers", "content-type")
        .traced(&collector)
        .start()
        .await;
    let request = client::get("/").with("x-request-id", "one").with("authorization", "Bearer secret");
    let mut request = request;
    request.headers_mut().append("x-request-id", "two".parse().unwrap());
    client::fetch(server.addr(), Protocol::H1, request).await;
    let span = collector.span().await;
    let header = |key: &str| span.attributes.get(key).map(ToString::to_string);
    assert_eq!(header("http.request.header.x-request-id").as_deref(), Some(r#"["one", "two"]"#));
    assert!(header("http.response.header.content-type").is_some_and(|text| text.contains("text/plain")));
    let recorded = span.attributes.keys().filter(|key| key.contains(".header.")).count();
    assert_eq!(recorded, 2, "{:?}", span.attributes);
    assert!(!format!("{span:?}").contains("secret"));
}

#[tokio::test]
async fn credentials_cannot_be_asked_for() {
    let exit = pounce()
        .guest(crate::support::Abi::P2, "hello")
        .flag("--otel-request-headers", "Authorization")
        .flag("--otel-response-headers", "set-cookie")
        .run()
        .await;
    exit.expect(2, &["otel-request-headers", "otel-response-headers", "credentials"]);
}
