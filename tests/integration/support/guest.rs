//! Where guests are, or how to build them.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// The version of wasi:http that a guest was built for; most tests hold for both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Abi {
    /// wasi:http 0.2
    P2,
    /// wasi:http 0.3
    P3,
}

impl Abi {
    /// The built guest of this name for this ABI.
    pub(crate) fn guest(self, name: &str) -> PathBuf {
        built(&self.stem(name))
    }

    /// Its file name without `.wasm`, which is also the default component and service name.
    pub(crate) fn stem(self, name: &str) -> String {
        match self {
            Abi::P2 => name.to_owned(),
            Abi::P3 => format!("{name}-p3"),
        }
    }
}

/// `guests/build/STEM.wasm`.
pub(crate) fn built(stem: &str) -> PathBuf {
    build();
    let path = root().join("guests/build").join(format!("{stem}.wasm"));
    assert!(path.exists(), "{} is missing: run `make guests`", path.display());
    path
}

/// Builds the guests where none is built, as on a machine that runs `cargo test` for the first time.
fn build() {
    static BUILT: OnceLock<()> = OnceLock::new();
    BUILT.get_or_init(|| {
        if root().join("guests/build").exists() {
            return;
        }
        // Not by a macro: what it prints is kept back until a test fails.
        let said = "building the guests, once (make guests)\n";
        _ = std::io::stderr().write_all(said.as_bytes());
        let built = Command::new(root().join("guests/build.sh")).stdout(Stdio::null()).status();
        assert!(built.is_ok_and(|status| status.success()), "the guests cannot be built: see above");
    });
}

/// `guests/foreign/build/STEM.wasm`.
pub(crate) fn foreign(stem: &str) -> PathBuf {
    let path = root().join("guests/foreign/build").join(format!("{stem}.wasm"));
    assert!(path.exists(), "{} is missing: run `make test-foreign`", path.display());
    path
}

/// A file under `tests/fixtures`.
pub(crate) fn fixture(name: &str) -> PathBuf {
    let path = root().join("tests/fixtures").join(name);
    assert!(path.exists(), "no fixture {}", path.display());
    path
}

/// The repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
