//! What holds for every text: reading never panics, and what is written reads back the same.

use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::config::fuzz;
use crate::config::vars::Vars;

/// Texts near to values: pieces of them in any order.
fn near() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("unix:"),
        Just("http://"),
        Just("https://"),
        Just("*"),
        Just("*."),
        Just("."),
        Just(":"),
        Just("::"),
        Just(":rw"),
        Just("["),
        Just("]"),
        Just("[::1]"),
        Just("127.0.0.1"),
        Just("::ffff:"),
        Just("10.0.0.0"),
        Just("/8"),
        Just("/104"),
        Just("a.example"),
        Just("0"),
        Just("1"),
        Just("-"),
        Just("+"),
        Just("%"),
        Just("%41"),
        Just("="),
        Just("@"),
        Just("?"),
        Just("#"),
        Just("/"),
        Just("/v1/traces"),
        Just("KiB"),
        Just("GB"),
        Just("ms"),
        Just("h"),
        Just("none"),
        Just("8080"),
        Just("e"),
        Just("18446744073709551615"),
        Just("traceidratio"),
        Just("parentbased_"),
        Just("always_on"),
        Just(" "),
        Just("ü"),
        Just(","),
        Just("\0"),
        Just("http"),
        Just("/dup"),
        Just("GET "),
        Just("/{id}"),
        Just("/{*rest}"),
        Just("{{"),
        Just("=0.5"),
        Just("\n"),
        Just("a=1,"),
        Just("always_off"),
        Just("grpc"),
    ];
    prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![near(), ".{0,40}", "[0-9]{1,20} ?[a-zA-Z]{0,3}", "0\\.[0-9]{1,20}"]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn what_must_hold_for_any_text_holds(text in text()) {
        fuzz::settings(text.as_bytes());
        fuzz::headers(text.as_bytes());
        fuzz::resource_attributes(text.as_bytes());
        fuzz::variables(text.as_bytes());
    }

    #[test]
    fn what_must_hold_for_any_environment_holds(values in prop::collection::vec((0usize..50, text()), 0..6)) {
        let lines: Vec<_> = values.iter().map(|(at, value)| format!("{at} {value}")).collect();
        fuzz::variables(lines.join("\n").as_bytes());
    }

    #[test]
    fn values_with_secrets_never_panic(text in text()) {
        let vars = Vars::default();
        let place = Place { base: Path::new("/nonexistent"), vars: &vars };
        let read = (EnvVar::read(&text, &place).ok(), Header::read(&text, &place).ok());
        let entry = WasiConfigEntry::read(&text, &place).ok();
        let _shown = (WasiConfigEntry::quote(&text), format!("{entry:?}"));
        let _shown = (EnvVar::quote(&text), Header::quote(&text), Endpoint::quote(&text), format!("{read:?}"));
    }
}

/// Found by fuzzing, which writes the words of warnings into lists.
#[test]
fn a_value_that_repeats_our_own_words_is_not_told() {
    fuzz::headers(b"\x9fx-scope=\tOTEL_EXPORTER_OTLP_HEADERS\t,iscope=a");
    fuzz::headers(b"c/c=OTEL_EXPORTER_OTLP_HEADERS: entry 2 has a header without `=`, anhco");
}
