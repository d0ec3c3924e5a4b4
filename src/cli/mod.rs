//! What the user typed: a file per command, and the only place that prints.

mod check;
mod columns;
mod compile;
mod completions;
mod dev;
mod doctor;
mod flags;
mod health;
mod new;
mod output;
mod progress;
mod serve;
mod test;
mod usage;
mod write;

use std::process::ExitCode;

use clap::{ArgMatches, Command};

use crate::config::{self, Loaded, Mistake};
use crate::guest;

/// Exit status of a usage or configuration mistake.
const MISTAKE: u8 = 2;

/// Runs the `pounce` binary: reads the command line, and does what it says.
///
/// `start_threads` is called by commands that serve, once the process is hardened (`http.harden`), which it can only be
/// while it has no other threads: those that the program wants for itself begin there.
#[must_use]
pub fn run(start_threads: fn()) -> ExitCode {
    let typed: Vec<_> = std::env::args_os().collect();
    if typed.get(1).is_some_and(|command| command == guest::COMPILE_COMMAND) {
        return compile::serve(&typed[2..]);
    }
    match usage::read(&command(), typed) {
        Ok(typed) => match typed.matches.subcommand() {
            Some(("serve", matches)) => serve::run(matches, typed.unknown, start_threads),
            Some(("dev", matches)) => dev::run(matches, typed.unknown, start_threads),
            Some(("new", matches)) => new::run(matches, typed.unknown),
            Some(("compile", matches)) => compile::run(matches, typed.unknown),
            Some(("check", matches)) => check::run(matches, typed.unknown),
            Some(("test", matches)) => test::run(matches, typed.unknown),
            Some(("doctor", matches)) => doctor::run(matches, typed.unknown),
            Some(("health", matches)) => health::run(matches, typed.unknown),
            Some(("completions", matches)) => completions::run(command(), matches, typed.unknown),
            Some(("man", matches)) => completions::run_man(command(), matches, typed.unknown),
            other => unreachable!("clap knows no command {other:?} that is not matched here"),
        },
        Err((end, unknown)) => output::usage(&end, &unknown),
    }
}

/// The command line. What a command takes is put together when that command is typed: a server that starts needs the help of
/// no other.
fn command() -> Command {
    Command::new("pounce")
        .about("Serves WebAssembly components over HTTP, and traces every request")
        .version(env!("CARGO_PKG_VERSION"))
        .subcommand_required(true)
        .arg_required_else_help(true)
        .max_term_width(100)
        .subcommand(serve::command())
        .subcommand(dev::command())
        .subcommand(new::command())
        .subcommand(compile::command())
        .subcommand(check::command())
        .subcommand(test::command())
        .subcommand(doctor::command())
        .subcommand(health::command())
        .subcommand(completions::command())
        .subcommand(completions::man_command())
}

/// The settings of a command that needs no component, unless there are mistakes in them or in what was typed: they are
/// said, and the error is the exit status.
fn settings(matches: &ArgMatches, unknown: &[Mistake]) -> Result<Loaded, ExitCode> {
    match config::load(flags::sources(matches, false)) {
        Ok(loaded) if unknown.is_empty() => Ok(loaded),
        loaded => {
            output::mistakes(unknown);
            if let Err(mistakes) = loaded {
                output::mistakes(mistakes.iter());
            }
            Err(ExitCode::from(MISTAKE))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clap::Command;

    use crate::config::blessed;

    #[test]
    fn the_command_line_is_well_formed() {
        super::command().debug_assert();
    }

    #[test]
    fn the_help_of_all_is_the_committed_one() {
        blessed::matches(&snapshot("help"), &text(&super::command().term_width(100).render_help()));
    }

    /// Compares both forms of a command's help with the committed ones.
    pub(super) fn help_is_committed(name: &str, command: Command) {
        let mut command = command.bin_name(format!("pounce {name}")).term_width(100);
        blessed::matches(&snapshot(&format!("{name}-help")), &text(&command.render_long_help()));
        blessed::matches(&snapshot(&format!("{name}-help-short")), &text(&command.render_help()));
    }

    fn snapshot(name: &str) -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/integration/snapshots/{name}.txt"))
    }

    /// As committed: without the blanks that clap leaves on empty lines.
    fn text(help: &impl ToString) -> String {
        help.to_string().lines().map(|line| format!("{}\n", line.trim_end())).collect()
    }

    #[test]
    fn the_losses_in_the_docs_are_the_committed_ones() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/telemetry.md");
        let text = std::fs::read_to_string(&path).unwrap();
        let (before, rest) = text.split_once("<!-- losses: ").unwrap();
        let (first, rest) = rest.split_once('\n').unwrap();
        let (_, after) = rest.split_once("<!-- end of losses -->").unwrap();
        let rows = pounce_otlp::Loss::ALL
            .iter()
            .map(|loss| format!("| `{}` | {} |\n", loss.name(), loss.sentence()));
        let table =
            rows.fold("| reason | items were |\n| --- | --- |\n".to_owned(), |table, row| table + &row);
        let made = format!("{before}<!-- losses: {first}\n{table}<!-- end of losses -->{after}");
        blessed::matches(&path, &made);
    }
}
