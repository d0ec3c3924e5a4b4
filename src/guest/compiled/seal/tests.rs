//! Seals: what is written is read again, and nothing else is.

use std::fs::File;

use base64::Engine as _;
use proptest::prelude::*;
use ring::rand::SystemRandom;
use ring::signature::KeyPair as _;

use super::*;

const FACTS: &[u8] = b"{\"what\":\"a test\"}";

/// A sealed file of several blocks, none of whose parts is like another.
fn sealed(seal: impl FnOnce(&File) -> io::Result<()>) -> Vec<u8> {
    let mut file = tempfile::tempfile().unwrap();
    let code: Vec<u8> = (0..700_000_u32).map(|at| (at ^ (at >> 8)).wrapping_mul(37) as u8).collect();
    file.write_all(&[ELF, &code[..]].concat()).unwrap();
    seal(&file).unwrap();
    map::content(&file).unwrap().whole().unwrap().into_owned()
}

fn check(bytes: &[u8], keys: Keys<'_>) -> Result<Vec<u8>, Refusal> {
    let content = Content::Bytes(bytes.to_vec());
    End::of(&content)?.check(&content, keys, |_, _| Ok(()))
}

/// A key of a machine, and a file that is sealed with it.
fn by_machine(key: u8) -> (MachineKey, Vec<u8>) {
    let key = MachineKey::of_bytes([key; 32]);
    let file = sealed(|file| append_machine(file, FACTS, &key));
    (key, file)
}

/// A public key, and a file that its private half has signed.
fn signed() -> (ArtifactKey, Vec<u8>) {
    let key = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
    let key = Ed25519KeyPair::from_pkcs8(key.as_ref()).unwrap();
    let head = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
    let spki = [&head[..], key.public_key().as_ref()].concat();
    let spki = base64::engine::general_purpose::STANDARD.encode(spki);
    let folder = tempfile::tempdir().unwrap();
    let pem = folder.path().join("key.pub.pem");
    std::fs::write(&pem, format!("-----BEGIN PUBLIC KEY-----\n{spki}\n-----END PUBLIC KEY-----\n")).unwrap();
    let file = sealed(|file| append_signature(file, FACTS, &key));
    (ArtifactKey::from_file(pem).unwrap(), file)
}

#[test]
fn what_was_sealed_holds_and_tells_its_facts() {
    let (machine, bound) = by_machine(1);
    assert_eq!(check(&bound, Keys::Machine(Ok(&machine))).unwrap(), FACTS);
    let (key, signed) = signed();
    assert_eq!(check(&signed, Keys::Artifact(&key)).unwrap(), FACTS);
}

#[test]
fn each_word_that_does_not_count_has_its_own_refusal() {
    let ((machine, bound), (other, of_other)) = (by_machine(1), by_machine(2));
    let ((key, of_key), (_, of_other_key)) = (signed(), signed());
    let ours = Keys::Machine(Ok(&machine));
    assert!(matches!(check(&of_other, ours), Err(Refusal::OtherMachine)));
    assert!(matches!(check(&bound, Keys::Machine(Ok(&other))), Err(Refusal::OtherMachine)));
    assert!(matches!(check(&bound, Keys::Machine(Err("no home"))), Err(Refusal::NoMachineKey(_))));
    assert!(matches!(check(&bound, Keys::Artifact(&key)), Err(Refusal::Unsigned)));
    assert!(matches!(check(&of_key, ours), Err(Refusal::Untrusted)));
    assert!(matches!(check(&of_other_key, Keys::Artifact(&key)), Err(Refusal::OtherSigner)));
    // Who writes another's name under it is found out.
    let mut renamed = of_other;
    let at = renamed.len() - TRAILER + 8;
    renamed[at..at + 8].copy_from_slice(&machine.id());
    assert!(matches!(check(&renamed, ours), Err(Refusal::Damaged)));
    // A seal of another layout, of none, and none at all.
    let mut layout = bound.clone();
    *layout.last_mut().unwrap() = 1;
    assert!(matches!(check(&layout, ours), Err(Refusal::Layout(1))));
    assert!(matches!(check(&bound[..bound.len() - 1], ours), Err(Refusal::Unsealed)));
    assert!(matches!(check(&bound[..20], ours), Err(Refusal::Unsealed)));
    assert!(matches!(check(b"#!/bin/sh", ours), Err(Refusal::Foreign)));
    assert!(matches!(check(b"", ours), Err(Refusal::Foreign)));
}

