//! Baggage through the real server.

use super::{PARENT, TRACE, relay, through, told};
use crate::support::client::{self, WithHeader};
use crate::support::origin::Origin;
use crate::support::{Abi, Collector, Protocol, for_both_abis, pounce};
use serde_json::{Value, json};

for_both_abis!(
    it_goes_along_as_it_came,
    a_guest_reads_it_decoded_and_injects_it,
    what_a_guest_sets_goes_along_from_then_on,
    what_is_malformed_is_dropped_alone_and_counted_but_never_shown,
    requests_that_share_an_instance_have_their_own,
    without_telemetry_it_is_left_alone_without_the_propagator_removed,
);

async fn it_goes_along_as_it_came(abi: Abi) {
    let (collector, origin) = (Collector::start().await, Origin::answering(200).await);
    for sampler in ["always_on", "always_off"] {
        let server = relay(abi, &origin).traced(&collector).env("OTEL_TRACES_SAMPLER", sampler).start().await;
        let text = "user=Am%C3%A9lie;secret;ttl=5,node = DF%2028";
        for (brought, sent) in [
            (&[("baggage", text)][..], vec![text]),
            (&[("baggage", "a=1"), ("baggage", "b=2 , a=3")], vec!["a=1,b=2,a=3"]),
            (&[], vec![]),
        ] {
            let arrived = through(&server, &origin, brought, json!({})).await;
            assert_eq!(arrived.values("baggage"), sent, "{sampler}");
        }
        // What a guest forwards by hand, or makes up, does not stand beside it.
        let forwards = json!({ "headers": { "baggage": "made=up" } });
        let arrived = through(&server, &origin, &[("baggage", "a=1")], forwards.clone()).await;
        assert_eq!(arrived.values("baggage"), ["a=1"]);
        assert_eq!(through(&server, &origin, &[], forwards).await.values("baggage"), [""; 0]);
    }
}

/// What the guest reports that tells its server span about things.
async fn report(abi: Abi, settings: &[(&str, &str)], headers: super::Headers<'_>) -> Value {
    let server = settings
        .iter()
        .fold(pounce().serve().guest(abi, "attributes"), |builder, (name, value)| builder.env(name, value));
    let server = server.start().await;
    let request =
        headers.iter().fold(client::get("/?fixed"), |request, (name, value)| request.with(name, value));
    let answer = client::fetch(server.addr(), Protocol::H1, request).await;
    serde_json::from_slice(&answer.body).unwrap()
}

async fn a_guest_reads_it_decoded_and_injects_it(abi: Abi) {
    let text = "user=Am%C3%A9lie;secret, node = DF%2028,half=100%,empty=";
    let parent = format!("00-{TRACE}-{PARENT}-01");
    let headers = [("traceparent", parent.as_str()), ("baggage", text)];
    let seen = report(abi, &[("OTEL_TRACES_EXPORTER", "console")], &headers).await;
    let expected = json!({ "user": "Amélie", "node": "DF 28", "half": "100%", "empty": "" });
    assert_eq!(seen["baggage"], expected);
    for headers in [&seen["inject"], &seen["inject_for"]] {
        assert_eq!(headers["baggage"], "user=Am%C3%A9lie;secret,node = DF%2028,half=100%,empty=");
        assert!(headers["traceparent"].as_str().unwrap().starts_with(&format!("00-{TRACE}-")));
    }
    let none = report(abi, &[("OTEL_TRACES_EXPORTER", "console")], &headers[..1]).await;
    assert_eq!((&none["baggage"], &none["inject"]["baggage"]), (&json!({}), &Value::Null));
}

async fn what_a_guest_sets_goes_along_from_then_on(abi: Abi) {
    let (collector, origin) = (Collector::start().await, Origin::answering(200).await);
    for sampler in ["always_on", "always_off"] {
        let server = relay(abi, &origin).traced(&collector).env("OTEL_TRACES_SAMPLER", sampler).start().await;
        let call = |baggage: Value| json!({ "url": origin.url("/"), "arguments": 1, "baggage": baggage });
        let calls = json!([
            call(json!({})),
            call(json!({ "user": "Amélie, 100%", "not a token": "x" })),
            call(json!({ "long": "v".repeat(4096), "a": "2" })),
            call(json!({})),
        ]);
        for brought in [&[("baggage", "a=1;p,b=2")][..], &[]] {
            let before = origin.arrived().len();
            let request = client::post("/", calls.to_string());
            let request = brought.iter().fold(request, |request, (name, value)| request.with(name, value));
            let answer = client::fetch(server.addr(), Protocol::H1, request).await;
            let outcomes: Value = serde_json::from_slice(&answer.body).unwrap();
            assert_eq!(
                outcomes,
                json!([
                    { "status": 200 },
                    { "status": 200, "refused": ["not a token"] },
                    { "status": 200, "refused": ["long"] },
                    { "status": 200 },
                ])
            );
            let arrived = origin.arrived();
            let sent: Vec<_> =
                arrived[before..].iter().map(|request| request.values("baggage").concat()).collect();
            let user = "user=Am%C3%A9lie%2C%20100%25";
            let expected = match brought {
                [] => ["".into(), user.to_owned(), format!("{user},a=2"), format!("{user},a=2")],
                _ => [
                    "a=1;p,b=2".into(),
                    format!("a=1;p,b=2,{user}"),
                    format!("a=2,b=2,{user}"),
                    format!("a=2,b=2,{user}"),
                ],
            };
            assert_eq!(sent, expected, "{sampler}");
        }
        // The next request in the same server has nothing of it.
        assert_eq!(through(&server, &origin, &[], json!({})).await.values("baggage"), [""; 0]);
        let exit = server.stop().await;
        let said = |line: &str| line.contains("invalid or over a limit") && line.contains("\"count\":4");
        assert!(exit.stderr.lines().any(said), "{exit}");
    }
}

