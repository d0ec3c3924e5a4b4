//! Where guests are, or how to build them.

use std::path::{Path, PathBuf};

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
    let path = root().join("guests/build").join(format!("{stem}.wasm"));
    assert!(path.exists(), "{} is missing: run `make guests`", path.display());
    path
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
