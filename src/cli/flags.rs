//! Flags and help, out of the table of options.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use crate::config::{Declared, Given, Layer, Source, Sources, Vars, all_options};

/// Adds the component, the file of settings and the flags of what is `wanted`: what is served, and how.
pub(super) fn add(command: Command, what_for: &str, wanted: impl Fn(&Declared) -> bool) -> Command {
    let component = Arg::new("component")
        .value_name("COMPONENT")
        .num_args(0..)
        .action(ArgAction::Append)
        .help(format!("Component to {what_for}: a .wasm, .wat or .cwasm file"))
        .long_help(format!(
            "Component to {what_for}: a .wasm or .wat file that exports wasi:http 0.2 or 0.3, or what pounce compile made \
             of one (.cwasm). With several, each is called as its file without the ending, and --route says which \
             requests go to which.\n\nMay be left out where --config names it."
        ))
        .value_parser(value_parser!(PathBuf));
    add_where(command.arg(component), wanted)
}

/// Adds the file of settings, and the flags of some options.
pub(super) fn add_where(command: Command, wanted: impl Fn(&Declared) -> bool) -> Command {
    let file = Arg::new("config")
        .long("config")
        .value_name("FILE")
        .help("File of settings, such as pounce.toml")
        .long_help(
            "File of settings, such as pounce.toml. Paths in it are relative to it.\n\n[env: POUNCE_CONFIG]",
        )
        .value_parser(value_parser!(PathBuf));
    add_options(command.arg(file), wanted)
}

/// Adds the flags of some options.
pub(super) fn add_options(command: Command, wanted: impl Fn(&Declared) -> bool) -> Command {
    let wanted = all_options().filter(|option| wanted(option));
    wanted.fold(command, |command, option| command.arg(argument(option)))
}

/// Where the settings come from: what was typed, the environment, the file.
pub(super) fn sources(matches: &ArgMatches, needs_component: bool) -> Sources {
    let paths = |id| matches.try_get_many::<PathBuf>(id).ok().flatten().into_iter().flatten().cloned();
    Sources {
        flags: layer(matches),
        components: paths("component").collect(),
        file: paths("config").next_back(),
        needs_component,
        vars: Vars::of_process(),
        ..Sources::default()
    }
}

/// What was typed, by key.
pub(super) fn layer(matches: &ArgMatches) -> Layer {
    let typed = |option: &Declared| {
        // Not every command has every flag.
        let texts = matches.try_get_many::<String>(&option.key()).ok().flatten()?.cloned().collect();
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
    let arg = Arg::new(option.key())
        .long(option.flag())
        .value_name(option.value_name)
        .help_heading(option.heading)
        .help(short)
        .long_help(format!("{long}\n\n{names}"))
        .action(if option.list { ArgAction::Append } else { ArgAction::Set })
        // `--args --verbose` means the guest's flag.
        .allow_hyphen_values(option.key() == "guest.args");
    // With an equals sign only: the next argument is the component.
    if option.switch { arg.num_args(0..=1).require_equals(true).default_missing_value("on") } else { arg }
}
