//! W3C Trace Context level 2, strict, on bytes: `traceparent` and `tracestate`.
//!
//! A broken `traceparent` means a new trace, whatever came with it. A broken `tracestate` is dropped alone. Nothing
//! here is logged: a client could fill the log with it.

use super::ot;
use crate::context::{RANDOM, SAMPLED, SpanContext, TraceState};
use crate::http_facts::trim;
use http::{HeaderMap, HeaderName, HeaderValue};
use pounce_otlp::id::{SpanId, TraceId, read_hex};

/// Members that a `tracestate` may have.
pub(super) const MAX_MEMBERS: usize = 32;
/// Bytes of `tracestate` that we carry; the specification asks for 512 at least.
const MAX_STATE: usize = 4096;
/// Members longer than this go first when a `tracestate` is too long.
const LONG_MEMBER: usize = 128;

static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
static TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Both headers.
pub(super) static FIELDS: [&HeaderName; 2] = [&TRACEPARENT, &TRACESTATE];

/// Reads the caller's context; `None` when there is none or it breaks a rule, and then a new trace starts.
pub(super) fn extract(headers: &HeaderMap) -> Option<SpanContext> {
    let mut parents = headers.get_all(&TRACEPARENT).iter();
    let parent = parents.next()?;
    if parents.next().is_some() {
        return None; // two callers claim to be the parent
    }
    let (trace_id, span_id, flags) = parse_traceparent(parent.as_bytes())?;
    let trace_state = parse_tracestate(headers.get_all(&TRACESTATE).iter().map(HeaderValue::as_bytes));
    Some(SpanContext { trace_id, span_id, flags, trace_state: trace_state.unwrap_or_default() })
}

/// Makes `context` the only one in `headers`: what was there before is replaced.
pub(super) fn inject(context: &SpanContext, headers: &mut HeaderMap) {
    let parent =
        HeaderValue::from_bytes(&context.traceparent_bytes()).expect("hex digits and dashes are ASCII");
    headers.insert(&TRACEPARENT, parent);
    // An empty header must not be sent; checked text is printable ASCII.
    match HeaderValue::from_str(context.trace_state.as_str()) {
        Ok(state) if !state.is_empty() => drop(headers.insert(&TRACESTATE, state)),
        _ => drop(headers.remove(&TRACESTATE)),
    }
}

impl TraceState {
    /// Reads one field; empty when any part of it is broken.
    pub fn parse(text: &str) -> Self {
        parse_tracestate(std::iter::once(text.as_bytes())).unwrap_or_default()
    }
}

fn parse_traceparent(text: &[u8]) -> Option<(TraceId, SpanId, u8)> {
    let text = trim(text);
    if text.len() < 55 || text[2] != b'-' || text[35] != b'-' || text[52] != b'-' {
        return None;
    }
    let [version] = read_hex(&text[..2])?;
    match version {
        0xff => return None,
        0 if text.len() != 55 => return None,
        // A later version may append fields, after a dash.
        _ if text.len() > 55 && text[55] != b'-' => return None,
        _ => {}
    }
    let trace_id = TraceId::from_hex(&text[3..35])?;
    let span_id = SpanId::from_hex(&text[36..52])?;
    let [flags] = read_hex(&text[53..55])?;
    Some((trace_id, span_id, flags & (SAMPLED | RANDOM)))
}

/// Joins all `tracestate` fields in order; `None` when any part is broken or there are too many members. What is a member
/// by these rules, and not by those of OpenTelemetry whose it is, is left out alone, and so is a second one of that name.
fn parse_tracestate<'a>(fields: impl Iterator<Item = &'a [u8]>) -> Option<TraceState> {
    let mut members: Vec<&str> = Vec::new();
    let (mut given, mut has_ot) = (0, false);
    for member in fields.flat_map(|field| field.split(|byte| *byte == b',')) {
        let member = trim(member);
        if member.is_empty() {
            continue; // allowed, and not counted
        }
        let equals = member.iter().position(|byte| *byte == b'=')?;
        if !is_key(&member[..equals]) || !is_value(&member[equals + 1..]) || given == MAX_MEMBERS {
            return None;
        }
        given += 1;
        let member = std::str::from_utf8(member).ok()?;
        if let Some(value) = member.strip_prefix(ot::KEY) {
            let is_second = std::mem::replace(&mut has_ot, true);
            if is_second || !ot::is_sound(value) {
                continue;
            }
        }
        members.push(member);
    }
    shorten(&mut members, 0);
    Some(TraceState::checked(members.join(",")))
}

/// Drops whole members until the rest fits: long ones first, then from the end; none of the first `kept`.
pub(super) fn shorten(members: &mut Vec<&str>, kept: usize) {
    let length = |members: &[&str]| members.iter().map(|member| member.len() + 1).sum::<usize>();
    while length(members) > MAX_STATE + 1 {
        let long = members[kept..].iter().rposition(|member| member.len() > LONG_MEMBER);
        members.remove(long.map_or(members.len() - 1, |at| kept + at));
    }
}

fn is_key(key: &[u8]) -> bool {
    let first = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    key.len() <= 256
        && key.first().is_some_and(first)
        && key.iter().all(|byte| first(byte) || matches!(byte, b'_' | b'-' | b'*' | b'/' | b'@'))
}

fn is_value(value: &[u8]) -> bool {
    (1..=256).contains(&value.len())
        && value.iter().all(|byte| matches!(byte, 0x20..=0x7e) && *byte != b'=' && *byte != b',')
        && value.last() != Some(&b' ')
}

#[cfg(test)]
mod tests;
