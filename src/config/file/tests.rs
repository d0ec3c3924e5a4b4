//! Tests of reading `pounce.toml`.

use std::path::Path;

use super::{Component, parse};
use crate::config::Layer;

fn told(text: &str) -> Vec<String> {
    let said = parse(text, Path::new("p.toml"), &[]);
    said.mistakes
        .iter()
        .map(|mistake| format!("{}: {} / {}", mistake.place, mistake.what, mistake.hint))
        .collect()
}

fn said(text: &str) -> Layer {
    let said = parse(text, Path::new("p.toml"), &[]);
    assert_eq!(said.mistakes, []);
    said.options
}

#[test]
fn values_may_be_texts_numbers_or_lists() {
    let layer = said(
        "[http]\nlisten = [\"a:1\", \"b:2\"]\nmax-in-flight = 1_0\nmax-header-size = 0x2000\n[otel]\nsample = 0.5\n",
    );
    assert_eq!(layer["http.listen"].texts, ["a:1", "b:2"]);
    assert_eq!(layer["http.max-in-flight"].texts, ["10"]);
    assert_eq!(layer["http.max-header-size"].texts, ["8192"]);
    assert_eq!(layer["otel.sample"].texts, ["0.5"]);
    assert_eq!(said("[http]\nlisten = \"a:1\"")["http.listen"].texts, ["a:1"]);
}

#[test]
fn a_component_is_read() {
    let said = parse("[[component]]\nname = \"a\"\nsource = \"a.wasm\"", Path::new("p.toml"), &[]);
    let [Component { name, source, lazy: false, options, .. }] = &said.components[..] else {
        panic!("{said:?}")
    };
    assert_eq!((name.as_deref(), source.to_str()), (Some("a"), Some("a.wasm")));
    assert!(options.is_empty());
}

#[test]
fn unknown_keys_are_told_in_the_order_of_the_file() {
    let told = told("listen = 1\n[otel]\nsampel = 1\nlisten = \"x\"\n[htpt]\n[http]\nmax_in_flight = 1\n");
    let expected = [
        "p.toml:1:1: unknown key `listen` / write it under [http]",
        "p.toml:3:1: unknown key `otel.sampel` / did you mean `sample`?",
        "p.toml:4:1: unknown key `otel.listen` / write it under [http]",
        "p.toml:5:2: unknown key `htpt` / did you mean [http]?",
        "p.toml:7:1: unknown key `http.max_in_flight` / did you mean `max-in-flight`?",
    ];
    assert_eq!(told, expected);
}

#[test]
fn components_have_keys_of_their_own() {
    let text = "[[component]]\nsource = \"a\"\nlazy = true\nreuse = 1\notel.service-name = \"x\"\n\
                [[component]]\nsource = \"b\"\nguest = { env = [\"A=1\"], max-memory = \"1MiB\" }\n";
    let said = parse(text, Path::new("p.toml"), &[]);
    assert_eq!(said.mistakes, []);
    let [a, b] = &said.components[..] else { panic!("{said:?}") };
    assert!(a.lazy && !b.lazy);
    assert_eq!(a.options["guest.reuse"].texts, ["1"]);
    assert_eq!(a.options["otel.service-name"].texts, ["x"]);
    assert_eq!(a.options["otel.service-name"].source.to_string(), "p.toml:5:21");
    assert_eq!(b.options["guest.env"].texts, ["A=1"]);
    assert_eq!((b.options.len(), b.at.to_string()), (2, "p.toml:6:1".to_owned()));
}

#[test]
fn routes_are_read_with_their_places() {
    let first =
        "[[route]]\ncomponent = \"a\"\nhost = \"*.Example.com\"\npath = \"/items/{id}\"\nmethod = \"GET\"\n";
    let said = parse(&format!("{first}[[route]]\ncomponent = \"b\"\n"), Path::new("p.toml"), &[]);
    assert_eq!(said.mistakes, []);
    let shown: Vec<_> = said.routes.iter().map(|route| format!("{route} {}", route.place)).collect();
    assert_eq!(shown, ["GET *.example.com/items/{id}=a p.toml:1:1", "=b p.toml:6:1"]);
}

#[test]
fn wrong_shapes_are_told_with_an_example() {
    let cases = [
        ("[route]\npath = \"/\"", "write [[route]]"),
        ("[[route]]\npath = \"/\"", "add the name of the component"),
        ("[[route]]\ncomponent = \"a\"\npaht = \"/\"", "did you mean `path`?"),
        ("[[route]]\ncomponent = \"a\"\npath = \"a\"", "write a path such as"),
        ("[[route]]\ncomponent = \"a\"\nhost = \"a:80\"", "without a port"),
        ("[[route]]\ncomponent = \"a\"\nmethod = 1", "write for example path"),
        ("[[route]]\ncomponent = \"a\"\nmethod = \"get\"", "in capitals"),
        ("[http]\nreuse = 1", "write it under [guest]"),
        ("[http]\nmax-in-flight = [1]", "write for example max-in-flight = 1024"),
        ("[http]\nlisten = { a = 1 }", "write for example listen = [\"127.0.0.1:8080\"]"),
        ("http = 1", "write [http] on a line of its own"),
        ("[component]\nsource = \"a\"", "with two brackets"),
        ("[[component]]\nname = \"a\"", "add the path of its file"),
        ("[[component]]\nsource = 1", "write for example source"),
        ("[[component]]\nsource = \"a\"\nsorce = \"b\"", "did you mean `source`?"),
        ("[[component]]\nsource = \"a\"\nlisten = \"b:1\"", "write it under [http]"),
        ("[[component]]\nsource = \"a\"\nlazy = 1", "write lazy = true"),
        ("[[component]]\nsource = \"a\"\nreuse = [1]", "write for example reuse = 128"),
        ("[[component]]\nsource = \"a\"\nguest.resue = 1", "did you mean `reuse`?"),
        ("[[component]]\nsource = \"a\"\notel.endpoint = \"http://c\"", "write it under [otel]"),
    ];
    for (text, hint) in cases {
        let told = told(text);
        assert!(told.len() == 1 && told[0].contains(hint), "{text}: {told:?}");
    }
}

#[test]
fn every_syntax_error_is_told_with_its_place() {
    let told = told("[http]\nlisten = \nmax-in-flight = = 1\n");
    assert!(told.len() >= 2, "{told:?}");
    assert!(told[0].starts_with("p.toml:2:") && told[1].starts_with("p.toml:3:"), "{told:?}");
}

proptest::proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "(\\[\\[?|\\]\\]?|component|http|listen|=|\"|\n|ü|1|\\{|\\}|,| |.){0,30}") {
        parse(&text, Path::new("p.toml"), &[]);
    }
}
