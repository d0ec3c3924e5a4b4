//! The variables of metrics and logs: `OTEL_EXPORTER_OTLP_METRICS_*`, `OTEL_METRIC_*`, `OTEL_BLRP_*` and the like.
//!
//! What a variable of traces alone says is not said of the other signals: neither where they go, nor with which key.

use std::time::Duration;

use http::uri::Scheme;
use http::{HeaderName, HeaderValue};

use super::numbers::{batch_of, number, timeout};
use super::transport::{self, TransportOfTraces};
use super::{header_list, warn, word};
use crate::config::declared::Flawed;
use crate::config::otel::Otel;
use crate::config::signals::{Destination, LogsExport, MetricsExport};
use crate::config::value::{Endpoint, Protocol, Value};
use crate::config::vars::Vars;

/// The variables of one signal.
struct Names {
    exporter: &'static str,
    endpoint: &'static str,
    headers: &'static str,
    timeout: &'static str,
    transport: transport::Names,
    /// The last part of the path below an endpoint of all signals.
    path: &'static str,
    plural: &'static str,
    /// Whether it can be scraped instead.
    is_scraped: bool,
}

const METRICS: Names = Names {
    exporter: "OTEL_METRICS_EXPORTER",
    endpoint: "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
    headers: "OTEL_EXPORTER_OTLP_METRICS_HEADERS",
    timeout: "OTEL_EXPORTER_OTLP_METRICS_TIMEOUT",
    transport: transport::METRICS,
    path: Endpoint::METRICS,
    plural: "metrics",
    is_scraped: true,
};

const LOGS: Names = Names {
    exporter: "OTEL_LOGS_EXPORTER",
    endpoint: "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT",
    headers: "OTEL_EXPORTER_OTLP_LOGS_HEADERS",
    timeout: "OTEL_EXPORTER_OTLP_LOGS_TIMEOUT",
    transport: transport::LOGS,
    path: Endpoint::LOGS,
    plural: "log records",
    is_scraped: false,
};

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const HEADERS: &str = "OTEL_EXPORTER_OTLP_HEADERS";
const TIMEOUT: &str = "OTEL_EXPORTER_OTLP_TIMEOUT";

/// Who said where traces go, and with which headers: the variables of traces alone do not count for other signals.
#[derive(Clone, Copy, Default)]
pub(crate) struct OfTracesOnly {
    pub(crate) endpoint: bool,
    pub(crate) headers: bool,
    pub(crate) transport: TransportOfTraces,
}

/// What is said of metrics and logs; `otel` is what is said of traces.
pub(crate) fn signals(
    otel: &Otel,
    traces_only: OfTracesOnly,
    vars: &Vars,
    warnings: &mut Vec<String>,
    flawed: &mut Vec<Flawed>,
) -> (MetricsExport, LogsExport) {
    let default = MetricsExport::default();
    let to = destination(&METRICS, otel, traces_only, vars, warnings, flawed);
    let interval = match number(vars, warnings, ["OTEL_METRIC_EXPORT_INTERVAL"]) {
        Some((variable, 0)) => {
            warn(warnings, format!("{variable}: 0 would export all the time, and is ignored"));
            default.interval
        }
        interval => interval.map_or(default.interval, |(_, ms)| Duration::from_millis(ms)),
    };
    let metrics = MetricsExport {
        to,
        interval,
        export_timeout: timeout(vars, warnings, ["OTEL_METRIC_EXPORT_TIMEOUT"], Duration::from_secs(30)),
        temporality: word(vars, warnings, ["OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"])
            .map_or(default.temporality, |(temporality, _)| temporality),
        exemplars: word(vars, warnings, ["OTEL_METRICS_EXEMPLAR_FILTER"])
            .map_or(default.exemplars, |(exemplars, _)| exemplars),
        histograms: word(vars, warnings, ["OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION"])
            .map_or(default.histograms, |(histograms, _)| histograms),
    };
    let to = destination(&LOGS, otel, traces_only, vars, warnings, flawed);
    let batch = batch_of("OTEL_BLRP", LogsExport::default().batch, vars, warnings);
    (metrics, LogsExport { to, batch })
}

