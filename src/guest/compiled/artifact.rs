//! Machine code in a file, with what there is to know of the component: one that the cache has, or an artifact that was
//! compiled beforehand (`pounce compile`), for this machine or for many.

use std::fs::File;
use std::io;
use std::path::Path;

use anyhow::{Context as _, bail};
use ring::signature::Ed25519KeyPair;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde::{Deserialize, Serialize};
use wasmtime::component::Component as WasmComponent;

use super::seal::{self, End, Keys};
use super::worker::Task;
use super::{Compiler, Target, cache, map};
use crate::config::content;
use crate::guest::content::Content;
use crate::guest::engine::{Slots, Tuning};
use crate::guest::inspect::Inspection;

/// What a file of machine code says of itself, under its seal.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Facts {
    /// Version of Pounce that compiled it.
    pounce: String,
    /// Processors that it is for.
    target: String,
    /// Bytes of the component.
    size: u64,
    /// What the component is.
    inspection: Inspection,
}

impl Facts {
    /// What there is to say of `wasm`, compiled by this very program.
    pub(super) fn new(wasm: &[u8], target: Target, inspection: &Inspection) -> Self {
        Self {
            pounce: env!("CARGO_PKG_VERSION").to_owned(),
            target: target.to_string(),
            size: wasm.len() as u64,
            inspection: inspection.clone(),
        }
    }

    pub(super) fn to_bytes(&self) -> anyhow::Result<Vec<u8>> {
        Ok(serde_json::to_vec(self)?)
    }
}

/// Machine code that may be run.
pub(crate) struct Artifact {
    file: File,
    facts: Facts,
}

impl Artifact {
    /// The machine code in `file`, which nobody else can change.
    ///
    /// # Errors
    /// Nobody whose word counts vouches for it, or another version of Pounce made it.
    pub(super) fn of(file: File, keys: Keys<'_>) -> anyhow::Result<Self> {
        let content = map::content(&file)?;
        let facts = End::of(&content)?.check(&content, keys, |_, _| Ok(()))?;
        drop(content);
        Self::with(file, &facts)
    }

    /// The machine code in `copy`, which nobody else can change, if it is that of `original` byte by byte.
    ///
    /// # Errors
    /// It is not the same, nobody whose word counts vouches for it, or another version of Pounce made it.
    pub(super) fn of_copy(copy: File, original: &Content, keys: Keys<'_>) -> anyhow::Result<Self> {
        let content = map::content(&copy)?;
        let end = End::of(original)?;
        let facts = end.check(original, keys, |block, at| {
            match content.part(at, block.len(), &mut Vec::new())? == block {
                true => Ok(()),
                false => Err(io::Error::other("it is not the same as its copy in the cache")),
            }
        })?;
        drop(content);
        Self::with(copy, &facts)
    }

    /// Machine code whose seal holds.
    fn with(file: File, facts: &[u8]) -> anyhow::Result<Self> {
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
        Ok(Self { file, facts })
    }

    /// What the component is that was compiled.
    pub(crate) fn inspection(&self) -> &Inspection {
        &self.facts.inspection
    }

    /// Bytes of the component that was compiled.
    pub(crate) fn size(&self) -> u64 {
        self.facts.size
    }

    /// The component, for an engine.
    ///
    /// # Errors
    /// This processor lacks a feature that the machine code uses, wasmtime or its settings differ, or there is too
    /// little address space.
    pub(crate) fn component(&self, slots: &Slots) -> anyhow::Result<WasmComponent> {
        map::component(&slots.engine, &self.file).map_err(|error| {
            let why = match slots.tuning {
                Tuning::Pooled => format!(
                    "it was compiled for other processors (target {}) or by another build of Pounce; compile the \
                     component again, with a --target that both processors know",
                    self.facts.target
                ),
                Tuning::OnDemand => "it was compiled for more address space than this process may have (ulimit -v); \
                                     allow it more, or serve the component itself (.wasm)"
                    .to_owned(),
            };
            error.context(why)
        })
    }
}

/// The facts that every version of Pounce can read.
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
        inspection: &Inspection,
        target: Target,
        sign: &Sign,
    ) -> anyhow::Result<Vec<u8>> {
        let file = cache::anonymous()?;
        self.compile(path, &Task { wasm, tuning: Tuning::Pooled, target }, &file)?;
        let facts = Facts::new(wasm, target, inspection).to_bytes()?;
        match sign {
            Sign::Key(key) => seal::append_signature(&file, &facts, key)?,
            Sign::Machine => match self.machine() {
                Ok(machine) => seal::append_machine(&file, &facts, machine)?,
                Err(error) => bail!("{error}; or sign the artifact: --key"),
            },
        }
        Ok(map::content(&file)?.whole()?.into_owned())
    }
}
