//! The rules of W3C Trace Context level 2, one by one, and what must hold for any input.

use super::*;
use proptest::prelude::*;

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    headers
}

fn parent(value: &str) -> Option<SpanContext> {
    extract(&headers(&[("traceparent", value)]))
}

fn state(values: &[&str]) -> String {
    let mut pairs = vec![("traceparent", PARENT)];
    pairs.extend(values.iter().map(|value| ("tracestate", *value)));
    extract(&headers(&pairs)).expect("the parent is right").trace_state.as_str().to_owned()
}

#[test]
fn a_right_parent_is_read_and_written_back() {
    let context = parent(PARENT).unwrap();
    assert_eq!(context.trace_id.to_string(), "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(context.span_id.to_string(), "b7ad6b7169203331");
    assert!(context.is_sampled());
    assert_eq!(context.traceparent(), PARENT);
    assert!(parent(&format!(" \t{PARENT} ")).is_some());
}

#[test]
fn flags_keep_sampled_and_random_and_nothing_else() {
    for (given, kept) in [("00", 0), ("01", 1), ("02", 2), ("03", 3), ("ff", 3), ("fc", 0)] {
        assert_eq!(parent(&format!("{}{given}", &PARENT[..53])).unwrap().flags, kept, "{given}");
    }
}

#[test]
fn broken_parents_are_ignored() {
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let span = "b7ad6b7169203331";
    let zero = "00000000000000000000000000000000";
    for wrong in [
        String::new(),
        "foo".into(),
        format!("00-{trace}-{span}"),
        format!("00-{trace}-{span}-"),
        format!("00-{trace}-{span}-1"),
        format!("00-{trace}-{span}-001"),
        format!("00-{trace}-{span}-01-"),
        format!("00-{trace}-{span}-01-what"),
        format!("00-{trace}-{span}-0g"),
        format!("00-{trace}-{span}-+1"),
        format!("00-{trace}-{span}-0A"),
        format!("00-{zero}-{span}-01"),
        format!("00-{trace}-{}-01", &zero[..16]),
        format!("00-{}-{span}-01", trace.to_uppercase()),
        format!("00-{trace}-{}-01", span.to_uppercase()),
        format!("00-{}-{span}-01", &trace[1..]),
        format!("00-0{trace}-{span}-01"),
        format!("00-+{}-{span}-01", &trace[1..]),
        format!("00_{trace}-{span}-01"),
        format!("00-{trace}_{span}-01"),
        format!("00-{trace}-{span}_01"),
        format!("ff-{trace}-{span}-01"),
        format!("A0-{trace}-{span}-01"),
        format!("0-{trace}-{span}-01"),
        format!("000-{trace}-{span}-01"),
        format!("cc-{trace}-{span}-01x"),
        format!("cc-{trace}-{span}-01.what"),
    ] {
        assert_eq!(parent(&wrong), None, "{wrong:?}");
    }
}

#[test]
fn later_versions_are_read_as_far_as_known_and_written_as_version_zero() {
    for more in ["", "-", "-what-the-future-will-be-like"] {
        let context = parent(&format!("cc{}{more}", &PARENT[2..])).unwrap();
        assert_eq!(context.traceparent(), PARENT);
    }
}

#[test]
fn two_parents_or_a_state_alone_start_a_new_trace() {
    assert_eq!(extract(&headers(&[("traceparent", PARENT), ("traceparent", PARENT)])), None);
    assert_eq!(extract(&headers(&[("tracestate", "foo=1")])), None);
    let mut binary = headers(&[]);
    binary.insert("traceparent", HeaderValue::from_bytes(&[0xff; 55]).unwrap());
    assert_eq!(extract(&binary), None);
}

#[test]
fn states_are_joined_in_order_and_empty_members_skipped() {
    assert_eq!(state(&["foo=1,bar=2", "rojo=1"]), "foo=1,bar=2,rojo=1");
    assert_eq!(state(&["", "foo=1", " ,\t, bar=2 ,"]), "foo=1,bar=2");
    assert_eq!(state(&[""]), "");
    assert_eq!(state(&["foo=1,foo=2"]), "foo=1,foo=2");
    assert_eq!(state(&["foo= 1 2 \t"]), "foo= 1 2");
}

#[test]
fn state_keys_and_values_follow_the_grammar() {
    let key = "z".repeat(256);
    let value = "v".repeat(256);
    let all = "0_-*/@z= !\"#$%&'()*+-./:;<>?@[\\]^_`{|}~";
    for right in
        ["a=1", "0=1", "foo@@bar=1", "@foo=1".trim_start_matches('@'), all, &format!("{key}={value}")]
    {
        assert_eq!(state(&[right]), right);
    }
    for wrong in [
        "foo",
        "=1",
        "foo=",
        "foo=1=2",
        "Foo=1",
        "f oo=1",
        "foo =1",
        "_foo=1",
        "@foo=1",
        "-a=1",
        "föö=1",
        "foo=ö",
        "foo=\t1",
        "foo=1\tb",
        &format!("{key}z=1"),
        &format!("a={value}v"),
    ] {
        assert_eq!(state(&["right=1", wrong]), "", "{wrong:?}");
    }
}

#[test]
fn a_33rd_member_drops_the_state_and_empty_ones_do_not_count() {
    let members: Vec<_> = (0..32).map(|n| format!("m{n}={n}")).collect();
    let full = members.join(",");
    assert_eq!(state(&[&full]), full);
    assert_eq!(state(&[&full, ",,,"]), full);
    assert_eq!(state(&[&full, "more=1"]), "");
}

#[test]
fn a_long_state_loses_whole_members_long_ones_first_then_from_the_end() {
    let long = format!("long={}", "v".repeat(200));
    let short: Vec<_> = (0..31).map(|n| format!("{n}m={}", "v".repeat(124))).collect();
    assert_eq!(state(&[&long, &short.join(",")]), short.join(","));
    let longs: Vec<_> = (0..32).map(|n| format!("{n}m={}", "v".repeat(200))).collect();
    assert_eq!(state(&[&longs.join(",")]), longs[..20].join(","));
}

#[test]
fn inject_replaces_what_a_guest_forwards() {
    let mut out =
        headers(&[("traceparent", "a"), ("traceparent", "b"), ("tracestate", "c=1"), ("tracestate", "d=1")]);
    let context = parent(PARENT).unwrap();
    inject(&context, &mut out);
    assert_eq!(out.get_all("traceparent").iter().collect::<Vec<_>>(), [PARENT]);
    assert_eq!(out.get("tracestate"), None);
    inject(&SpanContext { trace_state: TraceState::checked("x=1".into()), ..context }, &mut out);
    assert_eq!(out.get_all("tracestate").iter().collect::<Vec<_>>(), ["x=1"]);
}

/// Members of a `tracestate` that anybody may send. OpenTelemetry's own has rules of its own, which `ot`'s tests check.
fn members() -> impl Strategy<Value = Vec<(String, String)>> {
    let key = "[a-z0-9][a-z0-9_*/@-]{0,20}".prop_filter("`ot` has its own grammar", |key| key != "ot");
    proptest::collection::vec((key, "[ -+\\--<>-~]{0,20}[!-+\\--<>-~]"), 0..32)
}

proptest! {
    #[test]
    fn any_context_survives_the_wire(trace in 1u128.., span in 1u64.., flags in 0u8..4, state in members()) {
        let text = state.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",");
        let context = SpanContext {
            trace_id: TraceId(trace.to_be_bytes()),
            span_id: SpanId(span.to_be_bytes()),
            flags,
            trace_state: TraceState::checked(text),
        };
        let mut wire = HeaderMap::new();
        inject(&context, &mut wire);
        prop_assert_eq!(extract(&wire), Some(context));
    }

    #[test]
    fn anything_read_is_written_as_a_right_header(parent in "[0-9a-f]{2}-[0-9a-fA-F+]{31,33}-[0-9a-f]{15,17}-[0-9a-f]{1,3}[-x]{0,2}", state in any::<Vec<u8>>()) {
        let mut wire = HeaderMap::new();
        wire.insert("traceparent", HeaderValue::from_str(&parent).unwrap());
        if let Ok(state) = HeaderValue::from_bytes(&state) {
            wire.insert("tracestate", state);
        }
        if let Some(context) = extract(&wire) {
            prop_assert!(!context.trace_id.is_zero() && !context.span_id.is_zero() && context.flags < 4);
            let mut again = HeaderMap::new();
            inject(&context, &mut again);
            prop_assert_eq!(extract(&again), Some(context));
        }
    }

    #[test]
    fn no_bytes_break_the_parser(bytes in any::<Vec<u8>>()) {
        let _ = parse_traceparent(&bytes);
        let _ = parse_tracestate([bytes.as_slice(), bytes.as_slice()].into_iter());
    }
}
