//! Each standard variable is shown, with what is in force and who said so.

use std::collections::BTreeSet;

use crate::config::resolve::INVALID;
use crate::config::{Loaded, Otel, Sources, all_options, resolve};

const TIMEOUT: &str = "OTEL_EXPORTER_OTLP_TIMEOUT";
const INSECURE: &str = "OTEL_EXPORTER_OTLP_INSECURE";

fn shown(vars: &[(&str, &str)], key: &str) -> (String, String) {
    let sources = Sources { vars: vars.iter().copied().collect(), ..Sources::default() };
    let Loaded { in_force, .. } = resolve(sources).loaded;
    let one = in_force.iter().find(|one| one.key == key).unwrap();
    (one.value.clone(), one.source.to_string())
}

fn says(vars: &[(&str, &str)], key: &str, value: &str, source: &str) {
    assert_eq!(shown(vars, key), (value.to_owned(), source.to_owned()), "{vars:?}");
}

const ON: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://x:4318");

#[test]
fn nonsense_is_never_the_source_of_a_value() {
    // Any text is a list of hosts, and any word a method.
    const ANYTHING: [&str; 2] = ["NO_PROXY", "OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS"];
    let is_judged = |key: &str| !ANYTHING.contains(&key) && !key.ends_with("_HEADERS");
    let sources = Sources { vars: [ON].into_iter().collect(), ..Sources::default() };
    let in_force = resolve(sources).loaded.in_force;
    let keys = in_force.iter().map(|one| one.key.as_str()).filter(|key| !key.contains('.'));
    for key in keys.filter(|key| is_judged(key)) {
        let default = shown(&[ON], key);
        for nonsense in ["%zz", "-1 of them"] {
            let (value, source) = shown(&[ON, (key, nonsense)], key);
            assert!(
                (value.clone(), source.clone()) == default || value == INVALID,
                "{key}: {value} from {source}"
            );
        }
    }
}

#[test]
fn each_value_says_which_variable_set_it() {
    says(&[("OTEL_BSP_SCHEDULE_DELAY", "5000")], "OTEL_BSP_SCHEDULE_DELAY", "5s", "OTEL_BSP_SCHEDULE_DELAY");
    says(&[], "OTEL_BSP_SCHEDULE_DELAY", "5s", "default");
    let key = "OTEL_EXPORTER_OTLP_LOGS_TIMEOUT";
    says(&[(TIMEOUT, "1000")], key, "1s", TIMEOUT);
    says(&[(TIMEOUT, "1000"), (key, "0")], key, "none", key);
    says(&[(TIMEOUT, "1000"), (key, "soon")], key, "1s", TIMEOUT);
    let (key, general) = ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "OTEL_ATTRIBUTE_COUNT_LIMIT");
    says(&[(key, "many"), (general, "7")], key, "7", general);
    says(&[(key, "8"), (general, "7")], key, "8", key);
    says(&[("OTEL_METRICS_EXPORTER", "none")], "OTEL_METRICS_EXPORTER", "none", "OTEL_METRICS_EXPORTER");
}

#[test]
fn other_signals_say_where_they_go_and_who_said_so() {
    let key = "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT";
    says(&[], key, "none", "default");
    says(&[ON], key, "http://x:4318/v1/metrics", "OTEL_EXPORTER_OTLP_ENDPOINT");
    says(&[ON, (key, "http://m/p?key=s3cret")], key, "http://m/p?…", key);
    says(&[ON, (key, "m:1")], key, INVALID, key);
    let traces = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://t/v1/traces");
    says(&[traces], key, "none", "default");
    says(&[traces, ON], key, "http://x:4318/v1/metrics", "OTEL_EXPORTER_OTLP_ENDPOINT");
    says(&[(key, "http://m/p")], key, "http://m/p", key);
    says(&[(key, "http://m/p"), ("OTEL_SDK_DISABLED", "true")], key, "none", "OTEL_SDK_DISABLED");
}

#[test]
fn a_signal_that_is_off_says_who_turned_it_off() {
    let (key, exporter) = ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "OTEL_METRICS_EXPORTER");
    says(&[ON, (exporter, "none")], key, "none", exporter);
    says(&[ON, (exporter, "none"), (key, "http://m/p")], key, "none", exporter);
    says(&[ON, (exporter, "otlp")], key, "http://x:4318/v1/metrics", ON.0);
    says(&[(exporter, "otlp")], key, "none", "default");
    let key = "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT";
    says(&[ON, (exporter, "none")], key, "http://x:4318/v1/logs", ON.0);
    says(&[ON, ("OTEL_LOGS_EXPORTER", "none")], key, "none", "OTEL_LOGS_EXPORTER");
}

