//! `pounce test`: runs the cases of files against a component, and tells of each.

mod junit;
mod tap;
mod text;

use std::io::IsTerminal as _;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use pounce_telemetry::logs::{Log, one_line};

use super::{MISTAKE, flags, output, progress, write};
use crate::cases::{Outcome, Pattern, Report, Run, Suite};
use crate::config::Mistake;
use crate::config::content::MAX_SETTINGS;

const AFTER_HELP: &str = "\
What it does:
  Sends the request of each case in a file to the component, in this process and without a socket,
  and compares the response, the spans and the log records with what the case expects. Outgoing
  calls are answered by the mocks of the file; no other call goes anywhere unless the file lets it
  pass. Everything is recorded, whatever the environment says, and nothing is sent.

A file:
  [[case]]
  name = \"greets\"
  request = \"GET /\"
  response = 200

  docs/testing.md has the rest: settings, bodies, span trees, mocks, several components.

Output:
  On standard output, a line for each case, and below one that failed what was expected (-) and what
  came (+). With --format junit or tap, the report of that form instead; --report FILE writes it to a
  file beside the lines. With --update, files are changed so that they expect what came. Pounce's own
  log is silent unless --log-level asks for it.

Exit status:
  0  all cases passed
  1  a case failed
  2  a mistake in the command line, a file or the component

Examples:
  All cases of a component:
    pounce test app.wasm --cases tests/app.toml

  Those whose name begins so, with what came written into the file:
    pounce test app.wasm --cases tests/app.toml --filter 'checkout*' --update

  In a pipeline:
    pounce test app.wasm --cases tests/app.toml --format junit --report junit.xml";

pub(super) fn command() -> Command {
    Command::new("test").about("Tests a component: responses, traces and outgoing calls").defer(complete)
}

/// What only those need who type this command.
fn complete(command: Command) -> Command {
    let component = Arg::new("component")
        .value_name("COMPONENT")
        .num_args(0..)
        .action(ArgAction::Append)
        .help("Component to test: a .wasm, .wat or .cwasm file")
        .long_help(
            "Component to test: a .wasm, .wat or .cwasm file. With several, each is called as its file without the \
             ending, and [[route]] of the file of cases says which requests go to which.\n\nMay be left out where that \
             file names it.",
        )
        .value_parser(value_parser!(PathBuf));
    let cases = Arg::new("cases")
        .long("cases")
        .value_name("FILE")
        .required(true)
        .action(ArgAction::Append)
        .help("File of cases; repeat the flag for more")
        .value_parser(value_parser!(PathBuf));
    let filter = Arg::new("filter")
        .long("filter")
        .value_name("PATTERN")
        .help("Only cases whose name matches; * stands for anything");
    let jobs = Arg::new("jobs")
        .long("jobs")
        .value_name("NUMBER")
        .help("Cases at once [default: 16]")
        .value_parser(value_parser!(NonZeroUsize));
    let update = Arg::new("update")
        .long("update")
        .action(ArgAction::SetTrue)
        .help("Change the files so that they expect what came");
    let format = Arg::new("format")
        .long("format")
        .value_name("FORMAT")
        .help("Form of the report: text, junit or tap [default: text]")
        .value_parser(PossibleValuesParser::new(["text", "junit", "tap"]))
        .hide_possible_values(true);
    let report = Arg::new("report")
        .long("report")
        .value_name("FILE")
        .help("Write the report to this file, and text to standard output")
        .value_parser(value_parser!(PathBuf));
    let command = command
        .long_about("Tests a component: what it answers, which trace it leaves, whom it calls.")
        .max_term_width(100)
        .args_override_self(true)
        .args([component, cases, filter, jobs, update, format, report])
        .after_help("See --help for the form of a file, and examples.")
        .after_long_help(AFTER_HELP);
    flags::add_options(command, |option| {
        matches!(
            &*option.key(),
            "guest.cache"
                | "guest.artifact-key"
                | "guest.compile-timeout"
                | "guest.compile-memory"
                | "log.level"
        )
    })
}

/// A form of reports.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    Text,
    Junit,
    Tap,
}

