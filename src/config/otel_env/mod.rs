//! The standard `OTEL_*` variables, read as the specification says and as strictly as we can.
//!
//! Those that set options are named beside them in `options.rs`, with the function here that reads them. Those without an
//! option are rows of [`settings`]; what each signal has is a row of `kinds!` in [`signals`]. Whatever is read there, the
//! log, `pounce check` and the help show.

mod proxies;
mod reader;
mod resource;
mod signals;
#[cfg(test)]
mod tests;

use pounce_otlp::Signal;
use pounce_telemetry::settings::Limits;

pub(crate) use reader::{Reader, file, word};
pub(crate) use resource::service_name;
pub(crate) use signals::Kind;

use super::declared::{Flawed, Standard};
use super::options::OtelOptions;
use super::otel::{Batch, Otel};
use super::resolve::Source;
use super::suggest::nearest;
use super::value::{
    Endpoint, ExceptionSignal, Exporter, Header, HeaderFormat, LogLevel, Propagators, Protocol, Sampler,
    Semconv, Value, is_none, show_duration,
};
use reader::{delay, interval, items, one_word, timeout, up_to};

/// Turns off all signals.
pub(crate) const DISABLED: &str = "OTEL_SDK_DISABLED";
/// Which signal carries exceptions.
const EXCEPTIONS: &str = "OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN";
const COUNT: &str = "OTEL_ATTRIBUTE_COUNT_LIMIT";
const LENGTH: &str = "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT";

/// Reads settings that have no option: a row has the variables, the strongest first, how their text is read, the field
/// with its default, and how the value is shown.
macro_rules! rows {
    ($reader:ident; $( $variables:expr, $read:expr => $field:expr, $show:expr; )+) => { $(
        let found = $reader.setting(&$variables, $read, ToOwned::to_owned(&$field));
        $reader.tell($variables[0], shown(&found.value, $show), found.source);
        $field = found.value;
    )+ };
}

fn shown<T>(value: &T, show: impl Fn(&T) -> String) -> String {
    show(value)
}

/// Reads all that has no option; `traces` is what is said of traces.
pub(super) fn settings(reader: &mut Reader<'_>, otel: &mut Otel, traces: &OtelOptions) {
    rows! { reader;
        ["OTEL_RESOURCE_ATTRIBUTES"], resource::attributes => otel.resource_attributes, |pairs| {
            list(pairs.iter().map(|(key, value)| format!("{key}={value}")))
        };
        ["OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS"], known_methods => otel.known_methods, |methods| {
            methods.as_ref().map_or_else(|| "those of the conventions".to_owned(), |all| all.join(", "))
        };
        [EXCEPTIONS], exceptions => otel.exceptions, ToString::to_string;
        ["OTEL_LOG_LEVEL"], log_level => otel.log_level, |level| {
            level.map_or_else(|| "that of log.level".to_owned(), |level| level.to_string())
        };
    }
    otel.timeout = signals::time_limit(reader, Signal::Traces);
    otel.transport.insecure = signals::insecure(reader, Signal::Traces, true);
    otel.settle_endpoint();

    batch(
        reader,
        [
            "OTEL_BSP_SCHEDULE_DELAY",
            "OTEL_BSP_MAX_QUEUE_SIZE",
            "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
            "OTEL_BSP_EXPORT_TIMEOUT",
        ],
        &mut otel.batch,
    );
    const MOST: usize = Limits::MOST;
    let (limits, most) = (&mut otel.limits, up_to::<MOST>);
    let longest = |reader: &mut Reader<'_>, variable, text: &str| {
        up_to::<{ Limits::LONGEST }>(reader, variable, text).map(Some)
    };
    rows! { reader;
        ["OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", COUNT], most => limits.span_attributes, ToString::to_string;
        ["OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", LENGTH], longest => limits.span_value_length, length;
        ["OTEL_SPAN_EVENT_COUNT_LIMIT"], most => limits.events, ToString::to_string;
        ["OTEL_SPAN_LINK_COUNT_LIMIT"], most => limits.links, ToString::to_string;
        ["OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", COUNT], most => limits.event_attributes, ToString::to_string;
        ["OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", COUNT], most => limits.link_attributes, ToString::to_string;
        ["OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT", COUNT], most => limits.log_attributes, ToString::to_string;
        ["OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT", LENGTH], longest => limits.log_value_length, length;
    }

    otel.metrics.to = signals::metrics(reader, otel, traces);
    let metrics = &mut otel.metrics;
    rows! { reader;
        ["OTEL_METRIC_EXPORT_INTERVAL"], interval => metrics.interval, |time| show_duration(*time);
        ["OTEL_METRIC_EXPORT_TIMEOUT"], timeout => metrics.export_timeout, ToString::to_string;
        ["OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"], one_word => metrics.temporality, ToString::to_string;
        ["OTEL_METRICS_EXEMPLAR_FILTER"], one_word => metrics.exemplars, ToString::to_string;
        ["OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION"], one_word => metrics.histograms, ToString::to_string;
    }
    otel.logs.to = signals::logs(reader, otel, traces);
    batch(
        reader,
        [
            "OTEL_BLRP_SCHEDULE_DELAY",
            "OTEL_BLRP_MAX_QUEUE_SIZE",
            "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE",
            "OTEL_BLRP_EXPORT_TIMEOUT",
        ],
        &mut otel.logs.batch,
    );
    let destinations = [&otel.metrics.to, &otel.logs.to];
    let is_sent = otel.endpoint.is_some() || destinations.iter().any(|to| to.endpoint.is_some());
    otel.proxies = proxies::proxies(reader, is_sent);
    warn_of_the_rest(reader, otel);
}

