//! What a CLIENT span says of each answer: exact attributes, redaction, reuse of connections.

use super::{CALLER, TRACE, call, call_with, guest, legacy};
use crate::support::attributes::Value;
use crate::support::origin::Origin;
use crate::support::server::Identity;
use crate::support::span::Status;
use crate::support::{Abi, for_both_abis};
use std::net::SocketAddr;

for_both_abis!(
    an_answer_is_told_exactly,
    an_answer_of_failure_fails_the_call_alone,
    a_connection_that_is_used_again_is_said_to_be,
    tls_is_told_by_the_url,
    secrets_of_the_url_are_left_out,
    each_profile_has_its_names,
    the_operator_names_the_services_that_are_called,
);

/// All that is known of a call to `addr` that was answered over a new connection. There was no name to resolve.
fn answered(abi: Abi, addr: SocketAddr, path: &str, status: u16) -> String {
    let legacy = legacy(&format!("http://{addr}{path}"), "127.0.0.1", addr.port());
    format!("{}{legacy}http.status_code = {status}\n", stable(abi, addr, path, status))
}

/// What a call says by the stable names alone.
fn stable(abi: Abi, addr: SocketAddr, path: &str, status: u16) -> String {
    format!(
        r#"http.request.method = "GET"
           url.full = "http://{addr}{path}"
           server.address = "127.0.0.1"
           server.port = {port}
           network.peer.address = "127.0.0.1"
           network.peer.port = {port}
           network.protocol.version = "1.1"
           http.response.status_code = {status}
           pounce.connection.reused = false
           pounce.connect.duration = <seconds>
           pounce.component = {component:?}
        "#,
        port = addr.port(),
        component = abi.stem("calls"),
    )
}

async fn an_answer_is_told_exactly(abi: Abi) {
    for status in [200, 204, 302] {
        let origin = Origin::answering(status).await;
        let made = call(abi, &[&origin.url("/a/b?c=d%20e")], "").await;
        made.exit.expect(0, &[]);
        assert_eq!(made.seen["results"][0]["status"], status);
        let (call, server) = (made.call(), made.server());
        call.expect_attributes(&answered(abi, origin.addr(), "/a/b?c=d%20e", status));
        assert_eq!((call.name.as_str(), &call.status), ("GET", &Status::Unset));
        assert_eq!((call.trace_id.as_str(), call.parent.as_str()), (TRACE, server.span_id.as_str()));
        assert_eq!((server.parent.as_str(), call.parent_is_remote()), (CALLER, Some(false)));
        assert!(server.start <= call.start && call.end <= server.end);
        assert_eq!((call.events.len(), call.links.len(), made.spans.len()), (0, 0, 2));
        assert_eq!((&call.resource, &call.scope), (&server.resource, &server.scope));
    }
}

async fn an_answer_of_failure_fails_the_call_alone(abi: Abi) {
    for status in [404, 500, 503] {
        let origin = Origin::answering(status).await;
        let made = call(abi, &[&origin.url("/")], "").await;
        let call = made.call();
        let error_type = format!("error.type = \"{status}\"");
        call.expect_attributes(&format!("{}{error_type}", answered(abi, origin.addr(), "/", status)));
        assert_eq!(call.status, Status::Error(String::new()), "the code says it");
        assert!(!made.server().failed(), "the guest answered 200");
    }
}

async fn a_connection_that_is_used_again_is_said_to_be(abi: Abi) {
    let origin = Origin::answering(200).await;
    let url = format!("http://localhost:{}/", origin.addr().port());
    let made = call(abi, &[&url], "n=3").await;
    let calls = made.calls();
    assert_eq!(calls.len(), 3);
    let reused: Vec<_> =
        calls.iter().map(|call| call.attributes["pounce.connection.reused"].clone()).collect();
    assert_eq!(reused, [false, true, true].map(Value::Bool));
    for (call, new) in calls.iter().zip([true, false, false]) {
        for key in ["pounce.dns.duration", "pounce.connect.duration"] {
            assert_eq!(call.attributes.contains_key(key), new, "{key} is of the call that connected");
        }
        assert_eq!(call.int("network.peer.port"), Some(origin.addr().port().into()));
    }
}

