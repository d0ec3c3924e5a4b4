//! Routes: which requests are served, and what spans and metrics call them.

use crate::support::client::{self, Connection, Raw, WithHeader};
use crate::support::{Abi, Collector, Protocol, for_both_abis, pounce};
use http::Method;

for_both_abis!(a_request_is_what_its_route_says);

async fn a_request_is_what_its_route_says(abi: Abi) {
    let collector = Collector::start().await;
    let name = if abi == Abi::P2 { "echo" } else { "echo-p3" };
    let mut server = pounce()
        .guest(abi, "echo")
        .flag("--route", format!("/items/{{id}}={name}"))
        .flag("--route", format!("POST /only={name}"))
        .flag("--route", format!("GET a.example/{{*all}}={name}"))
        .flag("--otel-semconv", "http")
        .with_admin()
        .traced(&collector)
        .start()
        .await;
    let mut sent = 0;
    for protocol in Protocol::BOTH {
        let mut connection = Connection::open(server.addr(), protocol).await;
        for (method, path, status, route) in [
            (Method::POST, "/items/42?q=1", 200, "/items/{id}"),
            (Method::POST, "/only", 200, "/only"),
            (Method::GET, "/only", 405, ""),
            (Method::GET, "/items", 404, ""),
            (Method::GET, "/items/", 404, ""),
            (Method::GET, "/items/1/2", 404, ""),
            (Method::GET, "/items/%2e%2E", 400, ""),
            (Method::GET, "/items/..", 400, ""),
            (Method::GET, "/items/a%2Fb", 200, "/items/{id}"),
        ] {
            let request = client::request(method.clone(), path, client::empty());
            let answer = connection.fetch(request).await;
            let what = format!("{protocol:?} {method} {path}");
            assert_eq!(answer.status, status, "{what}");
            assert_eq!(answer.header("allow"), if status == 405 { "POST" } else { "" }, "{what}");
            sent += 1;
            let spans = collector.spans(sent).await;
            let span = spans.last().expect("one at least");
            assert!(!span.failed(), "{what}: {span:?}");
            let name = if route.is_empty() { method.to_string() } else { format!("{method} {route}") };
            assert_eq!(span.name, name, "{what}");
            if route.is_empty() {
                assert!(!span.attributes.contains_key("http.route"), "{what}");
            } else {
                assert_eq!(span.text("http.route"), route, "{what}");
                // The guest gets the path as the client wrote it.
                assert_eq!(span.text("url.path"), path.split('?').next().unwrap(), "{what}");
            }
        }
    }
    // The host decides first, and that of HTTP/1.1 stands in a header.
    let mut raw = Raw::open(server.addr()).await;
    raw.write("GET /items HTTP/1.1\r\nhost: A.Example:8080\r\nconnection: close\r\n\r\n").await.unwrap();
    assert!(raw.read_to_end().await.starts_with("HTTP/1.1 200"));
    sent += 1;
    let spans = collector.spans(sent).await;
    assert_eq!(spans.last().expect("one").text("http.route"), "/{*all}");
    let page = client::fetch_path(server.admin().await, "/metrics").await;
    let of_route =
        |line: &&str| line.contains("http_route=\"/items/{id}\"") && line.contains("duration_seconds_count");
    assert!(page.text().lines().any(|line| of_route(&line)), "{}", page.text());
}

#[tokio::test]
async fn a_host_that_a_trusted_proxy_tells_is_the_one_that_counts() {
    let server = pounce()
        .fixture("status.wat")
        .flag("--route", "a.example/{*rest}=status")
        .flag("--trusted-proxies", "127.0.0.1")
        .start()
        .await;
    let told = client::get("/200").with("x-forwarded-host", "a.example");
    assert_eq!(client::fetch(server.addr(), Protocol::H1, told).await.status, 200);
    assert_eq!(client::fetch_path(server.addr(), "/200").await.status, 404);
    // What is malformed is so first.
    let mut raw = Raw::open(server.addr()).await;
    raw.write("GET /200 HTTP/1.1\r\nconnection: close\r\n\r\n").await.unwrap();
    assert!(raw.read_to_end().await.starts_with("HTTP/1.1 400"));
}

#[tokio::test]
async fn routes_in_a_file_are_checked_with_their_places() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pounce.toml");
    std::fs::copy(crate::support::guest::fixture("status.wat"), folder.path().join("status.wat")).unwrap();
    let routes = "[[component]]\nname = \"site\"\nsource = \"status.wat\"\n\
                  [[route]]\ncomponent = \"site\"\npath = \"/200\"\n\
                  [[route]]\ncomponent = \"site\"\npath = \"/{code}\"\nmethod = \"GET\"\n";
    std::fs::write(&file, routes).unwrap();
    let server = pounce().flag("--config", file.display()).start().await;
    assert_eq!(client::fetch_path(server.addr(), "/204").await.status, 204);
    assert_eq!(client::fetch_path(server.addr(), "/").await.status, 404);
    let more = "[[route]]\ncomponent = \"site\"\npath = \"/{other}\"\nmethod = \"GET\"\n[[route]]\ncomponent = \"shop\"\n";
    std::fs::write(&file, format!("{routes}{more}")).unwrap();
    let exit = pounce().flag("--config", file.display()).run().await;
    let place = |line: usize| format!("{}:{line}:1", file.display());
    exit.expect(2, &["is for the same requests as", &place(7), &place(11), "leave one of them out"]);
    exit.expect(2, &["a component that there is not", &place(15), "name the one that there is: site"]);
    let exit = pounce().command("check").flag("--config", file.display()).run().await;
    exit.expect(2, &["same requests"]);
}
