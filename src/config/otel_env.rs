//! The standard `OTEL_*` variables, read as the specification says and as strictly as we can.
//!
//! Empty is unset, words are read in any case. A malformed endpoint or sampler argument is a mistake
//! (it would cost money or data); anything else malformed is warned about and ignored.

use std::time::Duration;

use percent_encoding::percent_decode_str;

use super::declared::{Flawed, Standard};
use super::otel::{Batch, Otel};
use super::suggest::nearest;
use super::value::{Endpoint, Exporter, Header, Sampler, Semconv, Timeout, Value};
use super::vars::Vars;

/// The resource attribute that has an option of its own.
pub(crate) const SERVICE_NAME: &str = "service.name";

const RESOURCE_ATTRIBUTES: &str = "OTEL_RESOURCE_ATTRIBUTES";

/// Adds a warning once: several options may read the same variable.
fn warn(warnings: &mut Vec<String>, warning: String) {
    if !warnings.contains(&warning) {
        warnings.push(warning);
    }
}

/// The traces endpoint as it is, or the one for all signals with `/v1/traces` appended.
pub(crate) fn endpoint(vars: &Vars, _: &mut Vec<String>) -> Standard<Option<Endpoint>> {
    let found = |variable, read: fn(&str) -> Result<Endpoint, _>| {
        vars.set(variable).map(|text| match read(text) {
            Ok(endpoint) => Ok((Some(endpoint), variable)),
            Err(flaw) => Err(Flawed {
                variable,
                quoted: Endpoint::quote(text),
                flaw,
            }),
        })
    };
    found("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", Endpoint::of_traces)
        .or_else(|| found("OTEL_EXPORTER_OTLP_ENDPOINT", str::parse))
        .transpose()
}

/// `OTEL_SDK_DISABLED`, then the first exporter of the list that Pounce has.
pub(crate) fn exporter(vars: &Vars, warnings: &mut Vec<String>) -> Standard<Exporter> {
    const DISABLED: &str = "OTEL_SDK_DISABLED";
    const EXPORTER: &str = "OTEL_TRACES_EXPORTER";
    match vars
        .set(DISABLED)
        .map(|text| text.trim().to_ascii_lowercase())
        .as_deref()
    {
        Some("true") => return Ok(Some((Exporter::None, DISABLED))),
        Some("false") | None => {}
        Some(other) => warn(
            warnings,
            format!("{DISABLED}: `{other}` is neither true nor false, and counts as false"),
        ),
    }
    let mut chosen = None;
    for word in vars
        .set(EXPORTER)
        .unwrap_or_default()
        .split(',')
        .filter(|word| !word.trim().is_empty())
    {
        match (word.parse::<Exporter>(), chosen) {
            (Ok(exporter), None) => chosen = Some(exporter),
            (Ok(_), Some(first)) => {
                warn(
                    warnings,
                    format!("{EXPORTER}: Pounce uses one exporter, and takes the first: {first}"),
                );
            }
            (Err(flaw), _) => warn(
                warnings,
                format!(
                    "{EXPORTER}: `{word}` {}, and is ignored ({})",
                    flaw.what, flaw.hint
                ),
            ),
        }
    }
    Ok(chosen.map(|exporter| (exporter, EXPORTER)))
}

/// The variable of this meaning, then the resource attribute.
pub(crate) fn service_name(vars: &Vars, warnings: &mut Vec<String>) -> Standard<Option<String>> {
    const VARIABLE: &str = "OTEL_SERVICE_NAME";
    if let Some(name) = vars.set(VARIABLE) {
        return Ok(Some((Some(name.to_owned()), VARIABLE)));
    }
    let attributes = resource_attributes(vars, warnings);
    let name = attributes
        .into_iter()
        .find(|(key, value)| key == SERVICE_NAME && !value.is_empty());
    Ok(name.map(|(_, name)| (Some(name), RESOURCE_ATTRIBUTES)))
}

