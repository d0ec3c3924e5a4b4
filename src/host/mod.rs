//! What a guest may import: one file per WIT interface, and the store data that they share.

mod bindings;
mod budget;
mod current;
mod failure;
mod frames;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod guest_log;
mod held;
mod last_words;
mod limits;
mod meter;
mod others;
mod outbound;
mod outgoing;
mod output;
mod place;
mod scope;
mod sockets;
mod state;
mod stdio;
mod telemetry;
mod turns;
mod wasi_config;
mod wasi_logging;
mod wasi_otel;
mod written;

use std::sync::Arc;

use anyhow::Context as _;
use wasmtime::component::{Component, Linker};

pub(crate) use budget::Budget;
pub(crate) use current::{Serving, current_trace};
pub(crate) use failure::{Blame, Failure, FailureKind};
use guest_log::GuestLog;
pub(crate) use held::{HeldTooMuch, MAX_HELD, install as install_hooks};
pub(crate) use last_words::{End, Raised};
pub(crate) use limits::{Limits, Refused};
pub(crate) use meter::Meter;
pub(crate) use others::let_others_go_on;
pub(crate) use outbound::{Ledger, Mocks, OwnListeners, Policy, Reply, error_names};
pub(crate) use output::WriteTooLarge;
pub(crate) use place::{Full, Place, Rooms, Share};
pub(crate) use scope::{IncomingContext, RequestScope, Trace};
pub(crate) use state::HostState;
use telemetry::{Ignored, Recorder};
pub(crate) use turns::Turns;
pub(crate) use written::{Abi, Broken, Uploads, Written, asked_for_frame};

use crate::config;
use pounce_telemetry::metrics::host::Host as Metrics;
use pounce_telemetry::{Propagator, Signals};

/// Resources that the host keeps for one store at a time.
pub(crate) const MAX_RESOURCES: usize = 10_000;
/// Spans that the host keeps for one store: half of the resources, so that a guest can answer at all.
const MAX_SPANS: usize = MAX_RESOURCES / 2;
/// Handles that the guest of one store may hold. More than resources, because a guest with too many spans gets handles
/// that do nothing: `pounce:telemetry` never traps.
const MAX_HANDLES: usize = 1 << 17;
/// Bytes that one call may copy from guest to host memory.
pub(crate) const MAX_HOSTCALL_BYTES: usize = 4 * 1024 * 1024;
/// Elements of one table; JavaScript and Go components need several times what Rust does.
pub(crate) const MAX_TABLE_ELEMENTS: usize = 100_000;
/// Bytes of one `fields` resource, bookkeeping included.
const MAX_FIELDS_SIZE: usize = 128 * 1024;
/// Random bytes of one call: they are made on the thread that serves, without a chance to interrupt.
const MAX_RANDOM: u64 = 64 * 1024;

/// Whether guests can be given a directory.
///
/// # Errors
/// It cannot be opened.
pub(crate) fn openable(dir: &config::DirMount) -> anyhow::Result<()> {
    let opened = std::fs::read_dir(&dir.host);
    opened.map(drop).with_context(|| format!("guest.dir `{}` cannot be opened", dir.host.display()))
}

/// Who answers guests whom no setting lets call somebody.
#[derive(Clone, Default)]
pub(crate) enum Beyond {
    /// Nobody: the call is refused.
    #[default]
    Nobody,
    /// Everybody may be called and looked up where no setting says whom, and the ledger has it (`pounce dev`).
    Everybody(Arc<Ledger>),
    /// Mocks, which answer whatever the settings allow (`pounce test`).
    Mocks(Arc<Mocks>),
}

/// What the guests of one component may use; shared by all stores of it.
pub(crate) struct Capabilities {
    pub(crate) env: Vec<(String, String)>,
    pub(crate) args: Vec<String>,
    /// What guests read by `wasi:config`.
    settings: wasi_config::Settings,
    pub(crate) dirs: Vec<config::DirMount>,
    pub(crate) client: outbound::Client,
    sockets: outbound::Sockets,
    pub(crate) ignored: Ignored,
    /// Where guests' output, log records and metrics go.
    pub(crate) recorder: Recorder,
    /// What a remote parent that a guest names is to its span.
    pub(crate) guest_parents: config::GuestParents,
    pub(crate) propagator: Propagator,
    /// Whether spans are exported or shown.
    pub(crate) traced: bool,
    /// The guests' runtime reports exceptions on stderr (StarlingMonkey).
    pub(crate) has_reports: bool,
    /// The host's own metrics, where somebody wants them.
    pub(crate) metrics: Option<Arc<Metrics>>,
}

