//! `http.harden`: before it has threads, the process gives up for good what serving does not need, so that whoever gets
//! hold of it, through a guest or a request, can do little with it. [`files`] is what it may write and run, [`calls`] which
//! system calls it may make. Both hold for its threads and its children, and nothing takes them back.

mod calls;
mod files;

use std::path::{Path, PathBuf};

use anyhow::{anyhow, bail};

use super::StartError;
use crate::config::{CacheDir, Config, Harden, ListenAddr};
use crate::guest;

pub(crate) use files::Landlock;

/// What this process has given up.
#[derive(Debug, Clone)]
pub(crate) struct Hardening {
    /// Where it may write, links resolved.
    writable: Vec<PathBuf>,
    pub(super) offer: Offer,
}

/// What the kernel has to restrict a process with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Offer {
    pub(crate) landlock: Landlock,
    pub(crate) seccomp: bool,
}

/// What to do where the kernel cannot do what is required.
pub(crate) const HINT: &str =
    "use a kernel that can (Linux 6.2 or later, with landlock and seccomp), or set http.harden to on";

impl Offer {
    /// What this kernel has; nothing is restricted.
    pub(crate) fn of_kernel() -> Self {
        Self { landlock: Landlock::of_kernel(), seccomp: calls::are_filtered_by_kernel() }
    }

    /// What cannot be restricted here, a phrase each. Those of the first list are what `required` insists on.
    pub(crate) fn missing(&self) -> (Vec<&'static str>, Vec<&'static str>) {
        let (mut vital, beside) = self.landlock.missing();
        if !self.seccomp {
            vital.push("system calls (the kernel has no seccomp)");
        }
        (vital, beside)
    }

    /// All that [`missing`](Self::missing) names.
    pub(crate) fn all_missing(&self) -> Vec<&'static str> {
        let (vital, beside) = self.missing();
        [vital, beside].concat()
    }

    /// Why a server with these settings does not start on this kernel, if it does not; [`HINT`] is what to do.
    pub(crate) fn refusal(&self, harden: Harden) -> Option<String> {
        let (vital, _) = self.missing();
        let is_refused = harden == Harden::Required && !vital.is_empty();
        is_refused.then(|| {
            format!("http.harden is required, and this kernel cannot restrict {}", vital.join(" and "))
        })
    }
}

impl Hardening {
    /// Restricts this process as the settings have it; none if they do not want it.
    ///
    /// It has to be called before there are other threads: those that there are stay as they were.
    ///
    /// # Errors
    /// It is required, and the kernel cannot do it; or the kernel refuses what it says it can do.
    pub(crate) fn apply(config: &Config) -> Result<Option<Self>, StartError> {
        if config.http.harden == Harden::Off || config.is_dev {
            return Ok(None);
        }
        let offer = Offer::of_kernel();
        if let Some(why) = offer.refusal(config.http.harden) {
            return Err(StartError::System(anyhow!("{why}; {HINT}").into()));
        }
        let writable = Writable::of(config);
        writable.make(config);
        let applied = files::restrict(&writable, &offer.landlock).and_then(|()| match offer.seccomp {
            true => calls::restrict(),
            false => Ok(()),
        });
        applied.map_err(|error| {
            let error = error.context(
                "the process cannot be hardened (http.harden): the kernel refuses what it says it can do",
            );
            StartError::System(error.into())
        })?;
        let writable = writable.directories.iter().map(|path| resolved(path)).collect();
        Ok(Some(Self { writable, offer }))
    }

    /// Says in the log what has been given up, and what could not be.
    pub(crate) fn log(&self) {
        let writable = self.writable();
        let (vital, beside) = self.offer.missing();
        if vital.is_empty() {
            tracing::info!(
                writable,
                "hardened: this process writes to no other directories, and gains no rights"
            );
        } else {
            let missing = vital.join(", ");
            tracing::warn!(
                writable,
                missing,
                "hardened as far as this kernel can (http.harden): it does not restrict {missing}"
            );
        }
        if !beside.is_empty() {
            tracing::debug!("http.harden: this kernel does not restrict {}", beside.join(", "));
        }
    }

    /// The directories that may be written to, for people.
    fn writable(&self) -> String {
        match &self.writable[..] {
            [] => "none".to_owned(),
            paths => paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", "),
        }
    }

    /// The directories that may be written to.
    pub(super) fn directories(&self) -> impl Iterator<Item = String> {
        self.writable.iter().map(|path| path.display().to_string())
    }

    /// Sees whether what these components write to may be written to.
    ///
    /// # Errors
    /// Which directories may not.
    pub(super) fn covers(&self, each: &[Config]) -> anyhow::Result<()> {
        if !self.offer.landlock.is_there() {
            return Ok(());
        }
        let wanted = each.iter().flat_map(of_component);
        let mut beyond: Vec<_> = wanted
            .filter(|(path, _)| {
                let path = resolved(path);
                !self.writable.iter().any(|writable| path.starts_with(writable))
            })
            .map(|(path, key)| format!("`{}` ({key})", path.display()))
            .collect();
        beyond.sort();
        beyond.dedup();
        if !beyond.is_empty() {
            bail!(
                "the server may write to no directories but those of its start (http.harden), and these are not among \
                 them: {}; restart it",
                beyond.join(", ")
            );
        }
        Ok(())
    }
}

