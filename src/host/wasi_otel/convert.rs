//! Between the records of the WIT package and ours.

use super::bindings::{Datetime, tracing as wit, types};
use pounce_telemetry::{
    Kind, Linked, Omitted, SdkScope, SdkSpan, SpanContext, SpanId, Status, TraceId, TraceState, Value,
};
use pounce_telemetry::{MAX_ATTRIBUTES, json_value};

/// Nanoseconds in a second.
const SECOND: u64 = 1_000_000_000;

/// Unix time in nanoseconds; the last there is for what is beyond.
pub(super) fn nanos(time: Datetime) -> u64 {
    time.seconds
        .checked_mul(SECOND)
        .and_then(|seconds| seconds.checked_add(time.nanoseconds.into()))
        .unwrap_or(u64::MAX)
}

/// Attributes, in their order. What is beyond the limit is not worth being read; it has no key, as which it is dropped and
/// counted wherever it belongs, and takes the place of none that came before.
pub(super) fn attributes(list: Vec<types::KeyValue>) -> Vec<(String, Value)> {
    let beyond = list.len().saturating_sub(MAX_ATTRIBUTES);
    let attribute = |types::KeyValue { key, value }| (key, json_value(value));
    list.into_iter().take(MAX_ATTRIBUTES).map(attribute).chain(omitted(beyond)).collect()
}

/// Stands for so many attributes that nobody looks at.
pub(super) fn omitted(count: usize) -> impl Iterator<Item = (String, Value)> {
    std::iter::repeat_n((String::new(), Value::Null), count)
}

/// A context; none where its ids are malformed.
pub(super) fn context(context: &wit::SpanContext) -> Option<SpanContext> {
    let sampled = context.trace_flags.contains(wit::TraceFlags::SAMPLED);
    Some(SpanContext {
        trace_id: TraceId::from_hex(context.trace_id.as_bytes())?,
        span_id: SpanId::from_hex(context.span_id.as_bytes())?,
        flags: if sampled { SpanContext::SAMPLED } else { 0 },
        trace_state: trace_state(&context.trace_state),
    })
}

/// Empty when any member is invalid.
fn trace_state(members: &[(String, String)]) -> TraceState {
    let mut text = String::new();
    for (key, value) in members {
        // A member is one member: not several, nor none.
        if key.is_empty() || key.contains([',', '=']) || value.contains(',') {
            return TraceState::default();
        }
        if !text.is_empty() {
            text.push(',');
        }
        text.extend([key, "=", value]);
    }
    TraceState::parse(&text)
}

/// The members of a state in its wire form.
pub(super) fn members(state: &str) -> Vec<(String, String)> {
    let member = |member: &str| member.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned()));
    state.split(',').filter_map(member).collect()
}

/// A scope, and how many of its attributes are beyond the limit. They are not in it: there they would get a key.
pub(super) fn scope(mut scope: types::InstrumentationScope) -> (SdkScope, usize) {
    let beyond = scope.attributes.len().saturating_sub(MAX_ATTRIBUTES);
    scope.attributes.truncate(MAX_ATTRIBUTES);
    let scope = SdkScope {
        name: scope.name,
        version: scope.version,
        schema_url: scope.schema_url,
        attributes: attributes(scope.attributes),
    };
    (scope, beyond)
}

/// The name that a guest gives its service. The resource is ours; this is what of the guest's is worth an attribute.
pub(super) fn service(resource: types::Resource) -> Option<Value> {
    let name = resource.attributes.into_iter().find(|attribute| attribute.key == "service.name");
    name.map(|name| json_value(name.value))
}

/// A span that has ended; none where its ids are malformed.
pub(super) fn span(span: wit::SpanData) -> Option<SdkSpan> {
    let event = |event: wit::Event| (nanos(event.time), event.name, attributes(event.attributes));
    let to = |to: &wit::SpanContext| Some(Linked { context: context(to)?, is_remote: Some(to.is_remote) });
    let link = |link: wit::Link| (to(&link.span_context), attributes(link.attributes));
    let (scope, beyond) = scope(span.instrumentation_scope);
    Some(SdkSpan {
        context: context(&span.span_context)?,
        parent: SpanId::from_hex(span.parent_span_id.as_bytes()),
        kind: span.span_kind.into(),
        name: span.name,
        start: nanos(span.start_time),
        end: nanos(span.end_time),
        attributes: attributes(span.attributes).into_iter().chain(omitted(beyond)).collect(),
        events: span.events.into_iter().map(event).collect(),
        links: span.links.into_iter().map(link).collect(),
        status: match span.status {
            wit::Status::Unset => Status::Unset,
            wit::Status::Ok => Status::Ok,
            wit::Status::Error(message) => Status::Error(message),
        },
        scope,
        omitted: Omitted {
            attributes: span.dropped_attributes,
            events: span.dropped_events,
            links: span.dropped_links,
        },
    })
}

