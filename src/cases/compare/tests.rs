//! Tests of comparisons, and of what they have `update` write.

use std::path::Path;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::json;

use super::{Came, Comparison, Mark, fill, response_of, trace_of};
use crate::cases::expect::Case;
use crate::cases::read;
use crate::cases::run::Outcome;
use crate::cases::seen::{Log, Part, Span, Trace};
use crate::cases::update::updated;

fn case(text: &str) -> (String, Case) {
    let text = format!("[[case]]\nname = \"a\"\nrequest = \"/\"\n{text}\n");
    let case =
        read::parse(&text, Path::new("c.toml")).unwrap_or_else(|mistakes| panic!("{mistakes:?}")).remove(0);
    (text, case)
}

fn span(name: &str, children: Vec<Span>) -> Span {
    Span { name: name.to_owned(), kind: "internal", status: "unset", children, ..Span::default() }
}

fn came(status: u16, body: &str) -> Came {
    let status = StatusCode::from_u16(status).unwrap();
    Came { status, headers: HeaderMap::new(), body: Bytes::from(body.to_owned()), broken: None }
}

fn trace(roots: Vec<Span>) -> Trace {
    Trace { roots, ..Trace::default() }
}

fn drawn(compared: &Comparison) -> String {
    let line = |line: &super::Line| {
        let sign = match line.mark {
            Mark::Same => ' ',
            Mark::Missing => '-',
            Mark::Extra => '+',
        };
        let note = line.note.as_ref().map(|note| format!(" # {note}")).unwrap_or_default();
        format!("{sign} {}{}{note}\n", "  ".repeat(line.depth), line.text)
    };
    compared.lines.iter().map(line).collect()
}

/// Compares; then checks that the file which `--update` makes of it expects just that.
fn compared(text: &str, came: &Came, trace: &Trace) -> (String, String) {
    let (file, one) = case(text);
    let both = |case: &Case| {
        let mut all = response_of(case, came);
        all.extend(trace_of(case, trace));
        all
    };
    let before = both(&one);
    let drawn = drawn(&before);
    let mut edits = before.edits;
    edits.extend(fill(&one, came, trace));
    let outcome = Outcome { edits, ..Outcome::died("a".to_owned(), 1, "") };
    let updated = updated(&file, &[outcome]).unwrap_or(file);
    let again =
        read::parse(&updated, Path::new("c.toml")).unwrap_or_else(|mistakes| panic!("{updated}{mistakes:?}"));
    let after = both(&again[0]);
    assert!(!after.failed, "{updated}\n{}", self::drawn(&after));
    (drawn, updated)
}

#[test]
fn what_is_as_expected_says_nothing() {
    let trace = trace(vec![span("r", vec![span("a", vec![]), span("b", vec![])])]);
    for text in [
        "response = 200",
        "response = \"2xx\"\nspan = \"r\"",
        "response = { body = \"h*o\" }\nspan = { name = \"r\", children = [\"b\", \"a\"] }",
        "response = 200\nspan = { name = \"*\", children = [\"a\", \"b\"], ordered = true }",
        "response = 200\nspan = { children = [{ name = \"*\", times = 2 }] }",
        "response = 200\nspan = { children = [{ name = \"*\", at-least = 1 }, \"b\"] }",
        "response = 200\nspan = [{ children = [\"a\"], others = \"allowed\" }]",
        "response = 200\nspan = { children = [\"a\", \"b\", { name = \"c\", times = 0 }] }",
        "response = 200\nspan = { events = [], links = [], without = [\"x\"] }",
    ] {
        let (_, case) = case(text);
        let mut all = response_of(&case, &came(200, "hello"));
        all.extend(trace_of(&case, &trace));
        assert!(!all.failed && all.lines.is_empty(), "{text}\n{}", drawn(&all));
    }
}

#[test]
fn differences_stand_in_the_tree() {
    let mut query = span("query", vec![span("row", vec![])]);
    query.attributes = vec![("db.rows".to_owned(), 3.into()), ("db.system".to_owned(), "sqlite".into())];
    query.events = vec![Part { name: "retry".to_owned(), attributes: Vec::new() }];
    let trace = trace(vec![span("r", vec![span("x", vec![]), query, span("row", vec![])])]);
    let text = "response = 200\n# the tree\n[[case.span]]\nname = \"r\" # stays\n[[case.span.children]]\nname = \"query\"\n\
                kind = \"client\"\nattributes = { \"db.rows\" = 4, \"db.system\" = \"sql*\", gone = 1 }\nevents = [\"hit\"]\n\
                [[case.span.children]]\nname = \"missing\"\n[[case.span.children]]\nname = \"row\"\ntimes = 2\n";
    let (drawn, updated) = compared(text, &came(200, ""), &trace);
    let expected = r#"  span
    r (internal)
+     x (internal)
-     query (client)
+     query (internal)
-       "db.rows" = 4
+       "db.rows" = 3
        "db.system" = "sql*"
-       gone = 1
-       event "hit"
-     missing
      row (internal)
-     row # came once, expected 2 times
"#;
    assert_eq!(drawn, expected);
    assert!(updated.contains("# the tree") && updated.contains("# stays"), "{updated}");
    assert!(
        updated.contains("\"sql*\"") && !updated.contains("missing") && !updated.contains("gone"),
        "{updated}"
    );
}

