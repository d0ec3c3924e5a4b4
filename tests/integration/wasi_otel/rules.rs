//! Where spans belong, what stands of them, and when: calls of `wasi:otel` one by one.

use super::{ask, ask_with, encoded, raw};
use crate::support::attributes::expect;
use crate::support::client::{self, WithHeader};
use crate::support::origin::Origin;
use crate::support::span::{Span, tree};
use crate::support::{Abi, Collector, for_both_abis, pounce};
use serde_json::{Value as Json, json};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";
const ONE: &str = "00000000000000a1";
const TWO: &str = "00000000000000a2";

for_both_abis!(
    the_context_around_the_guest_is_the_requests,
    unsampled_requests_drop_spans_without_a_word,
    a_parent_that_is_not_known_is_the_request,
    json_becomes_values,
    a_propagator_in_the_guest_names_the_parent,
    links_say_whether_the_span_is_remote,
    a_span_that_ends_before_it_starts_has_a_length,
    spans_have_the_share_that_was_sampled,
    ends_take_spans_off_wherever_they_are,
    work_after_the_response_is_still_told,
);

/// The spans that come of `steps`, the server span among them, which must be `n`.
async fn spans_of(abi: Abi, steps: Json, n: usize) -> Vec<Span> {
    let collector = Collector::start().await;
    let server = pounce().guest(abi, "otel").traced(&collector).start().await;
    ask(&server, &raw(&steps)).await;
    collector.spans(n).await
}

fn of<'a>(spans: &'a [Span], id: &str) -> &'a Span {
    spans.iter().find(|span| span.span_id == id).unwrap_or_else(|| panic!("no span {id}"))
}

fn with_parent(request: http::Request<client::Body>, flags: &str) -> http::Request<client::Body> {
    request.with("traceparent", format!("00-{TRACE}-{PARENT}-{flags}")).with("tracestate", "a=1,b=2")
}

async fn the_context_around_the_guest_is_the_requests(abi: Abi) {
    let collector = Collector::start().await;
    let server = pounce().guest(abi, "otel").traced(&collector).start().await;
    let steps = json!([{ "see": true }, { "start": { "span": ONE } }, { "see": true },
        { "end": { "span": ONE, "name": "one" } }, { "see": true }]);
    let answer = ask_with(&server, with_parent(client::get(&raw(&steps)), "01")).await;
    let spans = collector.spans(2).await;
    let host = of(&spans, &of(&spans, ONE).parent);
    let expected = json!({ "trace_id": TRACE, "span_id": host.span_id, "sampled": true, "is_remote": false,
        "state": [["a", "1"], ["b", "2"]] });
    let mut inner = expected.clone();
    (inner["span_id"], inner["state"]) = (json!(ONE), json!([]));
    for (at, outer, current) in [(0, &expected, &expected), (1, &expected, &inner), (2, &expected, &expected)]
    {
        assert_eq!((&answer["seen"][at]["outer"], &answer["seen"][at]["current"]), (outer, current), "{at}");
    }

    // With telemetry off: what the caller sent, or nothing.
    let server = pounce().guest(abi, "otel").start().await;
    let answer = ask_with(&server, with_parent(client::get(&raw(&json!([{ "see": true }]))), "01")).await;
    let expected = json!({ "trace_id": TRACE, "span_id": PARENT, "sampled": true, "is_remote": true,
        "state": [["a", "1"], ["b", "2"]] });
    assert_eq!(answer["seen"][0], json!({ "outer": expected, "current": expected }));
    let answer = ask(&server, &raw(&json!([{ "see": true }]))).await;
    let nobody = json!({ "trace_id": "0".repeat(32), "span_id": "0".repeat(16), "sampled": false,
        "is_remote": false, "state": [] });
    assert_eq!(answer["seen"][0], json!({ "outer": nobody, "current": nobody }));
}

async fn unsampled_requests_drop_spans_without_a_word(abi: Abi) {
    let collector = Collector::start().await;
    let server = pounce().guest(abi, "otel").traced(&collector).start().await;
    let steps =
        json!([{ "see": true }, { "start": { "span": ONE } }, { "end": { "span": ONE, "name": "one" } }]);
    let answer = ask_with(&server, with_parent(client::get(&raw(&steps)), "00")).await;
    let outer = &answer["seen"][0]["outer"];
    assert_eq!((outer["trace_id"].as_str(), outer["sampled"].as_bool()), (Some(TRACE), Some(false)));
    assert!(outer["span_id"] != PARENT && outer["span_id"] != "0".repeat(16).as_str(), "a real id: {outer}");
    let exit = server.stop().await;
    assert!(collector.received().is_empty());
    assert!(!exit.stderr.contains("WARN") && !exit.stderr.contains("telemetry calls"), "{exit}");
}

