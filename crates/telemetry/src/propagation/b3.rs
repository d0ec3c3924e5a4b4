//! B3, as Zipkin's libraries speak it: ids and decision in one header (`b3`), or in several (`X-B3-…`).
//!
//! Trace ids of 64 bits are padded with zeros on the left, and stay so. Debug counts as sampled. A caller may forbid
//! recording without naming a span, which holds; asking for it without naming one does not.

use super::Caller;
use crate::context::{SAMPLED, SpanContext, TraceState};
use crate::http_facts::trim;
use http::{HeaderMap, HeaderName, HeaderValue};
use pounce_otlp::id::{SpanId, TraceId, read_hex, write_hex};

static B3: HeaderName = HeaderName::from_static("b3");
static TRACE_ID: HeaderName = HeaderName::from_static("x-b3-traceid");
static SPAN_ID: HeaderName = HeaderName::from_static("x-b3-spanid");
static SAMPLED_HEADER: HeaderName = HeaderName::from_static("x-b3-sampled");
static DEBUG: HeaderName = HeaderName::from_static("x-b3-flags");
/// Not read: our parent is the caller's span.
static PARENT_SPAN_ID: HeaderName = HeaderName::from_static("x-b3-parentspanid");

/// Every header of both forms.
pub(super) static FIELDS: [&HeaderName; 6] =
    [&B3, &TRACE_ID, &SPAN_ID, &PARENT_SPAN_ID, &SAMPLED_HEADER, &DEBUG];

/// Reads the single header, or else the several.
pub(super) fn extract(headers: &HeaderMap) -> Caller {
    only(headers, &B3).and_then(parse_single).or_else(|| extract_multi(headers)).unwrap_or_default()
}

/// The one value of a header; two are as good as none.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a [u8]> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    if values.next().is_some() { None } else { Some(trim(value.as_bytes())) }
}

/// `TRACE-SPAN`, `TRACE-SPAN-DECISION`, `TRACE-SPAN-DECISION-PARENT` or `DECISION`.
fn parse_single(value: &[u8]) -> Option<Caller> {
    let parts: [Option<&[u8]>; 5] = {
        let mut parts = value.splitn(5, |byte| *byte == b'-');
        std::array::from_fn(|_| parts.next())
    };
    match parts {
        [Some(decision), None, ..] => Some(Caller { context: None, sampled: decide(decision)? }.refusal()),
        [Some(trace), Some(span), decision, parent, None] => {
            let sampled = decision.map(decide).unwrap_or(Some(None))?;
            // Not used, but a value with a broken one is broken.
            parent.map_or(Some(()), |parent| SpanId::from_hex(parent).map(|_| ()))?;
            caller(trace, span, sampled)
        }
        _ => None,
    }
}

fn extract_multi(headers: &HeaderMap) -> Option<Caller> {
    let debug = only(headers, &DEBUG) == Some(b"1");
    let sampled = match only(headers, &SAMPLED_HEADER) {
        _ if debug => Some(true),
        None => None,
        Some(decision) => decide(decision)?,
    };
    match (only(headers, &TRACE_ID), only(headers, &SPAN_ID)) {
        (Some(trace), Some(span)) => caller(trace, span, sampled),
        (None, None) => Some(Caller { context: None, sampled }.refusal()),
        _ => None,
    }
}

impl Caller {
    /// What counts of a decision without a context: that nothing is recorded.
    fn refusal(mut self) -> Self {
        self.sampled = self.sampled.filter(|sampled| !sampled);
        self
    }
}

fn caller(trace: &[u8], span: &[u8], sampled: Option<bool>) -> Option<Caller> {
    let mut trace_id = TraceId([0; 16]);
    match trace.len() {
        32 => trace_id.0 = read_hex(trace)?,
        16 => trace_id.0[8..].copy_from_slice(&read_hex::<8>(trace)?),
        _ => return None,
    }
    let context = SpanContext {
        trace_id: Some(trace_id).filter(|id| !id.is_zero())?,
        span_id: SpanId::from_hex(span)?,
        flags: if sampled == Some(true) { SAMPLED } else { 0 },
        trace_state: TraceState::default(),
    };
    Some(Caller { context: Some(context), sampled })
}

/// A decision to sample, the older words included; `None` for anything else. An empty one is none.
fn decide(text: &[u8]) -> Option<Option<bool>> {
    Some(match text {
        b"1" | b"d" | b"true" => Some(true),
        b"0" | b"false" => Some(false),
        b"" => None,
        _ => return None,
    })
}

/// Sets `b3`.
pub(super) fn inject_single(context: &SpanContext, headers: &mut HeaderMap) {
    let mut text = *b"00000000000000000000000000000000-0000000000000000-0";
    write_hex(&context.trace_id.0, &mut text[..32]);
    write_hex(&context.span_id.0, &mut text[33..49]);
    text[50] = decision(context);
    headers.insert(&B3, value(&text));
}

/// Sets the ids and the decision.
pub(super) fn inject_multi(context: &SpanContext, headers: &mut HeaderMap) {
    let (mut trace, mut span) = ([0; 32], [0; 16]);
    write_hex(&context.trace_id.0, &mut trace);
    write_hex(&context.span_id.0, &mut span);
    headers.insert(&TRACE_ID, value(&trace));
    headers.insert(&SPAN_ID, value(&span));
    headers.insert(&SAMPLED_HEADER, value(&[decision(context)]));
}

fn decision(context: &SpanContext) -> u8 {
    if context.is_sampled() { b'1' } else { b'0' }
}

