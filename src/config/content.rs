//! The content of a file that the operator names, as far as it may go: the path may be that of a device without end, or
//! of something else than was meant.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

/// Most that a file of settings, certificates or one secret may hold.
pub(crate) const MAX_SETTINGS: u64 = 1 << 20;

/// Why a file was not read.
#[derive(Debug)]
pub(crate) enum Unread {
    /// It can't be opened or read, or is no text where text is wanted.
    Io(io::Error),
    /// It holds more than so many bytes.
    TooLarge(u64),
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "can't be read: {error}"),
            Self::TooLarge(limit) => write!(f, "is larger than {} MiB", limit >> 20),
        }
    }
}

/// Reads `path`, which may be a pipe or a device, too.
///
/// # Errors
/// It can't be read, or holds more than `limit` bytes; of those, no more than one is read.
pub(crate) fn read(path: &Path, limit: u64) -> Result<Vec<u8>, Unread> {
    let mut file = File::open(path).map_err(Unread::Io)?;
    // What says so itself need not be read to find out. Pipes and devices say nothing.
    let length = file.metadata().map_err(Unread::Io)?.len();
    if length > limit {
        return Err(Unread::TooLarge(limit));
    }
    let mut content = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
    let read = file.by_ref().take(limit + 1).read_to_end(&mut content).map_err(Unread::Io)?;
    if read as u64 > limit { Err(Unread::TooLarge(limit)) } else { Ok(content) }
}

/// Reads a text of at most [`MAX_SETTINGS`].
///
/// # Errors
/// As [`read`]; and for what is not UTF-8.
pub(crate) fn read_text(path: &Path) -> Result<String, Unread> {
    let invalid = |_| Unread::Io(io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"));
    String::from_utf8(read(path, MAX_SETTINGS)?).map_err(invalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_end_is_not_read_to_it() {
        let error = read(Path::new("/dev/zero"), MAX_SETTINGS).unwrap_err();
        assert_eq!(error.to_string(), "is larger than 1 MiB");
    }

    #[test]
    fn the_limit_itself_is_fine() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, [b'x'; 100]).unwrap();
        assert_eq!(read(&path, 100).unwrap().len(), 100);
        assert!(matches!(read(&path, 99), Err(Unread::TooLarge(99))));
        std::fs::write(&path, [0xff]).unwrap();
        assert!(read_text(&path).unwrap_err().to_string().contains("UTF-8"));
        assert!(matches!(read_text(folder.path()), Err(Unread::Io(_))));
    }
}
