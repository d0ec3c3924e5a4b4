//! `pounce new`: a project for a guest that builds, is traced, and has a test of its trace.

mod kits;
mod name;
mod write;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::builder::{PossibleValue, PossibleValuesParser};
use clap::{Arg, ArgMatches, Command, value_parser};

use super::output;
use crate::config::Mistake;
use kits::{KITS, Kit};

/// A language that there is no kit for.
const GO: &str = "go";

const AFTER_HELP: &str = "\
What it makes:
  A folder with one handler that has a named route, an attribute, a span of its own and an outgoing
  call; what builds it, with the language's own tools; cases.toml, which tests its trace; a
  workflow for CI; and the SDK for the language. Nothing is fetched.

Exit status:
  0  the project is there
  1  it could not be written; nothing of it is left
  2  a mistake in the command line

Examples:
  A guest in Rust, in the folder shop:
    pounce new shop --lang rust

  One in Python, elsewhere:
    pounce new ../guests/shop --lang python";

pub(super) fn command() -> Command {
    Command::new("new").about("Writes a project for a guest, traced and tested").defer(|command| {
        let name = Arg::new("name").value_name("NAME").required(true).value_parser(value_parser!(PathBuf));
        let languages = KITS
            .iter()
            .map(|kit| PossibleValue::new(kit.id).aliases(kit.aliases))
            // Who asks for it gets a reason.
            .chain([PossibleValue::new(GO).alias("golang").hide(true)]);
        let language =
            Arg::new("lang").long("lang").value_name("LANG").value_parser(PossibleValuesParser::new(languages));
        command
            // The language is asked for in words of our own.
            .override_usage("pounce new <NAME> --lang <LANG>")
            .long_about("Writes a project for a guest: one that builds, is served and traced, and tests its own trace.")
            .arg(name.help("The project's name: a folder that is not there yet, or is empty").long_help(
                "The project's name: a folder that is not there yet, or is empty. Of a path, the last part is the name: \
                 lower-case letters, digits, - and _, which every language takes.",
            ))
            .arg(language.help("The language that the guest is written in"))
            .after_help("What it makes, and examples: see --help.")
            .after_long_help(AFTER_HELP)
    })
}

/// Writes the project that was typed; `unknown` is what of the command line was not understood.
pub(super) fn run(matches: &ArgMatches, mut mistakes: Vec<Mistake>) -> ExitCode {
    let folder = matches.get_one::<PathBuf>("name").unwrap_or_else(|| unreachable!("clap requires it"));
    let language = matches.get_one::<String>("lang");
    let kit = language.and_then(|typed| kits::find(typed));
    if kit.is_none() {
        mistakes.push(match language {
            Some(_) => no_go(),
            None => no_language(folder),
        });
    }
    let name = name::of(folder);
    if let Err(mistake) = &name {
        mistakes.push(mistake.clone());
    }
    let (Some(kit), Ok(name), []) = (kit, name, mistakes.as_slice()) else {
        output::mistakes(&mistakes);
        return ExitCode::from(super::MISTAKE);
    };
    match write::project(folder, &kit.files(&name)) {
        Ok(()) => {
            output::report(&next(folder, &name, kit));
            ExitCode::SUCCESS
        }
        Err(write::Refusal::Mistake(mistake)) => {
            output::mistakes([&mistake]);
            ExitCode::from(super::MISTAKE)
        }
        Err(write::Refusal::Failure(error)) => {
            output::error(error);
            ExitCode::FAILURE
        }
    }
}

fn no_language(folder: &Path) -> Mistake {
    let known: Vec<_> = KITS.iter().map(|kit| kit.id).collect();
    let example = format!("pounce new {} --lang {}", folder.display(), known[0]);
    Mistake::new("--lang", "is missing", format!("say one of {}: {example}", known.join(", ")))
}

fn no_go() -> Mistake {
    Mistake::new(
        "--lang go",
        "there is no project for Go yet: what the standard compiler makes traps once requests are large, and the tools that are \
         made for components (componentize-go, TinyGo) could be had from no package registry",
        "docs/guest-go.md says why, and how components are made from Go today, with wit-bindgen and the standard compiler",
    )
}

/// What to type next.
fn next(folder: &Path, name: &str, kit: &Kit) -> String {
    let steps = kit.steps(name);
    let width = steps.iter().map(|(typed, _)| typed.len()).max().unwrap_or(0);
    let mut text = format!("{}: a guest in {}\n\n  cd {}\n", name, kit.language, folder.display());
    for (typed, why) in steps {
        text.push_str(&format!("  {typed:width$}   # {why}\n"));
    }
    text.push_str("\nREADME.md says the rest.\n");
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn help_is_committed() {
        crate::cli::tests::help_is_committed("new", super::command());
    }
}
