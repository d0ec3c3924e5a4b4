//! Which formats count, in what order, and what must hold for any input.

use super::*;
use crate::context::TraceState;
use crate::{SpanId, TraceId};
use HeaderFormat::{B3, B3Multi, Baggage as W3cBaggage, TraceContext};
use http::HeaderValue;
use proptest::prelude::*;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const SPAN: &str = "b7ad6b7169203331";

fn propagator(formats: &[HeaderFormat]) -> Propagator {
    Propagator::new(&formats.iter().copied().collect())
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(*name, HeaderValue::from_str(value).unwrap());
    }
    headers
}

/// The name of each header and its value, sorted.
fn lines(headers: &HeaderMap) -> Vec<String> {
    let mut lines: Vec<_> =
        headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
    lines.sort();
    lines
}

fn context(trace_id: u128, span_id: u64, flags: u8, state: &str) -> SpanContext {
    SpanContext {
        trace_id: TraceId(trace_id.to_be_bytes()),
        span_id: SpanId(span_id.to_be_bytes()),
        flags,
        trace_state: TraceState::checked(state.to_owned()),
    }
}

#[test]
fn of_several_formats_w3c_counts_first_then_b3_in_one_header_then_in_several() {
    let all = propagator(&[B3Multi, B3, TraceContext]);
    let (one, two, three) = ("1".repeat(32), "2".repeat(32), "3".repeat(32));
    let w3c = format!("00-{one}-{SPAN}-00");
    let single = format!("{two}-{SPAN}-1");
    let mut given = headers(&[
        ("traceparent", &w3c),
        ("b3", &single),
        ("x-b3-traceid", &three),
        ("x-b3-spanid", SPAN),
        ("x-b3-sampled", "1"),
    ]);
    let trace = |given: &HeaderMap| all.extract(given).context.map(|context| context.trace_id.to_string());
    assert_eq!((trace(&given), all.extract(&given).sampled), (Some(one), Some(false)));
    // What is malformed counts as absent.
    given.insert("traceparent", HeaderValue::from_static("00-nonsense"));
    assert_eq!((trace(&given), all.extract(&given).sampled), (Some(two), Some(true)));
    given.insert("b3", HeaderValue::from_static("nonsense"));
    assert_eq!(trace(&given), Some(three));
    given.remove("x-b3-spanid");
    assert_eq!(trace(&given), None);
}

#[test]
fn only_what_is_set_is_read() {
    let w3c = format!("00-{TRACE}-{SPAN}-01");
    let single = format!("{TRACE}-{SPAN}-1");
    let given = headers(&[("traceparent", &w3c), ("b3", &single), ("baggage", "a=1")]);
    for (formats, reads_context, reads_baggage) in [
        (&[][..], false, false),
        (&[TraceContext], true, false),
        (&[B3], true, false),
        (&[B3Multi], true, false),
        (&[W3cBaggage], false, true),
        (&[TraceContext, W3cBaggage], true, true),
    ] {
        let propagator = propagator(formats);
        assert_eq!(propagator.extract(&given).context.is_some(), reads_context, "{formats:?}");
        assert_eq!(propagator.baggage(&given).0 != Baggage::default(), reads_baggage, "{formats:?}");
    }
}

#[test]
fn every_format_that_is_set_is_written_and_every_other_removed() {
    let stale = [
        ("traceparent", "stale"),
        ("traceparent", "twice"),
        ("tracestate", "stale"),
        ("baggage", "stale=1"),
        ("b3", "stale"),
        ("x-b3-traceid", "stale"),
        ("x-b3-spanid", "stale"),
        ("x-b3-parentspanid", "stale"),
        ("x-b3-sampled", "stale"),
        ("x-b3-flags", "1"),
        ("uber-trace-id", "stale"),
        ("uberctx-user", "stale"),
        ("x-amzn-trace-id", "stale"),
        ("x-datadog-trace-id", "stale"),
        ("x-own", "kept"),
    ];
    let context = context(1, 2, 1, "s=1");
    let (baggage, _) = propagator(&[W3cBaggage]).baggage(&headers(&[("baggage", "a=1;p")]));
    let (trace, span) = (format!("{}1", "0".repeat(31)), "0000000000000002");
    let w3c = [format!("traceparent: 00-{trace}-{span}-01"), "tracestate: s=1".into()];
    let single = [format!("b3: {trace}-{span}-1")];
    let multi = ["x-b3-sampled: 1".into(), format!("x-b3-spanid: {span}"), format!("x-b3-traceid: {trace}")];
    let carried = ["baggage: a=1;p".to_owned()];
    for (formats, mut expected) in [
        (&[][..], vec![]),
        (&[TraceContext], w3c.to_vec()),
        (&[W3cBaggage], carried.to_vec()),
        (&[B3], single.to_vec()),
        (&[B3Multi], multi.to_vec()),
        (&[TraceContext, W3cBaggage, B3, B3Multi], [&single[..], &carried, &w3c, &multi].concat()),
    ] {
        let propagator = propagator(formats);
        let mut out = headers(&stale);
        propagator.inject(&context, &baggage, &mut out);
        expected.push("x-own: kept".to_owned());
        expected.sort();
        assert_eq!(lines(&out), expected, "{formats:?}");
        propagator.remove(&mut out);
        assert_eq!(lines(&out), ["x-own: kept"], "{formats:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn any_context_and_baggage_survive_the_wire(
        trace in 1u128.., span in 1u64.., flags in 0u8..4,
        entries in prop::collection::vec(("[a-zA-Z0-9!#$%&'*+.^_`|~-]{1,20}", any::<String>()), 0..20),
    ) {
        let all = propagator(&[TraceContext, W3cBaggage, B3, B3Multi]);
        let mut baggage = Baggage::default();
        let mut expected: Vec<(String, String)> = Vec::new();
        for (name, value) in &entries {
            if !baggage.set(name, value) {
                continue;
            }
            match expected.iter_mut().find(|(other, _)| other == name) {
                Some(entry) => entry.1.clone_from(value),
                None => expected.push((name.clone(), value.clone())),
            }
        }
        let context = context(trace, span, flags, "");
        let mut wire = HeaderMap::new();
        all.inject(&context, &baggage, &mut wire);
        prop_assert_eq!(all.baggage(&wire), (baggage.clone(), 0));
        prop_assert_eq!(baggage.entries(), expected);
        prop_assert_eq!(all.extract(&wire), Caller::from(context.clone()));
        // B3 has no random flag.
        let of_b3 = SpanContext { flags: flags & 1, ..context };
        prop_assert_eq!(propagator(&[B3]).extract(&wire), Caller::from(of_b3.clone()));
        wire.remove("b3");
        prop_assert_eq!(propagator(&[B3]).extract(&wire), Caller::from(of_b3));
    }

    /// Fields are joined before limits count, so it does not matter how a sender splits its list.
    #[test]
    fn baggage_is_one_list_however_it_is_split(
        members in prop::collection::vec("[a-z]{1,3}=[a-z0-9 ]{0,300}", 0..90), split in 0usize..90,
    ) {
        let all = propagator(&[W3cBaggage]);
        let one = headers(&[("baggage", &members.join(","))]);
        let (left, right) = members.split_at(split.min(members.len()));
        let two = headers(&[("baggage", &left.join(",")), ("baggage", &right.join(" , "))]);
        prop_assert_eq!(all.baggage(&one), all.baggage(&two));
    }
}
