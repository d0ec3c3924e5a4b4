//! The tree as people read it.

use super::*;
use opentelemetry_proto::tonic::common::v1::ArrayValue;
use opentelemetry_proto::tonic::trace::v1::Status;

fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Value::StringValue(value.into()))
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.into(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

fn span(id: u8, parent: &[u8], name: &str, from: u64, to: u64) -> Span {
    Span {
        trace_id: vec![0xab; 16],
        span_id: vec![id; 8],
        parent_span_id: parent.to_vec(),
        name: name.into(),
        kind: 1,
        start_time_unix_nano: 1_000_000_000 + from,
        end_time_unix_nano: 1_000_000_000 + to,
        ..Span::default()
    }
}

#[test]
fn a_trace_reads_as_a_tree() {
    let status = |code, message: &str| Some(Status { code, message: message.into() });
    let server = Span {
        kind: 2,
        flags: 0x300,
        attributes: vec![
            text("http.route", "/users/{id}"),
            attribute("n", Value::IntValue(7)),
            attribute("raw", Value::BytesValue(vec![1, 0xff])),
            attribute(
                "list",
                Value::ArrayValue(ArrayValue {
                    values: vec![
                        AnyValue { value: Some(Value::BoolValue(true)) },
                        AnyValue { value: Some(Value::DoubleValue(0.5)) },
                    ],
                }),
            ),
        ],
        events: vec![Event {
            time_unix_nano: 1_000_310_000,
            name: "exception".into(),
            attributes: vec![text("exception.type", "Oops"), text("exception.stacktrace", "0: a\n1: b")],
            ..Event::default()
        }],
        links: vec![Link {
            trace_id: vec![0xcd; 16],
            span_id: vec![7; 8],
            attributes: vec![text("why", "queue")],
            ..Link::default()
        }],
        status: status(2, "it broke"),
        dropped_attributes_count: 3,
        ..span(1, &[9; 8], "GET /users/{id}", 0, 1_840_000)
    };
    let late = Span { kind: 3, status: status(1, ""), ..span(3, &[1; 8], "GET", 900_000, 1_000_000) };
    let early = Span { attributes: vec![text("k", "v")], ..span(2, &[1; 8], "load", 10_000, 20_000) };
    let inner = span(4, &[2; 8], "parse", 12_000, 12_999);
    let expected = "\
● GET /users/{id}  server · 1.84 ms · error: it broke
│ trace abababababababababababababababab · span 0101010101010101 · parent 0909090909090909 (caller)
│ http.route  /users/{id}
│ n           7
│ raw         0x01ff
│ list        [true, 0.5]
│ +310 µs  exception
│   exception.type  Oops
│   exception.stacktrace
│     0: a
│     1: b
│ linked to  trace cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd · span 0707070707070707
│   why  queue
│ over the limits: 3 attributes, 0 events and 0 links
├─● load  internal · 10.0 µs from +10.0 µs · unset
│ │ k  v
│ └─● parse  internal · 999 ns from +2.00 µs · unset
└─● GET  client · 100 µs from +900 µs · ok

";
    let trace = vec![late, inner, early, server];
    assert_eq!(render(&trace, false), expected);
    let coloured = render(&trace, true);
    assert!(coloured.contains("\x1b[1mGET /users/{id}\x1b[0m"));
    assert!(coloured.contains("\x1b[31merror: it broke\x1b[0m"));
}

#[test]
fn nothing_that_a_client_sends_steers_the_terminal() {
    let mut evil = span(1, &[], "GET /\x1b[2J", 0, 1);
    evil.attributes = vec![text("k\x07", "a\x1b]0;x\x07"), text("lines", "one\rtwo\n\x1b[31mthree")];
    evil.status = Some(Status { code: 2, message: "\x1b\n".into() });
    evil.events = vec![Event { name: "\x1b".into(), ..Event::default() }];
    let text = render(&vec![evil], false);
    assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
    assert!(text.contains("● GET /\\u{1b}[2J"));
    assert_eq!(text.lines().count(), 8, "{text}");
}

#[test]
fn durations_have_three_digits() {
    for (nanos, text) in [
        (0, "0 ns"),
        (999, "999 ns"),
        (1_000, "1.00 µs"),
        (12_340, "12.3 µs"),
        (123_400, "123 µs"),
        (1_840_000, "1.84 ms"),
        (12_000_000_000, "12.0 s"),
        (120_000_000_000, "120 s"),
    ] {
        assert_eq!(duration(nanos), text);
    }
}
