//! One batch as a file: its name says what it is, its content proves that it is whole.
//!
//! The name is `TIME-SIGNAL-ITEMS.otlp`, the time in nanoseconds since 1970, so that names sort by age. The content is
//! a mark, the CRC-32 of what follows and its length, both in four bytes, the low one first; then the OTLP request as
//! protobuf, whatever form it is sent in.

use crate::signal::Signal;
use bytes::Bytes;
use flate2::Crc;
use std::fmt;
use std::io::{self, Read, Write};

const MARK: [u8; 8] = *b"pounce1\n";
const HEAD: usize = MARK.len() + 4 + 4;
/// What a file takes of a disk is counted in blocks.
const BLOCK: u64 = 4096;

/// The name of a file, which says what is in it. The oldest is the smallest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Name {
    /// Nanoseconds since 1970; no two files have the same.
    pub(crate) time: u64,
    pub(crate) signal: Signal,
    pub(crate) items: u32,
}

impl Name {
    /// Reads a name; none for files that are not ours.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let mut parts = text.strip_suffix(".otlp")?.split('-');
        let (time, signal, items) = (parts.next()?, parts.next()?, parts.next()?);
        let signals = [Signal::Traces, Signal::Metrics, Signal::Logs];
        let name = Name {
            // No later than dates go, so that there is always a later one.
            time: time.parse().ok().filter(|time| i64::try_from(*time).is_ok())?,
            signal: signals.into_iter().find(|one| one.word() == signal)?,
            items: items.parse().ok()?,
        };
        // As it would be written, and in no other way.
        (parts.next().is_none() && name.to_string() == text).then_some(name)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:020}-{}-{}.otlp", self.time, self.signal.word(), self.items)
    }
}

/// Bytes of the disk that a file of `len` bytes takes.
pub(crate) fn on_disk(len: u64) -> u64 {
    len.div_ceil(BLOCK).max(1).saturating_mul(BLOCK)
}

/// Bytes of the disk that a batch takes.
pub(crate) fn size(body: &[u8]) -> u64 {
    on_disk((HEAD + body.len()) as u64)
}

/// Writes a batch.
pub(crate) fn write(mut to: impl Write, body: &[u8]) -> io::Result<()> {
    let len = u32::try_from(body.len()).map_err(|_| io::ErrorKind::FileTooLarge)?;
    let mut head = [0; HEAD];
    head[..8].copy_from_slice(&MARK);
    head[8..12].copy_from_slice(&crc(body).to_le_bytes());
    head[12..].copy_from_slice(&len.to_le_bytes());
    to.write_all(&head)?;
    to.write_all(body)?;
    to.flush()
}

/// Reads the batch of a file of `len` bytes.
///
/// # Errors
/// `InvalidData` if it is not as it was written; otherwise what the system says.
pub(crate) fn read(mut from: impl Read, len: u64) -> io::Result<Bytes> {
    let mut content = Vec::with_capacity(usize::try_from(len).unwrap_or(0));
    // It may have grown since.
    from.by_ref().take(len).read_to_end(&mut content)?;
    let flaw = |what| io::Error::new(io::ErrorKind::InvalidData, what);
    let Some((head, body)) = content.split_at_checked(HEAD) else {
        return Err(flaw("it is cut off"));
    };
    let number = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    if head[..8] != MARK {
        return Err(flaw("it is of another kind"));
    }
    if number(12) as usize != body.len() {
        return Err(flaw("it is not as long as it was"));
    }
    if number(8) != crc(body) {
        return Err(flaw("its checksum is wrong"));
    }
    Ok(Bytes::from(content).split_off(HEAD))
}

fn crc(body: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(body);
    crc.sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_sort_by_age_and_are_read_back() {
        let name = |time, signal, items| Name { time, signal, items };
        let names =
            [name(7, Signal::Logs, 9), name(10, Signal::Traces, 1), name(1 << 60, Signal::Metrics, 0)];
        let texts = names.map(|name| name.to_string());
        assert!(texts.is_sorted() && names.is_sorted(), "{texts:?}");
        assert_eq!(texts[0], "00000000000000000007-logs-9.otlp");
        assert_eq!(texts.each_ref().map(|text| Name::read(text)), names.map(Some));
        for foreign in [
            "",
            ".otlp",
            "lock",
            "7-logs-9.otlp",
            "00000000000000000007-logs-9.otlp.new",
            "00000000000000000007-logs-+9.otlp",
            "00000000000000000007-logs-9-1.otlp",
            "00000000000000000007-profiles-9.otlp",
            "99999999999999999999-logs-9.otlp",
        ] {
            assert_eq!(Name::read(foreign), None, "{foreign}");
        }
    }

    proptest! {
        #[test]
        fn a_file_is_read_as_it_was_written_or_not_at_all(
            body in proptest::collection::vec(any::<u8>(), 0..2000),
            at in any::<proptest::sample::Index>(),
            flip in 1..=u8::MAX,
        ) {
            let mut file = Vec::new();
            write(&mut file, &body).unwrap();
            prop_assert!(size(&body) >= file.len() as u64);
            let len = file.len() as u64;
            prop_assert_eq!(&*read(&file[..], len).unwrap(), &body[..]);
            prop_assert_eq!(&*read(&[&file[..], b"more"].concat()[..], len).unwrap(), &body[..]);
            let cut = at.index(file.len());
            prop_assert_eq!(read(&file[..cut], cut as u64).unwrap_err().kind(), io::ErrorKind::InvalidData);
            file[cut] ^= flip;
            prop_assert_eq!(read(&file[..], len).unwrap_err().kind(), io::ErrorKind::InvalidData);
        }
    }
}
