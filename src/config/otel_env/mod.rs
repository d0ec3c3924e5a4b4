//! The standard `OTEL_*` variables, read as the specification says and as strictly as we can.
//!
//! Empty is unset, words are read in any case. A malformed endpoint or sampler argument is a mistake
//! (it would cost money or data); anything else malformed is warned about and ignored.

mod limits;
mod numbers;
mod proxies;
mod resource;
mod signals;
#[cfg(test)]
mod tests;
mod transport;

pub(crate) use limits::limits;
pub(crate) use numbers::{batch, export_timeout};
pub(crate) use proxies::proxies;
pub(crate) use resource::{SERVICE_NAME, resource_attributes, service_name};
pub(crate) use signals::{OfTracesOnly, logs_off, metrics_off, signals};
pub(crate) use transport::{
    TransportOfTraces, certificate, client_certificate, client_key, compression, insecure, protocol,
};

use std::path::Path;

use http::{HeaderName, HeaderValue};

use crate::config::declared::{Flawed, Standard};
use crate::config::otel::Otel;
use crate::config::suggest::nearest;
use crate::config::value::{
    Endpoint, ExceptionSignal, Exporter, Header, HeaderFormat, Invalid, LogLevel, Place, Propagators,
    Protocol, Sampler, Semconv, Value, is_none,
};
use crate::config::vars::Vars;

/// Where traces alone go.
pub(crate) const TRACES_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
/// Turns off all signals.
pub(crate) const DISABLED: &str = "OTEL_SDK_DISABLED";
/// What is sent along with traces alone.
pub(crate) const TRACES_HEADERS: &str = "OTEL_EXPORTER_OTLP_TRACES_HEADERS";

/// Which signal carries exceptions.
const LOG_LEVEL: &str = "OTEL_LOG_LEVEL";
const EXCEPTIONS: &str = "OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN";

/// Adds a warning once: several options may read the same variable.
fn warn(warnings: &mut Vec<String>, warning: String) {
    if !warnings.contains(&warning) {
        warnings.push(warning);
    }
}

