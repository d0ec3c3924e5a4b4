//! Composition root: builds the parts in dependency order, and stops them in the opposite one.

mod builder;
mod call;
mod components;
mod error;
mod facts;
mod harden;
mod lifecycle;
mod lines;
mod reload;
mod supervisor;

use std::pin::pin;
use std::sync::Arc;

use anyhow::Context as _;

use self::components::Loading;
use self::lines::Lines;
use self::reload::Reloads;
use crate::admin::{self, Admin, Names};
use crate::config::{Admin as AdminSettings, Config, Exporter, ListenAddr, Loaded, Mistake, Mistakes, Otel};
use crate::guest::{Beyond, Compiling, Engines, Guests, Ledger, Mocks, OwnListeners, Progress};
use crate::server::{
    Admission, BoundSocket, Current, Drain, ErrorPages, Forwarding, Generation, Handler, HeadLimits,
    Inherited, ListenError, Listener, Listening, Memory, Rates, Router, Server, SocketFile, Tls,
};
use pounce_telemetry::logs::{self, LogExport};
use pounce_telemetry::metrics::host as host_metrics;
use pounce_telemetry::{Interfaces, LocalReaders, Telemetry};

pub use builder::Builder;
pub use call::{BodyError, Caller, ResponseBody};
pub use error::{Cause, StartError};
pub(crate) use harden::{HINT as HARDEN_HINT, Hardening, Offer};
pub use lifecycle::Outcome;
pub(crate) use lifecycle::Stops;
pub(crate) use reload::{Reloader, Source};
pub(crate) use supervisor::Supervisor;

/// A server that is bound, loaded and ready to serve.
pub struct App {
    listeners: Vec<Listener>,
    server: Arc<Server>,
    handler: Arc<Handler>,
    /// Components through all reloads.
    lines: Arc<Lines>,
    reloads: Arc<Reloads>,
    telemetry: Telemetry,
    admin: Option<(Admin, Option<SocketFile>)>,
    admin_listener: Option<Listening>,
    /// What guests called that no setting names, where they may.
    ledger: Option<Arc<Ledger>>,
    drain_delay: std::time::Duration,
    grace_period: std::time::Duration,
}

/// What the program around a server gives it.
pub(crate) struct Surroundings {
    /// Sockets that are bound already, to be listened on, too.
    pub(crate) inherited: Vec<Inherited>,
    /// What has the program's own log become log records.
    pub(crate) log: LogExport,
    /// What it implements of OpenTelemetry's interfaces.
    pub(crate) interfaces: Interfaces,
    /// How a component is compiled that has to be.
    pub(crate) compiling: Compiling,
    /// What answers guests' outgoing requests in place of the network.
    pub(crate) mocks: Option<Arc<Mocks>>,
    /// What the process has given up.
    pub(crate) hardening: Option<Hardening>,
}

impl Surroundings {
    /// Nothing but a way to compile.
    pub(crate) fn new(compiling: Compiling) -> Self {
        Self {
            inherited: Vec::new(),
            log: LogExport::default(),
            interfaces: Interfaces::default(),
            compiling,
            mocks: None,
            hardening: None,
        }
    }
}