#[test]
fn order_counts_where_it_is_asked_for() {
    let trace = trace(vec![span("r", vec![span("b", vec![]), span("a", vec![])])]);
    let text = "response = 200\nspan = { name = \"r\", ordered = true, children = [\"a\", \"b\"] }";
    let (_, case) = case(text);
    let all = trace_of(&case, &trace);
    assert!(all.failed);
    assert!(drawn(&all).contains("not in this place"), "{}", drawn(&all));
}

#[test]
fn too_many_are_told() {
    let trace = trace(vec![span("r", vec![span("a", vec![]), span("a", vec![]), span("a", vec![])])]);
    let (drawn, updated) =
        compared("response = 200\nspan = { name = \"r\", children = [\"a\"] }", &came(200, ""), &trace);
    assert_eq!(drawn.matches("one too many: expected once").count(), 2, "{drawn}");
    assert!(updated.contains("times = 3"), "{updated}");
    let (drawn, _) = compared("response = 200\nspan = { children = [] }", &came(200, ""), &trace);
    assert_eq!(drawn.matches("+     a (internal)").count(), 3, "{drawn}");
}

#[test]
fn responses_are_compared_part_by_part() {
    let mut came = came(500, r#"{"id": 7, "tags": ["a", "b"], "name": "Ada*"}"#);
    came.headers.insert("etag", "x".parse().unwrap());
    came.headers.insert("set-cookie", "c".parse().unwrap());
    came.broken = Some("the guest trapped".to_owned());
    let text = "[case.response]\nstatus = 200 # fine\nheaders = { ETag = \"y*\", accept = \"z\" }\nwithout = [\"Set-Cookie\"]\n\
                json = { id = 8, tags = [\"a\", \"c\"], name = \"Bob\", more = 1 }\n";
    let (drawn, updated) = compared(text, &came, &trace(Vec::new()));
    let expected = r#"  response
-   status = 200
+   status = 500
-   headers.etag = "y*"
+   headers.etag = "x"
-   headers.accept = "z"
+   headers.set-cookie = "c" # is not to be there
-   json.id = 8
+   json.id = 7
-   json.more = 1
-   json.name = "Bob"
+   json.name = "Ada*"
-   json.tags[1] = "c"
+   json.tags[1] = "b"
+   broken = true # the body broke off: the guest trapped
"#;
    assert_eq!(drawn, expected);
    assert!(updated.contains("status = 500 # fine") && updated.contains(r#"Ada\\*"#), "{updated}");
}

#[test]
fn what_a_case_leaves_open_is_filled_in() {
    let mut root = span("GET /", vec![span("query", vec![])]);
    (root.kind, root.status) = ("server", "ok");
    root.attributes = vec![
        ("http.route".to_owned(), "/".into()),
        ("server.port".to_owned(), 80.into()),
        ("user.id".to_owned(), 7.into()),
    ];
    let (_, updated) = compared("", &came(200, "a*b\n"), &trace(vec![root]));
    for part in [
        "status = 200",
        r#"a\\*b"#,
        "[case.span]",
        "[[case.span.children]]",
        "\"user.id\" = 7",
        "\"http.route\" = \"/\"",
    ] {
        assert!(updated.contains(part), "{part}\n{updated}");
    }
    assert!(!updated.contains("server.port"), "{updated}");
}

/// TOML has no null: an attribute without a value is one that may have any.
#[test]
fn attributes_without_a_value_are_written() {
    let attributes = vec![
        ("empty".to_owned(), json!(null)),
        ("list".to_owned(), json!(["a", null])),
        ("map".to_owned(), json!({ "json": { "b": null, "c": "*" } })),
    ];
    let mut child = span("child", Vec::new());
    child.attributes.clone_from(&attributes);
    child.events = vec![Part { name: "event".to_owned(), attributes: attributes.clone() }];
    let mut trace = trace(vec![span("r", vec![child])]);
    trace.logs = vec![Log { body: json!(null), severity: "info".to_owned(), attributes }];
    let empty = "empty = \"*\"";
    for text in [
        "",
        "response = 200\nspan = \"r\"\nlog = []",
        "response = 200\nspan = { name = \"r\", children = [] }",
        "response = 200\nspan = { name = \"r\", children = [{ name = \"child\", attributes = { empty = 1, list = 2, map = { json = 3 } } }] }",
        "response = 200\nspan = { name = \"r\", children = [{ name = \"child\", events = [] }] }",
        "response = 200\nspan = { name = \"r\", children = [{ name = \"child\", events = [{ name = \"event\", attributes = { empty = 1 } }] }] }",
    ] {
        let (_, updated) = compared(text, &came(200, ""), &trace);
        let is_open = updated.contains(empty) || updated.contains("body = \"*\"");
        assert!(is_open && !updated.contains("null"), "{text}\n{updated}");
    }
}

#[test]
fn headers_that_are_others_each_time_are_left_open() {
    let mut came = came(200, "");
    for (name, value) in
        [("date", "Tue, 01 Dec 2026 04:00:00 GMT"), ("server-timing", "guest;dur=1"), ("etag", "\"a*\"")]
    {
        came.headers.insert(name, value.parse().unwrap());
    }
    let text = "[case.response]\nheaders = { Date = \"Mon, *\", server-timing = \"x\", etag = \"y\" }";
    let (drawn, updated) = compared(text, &came, &trace(Vec::new()));
    assert!(drawn.contains("+   headers.date = \"Tue, 01 Dec 2026 04:00:00 GMT\""), "{drawn}");
    for part in ["Date = \"*\"", "server-timing = \"*\"", r#"a\\*"#] {
        assert!(updated.contains(part), "{part}\n{updated}");
    }
}

#[test]
fn every_form_of_a_list_can_be_added_to() {
    let trace = trace(vec![span("a", vec![span("c", vec![])]), span("b", vec![])]);
    for form in [
        "span = \"a\"",
        "span = [\"a\"]",
        "span = []",
        "span = { name = \"a\" }",
        "span = [{ name = \"a\", children = [] }]",
        "[case.span]\nname = \"a\"\nchildren = []",
        "[[case.span]]\nname = \"a\"\n[[case.span.children]]\nname = \"d\"",
        "[case.span]\nname = \"*\"\nchildren = \"c\"\n[case.response]\nstatus = 200",
    ] {
        compared(form, &came(200, ""), &trace);
    }
}

#[test]
fn log_records_are_there_as_often_as_expected() {
    let log = |body: &str, severity: &str| Log {
        body: body.into(),
        severity: severity.to_owned(),
        attributes: vec![("n".to_owned(), json!(1))],
    };
    let trace = Trace {
        roots: Vec::new(),
        logs: vec![log("served 1", "info"), log("served 2", "warn")],
        ids: Vec::new(),
    };
    let (_, case) = case(
        "response = 200\nlog = [\"served *\", { body = \"*2\", severity = \"warn\", attributes = { n = 1 } }]",
    );
    assert!(!trace_of(&case, &trace).failed);
    let text = "response = 200\nspan = []\nlog = [\"lost\", { body = \"served *\", times = 1 }]";
    let (drawn, _) = compared(text, &came(200, ""), &trace);
    assert_eq!(drawn, "  log\n-   \"lost\"\n+   \"served *\" # came 2 times, expected once\n");
    let (drawn, _) = compared("response = 200\nspan = []\nlog = []", &came(200, ""), &trace);
    assert!(drawn.contains("+   info \"served 1\" { n = 1 } # there is to be none"), "{drawn}");
}

#[test]
fn a_body_that_breaks_off_counts_where_something_is_said_of_it() {
    let broken = Came { broken: Some("reset".to_owned()), ..came(500, "half") };
    let whole = came(500, "half");
    for (text, of_broken, of_whole) in [
        ("response = 500", true, true),
        ("response = { status = 500 }", true, true),
        ("response = { body = \"half\" }", false, true),
        ("response = { broken = false }", false, true),
        ("response = { broken = true, body = \"half\" }", true, false),
    ] {
        let (_, case) = case(text);
        let passes = |came: &Came| !response_of(&case, came).failed;
        assert_eq!((passes(&broken), passes(&whole)), (of_broken, of_whole), "{text}");
    }
}

#[test]
fn more_spans_than_can_be_compared_are_refused() {
    let children = (0..1000).map(|_| span("a", vec![])).collect();
    let trace = trace(vec![span("r", children)]);
    let list = |ordered: bool, times: &str, count: usize| {
        let one = format!("{{ name = \"*\", {times} }}");
        format!("span = {{ ordered = {ordered}, children = [{}] }}", vec![one; count].join(", "))
    };
    for (text, is_refused) in [
        (list(true, "at-most = 10000", 300), false),
        (list(true, "at-most = 500", 300), true),
        (list(false, "at-most = 500", 300), false),
        (list(false, "at-most = 500", 5000), true),
    ] {
        let (_, case) = case(&text);
        let compared = trace_of(&case, &trace);
        let said = compared
            .lines
            .iter()
            .any(|line| line.note.as_ref().is_some_and(|note| note.contains("more than the 4000000 pairs")));
        assert_eq!((compared.failed, said), (is_refused, is_refused), "{}", &text[..80]);
    }
}