/// The variables of one batch processor.
fn batch(reader: &mut Reader<'_>, [delay_of, queue, size, time]: [&'static str; 4], batch: &mut Batch) {
    rows! { reader;
        [delay_of], delay => batch.schedule_delay, |delay| show_duration(*delay);
        [queue], items => batch.max_queue_size, ToString::to_string;
    }
    let mut found = reader.setting(&[size], items, batch.max_export_batch_size);
    let most = batch.max_queue_size;
    if found.value > most {
        // The specification: must not be more than the queue holds.
        if found.source != Source::Default {
            reader.warn(format!(
                "{size}: {} is more than wait at most, and counts as {most} ({queue})",
                found.value
            ));
        }
        found.value = most;
    }
    batch.max_export_batch_size = found.value;
    reader.tell(size, found.value.to_string(), found.source);
    rows! { reader; [time], timeout => batch.export_timeout, ToString::to_string; }
}

fn list(entries: impl Iterator<Item = String>) -> String {
    let entries: Vec<_> = entries.collect();
    if entries.is_empty() { "none".to_owned() } else { entries.join(", ") }
}

/// A limit of length for people: characters, or bytes where those are not limited.
fn length(limit: &Option<usize>) -> String {
    limit.map_or_else(|| format!("{} bytes", Limits::LONGEST), |limit| limit.to_string())
}

/// The traces endpoint as it is, or the one for all signals with `/v1/traces` appended.
pub(crate) fn endpoint(reader: &mut Reader<'_>, variables: &[&'static str]) -> Standard<Option<Endpoint>> {
    let found = |variable: &'static str| {
        let text = reader.vars.set(variable)?;
        let is_of_all = variable == Kind::Endpoint.of_all();
        let read = if is_of_all { str::parse } else { Endpoint::of_one_signal };
        Some(match read(text) {
            Ok(endpoint) => Ok((Some(endpoint), variable)),
            Err(flaw) => Err(Flawed { variable, quoted: Endpoint::quote(text), flaw }),
        })
    };
    variables.iter().rev().copied().find_map(found).transpose()
}

/// `OTEL_SDK_DISABLED`, then the first exporter of the list that Pounce has.
pub(crate) fn exporter(reader: &mut Reader<'_>, _: &[&'static str]) -> Standard<Exporter> {
    const EXPORTER: &str = "OTEL_TRACES_EXPORTER";
    match reader.vars.set(DISABLED).map(|text| text.trim().to_ascii_lowercase()).as_deref() {
        Some("true") => return Ok(Some((Exporter::None, DISABLED))),
        Some("false") | None => {}
        Some(other) => {
            reader.warn(format!("{DISABLED}: `{other}` is neither true nor false, and counts as false"));
        }
    }
    let mut chosen = None;
    let words = reader.vars.set(EXPORTER).unwrap_or_default();
    for word in words.split(',').filter(|word| !word.trim().is_empty()) {
        match (one_word::<Exporter>(reader, EXPORTER, word), chosen) {
            (Some(exporter), None) => chosen = Some(exporter),
            (Some(_), Some(first)) => {
                reader.warn(format!("{EXPORTER}: Pounce uses one exporter, and takes the first: {first}"));
            }
            (None, _) => {}
        }
    }
    Ok(chosen.map(|exporter| (exporter, EXPORTER)))
}

