//! Names, and the bound on their number.

use crate::support::client::{self, Connection, WithHeader};
use crate::support::{Abi, Collector, Protocol, for_both_abis, pounce};
use http::Method;

for_both_abis!(a_route_of_the_guest_names_the_span);

async fn a_route_of_the_guest_names_the_span(abi: Abi) {
    for semconv in ["compat", "http/dup", "http"] {
        let collector = Collector::start().await;
        let server = pounce()
            .guest(abi, "attributes")
            .flag("--otel-semconv", semconv)
            .traced(&collector)
            .start()
            .await;
        client::fetch_path(server.addr(), "/users/7?route=/users/{id}").await;
        let span = collector.span().await;
        assert_eq!(
            (span.name.as_str(), span.text("http.route")),
            ("GET /users/{id}", "/users/{id}"),
            "{semconv}"
        );
        assert_eq!(span.text("url.path"), "/users/7", "{semconv}");
    }
}

#[tokio::test]
async fn without_a_route_the_profile_decides() {
    for (semconv, name) in [("compat", "GET /200"), ("http/dup", "GET"), ("http", "GET")] {
        let collector = Collector::start().await;
        let server = pounce()
            .fixture("status.wat")
            .env("OTEL_SEMCONV_STABILITY_OPT_IN", if semconv == "compat" { "" } else { semconv })
            .traced(&collector)
            .start()
            .await;
        client::fetch_path(server.addr(), "/200?sig=secret").await;
        assert_eq!(collector.span().await.name, name, "{semconv}");
    }
}

/// Methods are compared with their case, and an invented one neither names spans nor makes a new value.
#[tokio::test]
async fn an_unknown_method_is_other() {
    let collector = Collector::start().await;
    let server = pounce().fixture("status.wat").traced(&collector).start().await;
    for method in ["PURGE", "get"] {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        client::fetch(server.addr(), Protocol::H1, client::request(method, "/200", client::empty())).await;
    }
    let spans = collector.spans(2).await;
    for (span, original) in spans.iter().zip(["PURGE", "get"]) {
        assert_eq!(span.text("http.request.method"), "_OTHER");
        assert_eq!(span.text("http.request.method_original"), original);
        assert!(span.name.starts_with("HTTP"), "{}", span.name);
    }
}

/// A name for every path there is would fill any backend.
#[tokio::test]
async fn beyond_500_paths_names_are_methods_with_one_warning() {
    let collector = Collector::start().await;
    let mut server = pounce().fixture("status.wat").traced(&collector).start().await;
    let mut connection = Connection::open(server.addr(), Protocol::H2).await;
    // Queries are no paths; nor is a path that comes again.
    for n in 0..20 {
        connection.fetch(client::get(&format!("/200?n={n}"))).await;
    }
    for n in 0..520 {
        connection.fetch(client::get(&format!("/200/{n}"))).await;
    }
    connection.fetch(client::get("/200/7")).await;
    let spans = collector.spans(541).await;
    let named = |name: &str| spans.iter().filter(|span| span.name == name).count();
    assert_eq!(named("GET /200"), 20);
    assert_eq!((named("GET /200/7"), named("GET /200/498")), (2, 1));
    assert_eq!(named("GET"), 21, "paths 499 to 519");
    let warning = server.logged(&["500", "route"]).await;
    assert!(warning.to_lowercase().contains("warn"), "{warning}");
    let exit = server.stop().await;
    assert_eq!(exit.stderr.matches("500 distinct paths").count(), 1, "{exit}");
}

#[tokio::test]
async fn what_the_client_says_of_itself_is_bounded() {
    let collector = Collector::start().await;
    let server = pounce().fixture("status.wat").traced(&collector).start().await;
    let request = client::get(&format!("/200/{}", "p".repeat(9000))).with("user-agent", "a".repeat(9000));
    client::fetch(server.addr(), Protocol::H1, request).await;
    client::fetch(server.addr(), Protocol::H1, client::get("/200").with("user-agent", b"caf\xe9 \xff")).await;
    let spans = collector.spans(2).await;
    assert!(spans[0].text("user_agent.original").len() <= 4096 && spans[0].name.len() <= 4200);
    assert!(spans[1].text("user_agent.original").starts_with("caf"), "bytes that are no text are replaced");
}

#[tokio::test]
async fn the_methods_that_have_names_can_be_set() {
    let collector = Collector::start().await;
    let builder = pounce().fixture("status.wat");
    let builder = builder.env("OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS", "GET,PROPFIND");
    let server = builder.traced(&collector).start().await;
    let asked = [
        ("PROPFIND", "PROPFIND /200", "PROPFIND"),
        ("get", "HTTP /200", "_OTHER"),
        ("POST", "HTTP /200", "_OTHER"),
    ];
    for (method, name, known_as) in asked {
        let request = client::request(method.parse().unwrap(), "/200", client::empty());
        client::fetch(server.addr(), Protocol::H1, request).await;
        let span = collector.span_where(method, |span| span.text("http.method") == method).await;
        assert_eq!((span.name.as_str(), span.text("http.request.method")), (name, known_as));
    }
}