impl App {
    /// An app as [`build`](Self::build) makes it, in these surroundings; `source` gives the settings when they are to be read
    /// again.
    ///
    /// The inner error is what `stop` resolved to, if it did so first, such as the name of a signal: then what was started
    /// has been stopped again, but for the thread that compiles, which nothing can stop.
    pub(crate) async fn build_on<S: std::fmt::Display>(
        loaded: Loaded,
        around: Surroundings,
        source: Source,
        stop: impl Future<Output = S>,
    ) -> Result<Result<Self, S>, StartError> {
        let mut stop = pin!(stop);
        let Surroundings { inherited, log, interfaces, compiling, mocks, hardening } = around;
        let config = loaded.config.clone();
        config.check()?;
        let each = config.each();
        if each.is_empty() {
            let hint = "name its file, as in `pounce serve app.wasm`";
            let mistake = Mistake::new("", "there is no component to serve", hint);
            return Err(Mistakes(vec![mistake]).into());
        }
        // What a server of several tells of itself is nobody's; one component speaks for its server.
        let (name, otel) = match &each[..] {
            [only] => (only.component_name().unwrap_or_default(), only.otel.clone()),
            _ => (String::new(), config.otel.clone()),
        };
        let tls = Tls::new(&config.http).map_err(|error| StartError::Tls(error.into()))?.map(Arc::new);

        // Bound first: a busy port is found before a minute of compiling.
        let started = async {
            let (sockets, admin) = bind(&config, inherited).await?;
            let local = LocalReaders {
                metrics: admin.is_some(),
                recent_traces: config.recent_traces(),
                access_log: config.log.access,
                output: config.is_dev,
            };
            let telemetry = start_telemetry(&otel, &name, local, interfaces).await?;
            Ok::<_, StartError>((sockets, admin, telemetry))
        };
        let (sockets, admin, telemetry) = tokio::select! {
            // First: a signal that comes with the last of it is still there for the next who asks.
            biased;
            started = started => started?,
            signal = &mut stop => {
                lifecycle::abandon(&signal, &Telemetry::off(), None).await;
                return Ok(Err(signal));
            }
        };
        let own = OwnListeners {
            clients: sockets.iter().filter_map(BoundSocket::tcp_addr).collect(),
            admin: admin.as_ref().and_then(BoundSocket::tcp_addr),
        };
        log.open(telemetry.signals().logs);
        // Before the component is loaded, which may take a minute: who asks meanwhile is told so.
        let admin = admin.map(|socket| start_admin(socket, &config.admin, &telemetry));
        let (admin, admin_listener) = admin.transpose()?.unzip();
        if let (Some((admin, _)), Some(metrics)) = (&admin, telemetry.metrics()) {
            let is_ready = admin.readiness();
            metrics.host.observe(&host_metrics::READY, &[], move || Some(is_ready().into()));
        }
        let compiling_later = compiling.clone();
        let compiling = match &admin {
            Some((admin, _)) => {
                let is_compiling = admin.compiling();
                compiling.telling(move |progress| is_compiling(matches!(progress, Progress::Begun { .. })))
            }
            None => compiling,
        };
        let memory = Memory {
            total: if let [only] = &each[..] { &only.guest } else { &config.guest }.max_total_memory.0,
            of_one: each.iter().map(|config| Guests::memory_of_one(&config.guest)).max().unwrap_or_default(),
        };
        let alone = (each.len() == 1).then(|| name.clone());
        let lines = Arc::new(Lines::new(telemetry.clone(), alone));
        let engines = Arc::new(Engines::new());
        let ledger: Option<Arc<Ledger>> = config.is_dev.then(Arc::default);
        let beyond = match (&ledger, mocks) {
            (_, Some(mocks)) => Beyond::Mocks(mocks),
            (Some(ledger), None) => Beyond::Everybody(ledger.clone()),
            (None, None) => Beyond::Nobody,
        };
        let loading = Loading { own, beyond, lines: lines.clone(), compiling, compiling_later, engines };
        let components = tokio::select! {
            biased;
            components = components::load(config.clone(), each, loading.clone()) => components.map_err(|error| StartError::Component(error.into()))?,
            signal = &mut stop => {
                lifecycle::abandon(&signal, &telemetry, admin).await;
                return Ok(Err(signal));
            }
        };

        let router = Router::new(&config.http.route, &config.names());
        let (telemetry_of_none, paths) = (telemetry.clone(), components::paths(&config));
        let generation = Arc::new(Generation { router, components, telemetry: telemetry_of_none, paths });
        let in_flight = components::room_of(&config, generation.guests());
        if in_flight < config.http.max_in_flight {
            tracing::warn!(
                max_in_flight = config.http.max_in_flight,
                in_force = in_flight,
                "there is room for fewer instances than http.max-in-flight asks for: {in_flight} requests at once are \
                 served, further ones shed"
            );
        }
        for served in &generation.components {
            let component = &**served.name();
            match served.guests() {
                Some(guests) => tracing::info!(component, "{}", guests.describe()),
                None => tracing::info!(component, "it is loaded when a request asks for it"),
            }
        }
        let admission = Arc::new(Admission::new(in_flight, config.http.max_in_flight_per_peer, memory));
        let rates = Arc::new(Rates::new(config.http.rate_limit.0));
        if let Some(metrics) = telemetry.metrics() {
            admission.observe(&metrics.host);
            rates.observe(&metrics.host);
            if let Some(tls) = &tls {
                tls.observe(&metrics.host);
            }
            metrics.host.observe(&host_metrics::LOG_LINES_DROPPED, &[], || Some(logs::lines_left_out()));
        }
        let handler = Arc::new(Handler {
            generation: Current::new(generation),
            telemetry: telemetry.clone(),
            admission,
            rates,
            forwarding: Forwarding::new(&config.http),
            drain: Drain::new(),
            error_pages: config.is_dev.then(|| Arc::new(ErrorPages::new(viewer_of(admin.as_ref())))),
            server_timing: config.http.server_timing,
            response_timeout: config.http.response_timeout.0,
            idle_timeout: config.http.idle_timeout.0,
            heads: HeadLimits::new(&config.http),
            max_body: config.http.max_request_body.0,
        });
        let server = Arc::new(Server::new(&config.http, handler.clone(), tls));
        // From now on nobody waits for what is compiled.
        let loading = Loading { compiling: loading.compiling_later.clone(), ..loading };
        let reloads = Arc::new(Reloads::new(source, loaded, handler.clone(), loading, hardening));
        if let Some(metrics) = telemetry.metrics() {
            server.observe(&metrics.host);
            reloads.observe(&metrics.host);
        }
        // Only now: until there is something to serve, clients are refused at once and go elsewhere.
        let listeners = sockets.into_iter().map(BoundSocket::listen).collect::<Result<_, _>>()?;
        let app = Self {
            listeners,
            server,
            handler,
            lines,
            reloads,
            telemetry,
            admin,
            admin_listener,
            ledger,
            drain_delay: config.http.drain_delay,
            grace_period: config.http.grace_period,
        };
        if let Some((admin, _)) = &app.admin {
            let (lines, reloads) = (app.lines.clone(), app.reloads.clone());
            let tls = app.server.tls().cloned();
            let listeners = app.listeners().iter().map(ToString::to_string).collect();
            admin.ready(facts::of(app.handler.clone(), lines, reloads, listeners, tls));
        }
        Ok(Ok(app))
    }