/// The headers for traces, or else those for all signals; a malformed one is left out.
pub(crate) fn headers(vars: &Vars, warnings: &mut Vec<String>) -> Standard<Vec<Header>> {
    let variables = [
        "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
        "OTEL_EXPORTER_OTLP_HEADERS",
    ];
    let Some((variable, text)) = first_set(vars, variables) else {
        return Ok(None);
    };
    let mut headers = Vec::new();
    for (index, pair) in text
        .split(',')
        .enumerate()
        .filter(|(_, pair)| !pair.trim().is_empty())
    {
        match Header::read_pair(pair) {
            Ok(header) => headers.push(header),
            // The text may be a secret: only its position is said.
            Err(flaw) => warn(
                warnings,
                format!(
                    "{variable}: entry {} {}, and is ignored ({})",
                    index + 1,
                    flaw.what,
                    flaw.hint
                ),
            ),
        }
    }
    Ok(Some((vec![Header(headers)], variable)))
}

/// One of the standard samplers; its argument must be right, as a wrong one multiplies the bill.
pub(crate) fn sampler(vars: &Vars, warnings: &mut Vec<String>) -> Standard<Sampler> {
    const SAMPLER: &str = "OTEL_TRACES_SAMPLER";
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
        Some(Err(flaw)) => Err(Flawed {
            variable: ARGUMENT,
            quoted: format!("`{argument}`"),
            flaw,
        }),
        None => {
            let hint = match nearest(&name, Sampler::NAMES) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("Pounce has {}", Sampler::NAMES.join(", ")),
            };
            warn(
                warnings,
                format!("{SAMPLER}: `{name}` is not a sampler of Pounce, and is ignored ({hint})"),
            );
            Ok(None)
        }
    }
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

/// `key=value,…`, percent-decoded; on any error the whole value is discarded.
pub(crate) fn resource_attributes(
    vars: &Vars,
    warnings: &mut Vec<String>,
) -> Vec<(String, String)> {
    let Some(text) = vars.set(RESOURCE_ATTRIBUTES) else {
        return Vec::new();
    };
    let mut attributes: Vec<(String, String)> = Vec::new();
    for entry in text
        .split(',')
        .map(str::trim)
        .filter(|entry| !entry.is_empty())
    {
        let read = || {
            let (key, value) = entry.split_once('=').ok_or("has no `=`")?;
            let (key, value) = (decode(key.trim())?, decode(value.trim())?);
            if key.is_empty() {
                Err("has no key")
            } else {
                Ok((key, value))
            }
        };
        match read() {
            Ok((key, value)) => {
                attributes.retain(|(known, _)| *known != key);
                attributes.push((key, value));
            }
            Err(what) => {
                let hint = "write key=value,key=value with other characters percent-encoded";
                warn(
                    warnings,
                    format!(
                        "{RESOURCE_ATTRIBUTES}: `{entry}` {what}; the whole value is ignored ({hint})"
                    ),
                );
                return Vec::new();
            }
        }
    }
    attributes
}

fn decode(text: &str) -> Result<String, &'static str> {
    let mut rest = text;
    while let Some(percent) = rest.find('%') {
        rest = &rest[percent + 1..];
        if !rest
            .as_bytes()
            .get(..2)
            .is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit))
        {
            return Err("has a % without two hexadecimal digits");
        }
    }
    let decoded = percent_decode_str(text).decode_utf8();
    decoded
        .map(|text| text.into_owned())
        .map_err(|_| "is not UTF-8 once decoded")
}

/// Time one attempt to export may take; 0 is no limit.
pub(crate) fn export_timeout(vars: &Vars, warnings: &mut Vec<String>) -> Timeout {
    let variables = [
        "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT",
        "OTEL_EXPORTER_OTLP_TIMEOUT",
    ];
    timeout(vars, warnings, variables, Duration::from_secs(10))
}

