//! Looks at a component's bytes before anything is compiled: what it exports decides the engine, how it is composed
//! decides the isolation, and a file that cannot be served is refused with what it is instead.

use std::collections::BTreeMap;

use super::isolation::Runtime;
use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};
use wasmparser::{
    ComponentAlias, ComponentExternalKind, ComponentInstance, ComponentOuterAliasKind, ComponentTypeRef,
    Encoding, Instance, Parser, Payload,
};

/// The line of wasi:http that a component's handler belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Inspection {
    pub(crate) version: Version,
    pub(crate) contents: Contents,
}

/// What the bytes say of any component.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Contents {
    /// Several instances with code of their own in one: a subtask of an inner one can outlive its caller, and then
    /// nobody can tell whose request it works for (wasmtime #14247). One component that a tool has wrapped in another,
    /// which only passes on imports and exports, is not composed.
    pub(crate) composed: bool,
    /// The language runtime in it, of those that want a certain isolation.
    pub(crate) runtime: Runtime,
    pub(crate) imports: Vec<String>,
    /// By the name of an import that is not its interface's (WASI 0.3.1, `implements`), the interface.
    #[serde(default)]
    pub(crate) implements: BTreeMap<String, String>,
    pub(crate) exports: Vec<String>,
    /// Core modules, memories and tables, for the slots that an instance takes.
    pub(crate) modules: u32,
    pub(crate) memories: u32,
    pub(crate) tables: u32,
    /// Bytes of all memories before any of them grows.
    pub(crate) least_memory: u64,
}

/// The message for a section that cannot be read.
const INVALID: &str = "not a valid component";
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

/// Reads the sections of any component, whatever it exports.
pub(crate) fn contents(wasm: &[u8]) -> anyhow::Result<Contents> {
    let mut found = Contents::default();
    // Components and modules that are open, the outermost first.
    let mut levels: Vec<Level> = Vec::new();
    for payload in Parser::new(0).parse_all(wasm) {
        let payload = payload.context("not valid WebAssembly")?;
        match payload {
            Payload::Version { encoding: Encoding::Module, .. } if levels.is_empty() => {
                bail!("{}", Made::of(wasm).advice())
            }
            Payload::Version { encoding: Encoding::Module, .. } => {
                found.modules += 1;
                levels.push(Level::Module);
            }
            Payload::Version { encoding: Encoding::Component, .. } => {
                levels.push(Level::Component(Parts::default()))
            }
            Payload::End(_) => {
                let ended = levels.pop();
                match (ended, levels.last_mut()) {
                    (Some(Level::Component(inner)), Some(Level::Component(outer))) => {
                        outer.components.push(inner.as_inner());
                    }
                    (Some(Level::Component(outermost)), None) => found.composed = outermost.with_code() > 1,
                    _ => {}
                }
            }
            Payload::MemorySection(section) => {
                found.memories += section.count();
                for memory in section {
                    let memory = memory.context(INVALID)?;
                    if memory.memory64 {
                        bail!("it uses memory64, which is not supported; build it for 32 bits (wasm32)");
                    }
                    let bytes = memory.initial.saturating_mul(PAGE);
                    found.least_memory = found.least_memory.saturating_add(bytes);
                }
            }
            Payload::TableSection(section) => found.tables += section.count(),
            Payload::CustomSection(section) => {
                // Of several the stricter one counts.
                if let Some(runtime) =
                    Runtime::of(&section).filter(|_| found.runtime != Runtime::StarlingMonkey)
                {
                    found.runtime = runtime;
                }
            }
            payload => {
                if levels.len() == 1 {
                    found.name(&payload).context(INVALID)?;
                }
                if let Some(Level::Component(parts)) = levels.last_mut() {
                    parts.take(payload).context(INVALID)?;
                }
            }
        }
    }
    Ok(found)
}

/// What a core module was made for, which is no component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Made {
    /// WASI preview 1: Rust's `wasm32-wasip1`, wasi-sdk, TinyGo.
    Preview1,
    /// A page in a browser, by wasm-bindgen.
    Browser,
    /// A page in a browser, by Emscripten.
    Emscripten,
    /// To become a component: its interfaces are written in it.
    Component,
    Unknown,
}