impl Capabilities {
    /// Resolves the settings of a component; `own` is where this server listens, `signals` where its guests' metrics
    /// and log records go, `beyond` who answers them whom no setting allows.
    ///
    /// # Errors
    /// A directory that cannot be opened, or system roots that cannot be read.
    pub(crate) fn new(
        component: &str,
        config: &config::Config,
        own: OwnListeners,
        signals: Signals,
        beyond: Beyond,
    ) -> anyhow::Result<Self> {
        let guest = &config.guest;
        for dir in &guest.dir {
            openable(dir)?;
        }
        let mut setup = match &beyond {
            Beyond::Everybody(ledger) if guest.allow_outbound.is_empty() => {
                outbound::Setup::open(component, ledger.clone())
            }
            _ => outbound::Setup::new(component, &guest.allow_outbound),
        };
        if let Beyond::Mocks(mocks) = &beyond {
            setup.mocks = Some(mocks.clone());
        }
        let sockets = match beyond {
            Beyond::Everybody(ledger) if guest.allow_lookup.is_empty() => {
                outbound::Sockets::open(component, ledger)
            }
            _ => outbound::Sockets::new(component, &guest.allow_lookup),
        };
        setup.own = own;
        setup.propagate_to = outbound::Destinations::new(&config.otel.propagate_to);
        setup.peer_services = outbound::PeerServices::new(&config.otel.peer_services);
        let log = Arc::new(GuestLog::new(component, signals.logs.clone()));
        let metrics = signals.host.clone();
        let propagator = signals.propagator.clone();
        Ok(Self {
            env: guest.env.iter().map(|env| (env.key.clone(), env.value.clone())).collect(),
            args: guest.args.iter().map(|arg| arg.0.clone()).collect(),
            settings: wasi_config::settings(guest),
            dirs: guest.dir.clone(),
            client: outbound::Client::new(setup),
            sockets,
            recorder: Recorder::new(signals, log),
            ignored: Ignored::default(),
            guest_parents: config.otel.guest_parents,
            traced: propagator.is_some(),
            propagator: propagator.unwrap_or_else(|| Propagator::new(&config.otel.propagators)),
            has_reports: false,
            metrics,
        })
    }
}

/// A package that the host has: its interfaces, by line of versions.
pub(crate) struct Package {
    pub(crate) name: &'static str,
    pub(crate) lines: &'static [(&'static str, &'static [&'static str])],
}

const CLI: &[&str] = &[
    "environment",
    "exit",
    "stdin",
    "stdout",
    "stderr",
    "terminal-input",
    "terminal-output",
    "terminal-stdin",
    "terminal-stdout",
    "terminal-stderr",
    // Of 0.3 only.
    "types",
];
const FILESYSTEM: &[&str] = &["types", "preopens"];
const RANDOM: &[&str] = &["random", "insecure", "insecure-seed"];

/// All that [`link`] links, for messages about what it does not.
pub(crate) const PACKAGES: &[Package] = &[
    Package { name: "wasi:cli", lines: &[("0.2", CLI), ("0.3", CLI)] },
    Package {
        name: "wasi:clocks",
        lines: &[
            ("0.2", &["monotonic-clock", "wall-clock"]),
            ("0.3", &["monotonic-clock", "system-clock", "types"]),
        ],
    },
    Package { name: "wasi:config", lines: &[("0.2.0-rc.1", &["store"]), ("0.2.0-draft", &["store"])] },
    Package { name: "wasi:filesystem", lines: &[("0.2", FILESYSTEM), ("0.3", FILESYSTEM)] },
    Package {
        name: "wasi:http",
        lines: &[("0.2", &["types", "outgoing-handler"]), ("0.3", &["types", "client"])],
    },
    Package { name: "wasi:io", lines: &[("0.2", &["error", "poll", "streams"])] },
    // Toolchains of before the draft give it no version.
    Package { name: "wasi:logging", lines: &[("0.1.0-draft", &["logging"]), ("", &["logging"])] },
    Package { name: "wasi:random", lines: &[("0.2", RANDOM), ("0.3", RANDOM)] },
    Package {
        name: "wasi:sockets",
        lines: &[
            (
                "0.2",
                &[
                    "network",
                    "instance-network",
                    "ip-name-lookup",
                    "tcp",
                    "tcp-create-socket",
                    "udp",
                    "udp-create-socket",
                ],
            ),
            ("0.3", &["types", "ip-name-lookup"]),
        ],
    },
    Package { name: "wasi:otel", lines: &[("0.2.0-rc.2", &["types", "tracing", "metrics", "logs"])] },
    Package {
        name: "pounce:telemetry",
        lines: &[("0.1", &["types", "tracing", "scopes", "propagation", "metrics", "logs"])],
    },
];

/// Links every interface. 0.3 guests get the 0.2 ones too: Rust's std still imports them.
pub(crate) fn link(linker: &mut Linker<HostState>, concurrent: bool) -> wasmtime::Result<()> {
    wasmtime_wasi::p2::add_to_linker_async(linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(linker)?;
    outgoing::link_02(linker)?;
    output::link_02(linker, concurrent)?;
    sockets::link_02(linker)?;
    if concurrent {
        wasmtime_wasi::p3::add_to_linker(linker)?;
        wasmtime_wasi_http::p3::add_to_linker(linker)?;
        outgoing::link_03(linker)?;
        output::link_03(linker)?;
        sockets::link_03(linker)?;
    }
    telemetry::link(linker)?;
    wasi_config::link(linker)?;
    wasi_logging::link(linker)?;
    wasi_otel::link(linker)
}

/// Links what a component imports under names that are not their interfaces' (WASI 0.3.1, `implements`).
pub(crate) fn link_other_names(
    linker: &mut Linker<HostState>,
    component: &Component,
) -> wasmtime::Result<()> {
    let component_type = component.component_type();
    for (name, import) in component_type.imports(component.engine()) {
        match import.implements {
            Some(interface) if wasi_config::INTERFACES.contains(&interface) => {
                wasi_config::link_as(linker, name)?;
            }
            Some(interface) if wasi_logging::INTERFACES.contains(&interface) => {
                wasi_logging::link_as(linker, name)?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// Whether an interface is also linked under names that are not its own. wasmtime generates no such bindings for
/// interfaces with resources.
pub(crate) fn links_by_other_names(interface: &str) -> bool {
    wasi_config::INTERFACES.contains(&interface) || wasi_logging::INTERFACES.contains(&interface)
}
