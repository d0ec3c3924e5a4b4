//! Composition root: builds the parts in dependency order, and stops them in the opposite one.

mod call;
mod components;
mod facts;
mod harden;
mod lifecycle;
mod lines;
mod reload;
mod supervisor;

use std::pin::pin;
use std::sync::Arc;

use anyhow::{Context as _, anyhow};

use self::components::Loading;
use self::lines::Lines;
use self::reload::Reloads;
use crate::admin::{self, Admin, Names};
use crate::config::{Admin as AdminSettings, Config, Harden, ListenAddr, Loaded, Otel};
use crate::guest::{Beyond, Compiling, Engines, Guests, Ledger, Mocks, OwnListeners, Progress, Worker};
use crate::server::{
    Admission, BoundSocket, Current, Drain, ErrorPages, Forwarding, Generation, Handler, HeadLimits,
    Inherited, Listener, Memory, Rates, Router, Server, SocketFile, Tls,
};
use pounce_telemetry::logs::{self, OtlpLog};
use pounce_telemetry::metrics::host as host_metrics;
use pounce_telemetry::{LocalReaders, Telemetry};

pub use call::{BodyError, Caller, ResponseBody};
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
    /// What guests called that no setting names, where they may.
    ledger: Option<Arc<Ledger>>,
    drain_delay: std::time::Duration,
    grace_period: std::time::Duration,
}

/// Why an [`App`] could not be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The configuration or the component is at fault: changing one of them helps (exit status 2).
    #[error("{0:#}")]
    Mistake(anyhow::Error),
    /// The machine is: a busy port, no address space (exit status 1).
    #[error("{0:#}")]
    Unavailable(anyhow::Error),
}

/// What the program around a server gives it.
pub(crate) struct Surroundings {
    /// Sockets that are bound already, to be listened on, too.
    pub(crate) inherited: Vec<Inherited>,
    /// What has the program's own log become log records.
    pub(crate) otlp_log: OtlpLog,
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
        Self { inherited: Vec::new(), otlp_log: OtlpLog::default(), compiling, mocks: None, hardening: None }
    }
}

impl App {
    /// Binds the addresses, starts telemetry, loads the component, and listens: clients that connect earlier are refused,
    /// those that connect later wait for [`run`](Self::run).
    ///
    /// Must be called within a multi-threaded tokio runtime.
    ///
    /// A component that the cache does not have is compiled in this process, not in one of its own as the `pounce` binary
    /// does it: `guest.compile-timeout` and `guest.compile-memory` limit nothing then, and the process keeps some of the
    /// memory that it took. Nor is the process restricted, be `http.harden` on or off.
    ///
    /// # Errors
    /// [`StartError`], which says what is wrong and what to do about it.
    pub async fn build(config: Config) -> Result<Self, StartError> {
        if config.http.harden == Harden::Required {
            let what = anyhow!(
                "http.harden is required, and what restricts itself is the process of the `pounce` binary: a program that \
                 has a server inside does that as it sees fit; set it to on or off"
            );
            return Err(StartError::Mistake(what));
        }
        Self::build_within(Loaded::of(config), Surroundings::new(Compiling::by(Worker::Inline))).await
    }

    /// An app as [`build`](Self::build) makes it, in these surroundings.
    pub(crate) async fn build_within(loaded: Loaded, around: Surroundings) -> Result<Self, StartError> {
        let again = loaded.clone();
        let source: Source = Box::new(move || Ok(again.clone()));
        let built = Self::build_on(loaded, around, source, std::future::pending()).await?;
        Ok(built.unwrap_or_else(|| unreachable!("nobody tells it to stop")))
    }