/// The headers for traces, or else those for all signals; a malformed one is left out.
pub(crate) fn headers(reader: &mut Reader<'_>, variables: &[&'static str]) -> Standard<Vec<Header>> {
    let strongest_first: Vec<_> = variables.iter().rev().copied().collect();
    let Some((variable, text)) = reader.first_set(&strongest_first) else {
        return Ok(None);
    };
    let mut headers = Vec::new();
    for (index, pair) in text.split(',').enumerate().filter(|(_, pair)| !pair.trim().is_empty()) {
        match Header::read_pair(pair) {
            Ok(header) => headers.push(header),
            // The text may be a secret: only its position is said.
            Err(flaw) => reader.warn(format!(
                "{variable}: entry {} {}, and is ignored ({})",
                index + 1,
                flaw.what,
                flaw.hint
            )),
        }
    }
    let headers = if headers.is_empty() { Vec::new() } else { vec![Header(headers)] };
    Ok(Some((headers, variable)))
}

/// One of the standard samplers; its argument must be right, as a wrong one multiplies the bill.
pub(crate) fn sampler(reader: &mut Reader<'_>, _: &[&'static str]) -> Standard<Sampler> {
    const SAMPLER: &str = "OTEL_TRACES_SAMPLER";
    const ASK_OTHERS: [&str; 3] = ["jaeger_remote", "parentbased_jaeger_remote", "xray"];
    const ARGUMENT: &str = "OTEL_TRACES_SAMPLER_ARG";
    let Some(name) = reader.vars.set(SAMPLER) else {
        if reader.vars.set(ARGUMENT).is_some() {
            let hint = "set OTEL_TRACES_SAMPLER=parentbased_traceidratio, too";
            reader.warn(format!("{ARGUMENT} says nothing without {SAMPLER}: every trace is kept ({hint})"));
        }
        return Ok(None);
    };
    let name = name.trim().to_ascii_lowercase();
    // The specification's default of the argument is 1.
    let argument = reader.vars.set(ARGUMENT).unwrap_or("1");
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
            reader.warn(format!("{SAMPLER}: `{name}` is not a sampler of Pounce, and {instead} ({hint})"));
            Ok(None)
        }
    }
}

/// The propagators of the list that Pounce has; `none` counts only alone.
pub(crate) fn propagators(reader: &mut Reader<'_>, _: &[&'static str]) -> Standard<Propagators> {
    const VARIABLE: &str = "OTEL_PROPAGATORS";
    let words = reader.vars.set(VARIABLE).unwrap_or_default().split(',').map(str::trim);
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    if !words.is_empty() && words.iter().all(|word| is_none(word)) {
        return Ok(Some((Propagators::from_iter([]), VARIABLE)));
    }
    let mut formats = Vec::new();
    for word in words {
        if is_none(word) {
            reader.warn(format!("{VARIABLE}: none says nothing beside others, and is ignored"));
        } else {
            formats.extend(one_word::<HeaderFormat>(reader, VARIABLE, word));
        }
    }
    // Nothing that we know: as if unset.
    Ok((!formats.is_empty()).then(|| (formats.into_iter().collect(), VARIABLE)))
}

/// The HTTP profile of a list that is about other conventions, too; `http/dup` beats `http`.
pub(crate) fn semconv(reader: &mut Reader<'_>, _: &[&'static str]) -> Standard<Semconv> {
    const VARIABLE: &str = "OTEL_SEMCONV_STABILITY_OPT_IN";
    let words = reader.vars.set(VARIABLE).unwrap_or_default();
    let has =
        |profile: Semconv| words.split(',').any(|word| word.trim().eq_ignore_ascii_case(profile.as_str()));
    let found = [Semconv::HttpDup, Semconv::Http].into_iter().find(|profile| has(*profile));
    Ok(found.map(|profile| (profile, VARIABLE)))
}