impl Made {
    fn of(module: &[u8]) -> Self {
        let mut made = Self::Unknown;
        // What cannot be read says nothing.
        for payload in Parser::new(0).parse_all(module).map_while(Result::ok) {
            match payload {
                Payload::ImportSection(section) => {
                    for import in section.into_imports().map_while(Result::ok) {
                        match import.module {
                            "wasi_snapshot_preview1" | "wasi_unstable" => made = Self::Preview1,
                            "__wbindgen_placeholder__" | "wbg" => return Self::Browser,
                            "env" if import.name.starts_with("emscripten_") => return Self::Emscripten,
                            _ => {}
                        }
                    }
                }
                Payload::CustomSection(section) if section.name().starts_with("component-type") => {
                    return Self::Component;
                }
                _ => {}
            }
        }
        made
    }

    /// What it is, and what to do.
    fn advice(self) -> &'static str {
        match self {
            Self::Preview1 => {
                "this is a core module for WASI preview 1, as Rust's target wasm32-wasip1 makes, not a component; build \
                 it with `cargo build --target wasm32-wasip2` (after `rustup target add wasm32-wasip2`)"
            }
            Self::Browser => {
                "this is a core module for browsers (wasm-bindgen, Rust's target wasm32-unknown-unknown), not a \
                 component; build a handler of wasi:http with `cargo build --target wasm32-wasip2`"
            }
            Self::Emscripten => {
                "this is a core module for browsers (Emscripten), not a component; build a handler of wasi:http with \
                 wasi-sdk and wit-bindgen"
            }
            Self::Component => {
                "this is a core module that is yet to become a component; make it one with `wasm-tools component new \
                 MODULE.wasm -o COMPONENT.wasm`"
            }
            Self::Unknown => {
                "this is a core module, not a component; build a component: `cargo build --target wasm32-wasip2` (Rust), \
                 `componentize-js` (JavaScript), `componentize-py` (Python), or wrap the module with \
                 `wasm-tools component new`"
            }
        }
    }
}

