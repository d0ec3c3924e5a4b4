//! Tests of reading case files.

use std::path::Path;

use super::keys;
use super::parse;
use crate::cases::expect::{Answer, Body, Case, Status, Times};

fn read(text: &str) -> Vec<Case> {
    parse(text, Path::new("c.toml")).unwrap_or_else(|mistakes| panic!("{mistakes:?}"))
}

fn told(text: &str) -> Vec<String> {
    let mistakes = parse(text, Path::new("c.toml")).err().unwrap_or_default();
    mistakes.iter().map(|mistake| format!("{}: {} / {}", mistake.place, mistake.what, mistake.hint)).collect()
}

#[test]
fn four_lines_are_a_case() {
    let cases = read("[[case]]\nname = \"greets\"\nrequest = \"GET /\"\nresponse = 200\n");
    let [case] = &cases[..] else { panic!("{cases:?}") };
    assert_eq!((&*case.name, case.line, case.request.method.as_str()), ("greets", 1, "GET"));
    assert_eq!(case.response.as_ref().unwrap().status, Some(Status::Exact(200)));
    assert!(case.spans.is_none() && case.logs.is_none() && case.mocks.is_empty());
}

#[test]
fn everything_is_read() {
    let text = r#"
        timeout = "3s"
        [[mock]]
        request = "https://shared.test/*"
        [[case]]
        name = "all"
        request = { method = "POST", path = "/a?b", headers = { x-a = ["1", "2"] }, json = { id = 7 } }
        response = { status = "2xx", headers = { ETag = "*" }, without = "set-cookie", json = '{"a": [null]}' }
        log = ["served *", { severity = "warn", body = "slow", times = 2 }]
        pass = "http://127.0.0.1:*"
        linger = "1s"
        max-body = "1KiB"
        [[case.span]]
        name = "POST /a"
        kind = "server"
        status = "ok"
        attributes = { "http.route" = "/a", n = 7 }
        without = ["error.type"]
        events = ["e", { name = "f", at-least = 2 }]
        links = []
        ordered = true
        others = "allowed"
        [[case.span.children]]
        name = "query"
        times = 3
        [[case.mock]]
        request = { method = "PUT", url = "https://a.test/*", headers = { authorization = "Bearer *" }, body = "x*" }
        response = { status = 503, headers = { retry-after = "1" }, body = "busy" }
        delay = "5ms"
        at-most = 2
        [[case.mock]]
        request = "GET https://b.test/"
        error = "connection-refused"
    "#;
    let cases = read(text);
    let [case] = &cases[..] else { panic!("{cases:?}") };
    assert_eq!((case.timeout.as_secs(), case.linger.as_secs(), case.max_body), (3, 1, 1024));
    assert_eq!(case.request.headers.len(), 3, "and content-type");
    assert_eq!(&case.request.body[..], br#"{"id":7}"#);
    let response = case.response.as_ref().unwrap();
    assert!(matches!(response.body, Some(Body::Json(_))) && response.status == Some(Status::Class(2)));
    assert_eq!((response.headers.len(), response.without.len()), (1, 1));
    let spans = case.spans.as_ref().unwrap();
    let [root] = &spans.list[..] else { panic!("{spans:?}") };
    assert!(!spans.is_single && root.kind == Some("server") && root.status == Some("ok"));
    let children = root.children.as_ref().unwrap();
    assert!(children.is_ordered && children.others && !children.is_single);
    assert_eq!(children.list[0].times, Times { least: 3, most: 3 });
    assert_eq!(root.events.as_ref().unwrap()[1].times, Times { least: 2, most: usize::MAX });
    assert_eq!(root.links.as_ref().map(Vec::len), Some(0));
    assert_eq!(case.logs.as_ref().unwrap()[1].times, Times { least: 2, most: 2 });
    let [first, second, shared] = &case.mocks[..] else { panic!("{:?}", case.mocks) };
    assert_eq!((first.times.most, first.delay.as_millis()), (2, 5));
    assert!(matches!(second.answer, Answer::Error("connection_refused")));
    assert_eq!((second.times, shared.times), (Times::AT_LEAST_ONCE, Times::ANY));
}

#[test]
fn all_mistakes_are_told_with_their_places() {
    let text = "[[case]]\nnam = \"a\"\nrequest = \"GET x\"\nresponse = 1\n\n[[case]]\nname = \"b\"\n\
                request = { path = \"/\", heders = {} }\n[case.span]\nname = \"x\"\nkind = \"sever\"\nchilds = []\n";
    let expected = [
        "c.toml:1:1: the case has no name / add what it is about: name = \"greets\"",
        "c.toml:2:1: unknown key `case.nam` / did you mean `name`?",
        "c.toml:3:11: `x` is no path that can be asked for / write a path that begins with a slash, such as \
         /users/7?full, with other characters as %20",
        "c.toml:4:12: `response` is no status / write response = 200, or response = \"2xx\" for all of a class",
        "c.toml:8:25: unknown key `request.heders` / did you mean `headers`?",
        "c.toml:11:8: `span.kind` can't be \"sever\" / did you mean \"server\"?",
        "c.toml:12:1: unknown key `span.childs` / take it out; known are",
    ];
    let told = told(text);
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    for (told, expected) in told.iter().zip(expected) {
        assert!(told.starts_with(expected), "{told}\n{expected}");
    }
}

#[test]
fn each_mistake_says_what_to_do() {
    let case = |more: &str| format!("[[case]]\nname = \"a\"\nrequest = \"/\"\n{more}\n");
    for (text, hint) in [
        (String::new(), "add one: [[case]]"),
        ("case = 1".to_owned(), "write [[case]]"),
        ("[[case]]\nname = \"a\"".to_owned(), "request = \"GET /\""),
        ("[[case]]\nname = 1\nrequest = \"/\"".to_owned(), "name = \"greets\""),
        (case("") + &case(""), "give each a name of its own"),
        (case("request = 1").replacen("request = \"/\"\n", "", 1), "request = \"GET /users/7\""),
        (case("timeout = \"5\""), "write a whole number with ms"),
        (case("timeout = \"none\""), "timeout = \"5s\""),
        (case("response = { body = \"a\", json = 1 }"), "take one of them out"),
        (case("response = { body-file = \"not there\" }"), "name a file that is there"),
        (case("response = { json = \"{\" }"), "JSON in quotes"),
        (case("response = { headers = { \"a b\" = \"c\" } }"), "of letters, digits and dashes"),
        (case("response = { broken = 1 }"), "broken = true"),
        (case("log = 1"), "log = [\"served *\"]"),
        (case("log = { severity = \"wran\" }"), "did you mean \"warn\"?"),
        (case("pass = \"ftp://x\""), "write http://"),
        (case("span = 1"), "span = { name"),
        (case("span = { others = \"allowed\" }"), "add `children`"),
        (case("span = { children = [{ times = -1 }] }"), "times = 2"),
        (case("span = { children = [{ times = 1, at-least = 1 }] }"), "take it out"),
        (case("span = { children = [{ at-least = 2, at-most = 1 }] }"), "swap the two"),
        (case("span = { attributes = 1 }"), "attributes = {"),
        (case("mock = 1"), "write [[case.mock]]"),
        (case("[[case.mock]]"), "request = \"GET https"),
        (case("[[case.mock]]\nrequest = \"GET /users\""), "write the whole URL"),
        (case("[[case.mock]]\nrequest = \"*\"\nerror = \"refused\""), "connection_refused"),
        (case("[[case.mock]]\nrequest = \"*\"\nresponse = 100"), "response = 200"),
        (case("[[case.mock]]\nrequest = \"*\"\nresponse = 200\nerror = \"dns_timeout\""), "take one"),
    ] {
        let told = told(&text);
        assert!(told.len() == 1 && told[0].contains(hint), "{text}\n{told:?}");
    }
}

/// The schema knows the keys that the reader knows, table by table.
#[test]
fn the_schema_has_the_same_keys() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/cases.schema.json");
    let schema: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let keys_of = |table: &serde_json::Value| {
        let mut keys: Vec<_> = table["properties"].as_object().expect("a table").keys().cloned().collect();
        keys.sort();
        keys
    };
    for (name, keys) in keys::TABLES {
        let table = &schema["$defs"][name];
        let mut keys: Vec<_> = keys.iter().map(|key| (*key).to_owned()).collect();
        keys.sort();
        assert_eq!(keys_of(table), keys, "{name}");
        assert_eq!(table["additionalProperties"], false, "{name}");
    }
    let file = keys_of(&schema);
    assert!(keys::FILE.iter().all(|key| file.iter().any(|known| known == key)), "{file:?}");
}

proptest::proptest! {
    #[test]
    fn no_text_makes_it_panic(
        text in "(\\[\\[?(case|mock|case\\.span|case\\.mock)\\]?\\]|name|request|response|span|times|children|=|\"|\n|ü|1|\\{|\\}|,| |/|.){0,40}",
    ) {
        crate::cases::fuzz::case_file(&text);
    }
}
