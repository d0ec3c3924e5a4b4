//! The variables of OTLP by signal and kind: `OTEL_EXPORTER_OTLP_LOGS_HEADERS` and the like.
//!
//! What a variable of traces alone says is not said of the other signals: neither where they go, nor with which key.

use std::time::Duration;

use http::uri::Scheme;
use pounce_otlp::Signal;

use super::reader::{Reader, file, timeout, word};
use super::{DISABLED, headers};
use crate::config::declared::{Flawed, Standard};
use crate::config::options::OtelOptions;
use crate::config::otel::{Destination, Otel, Transport};
use crate::config::resolve::{INVALID, Source, Sourced};
use crate::config::value::{Compression, Endpoint, Invalid, Protocol, Setting, Timeout, Value};

/// Declares what each signal may have of its own: the ending of its variables, and the option that says it for traces.
macro_rules! kinds {
    ($( $(#[$meta:meta])* $kind:ident = $ending:literal, $option:expr; )+) => {
        /// What each signal may have of its own.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Kind { $( $(#[$meta])* $kind, )+ }

        impl Kind {
            /// The variable for all signals.
            pub(crate) const fn of_all(self) -> &'static str {
                match self { $( Self::$kind => concat!("OTEL_EXPORTER_OTLP_", $ending), )+ }
            }

            /// The variable for one signal.
            pub(crate) const fn of(self, signal: Signal) -> &'static str {
                match (self, signal) { $(
                    (Self::$kind, Signal::Traces) => concat!("OTEL_EXPORTER_OTLP_TRACES_", $ending),
                    (Self::$kind, Signal::Metrics) => concat!("OTEL_EXPORTER_OTLP_METRICS_", $ending),
                    (Self::$kind, Signal::Logs) => concat!("OTEL_EXPORTER_OTLP_LOGS_", $ending),
                )+ }
            }

            /// The option that says it of traces.
            pub(crate) const fn option(self) -> Option<&'static str> {
                match self { $( Self::$kind => $option, )+ }
            }
        }
    };
}

kinds! {
    /// Where it goes.
    Endpoint = "ENDPOINT", Some("otel.endpoint");
    /// What is sent along.
    Headers = "HEADERS", Some("otel.headers");
    /// Form of OTLP.
    Protocol = "PROTOCOL", Some("otel.protocol");
    /// Compression of requests.
    Compression = "COMPRESSION", Some("otel.compression");
    /// Who vouches for the endpoint.
    Certificate = "CERTIFICATE", Some("otel.certificate");
    /// Who we are to the endpoint.
    ClientCertificate = "CLIENT_CERTIFICATE", Some("otel.client-certificate");
    /// The key that goes with that.
    ClientKey = "CLIENT_KEY", Some("otel.client-key");
    /// Whether an endpoint without a scheme is one without TLS.
    Insecure = "INSECURE", None;
    /// Time of one attempt.
    Timeout = "TIMEOUT", None;
}

/// What a signal other than traces has beside these.
struct Names {
    signal: Signal,
    exporter: &'static str,
    /// Its part of the path below an endpoint of all signals.
    path: &'static str,
    plural: &'static str,
    /// Whether it can be scraped instead.
    is_scraped: bool,
}

const METRICS: Names = Names {
    signal: Signal::Metrics,
    exporter: "OTEL_METRICS_EXPORTER",
    path: Endpoint::METRICS,
    plural: "metrics",
    is_scraped: true,
};

const LOGS: Names = Names {
    signal: Signal::Logs,
    exporter: "OTEL_LOGS_EXPORTER",
    path: Endpoint::LOGS,
    plural: "log records",
    is_scraped: false,
};

/// Where metrics go, and how.
pub(super) fn metrics(reader: &mut Reader<'_>, otel: &Otel, traces: &OtelOptions) -> Destination {
    destination(reader, &METRICS, otel, traces)
}

/// Where log records go, and how.
pub(super) fn logs(reader: &mut Reader<'_>, otel: &Otel, traces: &OtelOptions) -> Destination {
    destination(reader, &LOGS, otel, traces)
}

