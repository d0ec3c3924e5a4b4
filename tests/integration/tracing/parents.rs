//! Whose child the span is, and whether it is kept: W3C Trace Context and the samplers.

use crate::support::client::{self, WithHeader};
use crate::support::span::Span;
use crate::support::{Abi, Collector, Protocol, for_both_abis, pounce};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

for_both_abis!(a_guest_sees_its_own_context);

/// The span of one request that carried `headers`.
async fn span_with(headers: &[(&'static str, &str)]) -> Span {
    let collector = Collector::start().await;
    let server = pounce()
        .fixture("status.wat")
        .traced(&collector)
        .start()
        .await;
    let request = headers
        .iter()
        .fold(client::get("/200"), |request, (name, value)| {
            request.with(name, value)
        });
    client::fetch(server.addr(), Protocol::H1, request).await;
    collector.span().await
}

#[tokio::test]
async fn the_caller_is_the_parent() {
    let parent = format!("00-{TRACE}-{PARENT}-01");
    let span = span_with(&[
        ("traceparent", &parent),
        ("tracestate", "a=1,b=2"),
        ("tracestate", "c=3"),
    ])
    .await;
    assert_eq!(
        (span.trace_id.as_str(), span.parent.as_str()),
        (TRACE, PARENT)
    );
    assert_ne!(span.span_id, PARENT);
    assert_eq!(
        span.trace_state, "a=1,b=2,c=3",
        "several headers are one list"
    );
    assert_eq!(span.flags & 0x1, 1);
    assert_eq!(
        span.flags & 0x300,
        0x300,
        "the parent is known to be remote"
    );
}

#[tokio::test]
async fn what_is_no_valid_parent_starts_a_trace() {
    let collector = Collector::start().await;
    let server = pounce()
        .fixture("status.wat")
        .traced(&collector)
        .start()
        .await;
    let cases = [
        format!("00-{}-{PARENT}-01", TRACE.to_uppercase()),
        format!("00-{}-{PARENT}-01", "0".repeat(32)),
        format!("00-{TRACE}-{}-01", "0".repeat(16)),
        format!("00-{TRACE}-{PARENT}"),
        format!("00-{TRACE}-{PARENT}-1"),
        format!("00-{TRACE}-{PARENT}-01-extra"),
        format!("00-{TRACE}-{PARENT}-0x"),
        format!("00-{TRACE}-{PARENT}-01-"),
        format!("ff-{TRACE}-{PARENT}-01"),
        format!("0-{TRACE}-{PARENT}-01"),
        format!("00_{TRACE}_{PARENT}_01"),
        format!("00-{}-{PARENT}-01", &TRACE[1..]),
        format!("00-{TRACE}-{PARENT}-01, 00-{TRACE}-{PARENT}-01"),
        String::new(),
    ];
    for (n, parent) in cases.iter().enumerate() {
        let request = client::get(&format!("/200/{n}"))
            .with("traceparent", parent)
            .with("tracestate", "a=1");
        client::fetch(server.addr(), Protocol::H1, request).await;
    }
    let twice = client::get("/200/twice").with("traceparent", format!("00-{TRACE}-{PARENT}-01"));
    let twice = twice.with("traceparent", format!("00-{TRACE}-{PARENT}-01"));
    client::fetch(server.addr(), Protocol::H1, twice).await;
    for span in collector.spans(cases.len() + 1).await {
        assert_ne!(span.trace_id, TRACE, "{}", span.name);
        assert_eq!(
            (span.parent.as_str(), span.trace_state.as_str()),
            ("", ""),
            "{}",
            span.name
        );
    }
}

#[tokio::test]
async fn a_later_version_and_broken_state_still_join_the_trace() {
    let parent = format!("00-{TRACE}-{PARENT}-01");
    let later = format!("cc-{TRACE}-{PARENT}-01-what-the-future-holds");
    for (headers, state) in [
        (vec![("traceparent", later.as_str())], ""),
        (vec![("traceparent", &parent), ("tracestate", "")], ""),
        (
            vec![("traceparent", &parent), ("tracestate", "no equals sign")],
            "",
        ),
        (
            vec![("traceparent", &parent), ("tracestate", " a=1 , ,b=2\t")],
            "a=1,b=2",
        ),
    ] {
        let span = span_with(&headers).await;
        assert_eq!(
            (span.trace_id.as_str(), span.parent.as_str()),
            (TRACE, PARENT),
            "{headers:?}"
        );
        assert_eq!(span.trace_state, state, "{headers:?}");
    }
}

async fn a_guest_sees_its_own_context(abi: Abi) {
    let collector = Collector::start().await;
    let server = pounce()
        .guest(abi, "attributes")
        .traced(&collector)
        .start()
        .await;
    let request = client::get("/?fixed").with("traceparent", format!("00-{TRACE}-{PARENT}-01"));
    let answer = client::fetch(
        server.addr(),
        Protocol::H1,
        request.with("tracestate", "a=1"),
    )
    .await;
    let seen: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    let span = collector.span().await;
    for context in [&seen["context"], &seen["current"]["context"]] {
        assert_eq!(context["trace_id"], TRACE);
        assert_eq!(
            context["span_id"], span.span_id,
            "the span itself, not its parent"
        );
        assert_eq!(
            (&context["trace_flags"], &context["trace_state"]),
            (&1.into(), &"a=1".into())
        );
    }
    assert_eq!(seen["is_recording"], true);
    let traceparent = format!("00-{TRACE}-{}-01", span.span_id);
    for headers in [&seen["inject"], &seen["inject_for"]] {
        assert_eq!(
            (&headers["traceparent"], &headers["tracestate"]),
            (&traceparent.as_str().into(), &"a=1".into())
        );
    }
    assert_eq!(seen["extract"]["span_id"], span.span_id);
}

/// The sampler decides; `headers` come with each of `requests`, and the count of kept spans is returned.
async fn kept(settings: &[(&str, &str)], traceparent: Option<&str>, requests: usize) -> usize {
    let collector = Collector::start().await;
    let settings = settings
        .iter()
        .fold(pounce().fixture("status.wat"), |builder, (name, value)| {
            builder.env(name, value)
        });
    let server = settings.traced(&collector).start().await;
    let mut connection = client::Connection::open(server.addr(), Protocol::H2).await;
    for _ in 0..requests {
        let request = traceparent
            .iter()
            .fold(client::get("/200"), |request, value| {
                request.with("traceparent", value)
            });
        assert_eq!(connection.fetch(request).await.status, 200);
    }
    server.stop().await.expect(0, &[]);
    collector.received().len()
}

#[tokio::test]
async fn the_sampler_of_the_caller_stands() {
    let (yes, no) = (
        format!("00-{TRACE}-{PARENT}-01"),
        format!("00-{TRACE}-{PARENT}-00"),
    );
    for (settings, parent, expected) in [
        (&[][..], Some(&no), 0),
        (&[], Some(&yes), 3),
        (&[("POUNCE_OTEL_SAMPLE", "0")], None, 0),
        (&[("POUNCE_OTEL_SAMPLE", "0")], Some(&yes), 3),
        (&[("OTEL_TRACES_SAMPLER", "always_off")], Some(&yes), 0),
        (&[("OTEL_TRACES_SAMPLER", "always_on")], Some(&no), 3),
        (
            &[("OTEL_TRACES_SAMPLER", "parentbased_always_off")],
            None,
            0,
        ),
        (
            &[("OTEL_TRACES_SAMPLER", "parentbased_always_off")],
            Some(&yes),
            3,
        ),
        (
            &[
                ("OTEL_TRACES_SAMPLER", "traceidratio"),
                ("OTEL_TRACES_SAMPLER_ARG", "0"),
            ],
            Some(&yes),
            0,
        ),
        // Ours beats the standard one.
        (
            &[
                ("POUNCE_OTEL_SAMPLE", "1"),
                ("OTEL_TRACES_SAMPLER", "always_off"),
            ],
            None,
            3,
        ),
    ] {
        let kept = kept(settings, parent.map(String::as_str), 3).await;
        assert_eq!(kept, expected, "{settings:?} with {parent:?}");
    }
}

#[tokio::test]
async fn a_ratio_keeps_about_that_share() {
    // 400 requests at a half: fewer than 130 or more than 270 come once in 10^12 runs.
    let kept = kept(&[("POUNCE_OTEL_SAMPLE", "0.5")], None, 400).await;
    assert!((130..=270).contains(&kept), "{kept} of 400");
}

#[tokio::test]
async fn a_guest_can_tell_that_nobody_records() {
    for abi in [Abi::P2, Abi::P3] {
        let collector = Collector::start().await;
        let server = pounce()
            .guest(abi, "attributes")
            .traced(&collector)
            .start()
            .await;
        let request = client::get("/?fixed").with("traceparent", format!("00-{TRACE}-{PARENT}-00"));
        let answer = client::fetch(server.addr(), Protocol::H1, request).await;
        let seen: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(seen["is_recording"], false);
        // The trace goes on through us all the same, with the caller's decision.
        let sent = seen["inject"]["traceparent"]
            .as_str()
            .expect("a traceparent");
        assert!(
            sent.starts_with(&format!("00-{TRACE}-")) && sent.ends_with("-00"),
            "{sent}"
        );
        assert!(!sent.contains(PARENT), "{sent}");
        server.stop().await.expect(0, &[]);
        assert_eq!(collector.received().len(), 0);
    }
}

#[tokio::test]
async fn with_telemetry_off_the_pair_passes_as_it_came() {
    for abi in [Abi::P2, Abi::P3] {
        let server = pounce()
            .guest(abi, "attributes")
            .flag("--isolation", "request")
            .start()
            .await;
        let parent = format!("00-{TRACE}-{PARENT}-01");
        let request = client::get("/?fixed")
            .with("traceparent", &parent)
            .with("tracestate", "a=1");
        let answer = client::fetch(server.addr(), Protocol::H1, request).await;
        let seen: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(seen["is_recording"], false, "{abi:?}");
        assert_eq!(seen["inject"]["traceparent"], parent.as_str(), "{abi:?}");
        assert_eq!(seen["inject"]["tracestate"], "a=1", "{abi:?}");
    }
}