fn value(text: &[u8]) -> HeaderValue {
    HeaderValue::from_bytes(text).expect("hex digits and dashes are ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const SPAN: &str = "b7ad6b7169203331";

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    /// Trace id, span id and decision.
    fn read(pairs: &[(&'static str, &str)]) -> (String, String, Option<bool>) {
        let Caller { context, sampled } = extract(&headers(pairs));
        let ids = context.map(|context| {
            assert_eq!(context.flags, u8::from(sampled == Some(true)), "no flag but sampled");
            (context.trace_id.to_string(), context.span_id.to_string())
        });
        let (trace, span) = ids.unwrap_or_default();
        (trace, span, sampled)
    }

    fn right(sampled: Option<bool>) -> (String, String, Option<bool>) {
        (TRACE.to_owned(), SPAN.to_owned(), sampled)
    }

    fn none(sampled: Option<bool>) -> (String, String, Option<bool>) {
        (String::new(), String::new(), sampled)
    }

    #[test]
    fn the_single_header_is_read_in_all_its_forms() {
        for (more, sampled) in [
            ("", None),
            ("-1", Some(true)),
            ("-d", Some(true)),
            ("-true", Some(true)),
            ("-0", Some(false)),
            ("-false", Some(false)),
            ("-1-05e3ac9a4f6e3b90", Some(true)),
        ] {
            assert_eq!(read(&[("b3", &format!("{TRACE}-{SPAN}{more}"))]), right(sampled), "{more}");
        }
    }

    #[test]
    fn a_decision_alone_may_forbid_but_not_demand() {
        for (value, sampled) in [("0", Some(false)), ("false", Some(false)), ("1", None), ("d", None)] {
            assert_eq!(read(&[("b3", value)]), none(sampled), "{value}");
            assert_eq!(read(&[("x-b3-sampled", value)]), none(sampled), "{value}");
        }
    }

    #[test]
    fn several_headers_are_read() {
        let ids = [("x-b3-traceid", TRACE), ("x-b3-spanid", SPAN)];
        for (more, sampled) in [
            (&[][..], None),
            (&[("x-b3-sampled", "1")], Some(true)),
            (&[("x-b3-sampled", "true"), ("x-b3-parentspanid", "05e3ac9a4f6e3b90")], Some(true)),
            (&[("x-b3-sampled", "0")], Some(false)),
            (&[("x-b3-sampled", "false")], Some(false)),
            (&[("x-b3-flags", "1")], Some(true)),
            (&[("x-b3-flags", "0"), ("x-b3-sampled", "0")], Some(false)),
        ] {
            assert_eq!(read(&[&ids, more].concat()), right(sampled), "{more:?}");
        }
    }

    #[test]
    fn short_trace_ids_are_padded() {
        let padded = format!("{}{}", "0".repeat(16), &TRACE[16..]);
        let expected = (padded.clone(), SPAN.to_owned(), Some(true));
        assert_eq!(read(&[("b3", &format!("{}-{SPAN}-1", &TRACE[16..]))]), expected);
        let multi = [("x-b3-traceid", &TRACE[16..]), ("x-b3-spanid", SPAN), ("x-b3-sampled", "1")];
        assert_eq!(read(&multi), expected);
        let context = extract(&headers(&multi)).context.unwrap();
        let mut out = HeaderMap::new();
        inject_single(&context, &mut out);
        assert_eq!(out["b3"], format!("{padded}-{SPAN}-1"));
    }

    #[test]
    fn what_is_malformed_counts_as_absent() {
        let zeros = "0".repeat(32);
        for wrong in [
            String::new(),
            "2".into(),
            TRACE.into(),
            format!("{TRACE}-"),
            format!("{TRACE}-{SPAN}-2"),
            format!("{TRACE}-{SPAN}-1-"),
            format!("{TRACE}-{SPAN}-1-xyz"),
            format!("{TRACE}-{SPAN}-1-05e3ac9a4f6e3b90-1"),
            format!("{}-{SPAN}-1", TRACE.to_uppercase()),
            format!("{}-{SPAN}-1", &TRACE[1..]),
            format!("{zeros}-{SPAN}-1"),
            format!("{}-{SPAN}-1", &zeros[16..]),
            format!("{TRACE}-{}-1", &zeros[16..]),
            format!("{TRACE}-{}-1", &SPAN[1..]),
            format!("{TRACE}_{SPAN}_1"),
        ] {
            assert_eq!(read(&[("b3", &wrong)]), none(None), "{wrong:?}");
        }
        let single = format!("{TRACE}-{SPAN}-1");
        assert_eq!(read(&[("b3", &single), ("b3", &single)]), none(None));
        for wrong in [
            &[("x-b3-traceid", TRACE)][..],
            &[("x-b3-spanid", SPAN)],
            &[("x-b3-traceid", TRACE), ("x-b3-spanid", "x")],
            &[("x-b3-traceid", TRACE), ("x-b3-spanid", SPAN), ("x-b3-sampled", "perhaps")],
            &[("x-b3-traceid", TRACE), ("x-b3-traceid", TRACE), ("x-b3-spanid", SPAN)],
        ] {
            assert_eq!(read(wrong), none(None), "{wrong:?}");
        }
    }

    #[test]
    fn one_header_counts_before_several_unless_it_is_malformed() {
        let other = "1".repeat(32);
        let multi = [("x-b3-traceid", other.as_str()), ("x-b3-spanid", SPAN), ("x-b3-sampled", "0")];
        let single = format!("{TRACE}-{SPAN}-1");
        assert_eq!(read(&[&[("b3", single.as_str())][..], &multi].concat()), right(Some(true)));
        assert_eq!(read(&[&[("b3", "nonsense")][..], &multi].concat()).0, other);
    }
}
