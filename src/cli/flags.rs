//! Flags and help, out of the table of options.

use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::config::{Declared, Given, Layer, Source, all_options};

/// Adds a flag for every option.
pub(super) fn add(command: Command) -> Command {
    all_options().fold(command, |command, option| command.arg(argument(option)))
}

/// What was typed, by key.
pub(super) fn layer(matches: &ArgMatches) -> Layer {
    let typed = |option: &Declared| {
        let texts: Vec<String> = matches.get_many::<String>(&option.key())?.cloned().collect();
        Some((option.key(), Given { texts, source: Source::Flag(option.flag()) }))
    };
    all_options().filter_map(typed).collect()
}

fn argument(option: &Declared) -> Arg {
    let paragraphs = option.paragraphs();
    let mut short = paragraphs[0].trim_end_matches('.').to_owned();
    if option.default != "none" {
        short = format!("{short} [default: {}]", option.default);
    }
    let mut long = paragraphs.join("\n\n");
    if option.list {
        long.push_str(" Repeat the flag for more.");
    }
    let own = option.variable();
    let variables: Vec<&str> = [own.as_str()].into_iter().chain(option.standard.iter().copied()).collect();
    let names =
        format!("[default: {}]\n[env: {}]\n[file: {}]", option.default, variables.join(", "), option.key());
    Arg::new(option.key())
        .long(option.flag())
        .value_name(option.value_name)
        .help_heading(option.heading)
        .help(short)
        .long_help(format!("{long}\n\n{names}"))
        .action(if option.list { ArgAction::Append } else { ArgAction::Set })
        // `--args --verbose` means the guest's flag.
        .allow_hyphen_values(option.key() == "guest.args")
}
