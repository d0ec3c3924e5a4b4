//! What holds for every text: reading never panics, and what is written reads back the same.

use std::fmt::{Debug, Display};
use std::path::Path;
use std::str::FromStr;

use proptest::prelude::*;

use super::*;
use crate::config::vars::Vars;

fn reads_back<T: FromStr + Display + PartialEq + Debug>(text: &str) -> Result<(), TestCaseError>
where
    T::Err: Debug,
{
    let Ok(value) = text.parse::<T>() else {
        return Ok(());
    };
    let written = value.to_string();
    let again = written.parse::<T>();
    prop_assert!(again.as_ref().is_ok_and(|again| *again == value), "{text:?} → {written:?} → {again:?}");
    Ok(())
}

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
    ];
    prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![near(), ".{0,40}", "[0-9]{1,20} ?[a-zA-Z]{0,3}", "0\\.[0-9]{1,20}"]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn values_read_back_as_they_are_written(text in text()) {
        reads_back::<ByteLimit>(&text)?;
        reads_back::<ByteSize>(&text)?;
        reads_back::<Cidr>(&text)?;
        reads_back::<DirMount>(&text)?;
        reads_back::<Endpoint>(&text)?;
        reads_back::<Exporter>(&text)?;
        reads_back::<HeaderFormat>(&text)?;
        reads_back::<Isolation>(&text)?;
        reads_back::<ListenAddr>(&text)?;
        reads_back::<LogFormat>(&text)?;
        reads_back::<LogLevel>(&text)?;
        reads_back::<OutboundRule>(&text)?;
        reads_back::<SampleRoute>(&text)?;
        reads_back::<Sampler>(&text)?;
        reads_back::<Semconv>(&text)?;
        reads_back::<Timeout>(&text)?;
    }

    #[test]
    fn values_with_secrets_never_panic(text in text()) {
        let vars = Vars::default();
        let place = Place { base: Path::new("/nonexistent"), vars: &vars };
        let read = (EnvVar::read(&text, &place).ok(), Header::read(&text, &place).ok());
        let _shown = (EnvVar::quote(&text), Header::quote(&text), Endpoint::quote(&text), format!("{read:?}"));
    }
}
