//! Compiled once, served often: the cache of compiled components, and artifacts.

/// `pounce compile`, and what it made.
mod artifacts;
/// The cache: found again, and not too large.
mod cache;
/// Compiling: what is seen of it, and what it may take.
mod compiling;
/// Files that were changed, processes that are killed, directories and disks that cannot be used.
mod hostile;

use crate::support::client;
use crate::support::pounce::{Builder, Pounce, pounce};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// What a log line says where the cache had it.
const CACHED: &str = "compiled already";

/// A home directory of the test's own.
struct Home(TempDir);

impl Home {
    fn new() -> Self {
        Home(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The directory of compiled components.
    fn cache(&self) -> PathBuf {
        self.path("cache/pounce/compiled")
    }

    /// Complete files in it.
    fn cached(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.cache()).into_iter().flatten();
        entries.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some()).collect()
    }

    /// A server whose user lives here, and which says more than it usually does.
    fn pounce(&self) -> Builder {
        self.house(pounce()).flag("--log-level", "debug")
    }

    /// Has the user of a process live here.
    fn house(&self, builder: Builder) -> Builder {
        builder
            .env("XDG_CACHE_HOME", self.path("cache").display())
            .env("XDG_DATA_HOME", self.path("data").display())
    }
}

/// What the hello says.
async fn says_hello(server: &Pounce) {
    let answer = client::fetch_path(server.addr(), "/").await;
    assert_eq!((answer.status.as_u16(), answer.text()), (200, "Hello, World!\n"));
}

/// Another byte at a place of a file.
fn change(path: &Path, at: usize) {
    use std::os::unix::fs::PermissionsExt as _;
    let mut content = std::fs::read(path).unwrap();
    content[at] ^= 1 << (at % 8);
    // In place: what is mapped or copied from is this very file.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::write(path, content).unwrap();
}
