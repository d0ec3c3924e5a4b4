//! Proxies of the environment: for telemetry, never for guests.

use super::{request, to};
use crate::support::Collector;
use crate::support::proxy::Proxy;
use crate::support::server::Identity;

/// `user:pass` as proxies get it.
const PASSWORD: &str = "Basic dXNlcjpwYXNz";

#[tokio::test]
async fn an_endpoint_without_tls_gets_requests_from_the_proxy() {
    let collector = Collector::start().await;
    let proxy = Proxy::to(collector.addr(), Some(PASSWORD)).await;
    let server = to("http://collector.test:4318")
        .env("HTTP_PROXY", format!("http://user:pass@{}", proxy.addr()))
        .flag("--log-level", "trace")
        .start()
        .await;
    request(&server, 1).await;
    let exit = server.stop().await;
    assert_eq!(exit.totals().exported, 1, "{exit}");
    let heads = proxy.heads();
    // The head of each connection's first request, of whichever signal: the name leads nowhere but through the proxy.
    let is_whole_url = |head: &String| head.starts_with("POST http://collector.test:4318/v1/");
    assert!(!heads.is_empty() && heads.iter().all(is_whole_url), "{heads:?}");
    assert!(!exit.stderr.contains("user:pass") && !exit.stderr.contains("dXNlcjpwYXNz"), "{exit}");
}

#[tokio::test]
async fn tls_and_grpc_go_through_a_tunnel() {
    let dir = tempfile::tempdir().unwrap();
    let ca = dir.path().join("ca.pem");
    let identity = Identity::of(&["collector.test"], &["h2", "http/1.1"], None);
    identity.write_certificate(&ca);
    let (encrypted, plain) = (Collector::with(Some(&identity)).await, Collector::start().await);
    for (collector, endpoint, protocol, variable) in [
        (&encrypted, "https://collector.test", "http/protobuf", "https_proxy"),
        (&encrypted, "https://collector.test", "grpc", "ALL_PROXY"),
        (&plain, "http://collector.test", "grpc", "HTTP_PROXY"),
    ] {
        let proxy = Proxy::to(collector.addr(), Some(PASSWORD)).await;
        let server = to(endpoint)
            .env(variable, format!("user:pass@{}", proxy.addr()))
            .env("OTEL_EXPORTER_OTLP_CERTIFICATE", ca.display())
            .flag("--otel-protocol", protocol)
            .start()
            .await;
        request(&server, 1).await;
        let exit = server.stop().await;
        assert_eq!(exit.totals().exported, 1, "{endpoint} {protocol} {exit}");
        let port = if endpoint.starts_with("https") { 443 } else { 80 };
        let head = proxy.heads().remove(0);
        assert!(head.starts_with(&format!("CONNECT collector.test:{port} HTTP/1.1")), "{head}");
    }
}

#[tokio::test]
async fn what_is_excepted_or_here_goes_directly() {
    let collector = Collector::start().await;
    let proxy = Proxy::to(collector.addr(), None).await;
    for (endpoint, no_proxy) in [
        (collector.endpoint(), ""),
        (format!("http://localhost:{}", collector.addr().port()), "elsewhere.test"),
    ] {
        let server = to(endpoint)
            .env("ALL_PROXY", format!("http://{}", proxy.addr()))
            .env("NO_PROXY", no_proxy)
            .start()
            .await;
        request(&server, 1).await;
        server.stop().await.expect(0, &["1 exported"]);
    }
    // Excepted, so that the name is looked up here, where nobody knows it.
    let mut server = to("http://collector.test:4318")
        .env("ALL_PROXY", format!("http://{}", proxy.addr()))
        .env("NO_PROXY", "other.test, .test")
        .start()
        .await;
    request(&server, 1).await;
    server.logged(&["cannot export spans", "dns error"]).await;
    server.stop().await.expect(0, &[]);
    assert_eq!(proxy.heads(), [""; 0]);
}

#[tokio::test]
async fn a_proxy_that_says_no_is_told_without_its_password() {
    let collector = Collector::start().await;
    let proxy = Proxy::to(collector.addr(), Some(PASSWORD)).await;
    for endpoint in ["http://collector.test:4318", "https://collector.test:4318"] {
        let mut server =
            to(endpoint).env("ALL_PROXY", format!("http://user:wrong@{}", proxy.addr())).start().await;
        request(&server, 1).await;
        let line = server.logged(&["cannot export spans", "proxy"]).await;
        assert!(line.contains("407") || line.contains("authorization"), "{line}");
        let exit = server.stop().await;
        assert_eq!(exit.totals().dropped, 1, "{exit}");
        assert!(!exit.stderr.contains("wrong"), "{exit}");
    }
}