async fn what_is_malformed_is_dropped_alone_and_counted_but_never_shown(abi: Abi) {
    let (collector, origin) = (Collector::start().await, Origin::answering(200).await);
    let server = relay(abi, &origin).traced(&collector).flag("--log-level", "trace").start().await;
    let many: Vec<_> = (0..64).map(|n| format!("m{n}={n}")).collect();
    let long = format!("a={}", "v".repeat(4095));
    let fits = format!("a={}", "v".repeat(4094));
    for (brought, sent) in [
        ("a=1,s3cret s3cret=1,b=\"s3cret\",c=3", "a=1,c=3"),
        (&format!("{},over=s3cret", many.join(",")), &many.join(",")),
        (&format!("{long},b=2"), "b=2"),
        (&format!("{fits},{fits},c=3"), &format!("{fits},c=3")),
    ] {
        let arrived = through(&server, &origin, &[("baggage", brought)], json!({})).await;
        assert_eq!(arrived.values("baggage"), [sent]);
    }
    let exit = server.stop().await;
    assert!(exit.stderr.contains("5 members of baggage dropped"), "{exit}");
    assert!(!exit.stderr.contains("s3cret") && !exit.stderr.contains("vvvv"), "{exit}");
    // Nor on a span: baggage is not an attribute.
    assert!(!format!("{:?}", collector.received()).contains("s3cret"));
}

async fn requests_that_share_an_instance_have_their_own(abi: Abi) {
    let (collector, origin) = (Collector::start().await, Origin::answering(200).await);
    let server = relay(abi, &origin).traced(&collector).flag("--isolation", "instance").start().await;
    let requests = (0..40).map(|n| {
        let (server, origin) = (&server, &origin);
        async move {
            let (given, set) = (format!("given={n}"), json!({ "baggage": { "set": n.to_string() } }));
            told(server, origin, &[("baggage", &given), ("x-n", &n.to_string())], set).await
        }
    });
    for outcome in futures_util::future::join_all(requests).await {
        assert_eq!(outcome, json!([{ "status": 200 }]));
    }
    let mut sent: Vec<_> =
        origin.arrived().iter().map(|request| request.values("baggage").concat()).collect();
    let mut expected: Vec<_> = (0..40).map(|n| format!("given={n},set={n}")).collect();
    sent.sort();
    expected.sort();
    assert_eq!(sent, expected);
}

async fn without_telemetry_it_is_left_alone_without_the_propagator_removed(abi: Abi) {
    let origin = Origin::answering(200).await;
    let without = [("OTEL_TRACES_EXPORTER", "console"), ("OTEL_PROPAGATORS", "tracecontext")];
    for (settings, goes) in [(&[][..], &["own=1"][..]), (&without, &[])] {
        let builder = settings
            .iter()
            .fold(relay(abi, &origin).serve(), |builder, (name, value)| builder.env(name, value));
        let server = builder.start().await;
        let own = json!({ "headers": { "baggage": "own=1" } });
        assert_eq!(through(&server, &origin, &[("baggage", "a=1")], own).await.values("baggage"), goes);
        let none = through(&server, &origin, &[("baggage", "a=1")], json!({})).await;
        assert_eq!(none.values("baggage"), [""; 0]);
        let set = json!({ "baggage": { "b": "2" } });
        let outcome = told(&server, &origin, &[("baggage", "a=1")], set).await;
        assert_eq!(outcome, json!([{ "status": 200, "refused": ["b"] }]), "nobody would carry it");
        let seen = report(abi, settings, &[("baggage", "a=1")]).await;
        assert_eq!((&seen["baggage"], &seen["inject"]["baggage"]), (&json!({}), &Value::Null));
    }
}
