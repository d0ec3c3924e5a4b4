//! A named pipe in the place of a file: who reads it waits for the test, as long as the test likes.

use super::eventually;
use rustix::fs::{CWD, Mode, OFlags, mkfifoat, open};
use std::fs::File;
use std::path::Path;

/// Makes one.
pub(crate) fn make(path: &Path) {
    mkfifoat(CWD, path, Mode::RUSR | Mode::WUSR).expect("a folder of our own");
}

/// Waits until somebody reads it. What is written to the end that is returned is what the file holds; it is over when
/// that end is dropped.
pub(crate) async fn read_by_somebody(path: &Path) -> File {
    let mut end = None;
    // Without a reader there is nothing to open.
    eventually("the pipe to be read", async || {
        end = open(path, OFlags::WRONLY | OFlags::NONBLOCK, Mode::empty()).ok();
        end.is_some()
    })
    .await;
    let end = end.expect("opened");
    rustix::fs::fcntl_setfl(&end, OFlags::empty()).expect("an open file");
    File::from(end)
}
