//! From a file to a linked pre-instance. What is wrong with a component is said here, all at once, with what to do.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};
use wasmtime::component::{Component as WasmComponent, Linker};
use wasmtime_wasi_http::p2::bindings::ProxyPre;
use wasmtime_wasi_http::p3::bindings::ServicePre;

use super::commons::Commons;
use super::compiled::{Artifact, Compiler, ELF};
use super::content::Content;
use super::engine::{Shape, Slots, Tuning};
use super::inspect::{self, Contents, Inspection, Version};
use super::isolation::{self, Decision, Runtime};
use crate::config::content::Unread;
use crate::config::{ByteSize, Isolation};
use crate::host::{self, Budget, HostState, PACKAGES};

/// Most that a component's file may have. Those with a language's whole runtime have some tens of MiB.
const MAX_FILE: u64 = 256 << 20;
/// Most that an artifact may have: machine code takes three to five times as much.
const MAX_ARTIFACT: u64 = 1 << 30;

/// The pre-instance of either version: compiled and linked, not yet running.
pub(crate) enum Pre {
    V02(ProxyPre<HostState>),
    V03(ServicePre<HostState>),
}

/// A component that can be served.
pub(crate) struct Component {
    pub(crate) slots: Slots,
    /// How many of the slots it may take, where it shares them with other components.
    pub(crate) own_slots: Option<Arc<Budget>>,
    pub(crate) pre: Pre,
    pub(super) isolation: Decision,
    pub(super) runtime: Runtime,
    /// Imports `pounce:telemetry/propagation`: wants the trace headers even while telemetry is off.
    pub(crate) propagates: bool,
}

/// What the file of a component holds.
pub(super) enum Source {
    /// WebAssembly in binary form.
    Wasm(Content),
    /// What the cache has of it, compiled for a pool of instances; sound.
    Cached(Content, Box<Artifact>),
    /// What `pounce compile` made of it; sound.
    Artifact(Box<Artifact>),
}

impl Source {
    /// Opens the file at `path`, and looks whether it is compiled already.
    ///
    /// # Errors
    /// It cannot be read, holds something else, or is an artifact that may not be run.
    pub(super) fn open(path: &Path, compiler: &Compiler) -> anyhow::Result<Self> {
        let content = read(path)?;
        if content.begins_with(ELF)? {
            return Ok(Self::Artifact(Box::new(compiler.artifact(&content)?)));
        }
        Ok(match compiler.find(&content, Tuning::Pooled)? {
            Some(artifact) => Self::Cached(content, Box::new(artifact)),
            None => Self::Wasm(content),
        })
    }

    /// Bytes of the component.
    pub(super) fn size(&self) -> u64 {
        match self {
            Self::Wasm(content) | Self::Cached(content, _) => content.length(),
            Self::Artifact(artifact) => artifact.size(),
        }
    }

    /// What can be said of the component before there is an engine.
    ///
    /// # Errors
    /// It is not a component.
    pub(super) fn contents(&self) -> anyhow::Result<Contents> {
        match self {
            Self::Wasm(content) => inspect::contents(&content.whole()?),
            Self::Cached(_, artifact) | Self::Artifact(artifact) => {
                Ok(artifact.inspection().contents.clone())
            }
        }
    }

    /// The machine code, compiled if need be.
    ///
    /// # Errors
    /// It does not compile, or was compiled for other processors.
    pub(super) fn compiled(
        self,
        path: &Path,
        inspection: &Inspection,
        slots: &Slots,
        compiler: &Compiler,
    ) -> anyhow::Result<WasmComponent> {
        let (content, found) = match self {
            Self::Artifact(artifact) => return artifact.component(slots),
            Self::Cached(content, artifact) if slots.tuning == Tuning::Pooled => (content, Some(*artifact)),
            // There was not enough address space for a pool.
            Self::Wasm(content) | Self::Cached(content, _) if slots.tuning == Tuning::OnDemand => {
                let found = compiler.find(&content, slots.tuning)?;
                (content, found)
            }
            Self::Wasm(content) | Self::Cached(content, _) => (content, None),
        };
        if let Some(artifact) = found {
            match artifact.component(slots) {
                Ok(component) => return Ok(component),
                Err(error) => {
                    tracing::warn!(
                        "what the cache has of the component does not fit, and is compiled anew: {error:#}"
                    );
                }
            }
        }
        compiler.make(path, content.whole()?.into_owned(), inspection, slots)
    }
}

