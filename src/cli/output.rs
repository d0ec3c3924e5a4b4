//! Everything that the program prints. Standard output gets ready lines, reports and help only.
//!
//! A reader that went away is no error: nothing here fails or panics when a line can't be written.

use std::fmt::Display;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use crate::config::Mistake;
use pounce_telemetry::terminal::{self, Style};

/// How long the last word may take where nobody reads.
const LAST_WORD: Duration = Duration::from_secs(1);

/// Says on standard output that a listener is ready: `listening on http://127.0.0.1:8080`.
pub(super) fn ready(line: impl Display) {
    let mut stdout = std::io::stdout().lock();
    // Flushed, as whoever waits for the line reads it through a pipe.
    let _unread = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
}

/// Prints on standard output what was asked for, whole lines.
pub(super) fn report(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let _unread = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

/// Says on standard error what is worth knowing, whole lines.
pub(super) fn note(text: &str) {
    let _unread = std::io::stderr().lock().write_all(text.as_bytes());
}

/// Says on standard error what went wrong; on a terminal with colours.
pub(super) fn error(error: impl Display) {
    let text = shown(&error.to_string(), terminal::is_coloured());
    let _unread = std::io::stderr().lock().write_all(text.as_bytes());
}

/// `error: …`, and what to do on a line of its own.
fn shown(error: &str, colour: bool) -> String {
    let mut text = String::new();
    let mut put = |part: &str, style| {
        let _infallible = terminal::styled(&mut text, part, style, colour);
    };
    put("error:", Some(Style::Red));
    put(" ", None);
    for (number, line) in error.lines().enumerate() {
        if number > 0 {
            put("\n", None);
        }
        match line.strip_prefix("  tip:") {
            Some(tip) => {
                put("  tip:", Some(Style::Cyan));
                put(tip, None);
            }
            None => put(line, None),
        }
    }
    put("\n", None);
    text
}

/// Says on standard error what went wrong, to the `pounce` process that reads it and says more.
pub(super) fn plain_error(error: impl Display) {
    let _unread = writeln!(std::io::stderr().lock(), "{error}");
}

/// Says on standard error what went wrong, to whoever may not be reading it: the process ends all the same.
pub(super) fn last_word(said: String) {
    let (done, is_done) = std::sync::mpsc::sync_channel(1);
    std::thread::spawn(move || {
        error(said);
        // Nobody waits any more.
        _ = done.send(());
    });
    // Whether it was said cannot be told to anybody.
    _ = is_done.recv_timeout(LAST_WORD);
}

/// Says on standard error everything that is wrong with what was typed and configured.
pub(super) fn mistakes<'m>(mistakes: impl IntoIterator<Item = &'m Mistake>) {
    mistakes.into_iter().for_each(error);
}

/// Prints help or version, or what is wrong with the command line; the exit status that goes with it.
pub(super) fn usage(end: &clap::Error, unknown: &[Mistake]) -> ExitCode {
    // Help that was asked for beats what is wrong beside it.
    if end.use_stderr() {
        mistakes(unknown);
    }
    let _unread = end.print();
    ExitCode::from(u8::try_from(end.exit_code()).unwrap_or(super::MISTAKE))
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn errors_have_colours_on_a_terminal_only() {
        let told = "a: unknown flag\n  tip: did you mean b?";
        assert_eq!(shown(told, false), format!("error: {told}\n"));
        assert_eq!(
            shown(told, true),
            "\u{1b}[31merror:\u{1b}[0m a: unknown flag\n\u{1b}[36m  tip:\u{1b}[0m did you mean b?\n"
        );
    }
}