/// The first variable whose word is known; others are warned about and ignored.
fn word<T: Value, const N: usize>(
    vars: &Vars,
    warnings: &mut Vec<String>,
    variables: [&'static str; N],
) -> Option<(T, &'static str)> {
    variables.into_iter().find_map(|variable| {
        let text = vars.set(variable)?;
        match read_word(text, vars) {
            Ok(word) => Some((word, variable)),
            Err(Invalid { what, hint }) => {
                warn(warnings, format!("{variable}: `{text}` {what}, and is ignored ({hint})"));
                None
            }
        }
    })
}

/// One word of a few.
fn read_word<T: Value>(text: &str, vars: &Vars) -> Result<T, Invalid> {
    T::read(text, &Place { base: Path::new(""), vars })
}

/// The traces endpoint as it is, or the one for all signals with `/v1/traces` appended.
pub(crate) fn endpoint(vars: &Vars, _: &mut Vec<String>) -> Standard<Option<Endpoint>> {
    let found = |variable, read: fn(&str) -> Result<Endpoint, _>| {
        vars.set(variable).map(|text| match read(text) {
            Ok(endpoint) => Ok((Some(endpoint), variable)),
            Err(flaw) => Err(Flawed { variable, quoted: Endpoint::quote(text), flaw }),
        })
    };
    found(TRACES_ENDPOINT, Endpoint::of_one_signal)
        .or_else(|| found("OTEL_EXPORTER_OTLP_ENDPOINT", str::parse))
        .transpose()
}

/// `OTEL_SDK_DISABLED`, then the first exporter of the list that Pounce has.
pub(crate) fn exporter(vars: &Vars, warnings: &mut Vec<String>) -> Standard<Exporter> {
    const EXPORTER: &str = "OTEL_TRACES_EXPORTER";
    match vars.set(DISABLED).map(|text| text.trim().to_ascii_lowercase()).as_deref() {
        Some("true") => return Ok(Some((Exporter::None, DISABLED))),
        Some("false") | None => {}
        Some(other) => {
            warn(warnings, format!("{DISABLED}: `{other}` is neither true nor false, and counts as false"))
        }
    }
    let mut chosen = None;
    for word in vars.set(EXPORTER).unwrap_or_default().split(',').filter(|word| !word.trim().is_empty()) {
        match (read_word::<Exporter>(word, vars), chosen) {
            (Ok(exporter), None) => chosen = Some(exporter),
            (Ok(_), Some(first)) => {
                warn(warnings, format!("{EXPORTER}: Pounce uses one exporter, and takes the first: {first}"));
            }
            (Err(flaw), _) => {
                warn(warnings, format!("{EXPORTER}: `{word}` {}, and is ignored ({})", flaw.what, flaw.hint))
            }
        }
    }
    Ok(chosen.map(|exporter| (exporter, EXPORTER)))
}

/// The headers for traces, or else those for all signals; a malformed one is left out.
pub(crate) fn headers(vars: &Vars, warnings: &mut Vec<String>) -> Standard<Vec<Header>> {
    let variables = [TRACES_HEADERS, "OTEL_EXPORTER_OTLP_HEADERS"];
    let Some((variable, text)) = first_set(vars, variables) else {
        return Ok(None);
    };
    let pairs = header_list(variable, text, warnings);
    Ok(Some((Some(Header(pairs)).filter(|header| !header.0.is_empty()).into_iter().collect(), variable)))
}

/// The headers of a list; a malformed one is left out.
fn header_list(variable: &str, text: &str, warnings: &mut Vec<String>) -> Vec<(HeaderName, HeaderValue)> {
    let mut headers = Vec::new();
    for (index, pair) in text.split(',').enumerate().filter(|(_, pair)| !pair.trim().is_empty()) {
        match Header::read_pair(pair) {
            Ok(header) => headers.push(header),
            // The text may be a secret: only its position is said.
            Err(flaw) => warn(
                warnings,
                format!("{variable}: entry {} {}, and is ignored ({})", index + 1, flaw.what, flaw.hint),
            ),
        }
    }
    headers
}

/// One of the standard samplers; its argument must be right, as a wrong one multiplies the bill.
pub(crate) fn sampler(vars: &Vars, warnings: &mut Vec<String>) -> Standard<Sampler> {
    const SAMPLER: &str = "OTEL_TRACES_SAMPLER";
    const ASK_OTHERS: [&str; 3] = ["jaeger_remote", "parentbased_jaeger_remote", "xray"];
    const ARGUMENT: &str = "OTEL_TRACES_SAMPLER_ARG";
    let Some(name) = vars.set(SAMPLER) else {
        if vars.set(ARGUMENT).is_some() {
            let hint = "set OTEL_TRACES_SAMPLER=parentbased_traceidratio, too";
            warn(
                warnings,
                format!("{ARGUMENT} says nothing without {SAMPLER}: every trace is kept ({hint})"),
            );
        }
        return Ok(None);
    };
    let name = name.trim().to_ascii_lowercase();
    // The specification's default of the argument is 1.
    let argument = vars.set(ARGUMENT).unwrap_or("1");
    match Sampler::named(&name, || Sampler::read_ratio(argument)) {
        Some(Ok(sampler)) => Ok(Some((sampler, SAMPLER))),
        Some(Err(flaw)) => Err(Flawed { variable: ARGUMENT, quoted: format!("`{argument}`"), flaw }),
        None => {
            let hint = match nearest(&name, Sampler::NAMES) {
                _ if ASK_OTHERS.contains(&&*name) => {
                    "it asks another service for its shares; set parentbased_traceidratio, and the share by \
                     OTEL_TRACES_SAMPLER_ARG or those of routes by otel.sample-route"
                        .to_owned()
                }
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("Pounce has {}", Sampler::NAMES.join(", ")),
            };
            let instead = "is ignored: without another setting every trace is kept";
            warn(warnings, format!("{SAMPLER}: `{name}` is not a sampler of Pounce, and {instead} ({hint})"));
            Ok(None)
        }
    }
}

/// The propagators of the list that Pounce has; `none` counts only alone.
pub(crate) fn propagators(vars: &Vars, warnings: &mut Vec<String>) -> Standard<Propagators> {
    const VARIABLE: &str = "OTEL_PROPAGATORS";
    let words: Vec<&str> = vars
        .set(VARIABLE)
        .unwrap_or_default()
        .split(',')
        .map(str::trim)
        .filter(|word| !word.is_empty())
        .collect();
    if !words.is_empty() && words.iter().all(|word| is_none(word)) {
        return Ok(Some((Propagators::from_iter([]), VARIABLE)));
    }
    let mut formats = Vec::new();
    for word in words {
        match read_word::<HeaderFormat>(word, vars) {
            Ok(format) => formats.push(format),
            Err(_) if is_none(word) => {
                warn(warnings, format!("{VARIABLE}: none says nothing beside others, and is ignored"));
            }
            Err(flaw) => {
                warn(warnings, format!("{VARIABLE}: `{word}` {}, and is ignored ({})", flaw.what, flaw.hint));
            }
        }
    }
    // Nothing that we know: as if unset.
    Ok((!formats.is_empty()).then(|| (formats.into_iter().collect(), VARIABLE)))
}

/// The HTTP profile of a list that is about other conventions, too; `http/dup` beats `http`.
pub(crate) fn semconv(vars: &Vars, _: &mut Vec<String>) -> Standard<Semconv> {
    const VARIABLE: &str = "OTEL_SEMCONV_STABILITY_OPT_IN";
    let words: Vec<String> = vars
        .set(VARIABLE)
        .unwrap_or_default()
        .split(',')
        .map(|word| word.trim().to_ascii_lowercase())
        .collect();
    let has = |profile: Semconv| words.iter().any(|word| word == profile.as_str());
    Ok([Semconv::HttpDup, Semconv::Http]
        .into_iter()
        .find(|profile| has(*profile))
        .map(|profile| (profile, VARIABLE)))
}

/// The methods that telemetry names, in place of those of the conventions; read with their case, as HTTP does.
pub(crate) fn known_methods(vars: &Vars, warnings: &mut Vec<String>) -> Option<Vec<String>> {
    const VARIABLE: &str = "OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS";
    let mut methods: Vec<String> = Vec::new();
    for word in vars.set(VARIABLE)?.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        match word.parse::<http::Method>() {
            Ok(_) if methods.iter().any(|known| known == word) => {}
            Ok(_) => methods.push(word.to_owned()),
            Err(_) => {
                warn(warnings, format!("{VARIABLE}: `{word}` is no method that HTTP allows, and is ignored"));
            }
        }
    }
    // Nothing that could come: as if unset.
    (!methods.is_empty()).then_some(methods)
}

