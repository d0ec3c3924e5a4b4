//! The seal at the end of a file of machine code: who vouches for every byte before it.
//!
//! ```text
//! machine code (ELF) | facts (JSON, may be empty) | length of facts, 4 | kind, 1 | 0, 3 | key, 8 | seal, 64 | magic, 8
//! ```
//!
//! Numbers are little-endian. The seal covers all that stands before it. That of this machine is a keyed hash ([`Digest`];
//! 32 bytes, then zeros); a signature is Ed25519 (RFC 8032) of a hash in a context of its own. `key` says which key it was,
//! so that another's can be told from a file that was damaged.

use std::fs::File;
use std::io::{self, Seek as _, SeekFrom, Write as _};

use ring::signature::{ED25519, Ed25519KeyPair, UnparsedPublicKey};

use super::digest::Digest;
use super::keys::MachineKey;
use super::map;
use crate::config::ArtifactKey;
use crate::guest::content::Content;

/// Last bytes of a sealed file; the last of them is the version of this layout.
const MAGIC: &[u8; 8] = b"pounce\0\x02";
/// First bytes of an ELF file.
pub(in crate::guest) const ELF: &[u8; 4] = b"\x7fELF";
/// Bytes after the facts.
const TRAILER: usize = 4 + 1 + 3 + 8 + 64 + 8;
/// Bytes at the end that the seal does not cover.
const UNSEALED: usize = 64 + 8;

const MACHINE: u8 = 1;
const SIGNED: u8 = 2;

/// Who may vouch for a file.
#[derive(Clone, Copy)]
pub(super) enum Keys<'a> {
    /// This machine's user, by a key; or why there is none.
    Machine(Result<&'a MachineKey, &'a str>),
    /// A seal by the private half of this key, whoever holds it.
    Artifact(&'a ArtifactKey),
}

/// Why a file is not run.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("it cannot be read: {0}")]
    Unread(#[from] io::Error),
    #[error("it is not an artifact of `pounce compile`; name a component (.wasm), or compile one")]
    Foreign,
    #[error(
        "it ends too early: it was cut short, or `wasmtime compile` made it, for which nobody vouches; make it with \
         `pounce compile`"
    )]
    Unsealed,
    #[error(
        "it is an artifact of another version of Pounce (layout {0}); compile the component again with this one"
    )]
    Layout(u8),
    #[error("it was changed or damaged after it was compiled; copy it again, or compile the component again")]
    Damaged,
    #[error(
        "it was compiled on another machine or by another user, and has no signature; compile it here, or sign it there \
         (`pounce compile --key`) and name the public key here (--artifact-key)"
    )]
    OtherMachine,
    #[error("it is bound to this machine's key, which cannot be had: {0}")]
    NoMachineKey(String),
    #[error(
        "it has no signature, and --artifact-key (guest.artifact-key) asks for one; sign it: `pounce compile --key`"
    )]
    Unsigned,
    #[error(
        "it is signed, and nobody says whose signature counts; name the public key: --artifact-key (guest.artifact-key)"
    )]
    Untrusted,
    #[error("it is signed by another key than the one of --artifact-key (guest.artifact-key)")]
    OtherSigner,
}

/// The hash that is the seal of this machine.
fn of_machine(key: &MachineKey) -> Digest {
    Digest::new("pounce 2026-11-30 seal of a machine", key.secret())
}

/// The hash that is signed.
fn to_be_signed() -> Digest {
    Digest::new("pounce 2026-11-30 signature of an artifact", &[])
}

/// What tells one key from another: eight bytes of its hash.
pub(super) fn id_of(key: &[u8]) -> [u8; 8] {
    let hash = blake3::derive_key("pounce 2026-11-30 name of a key", key);
    hash.first_chunk().copied().unwrap_or_default()
}

/// Adds `facts` and the seal of this machine to the machine code in `file`.
pub(super) fn append_machine(file: &File, facts: &[u8], key: &MachineKey) -> io::Result<()> {
    append(file, facts, MACHINE, key.id(), |content| {
        let mut seal = [0; 64];
        seal[..32].copy_from_slice(of_machine(key).of_all(content)?.as_bytes());
        Ok(seal)
    })
}

/// Adds `facts` and a signature to the machine code in `file`.
pub(super) fn append_signature(file: &File, facts: &[u8], key: &Ed25519KeyPair) -> io::Result<()> {
    use ring::signature::KeyPair as _;
    append(file, facts, SIGNED, id_of(key.public_key().as_ref()), |content| {
        let mut seal = [0; 64];
        seal.copy_from_slice(key.sign(to_be_signed().of_all(content)?.as_bytes()).as_ref());
        Ok(seal)
    })
}

