//! What a CLIENT span says of each way in which a call can fail, or not end.

use super::{Made, asking, call, call_with, guest, legacy};
use crate::support::origin::Origin;
use crate::support::server::Identity;
use crate::support::span::Status;
use crate::support::{Abi, Collector, Protocol, client, eventually, for_both_abis, pounce};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use std::net::{SocketAddr, TcpListener};

for_both_abis!(
    what_the_policy_refuses_is_a_failed_call,
    nobody_listens,
    nobody_has_the_name,
    nobody_proves_who_they_are,
    an_origin_that_hangs_up,
    the_guests_own_deadline_ends_a_call,
    what_a_guest_lets_go_of_was_cancelled,
    the_requests_deadline_cancels_its_calls,
    calls_are_limited_as_spans_are,
);

/// Fails unless the one call of `made` failed as the guest was told, with one of these error types.
fn expect_failed(abi: Abi, made: &Made, url: &str, host: &str, port: u16, error_types: &[&str]) {
    let call = made.call();
    let error_type = call.text("error.type");
    assert!(error_types.contains(&error_type), "{error_type} is none of {error_types:?}");
    assert_eq!(made.error(0), error_type, "what the guest was told");
    call.expect_attributes(&format!(
        r#"http.request.method = "GET"
           url.full = {url:?}
           server.address = {host:?}
           server.port = {port}
           error.type = {error_type:?}
           pounce.component = {component:?}
           {legacy}"#,
        component = abi.stem("calls"),
        legacy = legacy(url, host, port),
    ));
    assert!(matches!(&call.status, Status::Error(message) if !message.is_empty()), "{:?}", call.status);
    assert_eq!((call.name.as_str(), &call.parent), ("GET", &made.server().span_id));
    assert!(!made.server().failed(), "the guest answered 200 all the same");
    assert!(made.server().start <= call.start && call.end <= made.server().end);
}

/// A port where connections are accepted by the kernel, and nobody ever reads.
fn silent() -> (TcpListener, SocketAddr, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    (listener, addr, format!("http://{addr}/"))
}

async fn what_the_policy_refuses_is_a_failed_call(abi: Abi) {
    let origin = Origin::answering(200).await;
    let url = origin.url("/a?sig=s3cret");
    let made = call_with(pounce().guest(abi, "calls"), &[&url], "", "01").await;
    let redacted = origin.url("/a?sig=REDACTED");
    expect_failed(abi, &made, &redacted, "127.0.0.1", origin.addr().port(), &["http_request_denied"]);
    assert_eq!(origin.arrived().len(), 0);
}

async fn nobody_listens(abi: Abi) {
    let (listener, addr, url) = silent();
    drop(listener);
    let made = call(abi, &[&url], "").await;
    expect_failed(abi, &made, &url, "127.0.0.1", addr.port(), &["connection_refused"]);
}

async fn nobody_has_the_name(abi: Abi) {
    let url = "http://no-such-host.invalid:81/x";
    let made = call(abi, &[url], "").await;
    let dns = ["dns_error", "destination_not_found", "dns_timeout"];
    expect_failed(abi, &made, url, "no-such-host.invalid", 81, &dns);
}

async fn nobody_proves_who_they_are(abi: Abi) {
    let origin = Origin::with(200, Some(&Identity::of_localhost())).await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("others.pem");
    Identity::of_localhost().write_certificate(&file);
    let url = format!("https://localhost:{}/", origin.addr().port());
    let made = call_with(guest(abi).env("SSL_CERT_FILE", file.display()), &[&url], "", "01").await;
    expect_failed(abi, &made, &url, "localhost", origin.addr().port(), &["tls_certificate_error"]);
}

async fn an_origin_that_hangs_up(abi: Abi) {
    let answer = |_| std::future::ready(None);
    let (addr, _serving) = crate::support::server::serve(None, answer).await;
    let url = format!("http://{addr}/");
    let made = call(abi, &[&url], "").await;
    let ended = ["connection_terminated", "http_response_incomplete"];
    expect_failed(abi, &made, &url, "127.0.0.1", addr.port(), &ended);
}

async fn the_guests_own_deadline_ends_a_call(abi: Abi) {
    let (_listener, addr, url) = silent();
    let made = call(abi, &[&url], "how=timeout&ms=100").await;
    let late = ["connection_read_timeout", "http_response_timeout", "connection_timeout"];
    expect_failed(abi, &made, &url, "127.0.0.1", addr.port(), &late);
    let call = made.call();
    assert!(call.end - call.start >= 90_000_000, "{} ns", call.end - call.start);
}

/// Given up, which is no mistake of the guest's: the call is told, as cancelled, and not as incomplete.
async fn what_a_guest_lets_go_of_was_cancelled(abi: Abi) {
    let (_listener, addr, url) = silent();
    let made = call(abi, &[&url], "n=4&how=abandon").await;
    made.exit.expect(0, &[]);
    let calls = made.calls();
    assert_eq!(calls.len(), 4, "{calls:?}");
    for call in calls {
        call.expect_attributes(&format!(
            r#"http.request.method = "GET"
               url.full = {url:?}
               server.address = "127.0.0.1"
               server.port = {port}
               error.type = "cancelled"
               pounce.component = {component:?}
               {legacy}"#,
            legacy = legacy(&url, "127.0.0.1", addr.port()),
            port = addr.port(),
            component = abi.stem("calls"),
        ));
        assert!(
            matches!(&call.status, Status::Error(message) if message.contains("let go")),
            "{:?}",
            call.status
        );
        assert_eq!(call.parent, made.server().span_id);
    }
    assert!(!made.server().failed());
}

async fn the_requests_deadline_cancels_its_calls(abi: Abi) {
    let (_listener, _, url) = silent();
    let collector = Collector::start().await;
    let server = guest(abi).flag("--request-timeout", "500ms").traced(&collector).start().await;
    let answer = client::fetch(server.addr(), Protocol::H1, asking(&[&url], "", "01")).await;
    assert_eq!(answer.status, 504);
    let spans = collector.spans(2).await;
    let of = |kind: SpanKind| spans.iter().find(|span| span.kind == kind).expect("a span");
    let (call, request) = (of(SpanKind::Client), of(SpanKind::Server));
    assert_eq!((call.text("error.type"), request.text("error.type")), ("timeout", "timeout"));
    assert_eq!(call.parent, request.span_id);
    assert!(!call.is_incomplete());
}

/// A guest that calls without end fills no backend, and what is left out is counted.
async fn calls_are_limited_as_spans_are(abi: Abi) {
    let origin = Origin::answering(200).await;
    let collector = Collector::start().await;
    let server = guest(abi).traced(&collector).start().await;
    let url = origin.url("/");
    super::ask(&server, &[&url], "n=1005", "01").await;
    eventually("all calls to arrive", async || origin.arrived().len() == 1005).await;
    let exit = server.stop().await;
    let line = exit.stderr.lines().find(|line| line.contains("spans under requests dropped"));
    assert!(line.is_some_and(|line| line.contains("\"count\":5")), "{exit}");
    assert_eq!(collector.received().len(), 1001);
    // The other side of a call without a span belongs under the nearest that a backend gets to see.
    let spans = collector.received();
    for request in origin.arrived() {
        let parent = super::parts(request.values("traceparent")[0])[2].to_owned();
        assert!(spans.iter().any(|span| span.span_id == parent), "{parent} is nobody's");
    }
}