/// The methods that telemetry names, in place of those of the conventions; read with their case, as HTTP does.
fn known_methods(reader: &mut Reader<'_>, variable: &'static str, text: &str) -> Option<Option<Vec<String>>> {
    let mut methods: Vec<String> = Vec::new();
    for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        match word.parse::<http::Method>() {
            Ok(_) if methods.iter().any(|known| known == word) => {}
            Ok(_) => methods.push(word.to_owned()),
            Err(_) => {
                reader.warn(format!("{variable}: `{word}` is no method that HTTP allows, and is ignored"));
            }
        }
    }
    // Nothing that could come: as if unset.
    (!methods.is_empty()).then_some(Some(methods))
}

/// Which signal carries exceptions; `logs/dup` beats `logs`.
fn exceptions(reader: &mut Reader<'_>, variable: &'static str, text: &str) -> Option<ExceptionSignal> {
    let mut found = None;
    for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        match reader.value(word) {
            Ok(signal @ ExceptionSignal::LogsDup) => found = Some(signal),
            Ok(signal @ ExceptionSignal::Logs) => found = found.or(Some(signal)),
            // That is what it means not to set it.
            Ok(ExceptionSignal::Events) | Err(_) => {
                let hint = "set logs, or logs/dup for both; without it exceptions are events of spans";
                reader.warn(format!("{variable}: `{word}` is not known, and is ignored ({hint})"));
            }
        }
    }
    found
}

/// The level of telemetry's own lines in the log.
fn log_level(reader: &mut Reader<'_>, variable: &'static str, text: &str) -> Option<Option<LogLevel>> {
    let text = text.trim().to_ascii_lowercase();
    let level = match text.as_str() {
        // As SDKs in other languages have it.
        "warning" => Some(LogLevel::Warn),
        "verbose" | "all" => Some(LogLevel::Trace),
        word => reader.value(word).ok(),
    };
    if level.is_none() {
        let known = "error, warn, info, debug, trace";
        reader.warn(format!("{variable}: `{text}` is not known, and is ignored ({known})"));
    }
    level.map(Some)
}

/// Warns of what is set and has no effect here.
fn warn_of_the_rest(reader: &mut Reader<'_>, otel: &Otel) {
    let is_asked = otel.exceptions != ExceptionSignal::Events && !otel.disabled;
    if is_asked && otel.endpoint_of(&otel.logs.to, Endpoint::LOGS).is_none() {
        let hint = "set OTEL_EXPORTER_OTLP_ENDPOINT or OTEL_EXPORTER_OTLP_LOGS_ENDPOINT, and OTEL_LOGS_EXPORTER to otlp";
        let instead = "no log records are exported: exceptions stay events of spans";
        reader.warn(format!("{EXCEPTIONS} is {}, but {instead} ({hint})", otel.exceptions));
    }
    for (variable, instead) in [
        ("OTEL_CONFIG_FILE", "the file is not read, and other variables count"),
        ("OTEL_ENTITIES", "the resource is that of OTEL_RESOURCE_ATTRIBUTES"),
    ] {
        if reader.vars.set(variable).is_some() {
            reader.warn(format!("{variable} is not supported, and is ignored: {instead}"));
        }
    }
    let says =
        |variable, word| reader.vars.set(variable).is_some_and(|text| text.trim().eq_ignore_ascii_case(word));
    let is_disabled = says(DISABLED, "true");
    if says("OTEL_TRACES_EXPORTER", "otlp") && !otel.is_on() && otel.endpoint.is_none() {
        let hint = "set OTEL_EXPORTER_OTLP_ENDPOINT, such as http://localhost:4318";
        reader.warn(format!(
            "OTEL_TRACES_EXPORTER is otlp, but there is no endpoint: no spans are sent ({hint})"
        ));
    }
    let port = otel.endpoint.as_ref().filter(|_| !is_disabled).and_then(|endpoint| endpoint.url.port_u16());
    match (port, otel.transport.protocol) {
        (Some(4317), protocol @ (Protocol::HttpProtobuf | Protocol::HttpJson)) => {
            let hint = format!("{protocol} is usually taken at 4318; for gRPC, set otel.protocol to grpc");
            reader.warn(format!("port 4317 of the OTLP endpoint is usually that of gRPC ({hint})"));
        }
        (Some(4318), Protocol::Grpc) => {
            let hint = "gRPC is usually taken at 4317";
            reader.warn(format!("port 4318 of the OTLP endpoint is usually that of http/protobuf ({hint})"));
        }
        _ => {}
    }
}