async fn a_parent_that_is_not_known_is_the_request(abi: Abi) {
    let zero = "0".repeat(16);
    let spans = spans_of(
        abi,
        json!([
            { "end": { "span": ONE, "name": "never started", "parent": "host" } },
            { "end": { "span": TWO, "name": "of the caller", "parent": PARENT } },
            { "end": { "span": "00000000000000a3", "name": "of zero", "parent": zero } },
            { "end": { "span": "00000000000000a4", "name": "of nothing", "parent": "" } },
            { "end": { "span": "00000000000000a5", "name": "of one", "parent": ONE } },
            { "end": { "span": "00000000000000a6", "name": "of junk", "parent": "zz" } },
        ]),
        7,
    )
    .await;
    let expected = "Server GET /raw\n  Internal never started\n    Internal of one\n  Internal of the caller\n  \
                    Internal of zero\n  Internal of nothing\n  Internal of junk\n";
    let lines = |tree: &str| tree.lines().map(str::to_owned).collect::<std::collections::BTreeSet<_>>();
    assert_eq!(lines(&tree(&spans)), lines(expected), "{}", tree(&spans));
    assert_eq!(of(&spans, TWO).links[0].span_id, PARENT, "remote parents are links");
    assert!(of(&spans, ONE).links.is_empty());
}

async fn json_becomes_values(abi: Abi) {
    let attributes = json!({
        "text": "\"a\\u00e4\"", "yes": "true", "int": "-9223372036854775808", "big": "9223372036854775808",
        "double": "1.0", "mixed": "[1, \"two\", [3], null]", "map": "{\"b\": {\"c\": false}, \"a\": 1, \"a\": 2}",
        "bytes": "\"data:application/octet-stream;base64,AAH/\"", "null": "null",
        "broken": "{\"open\":", "bare": "bare words", "empty": "", "nan": "NaN",
        "deep": ["[", 8, "]"], "deeper": ["[", 9, "]"], "hundred": ["[", 100, "]"],
        "long": ["x", 5000, ""], "pounce.forged": "1",
    });
    let events = json!([{ "name": "event", "attributes": { "list": "[1, 2]" } }]);
    let steps = json!([{ "end": { "span": ONE, "name": "json", "parent": "host", "attributes": attributes,
        "events": events, "omitted": 5, "scope": "my scope" } }]);
    let spans = spans_of(abi, steps, 2).await;
    let span = of(&spans, ONE);
    let component = format!("pounce.component = {:?}", abi.stem("otel"));
    let long = "x".repeat(4096);
    let (nine, hundred) = ("[".repeat(9) + &"]".repeat(9), "[".repeat(100) + &"]".repeat(100));
    span.expect_attributes(
        &format!(
            r#"{component}
           text = "aä"
           yes = true
           int = -9223372036854775808
           big = 9.223372036854776e18
           double = 1.0
           mixed = [1, "two", [3], <None>]
           map = {{a: 2, b: {{c: false}}}}
           bytes = 0x0001ff
           null = <None>
           broken = "{{\"open\":"
           bare = "bare words"
           empty = ""
           nan = "NaN"
           deep = [[[[[[[[]]]]]]]]
           deeper = {nine:?}
           hundred = {hundred:?}
           long = {long:?}"#
        )
        .replace("hundred = ", "hundred = "),
    );
    assert_eq!(span.dropped_attributes, 5 + 1, "the guest's count, and the name that is ours");
    assert_eq!((span.dropped_events, span.dropped_links), (5, 5));
    expect("attributes of the event", &span.event("event").attributes, "list = [1, 2]");
}

async fn links_say_whether_the_span_is_remote(abi: Abi) {
    let there =
        |remote: bool| json!({ "span": TWO, "trace": TRACE, "state": { "a": "1" }, "remote": remote });
    let links = json!([there(true), there(false)]);
    let spans = spans_of(abi, json!([{ "end": { "span": ONE, "name": "links", "links": links } }]), 2).await;
    let links = &of(&spans, ONE).links;
    let flags: Vec<_> = links.iter().map(|link| (link.flags, link.trace_state.as_str())).collect();
    assert_eq!(flags, [(0x301, "a=1"), (0x101, "a=1")]);
}

async fn a_span_that_ends_before_it_starts_has_a_length(abi: Abi) {
    let spans = spans_of(
        abi,
        json!([
            { "end": { "span": ONE, "name": "backwards", "from": [2_000_000_000, 0], "to": [1_000_000_000, 0] } },
            { "end": { "span": TWO, "name": "no time", "from": [1_000_000_000, 0], "to": [1_000_000_000, 0] } },
        ]),
        3,
    )
    .await;
    for id in [ONE, TWO] {
        let span = of(&spans, id);
        assert_eq!(span.end - span.start, 1, "{}", span.name);
    }
}

