//! What somebody at a terminal sees while a component compiles: one line that moves. Elsewhere the log says it.

use std::io::IsTerminal as _;
use std::sync::Mutex;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::guest::{Compiling, Progress, Worker};

/// Compiling as the binary does it.
pub(super) fn compiling() -> Compiling {
    Compiling::by(Worker::Child).telling(show)
}

/// How often the line moves.
const PACE: Duration = Duration::from_millis(100);

static LINE: Mutex<Option<ProgressBar>> = Mutex::new(None);

fn show(progress: Progress<'_>) {
    let Ok(mut line) = LINE.lock() else { return };
    match progress {
        Progress::Begun { path, bytes } if std::io::stderr().is_terminal() => {
            let style = ProgressStyle::with_template("{spinner} compiling {msg} {elapsed}");
            let bar = ProgressBar::new_spinner()
                .with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
            let size = indicatif::BinaryBytes(bytes as u64);
            bar.set_message(format!("{} ({size})", path.display()));
            bar.enable_steady_tick(PACE);
            *line = Some(bar);
        }
        Progress::Begun { .. } => {}
        Progress::Ended => {
            if let Some(bar) = line.take() {
                bar.finish_and_clear();
            }
        }
    }
}
