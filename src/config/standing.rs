//! What of the settings only standard variables set, as the log and `pounce check` show it: these have no option, so
//! they go by the name of their variable.
//!
//! A variable that telemetry is told something by has an option in `options.rs`, or a row here; a test looks for both.

use http::{HeaderName, HeaderValue};

use super::limits::Limits;
use super::mistake::Mistake;
use super::options::all;
use super::otel::{Batch, Otel};
use super::otel_env;
use super::resolve::{INVALID, InForce, Source};
use super::signals::Destination;
use super::value::{Endpoint, Header, Protocol, Setting as _, Value, show_duration};
use super::vars::Vars;

/// One setting.
struct Row {
    /// The variables that set it, the strongest first; the setting goes by the first one's name.
    variables: &'static [&'static str],
    /// The option that says it where none of them does.
    or: Option<&'static str>,
    value: fn(&Otel) -> String,
    /// The variable that turns the whole signal off, if it does.
    off: fn(&Vars) -> Option<&'static str>,
}

const fn row(variables: &'static [&'static str], value: fn(&Otel) -> String) -> Row {
    Row { variables, or: None, value, off: |_| None }
}

const fn row_or(variables: &'static [&'static str], or: &'static str, value: fn(&Otel) -> String) -> Row {
    Row { or: Some(or), ..row(variables, value) }
}

const fn endpoint_or(
    variables: &'static [&'static str],
    off: fn(&Vars) -> Option<&'static str>,
    value: fn(&Otel) -> String,
) -> Row {
    Row { off, ..row_or(variables, "otel.endpoint", value) }
}

const TIMEOUT: &str = "OTEL_EXPORTER_OTLP_TIMEOUT";
const INSECURE: &str = "OTEL_EXPORTER_OTLP_INSECURE";

