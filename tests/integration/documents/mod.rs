//! README, CONTRIBUTING, CHANGELOG and docs: their links lead somewhere, and their commands are run.
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

fn none(what: &str, faults: &[String]) {
    assert!(faults.is_empty(), "{} {what}:\n{}", faults.len(), faults.join("\n"));
}
