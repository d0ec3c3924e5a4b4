//! The key of this machine's user: what it has sealed, this user compiled on this machine.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use anyhow::{Context as _, bail};
use ring::rand::{SecureRandom as _, SystemRandom};

use super::seal;
use crate::config::directories;

/// Name of the key's file in our data directory.
const FILE: &str = "machine.key";
/// Group and others may do nothing with what is ours alone.
const OTHERS: u32 = 0o077;

/// 32 random bytes that are made at first use, in `pounce/machine.key` of the XDG data directory.
pub(super) struct MachineKey([u8; 32]);

impl MachineKey {
    /// Reads the key, or makes it.
    ///
    /// # Errors
    /// There is no data directory, it cannot be written, or the file is not the user's alone.
    pub(super) fn of_user() -> anyhow::Result<Self> {
        let data = directories::data().context("there is no home directory for the key of this machine")?;
        Self::in_directory(&data.join("pounce"))
    }

    fn in_directory(directory: &Path) -> anyhow::Result<Self> {
        let path = directory.join(FILE);
        let context = || format!("the key of this machine, `{}`, cannot be used", path.display());
        match Self::read(&path) {
            Ok(key) => return Ok(key),
            Err(error) if is_missing(&error) => {}
            Err(error) => return Err(error).with_context(context),
        }
        Self::make(directory, &path).with_context(context)?;
        // Another process may have been first: all use the key that is there.
        Self::read(&path).with_context(context)
    }

    fn read(path: &Path) -> anyhow::Result<Self> {
        let mut file = open(OpenOptions::new().read(true), path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() || metadata.uid() != rustix::process::geteuid().as_raw() {
            bail!("it is not a file of this user; remove it, and another is made");
        }
        if metadata.mode() & OTHERS != 0 {
            bail!("others may read it (mode {:o}); remove it, and another is made", metadata.mode() & 0o777);
        }
        let mut key = [0; 32];
        if metadata.len() != 32 || file.read_exact(&mut key).is_err() {
            bail!("it does not have 32 bytes; remove it, and another is made");
        }
        Ok(Self(key))
    }

    /// Whole or not at all: a file under another name, then a link, which fails where there is one already.
    fn make(directory: &Path, path: &Path) -> anyhow::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        let random = SystemRandom::new();
        let (mut key, mut name) = ([0; 32], [0; 8]);
        random.fill(&mut key).and_then(|()| random.fill(&mut name)).ok().context("no random numbers")?;
        let draft = directory.join(format!("{FILE}.{:x}", u64::from_ne_bytes(name)));
        let written = open(OpenOptions::new().write(true).create_new(true).mode(0o600), &draft)
            .and_then(|mut file| file.write_all(&key).and_then(|()| file.sync_all()))
            .and_then(|()| match std::fs::hard_link(&draft, path) {
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
                linked => linked,
            });
        let removed = std::fs::remove_file(&draft);
        written?;
        Ok(removed?)
    }

    #[cfg(test)]
    pub(super) const fn of_bytes(key: [u8; 32]) -> Self {
        Self(key)
    }

    /// What names the key without telling it.
    pub(super) fn id(&self) -> [u8; 8] {
        seal::id_of(&self.0)
    }

    pub(super) fn secret(&self) -> &[u8; 32] {
        &self.0
    }
}

fn open(options: &mut OpenOptions, path: &Path) -> std::io::Result<File> {
    options.custom_flags(libc::O_NOFOLLOW).open(path)
}

fn is_missing(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<std::io::Error>();
    error.is_some_and(|error| error.kind() == std::io::ErrorKind::NotFound)
}
