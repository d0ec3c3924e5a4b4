//! What a guest may call, what it cannot, and the trace that goes with it.

use crate::support::client::{self, WithHeader};
use crate::support::origin::Origin;
use crate::support::pounce::{Builder, Pounce};
use crate::support::server::Identity;
use crate::support::{Abi, Collector, Protocol, for_both_abis, pounce};
use serde_json::{Value, json};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

for_both_abis!(
    nothing_is_allowed_by_default_and_the_operator_sees_the_flag,
    what_is_named_is_allowed,
    a_wildcard_opens_nothing_private,
    the_trace_of_the_request_goes_along,
    with_telemetry_off_headers_are_left_alone,
    an_unsampled_trace_goes_along_too,
    a_guest_is_told_why_a_call_failed,
    tls_is_trusted_by_the_systems_authorities,
    a_silent_origin_does_not_outlast_the_request_timeout,
);

fn relay(abi: Abi, allowed: &[&str]) -> Builder {
    allowed.iter().fold(pounce().guest(abi, "relay"), |builder, host| builder.flag("--allow-outbound", host))
}

/// Has the guest call `urls`, one after another; what came of each.
async fn call(server: &Pounce, urls: &[&str]) -> Vec<String> {
    call_with(server, urls, json!({}), &[]).await
}