/// Which signal carries exceptions; `logs/dup` beats `logs`.
pub(crate) fn exceptions(vars: &Vars, warnings: &mut Vec<String>) -> ExceptionSignal {
    let mut found = ExceptionSignal::Events;
    let words = vars.set(EXCEPTIONS).unwrap_or_default().split(',').map(str::trim);
    for word in words.filter(|word| !word.is_empty()) {
        match read_word(word, vars) {
            Ok(ExceptionSignal::LogsDup) => found = ExceptionSignal::LogsDup,
            Ok(ExceptionSignal::Logs) if found == ExceptionSignal::Events => found = ExceptionSignal::Logs,
            Ok(ExceptionSignal::Logs) => {}
            // That is what it means not to set it.
            Ok(ExceptionSignal::Events) | Err(_) => {
                let hint = "set logs, or logs/dup for both; without it exceptions are events of spans";
                warn(warnings, format!("{EXCEPTIONS}: `{word}` is not known, and is ignored ({hint})"));
            }
        }
    }
    found
}

/// The level of telemetry's own lines in the log; none where they have that of the others.
pub(crate) fn log_level(vars: &Vars, warnings: &mut Vec<String>) -> Option<LogLevel> {
    let text = vars.set(LOG_LEVEL)?.trim().to_ascii_lowercase();
    let level = match text.as_str() {
        // As SDKs in other languages have it.
        "warning" => Some(LogLevel::Warn),
        "verbose" | "all" => Some(LogLevel::Trace),
        word => read_word(word, vars).ok(),
    };
    if level.is_none() {
        warn(
            warnings,
            format!("{LOG_LEVEL}: `{text}` is not known, and is ignored (error, warn, info, debug, trace)"),
        );
    }
    level
}

