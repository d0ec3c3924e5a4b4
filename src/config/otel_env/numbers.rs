//! Standard variables that are numbers: timeouts, and the batch processor's.

use std::time::Duration;

use super::warn;
use crate::config::otel::Batch;
use crate::config::value::Timeout;
use crate::config::vars::Vars;

/// Time one attempt to export may take; 0 is no limit.
pub(crate) fn export_timeout(vars: &Vars, warnings: &mut Vec<String>) -> Timeout {
    let variables = ["OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"];
    timeout(vars, warnings, variables, Duration::from_secs(10))
}

/// The variables of the batch processor of spans.
pub(crate) fn batch(vars: &Vars, warnings: &mut Vec<String>) -> Batch {
    batch_of("OTEL_BSP", Batch::default(), vars, warnings)
}

/// The variables of the batch processor whose names begin with `prefix`.
pub(super) fn batch_of(prefix: &str, default: Batch, vars: &Vars, warnings: &mut Vec<String>) -> Batch {
    let name = |rest: &str| format!("{prefix}_{rest}");
    let mut count = |variable: &str, default| match number(vars, warnings, [variable]) {
        Some((variable, 0)) => {
            warn(warnings, format!("{variable}: 0 would drop everything, and is ignored"));
            default
        }
        Some((_, number)) => usize::try_from(number).unwrap_or(usize::MAX),
        None => default,
    };
    let max_queue_size = count(&name("MAX_QUEUE_SIZE"), default.max_queue_size);
    let size = name("MAX_EXPORT_BATCH_SIZE");
    let batch_size = count(&size, default.max_export_batch_size);
    if batch_size > max_queue_size && vars.set(&size).is_some() {
        let queue = name("MAX_QUEUE_SIZE");
        warn(
            warnings,
            format!(
                "{size}: {batch_size} is more than wait at most, and counts as {max_queue_size} ({queue})"
            ),
        );
    }
    let delay = number(vars, warnings, [name("SCHEDULE_DELAY").as_str()]).map(|(_, ms)| ms);
    Batch {
        // Zero means "at once", which would be a busy loop.
        schedule_delay: delay.map_or(default.schedule_delay, |ms| Duration::from_millis(ms.max(1))),
        max_queue_size,
        // The specification: must not be more than the queue holds.
        max_export_batch_size: batch_size.min(max_queue_size),
        export_timeout: timeout(vars, warnings, [&name("EXPORT_TIMEOUT")], Duration::from_secs(30)),
    }
}

/// The first variable of these that is a number; a malformed one is warned about, and counts as unset.
pub(super) fn number<'n, const N: usize>(
    vars: &Vars,
    warnings: &mut Vec<String>,
    variables: [&'n str; N],
) -> Option<(&'n str, u64)> {
    // A year in milliseconds: more can't be meant, and must not overflow a clock.
    const LARGEST: u64 = 365 * 24 * 3_600_000;
    variables.into_iter().find_map(|variable| {
        let text = vars.set(variable)?;
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
    })
}

pub(super) fn timeout<const N: usize>(
    vars: &Vars,
    warnings: &mut Vec<String>,
    variables: [&str; N],
    default: Duration,
) -> Timeout {
    let ms = number(vars, warnings, variables).map(|(_, ms)| Duration::from_millis(ms));
    Timeout(Some(ms.unwrap_or(default)).filter(|time| !time.is_zero()))
}
