//! What must hold of variables and settings, whatever somebody writes into them: driven by the property tests and by
//! `fuzz/`; built for those alone. Each function panics where it does not hold.

use std::fmt::{Debug, Display};
use std::path::Path;
use std::str::FromStr;

use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, percent_encode};

use super::value::*;
use super::{Sources, Vars, load, otel_env};

/// Settings that are one text: what is read reads back the same once written.
pub fn settings(input: &[u8]) {
    let text = &*String::from_utf8_lossy(input);
    reads_back::<ByteLimit>(text);
    reads_back::<ByteSize>(text);
    reads_back::<Cidr>(text);
    reads_back::<DirMount>(text);
    reads_back::<Endpoint>(text);
    reads_back::<HeaderToRecord>(text);
    reads_back::<ListenAddr>(text);
    reads_back::<OutboundRule>(text);
    reads_back::<LookupRule>(text);
    reads_back::<AdminHost>(text);
    reads_back::<SampleRoute>(text);
    reads_back::<Sampler>(text);
    reads_back::<Timeout>(text);
    if let Ok(Sampler::Ratio(ratio)) = text.parse() {
        assert!(ratio > 0.0 && ratio < 1.0, "{text:?} is no share");
    }
}

fn reads_back<T: FromStr + Display + PartialEq + Debug>(text: &str)
where
    T::Err: Debug,
{
    let Ok(value) = text.parse::<T>() else { return };
    let written = value.to_string();
    let again = written.parse::<T>();
    assert!(again.as_ref().is_ok_and(|again| *again == value), "{text:?} → {written:?} → {again:?}");
}

/// `otel.headers` and `OTEL_EXPORTER_OTLP_HEADERS`: both read a list alike, what is read reads back the same once
/// written, and what is said of it is the same whatever the values are: none is ever shown.
pub fn headers(input: &[u8]) {
    let text = &*String::from_utf8_lossy(input);
    let vars = Vars::default();
    let place = Place { base: Path::new(""), vars: &vars };
    let (list, said) = read_alike(text, &place);
    if let Some(list) = list {
        assert!(list.iter().all(|(_, value)| value.is_sensitive()));
        let written: Vec<_> = list
            .iter()
            .map(|(name, value)| format!("{name}={}", percent_encode(value.as_bytes(), NON_ALPHANUMERIC)))
            .collect();
        assert_eq!(Header::read(&written.join(","), &place), Ok(Header(list)), "reads back otherwise");
    }
    assert_eq!(said, read_alike(&without_values(text), &place).1, "something of a value is told");
}

/// The headers of a list, and all that is said of it.
fn read_alike(
    text: &str,
    place: &Place<'_>,
) -> (Option<Vec<(http::HeaderName, http::HeaderValue)>>, Vec<String>) {
    const VARIABLE: &str = "OTEL_EXPORTER_OTLP_HEADERS";
    let vars: Vars = [(VARIABLE, text)].into_iter().collect();
    let mut reader = otel_env::Reader::new(&vars);
    let found = otel_env::headers(&mut reader, &[VARIABLE]);
    let mut said = reader.warnings;
    let found = found.unwrap_or_default().map(|(list, _)| list).unwrap_or_default();
    let found: Vec<_> = found.into_iter().flat_map(|list| list.0).collect();
    match Header::read(text, place) {
        Ok(Header(list)) => {
            assert_eq!((&list, said.len()), (&found, 0), "read in two ways");
            said.push(Header(list.clone()).show());
            (Some(list), said)
        }
        Err(flaw) => {
            assert!(!said.is_empty() || found.is_empty(), "one way reads what the other refuses");
            said.push(flaw.to_string());
            (None, said)
        }
    }
}

/// The list with each value replaced by one that is as well or ill formed, and holds nothing of it.
fn without_values(list: &str) -> String {
    let masked = |pair: &str| match pair.split_once('=') {
        None => pair.to_owned(),
        Some((name, value)) => {
            let value: Vec<u8> = percent_decode_str(value.trim()).collect();
            let sound = http::HeaderValue::try_from(value).is_ok();
            format!("{name}={}", if sound { "x" } else { "%00" })
        }
    };
    list.split(',').map(masked).collect::<Vec<_>>().join(",")
}

