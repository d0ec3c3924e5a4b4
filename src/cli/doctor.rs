//! `pounce doctor`: shows the way of telemetry step by step, and what to do where it ends.

use std::process::ExitCode;
use std::time::Duration;

use clap::{ArgMatches, Command};
use pounce_otlp::Signal;
use pounce_otlp::probe::{Finding, Outcome, Speaks, Step, speaks_here};

use super::{MISTAKE, columns, flags, output};
use crate::config::{Exporter, InForce, Loaded, Mistake, Otel};
use pounce_telemetry::doctor::{self, Findings};
use pounce_telemetry::logs::{Log, printable};

const AFTER_HELP: &str = "\
What it does:
  For each signal that goes to an endpoint (traces, metrics, logs), it resolves the name, connects,
  through the proxy if there is one, looks at TLS, and sends one span, one log record, or one point
  each of a sum, a histogram and a gauge (with the temporality and the buckets that are set) in the
  very way in which pounce serve does. Settings come from flags, variables and --config as for pounce
  serve. Nothing is served and no component is loaded.

Output:
  On standard output, a line for each step (ok, FAIL, or - where it was not tried) with its time,
  and below what failed, what to do. The span is called pounce doctor, the metrics
  pounce.doctor.counter, pounce.doctor.histogram and pounce.doctor.gauge: look for them, or for the
  trace id, in the backend. They are the only names that it leaves there.

Exit status:
  0  everything arrived
  1  something did not
  2  a mistake in the command line or the configuration, or no endpoint

Examples:
  Does the collector take what the server will send?
    pounce doctor --otel-endpoint http://localhost:4318

  With all settings of the deployment:
    pounce doctor --config pounce.toml";

/// Ports at which collectors usually listen, and what they speak there.
const USUAL: [(u16, &str, Speaks); 2] =
    [(4318, "http/protobuf", Speaks::Http1), (4317, "grpc", Speaks::Http2)];

pub(super) fn command() -> Command {
    Command::new("doctor").about("Tests the way of telemetry, and says what to do").defer(complete)
}

/// What only those need who type this command.
fn complete(command: Command) -> Command {
    let command = command
        .long_about("Tests the way of telemetry to its endpoints, and says what to do where it ends.")
        .max_term_width(100)
        .args_override_self(true)
        .after_help("Each option can also be set by a variable or in a file: see --help.")
        .after_long_help(AFTER_HELP);
    flags::add_where(command, |option| matches!(option.section, "otel" | "log"))
}