const ROWS: &[Row] = &[
    row(&["OTEL_RESOURCE_ATTRIBUTES"], |otel| {
        let pairs = otel.resource_attributes.iter().map(|(key, value)| format!("{key}={value}"));
        list(pairs.collect())
    }),
    row(&["OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS"], |otel| match &otel.known_methods {
        Some(methods) => methods.join(", "),
        None => "those of the conventions".to_owned(),
    }),
    row(&["OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN"], |otel| otel.exceptions.to_string()),
    row(&["OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", TIMEOUT], |otel| otel.timeout.to_string()),
    row(&["OTEL_EXPORTER_OTLP_TRACES_INSECURE", INSECURE], |otel| otel.transport.insecure.to_string()),
    row(&["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"], |otel| proxy(&otel.proxies.http)),
    row(&["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"], |otel| proxy(&otel.proxies.https)),
    row(&["NO_PROXY", "no_proxy"], |otel| {
        list(Some(otel.proxies.no.clone()).filter(|no| !no.is_empty()).into_iter().collect())
    }),
    row(&["OTEL_BSP_SCHEDULE_DELAY"], |otel| delay(&otel.batch)),
    row(&["OTEL_BSP_MAX_QUEUE_SIZE"], |otel| otel.batch.max_queue_size.to_string()),
    row(&["OTEL_BSP_MAX_EXPORT_BATCH_SIZE"], |otel| otel.batch.max_export_batch_size.to_string()),
    row(&["OTEL_BSP_EXPORT_TIMEOUT"], |otel| otel.batch.export_timeout.to_string()),
    row(&["OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "OTEL_ATTRIBUTE_COUNT_LIMIT"], |otel| {
        otel.limits.span_attributes.to_string()
    }),
    row(&["OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT"], |otel| {
        length(otel.limits.span_value_length)
    }),
    row(&["OTEL_SPAN_EVENT_COUNT_LIMIT"], |otel| otel.limits.events.to_string()),
    row(&["OTEL_SPAN_LINK_COUNT_LIMIT"], |otel| otel.limits.links.to_string()),
    row(&["OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", "OTEL_ATTRIBUTE_COUNT_LIMIT"], |otel| {
        otel.limits.event_attributes.to_string()
    }),
    row(&["OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", "OTEL_ATTRIBUTE_COUNT_LIMIT"], |otel| {
        otel.limits.link_attributes.to_string()
    }),
    row(&["OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT", "OTEL_ATTRIBUTE_COUNT_LIMIT"], |otel| {
        otel.limits.log_attributes.to_string()
    }),
    row(&["OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT", "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT"], |otel| {
        length(otel.limits.log_value_length)
    }),
    row(&["OTEL_METRICS_EXPORTER"], |otel| exporter(&otel.metrics.to)),
    endpoint_or(&["OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"], otel_env::metrics_off, |otel| {
        endpoint(otel, &otel.metrics.to, Endpoint::METRICS)
    }),
    row_or(&["OTEL_EXPORTER_OTLP_METRICS_HEADERS"], "otel.headers", |otel| headers(otel, &otel.metrics.to)),
    row_or(&["OTEL_EXPORTER_OTLP_METRICS_PROTOCOL"], "otel.protocol", |otel| {
        otel.transport_of(&otel.metrics.to).protocol.to_string()
    }),
    row_or(&["OTEL_EXPORTER_OTLP_METRICS_COMPRESSION"], "otel.compression", |otel| {
        otel.transport_of(&otel.metrics.to).compression.to_string()
    }),
    row_or(&["OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE"], "otel.certificate", |otel| {
        otel.transport_of(&otel.metrics.to).certificate.show_all()
    }),
    row_or(&["OTEL_EXPORTER_OTLP_METRICS_CLIENT_CERTIFICATE"], "otel.client-certificate", |otel| {
        otel.transport_of(&otel.metrics.to).client_certificate.show_all()
    }),
    row_or(&["OTEL_EXPORTER_OTLP_METRICS_CLIENT_KEY"], "otel.client-key", |otel| {
        otel.transport_of(&otel.metrics.to).client_key.show_all()
    }),
    row(&["OTEL_EXPORTER_OTLP_METRICS_INSECURE", INSECURE], |otel| {
        otel.transport_of(&otel.metrics.to).insecure.to_string()
    }),
    row(&["OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", TIMEOUT], |otel| otel.metrics.to.timeout.to_string()),
    row(&["OTEL_METRIC_EXPORT_INTERVAL"], |otel| show_duration(otel.metrics.interval)),
    row(&["OTEL_METRIC_EXPORT_TIMEOUT"], |otel| otel.metrics.export_timeout.to_string()),
    row(&["OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"], |otel| otel.metrics.temporality.to_string()),
    row(&["OTEL_METRICS_EXEMPLAR_FILTER"], |otel| otel.metrics.exemplars.to_string()),
    row(&["OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION"], |otel| {
        otel.metrics.histograms.to_string()
    }),
    row(&["OTEL_LOGS_EXPORTER"], |otel| exporter(&otel.logs.to)),
    endpoint_or(&["OTEL_EXPORTER_OTLP_LOGS_ENDPOINT"], otel_env::logs_off, |otel| {
        endpoint(otel, &otel.logs.to, Endpoint::LOGS)
    }),
    row_or(&["OTEL_EXPORTER_OTLP_LOGS_HEADERS"], "otel.headers", |otel| headers(otel, &otel.logs.to)),
    row_or(&["OTEL_EXPORTER_OTLP_LOGS_PROTOCOL"], "otel.protocol", |otel| {
        otel.transport_of(&otel.logs.to).protocol.to_string()
    }),
    row_or(&["OTEL_EXPORTER_OTLP_LOGS_COMPRESSION"], "otel.compression", |otel| {
        otel.transport_of(&otel.logs.to).compression.to_string()
    }),
    row_or(&["OTEL_EXPORTER_OTLP_LOGS_CERTIFICATE"], "otel.certificate", |otel| {
        otel.transport_of(&otel.logs.to).certificate.show_all()
    }),
    row_or(&["OTEL_EXPORTER_OTLP_LOGS_CLIENT_CERTIFICATE"], "otel.client-certificate", |otel| {
        otel.transport_of(&otel.logs.to).client_certificate.show_all()
    }),
    row_or(&["OTEL_EXPORTER_OTLP_LOGS_CLIENT_KEY"], "otel.client-key", |otel| {
        otel.transport_of(&otel.logs.to).client_key.show_all()
    }),
    row(&["OTEL_EXPORTER_OTLP_LOGS_INSECURE", INSECURE], |otel| {
        otel.transport_of(&otel.logs.to).insecure.to_string()
    }),
    row(&["OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", TIMEOUT], |otel| otel.logs.to.timeout.to_string()),
    row(&["OTEL_BLRP_SCHEDULE_DELAY"], |otel| delay(&otel.logs.batch)),
    row(&["OTEL_BLRP_MAX_QUEUE_SIZE"], |otel| otel.logs.batch.max_queue_size.to_string()),
    row(&["OTEL_BLRP_MAX_EXPORT_BATCH_SIZE"], |otel| otel.logs.batch.max_export_batch_size.to_string()),
    row(&["OTEL_BLRP_EXPORT_TIMEOUT"], |otel| otel.logs.batch.export_timeout.to_string()),
];

