//! What the file of a component holds, read as far as it is needed: of a component that is compiled already nothing has
//! to stay in memory.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use memmap2::Mmap;

use crate::config::content::Unread;

/// The content of a file: where it is, or as it was read.
pub(super) enum Content {
    /// A regular file, and how many bytes it had when it was opened. It is read rather than mapped: a process that looks at
    /// what is mapped dies where somebody cuts the file short.
    File(File, u64),
    /// A file that nobody else can change.
    Mapped(Mmap),
    /// What a pipe or a device gave, which gives it once.
    Bytes(Vec<u8>),
}

impl Content {
    /// Opens `path`, which may have `limit` bytes at most.
    ///
    /// # Errors
    /// It cannot be opened or read, or has more.
    pub(super) fn open(path: &Path, limit: u64) -> Result<Self, Unread> {
        let file = File::open(path).map_err(Unread::Io)?;
        let metadata = file.metadata().map_err(Unread::Io)?;
        // Files of the kernel's say that they are empty, and are not.
        if metadata.is_file() && metadata.len() > 0 {
            return match metadata.len() {
                length if length > limit => Err(Unread::TooLarge(limit)),
                length => Ok(Self::File(file, length)),
            };
        }
        let mut bytes = Vec::new();
        let read = file.take(limit + 1).read_to_end(&mut bytes).map_err(Unread::Io)?;
        if read as u64 > limit { Err(Unread::TooLarge(limit)) } else { Ok(Self::Bytes(bytes)) }
    }

    /// Its bytes.
    pub(super) fn length(&self) -> u64 {
        match self {
            Self::File(_, length) => *length,
            Self::Mapped(_) | Self::Bytes(_) => self.in_memory().len() as u64,
        }
    }

    fn in_memory(&self) -> &[u8] {
        match self {
            Self::File(..) => &[],
            Self::Mapped(bytes) => bytes,
            Self::Bytes(bytes) => bytes,
        }
    }

    /// The `length` bytes from `at` on; where they are not in memory they come into `buffer`.
    ///
    /// # Errors
    /// They cannot be read, or it has become shorter than that.
    pub(super) fn part<'a>(
        &'a self,
        at: u64,
        length: usize,
        buffer: &'a mut Vec<u8>,
    ) -> io::Result<&'a [u8]> {
        if let Self::File(file, _) = self {
            buffer.resize(length, 0);
            file.read_exact_at(buffer, at)?;
            return Ok(buffer);
        }
        let at = usize::try_from(at).map_err(io::Error::other)?;
        let part = self.in_memory().get(at..).and_then(|rest| rest.get(..length));
        part.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    /// Whether it begins with these bytes.
    pub(super) fn begins_with(&self, beginning: &[u8; 4]) -> io::Result<bool> {
        Ok(self.length() >= 4 && self.part(0, 4, &mut Vec::new())? == beginning)
    }

    /// All of it.
    ///
    /// # Errors
    /// It cannot be read, or has become shorter.
    pub(super) fn whole(&self) -> io::Result<Cow<'_, [u8]>> {
        if let Self::File(file, length) = self {
            let mut bytes = vec![0; usize::try_from(*length).map_err(io::Error::other)?];
            file.read_exact_at(&mut bytes, 0)?;
            return Ok(Cow::Owned(bytes));
        }
        Ok(Cow::Borrowed(self.in_memory()))
    }

    /// Appends all of it to `file`.
    ///
    /// # Errors
    /// It cannot be read or written, or has become shorter.
    pub(super) fn copy_to(&self, mut file: &File) -> io::Result<()> {
        let copied = match self {
            Self::File(from, length) => {
                // By descriptor, where the kernel can copy by itself.
                let mut from = from.try_clone()?;
                io::Seek::rewind(&mut from)?;
                io::copy(&mut from.take(*length), &mut file)?
            }
            Self::Mapped(_) | Self::Bytes(_) => io::copy(&mut self.in_memory(), &mut file)?,
        };
        if copied < self.length() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_and_its_bytes_are_the_same_content() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, b"0123456789").unwrap();
        for content in [Content::open(&path, 10).unwrap(), Content::Bytes(b"0123456789".to_vec())] {
            assert_eq!(content.length(), 10);
            assert!(content.begins_with(b"0123").unwrap() && !content.begins_with(b"1234").unwrap());
            assert_eq!(content.part(7, 3, &mut Vec::new()).unwrap(), b"789");
            for at in [8, 80] {
                let error = content.part(at, 3, &mut Vec::new()).unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
            }
            assert_eq!(&*content.whole().unwrap(), b"0123456789");
            let copy = folder.path().join("copy");
            content.copy_to(&File::create(&copy).unwrap()).unwrap();
            assert_eq!(std::fs::read(&copy).unwrap(), b"0123456789");
        }
        assert!(matches!(Content::open(&path, 9), Err(Unread::TooLarge(9))));
        assert!(matches!(Content::open(Path::new("/dev/zero"), 9), Err(Unread::TooLarge(9))));
    }

    #[test]
    fn a_file_that_is_cut_short_meanwhile_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, [b'x'; 100]).unwrap();
        let content = Content::open(&path, 100).unwrap();
        std::fs::write(&path, [b'x'; 50]).unwrap();
        let is_short = |error: io::Error| error.kind() == io::ErrorKind::UnexpectedEof;
        assert!(is_short(content.whole().unwrap_err()));
        assert!(is_short(content.copy_to(&tempfile::tempfile().unwrap()).unwrap_err()));
    }
}
