//! Reads the command line, past the first mistake: clap alone would tell one at a time.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ArgMatches, Command, Error};

use crate::config::{Mistake, all_options};

/// What was typed, without the flags that are unknown.
#[derive(Debug)]
pub(super) struct Typed {
    pub(super) matches: ArgMatches,
    pub(super) unknown: Vec<Mistake>,
}

/// Reads `args`, leaving out each flag that is unknown and reading again.
///
/// The error is help or version, which were asked for, or what leaves nothing to go on with;
/// with it comes what was found before.
pub(super) fn read(command: &Command, mut args: Vec<OsString>) -> Result<Typed, (Error, Vec<Mistake>)> {
    let mut unknown = Vec::new();
    join_negative_values(&mut args);
    loop {
        let error = match command.clone().try_get_matches_from(&args) {
            Ok(matches) => return Ok(Typed { matches, unknown }),
            Err(error) => error,
        };
        match leave_out(&mut args, &error) {
            Some(mistake) => unknown.push(mistake),
            None => return Err((error, unknown)),
        }
    }
}

/// Makes `--idle-timeout -5s` one word. No flag begins with a digit, so a value was meant, and what is wrong with it
/// is ours to say; clap would take it for a flag.
fn join_negative_values(args: &mut Vec<OsString>) {
    let is_negative =
        |arg: &str| arg.strip_prefix('-').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    let wants_value = |arg: &str| arg.len() > 2 && arg.starts_with("--") && !arg.contains('=');
    for at in (1..args.len()).rev() {
        if args[at].to_str().is_some_and(is_negative) && args[at - 1].to_str().is_some_and(wants_value) {
            let value = args.remove(at);
            args[at - 1].push("=");
            args[at - 1].push(value);
        }
    }
}

/// Takes the unknown argument that `error` is about, and its value, out of `args`.
fn leave_out(args: &mut Vec<OsString>, error: &Error) -> Option<Mistake> {
    let (ErrorKind::UnknownArgument, Some(ContextValue::String(unknown))) =
        (error.kind(), error.get(ContextKind::InvalidArg))
    else {
        return None;
    };
    let is_it = |arg: &OsString| {
        arg.to_str().is_some_and(|arg| arg == unknown || arg.split('=').next() == Some(unknown.as_str()))
    };
    let at = args.iter().position(is_it)?;
    let typed = args.remove(at);
    let Some(name) = unknown.strip_prefix("--") else {
        return Some(Mistake::new(
            unknown,
            "is one argument too many",
            "take it out, or put quotes around a value",
        ));
    };
    // Every option takes a value, so the next word was meant as one, unless it looks like another thing.
    let looks_like_value = |arg: &OsString| {
        let arg = arg.to_string_lossy();
        !arg.starts_with('-') && ![".wasm", ".wat", ".cwasm"].iter().any(|end| arg.ends_with(end))
    };
    if !typed.to_string_lossy().contains('=') && args.get(at).is_some_and(looks_like_value) {
        args.remove(at);
    }
    let tip = match meant(name, error) {
        Some(flag) => format!("did you mean {flag}?"),
        None => match all_options().find(|option| option.flag() == name) {
            Some(option) if option.section == "dev" => "leave it out: it is for pounce dev".to_owned(),
            Some(_) => "leave it out: it is for pounce serve, pounce dev and pounce check".to_owned(),
            None => "see all flags with --help".to_owned(),
        },
    };
    Some(Mistake::new(unknown, "unknown flag", tip))
}

/// The flag that was meant: the option's key in another form, or else the nearest.
fn meant(typed: &str, error: &Error) -> Option<String> {
    // A flag of another command is no slip.
    if all_options().any(|option| option.flag() == typed) {
        return None;
    }
    let name = typed.replace(['_', '.'], "-");
    let same = |option: &&crate::config::Declared| {
        name == option.flag() || name == option.name() || name == option.key().replace('.', "-")
    };
    match (all_options().find(same), error.get(ContextKind::SuggestedArg)) {
        (Some(option), _) => Some(format!("--{}", option.flag())),
        (None, Some(ContextValue::String(near))) => Some(near.clone()),
        (None, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Typed, (Error, Vec<Mistake>)> {
        super::read(&crate::cli::command(), line.split(' ').map(OsString::from).collect())
    }

    #[test]
    fn every_unknown_flag_is_told_with_a_suggestion() {
        let typed =
            read("pounce serve --lissten :0 app.wasm --reusee=3 --max-memory 1GB --endpoint x --xyzzy")
                .unwrap();
        let tips: Vec<&str> = typed.unknown.iter().map(|mistake| mistake.hint.as_str()).collect();
        let expected = [
            "did you mean --listen?",
            "did you mean --reuse?",
            "did you mean --otel-endpoint?",
            "see all flags with --help",
        ];
        assert_eq!(tips, expected);
        let (_, serve) = typed.matches.subcommand().unwrap();
        assert!(serve.contains_id("guest.max-memory") && serve.contains_id("component"));
    }

    #[test]
    fn a_flag_of_another_command_is_said_to_be_one() {
        let typed = read("pounce doctor --listen 127.0.0.1:1 --otel-endpoint http://x").unwrap();
        assert!(typed.unknown[0].hint.contains("pounce serve"), "{:?}", typed.unknown);
    }

    #[test]
    fn components_are_typed_one_after_the_other_where_several_are_served() {
        let typed = read("pounce serve a.wasm --reuse 1 b.wasm").unwrap();
        assert!(typed.unknown.is_empty());
        let sources = crate::cli::flags::sources(typed.matches.subcommand().unwrap().1, true);
        assert_eq!(sources.components, ["a.wasm", "b.wasm"].map(std::path::PathBuf::from));
        let typed = read("pounce compile a.wasm b.wasm --output c.cwasm").unwrap();
        assert_eq!(typed.unknown[0].to_string().lines().next(), Some("b.wasm: is one argument too many"));
    }

    #[test]
    fn a_negative_value_is_a_value() {
        let typed = read("pounce serve --idle-timeout -5s --reuse -1 --args -1x a.wasm").unwrap();
        assert!(typed.unknown.is_empty());
        let layer = crate::cli::flags::layer(typed.matches.subcommand().unwrap().1);
        assert_eq!(layer["http.idle-timeout"].texts, ["-5s"]);
        assert_eq!(layer["guest.reuse"].texts, ["-1"]);
        assert_eq!(layer["guest.args"].texts, ["-1x"]);
    }

    #[test]
    fn help_is_no_mistake() {
        let (help, _) = read("pounce serve --lissten 1 --help").unwrap_err();
        assert!(!help.use_stderr());
    }

    #[test]
    fn the_last_of_a_flag_counts_and_lists_add_up() {
        let typed = read("pounce serve --reuse 1 --reuse 2 --args --verbose --args b").unwrap();
        let layer = crate::cli::flags::layer(typed.matches.subcommand().unwrap().1);
        assert_eq!(layer["guest.reuse"].texts, ["2"]);
        assert_eq!(layer["guest.args"].texts, ["--verbose", "b"]);
        assert_eq!(layer.len(), 2);
    }
}
