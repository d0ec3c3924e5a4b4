//! Looks at a component as `pounce check` does: everything that serving it would find, all at once, and nothing runs.

use std::path::Path;

use anyhow::Context as _;

use super::compiled::{Compiler, Compiling};
use super::component::{self, Source, host_of_import};
use super::engine::{self, Shape};
use super::inspect::{self, Contents, Inspection};
use super::isolation::{self, Decision};
use super::{room, slots_for};
use crate::config::{Config, Isolation};
use crate::host::openable;

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Examined {
    /// Bytes of the component in binary form.
    pub(crate) size: u64,
    /// `wasi:http 0.2`; nothing if it is not served.
    pub(crate) kind: Option<String>,
    /// Several components in one.
    pub(crate) composed: bool,
    pub(crate) exports: Vec<String>,
    pub(crate) imports: Vec<Import>,
    /// How requests share instances and why, and for how many at once there is room.
    pub(crate) isolation: Option<String>,
    /// What an instance takes; nothing if it is not served.
    pub(crate) cost: Option<Cost>,
    /// What works, but not as somebody may have meant it.
    pub(crate) warnings: Vec<String>,
    /// Every reason for which it cannot be served, with what to do about it.
    pub(crate) problems: Vec<String>,
}

/// What one instance takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    /// Core modules, memories and tables.
    pub(crate) modules: u32,
    pub(crate) memories: u32,
    pub(crate) tables: u32,
    /// Bytes of linear memory before any of it grows, and at most.
    pub(crate) least_memory: u64,
    pub(crate) most_memory: u64,
    /// Bytes that all instances may have together.
    pub(crate) total_memory: u64,
    /// Instances that there are slots for.
    pub(crate) slots: usize,
}

impl Cost {
    /// Instances whose memory does not grow that all instances' memory has room for, as far as there are slots.
    pub(crate) fn instances(self) -> u64 {
        let slots = self.slots as u64;
        self.total_memory.checked_div(self.least_memory).map_or(slots, |fit| fit.min(slots))
    }
}

/// An interface that the component wants.
#[derive(Debug)]
pub(crate) struct Import {
    pub(crate) name: String,
    /// What satisfies it (`wasi:http 0.2`), or else what to do about it.
    pub(crate) by: Result<String, String>,
    /// What the settings make of it.
    pub(crate) note: Option<String>,
    /// It is there, but refuses what it is called for.
    pub(crate) refused: bool,
}

/// Examines the component at `path` as it would be served with `config`.
///
/// Compiles it, as imports and exports have types that only then are known; that may take seconds.
pub(crate) fn examine(path: &Path, config: &Config, compiling: Compiling) -> Examined {
    let mut found = Examined::default();
    if let Err(error) = look(path, config, &Compiler::new(&config.guest, compiling), &mut found) {
        found.problems.push(format!("{error:#}"));
    }
    let unopened = config.guest.dir.iter().filter_map(|dir| openable(dir).err());
    found.problems.extend(unopened.map(|error| format!("{error:#}")));
    found
}

/// The error is what nothing can be found beyond.
fn look(path: &Path, config: &Config, compiler: &Compiler, found: &mut Examined) -> anyhow::Result<()> {
    let source = Source::open(path, compiler)?;
    found.size = source.size();
    let contents = source.contents()?;
    found.composed = contents.composed;
    found.exports.clone_from(&contents.exports);
    found.imports = contents.imports.iter().map(|import| import_of(import, &contents, config)).collect();
    for import in &found.imports {
        if let Err(advice) = &import.by {
            found.problems.push(format!("it imports `{}`, which is not there: {advice}", import.name));
        }
    }
    let max_memory = config.guest.max_memory.0;
    if let Err(error) = component::check_memory(&contents, max_memory) {
        found.problems.push(error.to_string());
    }
    let version = match inspect::version(&contents.exports) {
        Ok(version) => version,
        Err(error) => {
            found.problems.push(error.to_string());
            return Ok(());
        }
    };
    found.kind = Some(format!("wasi:http {version}"));
    compile(path, source, &Inspection { version, contents }, config, compiler, found)
}