/// Reads, checks, compiles and links the component at `path`, for an engine of `commons`.
///
/// # Errors
/// Every reason for which it cannot be served, each with what to do about it.
pub(crate) fn load(
    path: &Path,
    compiler: &Compiler,
    max_memory: u64,
    isolation: Option<Isolation>,
    commons: &Commons,
) -> anyhow::Result<Component> {
    let name = || format!("component `{}` cannot be served", path.display());
    let source = Source::open(path, compiler).with_context(name)?;
    let contents = source.contents().with_context(name)?;
    let inspection =
        Inspection { version: inspect::version(&contents.exports).with_context(name)?, contents };
    check_imports(&inspection.contents).with_context(name)?;
    check_memory(&inspection.contents, max_memory).with_context(name)?;
    let (slots, own_slots) = commons.slots(Shape::of(&inspection, max_memory))?;
    let compiled = source.compiled(path, &inspection, &slots, compiler).with_context(name)?;
    let pre = link(&slots, &compiled, inspection.version).with_context(name)?;
    let asks =
        |import: &String| import.starts_with("pounce:telemetry/") || import.starts_with("wasi:otel/tracing@");
    let propagates = inspection.contents.imports.iter().any(asks);
    let isolation = isolation::decide(inspection.version, &inspection.contents, isolation);
    let runtime = inspection.contents.runtime;
    Ok(Component { slots, own_slots, pre, isolation, runtime, propagates })
}

/// What the component at `path` needs of an engine.
///
/// # Errors
/// It cannot be read, or is not a component that can be served.
pub(crate) fn shape(path: &Path, compiler: &Compiler, max_memory: u64) -> anyhow::Result<Shape> {
    let contents = Source::open(path, compiler)?.contents()?;
    let version = inspect::version(&contents.exports)?;
    Ok(Shape::of(&Inspection { version, contents }, max_memory))
}

/// The content of the file at `path`: a component in binary form (WebAssembly text is turned into it), or machine code.
///
/// # Errors
/// It cannot be read, is larger than it may be, or is neither.
pub(super) fn read(path: &Path) -> anyhow::Result<Content> {
    let metadata = std::fs::metadata(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => anyhow!("there is no such file{}", nearby(path)),
        _ => anyhow!("it cannot be read: {error}"),
    })?;
    if metadata.is_dir() {
        bail!("this is a directory; name the component file in it{}", nearby(&path.join("*")));
    }
    let compiled = path.extension().is_some_and(|extension| extension == "cwasm");
    let content = Content::open(path, if compiled { MAX_ARTIFACT } else { MAX_FILE }).map_err(|error| match error {
        Unread::Io(error) => anyhow!("it cannot be read: {error}"),
        Unread::TooLarge(limit) => anyhow!(
            "the file is larger than {} MiB, the most that a component may have; build it for release, or strip its \
             debug information (`wasm-tools strip`)",
            limit >> 20
        ),
    })?;
    let unread = "it cannot be read";
    if content.begins_with(b"\0asm").context(unread)? || content.begins_with(ELF).context(unread)? {
        return Ok(content);
    }
    let bytes = content.whole().context(unread)?;
    if bytes.is_empty() {
        bail!("the file is empty: build the component again");
    }
    // Text, of which anything could claim to be: only what looks like it is parsed, for a better message.
    let text = std::str::from_utf8(&bytes).ok().filter(|text| {
        path.extension().is_some_and(|extension| extension == "wat") || text.trim_start().starts_with('(')
    });
    let Some(text) = text else {
        bail!(
            "this is not WebAssembly: it starts with `{}`, where a component starts with `\\0asm` and text with `(`; name \
             the file that your build makes",
            bytes.iter().take(4).map(|byte| byte.escape_ascii().to_string()).collect::<String>()
        );
    };
    let binary = wat::parse_str(text);
    binary.map(Content::Bytes).map_err(|error| anyhow!("the WebAssembly text has a mistake: {error}"))
}

