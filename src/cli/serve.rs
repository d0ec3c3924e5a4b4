//! `pounce serve`: loads the settings, builds the server and runs it until it is told to stop.

use std::process::ExitCode;
use std::time::Duration;

use clap::{ArgMatches, Command};

use super::{MISTAKE, flags, output, progress};
use crate::app::{App, Hardening, Outcome, Source, StartError, Stops, Supervisor, Surroundings};
use crate::config::{self, Loaded, Mistake};
use crate::server::Inherited;
use pounce_telemetry::logs::Log;

const AFTER_HELP: &str = "\
Values:
  TIME   a whole number with its unit: 500ms, 30s, 2m, 1h
  SIZE   a number of bytes, or one with KiB, MiB, GiB, KB, MB, GB: 64MiB
  In a variable, entries of a list are separated by commas; `\\,` is a comma within an entry.

Where a value comes from:
  A flag beats a POUNCE_* variable, that beats a standard OTEL_* variable, that beats the file,
  that beats the default. An empty variable counts as unset.

Standard variables without an option:
VARIABLES
  pounce check shows what each of them sets. Proxies are heeded on the way to endpoints, never for
  what guests call.

Output:
  One line on standard output when a listener is ready (listening on http://127.0.0.1:8080, and
  admin on http://127.0.0.1:8081 with --admin-listen);
  everything else goes to standard error.

Signals:
  SIGTERM, SIGQUIT or Ctrl-C drains and stops; before a listener is ready, it stops at once.
  A second one ends the drain. SIGHUP loads components and routes again, with their settings, while
  requests are served; what is wrong with them changes nothing. SIGUSR1 and SIGUSR2 are ignored.

Exit status:
  0  stopped, and every request was finished
  1  could not serve (such as a port in use), or cut requests at the end of the grace period
  2  a mistake in the command line, the configuration or the component

Examples:
  Serve a component on port 8080:
    pounce serve app.wasm

  Send a trace of every request to a collector:
    pounce serve app.wasm --otel-endpoint http://localhost:4318

  See the traces on the terminal, and let the guest call one host:
    pounce serve app.wasm --otel-exporter console --allow-outbound https://api.example.com

  Two components on one port:
    pounce serve shop.wasm site.wasm --route '/api/{*rest}=shop' --route '=site'

  Take everything from a file, but another address:
    pounce serve --config pounce.toml --listen 0.0.0.0:80";

/// Columns of the text below the options.
const WIDTH: usize = 100;
/// Tasks that a thread runs before it looks at sockets and timers again. Guests compute in these tasks, so that a request
/// that comes meanwhile would wait for 61 of them (tokio's default) before anybody knows of it.
const TASKS_BETWEEN_EVENTS: u32 = 16;

pub(super) fn command() -> Command {
    Command::new("serve").about("Serves components over HTTP").defer(complete)
}

/// What only those need who type this command.
fn complete(command: Command) -> Command {
    let command = command
        .long_about(
            "Serves wasi:http components over HTTP, and sends a trace of every request if telemetry is on.",
        )
        .max_term_width(100)
        .args_override_self(true)
        .after_help("Each option can also be set by a variable or in a file: see --help.")
        .after_long_help(AFTER_HELP.replace("VARIABLES", &standard_variables()));
    flags::add(command, "serve", |option| option.section != "dev")
}

/// What only standard variables set, as lines of the help.
fn standard_variables() -> String {
    let mut lines = vec![String::from(" ")];
    for name in config::Otel::standard_variables() {
        if lines.last().is_some_and(|line| line.len() + 1 + name.len() > WIDTH) {
            lines.push(String::from(" "));
        }
        if let Some(line) = lines.last_mut() {
            line.push(' ');
            line.push_str(name);
        }
    }
    lines.join("\n")
}

/// Serves what was typed; `unknown` is what of the command line was not understood.
pub(super) fn run(matches: &ArgMatches, unknown: Vec<Mistake>, start_threads: fn()) -> ExitCode {
    // With an unknown flag, what was meant as the component may have been taken for its value.
    match config::load(flags::sources(matches, unknown.is_empty())) {
        Ok(loaded) if unknown.is_empty() => {
            let matches = matches.clone();
            let source = Box::new(move || config::load(flags::sources(&matches, true)));
            let settings = loaded.clone();
            in_runtime(&settings, start_threads, |around| build_and_run(loaded, around, source))
        }
        loaded => {
            output::mistakes(&unknown);
            if let Err(mistakes) = loaded {
                output::mistakes(mistakes.iter());
            }
            ExitCode::from(MISTAKE)
        }
    }
}

/// Starts what every server needs before it is built, runs `serve` in it, and ends it in order.
pub(super) fn in_runtime<F: Future<Output = ExitCode>>(
    loaded: &Loaded,
    start_threads: fn(),
    serve: impl FnOnce(Surroundings) -> F,
) -> ExitCode {
    let Loaded { config, in_force, own_in_force, .. } = loaded;
    // First: there are no threads yet.
    let inherited = match Inherited::take(config.inherited) {
        Ok(inherited) => inherited,
        Err(error) => {
            output::error(error);
            return ExitCode::from(MISTAKE);
        }
    };
    let hardening = match Hardening::apply(config) {
        Ok(hardening) => hardening,
        Err(error) => return could_not_start(&error),
    };
    start_threads();
    // Kept to the very end: what was logged last is written when it goes.
    let log = match Log::start(&config.log_settings()) {
        Ok(log) => log,
        Err(error) => {
            output::error(error);
            return ExitCode::FAILURE;
        }
    };
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    hardening.iter().for_each(Hardening::log);
    for setting in in_force {
        tracing::debug!("setting {setting}");
    }
    for (component, own) in own_in_force {
        own.iter().for_each(|setting| tracing::debug!(component, "setting {setting}"));
    }
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.enable_all().thread_name("pounce").event_interval(TASKS_BETWEEN_EVENTS);
    let runtime = match runtime.build() {
        Ok(runtime) => runtime,
        Err(error) => {
            output::error(format_args!("cannot start the threads that serve: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let around =
        Surroundings { inherited, log: log.export(), hardening, ..Surroundings::new(progress::compiling()) };
    let status = runtime.block_on(serve(around));
    // Guests that still compute give way at the next tick; nobody waits for what they would say.
    runtime.shutdown_timeout(Duration::from_millis(100));
    let lost = log.dropped();
    if lost > 0 {
        output::last_word(format!(
            "{lost} lines of the log were lost: standard error was not read fast enough"
        ));
    }
    status
}

async fn build_and_run(loaded: Loaded, around: Surroundings, source: Source) -> ExitCode {
    // Before anything that takes time: who starts a server may want it to stop at any moment.
    let Some(mut stops) = stops() else { return ExitCode::FAILURE };
    match build(loaded, around, source, stops.next()).await {
        Ok(Ok(app)) => {
            say_ready(&app);
            exit_status(app.run_on(stops, Supervisor::of_process()).await)
        }
        Ok(Err(_signal)) => ExitCode::SUCCESS,
        Err(status) => status,
    }
}

/// The signals that stop a server; says what is wrong where they cannot be had.
pub(super) fn stops() -> Option<Stops> {
    Stops::install().map_err(|error| output::error(format_args!("cannot wait for signals: {error}"))).ok()
}

/// Builds the server, and says what is wrong where it cannot be: the error is the exit status. The inner error is the
/// signal by which `stop` resolved first.
pub(super) async fn build(
    loaded: Loaded,
    around: Surroundings,
    source: Source,
    stop: impl Future<Output = &'static str>,
) -> Result<Result<App, &'static str>, ExitCode> {
    App::build_on(loaded, around, source, stop).await.map_err(|error| could_not_start(&error))
}

/// Says why there is no server, as the exit status does.
fn could_not_start(error: &StartError) -> ExitCode {
    output::error(error.whole());
    if error.is_mistake() { ExitCode::from(MISTAKE) } else { ExitCode::FAILURE }
}

/// Says that the listeners are ready.
pub(super) fn say_ready(app: &App) {
    for listener in app.listeners() {
        output::ready(format_args!("listening on {listener}"));
    }
    if let Some(listener) = app.admin_listener() {
        output::ready(format_args!("admin on {listener}"));
    }
}

/// What the exit status of a server says of its end.
pub(super) fn exit_status(outcome: Outcome) -> ExitCode {
    match outcome {
        Outcome::Drained => ExitCode::SUCCESS,
        Outcome::Cut(_) => ExitCode::FAILURE,
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_help_is_the_committed_one() {
        crate::cli::tests::help_is_committed("serve", super::command());
    }
}
