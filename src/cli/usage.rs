//! Reads the command line, past the first mistake: clap alone would tell one at a time.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ArgMatches, Command, Error};

/// What was typed, and what of it could not be understood.
#[derive(Debug)]
pub(super) struct Typed {
    pub(super) matches: ArgMatches,
    pub(super) mistakes: Vec<Error>,
}

/// Reads `args`, leaving out each flag that is unknown and reading again.
pub(super) fn read(command: &Command, mut args: Vec<OsString>) -> Typed {
    let mut mistakes = Vec::new();
    loop {
        let error = match command.clone().try_get_matches_from(&args) {
            Ok(matches) => return Typed { matches, mistakes },
            Err(error) => error,
        };
        let left_out = leave_out(&mut args, &error);
        // Help that was asked for beats what is wrong beside it.
        if !error.use_stderr() {
            mistakes.clear();
        }
        mistakes.push(error);
        if !left_out {
            return Typed {
                matches: ArgMatches::default(),
                mistakes,
            };
        }
    }
}

/// Takes the unknown flag that `error` is about, and its value, out of `args`.
fn leave_out(args: &mut Vec<OsString>, error: &Error) -> bool {
    let (ErrorKind::UnknownArgument, Some(ContextValue::String(unknown))) =
        (error.kind(), error.get(ContextKind::InvalidArg))
    else {
        return false;
    };
    let is_it = |arg: &OsString| {
        arg.to_str()
            .is_some_and(|arg| arg == unknown || arg.split('=').next() == Some(unknown.as_str()))
    };
    let Some(at) = args.iter().position(is_it) else {
        return false;
    };
    let flag = args.remove(at);
    // Every option takes a value, so the next word was meant as one, unless it looks like another thing.
    let takes_next = unknown.starts_with("--") && !flag.to_string_lossy().contains('=');
    let looks_like_value = |arg: &OsString| {
        let arg = arg.to_string_lossy();
        !arg.starts_with('-')
            && ![".wasm", ".wat", ".cwasm"]
                .iter()
                .any(|end| arg.ends_with(end))
    };
    if takes_next && args.get(at).is_some_and(looks_like_value) {
        args.remove(at);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(line: &str) -> Typed {
        read(
            &crate::cli::command(),
            line.split(' ').map(OsString::from).collect(),
        )
    }

    #[test]
    fn every_unknown_flag_is_told_with_a_suggestion() {
        let typed = typed("pounce serve --lissten :0 app.wasm --reusee=3 --max-memory 1GB");
        let told: Vec<String> = typed.mistakes.iter().map(ToString::to_string).collect();
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(
            told[0].contains("--listen") && told[1].contains("--reuse"),
            "{told:?}"
        );
        let (_, serve) = typed.matches.subcommand().unwrap();
        assert!(serve.contains_id("guest.max-memory") && serve.contains_id("component"));
    }

    #[test]
    fn help_is_no_mistake() {
        let typed = typed("pounce serve --lissten 1 --help");
        assert_eq!(typed.mistakes.len(), 1);
        assert!(!typed.mistakes[0].use_stderr());
    }
}
