//! The variables that say how OTLP is sent: `OTEL_EXPORTER_OTLP_PROTOCOL`, `_COMPRESSION`, `_CERTIFICATE`,
//! `_CLIENT_CERTIFICATE`, `_CLIENT_KEY` and `_INSECURE`, and the same of each signal.

use std::path::Path;

use super::{first_set, warn, word};
use crate::config::Invalid;
use crate::config::declared::{Flawed, Standard};
use crate::config::transport::Transport;
use crate::config::value::{Certificates, Compression, Place, PrivateKey, Protocol, Value};
use crate::config::vars::Vars;

/// The variables of one signal, or of all.
pub(super) struct Names {
    protocol: &'static str,
    compression: &'static str,
    certificate: &'static str,
    client_certificate: &'static str,
    client_key: &'static str,
    insecure: &'static str,
}

macro_rules! names {
    ($signal:literal) => {
        Names {
            protocol: concat!("OTEL_EXPORTER_OTLP_", $signal, "PROTOCOL"),
            compression: concat!("OTEL_EXPORTER_OTLP_", $signal, "COMPRESSION"),
            certificate: concat!("OTEL_EXPORTER_OTLP_", $signal, "CERTIFICATE"),
            client_certificate: concat!("OTEL_EXPORTER_OTLP_", $signal, "CLIENT_CERTIFICATE"),
            client_key: concat!("OTEL_EXPORTER_OTLP_", $signal, "CLIENT_KEY"),
            insecure: concat!("OTEL_EXPORTER_OTLP_", $signal, "INSECURE"),
        }
    };
}

const ALL: Names = names!("");
const TRACES: Names = names!("TRACES_");
pub(super) const METRICS: Names = names!("METRICS_");
pub(super) const LOGS: Names = names!("LOGS_");

/// Which of the settings in force are of traces alone, and don't count for other signals.
#[derive(Clone, Copy, Default)]
pub(crate) struct TransportOfTraces {
    protocol: bool,
    compression: bool,
    certificate: bool,
    client_certificate: bool,
    client_key: bool,
}

impl TransportOfTraces {
    /// `set_by` knows whether an option was set by a variable.
    pub(crate) fn find(set_by: impl Fn(&str, &str) -> bool) -> Self {
        Self {
            protocol: set_by("otel.protocol", TRACES.protocol),
            compression: set_by("otel.compression", TRACES.compression),
            certificate: set_by("otel.certificate", TRACES.certificate),
            client_certificate: set_by("otel.client-certificate", TRACES.client_certificate),
            client_key: set_by("otel.client-key", TRACES.client_key),
        }
    }
}

/// In which form spans are sent.
pub(crate) fn protocol(vars: &Vars, warnings: &mut Vec<String>) -> Standard<Protocol> {
    Ok(word(vars, warnings, [TRACES.protocol, ALL.protocol]))
}

/// How requests with spans are compressed.
pub(crate) fn compression(vars: &Vars, warnings: &mut Vec<String>) -> Standard<Compression> {
    Ok(word(vars, warnings, [TRACES.compression, ALL.compression]))
}

/// Who vouches for the endpoint of spans.
pub(crate) fn certificate(vars: &Vars, _: &mut Vec<String>) -> Standard<Option<Certificates>> {
    file(vars, [TRACES.certificate, ALL.certificate])
}

/// Who we are to the endpoint of spans.
pub(crate) fn client_certificate(vars: &Vars, _: &mut Vec<String>) -> Standard<Option<Certificates>> {
    file(vars, [TRACES.client_certificate, ALL.client_certificate])
}

/// The key that goes with that.
pub(crate) fn client_key(vars: &Vars, _: &mut Vec<String>) -> Standard<Option<PrivateKey>> {
    file(vars, [TRACES.client_key, ALL.client_key])
}

/// Whether an endpoint of spans without a scheme is one without TLS.
pub(crate) fn insecure(vars: &Vars, warnings: &mut Vec<String>) -> bool {
    is_insecure(&TRACES, vars, warnings)
}

/// The same of the signal whose variables these are. The first that is set counts, whatever it says: a word that is not
/// known must not let another variable turn TLS off.
fn is_insecure(names: &Names, vars: &Vars, warnings: &mut Vec<String>) -> bool {
    let Some((variable, text)) = first_set(vars, [names.insecure, ALL.insecure]) else {
        return false;
    };
    match text.trim().to_ascii_lowercase().as_str() {
        "true" => true,
        "false" => false,
        other => {
            warn(warnings, format!("{variable}: `{other}` is neither true nor false, and counts as false"));
            false
        }
    }
}

/// How another signal is sent; none where as `traces` are.
pub(super) fn of_signal(
    names: &Names,
    traces: &Transport,
    traces_only: TransportOfTraces,
    vars: &Vars,
    warnings: &mut Vec<String>,
    flawed: &mut Vec<Flawed>,
) -> Option<Transport> {
    let mut own = Transport { insecure: is_insecure(names, vars, warnings), ..traces.clone() };
    if let Some(variables) = read_from(vars, names.protocol, ALL.protocol, traces_only.protocol) {
        let found = word(vars, warnings, variables);
        own.protocol = found.map_or(Transport::default().protocol, |(protocol, _)| protocol);
    }
    if let Some(variables) = read_from(vars, names.compression, ALL.compression, traces_only.compression) {
        let found = word(vars, warnings, variables);
        own.compression = found.map_or(Transport::default().compression, |(compression, _)| compression);
    }
    if let Some(variables) = read_from(vars, names.certificate, ALL.certificate, traces_only.certificate) {
        own.certificate = or_flawed(file(vars, variables), flawed);
    }
    let client = (names.client_certificate, ALL.client_certificate);
    if let Some(variables) = read_from(vars, client.0, client.1, traces_only.client_certificate) {
        own.client_certificate = or_flawed(file(vars, variables), flawed);
    }
    if let Some(variables) = read_from(vars, names.client_key, ALL.client_key, traces_only.client_key) {
        own.client_key = or_flawed(file(vars, variables), flawed);
    }
    if own == *traces {
        return None;
    }
    if let Some((key, what, hint)) = own.flaw().filter(|_| flawed.is_empty()) {
        let variable = if key == "otel.client-key" { names.client_key } else { names.client_certificate };
        flawed.push(Flawed { variable, quoted: String::new(), flaw: Invalid::new(what, hint) });
    }
    Some(own)
}

/// The variables that count for a signal, when they are others than those for traces.
fn read_from(
    vars: &Vars,
    own: &'static str,
    all: &'static str,
    traces_only: bool,
) -> Option<[&'static str; 2]> {
    (vars.set(own).is_some() || traces_only).then_some([own, all])
}

fn or_flawed<T>(found: Standard<Option<T>>, flawed: &mut Vec<Flawed>) -> Option<T> {
    match found {
        Ok(found) => found.and_then(|(value, _)| value),
        Err(flaw) => {
            flawed.push(flaw);
            None
        }
    }
}

/// The file that the first variable names. One that does not read must not be ignored: nobody would be trusted, or by
/// nobody.
fn file<T: Value, const N: usize>(vars: &Vars, variables: [&'static str; N]) -> Standard<Option<T>> {
    let Some((variable, text)) = first_set(vars, variables) else {
        return Ok(None);
    };
    match T::read(text, &Place { base: Path::new(""), vars }) {
        Ok(value) => Ok(Some((Some(value), variable))),
        Err(flaw) => Err(Flawed { variable, quoted: T::quote(text), flaw }),
    }
}

#[cfg(test)]
mod tests;
