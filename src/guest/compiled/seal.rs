//! The seal at the end of a file of machine code: who vouches for every byte before it.
//!
//! ```text
//! machine code (ELF) | facts (JSON, may be empty) | length of facts, 4 | kind, 1 | 0, 3 | key, 8 | seal, 64 | magic, 8
//! ```
//!
//! Numbers are little-endian. The seal covers all that stands before it. That of this machine is a keyed BLAKE3 hash
//! (32 bytes, then zeros); a signature is Ed25519 (RFC 8032) of the BLAKE3 hash in a context of its own. `key` says which
//! key it was, so that another's can be told from a file that was damaged.

use std::fs::File;
use std::io::{self, Seek as _, SeekFrom, Write as _};

use ring::signature::{ED25519, Ed25519KeyPair, UnparsedPublicKey};

use super::keys::MachineKey;
use super::map;
use crate::config::ArtifactKey;

/// Last bytes of a sealed file; the last of them is the version of this layout.
const MAGIC: &[u8; 8] = b"pounce\0\x01";
/// First bytes of an ELF file.
const ELF: &[u8; 4] = b"\x7fELF";
/// Bytes after the facts.
const TRAILER: usize = 4 + 1 + 3 + 8 + 64 + 8;
/// Bytes at the end that the seal does not cover.
const UNSEALED: usize = 64 + 8;
/// Context of the hash that is signed (BLAKE3's key derivation): no other use of the key has it.
const CONTEXT: &str = "pounce 2026-11-30 signature of an artifact";

const MACHINE: u8 = 1;
const SIGNED: u8 = 2;

/// Who may vouch for a file.
#[derive(Clone, Copy)]
pub(super) enum Keys<'a> {
    /// This machine's user, by a key; or why there is none.
    Machine(Result<&'a MachineKey, &'a str>),
    /// Whoever holds the private half of a key.
    Artifact(&'a ArtifactKey),
}

/// Why a file is not run.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
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

/// Adds `facts` and the seal of this machine to the machine code in `file`.
pub(super) fn append_machine(file: &File, facts: &[u8], key: &MachineKey) -> io::Result<()> {
    append(file, facts, MACHINE, key.id(), |content| {
        let mut seal = [0; 64];
        seal[..32].copy_from_slice(hash(blake3::Hasher::new_keyed(key.secret()), content).as_bytes());
        seal
    })
}

/// Adds `facts` and a signature to the machine code in `file`.
pub(super) fn append_signature(file: &File, facts: &[u8], key: &Ed25519KeyPair) -> io::Result<()> {
    use ring::signature::KeyPair as _;
    append(file, facts, SIGNED, id_of(key.public_key().as_ref()), |content| {
        let mut seal = [0; 64];
        seal.copy_from_slice(key.sign(signed(content).as_bytes()).as_ref());
        seal
    })
}

fn append(
    mut file: &File,
    facts: &[u8],
    kind: u8,
    id: [u8; 8],
    seal: impl FnOnce(&[u8]) -> [u8; 64],
) -> io::Result<()> {
    let length = u32::try_from(facts.len()).map_err(io::Error::other)?;
    file.seek(SeekFrom::End(0))?;
    file.write_all(&[facts, &length.to_le_bytes(), &[kind, 0, 0, 0], &id].concat())?;
    let seal = seal(&map::bytes(file)?);
    file.write_all(&[&seal[..], MAGIC].concat())
}

/// Checks the seal of a whole file.
///
/// # Errors
/// Nobody whose word counts vouches for it.
pub(super) fn check<'a>(content: &'a [u8], keys: Keys<'_>) -> Result<&'a [u8], Refusal> {
    if !content.starts_with(ELF) {
        return Err(Refusal::Foreign);
    }
    let (sealed, end) = content.split_last_chunk::<UNSEALED>().ok_or(Refusal::Unsealed)?;
    let (seal, magic) = end.split_at(64);
    if magic[..7] != MAGIC[..7] {
        return Err(Refusal::Unsealed);
    }
    if magic[7] != MAGIC[7] {
        return Err(Refusal::Layout(magic[7]));
    }
    let (rest, trailer) = sealed.split_last_chunk::<{ TRAILER - UNSEALED }>().ok_or(Refusal::Unsealed)?;
    let [l0, l1, l2, l3, kind, _, _, _, id @ ..] = trailer;
    match (*kind, keys) {
        (MACHINE, Keys::Machine(key)) => {
            let key = key.map_err(|error| Refusal::NoMachineKey(error.to_owned()))?;
            if *id != key.id() {
                return Err(Refusal::OtherMachine);
            }
            let hash = hash(blake3::Hasher::new_keyed(key.secret()), sealed);
            // Compared in constant time.
            let holds = seal.first_chunk::<32>().is_some_and(|seal| hash == *seal);
            if !holds || seal[32..].iter().any(|byte| *byte != 0) {
                return Err(Refusal::Damaged);
            }
        }
        (SIGNED, Keys::Artifact(key)) => {
            if *id != id_of(key.bytes()) {
                return Err(Refusal::OtherSigner);
            }
            let key = UnparsedPublicKey::new(&ED25519, key.bytes());
            key.verify(signed(sealed).as_bytes(), seal).map_err(|_| Refusal::Damaged)?;
        }
        (MACHINE, Keys::Artifact(_)) => return Err(Refusal::Unsigned),
        (SIGNED, Keys::Machine(_)) => return Err(Refusal::Untrusted),
        _ => return Err(Refusal::Damaged),
    }
    let length = u32::from_le_bytes([*l0, *l1, *l2, *l3]) as usize;
    let facts = rest.len().checked_sub(length).ok_or(Refusal::Damaged)?;
    Ok(&rest[facts..])
}

/// What tells one key from another: eight bytes of its hash.
pub(super) fn id_of(key: &[u8]) -> [u8; 8] {
    let hash = blake3::derive_key("pounce 2026-11-30 name of a key", key);
    hash.first_chunk().copied().unwrap_or_default()
}

fn signed(content: &[u8]) -> blake3::Hash {
    hash(blake3::Hasher::new_derive_key(CONTEXT), content)
}

/// On all processors: the file may have a hundred MiB, and somebody waits for the server to start.
fn hash(mut hasher: blake3::Hasher, content: &[u8]) -> blake3::Hash {
    hasher.update_rayon(content).finalize()
}
