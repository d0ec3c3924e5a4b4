//! From words to values: every option once, its sources and its checks.
//!
//! An option is declared in `options.rs`. Each source (flags, environment, `pounce.toml`) only says
//! texts; `resolve.rs` picks the highest source of each option and reads it, and every mistake of
//! every source is told at once.

mod activation;
mod check;
mod components;
pub(crate) mod content;
mod declared;
mod deserialize;
mod dev;
pub(crate) mod directories;
pub(crate) mod file;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod in_vain;
mod macros;
mod memory;
mod mistake;
mod options;
mod otel;
mod otel_env;
mod resolve;
mod route;
mod suggest;
mod telemetry;
mod tls;
mod value;
mod vars;

#[cfg(test)]
pub(crate) mod blessed;
#[cfg(test)]
mod example;
#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use pounce_telemetry::RecentTraces;

pub use components::Component;
use components::Components;
pub(crate) use declared::Declared;
pub use mistake::{Mistake, Mistakes};
pub(crate) use options::all as all_options;
pub use options::{Admin, Dev, Guest, Http, Log};
pub use otel::{Batch, Destination, LogsExport, MetricsExport, Otel, Transport};
pub use pounce_otlp::Proxies;
pub use pounce_telemetry::settings::Limits;
pub(crate) use resolve::{Given, InForce, Layer, Source};
pub use route::Route;
pub(crate) use route::{has_dot_segment, normal as normal_path};
pub use value::{
    AdminHost, Arg, ArtifactKey, ByteLimit, ByteSize, CacheDir, Certificates, Cidr, ClientAuth, Compression,
    DirMount, Endpoint, EnvVar, ExceptionSignal, ExemplarFilter, Exporter, ForwardedHeader, GuestParents,
    Harden, HeaderFormat, HistogramAggregation, HostPattern, Invalid, Isolation, ListenAddr, LogFormat,
    LogLevel, LookupRule, OutboundRule, PeerService, PortPattern, PrivateKey, PropagateTo, Propagators,
    Protocol, ProxyProtocol, Rate, RateLimit, RetryNeighbours, SampleRoute, Sampler, Semconv, Temporality,
    Timeout, TrustParent, TrustedProxy, WasiConfigEntry,
};
pub(crate) use value::{Certified, Described, Unusable, overlap, read_duration};
pub(crate) use vars::Vars;

/// Settings of a server, complete and checked when the server is built.
///
/// Fields are the keys of `pounce.toml` in their sections. Begin with the defaults or a file, and
/// set what differs:
///
/// ```
/// let mut config = pounce::Config::new("app.wasm");
/// config.http.listen = vec!["127.0.0.1:0".parse()?];
/// config.guest.max_memory = "64MiB".parse()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Config {
    /// The component's file.
    pub component: Option<PathBuf>,
    /// The component's name; the file's name without its ending when absent.
    pub component_name: Option<String>,
    /// Components that are served in place of that one, where there are several or they have settings of their own; routes
    /// (`http.route`) say which requests go to which.
    pub components: Vec<Component>,
    /// Whether the component is loaded when a request asks for it.
    pub(crate) lazy: bool,
    /// `[http]`
    pub http: Http,
    /// `[guest]`
    pub guest: Guest,
    /// `[otel]`
    pub otel: Otel,
    /// `[admin]`
    pub admin: Admin,
    /// `[log]`
    pub log: Log,
    /// `[dev]`; of use to `pounce dev` alone.
    pub dev: Dev,
    /// Whether it is a developer who serves (`pounce dev`): errors are told in full, and guests may call everybody whom no
    /// setting names.
    pub(crate) is_dev: bool,
    /// Recorded traces that are kept for the program itself, admin listener or not (`pounce test`).
    pub(crate) kept_traces: Option<RecentTraces>,
    /// Sockets that are there to listen on, beside `http.listen`: their number, as `LISTEN_FDS` gives it.
    pub(crate) inherited: usize,
    /// What looked wrong in the environment and was ignored; logged when the server starts.
    pub warnings: Vec<String>,
}