fn append(
    mut file: &File,
    facts: &[u8],
    kind: u8,
    id: [u8; 8],
    seal: impl FnOnce(&Content) -> io::Result<[u8; 64]>,
) -> io::Result<()> {
    let length = u32::try_from(facts.len()).map_err(io::Error::other)?;
    file.seek(SeekFrom::End(0))?;
    file.write_all(&[facts, &length.to_le_bytes(), &[kind, 0, 0, 0], &id].concat())?;
    let seal = seal(&map::content(file)?)?;
    file.write_all(&[&seal[..], MAGIC].concat())
}

/// The end of a file, by its own word.
pub(super) struct End {
    /// Bytes that the seal covers.
    sealed: u64,
    /// Length of the facts.
    facts: u32,
    kind: u8,
    key: [u8; 8],
    seal: [u8; 64],
}

impl End {
    /// Reads the end of a file.
    ///
    /// # Errors
    /// It is not the end of a sealed file of this version.
    pub(super) fn of(content: &Content) -> Result<Self, Refusal> {
        if !content.begins_with(ELF)? {
            return Err(Refusal::Foreign);
        }
        let start = content.length().checked_sub(TRAILER as u64).ok_or(Refusal::Unsealed)?;
        let mut buffer = Vec::new();
        let trailer = content.part(start, TRAILER, &mut buffer)?;
        let Some([l0, l1, l2, l3, kind, _, _, _, rest @ ..]) = trailer.first_chunk::<TRAILER>() else {
            return Err(Refusal::Unsealed);
        };
        let ([k0, k1, k2, k3, k4, k5, k6, k7, seal @ ..], magic) = rest.split_at(8 + 64) else {
            return Err(Refusal::Unsealed);
        };
        if magic[..7] != MAGIC[..7] {
            return Err(Refusal::Unsealed);
        }
        if magic[7] != MAGIC[7] {
            return Err(Refusal::Layout(magic[7]));
        }
        Ok(Self {
            sealed: content.length() - UNSEALED as u64,
            facts: u32::from_le_bytes([*l0, *l1, *l2, *l3]),
            kind: *kind,
            key: [*k0, *k1, *k2, *k3, *k4, *k5, *k6, *k7],
            seal: seal.first_chunk().copied().ok_or(Refusal::Unsealed)?,
        })
    }

    /// The seal: of two files that are sealed alike, it says whether they hold the same.
    pub(super) fn seal(&self) -> &[u8; 64] {
        &self.seal
    }

    /// Whether the word of the one who is said to have sealed it counts.
    ///
    /// # Errors
    /// Whose word does.
    pub(super) fn is_by(&self, keys: Keys<'_>) -> Result<(), Refusal> {
        match (self.kind, keys) {
            (MACHINE, Keys::Machine(Err(error))) => Err(Refusal::NoMachineKey(error.to_owned())),
            (MACHINE, Keys::Machine(Ok(key))) if self.key != key.id() => Err(Refusal::OtherMachine),
            (SIGNED, Keys::Artifact(key)) if self.key != id_of(key.bytes()) => Err(Refusal::OtherSigner),
            (MACHINE, Keys::Artifact(_)) => Err(Refusal::Unsigned),
            (SIGNED, Keys::Machine(_)) => Err(Refusal::Untrusted),
            (MACHINE | SIGNED, _) => Ok(()),
            _ => Err(Refusal::Damaged),
        }
    }

    /// Checks the seal of all of `content`, whose end this is, and returns its facts; `look` sees each block and where it
    /// begins.
    ///
    /// # Errors
    /// Nobody whose word counts vouches for it, or `look` has failed.
    pub(super) fn check(
        &self,
        content: &Content,
        keys: Keys<'_>,
        look: impl Fn(&[u8], u64) -> io::Result<()> + Sync,
    ) -> Result<Vec<u8>, Refusal> {
        self.is_by(keys)?;
        match keys {
            Keys::Machine(key) => {
                let key = key.map_err(|error| Refusal::NoMachineKey(error.to_owned()))?;
                let hash = of_machine(key).of(content, self.sealed, look)?;
                // Compared in constant time.
                let holds = self.seal.first_chunk::<32>().is_some_and(|seal| hash == *seal);
                if !holds || self.seal[32..].iter().any(|byte| *byte != 0) {
                    return Err(Refusal::Damaged);
                }
            }
            Keys::Artifact(key) => {
                let hash = to_be_signed().of(content, self.sealed, look)?;
                let key = UnparsedPublicKey::new(&ED25519, key.bytes());
                key.verify(hash.as_bytes(), &self.seal).map_err(|_| Refusal::Damaged)?;
            }
        }
        let end = self.sealed - (TRAILER - UNSEALED) as u64;
        let start = end.checked_sub(self.facts.into()).ok_or(Refusal::Damaged)?;
        Ok(content.part(start, self.facts as usize, &mut Vec::new())?.to_vec())
    }
}

#[cfg(test)]
mod tests;