/// Components beside a path that has none, as a hint.
fn nearby(path: &Path) -> String {
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut found: Vec<PathBuf> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "wasm" || extension == "wat" || extension == "cwasm")
        })
        .collect();
    // The one whose name is the nearest first: it was meant, most likely.
    let typed = path.file_name().unwrap_or_default().to_string_lossy();
    let distance = |path: &PathBuf| {
        strsim::damerau_levenshtein(&typed, &path.file_name().unwrap_or_default().to_string_lossy())
    };
    found.sort_by_cached_key(|path| (distance(path), path.clone()));
    match found.as_slice() {
        [] => "; check the path".to_owned(),
        found => {
            let shown = |path: &PathBuf| format!("`{}`", path.strip_prefix(".").unwrap_or(path).display());
            let names: Vec<_> = found.iter().take(5).map(shown).collect();
            format!("; there is {}", names.join(", "))
        }
    }
}

/// Names every import that no interface of ours satisfies.
pub(super) fn check_imports(contents: &Contents) -> anyhow::Result<()> {
    let advice = |import: &String| Some(format!("`{import}`: {}", host_of_import(import, contents).err()?));
    let missing: Vec<String> = contents.imports.iter().filter_map(advice).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let what = if missing.len() == 1 { "an interface that is" } else { "interfaces that are" };
    bail!("it imports {what} not there:\n  - {}", missing.join("\n  - "));
}

/// An instance must be able to start.
pub(super) fn check_memory(contents: &Contents, max_memory: u64) -> anyhow::Result<()> {
    let least = contents.least_memory;
    if least > max_memory {
        bail!(
            "it needs at least {} of memory at start, and may have {}; raise --max-memory (guest.max-memory)",
            ByteSize(least),
            ByteSize(max_memory)
        );
    }
    Ok(())
}

/// What [`host_of`] says of an import of a component, which may have a name that is not its interface's.
///
/// # Errors
/// What to do about an import that nothing of ours satisfies.
pub(super) fn host_of_import(import: &str, contents: &Contents) -> Result<String, String> {
    let Some(interface) = contents.implements.get(import) else {
        return host_of(import);
    };
    let host = host_of(interface).map_err(|advice| format!("`{interface}` under another name: {advice}"))?;
    if host::links_by_other_names(interface) {
        return Ok(host);
    }
    Err(format!(
        "`{interface}` under another name, as WASI 0.3.1 allows and wasmtime 48 cannot link; import it as \
         `{interface}`"
    ))
}

/// The package that an import is of and its hosted line (`wasi:http 0.2`).
///
/// # Errors
/// What to do about an import that nothing of ours satisfies.
pub(super) fn host_of(import: &str) -> Result<String, String> {
    let (name, version) = import.split_once('@').unwrap_or((import, ""));
    let (package, interface) = name.split_once('/').unwrap_or((name, ""));
    let Some(hosted) = PACKAGES.iter().find(|hosted| hosted.name == package) else {
        let advice = match package {
            "wasi:keyvalue" | "wasi:blobstore" | "wasi:messaging" => {
                "not hosted; reach such a service over wasi:http (`--allow-outbound HOST`)"
            }
            _ => {
                "not hosted; compose the component with one that exports it (`wac plug`), or build it without"
            }
        };
        return Err(advice.to_owned());
    };
    let lines: Vec<_> = hosted.lines.iter().map(|(line, _)| *line).filter(|line| !line.is_empty()).collect();
    let lines = lines.join(" and ");
    // Of some packages there are release candidates only.
    let exact = hosted.lines.iter().any(|(hosted, _)| *hosted == version);
    if version.contains('-') && hosted.lines.iter().all(|(hosted, _)| !hosted.contains('-')) {
        return Err(format!("a release candidate; rebuild it for a release ({lines} are hosted)"));
    }
    let line =
        if exact { version.to_owned() } else { version.split('.').take(2).collect::<Vec<_>>().join(".") };
    let Some((_, interfaces)) = hosted.lines.iter().find(|(hosted, _)| *hosted == line) else {
        return Err(match hosted.lines {
            _ if !lines.contains(" and ") => {
                format!("{lines} of {package} is hosted; rebuild it for that version")
            }
            _ => format!("{lines} of {package} are hosted; rebuild it for one of these versions"),
        });
    };
    if interfaces.contains(&interface) {
        return Ok(format!("{package} {line}").trim_end().to_owned());
    }
    if name == "wasi:http/handler" || name == "wasi:http/incoming-handler" {
        let advice = "a middleware's import: compose it with the handler that it calls (`wac plug MIDDLEWARE.wasm \
                      --plug HANDLER.wasm -o WHOLE.wasm`), and serve the whole";
        return Err(advice.to_owned());
    }
    Err(format!("of {package} {line}, these are hosted: {}; build it without", interfaces.join(", ")))
}