/// `OTEL_RESOURCE_ATTRIBUTES`: keys are there once, and what is read reads back the same once written.
pub fn resource_attributes(input: &[u8]) {
    let read = |text: &str| {
        let vars = [("OTEL_RESOURCE_ATTRIBUTES", text)].into_iter().collect();
        let loaded = load(Sources { vars, ..Sources::default() }).expect("nothing else is set");
        (loaded.config.otel.resource_attributes, loaded.config.warnings.len())
    };
    let (attributes, warnings) = read(&String::from_utf8_lossy(input));
    assert!(warnings == 0 || (warnings == 1 && attributes.is_empty()), "some of a malformed list");
    for (at, (key, _)) in attributes.iter().enumerate() {
        assert!(!key.is_empty() && attributes[..at].iter().all(|(other, _)| other != key), "{key:?}");
    }
    let encoded = |text: &str| percent_encode(text.as_bytes(), NON_ALPHANUMERIC).to_string();
    let pair = |(key, value): &(String, String)| format!("{}={}", encoded(key), encoded(value));
    let written: Vec<_> = attributes.iter().map(pair).collect();
    assert_eq!(read(&written.join(",")), (attributes, 0), "reads back otherwise");
}

/// Variables that are read somewhere, ours and the standard ones.
const VARIABLES: [&str; 49] = [
    "OTEL_SDK_DISABLED",
    "OTEL_RESOURCE_ATTRIBUTES",
    "OTEL_SERVICE_NAME",
    "OTEL_PROPAGATORS",
    "OTEL_TRACES_SAMPLER",
    "OTEL_TRACES_SAMPLER_ARG",
    "OTEL_TRACES_EXPORTER",
    "OTEL_METRICS_EXPORTER",
    "OTEL_LOGS_EXPORTER",
    "OTEL_SEMCONV_STABILITY_OPT_IN",
    "OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN",
    "OTEL_BSP_SCHEDULE_DELAY",
    "OTEL_BSP_EXPORT_TIMEOUT",
    "OTEL_BSP_MAX_QUEUE_SIZE",
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
    "OTEL_BLRP_MAX_QUEUE_SIZE",
    "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE",
    "OTEL_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT",
    "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT",
    "OTEL_SPAN_EVENT_COUNT_LIMIT",
    "OTEL_SPAN_LINK_COUNT_LIMIT",
    "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
    "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT",
    "OTEL_EXPORTER_OTLP_PROTOCOL",
    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
    "OTEL_EXPORTER_OTLP_HEADERS",
    "OTEL_EXPORTER_OTLP_LOGS_HEADERS",
    "OTEL_EXPORTER_OTLP_TIMEOUT",
    "OTEL_EXPORTER_OTLP_METRICS_TIMEOUT",
    "OTEL_METRIC_EXPORT_INTERVAL",
    "OTEL_METRIC_EXPORT_TIMEOUT",
    "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",
    "OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS",
    "POUNCE_OTEL_ENDPOINT",
    "POUNCE_OTEL_SAMPLE",
    "POUNCE_OTEL_SAMPLE_ROUTE",
    "POUNCE_OTEL_KEEP_SLOW",
    "POUNCE_OTEL_HEADERS",
    "POUNCE_OTEL_TRUST_PARENT",
    "POUNCE_OTEL_PROPAGATE_TO",
    "POUNCE_ALLOW_OUTBOUND",
];

/// The environment as a whole: it is read, within the limits, or every mistake in it has a hint. Each line of the input
/// is the value of the next of the variables, or of the one whose number stands before a space.
pub fn variables(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let mut next = 0;
    let mut vars = Vec::new();
    for line in text.split('\n') {
        let numbered = line.split_once(' ').and_then(|(at, value)| Some((at.parse::<usize>().ok()?, value)));
        let (at, value) = numbered.unwrap_or((next, line));
        next = at % VARIABLES.len() + 1;
        vars.push((VARIABLES[at % VARIABLES.len()], value));
    }
    match load(Sources { vars: vars.into_iter().collect(), ..Sources::default() }) {
        Ok(loaded) => {
            let otel = loaded.config.otel;
            for batch in [&otel.batch, &otel.logs.batch] {
                assert!(batch.max_queue_size > 0 && !batch.schedule_delay.is_zero(), "{batch:?}");
                assert!((1..=batch.max_queue_size).contains(&batch.max_export_batch_size), "{batch:?}");
            }
            let limits = &otel.limits;
            let counts = [limits.span_attributes, limits.events, limits.links, limits.event_attributes];
            let counts = counts.into_iter().chain([limits.link_attributes, limits.log_attributes]);
            assert!(counts.into_iter().all(|count| count <= super::Limits::MOST), "{limits:?}");
            let lengths = [limits.span_value_length, limits.log_value_length];
            assert!(
                lengths.into_iter().flatten().all(|length| length <= super::Limits::LONGEST),
                "{limits:?}"
            );
        }
        Err(mistakes) => {
            assert!(mistakes.iter().count() > 0);
            for mistake in mistakes.iter() {
                assert!(!mistake.to_string().is_empty() && !mistake.hint.is_empty(), "{mistake:?}");
            }
        }
    }
}
