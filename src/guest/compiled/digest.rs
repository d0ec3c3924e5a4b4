//! Hashes of contents that may have a hundred MiB, while somebody waits for the server to start: block by block, on all
//! processors, with nothing of them left in memory.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use blake3::{Hash, Hasher};

use crate::guest::content::Content;

/// Bytes that are hashed by themselves.
const BLOCK: usize = 256 * 1024;
/// Blocks that are worth a thread.
const PER_THREAD: u64 = 4;

/// A hash function for one purpose: BLAKE3 of the length and the hashes of all blocks, with another key for each level, so
/// that a block cannot be taken for a list of hashes.
pub(super) struct Digest {
    block: Hasher,
    whole: Hasher,
}

impl Digest {
    /// The function for a purpose that nothing else has (a context of BLAKE3's key derivation), with a key, which may be
    /// empty.
    pub(super) fn new(context: &str, key: &[u8]) -> Self {
        let level = |name: &[u8]| Hasher::new_keyed(&blake3::derive_key(context, &[name, key].concat()));
        Self { block: level(b"block"), whole: level(b"whole") }
    }

    /// Hash of the first `length` bytes of `content`; `look` sees each block and where it begins.
    ///
    /// # Errors
    /// It cannot be read, is shorter, or `look` has failed.
    pub(super) fn of(
        &self,
        content: &Content,
        length: u64,
        look: impl Fn(&[u8], u64) -> io::Result<()> + Sync,
    ) -> io::Result<Hash> {
        let next = AtomicU64::new(0);
        let work = || {
            let mut buffer = Vec::new();
            let mut hashes = Vec::new();
            loop {
                let at = next.fetch_add(BLOCK as u64, Ordering::Relaxed);
                let Some(left) = length.checked_sub(at).filter(|left| *left > 0) else {
                    return io::Result::Ok(hashes);
                };
                let length = usize::try_from(left).unwrap_or(BLOCK).min(BLOCK);
                let block = content.part(at, length, &mut buffer)?;
                look(block, at)?;
                hashes.push((at, self.block.clone().update(block).finalize()));
            }
        };
        let wanted = (length / (BLOCK as u64 * PER_THREAD)).max(1);
        let threads = std::thread::available_parallelism().map_or(1, |threads| threads.get() as u64);
        let mut hashes = std::thread::scope(|scope| {
            // Where there are no more threads, those that are there do it.
            let others: Vec<_> = (1..threads.min(wanted))
                .map_while(|_| std::thread::Builder::new().spawn_scoped(scope, work).ok())
                .collect();
            let mut hashes = work()?;
            for other in others {
                hashes.extend(other.join().map_err(|_| io::Error::other("a thread that hashes died"))??);
            }
            io::Result::Ok(hashes)
        })?;
        hashes.sort_unstable_by_key(|(at, _)| *at);
        let mut whole = self.whole.clone();
        whole.update(&length.to_le_bytes());
        for (_, hash) in &hashes {
            whole.update(hash.as_bytes());
        }
        Ok(whole.finalize())
    }

    /// Hash of all of `content`.
    ///
    /// # Errors
    /// It cannot be read, or has become shorter.
    pub(super) fn of_all(&self, content: &Content) -> io::Result<Hash> {
        self.of(content, content.length(), |_, _| Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn hash(bytes: &[u8]) -> Hash {
        Digest::new("pounce test", b"key").of_all(&Content::Bytes(bytes.to_vec())).unwrap()
    }

    /// Digests of every length around the edges of blocks, with every part told from every other.
    #[test]
    fn each_byte_and_its_place_counts() {
        let bytes: Vec<u8> = (0..BLOCK * 9 + 5).map(|at| (at * 7 + at / 251) as u8).collect();
        let mut seen = std::collections::HashSet::new();
        for length in [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, BLOCK * 8, bytes.len()] {
            assert!(seen.insert(hash(&bytes[..length])), "{length}");
        }
        for at in [0, BLOCK - 1, BLOCK, BLOCK * 4 + 17, bytes.len() - 1] {
            let mut other = bytes.clone();
            other[at] ^= 1;
            assert!(seen.insert(hash(&other)), "{at}");
        }
        let mut swapped = bytes.clone();
        swapped[..BLOCK * 2].rotate_left(BLOCK);
        assert!(seen.insert(hash(&swapped)), "blocks in another order");
        let other = Digest::new("pounce test", b"kex").of_all(&Content::Bytes(bytes.clone())).unwrap();
        assert!(seen.insert(other), "another key");
        let other = Digest::new("pounce tests", b"key").of_all(&Content::Bytes(bytes.clone())).unwrap();
        assert!(seen.insert(other), "another purpose");
        assert_eq!(hash(&bytes), hash(&bytes));
    }

    #[test]
    fn a_file_has_the_hash_of_its_bytes_and_each_block_is_looked_at_once() {
        let bytes = vec![b'x'; BLOCK * 9 + 5];
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        let content = Content::File(file, bytes.len() as u64);
        let looked = AtomicU64::new(0);
        let digest = Digest::new("pounce test", b"key");
        let look = |block: &[u8], _| {
            looked.fetch_add(block.len() as u64, Ordering::Relaxed);
            Ok(())
        };
        assert_eq!(digest.of(&content, content.length(), look).unwrap(), hash(&bytes));
        assert_eq!(looked.into_inner(), content.length());
        assert!(digest.of(&content, content.length() + 1, |_, _| Ok(())).is_err(), "shorter than that");
        let refuse = |_: &[u8], at| if at == 0 { Err(io::Error::other("no")) } else { Ok(()) };
        assert!(digest.of(&content, content.length(), refuse).is_err());
    }
}
