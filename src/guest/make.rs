//! What `pounce compile` makes of a component: an artifact that starts without compiling.

use std::path::Path;

use anyhow::{Context as _, bail};

use super::compiled::{Compiler, Compiling, ELF, Sign, Target};
use super::component;
use super::inspect::{self, Inspection};
use crate::config::Config;

/// An artifact, and what there is to say of it.
pub(crate) struct Made {
    /// The bytes of its file.
    pub(crate) content: Vec<u8>,
    /// Processors that it is for.
    pub(crate) target: Target,
    /// Whether it is signed, and so not bound to this machine.
    pub(crate) signed: bool,
}

/// Names of the processors that can be compiled for, `native` first.
pub(crate) fn targets() -> Vec<&'static str> {
    Target::names().collect()
}

/// Compiles the component at `path` for `target` (a name of [`Target`]); signed with the private key in the file `key`, or
/// else sealed for this user on this machine.
///
/// # Errors
/// It is not a component that can be served, does not compile, or there is no key to seal it with.
pub(crate) fn make(
    path: &Path,
    config: &Config,
    compiling: Compiling,
    target: &str,
    key: Option<&Path>,
) -> anyhow::Result<Made> {
    let target: Target = target.parse().map_err(|error: String| anyhow::anyhow!(error))?;
    let sign = key.map_or(Ok(Sign::Machine), Sign::with_key)?;
    let compiler = Compiler::new(&config.guest, compiling);
    let name = || format!("component `{}` cannot be compiled", path.display());
    let content = component::read(path).with_context(name)?;
    if content.begins_with(ELF)? {
        bail!("`{}` is compiled already; name the component itself (.wasm)", path.display());
    }
    let wasm = content.whole().with_context(name)?;
    let contents = inspect::contents(&wasm).with_context(name)?;
    let version = inspect::version(&contents.exports).with_context(name)?;
    component::check_imports(&contents).with_context(name)?;
    let inspection = Inspection { version, contents };
    let content = compiler.make_artifact(path, &wasm, &inspection, target, &sign).with_context(name)?;
    Ok(Made { content, target, signed: key.is_some() })
}