impl Config {
    /// The defaults, for the component at `path`. The environment is not asked.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { component: Some(path.into()), ..Self::default() }
    }

    /// The settings of a `pounce.toml`, over the defaults.
    ///
    /// The environment is asked only for what the file names (`guest.env`), not for options.
    ///
    /// # Errors
    /// All mistakes of the file, each with line and column.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, Mistakes> {
        let sources = Sources {
            file: Some(path.as_ref().to_owned()),
            vars: Vars::of_process().without_options(),
            ..Sources::default()
        };
        load(sources).map(|loaded| loaded.config)
    }

    /// What the component is called in traces and logs, the first of several.
    #[must_use]
    pub fn component_name(&self) -> Option<String> {
        let first = self.components.first().map(|component| component.name.clone());
        let stem = || self.component.as_ref()?.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        first.or_else(|| self.component_name.clone()).or_else(stem)
    }

    /// Recorded traces that are kept to be looked at. Who turned traces off does not want them on the admin listener
    /// either.
    pub(crate) fn recent_traces(&self) -> RecentTraces {
        if let Some(kept) = self.kept_traces {
            return kept;
        }
        let is_wanted = self.admin.listen.is_some() && !self.otel.disabled;
        let is_on = is_wanted && self.otel.exporter != Exporter::None;
        let memory = usize::try_from(self.admin.recent_traces_memory.0).unwrap_or(usize::MAX);
        RecentTraces { traces: if is_on { self.admin.recent_traces } else { 0 }, memory }
    }

    /// Whether the settings can work; those of [`load`] do, those set from code may not.
    pub(crate) fn check(&self) -> Result<(), Mistakes> {
        let told = check::check(self)
            .into_iter()
            .map(|wrong| Mistake::new(wrong.key, wrong.what, wrong.hint.told(true)));
        match told.collect::<Vec<_>>() {
            mistakes if mistakes.is_empty() => Ok(()),
            mistakes => Err(Mistakes(mistakes)),
        }
    }
}

/// Where settings come from.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    /// What was typed, by key.
    pub(crate) flags: Layer,
    /// The components that were typed.
    pub(crate) components: Vec<PathBuf>,
    /// The file that was typed; else `POUNCE_CONFIG` names one.
    pub(crate) file: Option<PathBuf>,
    /// Its text, where it has been read already.
    pub(crate) text: Option<String>,
    /// What a program has in a file of its own, in place of both.
    pub(crate) said: Option<file::Said>,
    /// Whether it is a mistake if nobody names a component.
    pub(crate) needs_component: bool,
    /// Whether the defaults are those of `pounce dev`.
    pub(crate) is_dev: bool,
    /// Whether the file is the only place where somebody can set the options, which hints then speak of.
    pub(crate) is_file_alone: bool,
    /// Keys of the file that are no settings, and are read elsewhere.
    pub(crate) beside: &'static [&'static str],
    pub(crate) vars: Vars,
}

/// Settings, and who set each.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    pub(crate) config: Config,
    pub(crate) in_force: Vec<InForce>,
    /// What components have in force of their own, by name.
    pub(crate) own_in_force: Vec<(String, Vec<InForce>)>,
    /// The file that was read, if one was.
    pub(crate) file: Option<PathBuf>,
}

impl Loaded {
    /// Settings that a program has made.
    pub(crate) fn of(config: Config) -> Self {
        Self { config, in_force: Vec::new(), own_in_force: Vec::new(), file: None }
    }
}

/// What was loaded, with whatever is wrong with it.
#[derive(Debug)]
pub(crate) struct Resolved {
    /// Works only without mistakes; with them, it is what can be said of the rest.
    pub(crate) loaded: Loaded,
    pub(crate) mistakes: Vec<Mistake>,
}

/// Resolves every option; all mistakes of all sources at once.
pub(crate) fn load(sources: Sources) -> Result<Loaded, Mistakes> {
    let Resolved { loaded, mistakes } = resolve(sources);
    if mistakes.is_empty() { Ok(loaded) } else { Err(Mistakes(mistakes)) }
}