pub(super) fn link(slots: &Slots, component: &WasmComponent, version: Version) -> anyhow::Result<Pre> {
    let mut linker = Linker::new(&slots.engine);
    host::link(&mut linker, version == Version::V03).map_err(anyhow::Error::from)?;
    host::link_other_names(&mut linker, component).map_err(anyhow::Error::from)?;
    let pre = linker.instantiate_pre(component).map_err(anyhow::Error::from).context(
        "an import has another type than the interface hosted under its name; rebuild it against that",
    )?;
    let handler = "its handler does not have the type that wasi:http gives it";
    Ok(match version {
        Version::V02 => Pre::V02(ProxyPre::new(pre).map_err(anyhow::Error::from).context(handler)?),
        Version::V03 => Pre::V03(ServicePre::new(pre).map_err(anyhow::Error::from).context(handler)?),
    })
}

#[cfg(test)]
mod tests {
    use super::host_of;

    fn complaint(import: &str) -> Option<String> {
        host_of(import).err()
    }

    #[test]
    fn hosted_imports_of_any_patch_version_pass() {
        for import in [
            "wasi:http/types@0.2.0",
            "wasi:http/types@0.3.2",
            "wasi:io/streams@0.2.99",
            "pounce:telemetry/tracing@0.1.0",
            "wasi:otel/tracing@0.2.0-rc.2",
            "wasi:config/store@0.2.0-rc.1",
            "wasi:config/store@0.2.0-draft",
            "wasi:logging/logging@0.1.0-draft",
            "wasi:logging/logging",
        ] {
            assert_eq!(complaint(import), None);
        }
    }

    #[test]
    fn each_kind_of_missing_import_gets_its_own_advice() {
        assert!(complaint("wasi:http/types@0.3.0-rc-2026-01-06").unwrap().contains("release candidate"));
        assert!(complaint("wasi:io/streams@0.3.0").unwrap().contains("0.2"));
        assert!(complaint("wasi:keyvalue/store@0.2.0-draft").unwrap().contains("--allow-outbound"));
        let hosted = "0.2.0-rc.1 and 0.2.0-draft of wasi:config are hosted";
        assert!(complaint("wasi:config/store@0.2.0-rc.9").unwrap().contains(hosted));
        assert!(
            complaint("wasi:logging/logging@0.2.0")
                .unwrap()
                .contains("0.1.0-draft of wasi:logging is hosted")
        );
        assert!(complaint("wasi:http/nothing@0.2.0").unwrap().contains("outgoing-handler"));
        assert!(complaint("wasi:http/handler@0.3.0").unwrap().contains("wac plug"));
        assert!(complaint("wasi:http/incoming-handler@0.2.10").unwrap().contains("wac plug"));
        assert!(
            complaint("wasi:otel/tracing@0.2.0-rc.1").unwrap().contains("0.2.0-rc.2 of wasi:otel is hosted")
        );
        assert!(complaint("wasi:otel/nothing@0.2.0-rc.2").unwrap().contains("metrics"));
        assert!(complaint("acme:db/query").unwrap().contains("compose"));
    }
}