/// Says that exceptions cannot go where they should.
pub(crate) fn warn_of_lost_exceptions(otel: &Otel, warnings: &mut Vec<String>) {
    let is_asked = otel.exceptions != ExceptionSignal::Events && !otel.disabled;
    if is_asked && otel.endpoint_of(&otel.logs.to, Endpoint::LOGS).is_none() {
        let hint = "set OTEL_EXPORTER_OTLP_ENDPOINT or OTEL_EXPORTER_OTLP_LOGS_ENDPOINT, and OTEL_LOGS_EXPORTER to otlp";
        let signals = otel.exceptions;
        warn(
            warnings,
            format!(
                "{EXCEPTIONS} is {signals}, but no log records are exported: exceptions stay events of spans ({hint})"
            ),
        );
    }
}

/// Warns of what is set and has no effect here.
pub(crate) fn warn_of_the_rest(otel: &Otel, vars: &Vars, warnings: &mut Vec<String>) {
    let in_vain = [
        ("OTEL_CONFIG_FILE", "the file is not read, and other variables count", ""),
        ("OTEL_ENTITIES", "the resource is that of OTEL_RESOURCE_ATTRIBUTES", ""),
    ];
    for (variable, instead, default) in in_vain {
        if vars.set(variable).is_some_and(|text| !text.trim().eq_ignore_ascii_case(default)) {
            warn(warnings, format!("{variable} is not supported, and is ignored: {instead}"));
        }
    }
    let asked = vars.set("OTEL_TRACES_EXPORTER").is_some_and(|text| text.trim().eq_ignore_ascii_case("otlp"));
    if asked && !otel.is_on() && otel.endpoint.is_none() {
        let hint = "set OTEL_EXPORTER_OTLP_ENDPOINT, such as http://localhost:4318";
        warn(
            warnings,
            format!("OTEL_TRACES_EXPORTER is otlp, but there is no endpoint: no spans are sent ({hint})"),
        );
    }
    let disabled = vars.set(DISABLED).is_some_and(|text| text.trim().eq_ignore_ascii_case("true"));
    let port = otel.endpoint.as_ref().filter(|_| !disabled).and_then(|endpoint| endpoint.url.port_u16());
    match (port, otel.transport.protocol) {
        (Some(4317), protocol @ (Protocol::HttpProtobuf | Protocol::HttpJson)) => {
            let hint = format!("{protocol} is usually taken at 4318; for gRPC, set otel.protocol to grpc");
            warn(warnings, format!("port 4317 of the OTLP endpoint is usually that of gRPC ({hint})"));
        }
        (Some(4318), Protocol::Grpc) => {
            let hint = "gRPC is usually taken at 4317";
            warn(
                warnings,
                format!("port 4318 of the OTLP endpoint is usually that of http/protobuf ({hint})"),
            );
        }
        _ => {}
    }
}

fn first_set<'v, 'n, const N: usize>(vars: &'v Vars, variables: [&'n str; N]) -> Option<(&'n str, &'v str)> {
    variables.into_iter().find_map(|variable| vars.set(variable).map(|text| (variable, text)))
}