/// Resolves every option, past all mistakes.
pub(crate) fn resolve(sources: Sources) -> Resolved {
    let Sources {
        flags,
        components: typed,
        file,
        text,
        said,
        needs_component,
        is_dev,
        is_file_alone,
        beside,
        vars,
    } = sources;
    let file = file.or_else(|| vars.set("POUNCE_CONFIG").map(PathBuf::from));
    let said = said.unwrap_or_else(|| match (file.as_deref(), text) {
        (Some(file), Some(text)) => file::parse(&text, file, beside),
        (Some(file), None) => file::read(file),
        (None, _) => file::Said::default(),
    });

    // What a broken file would have said is not missed.
    let file_is_sound = said.mistakes.is_empty();

    // Components that were typed replace the file's, names and all.
    let of_file = if typed.is_empty() { said.components } else { Vec::new() };
    let folder = file.as_deref().and_then(Path::parent).unwrap_or(Path::new(""));
    let around = components::Around { flags: &flags, vars: &vars, file: &said.options, folder, is_dev };
    let mut components = Components::resolve(of_file, &around);
    components.all.extend(typed.into_iter().map(Component::new));

    let mut resolver = resolve::Resolver::new(flags, &vars, said.options, is_dev);
    resolver.mistakes = said.mistakes;
    resolver.warn_of_typos();
    let mut config = Config {
        component: None,
        component_name: None,
        components: Vec::new(),
        lazy: false,
        http: Http::resolve(&mut resolver),
        guest: Guest::resolve(&mut resolver),
        otel: Otel::resolve(&mut resolver),
        admin: Admin::resolve(&mut resolver),
        log: Log::resolve(&mut resolver),
        dev: Dev::resolve(&mut resolver),
        is_dev,
        kept_traces: None,
        inherited: 0,
        warnings: Vec::new(),
    };
    config.show_trees();
    match &components.all[..] {
        [one] if !one.lazy && one.guest.is_none() && one.otel.is_none() => {
            config.component = Some(one.source.clone());
            config.component_name = Some(one.name.clone());
        }
        _ => config.components = components.all,
    }
    config.http.route.extend(said.routes);
    let resolve::Resolver { mut in_force, mut mistakes, reader, .. } = resolver;
    // What is wrong in a section was found for each component again.
    components.mistakes.retain(|mistake| !mistakes.contains(mistake));
    mistakes.extend(components.mistakes);
    let mut warnings = reader.warnings;
    config.inherited = activation::sockets(&vars, &mut mistakes, &mut warnings);
    if mistakes.is_empty() {
        warnings.extend(in_vain::warnings(&config, &vars));
    }
    config.warnings = warnings;
    let listen = in_force.iter_mut().find(|one| one.key == "http.listen");
    if let Some(listen) = listen.filter(|one| config.inherited > 0 && one.source == Source::Default) {
        // Sockets that somebody chose stand for the address that nobody did.
        config.http.listen.clear();
        listen.value = format!("{} inherited", config.inherited);
        listen.source = Source::by("LISTEN_FDS");
    }
    if let Some(one) = in_force.iter_mut().find(|one| one.key == "http.route" && one.is_valid) {
        // Routes of `[[route]]` come after the ones that were typed.
        let routes = config.http.route.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        if !routes.is_empty() {
            one.value = routes;
        }
        if let Some(source) = said.routes_at.filter(|_| one.source == Source::Default) {
            one.source = source;
        }
    }

    for wrong in check::check(&config).into_iter().chain(check::nowhere_to_listen(&config)) {
        let set_by = in_force.iter_mut().find(|one| one.key == wrong.key).map(|one| {
            one.invalidate();
            match &one.source {
                source @ Source::File { .. } => format!("{source}: {}", wrong.key),
                Source::Program => wrong.key.to_owned(),
                source => source.to_string(),
            }
        });
        let hint = wrong.hint.told(!is_file_alone);
        mistakes.push(Mistake::new(set_by.unwrap_or_default(), wrong.what, hint));
    }
    mistakes.extend(Components::flaws(&config, &components.in_force, !is_file_alone));
    if needs_component && config.names().is_empty() && file_is_sound {
        let hint = "name its file: pounce serve app.wasm (or in a [[component]] of --config FILE)";
        mistakes.push(Mistake::new("", "there is no component to serve", hint));
    }
    let own_in_force = components.in_force;
    Resolved { loaded: Loaded { config, in_force, own_in_force, file }, mistakes }
}
