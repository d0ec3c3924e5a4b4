//! The exact attributes, name and status of each profile, for each way a request can end. Nothing may be missing, and
//! nothing may be there that no line below names.

use super::expected::{ALL_PHASES, Expected, GET, PHASES, PROFILES, Profile};
use crate::support::client::{self, Connection, WithHeader, streamed};
use crate::support::span::Status;
use crate::support::{Abi, Protocol, for_both_abis, pounce};
use bytes::Bytes;
use http::Method;
use hyper::body::Frame;

for_both_abis!(answered, from_the_guest, trapped, timed_out, shed, aborted, streamed_through);

/// 200, with a query that holds secrets among harmless parameters.
async fn answered(abi: Abi) {
    let secrets = [
        "X-Amz-Signature",
        "X-Amz-Credential",
        "X-Amz-Security-Token",
        "AWSAccessKeyId",
        "Signature",
        "sig",
        "X-Goog-Signature",
        "%73ig",
        "X-%41mz-Signatur%65",
        "AWSAccessKey%49d",
    ];
    let given: String = secrets.iter().map(|key| format!("{key}=s3cret&")).collect();
    let kept: String = secrets.iter().map(|key| format!("{key}=REDACTED&")).collect();
    for profile in PROFILES {
        let (server, collector) = profile.start(pounce().guest(abi, "hello")).await;
        let path = format!("/hello%20there?a=1&{given}SIG=kept&b");
        let request = client::get(&path).with("user-agent", "pounce-test/1.0 (é)".as_bytes());
        client::fetch(server.addr(), Protocol::H1, request).await;
        let span = collector.span().await;
        let phases = if abi == Abi::P2 { ALL_PHASES } else { PHASES };
        let expected = Expected {
            target: &format!("/hello%20there?a=1&{kept}SIG=kept&b"),
            sent: Some((200, "14")),
            component: &abi.stem("hello"),
            more: &format!("user_agent.original = \"pounce-test/1.0 (é)\" {phases}"),
            ..GET
        };
        expected.check(profile, &server, &span);
        assert!(span.events.is_empty(), "{:?}", span.events);
        assert!(!format!("{span:?}").contains("s3cret"), "{span:?}");
    }
}

/// 404 is an answer like any other to a server; 500 is a failure, even when the guest says it.
async fn from_the_guest(abi: Abi) {
    for profile in PROFILES {
        let (server, collector) = profile.start(pounce().guest(abi, "attributes")).await;
        for (n, status) in [404, 500].into_iter().enumerate() {
            let target = format!("/item?code={status}");
            let answer = client::fetch(server.addr(), Protocol::H2, client::get(&target)).await;
            assert_eq!(answer.status, status);
            let span = &collector.spans(n + 1).await[n];
            let expected = Expected {
                target: &target,
                version: "2",
                sent: Some((status, &answer.body.len().to_string())),
                error_type: (status == 500).then_some("500"),
                component: &abi.stem("attributes"),
                more: PHASES,
                ..GET
            };
            expected.check(profile, &server, span);
            // The code says it: a description would only repeat it.
            assert!(matches!(&span.status, Status::Error(text) if text.is_empty()) == (status == 500));
        }
    }
}

async fn trapped(abi: Abi) {
    for profile in PROFILES {
        let (server, collector) = profile.start(pounce().guest(abi, "trap")).await;
        let answer = client::fetch(server.addr(), Protocol::H1, client::post("/panic", "12345")).await;
        let span = collector.span().await;
        let expected = Expected {
            method: "POST",
            target: "/panic",
            sent: Some((500, &answer.body.len().to_string())),
            error_type: Some("wasm_trap.unreachable"),
            component: &abi.stem("trap"),
            more: &format!("http.request.body.size = 5 {PHASES}"),
            ..GET
        };
        expected.check(profile, &server, &span);
        span.event("exception");
    }
}

async fn timed_out(abi: Abi) {
    for profile in PROFILES {
        let (server, collector) =
            profile.start(pounce().guest(abi, "slow").flag("--request-timeout", "300ms")).await;
        let answer = client::fetch_path(server.addr(), "/?ms=600000").await;
        let expected = Expected {
            target: "/?ms=600000",
            sent: Some((504, &answer.body.len().to_string())),
            error_type: Some("timeout"),
            component: &abi.stem("slow"),
            more: &PHASES.replace("pounce.instance", "? pounce.instance"),
            ..GET
        };
        expected.check(profile, &server, &collector.span().await);
    }
}