/// The batch processor's variables.
pub(crate) fn batch(vars: &Vars, warnings: &mut Vec<String>) -> Batch {
    let default = Batch::default();
    let mut count = |variable, default| match number(vars, warnings, [variable]) {
        Some((variable, 0)) => {
            warn(
                warnings,
                format!("{variable}: 0 would drop every span, and is ignored"),
            );
            default
        }
        Some((_, number)) => usize::try_from(number).unwrap_or(usize::MAX),
        None => default,
    };
    let max_queue_size = count("OTEL_BSP_MAX_QUEUE_SIZE", default.max_queue_size);
    let batch_size = count(
        "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
        default.max_export_batch_size,
    );
    let delay = number(vars, warnings, ["OTEL_BSP_SCHEDULE_DELAY"]);
    Batch {
        // Zero means "at once", which would be a busy loop.
        schedule_delay: delay.map_or(default.schedule_delay, |(_, ms)| {
            Duration::from_millis(ms.max(1))
        }),
        max_queue_size,
        // The specification: must not be more than the queue holds.
        max_export_batch_size: batch_size.min(max_queue_size),
        export_timeout: timeout(
            vars,
            warnings,
            ["OTEL_BSP_EXPORT_TIMEOUT"],
            Duration::from_secs(30),
        ),
    }
}

/// Warns of what is set and has no effect here.
pub(crate) fn warn_of_the_rest(otel: &Otel, vars: &Vars, warnings: &mut Vec<String>) {
    if vars.set("OTEL_CONFIG_FILE").is_some() {
        warn(
            warnings,
            "OTEL_CONFIG_FILE is not supported, and is ignored".to_owned(),
        );
    }
    let protocol = first_set(
        vars,
        [
            "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
            "OTEL_EXPORTER_OTLP_PROTOCOL",
        ],
    );
    if let Some((variable, text)) =
        protocol.filter(|(_, text)| !text.trim().eq_ignore_ascii_case("http/protobuf"))
    {
        warn(
            warnings,
            format!("{variable}: `{text}` is not supported yet; spans are sent as http/protobuf"),
        );
    }
    let asked = vars
        .set("OTEL_TRACES_EXPORTER")
        .is_some_and(|text| text.trim().eq_ignore_ascii_case("otlp"));
    if asked && !otel.is_on() {
        let hint = "set OTEL_EXPORTER_OTLP_ENDPOINT, such as http://localhost:4318";
        warn(
            warnings,
            format!(
                "OTEL_TRACES_EXPORTER is otlp, but there is no endpoint: telemetry is off ({hint})"
            ),
        );
    }
    if otel.is_on()
        && otel
            .endpoint
            .as_ref()
            .is_some_and(|endpoint| endpoint.url.port_u16() == Some(4317))
    {
        let hint = "http/protobuf, which Pounce sends, is usually taken at 4318";
        warn(
            warnings,
            format!("port 4317 of the OTLP endpoint is usually that of gRPC ({hint})"),
        );
    }
}

fn first_set<'v, const N: usize>(
    vars: &'v Vars,
    variables: [&'static str; N],
) -> Option<(&'static str, &'v str)> {
    variables
        .into_iter()
        .find_map(|variable| vars.set(variable).map(|text| (variable, text)))
}

/// The first variable of these that is set; a malformed one is warned about and ignored.
fn number<const N: usize>(
    vars: &Vars,
    warnings: &mut Vec<String>,
    variables: [&'static str; N],
) -> Option<(&'static str, u64)> {
    // A year in milliseconds: more can't be meant, and must not overflow a clock.
    const LARGEST: u64 = 365 * 24 * 3_600_000;
    let (variable, text) = first_set(vars, variables)?;
    match text.trim().parse::<u64>() {
        Ok(number) if number <= LARGEST => Some((variable, number)),
        _ => {
            warn(
                warnings,
                format!("{variable}: `{text}` is not a whole number in range, and is ignored"),
            );
            None
        }
    }
}

fn timeout<const N: usize>(
    vars: &Vars,
    warnings: &mut Vec<String>,
    variables: [&'static str; N],
    default: Duration,
) -> Timeout {
    let ms = number(vars, warnings, variables).map(|(_, ms)| Duration::from_millis(ms));
    Timeout(Some(ms.unwrap_or(default)).filter(|time| !time.is_zero()))
}
