//! README, CONTRIBUTING, CHANGELOG and docs: their links lead somewhere, their commands are run, and their settings read.
//!
//! Of a fence ```` ```console ```` each line that begins with `$ ` is a command. All of a page are run in one folder, in order:
//! the status has to be 0, and lines below the command are what it prints (`…` stands for any text, on a line of its own for
//! any lines; times count as equal). `pounce serve` and `pounce dev` are waited for until they listen, and drained. Comments of
//! a line right before a fence say more:
//!
//! | comment | means |
//! | --- | --- |
//! | `<!-- not run: WHY -->` | only the flags of its `pounce` commands, and the targets of its `make`, are looked at |
//! | `<!-- file: NAME -->` | what is in it is written to this file |
//! | `<!-- now: NAME -->` | this file has become what is in it |
//!
//! All fences ```` ```toml ```` of a page are one file of settings, but for these:
//!
//! | comment | means |
//! | --- | --- |
//! | `<!-- tested with GUEST -->` | a file of cases, run by `cases::files` with this guest |
//! | `<!-- not settings: WHY -->` | TOML of somebody else's, which nothing here reads |

/// Commands: run, or their flags read by the binary.
mod commands;
/// Links, anchors, and the width of prose.
mod links;
/// What a page holds.
mod markdown;
/// Names of flags, keys and variables in text.
mod names;
/// A folder in which the commands of a page are run.
mod session;
/// Settings in TOML, read.
mod settings;

fn none(what: &str, faults: &[String]) {
    assert!(faults.is_empty(), "{} {what}:\n{}", faults.len(), faults.join("\n"));
}