impl From<wit::SpanKind> for Kind {
    fn from(kind: wit::SpanKind) -> Self {
        match kind {
            wit::SpanKind::Internal => Self::Internal,
            wit::SpanKind::Server => Self::Server,
            wit::SpanKind::Client => Self::Client,
            wit::SpanKind::Producer => Self::Producer,
            wit::SpanKind::Consumer => Self::Consumer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_beyond_the_limit_replace_nothing_and_are_not_read() {
        let one = |key: &str, value: &str| types::KeyValue { key: key.to_owned(), value: value.to_owned() };
        let given = || {
            let mut given: Vec<_> =
                (0..MAX_ATTRIBUTES).map(|n| one(&format!("k{n}"), &n.to_string())).collect();
            given.extend([one("k0", "99"), one("new", "1")]);
            given
        };
        let read = attributes(given());
        assert_eq!(read.len(), MAX_ATTRIBUTES + 2);
        assert_eq!(read[0], ("k0".to_owned(), Value::Int(0)));
        let beyond = (String::new(), Value::Null);
        assert_eq!(read[MAX_ATTRIBUTES..], [beyond.clone(), beyond]);
        let (scope, beyond) = scope(types::InstrumentationScope {
            name: "s".into(),
            version: None,
            schema_url: None,
            attributes: given(),
        });
        assert_eq!((scope.attributes.len(), beyond), (MAX_ATTRIBUTES, 2));
    }

    fn pair(key: &str, value: &str) -> (String, String) {
        (key.to_owned(), value.to_owned())
    }

    #[test]
    fn no_time_overflows() {
        for (seconds, nanoseconds, expected) in [
            (0, 0, 0),
            (1, 5, 1_000_000_005),
            (1, u32::MAX, 5_294_967_295),
            (u64::MAX / SECOND, 709_551_615, u64::MAX),
            (u64::MAX / SECOND, 709_551_616, u64::MAX),
            (u64::MAX, u32::MAX, u64::MAX),
        ] {
            assert_eq!(nanos(Datetime { seconds, nanoseconds }), expected, "{seconds} {nanoseconds}");
        }
    }

    #[test]
    fn one_broken_member_spoils_a_trace_state() {
        let good = [pair("a", "1"), pair("b@c", "2=")];
        assert_eq!(trace_state(&good[..1]).as_str(), "a=1");
        assert_eq!(members("a=1,b=2"), [pair("a", "1"), pair("b", "2")]);
        assert_eq!(members(""), []);
        for broken in [pair("", ""), pair("b", "2,c=3"), pair("b=2,c", "3"), pair("ü", "1"), pair("b", "\n")]
        {
            assert_eq!(trace_state(&[pair("a", "1"), broken]).as_str(), "");
        }
    }

    #[test]
    fn ids_are_hex_of_the_right_length_and_not_zero() {
        let with = |trace: &str, span: &str| {
            context(&wit::SpanContext {
                trace_id: trace.into(),
                span_id: span.into(),
                trace_flags: wit::TraceFlags::SAMPLED,
                is_remote: false,
                trace_state: vec![],
            })
        };
        let (trace, span) = ("0".repeat(31) + "1", "0".repeat(15) + "1");
        assert!(with(&trace, &span).is_some());
        for (trace, span) in [
            (&trace, &"0".repeat(16)),
            (&"0".repeat(32), &span),
            (&trace[1..].to_owned(), &span),
            (&trace, &"ü".repeat(8)),
            (&trace, &"A".repeat(16)),
            (&String::new(), &String::new()),
        ] {
            assert!(with(trace, span).is_none(), "{trace} {span}");
        }
    }
}