fn destination(
    names: &Names,
    otel: &Otel,
    traces_only: OfTracesOnly,
    vars: &Vars,
    warnings: &mut Vec<String>,
    flawed: &mut Vec<Flawed>,
) -> Destination {
    let mut to = Destination {
        enabled: enabled(names, vars, warnings),
        endpoint: None,
        headers: headers(names, traces_only, vars, warnings),
        transport: None,
        timeout: timeout(vars, warnings, [names.timeout, TIMEOUT], Duration::from_secs(10)),
    };
    if !otel.disabled && to.enabled {
        let of_traces = traces_only.transport;
        to.transport =
            transport::of_signal(&names.transport, &otel.transport, of_traces, vars, warnings, flawed);
        let transport = otel.transport_of(&to);
        let (is_grpc, insecure) = (transport.protocol == Protocol::Grpc, transport.insecure);
        let settled = |endpoint: Endpoint| match endpoint.is_bare() {
            false => Ok(endpoint),
            true if !is_grpc => Err(Endpoint::no_scheme()),
            true => Ok(endpoint.with_scheme(if insecure { Scheme::HTTP } else { Scheme::HTTPS })),
        };
        if let Some(text) = vars.set(names.endpoint) {
            match Endpoint::of_one_signal(text).and_then(settled) {
                Ok(endpoint) => to.endpoint = Some(endpoint),
                Err(flaw) => {
                    flawed.push(Flawed { variable: names.endpoint, quoted: Endpoint::quote(text), flaw });
                }
            }
        } else if traces_only.endpoint {
            if let Some(text) = vars.set(ENDPOINT) {
                match text.parse::<Endpoint>().and_then(settled) {
                    Ok(endpoint) => to.endpoint = endpoint.of_signal(names.path),
                    // Of no account for traces, and so not judged before; said once for both of the others.
                    Err(flaw) if flawed.iter().all(|one| one.variable != ENDPOINT) => {
                        flawed.push(Flawed { variable: ENDPOINT, quoted: Endpoint::quote(text), flaw });
                    }
                    Err(_) => {}
                }
            }
            to.enabled = to.endpoint.is_some();
        }
        let unread = vars.set(names.endpoint).is_some();
        if !unread && otel.endpoint_of(&to, names.path).is_none() {
            warn_of_no_endpoint(names, otel, vars, warnings);
        }
    }
    to
}

fn enabled(names: &Names, vars: &Vars, warnings: &mut Vec<String>) -> bool {
    let mut words = Vec::new();
    for word in vars.set(names.exporter).unwrap_or_default().split(',').map(str::trim) {
        match word.to_ascii_lowercase().as_str() {
            "" => {}
            word @ ("otlp" | "none") => words.push(word == "otlp"),
            // Who scrapes them is served by the admin listener.
            "prometheus" if names.is_scraped => words.push(false),
            _ => {
                let Names { exporter, plural, .. } = names;
                let hint = format!("Pounce sends {plural} as otlp, or to none");
                warn(warnings, format!("{exporter}: `{word}` is not supported, and is ignored ({hint})"));
            }
        }
    }
    words.is_empty() || words.contains(&true)
}

/// The variable that turns metrics off, if it does.
pub(crate) fn metrics_off(vars: &Vars) -> Option<&'static str> {
    (!enabled(&METRICS, vars, &mut Vec::new())).then_some(METRICS.exporter)
}

/// The same of log records.
pub(crate) fn logs_off(vars: &Vars) -> Option<&'static str> {
    (!enabled(&LOGS, vars, &mut Vec::new())).then_some(LOGS.exporter)
}

/// The signal's own headers, or those of all signals where those in force are of traces alone.
fn headers(
    names: &Names,
    traces_only: OfTracesOnly,
    vars: &Vars,
    warnings: &mut Vec<String>,
) -> Option<Vec<(HeaderName, HeaderValue)>> {
    let found = match vars.set(names.headers) {
        Some(text) => Some((names.headers, text)),
        None if traces_only.headers => Some((HEADERS, vars.set(HEADERS).unwrap_or_default())),
        None => None,
    };
    let (variable, text) = found?;
    Some(header_list(variable, text, warnings))
}

/// Somebody who names a signal's exporter wants it sent.
fn warn_of_no_endpoint(names: &Names, otel: &Otel, vars: &Vars, warnings: &mut Vec<String>) {
    if vars.set(names.exporter).is_some_and(|text| text.trim().eq_ignore_ascii_case("otlp")) {
        let Names { exporter, endpoint, plural, .. } = names;
        let why = match otel.endpoint {
            Some(_) => "the endpoint is of traces alone",
            None => "there is no endpoint",
        };
        let hint = format!("set OTEL_EXPORTER_OTLP_ENDPOINT or {endpoint}");
        warn(warnings, format!("{exporter} is otlp, but no {plural} are sent: {why} ({hint})"));
    }
}
