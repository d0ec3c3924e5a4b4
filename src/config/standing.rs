//! What of the settings only standard variables set, as the log and `pounce check` show it: these have no option, so
//! they go by the name of their variable.
//!
//! A variable that telemetry is told something by has an option in `options.rs`, or a row here; a test looks for both.

use http::{HeaderName, HeaderValue};

use super::mistake::Mistake;
use super::options::all;
use super::otel::{Batch, Otel};
use super::otel_env;
use super::resolve::{INVALID, InForce, Source};
use super::signals::Destination;
use super::value::{Endpoint, Header, Protocol, Setting as _, Value, show_duration};
use super::vars::Vars;
use pounce_telemetry::settings::Limits;

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
    row(&["OTEL_LOG_LEVEL"], |otel| match otel.log_level {
        Some(level) => level.to_string(),
        None => "that of log.level".to_owned(),
    }),
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
mod tests;