impl Contents {
    /// Notes the names of what the outermost component imports and exports.
    fn name(&mut self, payload: &Payload<'_>) -> wasmparser::Result<()> {
        match payload {
            Payload::ComponentImportSection(section) => {
                for import in section.clone() {
                    let name = import?.name;
                    if let Some(interface) = name.implements {
                        self.implements.insert(name.name.to_owned(), interface.to_owned());
                    }
                    self.imports.push(name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(section) => {
                for export in section.clone() {
                    self.exports.push(export?.name.name.to_owned());
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// What is open around a section.
enum Level {
    Module,
    Component(Parts),
}

/// What a component is made of, as far as it tells whether it is composed.
#[derive(Default)]
struct Parts {
    /// It makes instances of core modules: code that runs in its own name.
    has_code: bool,
    /// It is given something: without that its code can call nobody, and need not be told apart.
    has_imports: bool,
    /// By their index: how many instances with code an instance of each of its components has.
    components: Vec<u32>,
    /// How many its inner instances have.
    inner: u32,
}

impl Parts {
    /// How many an instance of it counts for in a component around it. Tools put in code that only answers its caller.
    fn as_inner(&self) -> u32 {
        if self.has_imports { self.with_code() } else { 0 }
    }

    /// How many instances with code an instance of it has.
    fn with_code(&self) -> u32 {
        self.inner.saturating_add(u32::from(self.has_code))
    }

    fn take(&mut self, payload: Payload<'_>) -> wasmparser::Result<()> {
        /// Instances with code of a component that is not looked into: it counts as composed.
        const UNKNOWN: u32 = 2;
        match payload {
            Payload::InstanceSection(section) => {
                for instance in section {
                    self.has_code |= matches!(instance?, Instance::Instantiate { .. });
                }
            }
            Payload::ComponentInstanceSection(section) => {
                for instance in section {
                    if let ComponentInstance::Instantiate { component_index, .. } = instance? {
                        let known =
                            usize::try_from(component_index).ok().and_then(|at| self.components.get(at));
                        self.inner = self.inner.saturating_add(*known.unwrap_or(&UNKNOWN));
                    }
                }
            }
            Payload::ComponentImportSection(section) => {
                self.has_imports = true;
                for import in section {
                    if matches!(import?.ty, ComponentTypeRef::Component(_)) {
                        self.components.push(UNKNOWN);
                    }
                }
            }
            Payload::ComponentAliasSection(section) => {
                for alias in section {
                    if matches!(
                        alias?,
                        ComponentAlias::InstanceExport { kind: ComponentExternalKind::Component, .. }
                            | ComponentAlias::Outer { kind: ComponentOuterAliasKind::Component, .. }
                    ) {
                        self.components.push(UNKNOWN);
                    }
                }
            }
            Payload::ComponentExportSection(section) => {
                for export in section {
                    // An export gives what it exports one more index.
                    if export?.kind == ComponentExternalKind::Component {
                        self.components.push(UNKNOWN);
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }
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
                "it exports `wasi:http/{name}@{version}`, a release candidate, which is not served; rebuild it with a \
                 current toolchain for wasi:http 0.2 or 0.3, or run it where it was made for (Spin 4 runs \
                 0.3.0-rc-2026-03-15, which its SDKs build for unless told otherwise)"
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
        assert!(
            error(r#"(module (import "wasi_snapshot_preview1" "fd_write" (func)))"#)
                .contains("wasm32-wasip1")
        );
        assert!(error(r#"(module (import "__wbindgen_placeholder__" "f" (func)))"#).contains("browsers"));
        assert!(error(r#"(module (import "env" "emscripten_notify" (func)))"#).contains("Emscripten"));
        assert!(error(r#"(module (@custom "component-type:http" ""))"#).contains("yet to become"));
        assert!(error(&handler("wasi:cli/run@0.2.0")).contains("wasmtime run"));
        assert!(error(&handler("wasi:http/handler@0.3.0-rc-2026-01-06")).contains("release candidate"));
        assert!(error(&handler("a:b/c@1.0.0")).contains("only `a:b/c@1.0.0`"));
        assert!(error("(component)").contains("exports nothing"));
        assert!(inspect(b"<html>").is_err());
    }

    #[test]
    fn components_are_composed_where_several_have_code() {
        let is_composed = |inside: &str| {
            let found = inspect_wat(&format!(
                r#"(component (instance $none) {inside} (instance $i) (export "wasi:http/handler@0.3.0" (instance $i)))"#
            ));
            found.expect("a handler").contents.composed
        };
        const CODE: &str = "(core module $m) (core instance (instantiate $m))";
        let inner = |name: &str| format!(r#"(component ${name} (import "clock" (instance)) {CODE})"#);
        let made =
            |name: &str| format!(r#"(instance (instantiate ${name} (with "clock" (instance $none))))"#);

        assert!(!is_composed(CODE), "one component");
        assert!(
            !is_composed(&format!("{CODE} (component $shim) (instance (instantiate $shim))")),
            "and a shim without code"
        );
        assert!(!is_composed(&format!("{} {}", inner("a"), made("a"))), "wrapped in another");
        assert!(
            !is_composed(&format!("{} {} {}", inner("a"), inner("unused"), made("a"))),
            "of two, one is made"
        );
        let wrapper = |inside: &str| format!(r#"(component $w (import "clock" (instance $none)) {inside})"#);
        let twice_wrapped = [wrapper(&[inner("a"), made("a")].join(" ")), made("w")].join(" ");
        assert!(!is_composed(&twice_wrapped), "wrapped twice");
        let stub = format!("(component $stub {CODE}) (instance (instantiate $stub))");
        assert!(!is_composed(&[CODE, &stub].join(" ")), "a tool's own code, which can call nobody");

        assert!(
            is_composed(&format!("{CODE} {} {}", inner("a"), made("a"))),
            "an outer one with code of its own"
        );
        assert!(is_composed(&[inner("a"), inner("b"), made("a"), made("b")].join(" ")), "two side by side");
        assert!(is_composed(&[inner("a"), made("a"), made("a")].join(" ")), "one, made twice");
        let deep = [wrapper(&[inner("a"), made("a"), made("a")].join(" ")), made("w")].join(" ");
        assert!(is_composed(&deep), "two in a wrapper");
        let aliased = format!("(alias outer 1 $a (component $b)) {}", made("b"));
        let aliased = [inner("a"), wrapper(&aliased), made("w")].join(" ");
        assert!(is_composed(&aliased), "one that is not looked into");
        assert_eq!(inspect_wat(&handler("wasi:http/handler@0.3.0")).unwrap().contents.modules, 0);
    }
}