/// Tests what was typed; `unknown` is what of the command line was not understood.
pub(super) fn run(matches: &ArgMatches, unknown: Vec<Mistake>) -> ExitCode {
    let loaded = match super::settings(matches, &unknown) {
        Ok(loaded) => loaded,
        Err(status) => return status,
    };
    let log = match Log::start(&loaded.config.log_settings()) {
        Ok(log) => log,
        Err(error) => {
            output::error(error);
            return ExitCode::FAILURE;
        }
    };
    for warning in &loaded.config.warnings {
        tracing::warn!("{warning}");
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            output::error(format_args!("cannot start: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let status = runtime.block_on(examine(&loaded));
    // A name lookup that hangs is left behind.
    runtime.shutdown_background();
    drop(log);
    status
}

async fn examine(loaded: &Loaded) -> ExitCode {
    let otel = &loaded.config.otel;
    // The name that an SDK gives where nobody has named the service.
    let component = loaded.config.component_name().unwrap_or_else(|| "unknown_service:pounce".to_owned());
    let findings = doctor::examine(&otel.telemetry(), &component).await;
    if findings.signals.is_empty() {
        output::mistakes(&[nothing_to_test(otel)]);
        if !otel.disabled {
            for line in listening().await {
                output::report(&format!("{line}\n"));
            }
        }
        return ExitCode::from(MISTAKE);
    }
    let service = otel.service_name.as_deref().unwrap_or(&component);
    output::report(&text(&findings, &loaded.in_force, service));
    let arrived = findings.signals.iter().all(|finding| finding.advice.is_none());
    if arrived { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn nothing_to_test(otel: &Otel) -> Mistake {
    let what = "no signal goes to an endpoint: there is nothing to test";
    let hint = match otel.exporter {
        _ if otel.disabled => "OTEL_SDK_DISABLED turns all telemetry off: unset it",
        Exporter::Console | Exporter::None if otel.endpoint.is_some() => {
            "otel.exporter keeps spans from the endpoint: set it to otlp"
        }
        _ => {
            "set one: --otel-endpoint http://localhost:4318, OTEL_EXPORTER_OTLP_ENDPOINT, or endpoint under [otel] \
             in the file"
        }
    };
    Mistake::new("", what, hint)
}

/// What listens where collectors usually do.
async fn listening() -> Vec<String> {
    let mut lines = Vec::new();
    for (port, protocol, usual) in USUAL {
        let speaks = speaks_here(port).await;
        lines.push(match speaks {
            Speaks::Nobody => format!("localhost:{port}: nothing listens"),
            _ if speaks == usual => format!(
                "localhost:{port}: something listens, perhaps a collector; try --otel-endpoint \
                 http://localhost:{port} --otel-protocol {protocol}"
            ),
            _ => format!("localhost:{port}: something listens, but does not speak {protocol}"),
        });
    }
    lines
}

/// The report.
fn text(findings: &Findings, in_force: &[InForce], service: &str) -> String {
    let mut text = String::new();
    let mut told: Vec<(Signal, &str)> = Vec::new();
    for finding in &findings.signals {
        text.push_str(&about(finding, in_force));
        let Some(advice) = finding.advice.as_deref() else { continue };
        match told.iter().find(|(_, other)| *other == advice) {
            Some((signal, _)) => text.push_str(&format!("  -> as for {}\n", signal.word())),
            None => text.push_str(&format!("  -> {advice}\n")),
        }
        told.push((finding.signal, advice));
    }
    let arrived = findings.signals.iter().filter(|finding| finding.advice.is_none()).count();
    text.push_str(&match (arrived, findings.signals.len()) {
        (arrived, all) if arrived == all => "\neverything arrived".to_owned(),
        (arrived, all) => format!("\n{arrived} of {all} signals arrived"),
    });
    let traced = findings.signals.iter().any(|it| it.signal == Signal::Traces && it.advice.is_none());
    if traced {
        let id = &findings.trace_id;
        text.push_str(&format!("; look for trace {id}, span `pounce doctor` of service `{service}`"));
    }
    text.push('\n');
    // Much of it is what an endpoint says.
    text.lines().map(|line| format!("{}\n", printable(line).trim_end())).collect()
}

fn about(finding: &Finding, in_force: &[InForce]) -> String {
    let Finding { signal, url, protocol, steps, advice: _ } = finding;
    let signal = signal.word();
    let (endpoint, form) = sources(signal, in_force);
    let mut text = format!("{signal:<8} {url} ({endpoint})\n         {protocol} ({form})\n");
    let rows: Vec<_> = steps.iter().map(row).collect();
    text.extend(columns::align(&rows).iter().map(|row| format!("  {row}\n")));
    text
}

fn row(step: &Step) -> [String; 3] {
    let mark = match step.outcome {
        Outcome::Worked => "ok",
        Outcome::Failed => "FAIL",
        Outcome::Skipped => "-",
    };
    let took = step.took.map(|took| format!(" ({})", milliseconds(took))).unwrap_or_default();
    [mark.to_owned(), step.name.to_owned(), format!("{}{took}", step.text)]
}

fn milliseconds(took: Duration) -> String {
    match took.as_millis() {
        0 => "under 1 ms".to_owned(),
        ms => format!("{ms} ms"),
    }
}

/// Who set endpoint and protocol of a signal.
fn sources(signal: &str, in_force: &[InForce]) -> (String, String) {
    let of = |key: &str| {
        let one = in_force.iter().find(|one| one.key == key);
        one.map(|one| one.source.to_string()).unwrap_or_default()
    };
    let own = signal.to_ascii_uppercase();
    match signal {
        "traces" => (of("otel.endpoint"), of("otel.protocol")),
        _ => (
            of(&format!("OTEL_EXPORTER_OTLP_{own}_ENDPOINT")),
            of(&format!("OTEL_EXPORTER_OTLP_{own}_PROTOCOL")),
        ),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_help_is_the_committed_one() {
        crate::cli::tests::help_is_committed("doctor", super::command());
    }
}
