//! Mapping files of machine code: the one place that runs what a file holds.
#![allow(
    unsafe_code,
    reason = "machine code is run as it stands: the callers see to whose it is, and that it stays"
)]

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;

use memmap2::Mmap;
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::guest::content::Content;

/// The content of a file in our cache directory, or of an anonymous one.
pub(super) fn content(file: &File) -> io::Result<Content> {
    // SAFETY: nobody else can write the file: it is anonymous, or in a directory that is this user's alone under a name
    // that is given to whole files only. A user who overwrites files there attacks but their own process.
    unsafe { Mmap::map(file) }.map(Content::Mapped)
}

/// The component whose machine code `file` holds; its seal holds, or it was just compiled.
///
/// # Errors
/// It was compiled for another version, other settings or a processor that can do more.
pub(super) fn component(engine: &Engine, file: &File) -> anyhow::Result<Component> {
    // By its descriptor: this very file was checked, whatever its name stands for now.
    let path = format!("/dev/fd/{}", file.as_raw_fd());
    // SAFETY: the bytes are of our own compiler, by whoever sealed them, and do not change (see `content`).
    unsafe { Component::deserialize_file(engine, path) }.map_err(anyhow::Error::from)
}