fn destination(reader: &mut Reader<'_>, names: &Names, otel: &Otel, traces: &OtelOptions) -> Destination {
    let signal = names.signal;
    let exporter =
        reader.setting(&[names.exporter], |reader, _, text| is_exported(reader, names, text), true);
    reader.tell(
        names.exporter,
        if exporter.value { "otlp" } else { "none" }.to_owned(),
        exporter.source.clone(),
    );
    let is_on = exporter.value && !otel.disabled;

    // It stands before those that decide what becomes of it.
    let at = reader.in_force.len();
    reader.knows(&[Kind::Endpoint.of(signal)]);
    let headers =
        own(reader, Own { kind: Kind::Headers, signal, is_read: true }, &traces.headers, headers, Vec::new());
    let transport = transport(reader, signal, otel, traces, is_on);
    let mut to = Destination {
        enabled: exporter.value,
        endpoint: None,
        headers: headers.map(|own| own.into_iter().flat_map(|header| header.0).collect()),
        transport: (transport != otel.transport).then_some(transport),
        timeout: time_limit(reader, signal),
    };
    let (value, source) = match (otel.disabled, exporter.value) {
        (true, _) => ("none".to_owned(), Source::by(DISABLED)),
        (false, false) => ("none".to_owned(), exporter.source),
        (false, true) => endpoint(reader, names, otel, traces, &mut to),
    };
    reader.tell(Kind::Endpoint.of(signal), value, source);
    let told = reader.in_force.pop();
    reader.in_force.splice(at..at, told);
    to
}

/// Finds the endpoint of a signal that is on; how it is shown, and who set it.
fn endpoint(
    reader: &mut Reader<'_>,
    names: &Names,
    otel: &Otel,
    traces: &OtelOptions,
    to: &mut Destination,
) -> (String, Source) {
    let (own, all) = (Kind::Endpoint.of(names.signal), Kind::Endpoint.of_all());
    let transport = otel.transport_of(to);
    let (is_grpc, insecure) = (transport.protocol == Protocol::Grpc, transport.insecure);
    let settled = |endpoint: Endpoint| match endpoint.is_bare() {
        false => Ok(endpoint),
        true if !is_grpc => Err(Endpoint::no_scheme()),
        true => Ok(endpoint.with_scheme(if insecure { Scheme::HTTP } else { Scheme::HTTPS })),
    };
    let show = |endpoint: Option<Endpoint>| match endpoint {
        Some(endpoint) if is_grpc => endpoint.show_for_grpc(),
        Some(endpoint) => endpoint.show(),
        None => "none".to_owned(),
    };
    if let Some(text) = reader.vars.set(own) {
        return match Endpoint::of_one_signal(text).and_then(settled) {
            Ok(endpoint) => {
                to.endpoint = Some(endpoint.clone());
                (show(Some(endpoint)), Source::by(own))
            }
            Err(flaw) => {
                reader.flawed.push(Flawed { variable: own, quoted: Endpoint::quote(text), flaw });
                (INVALID.to_owned(), Source::by(own))
            }
        };
    }
    let found = if traces.endpoint.source == Source::by(Kind::Endpoint.of(Signal::Traces)) {
        let found = reader.vars.set(all).map(|text| (text, text.parse::<Endpoint>().and_then(settled)));
        let found = match found {
            None => (show(None), Source::Default),
            Some((_, Ok(endpoint))) => {
                to.endpoint = endpoint.of_signal(names.path);
                (show(to.endpoint.clone()), Source::by(all))
            }
            Some((text, Err(flaw))) => {
                // Of no account for traces, and so not judged before; said once for both of the others.
                if reader.flawed.iter().all(|one| one.variable != all) {
                    reader.flawed.push(Flawed { variable: all, quoted: Endpoint::quote(text), flaw });
                }
                (INVALID.to_owned(), Source::by(all))
            }
        };
        to.enabled = to.endpoint.is_some();
        found
    } else {
        let found = otel.endpoint_of(to, names.path);
        let is_valid = traces.endpoint.is_valid && !found.as_ref().is_some_and(Endpoint::is_bare);
        (if is_valid { show(found) } else { INVALID.to_owned() }, traces.endpoint.source.clone())
    };
    if otel.endpoint_of(to, names.path).is_none() {
        warn_of_no_endpoint(reader, names, otel);
    }
    found
}

/// How another signal is sent; as traces are where nothing is said of it.
fn transport(
    reader: &mut Reader<'_>,
    signal: Signal,
    otel: &Otel,
    traces: &OtelOptions,
    is_on: bool,
) -> Transport {
    let mut found = otel.transport.clone();
    // Nothing is read for what goes nowhere.
    let of = |kind| Own { kind, signal, is_read: is_on };
    if let Some(own) = own(reader, of(Kind::Protocol), &traces.protocol, word, Protocol::default()) {
        found.protocol = own;
    }
    let none = Compression::default();
    if let Some(own) = own(reader, of(Kind::Compression), &traces.compression, word, none) {
        found.compression = own;
    }
    if let Some(own) = own(reader, of(Kind::Certificate), &traces.certificate, file, None) {
        found.certificate = own;
    }
    let client = &traces.client_certificate;
    if let Some(own) = own(reader, of(Kind::ClientCertificate), client, file, None) {
        found.client_certificate = own;
    }
    if let Some(own) = own(reader, of(Kind::ClientKey), &traces.client_key, file, None) {
        found.client_key = own;
    }
    let insecure = insecure(reader, signal, is_on);
    if is_on {
        found.insecure = insecure;
    }
    if found != otel.transport
        && reader.flawed.is_empty()
        && let Some((kind, what, hint)) = found.flaw()
    {
        let flaw = Invalid::new(what, hint);
        reader.flawed.push(Flawed { variable: kind.of(signal), quoted: String::new(), flaw });
    }
    found
}

