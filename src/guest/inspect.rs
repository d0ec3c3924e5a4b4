//! Looks at a component's bytes before anything is compiled: what it exports decides the engine, how it is composed
//! decides the isolation, and a file that cannot be served is refused with what it is instead.

use anyhow::{Context as _, bail};
use wasmparser::{Encoding, Parser, Payload};

/// The line of wasi:http that a component's handler belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// `wasi:http/incoming-handler@0.2.x`
    V02,
    /// `wasi:http/handler@0.3.x`
    V03,
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::V02 => "0.2",
            Self::V03 => "0.3",
        })
    }
}

/// What the bytes say of a component that can be served.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Inspection {
    pub(crate) version: Version,
    pub(crate) contents: Contents,
}

/// What the bytes say of any component.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Contents {
    /// Several components in one: a subtask of an inner one can outlive its caller, and then nobody can tell whose
    /// request it works for (wasmtime #14247).
    pub(crate) composed: bool,
    pub(crate) imports: Vec<String>,
    pub(crate) exports: Vec<String>,
    /// Core modules, memories and tables, for the slots that an instance takes.
    pub(crate) modules: u32,
    pub(crate) memories: u32,
    pub(crate) tables: u32,
    /// Bytes of all memories before any of them grows.
    pub(crate) least_memory: u64,
}

/// Bytes of a page of memory.
const PAGE: u64 = 64 * 1024;

/// Reads the sections of `wasm`.
///
/// # Errors
/// What the file is, if it is not a component that handles HTTP, and what to do about it.
pub(crate) fn inspect(wasm: &[u8]) -> anyhow::Result<Inspection> {
    let contents = contents(wasm)?;
    Ok(Inspection { version: version(&contents.exports)?, contents })
}

/// The same of any component, whatever it exports.
pub(crate) fn contents(wasm: &[u8]) -> anyhow::Result<Contents> {
    let mut found = Contents::default();
    let mut depth = 0u32;
    // Whether each open level is a component (else a core module).
    let mut levels = Vec::new();
    for payload in Parser::new(0).parse_all(wasm) {
        match payload.context("not valid WebAssembly")? {
            Payload::Version { encoding: Encoding::Module, .. } if levels.is_empty() => bail!(
                "this is a core module, not a component; build a component: `cargo build --target wasm32-wasip2` \
                 (Rust), `componentize-js` (JavaScript), `componentize-py` (Python), or wrap the module with \
                 `wasm-tools component new`"
            ),
            Payload::Version { encoding, .. } => {
                let component = encoding == Encoding::Component;
                if !component {
                    found.modules += 1;
                    // wit-component puts its own modules directly into the outermost component.
                    found.composed |= depth > 1;
                }
                levels.push(component);
                depth += u32::from(component);
            }
            Payload::End(_) => depth -= u32::from(levels.pop().unwrap_or(false)),
            Payload::ComponentImportSection(section) if depth == 1 => {
                for import in section {
                    found.imports.push(import.context("not a valid component")?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(section) if depth == 1 => {
                for export in section {
                    found.exports.push(export.context("not a valid component")?.name.name.to_owned());
                }
            }
            Payload::MemorySection(section) => {
                found.memories += section.count();
                for memory in section {
                    let memory = memory.context("not a valid component")?;
                    if memory.memory64 {
                        bail!("it uses memory64, which is not supported; build it for 32 bits (wasm32)");
                    }
                    let bytes = memory.initial.saturating_mul(PAGE);
                    found.least_memory = found.least_memory.saturating_add(bytes);
                }
            }
            Payload::TableSection(section) => found.tables += section.count(),
            _ => {}
        }
    }
    Ok(found)
}

/// The line that handles requests, of what a component exports.
pub(crate) fn version(exports: &[String]) -> anyhow::Result<Version> {
    let of = |prefix: &str| {
        exports.iter().filter_map(|export| export.strip_prefix(prefix)).map(str::to_owned).collect::<Vec<_>>()
    };
    let handlers_03 = of("wasi:http/handler@");
    let handlers_02 = of("wasi:http/incoming-handler@");
    let released = |version: &String, line: &str| version.starts_with(line) && !version.contains('-');
    if handlers_03.iter().any(|version| released(version, "0.3.")) {
        return Ok(Version::V03);
    }
    if handlers_02.iter().any(|version| released(version, "0.2.")) {
        return Ok(Version::V02);
    }
    let handlers = [("handler", &handlers_03), ("incoming-handler", &handlers_02)];
    if let Some((name, version)) =
        handlers.iter().find_map(|(name, versions)| versions.first().map(|version| (name, version)))
    {
        if version.contains('-') {
            bail!(
                "it exports `wasi:http/{name}@{version}`, a release candidate that no released host serves; rebuild \
                 it with a current toolchain for wasi:http 0.2 or 0.3"
            );
        }
        bail!(
            "it exports `wasi:http/{name}@{version}`; wasi:http 0.2 and 0.3 are served, so rebuild it for one"
        );
    }
    if let Some(run) = exports.iter().find(|export| export.starts_with("wasi:cli/run@")) {
        bail!(
            "it exports `{run}`: a command, which runs once and ends, not an HTTP handler; run it with `wasmtime run`, \
             or export `wasi:http/incoming-handler` (0.2) or `wasi:http/handler` (0.3) to have it served"
        );
    }
    let exports =
        if exports.is_empty() { "nothing".to_owned() } else { format!("only `{}`", exports.join("`, `")) };
    bail!(
        "it exports {exports}; a component that is served exports `wasi:http/incoming-handler@0.2.x` or \
         `wasi:http/handler@0.3.x`"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inspect_wat(wat: &str) -> anyhow::Result<Inspection> {
        inspect(&wat::parse_str(wat).expect("valid text"))
    }

    fn handler(name: &str) -> String {
        format!(r#"(component (instance $i) (export "{name}" (instance $i)))"#)
    }

    #[test]
    fn the_newer_handler_wins() {
        assert_eq!(inspect_wat(&handler("wasi:http/incoming-handler@0.2.0")).unwrap().version, Version::V02);
        assert_eq!(inspect_wat(&handler("wasi:http/handler@0.3.0")).unwrap().version, Version::V03);
    }

    #[test]
    fn what_is_not_a_handler_is_named() {
        let error = |wat: &str| inspect_wat(wat).unwrap_err().to_string();
        assert!(error("(module)").contains("core module"));
        assert!(error(&handler("wasi:cli/run@0.2.0")).contains("wasmtime run"));
        assert!(error(&handler("wasi:http/handler@0.3.0-rc-2026-01-06")).contains("release candidate"));
        assert!(error(&handler("a:b/c@1.0.0")).contains("only `a:b/c@1.0.0`"));
        assert!(error("(component)").contains("exports nothing"));
        assert!(inspect(b"<html>").is_err());
    }

    #[test]
    fn a_module_inside_an_inner_component_is_composition() {
        let plain = r#"(component (core module (memory 1)) (component)
            (instance $i) (export "wasi:http/handler@0.3.0" (instance $i)))"#;
        let found = inspect_wat(plain).unwrap().contents;
        assert!(!found.composed);
        assert_eq!((found.modules, found.memories), (1, 1));
        let composed = r#"(component (component (core module))
            (instance $i) (export "wasi:http/handler@0.3.0" (instance $i)))"#;
        assert!(inspect_wat(composed).unwrap().contents.composed);
    }
}
