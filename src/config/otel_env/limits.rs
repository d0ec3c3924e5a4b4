//! The variables of limits: `OTEL_ATTRIBUTE_COUNT_LIMIT` and the more specific ones, which stand above it.

use super::numbers::number;
use super::warn;
use crate::config::vars::Vars;
use pounce_telemetry::settings::Limits;

const COUNT: &str = "OTEL_ATTRIBUTE_COUNT_LIMIT";
const LENGTH: &str = "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT";

/// The limits that are set, none above our own; 0 is a limit, too.
pub(crate) fn limits(vars: &Vars, warnings: &mut Vec<String>) -> Limits {
    let mut limit = |names: &[&'static str], most: usize| {
        // A malformed one counts as unset: then the more general one says it.
        let (variable, wanted) = names.iter().find_map(|name| number(vars, warnings, [*name]))?;
        let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
        if wanted > most {
            warn(warnings, format!("{variable}: {wanted} is more than Pounce keeps, and counts as {most}"));
        }
        Some(wanted.min(most))
    };
    let (most, longest) = (Limits::MOST, Limits::LONGEST);
    let mut count = |names: &[&'static str]| limit(names, most).unwrap_or(most);
    let (span_attributes, log_attributes) = (
        count(&["OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", COUNT]),
        count(&["OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT", COUNT]),
    );
    let (event_attributes, link_attributes) = (
        count(&["OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", COUNT]),
        count(&["OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", COUNT]),
    );
    let (events, links) = (count(&["OTEL_SPAN_EVENT_COUNT_LIMIT"]), count(&["OTEL_SPAN_LINK_COUNT_LIMIT"]));
    let span_value_length = limit(&["OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", LENGTH], longest);
    let log_value_length = limit(&["OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT", LENGTH], longest);
    Limits {
        span_attributes,
        span_value_length,
        events,
        links,
        event_attributes,
        link_attributes,
        log_attributes,
        log_value_length,
    }
}
