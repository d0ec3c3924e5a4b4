//! `pounce completions`: what a shell needs to complete commands and flags, and `pounce man`, which packages use.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Arg, ArgMatches, Command, value_parser};
use clap_complete::Shell;

use super::output;
use crate::config::Mistake;

const AFTER_HELP: &str = "\
Examples:
  For bash, from the next shell on:
    pounce completions bash > ~/.local/share/bash-completion/completions/pounce

  For zsh, in a folder of $fpath:
    pounce completions zsh > ~/.zfunc/_pounce

  For fish:
    pounce completions fish > ~/.config/fish/completions/pounce.fish";

const AFTER_MAN_HELP: &str = "\
Examples:
  For the man of this machine:
    pounce man /usr/local/share/man/man1";

pub(super) fn command() -> Command {
    Command::new("completions").about("Prints what a shell needs to complete pounce's flags").defer(|command| {
        let shell = Arg::new("shell").value_name("SHELL").required(true).value_parser(value_parser!(Shell));
        command
            .long_about("Prints, on standard output, the script that has a shell complete pounce's commands and flags.")
            .arg(shell.help("The shell"))
            .after_help(AFTER_HELP)
    })
}

pub(super) fn man_command() -> Command {
    Command::new("man").about("Writes pounce's man pages into a folder").defer(|command| {
        let folder = Arg::new("folder").value_name("DIR").required(true).value_parser(value_parser!(PathBuf));
        command
            .long_about("Writes a man page for pounce and one for each of its commands into a folder.")
            .arg(folder.help("Where they go: pounce.1, pounce-serve.1 and so on; made if it is not there"))
            .after_help(AFTER_MAN_HELP)
    })
}

/// Prints the script for the shell that was typed.
pub(super) fn run(whole: Command, matches: &ArgMatches, unknown: Vec<Mistake>) -> ExitCode {
    if !unknown.is_empty() {
        output::mistakes(&unknown);
        return ExitCode::from(super::MISTAKE);
    }
    let shell = *matches.get_one::<Shell>("shell").unwrap_or_else(|| unreachable!("clap requires it"));
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut built(whole), "pounce", &mut script);
    output::report(&String::from_utf8_lossy(&script));
    ExitCode::SUCCESS
}

/// Writes the man pages into the folder that was typed.
pub(super) fn run_man(whole: Command, matches: &ArgMatches, unknown: Vec<Mistake>) -> ExitCode {
    if !unknown.is_empty() {
        output::mistakes(&unknown);
        return ExitCode::from(super::MISTAKE);
    }
    let folder = matches.get_one::<PathBuf>("folder").unwrap_or_else(|| unreachable!("clap requires it"));
    let written = std::fs::create_dir_all(folder)
        .and_then(|()| clap_mangen::generate_to(built(whole.disable_help_subcommand(true)), folder));
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::error(format_args!("cannot write the man pages into {}: {error}", folder.display()));
            ExitCode::FAILURE
        }
    }
}

/// The command line with all that its commands put off until they are typed.
fn built(mut whole: Command) -> Command {
    whole.build();
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_is_committed() {
        crate::cli::tests::help_is_committed("completions", command());
        crate::cli::tests::help_is_committed("man", man_command());
    }
}