/// Asks the guest to call, with headers that the guest sets and headers that the request brings.
async fn call_with(
    server: &Pounce,
    urls: &[&str],
    set: Value,
    brought: &[(&'static str, &str)],
) -> Vec<String> {
    let calls: Vec<_> =
        urls.iter().map(|url| json!({ "url": url, "arguments": 1, "headers": set })).collect();
    let request = client::post("/", Value::from(calls).to_string());
    let request = brought.iter().fold(request, |request, (name, value)| request.with(name, value));
    let answer = client::fetch(server.addr(), Protocol::H1, request).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let outcomes: Vec<Value> = serde_json::from_slice(&answer.body).unwrap();
    outcomes.iter().map(|outcome| outcome.as_object().unwrap().values().next().unwrap().to_string()).collect()
}

async fn nothing_is_allowed_by_default_and_the_operator_sees_the_flag(abi: Abi) {
    let origin = Origin::answering(200).await;
    let mut server = relay(abi, &[]).start().await;
    let outcomes = call(&server, &[&origin.url("/a")]).await;
    assert!(outcomes[0].contains("HttpRequestDenied"), "{outcomes:?}");
    let line = server.logged(&["--allow-outbound", &format!("http://{}", origin.addr())]).await;
    assert!(line.contains(&abi.stem("relay")), "which component? {line}");
    for _ in 0..5 {
        call(&server, &[&origin.url("/a")]).await;
    }
    let exit = server.stop().await;
    let times = exit.stderr.lines().filter(|line| line.contains("--allow-outbound")).count();
    assert!(times <= 2, "a guest that tries again does not fill the log: {times} lines");
    assert_eq!(origin.arrived().len(), 0);
}

async fn what_is_named_is_allowed(abi: Abi) {
    let (named, other) = (Origin::answering(201).await, Origin::answering(202).await);
    let port = named.addr().port();
    for rule in [format!("http://127.0.0.1:{port}"), format!("127.0.0.1:{port}")] {
        let server = relay(abi, &[&rule]).start().await;
        let outcomes = call(&server, &[&named.url("/x?y=1"), &other.url("/"), &named.url("/again")]).await;
        assert_eq!((outcomes[0].as_str(), outcomes[2].as_str()), ("201", "201"), "{rule}");
        assert!(outcomes[1].contains("HttpRequestDenied"), "another port, {rule}: {outcomes:?}");
        let https = format!("https://127.0.0.1:{port}/");
        if rule.starts_with("http:") {
            assert!(call(&server, &[&https]).await[0].contains("HttpRequestDenied"), "another scheme");
        }
    }
    let first = &named.arrived()[0];
    assert_eq!(
        (first.method.as_str(), first.target.as_str(), &first.body[..]),
        ("POST", "/x?y=1", &b"1"[..])
    );
    assert_eq!(first.values("host"), [named.addr().to_string()]);
    assert_eq!(other.arrived().len(), 0);

    let any_port = relay(abi, &["http://127.0.0.1:*", "http://localhost:*"]).start().await;
    let by_name = format!("http://localhost:{port}/");
    assert_eq!(call(&any_port, &[&other.url("/"), &named.url("/"), &by_name]).await, ["202", "201", "201"]);
}

/// `*` is for public hosts: loopback, private and metadata addresses stay closed however they are spelt.
async fn a_wildcard_opens_nothing_private(abi: Abi) {
    let origin = Origin::answering(200).await;
    let port = origin.addr().port();
    let mut server = relay(abi, &["*", "http://*:*"]).start().await;
    let hosts = [
        "127.0.0.1",
        "localhost",
        "2130706433",
        "0x7f.1",
        "127.1",
        "0.0.0.0",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
    ];
    let urls: Vec<_> = hosts.iter().map(|host| format!("http://{host}:{port}/")).collect();
    let metadata =
        ["http://169.254.169.254/latest/meta-data/", "http://10.0.0.1/", "http://[fd00:ec2::254]/"];
    let all: Vec<_> = urls.iter().map(String::as_str).chain(metadata).collect();
    let outcomes = call(&server, &all).await;
    for (url, outcome) in all.iter().zip(outcomes) {
        assert!(outcome.starts_with('"'), "{url} answered {outcome}");
    }
    assert_eq!(origin.arrived().len(), 0, "{:?}", origin.arrived());
    server.logged(&["127.0.0.1", "--allow-outbound"]).await;
}

async fn the_trace_of_the_request_goes_along(abi: Abi) {
    let collector = Collector::start().await;
    let origin = Origin::answering(200).await;
    let server = relay(abi, &[&format!("http://{}", origin.addr())]).traced(&collector).start().await;
    // What a guest forwards from its own caller would tear the trace apart; what it invents would forge one.
    let forged = format!("00-{}-{}-00", "1".repeat(32), "2".repeat(16));
    let brought = [("traceparent", &*format!("00-{TRACE}-{PARENT}-01")), ("tracestate", "a=1,b=2")];
    let set = json!({ "traceparent": forged, "tracestate": "forged=1", "x-own": "kept" });
    assert_eq!(call_with(&server, &[&origin.url("/")], set, &brought).await, ["200"]);
    assert_eq!(call(&server, &[&origin.url("/root")]).await, ["200"]);
    server.stop().await.expect(0, &[]);

    let arrived = origin.arrived();
    let spans = collector.received();
    for (request, trace, state) in [(&arrived[0], Some(TRACE), &["a=1,b=2"][..]), (&arrived[1], None, &[])] {
        let sent = request.values("traceparent");
        assert_eq!(sent.len(), 1, "{sent:?}");
        let [version, trace_id, parent, flags] = sent[0].split('-').collect::<Vec<_>>()[..] else {
            panic!("{sent:?}")
        };
        // The caller's flags as they came; a trace of our own is random.
        assert_eq!((version, flags), ("00", if trace.is_some() { "01" } else { "03" }));
        // The caller of the origin is a span of ours, which the collector has.
        let caller =
            spans.iter().find(|span| span.span_id == parent).expect("the parent is a span that arrived");
        assert_eq!(caller.trace_id, trace_id);
        assert!(trace.is_none_or(|trace| trace == trace_id), "{trace_id}");
        assert_eq!(request.values("tracestate"), state);
    }
    assert_eq!(arrived[0].values("x-own"), ["kept"]);
}

async fn with_telemetry_off_headers_are_left_alone(abi: Abi) {
    let origin = Origin::answering(200).await;
    let server = relay(abi, &[&format!("http://{}", origin.addr())]).start().await;
    let own = format!("00-{TRACE}-{PARENT}-01");
    call_with(&server, &[&origin.url("/")], json!({ "traceparent": own }), &[("traceparent", &own)]).await;
    call_with(&server, &[&origin.url("/")], json!({}), &[("traceparent", &own)]).await;
    let arrived = origin.arrived();
    assert_eq!(arrived[0].values("traceparent"), [own]);
    assert_eq!(arrived[1].values("traceparent"), [""; 0]);
}

async fn an_unsampled_trace_goes_along_too(abi: Abi) {
    let collector = Collector::start().await;
    let origin = Origin::answering(200).await;
    let server = relay(abi, &[&format!("http://{}", origin.addr())]).traced(&collector).start().await;
    let brought = [("traceparent", &*format!("00-{TRACE}-{PARENT}-00"))];
    call_with(&server, &[&origin.url("/")], json!({}), &brought).await;
    server.stop().await.expect(0, &[]);
    let arrived = origin.arrived();
    let sent = arrived[0].values("traceparent");
    assert!(sent[0].starts_with(&format!("00-{TRACE}-")) && sent[0].ends_with("-00"), "{sent:?}");
    assert_eq!(collector.received().len(), 0);
}

async fn a_guest_is_told_why_a_call_failed(abi: Abi) {
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let server = relay(abi, &["http://127.0.0.1:*", "http://no-such-host.invalid:*"]).start().await;
    let (refused, unknown) = (format!("http://{gone}/"), "http://no-such-host.invalid:80/");
    let outcomes = call(&server, &[&refused, unknown]).await;
    assert!(outcomes[0].contains("ConnectionRefused"), "{outcomes:?}");
    let dns = ["DnsError", "DestinationNotFound", "DnsTimeout"];
    assert!(dns.iter().any(|code| outcomes[1].contains(code)), "{outcomes:?}");
    // An answer is an answer, whatever its status.
    let broken = Origin::answering(500).await;
    assert_eq!(call(&server, &[&broken.url("/")]).await, ["500"]);
}

async fn tls_is_trusted_by_the_systems_authorities(abi: Abi) {
    let identity = Identity::of_localhost();
    let origin = Origin::with(200, Some(&identity)).await;
    let dir = tempfile::tempdir().unwrap();
    let (ours, others) = (dir.path().join("ours.pem"), dir.path().join("others.pem"));
    identity.write_certificate(&ours);
    Identity::of_localhost().write_certificate(&others);
    let url = format!("https://localhost:{}/", origin.addr().port());
    for (file, outcome) in [(&ours, "200"), (&others, "TlsCertificateError")] {
        let rule = url.trim_end_matches('/');
        let server = relay(abi, &[rule]).env("SSL_CERT_FILE", file.display()).start().await;
        let outcomes = call(&server, &[&url]).await;
        assert!(outcomes[0].contains(outcome), "{outcomes:?}");
    }
    assert_eq!(origin.arrived().len(), 1);
}

async fn a_silent_origin_does_not_outlast_the_request_timeout(abi: Abi) {
    // Connections are accepted by the kernel, and nobody ever reads.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    let server = relay(abi, &[url.trim_end_matches('/')]).flag("--request-timeout", "1s").start().await;
    let body = json!([{ "url": url, "arguments": 1 }]).to_string();
    assert_eq!(client::fetch(server.addr(), Protocol::H1, client::post("/", body)).await.status, 504);
}