    /// An app as [`build`](Self::build) makes it, in these surroundings; `source` gives the settings when they are to be read
    /// again.
    ///
    /// None if `stop` resolves first, with the name of the signal: then what was started has been stopped again, but
    /// for the thread that compiles, which nothing can stop.
    pub(crate) async fn build_on(
        loaded: Loaded,
        around: Surroundings,
        source: Source,
        stop: impl Future<Output = &'static str>,
    ) -> Result<Option<Self>, StartError> {
        let mut stop = pin!(stop);
        let Surroundings { inherited, otlp_log, compiling, mocks, hardening } = around;
        let config = loaded.config.clone();
        config.check().map_err(|mistakes| StartError::Mistake(mistakes.into()))?;
        let each = config.each();
        if each.is_empty() {
            let what = anyhow!("no component to serve: name one, as in `pounce serve app.wasm`");
            return Err(StartError::Mistake(what));
        }
        // What a server of several tells of itself is nobody's; one component speaks for its server.
        let (name, otel) = match &each[..] {
            [only] => (only.component_name().unwrap_or_default(), only.otel.clone()),
            _ => (String::new(), config.otel.clone()),
        };
        let tls = Tls::new(&config.http).map_err(StartError::Mistake)?.map(Arc::new);

        // Bound first: a busy port is found before a minute of compiling.
        let started = async {
            let (sockets, admin) = bind(&config, inherited).await?;
            let local = LocalReaders {
                metrics: admin.is_some(),
                recent_traces: config.recent_traces(),
                access_log: config.log.access,
                output: config.is_dev,
            };
            let telemetry = start_telemetry(&otel, &name, local).await?;
            anyhow::Ok((sockets, admin, telemetry))
        };
        let (sockets, admin, telemetry) = tokio::select! {
            // First: a signal that comes with the last of it is still there for the next who asks.
            biased;
            started = started => started.map_err(StartError::Unavailable)?,
            signal = &mut stop => {
                lifecycle::abandon(signal, &Telemetry::off(), None).await;
                return Ok(None);
            }
        };
        let own = OwnListeners {
            clients: sockets.iter().filter_map(BoundSocket::tcp_addr).collect(),
            admin: admin.as_ref().and_then(BoundSocket::tcp_addr),
        };
        otlp_log.open(telemetry.signals().logs);
        // Before the component is loaded, which may take a minute: who asks meanwhile is told so.
        let admin = admin.map(|socket| start_admin(socket, &config.admin, &telemetry));
        let admin = admin.transpose().map_err(StartError::Unavailable)?;
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
            components = components::load(config.clone(), each, loading.clone()) => components.map_err(StartError::Mistake)?,
            signal = &mut stop => {
                lifecycle::abandon(signal, &telemetry, admin).await;
                return Ok(None);
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
        let listeners = sockets.into_iter().map(BoundSocket::listen).collect::<Result<_, _>>();
        let listeners = listeners.map_err(StartError::Unavailable)?;
        let app = Self {
            listeners,
            server,
            handler,
            lines,
            reloads,
            telemetry,
            admin,
            ledger,
            drain_delay: config.http.drain_delay,
            grace_period: config.http.grace_period,
        };
        if let Some((admin, _)) = &app.admin {
            let (lines, reloads) = (app.lines.clone(), app.reloads.clone());
            let tls = app.server.tls().cloned();
            admin.ready(facts::of(app.handler.clone(), lines, reloads, app.urls(), tls));
        }
        Ok(Some(app))
    }

    /// Where clients connect to, one per listener, inherited ones first, then in the order of `http.listen`:
    /// `http://127.0.0.1:8080`, `https://127.0.0.1:8443` or `unix:/run/pounce.sock`.
    #[must_use]
    pub fn urls(&self) -> Vec<String> {
        let is_tls = self.server.tls().is_some();
        self.listeners.iter().map(|listener| listener.url(is_tls)).collect()
    }

    /// Where the admin listener is: `http://127.0.0.1:8081` or `unix:/run/admin.sock`; none without one.
    #[must_use]
    pub fn admin_url(&self) -> Option<&str> {
        self.admin.as_ref().map(|(admin, _)| admin.url())
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
) -> anyhow::Result<(Vec<BoundSocket>, Option<BoundSocket>)> {
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
async fn start_telemetry(otel: &Otel, name: &str, local: LocalReaders) -> anyhow::Result<Telemetry> {
    let (settings, name) = (otel.telemetry(), name.to_owned());
    let starting = move || Telemetry::start(&settings, &name, local);
    tokio::task::spawn_blocking(starting).await.context("the thread that starts telemetry died")?
}

/// Has the admin listener listen on a socket and serve it; with the file that has to go when it stops.
fn start_admin(
    socket: BoundSocket,
    settings: &AdminSettings,
    telemetry: &Telemetry,
) -> anyhow::Result<(Admin, Option<SocketFile>)> {
    let listener = socket.listen()?;
    let url = listener.url(false);
    let own = match &settings.listen {
        Some(ListenAddr::Tcp(addr)) => addr.rsplit_once(':').map(|(host, _)| host.to_owned()),
        _ => None,
    };
    let names = Names::new(own, settings.hosts.clone());
    let (socket, file) = listener.detach().context("cannot hand over the socket of the admin listener")?;
    let socket = match socket {
        Inherited::Tcp(socket) => admin::Socket::Tcp(socket),
        Inherited::Unix(socket) => admin::Socket::Unix(socket),
    };
    Ok((Admin::start(socket, url, names, telemetry.clone())?, file))
}