/// What can become of a file on its way.
#[derive(Debug, Clone)]
enum Mutation {
    Flip {
        at: prop::sample::Index,
        bit: u8,
    },
    /// A bit changes among the last bytes, where facts, kind, key and seal are.
    FlipLate {
        back: usize,
        bit: u8,
    },
    Cut {
        to: prop::sample::Index,
    },
    CutLate {
        by: usize,
    },
    Append(Vec<u8>),
    Insert {
        at: prop::sample::Index,
        byte: u8,
    },
    Remove {
        at: prop::sample::Index,
    },
    /// A hole, as a file system leaves it after a power cut.
    Zero {
        from: prop::sample::Index,
        length: usize,
    },
    Swap {
        one: prop::sample::Index,
        other: prop::sample::Index,
        length: usize,
    },
}

fn mutation() -> impl Strategy<Value = Mutation> {
    use Mutation::*;
    let index = any::<prop::sample::Index>;
    prop_oneof![
        (index(), 0..8_u8).prop_map(|(at, bit)| Flip { at, bit }),
        (0..200_usize, 0..8_u8).prop_map(|(back, bit)| FlipLate { back, bit }),
        index().prop_map(|to| Cut { to }),
        (1..200_usize).prop_map(|by| CutLate { by }),
        prop::collection::vec(any::<u8>(), 1..200).prop_map(Append),
        (index(), any::<u8>()).prop_map(|(at, byte)| Insert { at, byte }),
        index().prop_map(|at| Remove { at }),
        (index(), 1..100_000_usize).prop_map(|(from, length)| Zero { from, length }),
        (index(), index(), 1..300_000_usize).prop_map(|(one, other, length)| Swap { one, other, length }),
    ]
}

impl Mutation {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let length = bytes.len();
        match self {
            Self::Flip { at, bit } => bytes[at.index(length)] ^= 1 << bit,
            Self::FlipLate { back, bit } => bytes[length - 1 - back] ^= 1 << bit,
            Self::Cut { to } => bytes.truncate(to.index(length)),
            Self::CutLate { by } => bytes.truncate(length - by),
            Self::Append(more) => bytes.extend_from_slice(more),
            Self::Insert { at, byte } => bytes.insert(at.index(length), *byte),
            Self::Remove { at } => drop(bytes.remove(at.index(length))),
            Self::Zero { from, length: zeros } => {
                let from = from.index(length);
                bytes[from..length.min(from + zeros)].fill(0);
            }
            Self::Swap { one, other, length: swapped } => {
                let (one, other) = (one.index(length), other.index(length));
                let (one, other) = (one.min(other), one.max(other));
                let swapped = (*swapped).min(other - one).min(length - other);
                let (head, tail) = bytes.split_at_mut(other);
                head[one..one + swapped].swap_with_slice(&mut tail[..swapped]);
            }
        }
    }
}

/// Whatever happens to a file, it does not hold any more.
#[test]
fn whatever_is_changed_is_refused() {
    let ((machine, bound), (key, of_key)) = (by_machine(1), signed());
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(400));
    let files = [(bound, Keys::Machine(Ok(&machine))), (of_key, Keys::Artifact(&key))];
    runner
        .run(&(mutation(), any::<bool>()), |(mutation, is_signed)| {
            let (whole, keys) = &files[usize::from(is_signed)];
            let mut changed = whole.clone();
            mutation.apply(&mut changed);
            prop_assume!(changed != *whole);
            prop_assert!(check(&changed, *keys).is_err());
            Ok(())
        })
        .unwrap();
}
