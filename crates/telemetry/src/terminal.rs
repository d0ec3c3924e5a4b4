//! Whether what is written for people may be coloured, and the control sequences for it.

use std::ffi::OsString;
use std::io::IsTerminal as _;

/// Ways to set off a text on a terminal: the numbers of its control sequences.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// In bold letters.
    Bold = 1,
    /// Less bright.
    Dim = 2,
    /// What failed.
    Red = 31,
    /// What went well.
    Green = 32,
    /// What looks wrong.
    Yellow = 33,
    /// Output.
    Blue = 34,
    /// Details.
    Magenta = 35,
    /// What to do, and names.
    Cyan = 36,
}

/// Appends `text` to `out`, set off where `colour` says so.
pub fn styled(
    out: &mut impl std::fmt::Write,
    text: &str,
    style: Option<Style>,
    colour: bool,
) -> std::fmt::Result {
    match style {
        Some(style) if colour && !text.is_empty() => write!(out, "\x1b[{}m{text}\x1b[0m", style as u8),
        _ => out.write_str(text),
    }
}

/// Whether standard error is coloured: `NO_COLOR` says no, `FORCE_COLOR` and `CLICOLOR_FORCE` yes, in this order; else it is
/// where it is a terminal that can do so and `CLICOLOR` is not 0.
pub fn is_coloured() -> bool {
    decide(|name| std::env::var_os(name), std::io::stderr().is_terminal())
}

fn decide(var: impl Fn(&str) -> Option<OsString>, is_terminal: bool) -> bool {
    // An empty variable counts as unset.
    let var = |name: &str| var(name).filter(|value| !value.is_empty());
    if var("NO_COLOR").is_some() {
        return false;
    }
    let forces = |name: &str| var(name).is_some_and(|value| value != "0" && value != "false");
    if forces("FORCE_COLOR") || forces("CLICOLOR_FORCE") {
        return true;
    }
    let is_off = |name: &str, off: &str| var(name).is_some_and(|value| value == off);
    let is_refused = is_off("CLICOLOR", "0") || is_off("FORCE_COLOR", "0") || is_off("TERM", "dumb");
    is_terminal && !is_refused
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_and_terminal_decide_on_colours() {
        let is_coloured = |set: &[(&str, &str)], is_terminal: bool| {
            let var = |name: &str| {
                set.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value))
            };
            decide(var, is_terminal)
        };
        for (set, on_terminal, in_pipe) in [
            (&[][..], true, false),
            (&[("NO_COLOR", "1")], false, false),
            (&[("NO_COLOR", "")], true, false),
            (&[("CLICOLOR", "0")], false, false),
            (&[("CLICOLOR", "1")], true, false),
            (&[("CLICOLOR_FORCE", "1")], true, true),
            (&[("CLICOLOR_FORCE", "0")], true, false),
            (&[("FORCE_COLOR", "3")], true, true),
            (&[("FORCE_COLOR", "0")], false, false),
            (&[("FORCE_COLOR", "1"), ("NO_COLOR", "1")], false, false),
            (&[("TERM", "dumb")], false, false),
            (&[("TERM", "dumb"), ("FORCE_COLOR", "1")], true, true),
        ] {
            assert_eq!([is_coloured(set, true), is_coloured(set, false)], [on_terminal, in_pipe], "{set:?}");
        }
    }
}