#[test]
fn an_endpoint_that_is_a_mistake_is_one_for_every_signal() {
    for key in ["METRICS", "LOGS"].map(|signal| format!("OTEL_EXPORTER_OTLP_{signal}_ENDPOINT")) {
        let bare = ("POUNCE_OTEL_ENDPOINT", "collector:4318");
        says(&[bare], &key, INVALID, bare.0);
        let grpc = ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
        says(&[bare, grpc], &key, "https://collector:4318", bare.0);
        says(&[bare, grpc, (INSECURE, "true")], &key, "http://collector:4318", bare.0);
    }
}

#[test]
fn whether_a_bare_endpoint_has_tls_is_shown_for_each_signal() {
    for signal in ["TRACES", "METRICS", "LOGS"] {
        let key = format!("OTEL_EXPORTER_OTLP_{signal}_INSECURE");
        says(&[ON], &key, "false", "default");
        says(&[ON, (INSECURE, "true")], &key, "true", INSECURE);
        says(&[ON, (INSECURE, "true"), (key.as_str(), "false")], &key, "false", &key);
        // What is no word for true must not let another one turn TLS off.
        says(&[ON, (INSECURE, "true"), (key.as_str(), "ja")], &key, "false", "default");
    }
}

#[test]
fn what_nobody_set_is_said_in_the_words_of_the_option() {
    for signal in ["METRICS", "LOGS"] {
        let key = |rest: &str| format!("OTEL_EXPORTER_OTLP_{signal}_{rest}");
        says(&[ON], &key("CERTIFICATE"), "those of the system", "default");
        says(&[ON], &key("CLIENT_CERTIFICATE"), "none", "default");
    }
    says(&[ON], "otel.certificate", "those of the system", "default");
}

#[test]
fn proxies_are_shown_without_their_passwords() {
    let proxy = ("HTTP_PROXY", "http://u:hunter2@p:3128");
    says(&[ON, proxy], "HTTP_PROXY", "http://…@p:3128", "HTTP_PROXY");
    says(&[ON, ("all_proxy", "p:1")], "HTTPS_PROXY", "p:1", "all_proxy");
    says(&[ON, ("NO_PROXY", "a,b")], "NO_PROXY", "a,b", "NO_PROXY");
}

#[test]
fn how_other_signals_are_sent_is_shown_too() {
    let key = "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL";
    says(&[ON, (key, "http/json")], key, "http/json", key);
    says(&[ON], key, "http/protobuf", "default");
    let of_all = ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json");
    says(&[ON, of_all], key, "http/json", "OTEL_EXPORTER_OTLP_PROTOCOL");
}

#[test]
fn of_headers_names_are_shown_and_one_bad_entry_spoils_nothing() {
    let key = "OTEL_EXPORTER_OTLP_METRICS_HEADERS";
    says(&[ON, (key, "s3cret,a=hunter2")], key, "a=…", key);
    let of_all = ("OTEL_EXPORTER_OTLP_HEADERS", "k=hunter2");
    says(&[ON, of_all], key, "k=…", of_all.0);
    // Nothing of it is a header, but those of all signals are not sent either.
    says(&[ON, of_all, (key, "hunter2")], key, "none", key);
    for variable in ["OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"] {
        says(&[ON, (variable, "hunter2")], "otel.headers", "none", variable);
    }
}

/// A variable that is read but shown nowhere would be in force in silence.
#[test]
fn every_variable_that_is_read_is_shown() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/config/otel_env");
    let mut known: BTreeSet<&str> = Otel::standard_variables().into_iter().collect();
    known.extend(all_options().flat_map(|option| option.standard));
    known.extend(NOT_IN_FORCE);
    for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() || entry.ends_with("tests.rs") {
            continue;
        }
        let text = std::fs::read_to_string(&entry).unwrap();
        let is_name = |text: &&str| {
            text.starts_with("OTEL_") && text.chars().all(|c| c.is_ascii_uppercase() || c == '_')
        };
        for name in text.split('"').filter(is_name) {
            let names = known.iter().any(|known| {
                *known == name || known.starts_with(&format!("{}_", name.trim_end_matches('_')))
            });
            assert!(names, "{}: {name} has no option, and nothing shows it", entry.display());
        }
    }
}

/// Warned about, and nothing else.
const NOT_IN_FORCE: [&str; 2] = ["OTEL_CONFIG_FILE", "OTEL_ENTITIES"];
