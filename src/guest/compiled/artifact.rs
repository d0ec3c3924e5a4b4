//! Artifacts: machine code in a file of its own, compiled beforehand (`pounce compile`), for this machine or for many.

use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::path::Path;

use anyhow::{Context as _, bail};
use ring::signature::Ed25519KeyPair;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde::{Deserialize, Serialize};
use wasmtime::Engine;
use wasmtime::component::Component as WasmComponent;

use super::seal::{self, Keys};
use super::{Compiler, Target, cache, map};
use crate::config::content;
use crate::guest::engine::Tuning;
use crate::guest::inspect::Inspection;

/// What an artifact says of itself, under its seal.
#[derive(Debug, Serialize, Deserialize)]
struct Facts {
    /// Version of Pounce that compiled it.
    pounce: String,
    /// Processors that it is for.
    target: String,
    /// Bytes of the component.
    size: usize,
    /// What the component is.
    inspection: Inspection,
}

/// An artifact that may be run.
pub(crate) struct Artifact {
    file: File,
    facts: Facts,
}

impl Artifact {
    /// The artifact in `file`, which nobody can change.
    pub(super) fn of(file: File, keys: Keys<'_>) -> anyhow::Result<Self> {
        let content = map::bytes(&file)?;
        let facts = seal::check(&content, keys)?;
        let version =
            serde_json::from_slice::<Version>(facts).context("what it says of itself cannot be read")?;
        if version.pounce != env!("CARGO_PKG_VERSION") {
            bail!(
                "it was compiled by Pounce {}, and this is {}; compile the component again with this one",
                version.pounce,
                env!("CARGO_PKG_VERSION")
            );
        }
        let facts = serde_json::from_slice(facts).context("what it says of itself cannot be read")?;
        drop(content);
        Ok(Self { file, facts })
    }

    /// What the component is that was compiled.
    pub(crate) fn inspection(&self) -> &Inspection {
        &self.facts.inspection
    }

    /// Bytes of the component that was compiled.
    pub(crate) fn size(&self) -> usize {
        self.facts.size
    }

    /// The component, for `engine`.
    ///
    /// # Errors
    /// This processor lacks a feature that the machine code uses, or wasmtime or its settings differ.
    pub(crate) fn component(&self, engine: &Engine) -> anyhow::Result<WasmComponent> {
        map::component(engine, &self.file).map_err(|error| {
            error.context(format!(
                "it was compiled for other processors (target {}) or by another build of Pounce; compile the component \
                 again, with a --target that both processors know",
                self.facts.target
            ))
        })
    }
}

/// Of the facts, what every version of Pounce can read.
#[derive(Deserialize)]
struct Version {
    pounce: String,
}

/// Who seals an artifact.
pub(crate) enum Sign {
    /// This machine's user, for this machine.
    Machine,
    /// The holder of a private key, for every machine that knows the public one.
    Key(Ed25519KeyPair),
}

impl Sign {
    /// The Ed25519 private key in a PEM file (PKCS #8, not encrypted).
    ///
    /// # Errors
    /// The file cannot be read, or has no such key.
    pub(crate) fn with_key(path: &Path) -> anyhow::Result<Self> {
        let how = "make one: openssl genpkey -algorithm ed25519 -out key.pem";
        let content = content::read(path, content::MAX_SETTINGS)
            .map_err(|error| anyhow::anyhow!("`{}` {error}", path.display()))?;
        let key = PrivatePkcs8KeyDer::from_pem_slice(&content).map_err(|_| {
            anyhow::anyhow!("`{}` has no unencrypted private key (PKCS #8, PEM) in it; {how}", path.display())
        })?;
        let key = Ed25519KeyPair::from_pkcs8_maybe_unchecked(key.secret_pkcs8_der()).map_err(|error| {
            anyhow::anyhow!("`{}` has no Ed25519 key in it ({error}); {how}", path.display())
        })?;
        Ok(Self::Key(key))
    }
}

impl Compiler {
    /// Compiles `wasm`, the content of the file `path`, into an artifact: the bytes of its file.
    ///
    /// # Errors
    /// It does not compile, or there is no key of this machine to seal it with.
    pub(crate) fn make_artifact(
        &self,
        path: &Path,
        wasm: &[u8],
        inspection: Inspection,
        target: Target,
        sign: &Sign,
    ) -> anyhow::Result<Vec<u8>> {
        let mut file = cache::anonymous()?;
        self.compile(path, wasm, Tuning::Pooled, target, &file)?;
        let facts = Facts {
            pounce: env!("CARGO_PKG_VERSION").to_owned(),
            target: target.to_string(),
            size: wasm.len(),
            inspection,
        };
        let facts = serde_json::to_vec(&facts)?;
        match sign {
            Sign::Key(key) => seal::append_signature(&file, &facts, key)?,
            Sign::Machine => match self.machine() {
                Ok(machine) => seal::append_machine(&file, &facts, machine)?,
                Err(error) => bail!("{error}; or sign the artifact: --key"),
            },
        }
        let mut artifact = Vec::new();
        file.rewind()?;
        file.read_to_end(&mut artifact)?;
        Ok(artifact)
    }
}