async fn tls_is_told_by_the_url(abi: Abi) {
    let identity = Identity::of_localhost();
    let origin = Origin::with(200, Some(&identity)).await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ours.pem");
    identity.write_certificate(&file);
    let url = format!("https://localhost:{}/", origin.addr().port());
    let made = call_with(guest(abi).env("SSL_CERT_FILE", file.display()), &[&url], "", "01").await;
    assert_eq!(made.seen["results"][0]["status"], 200, "{}", made.seen);
    let call = made.call();
    assert_eq!((call.text("url.full"), call.text("server.address")), (url.as_str(), "localhost"));
    assert!(["1.1", "2"].contains(&call.text("network.protocol.version")), "{call:?}");
    assert_eq!(call.text("network.peer.address"), "127.0.0.1");
}

async fn secrets_of_the_url_are_left_out(abi: Abi) {
    let origin = Origin::answering(200).await;
    let secrets = "X-Amz-Signature=s3cret&X-Amz-Credential=s3cret&%73ig=s3cret&a=1&X-Goog-S%69gnature=s3cret";
    let (plain, named) =
        (origin.url(&format!("/x?{secrets}")), format!("http://u:s3cret@{}/y", origin.addr()));
    let made = call(abi, &[&plain, &named], "").await;
    let calls = made.calls();
    let redacted =
        "X-Amz-Signature=REDACTED&X-Amz-Credential=REDACTED&%73ig=REDACTED&a=1&X-Goog-S%69gnature=REDACTED";
    assert_eq!(calls[0].text("url.full"), origin.url(&format!("/x?{redacted}")));
    assert_eq!(calls[1].text("url.full"), format!("http://REDACTED:REDACTED@{}/y", origin.addr()));
    assert_eq!(calls[1].text("server.address"), "127.0.0.1");
    // The origin got what the guest sent; nobody else did.
    assert!(origin.arrived()[0].target.contains("s3cret"));
    for call in calls {
        assert!(!format!("{call:?}").contains("s3cret"), "{call:?}");
    }
    assert!(!made.exit.stderr.contains("s3cret"), "{}", made.exit);
}

async fn each_profile_has_its_names(abi: Abi) {
    for (profile, has_legacy) in [("compat", true), ("http/dup", true), ("http", false)] {
        let origin = Origin::answering(201).await;
        let builder = guest(abi).flag("--otel-semconv", profile);
        let made = call_with(builder, &[&origin.url("/a?sig=s3cret")], "", "01").await;
        let names = if has_legacy { answered } else { stable };
        made.call().expect_attributes(&names(abi, origin.addr(), "/a?sig=REDACTED", 201));
        assert_eq!(made.call().name, "GET", "{profile}");
    }
}

async fn the_operator_names_the_services_that_are_called(abi: Abi) {
    let (orders, other) = (Origin::answering(200).await, Origin::answering(503).await);
    let named = format!("http://127.0.0.1:{}", orders.addr().port());
    for profile in ["compat", "http"] {
        let builder = guest(abi)
            .flag("--otel-semconv", profile)
            .flag("--otel-peer-service", format!("{named}=orders"))
            .flag("--otel-peer-service", "127.0.0.1:*=the rest");
        let unknown = "http://no-such-host.invalid:81/";
        let made = call_with(builder, &[&orders.url("/"), &other.url("/"), unknown], "", "01").await;
        let names: Vec<_> = made.calls().iter().map(|call| call.text("peer.service")).collect();
        assert_eq!(names, ["orders", "the rest", ""], "{profile}");
        assert!(!made.server().attributes.contains_key("peer.service"));
    }
}

/// What a file and a variable say of it, and what is none.
#[tokio::test]
async fn names_of_services_are_checked() {
    use crate::support::pounce;
    for (entry, says) in [
        ("orders.internal", "has no `=`"),
        ("http://orders.internal/x=orders", "has a host that has a path"),
        ("orders.internal=", "has no name"),
    ] {
        let builder = pounce().fixture("status.wat").flag("--otel-peer-service", entry);
        builder.run().await.expect(2, &["--otel-peer-service", says]);
    }
    let origin = Origin::answering(200).await;
    let builder = guest(Abi::P2).env("POUNCE_OTEL_PEER_SERVICE", "a.example=a,http://127.0.0.1:*=b");
    let made = call_with(builder, &[&origin.url("/")], "", "01").await;
    assert_eq!(made.call().text("peer.service"), "b");
}