fn compile(
    path: &Path,
    source: Source,
    inspection: &Inspection,
    config: &Config,
    compiler: &Compiler,
    found: &mut Examined,
) -> anyhow::Result<()> {
    let guest = &config.guest;
    let Inspection { version, contents } = inspection;
    let wanted = slots_for(config.http.max_in_flight);
    // That it needs more than it may have is said already.
    let max_memory = guest.max_memory.0.max(inspection.contents.least_memory);
    let shape = Shape::of(inspection, max_memory);
    let slots = engine::build(&shape, wanted, guest.max_total_memory.0, &engine::clock())
        .context("there is no room for an instance")?;
    let in_flight = room(slots.count).min(config.http.max_in_flight);
    let Decision { isolation, remark } = isolation::decide(*version, contents, guest.isolation);
    found.isolation = Some(describe(isolation, *version, config, in_flight));
    let cost = Cost {
        modules: contents.modules,
        memories: contents.memories,
        tables: contents.tables,
        least_memory: contents.least_memory,
        most_memory: max_memory,
        total_memory: guest.max_total_memory.0,
        slots: slots.count,
    };
    found.cost = Some(cost);
    let each_serves = match (isolation, version) {
        (Isolation::Instance, inspect::Version::V03) => guest.concurrency.max(1),
        _ => 1,
    };
    let needed = in_flight.div_ceil(each_serves) as u64;
    if cost.instances() < needed {
        found.warnings.push(format!(
            "there is memory for {} instances, and {in_flight} requests at once need {needed}: each begins with {}, and \
             guest.max-total-memory is {}; requests beyond that are shed",
            cost.instances(),
            mib(cost.least_memory),
            mib(cost.total_memory),
        ));
    }
    found.warnings.extend(remark.map(|remark| remark.text.to_owned()));
    if in_flight < config.http.max_in_flight {
        found.warnings.push(format!(
            "there is room for fewer instances here than http.max-in-flight ({}) asks for: {in_flight} requests at once \
             are served, further ones shed",
            config.http.max_in_flight
        ));
    }
    let compiled = source.compiled(path, inspection, &slots, compiler)?;
    // What is missing has been said, and linking would say it again.
    if found.imports.iter().all(|import| import.by.is_ok()) {
        component::link(&slots, &compiled, *version)?;
    }
    Ok(())
}

fn describe(isolation: Isolation, version: inspect::Version, config: &Config, in_flight: usize) -> String {
    let guest = &config.guest;
    let share = match (isolation, version) {
        (Isolation::Request, _) => "request: a fresh instance for each".to_owned(),
        (Isolation::Instance, inspect::Version::V02) => {
            format!("instance: {} requests in each, one after the other", guest.reuse)
        }
        (Isolation::Instance, inspect::Version::V03) => {
            format!("instance: {} requests in each, {} at once", guest.reuse, guest.concurrency)
        }
    };
    let why = match (guest.isolation, isolation) {
        (Some(wanted), isolation) if wanted == isolation => "guest.isolation",
        // A warning says why not.
        (Some(_), _) => "not what guest.isolation asks for",
        (None, Isolation::Request) if version == inspect::Version::V03 => "what it is made of wants it",
        (None, _) => "the default",
    };
    format!("{share} ({why}); room for {in_flight} requests at once")
}

/// Bytes, for people.
pub(crate) fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

fn import_of(name: &str, contents: &Contents, config: &Config) -> Import {
    let by = host_of_import(name, contents);
    let interface = contents.implements.get(name).map_or(name, String::as_str);
    let (note, refused) = if by.is_ok() { note(interface, config) } else { (None, false) };
    Import { name: name.to_owned(), by, note, refused }
}

/// What the settings make of an import that is there, and whether it refuses to be used.
fn note(import: &str, config: &Config) -> (Option<String>, bool) {
    let (guest, otel) = (&config.guest, &config.otel);
    let name = import.split('@').next().unwrap_or(import);
    let none_or = |list: String, none: &str| match list.is_empty() {
        true => (Some(none.to_owned()), true),
        false => (Some(list), false),
    };
    match name {
        "wasi:http/outgoing-handler" | "wasi:http/client" => {
            let hosts: Vec<String> = guest.allow_outbound.iter().map(ToString::to_string).collect();
            let hosts =
                if hosts.is_empty() { String::new() } else { format!("may call {}", hosts.join(", ")) };
            none_or(hosts, "every call is refused: guest.allow-outbound names no host")
        }
        "wasi:filesystem/preopens" => {
            let dirs: Vec<String> = guest.dir.iter().map(ToString::to_string).collect();
            let (note, _) = none_or(dirs.join(", "), "no directory: guest.dir is empty");
            (note, false)
        }
        "wasi:cli/environment" => {
            let (env, args) = (guest.env.len(), guest.args.len());
            (Some(format!("{env} of guest.env, {args} of guest.args")), false)
        }
        "wasi:config/store" => {
            let (own, env) = (guest.wasi_config.len(), guest.env.len());
            let note = match (own, env) {
                (0, 0) => "no setting: guest.wasi-config and guest.env are empty".to_owned(),
                (0, env) => format!("{env} of guest.env, as guest.wasi-config is empty"),
                (own, _) => format!("{own} of guest.wasi-config"),
            };
            (Some(note), false)
        }
        "wasi:sockets/ip-name-lookup" => {
            let names: Vec<String> = guest.allow_lookup.iter().map(ToString::to_string).collect();
            let names =
                if names.is_empty() { String::new() } else { format!("may look up {}", names.join(", ")) };
            none_or(names, "every look-up is refused: guest.allow-lookup lists no name")
        }
        "wasi:sockets/tcp"
        | "wasi:sockets/tcp-create-socket"
        | "wasi:sockets/udp"
        | "wasi:sockets/udp-create-socket"
        | "wasi:sockets/types" => {
            (Some("refused: calls go through wasi:http, where they are checked and traced".to_owned()), true)
        }
        _ if name.starts_with("pounce:telemetry/") || name.starts_with("wasi:otel/") => {
            let off = "does nothing while telemetry is off: set otel.endpoint".to_owned();
            (Some(off).filter(|_| !otel.is_on()), false)
        }
        _ => (None, false),
    }
}