async fn shed(abi: Abi) {
    for profile in PROFILES {
        let (server, collector) = profile.start(pounce().guest(abi, "slow").flag("--max-in-flight", 1)).await;
        let held = client::hold(server.addr(), Protocol::H1, "/held?ms=0&body_ms=100&chunks=1000000").await;
        let answer = client::fetch_path(server.addr(), "/shed").await;
        let span = collector.span_where("of the shed request", |span| span.text("url.path") == "/shed").await;
        let expected = Expected {
            target: "/shed",
            sent: Some((503, &answer.body.len().to_string())),
            error_type: Some("overloaded"),
            component: &abi.stem("slow"),
            ..GET
        };
        // No guest saw it, so there are no phases to tell of.
        expected.check(profile, &server, &span);
        drop(held);
    }
}

async fn aborted(abi: Abi) {
    for profile in PROFILES {
        let (server, collector) = profile.start(pounce().guest(abi, "slow")).await;
        let target = "/?ms=0&body_ms=20&chunks=1000000";
        let (connection, response) = client::hold(server.addr(), Protocol::H1, target).await;
        connection.abort();
        drop(response);
        let expected = Expected {
            target,
            sent: Some((200, "<bytes>")),
            error_type: Some("client_disconnected"),
            component: &abi.stem("slow"),
            more: PHASES,
            ..GET
        };
        expected.check(profile, &server, &collector.span().await);
    }
}

/// Sizes are what went over the wire, known only at the end.
async fn streamed_through(abi: Abi) {
    for profile in PROFILES {
        let (server, collector) = profile.start(pounce().guest(abi, "echo")).await;
        let (sender, body) = streamed();
        tokio::spawn(async move {
            for _ in 0..10 {
                sender
                    .send(Ok(Frame::data(Bytes::from(vec![b'x'; 10_000]))))
                    .await
                    .expect("the server reads");
            }
        });
        let mut connection = Connection::open(server.addr(), Protocol::H2).await;
        let answer = connection.fetch(client::request(Method::POST, "/stream", body)).await;
        assert_eq!(answer.text().len(), 100_000);
        let expected = Expected {
            method: "POST",
            target: "/stream",
            version: "2",
            sent: Some((200, "100000")),
            component: &abi.stem("echo"),
            more: &format!("? http.request.body.size = 100000 {PHASES}"),
            ..GET
        };
        expected.check(profile, &server, &collector.span().await);
    }
}

/// A response without a body has sent none, whatever length its head tells.
#[tokio::test]
async fn head_sends_no_bytes() {
    let (server, collector) = Profile::Stable.start(pounce().guest(Abi::P2, "hello")).await;
    for protocol in [Protocol::H1, Protocol::H2] {
        client::fetch(server.addr(), protocol, client::request(Method::HEAD, "/", client::empty())).await;
    }
    for span in collector.spans(2).await {
        assert_eq!(
            (span.int("http.response.body.size"), span.int("http.response.status_code")),
            (Some(0), Some(200))
        );
        assert_eq!(span.status, Status::Unset);
    }
}

/// What a client calls the server, not what it connected to.
#[tokio::test]
async fn the_server_is_named_as_the_client_named_it() {
    let (server, collector) = Profile::Compat.start(pounce().fixture("status.wat")).await;
    for host in ["shop.example", "shop.example:8443", "[2001:db8::1]:81"] {
        client::fetch(server.addr(), Protocol::H1, client::get("/200").with("host", host)).await;
    }
    let spans = collector.spans(3).await;
    for (span, (host, address, port)) in spans.iter().zip([
        ("shop.example", "shop.example", 80),
        ("shop.example:8443", "shop.example", 8443),
        ("[2001:db8::1]:81", "2001:db8::1", 81),
    ]) {
        assert_eq!((span.text("http.host"), span.text("server.address")), (host, address));
        assert_eq!((span.int("server.port"), span.int("net.host.port")), (Some(port), Some(port)), "{host}");
    }
}
