//! Tests of the limits.

use super::*;

#[test]
fn the_last_value_of_a_key_wins_and_keeps_its_place() {
    let (mut attributes, mut room) = (Attributes::default(), 100);
    for (key, value) in [("a", 1), ("b", 2), ("a", 3)] {
        attributes.set(key, Value::Int(value), UNSET.of_span(), &mut room);
    }
    assert_eq!(attributes.list, [("a".into(), Value::Int(3)), ("b".into(), Value::Int(2))]);
    assert_eq!((attributes.dropped, room), (0, 100 - 18));
}

#[test]
fn what_is_over_a_limit_is_counted() {
    let (mut attributes, mut room) = (Attributes::default(), 2000);
    attributes.set("", Value::Bool(true), UNSET.of_span(), &mut room);
    attributes.set(&"k".repeat(MAX_NAME + 1), Value::Bool(true), UNSET.of_span(), &mut room);
    attributes.set("big", Value::Text("v".repeat(1995)), UNSET.of_span(), &mut room);
    attributes.set("bigger", Value::Bool(true), UNSET.of_span(), &mut room);
    assert_eq!((attributes.list.len(), attributes.dropped), (1, 3));
    attributes.set("big", Value::Text(String::new()), UNSET.of_span(), &mut room);
    for n in 0..200 {
        attributes.set(&format!("k{n}"), Value::Bool(true), UNSET.of_span(), &mut room);
    }
    assert_eq!(attributes.list.len(), MAX_ATTRIBUTES);
    assert_eq!(attributes.dropped, 3 + 200 - 127);
}

#[test]
fn texts_are_cut_between_characters() {
    let mut value = Value::Texts(vec!["ä".repeat(10), "ok".into()]);
    value.cut(Length::bytes(5));
    assert_eq!(value, Value::Texts(vec!["ää".into(), "ok".into()]));
}

#[test]
fn an_exception_keeps_its_own_facts() {
    let (mut events, mut room) = (Events::default(), MAX_SPAN);
    let exception = Exception {
        kind: "Oops".into(),
        message: "m".into(),
        stacktrace: Some("s".repeat(20_000)),
        attributes: vec![
            ("exception.type".into(), Value::Text("forged".into())),
            ("x".into(), Value::Int(1)),
        ],
    };
    events.add_exception(5, exception, &UNSET, &mut room);
    let event = &events.list[0];
    assert_eq!((event.time, &*event.name), (5, "exception"));
    let keys: Vec<_> = event.attributes.list.iter().map(|(key, _)| &**key).collect();
    assert_eq!(keys, ["exception.type", "exception.message", "exception.stacktrace", "x"]);
    assert_eq!(event.attributes.list[0].1, Value::Text("Oops".into()));
    assert_eq!(event.attributes.list[2].1.size(), MAX_STACKTRACE);
    for _ in 0..200 {
        events.add(0, "e", vec![], &UNSET, &mut room);
    }
    assert_eq!((events.list.len(), events.dropped), (MAX_ATTRIBUTES, 73));
}

fn limits(change: impl FnOnce(&mut settings::Limits)) -> Limits {
    let mut set = settings::Limits::default();
    change(&mut set);
    Limits::new(&set)
}

#[test]
fn characters_are_counted_where_a_length_is_set_and_bytes_where_none_is() {
    let set = |limits: &Limits, key: &str, value: Value| {
        let (mut attributes, mut room) = (Attributes::default(), MAX_SPAN);
        attributes.set(key, value, limits.of_event(), &mut room);
        attributes.list.remove(0).1
    };
    let text = |text: &str, times| Value::Text(text.repeat(times));
    for (length, given, kept) in [(0, 5, 0), (3, 2, 2), (3, 3, 3), (3, 9, 3), (4096, 3000, 2048)] {
        let limits = limits(|limits| limits.span_value_length = Some(length));
        assert_eq!(set(&limits, "k", text("ä", given)), text("ä", kept), "{given} by {length}");
    }
    let short = limits(|limits| limits.span_value_length = Some(3));
    assert_eq!(set(&short, "k", Value::Bytes(vec![1; 5])), Value::Bytes(vec![1; 3]));
    assert_eq!(set(&short, "exception.stacktrace", text("s", 9)), text("s", 3));
    assert_eq!(set(&UNSET, "k", text("ä", 3000)), text("ä", 2048));
    assert_eq!(set(&UNSET, "exception.stacktrace", text("s", 9000)), text("s", 9000));
}

#[test]
fn a_limit_is_told_of_once_by_its_name() {
    let limits = limits(|limits| (limits.span_attributes, limits.events) = (1, 0));
    let log = crate::tests::logged(|| {
        for _ in 0..3 {
            let (mut attributes, mut room) = (Attributes::default(), MAX_SPAN);
            for key in ["a", "b", "c"] {
                attributes.set(key, Value::Bool(true), limits.of_span(), &mut room);
            }
            assert_eq!((attributes.list.len(), attributes.dropped), (1, 2));
        }
    });
    assert_eq!(log.matches("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT").count(), 1, "{log}");
    let (mut events, mut room) = (Events::default(), MAX_SPAN);
    assert_eq!(events.add(0, "e", vec![], &limits, &mut room), 0);
    assert_eq!((events.list.len(), events.dropped, room), (0, 1, MAX_SPAN));
}