/// Whether or not the guest's SDK carries the state along.
async fn spans_have_the_share_that_was_sampled(abi: Abi) {
    // All but one in 2^24.
    let (share, told) = ("0.999999940395355224609375", "ot=th:000001");
    let (collector, origin) = (Collector::start().await, Origin::answering(200).await);
    let builder = pounce().guest(abi, "otel").flag("--otel-sample", share).traced(&collector);
    let server = builder.flag("--allow-outbound", format!("http://{}", origin.addr())).start().await;
    let steps = json!([
        { "see": true },
        { "start": { "span": ONE } },
        { "send": origin.url("/") },
        { "end": { "span": ONE, "name": "without" } },
        { "end": { "span": TWO, "name": "with", "state": { "ot": "th:c", "a": "1" } } },
    ]);
    let answer = ask(&server, &raw(&steps)).await;
    assert_eq!(answer["seen"][0]["outer"]["state"], json!([["ot", "th:000001"]]));
    let spans = collector.spans(4).await;
    let states: Vec<_> = spans.iter().map(|span| (span.name.as_str(), span.trace_state.as_str())).collect();
    for expected in [("GET /raw", told), ("GET", told), ("without", told), ("with", "a=1,ot=th:c")] {
        assert!(states.contains(&expected), "{expected:?} in {states:?}");
    }
    assert_eq!(origin.arrived()[0].values("tracestate"), [told]);
}

async fn a_propagator_in_the_guest_names_the_parent(abi: Abi) {
    let (collector, origin) = (Collector::start().await, Origin::answering(200).await);
    let builder = pounce().guest(abi, "otel").traced(&collector);
    let server = builder.flag("--allow-outbound", format!("http://{}", origin.addr())).start().await;
    let steps = json!([
        { "start": { "span": ONE } },
        { "start": { "span": TWO } },
        { "send": origin.url("/inner") },
        // As SDKs do whose spans are interleaved: the header names one that is not the innermost.
        { "send": origin.url("/named"), "traceparent": ONE },
        { "send": origin.url("/forged"), "traceparent": "00000000000000ff" },
        { "end": { "span": TWO, "name": "two", "parent": ONE } },
        { "end": { "span": ONE, "name": "one", "parent": "host" } },
        { "send": origin.url("/ended"), "traceparent": ONE },
        { "send": origin.url("/none") },
    ]);
    assert_eq!(ask(&server, &raw(&steps)).await["sent"], json!([200, 200, 200, 200, 200]));
    let spans = collector.spans(8).await;
    let host = spans.iter().find(|span| span.name == "GET /raw").expect("the server span").span_id.as_str();
    for (path, parent) in
        [("/inner", TWO), ("/named", ONE), ("/forged", TWO), ("/ended", ONE), ("/none", host)]
    {
        let client = spans.iter().find(|span| span.text("url.full").ends_with(path)).expect(path);
        assert_eq!(client.parent, parent, "{path}");
        let arrived = origin.arrived().into_iter().find(|arrived| arrived.target == path).expect(path);
        let expected = format!("00-{}-{}-", client.trace_id, client.span_id);
        assert!(arrived.values("traceparent")[0].starts_with(&expected), "{path}");
    }
}

async fn ends_take_spans_off_wherever_they_are(abi: Abi) {
    let collector = Collector::start().await;
    let server = pounce().guest(abi, "otel").traced(&collector).start().await;
    let steps = json!([
        { "start": { "span": ONE } }, { "start": { "span": TWO } }, { "start": { "span": TWO } },
        { "end": { "span": ONE, "name": "one", "parent": "host" } }, { "see": true },
        { "end": { "span": TWO, "name": "two", "parent": ONE } }, { "see": true },
        { "end": { "span": TWO, "name": "two again", "parent": ONE } },
    ]);
    let answer = ask(&server, &raw(&steps)).await;
    assert_eq!(answer["seen"][0]["current"]["span_id"], TWO);
    assert_eq!(answer["seen"][1]["current"], answer["seen"][1]["outer"]);
    let spans = collector.spans(3).await;
    assert_eq!(tree(&spans), "Server GET /raw\n  Internal one\n    Internal two\n");
    let exit = server.stop().await;
    let line = exit.stderr.lines().find(|line| line.contains("that were invalid or over a limit"));
    assert!(line.is_some_and(|line| line.contains('2')), "the second start and end: {exit}");
}

async fn work_after_the_response_is_still_told(abi: Abi) {
    let collector = Collector::start().await;
    let server = pounce().guest(abi, "otel").traced(&collector).start().await;
    let before = json!([{ "start": { "span": ONE } }]);
    let after = json!([{ "start": { "span": TWO } }, { "end": { "span": TWO, "name": "after", "parent": ONE } },
        { "end": { "span": ONE, "name": "one", "parent": "host" } }]);
    ask(&server, &format!("{}&then={}", raw(&before), encoded(&after))).await;
    let spans = collector.spans(3).await;
    assert_eq!(tree(&spans), "Server GET /raw\n  Internal one\n    Internal after\n");
}
