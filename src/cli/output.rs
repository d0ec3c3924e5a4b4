//! Everything that the program prints. Standard output gets ready lines (and help) only.
//!
//! A reader that went away is no error: nothing here fails or panics when a line can't be written.

use std::fmt::Display;
use std::io::Write;
use std::process::ExitCode;

use crate::config::Mistakes;

/// Says on standard output that a listener is ready: `listening on http://127.0.0.1:8080`.
pub(super) fn ready(line: impl Display) {
    let mut stdout = std::io::stdout().lock();
    // Flushed, as whoever waits for the line reads it through a pipe.
    let _unread = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
}

/// Says on standard error what went wrong.
pub(super) fn error(error: impl Display) {
    let _unread = writeln!(std::io::stderr().lock(), "error: {error}");
}

/// Says on standard error everything that is wrong with the configuration.
pub(super) fn mistakes(mistakes: &Mistakes) {
    mistakes.iter().for_each(error);
}

/// Prints help, version or what is wrong with the command line; the exit status that goes with it.
pub(super) fn usage(errors: &[clap::Error]) -> ExitCode {
    for error in errors {
        let _unread = error.print();
    }
    let status = errors
        .iter()
        .map(clap::Error::exit_code)
        .max()
        .unwrap_or_default();
    ExitCode::from(u8::try_from(status).unwrap_or(super::MISTAKE))
}
