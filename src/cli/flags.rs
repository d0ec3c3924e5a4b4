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
        let texts: Vec<String> = matches
            .get_many::<String>(&option.key())?
            .cloned()
            .collect();
        Some((
            option.key(),
            Given {
                texts,
                source: Source::Flag(option.flag()),
            },
        ))
    };
    all_options().filter_map(typed).collect()
}

fn argument(option: &Declared) -> Arg {
    let paragraphs = option.paragraphs();
    let short = format!(
        "{} [default: {}]",
        paragraphs[0].trim_end_matches('.'),
        option.default
    );
    let repeat = if option.list {
        " Repeat the flag for more."
    } else {
        ""
    };
    let variables = [
        &[option.variable()][..],
        &option
            .standard
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>(),
    ]
    .concat();
    let names = format!(
        "[default: {}]\n[env: {}]\n[file: {}]",
        option.default,
        variables.join(", "),
        option.key()
    );
    Arg::new(option.key())
        .long(option.flag())
        .value_name(option.value_name)
        .help_heading(option.heading)
        .help(short)
        .long_help(format!("{}{repeat}\n\n{names}", paragraphs.join("\n\n")))
        .action(if option.list {
            ArgAction::Append
        } else {
            ArgAction::Set
        })
        // `--args --verbose` means the guest's flag, and `--reuse -1` deserves our message.
        .allow_hyphen_values(option.key() == "guest.args")
        .allow_negative_numbers(true)
}