/// Where a server writes, by its settings.
struct Writable {
    /// Files of any kind are made here, changed and removed.
    directories: Vec<PathBuf>,
    /// Unix sockets are made here and removed.
    sockets: Vec<PathBuf>,
}

impl Writable {
    fn of(config: &Config) -> Self {
        let each = config.each();
        let mut directories: Vec<_> =
            each.iter().flat_map(of_component).map(|(path, _)| path.to_owned()).collect();
        let spools = each.iter().chain([config]).filter_map(|config| config.otel.spool.clone());
        directories.extend(spools);
        directories.sort();
        directories.dedup();
        let listeners = config.http.listen.iter().chain(&config.admin.listen);
        let sockets = listeners.filter_map(|addr| match addr {
            ListenAddr::Unix(path) => Some(folder_of(path)),
            ListenAddr::Tcp(_) | ListenAddr::Host { .. } => None,
        });
        Self { directories, sockets: sockets.collect() }
    }

    /// Makes those that are made at their first use: later nobody may. What cannot be made is told by who needs it.
    fn make(&self, config: &Config) {
        config.each().iter().for_each(|config| guest::prepare_cache(&config.guest));
        let mut builder = std::fs::DirBuilder::new();
        std::os::unix::fs::DirBuilderExt::mode(builder.recursive(true), 0o700);
        for path in &self.directories {
            _ = builder.create(path);
        }
    }
}

/// Directories that are written to for a component, and the setting that says so.
fn of_component(config: &Config) -> impl Iterator<Item = (&Path, &'static str)> {
    let cache = match &config.guest.cache {
        CacheDir::Dir(path) => Some((path.as_path(), "guest.cache")),
        CacheDir::Off => None,
    };
    let dirs = config.guest.dir.iter().filter(|dir| dir.read_write);
    cache.into_iter().chain(dirs.map(|dir| (dir.host.as_path(), "guest.dir")))
}

fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// The path without links; as it is where there is nothing.
fn resolved(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_lacks_keeps_a_server_from_starting_only_where_it_is_required() {
        let full = Offer { landlock: Landlock::All, seccomp: true };
        assert_eq!(full.refusal(Harden::Required), None);
        let newer = Offer { landlock: Landlock::Files, ..full.clone() };
        assert_eq!(newer.refusal(Harden::Required), None, "what is good to have is not insisted on");
        assert_eq!(newer.missing().1.len(), 1);
        for (landlock, seccomp, said) in [
            (Landlock::None, true, "files (the kernel has no landlock)"),
            (Landlock::WithoutTruncation, true, "truncating files"),
            (Landlock::All, false, "system calls"),
            (Landlock::None, false, "landlock) and system calls"),
        ] {
            let offer = Offer { landlock, seccomp };
            let why = offer.refusal(Harden::Required).expect(said);
            assert!(why.contains(said) && why.contains("http.harden"), "{why}");
            assert_eq!(offer.refusal(Harden::On), None);
        }
    }

    #[test]
    fn a_server_writes_where_its_settings_say() {
        let mut config = Config::new("app.wasm");
        config.guest.cache = CacheDir::Dir("/cache".into());
        config.guest.dir = ["/::/read", "/tmp::/data:rw"].map(|dir| dir.parse().unwrap()).to_vec();
        config.otel.spool = Some("/spool".into());
        config.http.listen = vec!["unix:/run/app/http.sock".parse().unwrap(), "127.0.0.1:0".parse().unwrap()];
        config.admin.listen = Some("unix:admin.sock".parse().unwrap());
        let writable = Writable::of(&config);
        assert_eq!(writable.directories, ["/cache", "/spool", "/tmp"].map(PathBuf::from));
        assert_eq!(writable.sockets, ["/run/app", "."].map(PathBuf::from));
    }

    #[test]
    fn a_reload_may_not_add_to_them() {
        let folder = tempfile::tempdir().unwrap();
        let (inside, outside) = (folder.path().join("in"), folder.path().join("out"));
        [&inside, &outside].iter().for_each(|path| std::fs::create_dir(path).unwrap());
        let offer = Offer { landlock: Landlock::All, seccomp: true };
        let hardening = Hardening { writable: vec![resolved(&inside)], offer };
        let with = |path: &Path| {
            let mut config = Config::new("app.wasm");
            config.guest.cache = CacheDir::Off;
            config.guest.dir = vec![format!("{}::/data:rw", path.display()).parse().unwrap()];
            [config]
        };
        hardening.covers(&with(&inside)).unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&outside, &link).unwrap();
        for path in [outside, link] {
            let error = hardening.covers(&with(&path)).unwrap_err().to_string();
            assert!(error.contains("http.harden") && error.contains("restart"), "{error}");
        }
    }
}
