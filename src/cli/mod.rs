//! What the user typed: a file per command, and the only place that prints.

mod flags;
mod output;
mod serve;
mod usage;

use std::process::ExitCode;

use clap::Command;

/// Exit status of a usage or configuration mistake.
const MISTAKE: u8 = 2;

/// Runs the `pounce` binary: reads the command line, and does what it says.
#[must_use]
pub fn run() -> ExitCode {
    match usage::read(&command(), std::env::args_os().collect()) {
        Ok(typed) => match typed.matches.subcommand() {
            Some(("serve", matches)) => serve::run(matches, typed.unknown),
            other => unreachable!("clap knows no command {other:?} that is not matched here"),
        },
        Err((end, unknown)) => output::usage(&end, &unknown),
    }
}

fn command() -> Command {
    Command::new("pounce")
        .about("Serves WebAssembly components over HTTP, and traces every request")
        .version(env!("CARGO_PKG_VERSION"))
        .subcommand_required(true)
        .arg_required_else_help(true)
        .max_term_width(100)
        .subcommand(serve::command())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_well_formed() {
        super::command().debug_assert();
    }
}
