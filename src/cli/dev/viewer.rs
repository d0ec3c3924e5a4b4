//! Opens the trace viewer in the developer's browser.

use std::process::{Command, Stdio};

/// What opens an address in a browser.
const OPENER: &str = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };

/// Opens `url`; where nothing can, the log says where to look.
pub(super) fn open(url: Option<&str>) {
    let Some(url) = url else {
        tracing::warn!("there is no trace viewer to open: the admin listener is off, or on a unix socket");
        return;
    };
    let started = Command::new(OPENER)
        .arg(url)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    match started {
        Ok(mut opener) => {
            tracing::info!("opening {url}");
            // Waited for, so that it leaves no process behind that nobody has asked how it ended.
            let url = url.to_owned();
            std::thread::spawn(move || match opener.wait() {
                Ok(status) if !status.success() => {
                    tracing::warn!("{OPENER} could not open a browser: open {url} yourself");
                }
                _ => {}
            });
        }
        Err(_) => tracing::warn!("there is no {OPENER} here to open a browser with: open {url} yourself"),
    }
}