/// Puts the settings behind those of the options of `[otel]`.
pub(super) fn add(
    in_force: &mut Vec<InForce>,
    otel: &Otel,
    vars: &Vars,
    warnings: &[String],
    mistakes: &[Mistake],
) {
    let shown = |row: &Row| {
        let mut value = (row.value)(otel);
        let off = || if otel.disabled { Some(otel_env::DISABLED) } else { (row.off)(vars) };
        // Switched off as a whole, wherever it would go.
        let off = (row.or == Some("otel.endpoint") && value == "none").then(off).flatten();
        let source = match off.or_else(|| row.set_by(&value, vars, warnings)) {
            Some(variable) => Source::Variable(variable.to_owned()),
            None => row.or.map_or(Source::Default, |key| source_of(in_force, key, vars)),
        };
        match &source {
            Source::Variable(name) if mistakes.iter().any(|mistake| mistake.place == *name) => {
                value = INVALID.to_owned();
            }
            // The option's own words for what nobody set.
            Source::Default if value == "none" => {
                let option = all().find(|option| Some(option.key().as_str()) == row.or);
                value = option.map_or(value, |option| option.default.to_owned());
            }
            _ => {}
        }
        InForce { section: "otel", key: row.variables[0].to_owned(), value, source }
    };
    let rows: Vec<InForce> = ROWS.iter().map(shown).collect();
    let at = in_force.iter().rposition(|one| one.section == "otel").map_or(in_force.len(), |at| at + 1);
    in_force.splice(at..at, rows);
}

/// The variables that set what has no option, each once, for the help.
pub(crate) fn variables() -> Vec<&'static str> {
    let mut names: Vec<&str> = Vec::new();
    for name in ROWS.iter().flat_map(|row| row.variables) {
        if !names.contains(name) {
            names.push(name);
        }
    }
    names
}

impl Row {
    /// The variable from which `value` is.
    fn set_by(&self, value: &str, vars: &Vars, warnings: &[String]) -> Option<&'static str> {
        let mut set = self.variables.iter().copied().filter(|variable| vars.set(variable).is_some());
        let is_sound = |variable: &&str| !warnings.iter().any(|warning| is_about(warning, variable));
        let key = self.variables[0];
        if key.ends_with("_HEADERS") {
            // Of a list entries are ignored, but never the variable: it stands in place of others even without any.
            return set.next();
        }
        if key.ends_with("_INSECURE") {
            return set.next().filter(is_sound);
        }
        // One that is warned about was not ignored where it made a difference: of a list, only an entry was wrong.
        let first = set.clone().next();
        let made_a_difference = || first.filter(|_| value != (self.value)(&Otel::default()));
        set.find(is_sound).or_else(made_a_difference)
    }
}