/// What is asked for of a signal.
struct Own {
    kind: Kind,
    signal: Signal,
    /// Whether its own variable counts.
    is_read: bool,
}

/// What a signal other than traces has of its own: what its variable says, or that of all signals where the setting in
/// force is of traces alone. `None` where it has what traces have.
fn own<T: Setting>(
    reader: &mut Reader<'_>,
    Own { kind, signal, is_read }: Own,
    of_traces: &Sourced<T>,
    read: impl Fn(&mut Reader<'_>, &[&'static str]) -> Standard<T>,
    default: T,
) -> Option<T> {
    let (variable, of_all) = (kind.of(signal), kind.of_all());
    reader.knows(&[variable]);
    let option = OtelOptions::OPTIONS.iter().find(|option| Some(option.key().as_str()) == kind.option());
    let is_of_traces_alone = of_traces.source == Source::by(kind.of(Signal::Traces));
    if !is_read || (reader.vars.set(variable).is_none() && !is_of_traces_alone) {
        reader.tell(variable, of_traces.show(option), of_traces.source.clone());
        return None;
    }
    let found = match read(reader, &[of_all, variable]) {
        Ok(Some((value, variable))) => Sourced::by(value, variable),
        Ok(None) => Sourced::default_of(default),
        Err(flawed) => {
            let found = Sourced { is_valid: false, ..Sourced::by(default, flawed.variable) };
            reader.flawed.push(flawed);
            found
        }
    };
    reader.tell(variable, found.show(option), found.source.clone());
    Some(found.value)
}

/// Time that one attempt to export may take.
pub(super) fn time_limit(reader: &mut Reader<'_>, signal: Signal) -> Timeout {
    let variables = [Kind::Timeout.of(signal), Kind::Timeout.of_all()];
    let found = reader.setting(&variables, timeout, Timeout(Some(Duration::from_secs(10))));
    reader.tell(variables[0], found.value.to_string(), found.source);
    found.value
}

/// Whether an endpoint without a scheme is one without TLS. The first variable that is set counts, whatever it says: a
/// word that is not known must not let another variable turn TLS off.
pub(super) fn insecure(reader: &mut Reader<'_>, signal: Signal, is_read: bool) -> bool {
    let variables = [Kind::Insecure.of(signal), Kind::Insecure.of_all()];
    reader.knows(&variables);
    let mut found = Sourced::default_of(false);
    if let Some((variable, text)) = reader.first_set(&variables).filter(|_| is_read) {
        match text.trim().to_ascii_lowercase().as_str() {
            word @ ("true" | "false") => found = Sourced::by(word == "true", variable),
            other => {
                reader.warn(format!("{variable}: `{other}` is neither true nor false, and counts as false"));
            }
        }
    }
    reader.tell(variables[0], found.value.to_string(), found.source);
    found.value
}

/// Whether a list of exporters has one by which Pounce sends; `None` where it has none that is known.
fn is_exported(reader: &mut Reader<'_>, names: &Names, text: &str) -> Option<bool> {
    let mut words = Vec::new();
    for word in text.split(',').map(str::trim) {
        match word.to_ascii_lowercase().as_str() {
            "" => {}
            word @ ("otlp" | "none") => words.push(word == "otlp"),
            // Who scrapes them is served by the admin listener.
            "prometheus" if names.is_scraped => words.push(false),
            _ => {
                let Names { exporter, plural, .. } = names;
                let hint = format!("Pounce sends {plural} as otlp, or to none");
                reader.warn(format!("{exporter}: `{word}` is not supported, and is ignored ({hint})"));
            }
        }
    }
    (!words.is_empty()).then(|| words.contains(&true))
}

/// Warns where a signal's exporter is named and there is no endpoint: whoever names one wants it sent.
fn warn_of_no_endpoint(reader: &mut Reader<'_>, names: &Names, otel: &Otel) {
    let Names { signal, exporter, plural, .. } = names;
    if reader.vars.set(exporter).is_some_and(|text| text.trim().eq_ignore_ascii_case("otlp")) {
        let why = match otel.endpoint {
            Some(_) => "the endpoint is of traces alone",
            None => "there is no endpoint",
        };
        let hint = format!("set OTEL_EXPORTER_OTLP_ENDPOINT or {}", Kind::Endpoint.of(*signal));
        reader.warn(format!("{exporter} is otlp, but no {plural} are sent: {why} ({hint})"));
    }
}
