//! What the process may write and run: landlock, the kernel's way for a process to restrict itself without a privilege.
//! Reading stays free: a reload may name any certificate or component.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use landlock::{
    ABI, AccessFs, BitFlags, CompatLevel, Compatible as _, PathBeneath, PathFd, Ruleset, RulesetAttr as _,
    RulesetCreated, RulesetCreatedAttr as _, RulesetStatus, Scope, make_bitflags,
};
use object::elf::FileHeader64;
use object::read::elf::{FileHeader as _, ProgramHeader as _};
use object::{Endianness, ReadCache};

use super::Writable;

/// Our own program file, whatever its path has become.
const OWN: &str = "/proc/self/exe";
/// The variable that names the service manager's socket, which may be an abstract one.
const NOTIFY_SOCKET: &str = "NOTIFY_SOCKET";

/// How much of landlock the kernel has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Landlock {
    /// None: it is not built in, or not switched on.
    None,
    /// Files can be truncated anywhere (before Linux 6.2).
    WithoutTruncation,
    /// Devices take commands, and other processes signals (before Linux 6.12).
    Files,
    /// All that is asked of it.
    All,
}

impl Landlock {
    /// What this kernel has. A rule that it does not know is refused, so each is proposed to it; none is put in force.
    pub(super) fn of_kernel() -> Self {
        let knows = |access: BitFlags<AccessFs>| {
            let rules = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
            rules.handle_access(access).is_ok()
        };
        let has_scopes = || {
            let rules = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
            rules.scope(Scope::Signal | Scope::AbstractUnixSocket).is_ok()
        };
        if !knows(AccessFs::Execute.into()) {
            Self::None
        } else if !knows(AccessFs::Truncate.into()) {
            Self::WithoutTruncation
        } else if !(knows(AccessFs::IoctlDev.into()) && has_scopes()) {
            Self::Files
        } else {
            Self::All
        }
    }

    pub(super) fn is_there(self) -> bool {
        self != Self::None
    }

    /// What it does not restrict: that which matters, and what would be good to have.
    pub(super) fn missing(self) -> (Vec<&'static str>, Vec<&'static str>) {
        match self {
            Self::None => (vec!["files (the kernel has no landlock)"], Vec::new()),
            Self::WithoutTruncation => (vec!["truncating files (Linux 6.2 or later)"], vec![BESIDE]),
            Self::Files => (Vec::new(), vec![BESIDE]),
            Self::All => (Vec::new(), Vec::new()),
        }
    }

    /// As `/status` and `pounce check` name it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::WithoutTruncation | Self::Files => "partial",
            Self::All => "full",
        }
    }
}

const BESIDE: &str = "commands to devices, and signals to other processes (Linux 6.12 or later)";

/// What is forbidden but where a rule allows it.
fn handled() -> BitFlags<AccessFs> {
    AccessFs::from_write(ABI::V6) | AccessFs::Execute
}

/// What may be done in a directory that is written to. Devices are made nowhere.
fn writing() -> BitFlags<AccessFs> {
    AccessFs::from_write(ABI::V6) & !make_bitflags!(AccessFs::{MakeChar | MakeBlock | IoctlDev})
}

/// Restricts this thread, and all that it starts, to these directories.
pub(super) fn restrict(writable: &Writable, kernel: &Landlock) -> anyhow::Result<()> {
    if !kernel.is_there() {
        return Ok(());
    }
    let threads = std::fs::read_dir("/proc/self/task").context("the threads of this process")?.count();
    if threads != 1 {
        bail!("this process has {threads} threads already, and only the first would be restricted");
    }
    let mut rules = Ruleset::default().handle_access(handled())?.scope(Scope::Signal)?;
    // The service manager has to be told of the start.
    let manager = std::env::var_os(NOTIFY_SOCKET).unwrap_or_default();
    if !manager.as_encoded_bytes().starts_with(b"@") {
        rules = rules.scope(Scope::AbstractUnixSocket)?;
    }
    let mut rules = rules.create()?;
    for path in &writable.directories {
        rules = allow(rules, path, writing())?;
    }
    for path in &writable.sockets {
        rules = allow(rules, path, AccessFs::MakeSock | AccessFs::RemoveFile)?;
    }
    rules = allow(rules, Path::new("/dev/null"), AccessFs::WriteFile.into())?;
    // The compiler is this very program, in a process of its own.
    for path in [Some(PathBuf::from(OWN)), loader()?].into_iter().flatten() {
        rules = allow(rules, &path, AccessFs::Execute.into())?;
    }
    if rules.restrict_self()?.ruleset == RulesetStatus::NotEnforced {
        bail!("the rules are not in force");
    }
    Ok(())
}

/// Allows `access` below a path; what is not there needs no rule.
fn allow(rules: RulesetCreated, path: &Path, access: BitFlags<AccessFs>) -> anyhow::Result<RulesetCreated> {
    let Ok(below) = PathFd::new(path) else { return Ok(rules) };
    rules.add_rule(PathBeneath::new(below, access)).with_context(|| format!("`{}`", path.display()))
}

/// The program that loads ours and its libraries; none of a binary that is linked statically.
fn loader() -> anyhow::Result<Option<PathBuf>> {
    let own = ReadCache::new(File::open(OWN).context(OWN)?);
    let header = FileHeader64::<Endianness>::parse(&own)?;
    let endian = header.endian()?;
    for segment in header.program_headers(endian, &own)? {
        if let Some(path) = segment.interpreter(endian, &own)? {
            return Ok(Some(PathBuf::from(std::str::from_utf8(path)?)));
        }
    }
    Ok(None)
}