/// Tests what was typed; `unknown` is what of the command line was not understood.
pub(super) fn run(matches: &ArgMatches, unknown: Vec<Mistake>) -> ExitCode {
    let layer = flags::layer(matches);
    let paths = |id| matches.get_many::<PathBuf>(id).into_iter().flatten().cloned().collect::<Vec<_>>();
    let mut mistakes = unknown;
    let mut suites = Vec::new();
    for path in paths("cases") {
        match Suite::read(&path, paths("component"), layer.clone()) {
            Ok(suite) => suites.push(suite),
            Err(found) => {
                mistakes.extend(found.into_iter().filter(|one| !mistakes.contains(one)).collect::<Vec<_>>())
            }
        }
    }
    let filter = matches.get_one::<String>("filter");
    if let Some(filter) = filter.filter(|_| mistakes.is_empty()) {
        suites.iter_mut().for_each(|suite| suite.keep(&Pattern::new(filter)));
        if suites.iter().all(|suite| suite.len() == 0) {
            let what = format!("no case is called `{filter}`");
            mistakes.push(Mistake::new("--filter", what, "write * for what may be anything: 'checkout*'"));
        }
    }
    if !mistakes.is_empty() {
        output::mistakes(&mistakes);
        return ExitCode::from(MISTAKE);
    }
    suites.retain(|suite| suite.len() > 0);
    if let Some(report) = matches.get_one::<PathBuf>("report")
        && let Err(error) = write::check(report)
    {
        let what = format!("`{}` cannot be written: {error}", named(report));
        output::mistakes(&[Mistake::new("--report", what, "name a file in a folder that is there")]);
        return ExitCode::from(MISTAKE);
    }
    // What guests write belongs to their cases, and is shown there; the log is for who looks for more.
    let settings = suites.first().filter(|_| layer.contains_key("log.level")).map(Suite::log_settings);
    let log = settings.map(|settings| Log::start(&settings));
    let _log = match log.transpose() {
        Ok(log) => log,
        Err(error) => {
            output::error(error);
            return ExitCode::FAILURE;
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("pounce").build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            output::error(format_args!("cannot start the threads that serve: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let status = runtime.block_on(test(suites, matches));
    runtime.shutdown_background();
    status
}

async fn test(suites: Vec<Suite>, matches: &ArgMatches) -> ExitCode {
    let format = match matches.get_one::<String>("format").map(String::as_str) {
        Some("junit") => Format::Junit,
        Some("tap") => Format::Tap,
        _ => Format::Text,
    };
    let file = matches.get_one::<PathBuf>("report");
    let jobs = matches.get_one::<NonZeroUsize>("jobs").map_or(16, |jobs| jobs.get());
    // Lines while it goes on, unless they would stand in a report that others read.
    let tells = format == Format::Text || file.is_some();
    let colour = std::io::stdout().is_terminal() && pounce_telemetry::terminal::is_coloured();
    let mut reports = Vec::new();
    let mut unserved: Option<u8> = None;
    for suite in suites {
        let path = suite.path().to_owned();
        let run = Run { jobs, compiling: progress::compiling() };
        let tell = |outcome: &Outcome| {
            if tells {
                output::report(&text::line(outcome, colour));
            }
        };
        match suite.run(run, tell).await {
            Ok(report) => reports.push(report),
            Err(error) => {
                output::error(error.whole());
                reports.push(Report::unserved(path, &error));
                // A mistake of somebody's is said before what is wrong with the machine.
                let status = if error.is_mistake() { MISTAKE } else { 1 };
                unserved = unserved.max(Some(status));
            }
        }
    }
    let whole = match format {
        Format::Text => text::report(&reports),
        Format::Junit => junit::report(&reports),
        Format::Tap => tap::report(&reports),
    };
    let written = match file {
        Some(file) => write(file, &whole),
        None if format == Format::Text => Ok(()),
        None => {
            output::report(&whole);
            Ok(())
        }
    };
    if tells && reports.iter().any(|report| !report.outcomes.is_empty()) {
        output::report(&text::summary(&reports));
    }
    // What is said beside a report on standard output would be part of it.
    let say = if tells { output::report } else { output::note };
    let updated = if matches.get_flag("update") { update(&reports, say) } else { Ok(()) };
    if let Err(error) = written.and(updated) {
        output::error(error);
        return ExitCode::FAILURE;
    }
    if let Some(status) = unserved {
        return ExitCode::from(status);
    }
    let failed = |report: &Report| report.outcomes.iter().any(|outcome| outcome.failure.is_some());
    if reports.iter().any(failed) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Writes what was seen into the files, and names the cases that fail all the same.
fn update(reports: &[Report], say: fn(&str)) -> Result<(), String> {
    for report in reports {
        let name = named(&report.path);
        let remain: Vec<_> = report
            .outcomes
            .iter()
            .filter(|outcome| outcome.failure.is_some() && outcome.remains)
            .map(|outcome| format!("  {} (line {})\n", one_line(&outcome.name), outcome.line))
            .collect();
        if let Some(text) = &report.updated {
            if text.len() as u64 > MAX_SETTINGS {
                return Err(format!(
                    "`{name}` stays as it is: with what came it would have {} bytes, and no file of cases may have more \
                     than {MAX_SETTINGS}\n  tip: expect less of large bodies and traces, or split the file",
                    text.len()
                ));
            }
            write(&report.path, text)?;
        }
        let remaining = remain.concat();
        match (&report.updated, remain.is_empty()) {
            (Some(_), true) => say(&format!("{name} expects now what came\n")),
            (Some(_), false) => {
                say(&format!(
                    "{name} expects now what came, but for what no update can mend in:\n{remaining}"
                ));
            }
            (None, false) => say(&format!("{name} stays as it is; no update can mend:\n{remaining}")),
            (None, true) => {}
        }
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    write::replace(path, text.as_bytes())
        .map_err(|error| format!("`{}` cannot be written: {error}", named(path)))
}

/// A path for people: on one line, whatever stands in it.
fn named(path: &Path) -> String {
    one_line(&path.display().to_string()).into_owned()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_help_is_the_committed_one() {
        crate::cli::tests::help_is_committed("test", super::command());
    }
}