    /// Where clients connect to, one per listener, in the order of `http.listen`; inherited sockets (of the `pounce`
    /// binary) come first.
    #[must_use]
    pub fn listeners(&self) -> Vec<Listening> {
        let is_tls = self.server.tls().is_some();
        self.listeners.iter().map(|listener| listener.listening(is_tls)).collect()
    }

    /// Where operators connect to (`admin.listen`); none without an admin listener.
    #[must_use]
    pub fn admin_listener(&self) -> Option<&Listening> {
        self.admin_listener.as_ref()
    }

    /// Where the traces can be looked at by a browser: `http://127.0.0.1:8081/traces`.
    pub(crate) fn viewer_url(&self) -> Option<String> {
        viewer_of(self.admin.as_ref())
    }

    /// Who asks this server for reloads.
    pub(crate) fn reloader(&self) -> Reloader {
        Reloader::new(self.reloads.clone())
    }
}

/// Where an admin listener shows traces, if browsers come there.
fn viewer_of(admin: Option<&(Admin, Option<SocketFile>)>) -> Option<String> {
    let url = admin.map(|(admin, _)| admin.url())?;
    url.starts_with("http").then(|| format!("{url}/traces"))
}

/// Binds the addresses of clients and that of operators.
async fn bind(
    config: &Config,
    inherited: Vec<Inherited>,
) -> Result<(Vec<BoundSocket>, Option<BoundSocket>), ListenError> {
    let mut sockets: Vec<_> = inherited.into_iter().map(BoundSocket::inherited).collect();
    let taken_by =
        |setting: &'static str| move |socket: &BoundSocket| socket.tcp_addr().map(|addr| (setting, addr));
    let mut taken: Vec<_> = sockets.iter().filter_map(taken_by("LISTEN_FDS")).collect();
    for addr in &config.http.listen {
        let socket = BoundSocket::bind(addr, "--listen", &taken).await?;
        taken.extend(taken_by("--listen")(&socket));
        sockets.push(socket);
    }
    let admin = match &config.admin.listen {
        Some(addr) => Some(BoundSocket::bind(addr, "--admin-listen", &taken).await?),
        None => None,
    };
    Ok((sockets, admin))
}

/// Starts telemetry on a thread of its own: its spool may be on a disk that hangs.
async fn start_telemetry(
    otel: &Otel,
    name: &str,
    local: LocalReaders,
    mut interfaces: Interfaces,
) -> Result<Telemetry, StartError> {
    if otel.disabled || otel.exporter == Exporter::None {
        interfaces.remove_exporter();
    }
    let (settings, name) = (otel.telemetry(), name.to_owned());
    let starting = move || Telemetry::start_with(&settings, &name, local, interfaces);
    let started =
        tokio::task::spawn_blocking(starting).await.context("the thread that starts telemetry died");
    started.flatten().map_err(|error| StartError::Telemetry(error.into()))
}

/// Has the admin listener listen on a socket and serve it; with the file that has to go when it stops, and where it is.
fn start_admin(
    socket: BoundSocket,
    settings: &AdminSettings,
    telemetry: &Telemetry,
) -> Result<((Admin, Option<SocketFile>), Listening), StartError> {
    let listener = socket.listen()?;
    let listening = listener.listening(false);
    let own = settings.listen.as_ref().and_then(ListenAddr::host);
    let names = Names::new(own, settings.hosts.clone());
    let of_system = |error: anyhow::Error| StartError::System(error.into());
    let detached = listener.detach().context("cannot hand over the socket of the admin listener");
    let (socket, file) = detached.map_err(of_system)?;
    let socket = match socket {
        Inherited::Tcp(socket) => admin::Socket::Tcp(socket),
        Inherited::Unix(socket) => admin::Socket::Unix(socket),
    };
    let admin = Admin::start(socket, listening.to_string(), names, telemetry.clone()).map_err(of_system)?;
    Ok(((admin, file), listening))
}
