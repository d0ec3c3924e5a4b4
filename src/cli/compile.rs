//! `pounce compile`: a component's machine code in a file, which starts at once where it is served.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Arg, ArgMatches, Command, value_parser};

use super::{MISTAKE, flags, output, progress, write};
use crate::config::Mistake;
use crate::guest;

const AFTER_HELP: &str = "\
What it does:
  Compiles a component as pounce serve would, and writes the machine code, an artifact, to a file.
  pounce serve FILE.cwasm starts in milliseconds. An artifact serves the version of Pounce that made
  it, and runs what it holds without further checks: so it is sealed, and one that was changed, or
  that nobody vouches for, is refused.

Whose artifacts are served:
  Without --key: where it was made, by the user who made it (a key in the XDG data directory).
  With --key: on every machine whose --artifact-key is the public half of that key.

Keys:
  openssl genpkey -algorithm ed25519 -out key.pem
  openssl pkey -in key.pem -pubout -out key.pub.pem

Exit status:
  0  the artifact was written
  1  it could not be written
  2  a mistake in the command line, the configuration or the component

Examples:
  For this machine:
    pounce compile app.wasm -o app.cwasm
    pounce serve app.cwasm

  For older processors elsewhere, signed:
    pounce compile app.wasm -o app.cwasm --target TARGET --key key.pem
    pounce serve app.cwasm --artifact-key key.pub.pem";

pub(super) fn command() -> Command {
    Command::new("compile").about("Compiles a component into a file that starts at once").defer(complete)
}

/// What only those need who type this command.
fn complete(command: Command) -> Command {
    let targets = guest::targets();
    let component = Arg::new("component")
        .value_name("COMPONENT")
        .required(true)
        .help("Component to compile: a .wasm or .wat file")
        .value_parser(value_parser!(PathBuf));
    let output = Arg::new("output")
        .short('o')
        .long("output")
        .value_name("FILE")
        .required(true)
        .help("File to write, as a rule named .cwasm; one that is there is replaced")
        .value_parser(value_parser!(PathBuf));
    let key = Arg::new("key")
        .long("key")
        .value_name("FILE")
        .help("Private key to sign with: Ed25519, PKCS #8, PEM")
        .value_parser(value_parser!(PathBuf));
    let target = Arg::new("target")
        .long("target")
        .value_name("TARGET")
        .default_value("native")
        .hide_default_value(true)
        .help(format!("Processors to compile for [default: native]: {}", targets.join(", ")));
    let command = command
        .max_term_width(100)
        .args_override_self(true)
        .args([component, output, key, target])
        .after_help("See --help for keys and examples.")
        .after_long_help(AFTER_HELP.replace("TARGET", targets.get(2).unwrap_or(&targets[0])));
    flags::add_where(command, |option| {
        matches!(option.key().as_str(), "guest.cache" | "guest.compile-timeout" | "guest.compile-memory")
    })
}

/// Compiles what was typed; `unknown` is what of the command line was not understood.
pub(super) fn run(matches: &ArgMatches, unknown: Vec<Mistake>) -> ExitCode {
    let config = match super::settings(matches, &unknown) {
        Ok(loaded) => loaded.config,
        Err(status) => return status,
    };
    let path = |id| matches.get_one::<PathBuf>(id).map(PathBuf::as_path);
    let (Some(component), Some(to), Some(target)) =
        (path("component"), path("output"), matches.get_one::<String>("target"))
    else {
        unreachable!("clap asks for them");
    };
    let made = match guest::make(component, &config, progress::compiling(), target, path("key")) {
        Ok(made) => made,
        Err(error) => {
            output::error(format_args!("{error:#}"));
            return ExitCode::from(MISTAKE);
        }
    };
    // A server may start from it at any moment.
    if let Err(error) = write::whole(to, &made.content) {
        output::error(format_args!("`{}` cannot be written: {error}", to.display()));
        return ExitCode::FAILURE;
    }
    let whose = if made.signed { "signed" } else { "for this user on this machine" };
    output::ready(format_args!(
        "{}: {}, {whose}, target {}",
        to.display(),
        guest::mib(made.content.len() as u64),
        made.target
    ));
    ExitCode::SUCCESS
}

/// A process of the compiler: see [`guest::serve_compiler`].
pub(super) fn serve(arguments: &[OsString]) -> ExitCode {
    let arguments: Vec<_> =
        arguments.iter().map(|argument| argument.to_string_lossy().into_owned()).collect();
    match guest::serve_compiler(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::plain_error(format_args!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_help_is_the_committed_one() {
        crate::cli::tests::help_is_committed("compile", super::command());
    }
}