/// Warnings begin with the variable that they are about.
fn is_about(warning: &str, variable: &str) -> bool {
    warning.strip_prefix(variable).is_some_and(|rest| rest.starts_with(':'))
}

/// Who set an option, for the other signals: what a variable of traces alone says is not said of them.
fn source_of(in_force: &[InForce], key: &str, vars: &Vars) -> Source {
    match in_force.iter().find(|one| one.key == key).map(|one| &one.source) {
        Some(Source::Variable(name)) if name.contains("_TRACES_") => {
            let of_all = name.replace("_TRACES_", "_");
            if vars.set(&of_all).is_some() { Source::Variable(of_all) } else { Source::Default }
        }
        Some(source) => source.clone(),
        None => Source::Default,
    }
}

fn list(entries: Vec<String>) -> String {
    if entries.is_empty() { "none".to_owned() } else { entries.join(", ") }
}

/// Of what is not limited in characters, bytes are.
fn length(limit: Option<usize>) -> String {
    limit.map_or_else(|| format!("{} bytes", Limits::LONGEST), |limit| limit.to_string())
}

fn delay(batch: &Batch) -> String {
    show_duration(batch.schedule_delay)
}

fn exporter(to: &Destination) -> String {
    if to.enabled { "otlp" } else { "none" }.to_owned()
}

fn endpoint(otel: &Otel, to: &Destination, path: &str) -> String {
    let found = otel.endpoint_of(to, path);
    // Of all signals, and a mistake.
    if found.as_ref().is_some_and(Endpoint::is_bare) {
        return INVALID.to_owned();
    }
    let shown = found.as_ref().map_or_else(|| "none".to_owned(), Value::show);
    // A call of gRPC has a path of its own, in place of the one that was appended for traces.
    match otel.transport_of(to).protocol {
        Protocol::Grpc => shown.strip_suffix("/v1/traces").unwrap_or(&shown).to_owned(),
        Protocol::HttpProtobuf | Protocol::HttpJson => shown,
    }
}

/// It may have a password.
fn proxy(proxy: &str) -> String {
    if proxy.is_empty() { "none".to_owned() } else { Endpoint::quote(proxy).trim_matches('`').to_owned() }
}

fn headers(otel: &Otel, to: &Destination) -> String {
    let pairs: &[(HeaderName, HeaderValue)] = to.headers.as_ref().unwrap_or(&otel.headers);
    if pairs.is_empty() { "none".to_owned() } else { Header(pairs.to_vec()).show() }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::{Loaded, Sources, all_options, resolve};
    use super::*;

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
        for row in ROWS.iter().filter(|row| is_judged(row.variables[0])) {
            let key = row.variables[0];
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
        says(
            &[("OTEL_BSP_SCHEDULE_DELAY", "5000")],
            "OTEL_BSP_SCHEDULE_DELAY",
            "5s",
            "OTEL_BSP_SCHEDULE_DELAY",
        );
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
        let mut known: BTreeSet<&str> = ROWS.iter().flat_map(|row| row.variables).copied().collect();
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
            // One of the names that each signal has.
            for rest in text.split("$signal, \"").skip(1).filter_map(|rest| rest.split('"').next()) {
                for signal in ["", "TRACES_", "METRICS_", "LOGS_"] {
                    let name = format!("OTEL_EXPORTER_OTLP_{signal}{rest}");
                    assert!(known.contains(name.as_str()), "{name} has no option and no row in standing.rs");
                }
            }
            for name in text.split('"').filter(is_name) {
                let names = known.iter().any(|known| {
                    *known == name || known.starts_with(&format!("{}_", name.trim_end_matches('_')))
                });
                assert!(names, "{}: {name} has no option and no row in standing.rs", entry.display());
            }
        }
    }

    /// Warned about, and nothing else.
    const NOT_IN_FORCE: [&str; 3] = ["OTEL_CONFIG_FILE", "OTEL_ENTITIES", "OTEL_LOG_LEVEL"];
}
