//! Composition root: builds the parts in dependency order, and stops them in the opposite one.

mod facts;
mod lifecycle;

use std::sync::Arc;

use anyhow::Context as _;

use crate::admin::{self, Admin};
use crate::config::{Config, ListenAddr};
use crate::guest::{Guests, OwnListeners};
use crate::server::{Admission, Drain, Handler, Inherited, Listener, Server, SocketFile};
use crate::telemetry::logs::OtlpLog;
use crate::telemetry::{AccessLog, Kept, Telemetry, host_metrics};

pub use lifecycle::Outcome;

/// A server that is bound, loaded and ready to serve.
pub struct App {
    listeners: Vec<Listener>,
    server: Arc<Server>,
    handler: Arc<Handler>,
    telemetry: Telemetry,
    admin: Option<(Admin, Option<SocketFile>)>,
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

impl App {
    /// Binds the listeners, starts telemetry, and loads the component.
    ///
    /// Must be called within a multi-threaded tokio runtime.
    ///
    /// # Errors
    /// [`StartError`], which says what is wrong and what to do about it.
    pub async fn build(config: Config) -> Result<Self, StartError> {
        Self::build_on(config, Vec::new(), OtlpLog::default()).await
    }

    /// The same, listening on sockets that are bound already, too; the log whose `otlp_log` it is becomes log records.
    pub(crate) async fn build_on(
        config: Config,
        inherited: Vec<Inherited>,
        otlp_log: OtlpLog,
    ) -> Result<Self, StartError> {
        config.check().map_err(|mistakes| StartError::Mistake(mistakes.into()))?;
        let path = config
            .component
            .clone()
            .context("no component to serve: name one, as in `pounce serve app.wasm`")
            .map_err(StartError::Mistake)?;
        let name = config.component_name().unwrap_or_default();

        // Bound first: a busy port is found before a minute of compiling, and early clients wait instead of failing.
        let inherited = inherited.into_iter().map(Listener::inherit);
        let mut listeners = inherited.collect::<Result<Vec<_>, _>>().map_err(StartError::Unavailable)?;
        for addr in &config.http.listen {
            listeners.push(Listener::bind(addr, "--listen").await.map_err(StartError::Unavailable)?);
        }
        let admin = match &config.admin.listen {
            Some(addr) => {
                Some(Listener::bind(addr, "--admin-listen").await.map_err(StartError::Unavailable)?)
            }
            None => None,
        };
        let own = OwnListeners {
            clients: listeners.iter().filter_map(Listener::tcp_addr).collect(),
            admin: admin.as_ref().and_then(Listener::tcp_addr),
        };
        let kept = Kept { metrics: admin.is_some(), recent_traces: config.recent_traces() };
        let telemetry = Telemetry::start(&config.otel, &name, kept).map_err(StartError::Unavailable)?;
        otlp_log.open(telemetry.signals().logs);
        // Before the component is loaded, which may take a minute: who asks meanwhile is told so.
        let admin = admin.map(|listener| start_admin(listener, config.admin.listen.as_ref(), &telemetry));
        let admin = admin.transpose().map_err(StartError::Unavailable)?;
        if let (Some((admin, _)), Some(metrics)) = (&admin, telemetry.metrics()) {
            let is_ready = admin.readiness();
            metrics.host.observe(&host_metrics::READY, &[], move || Some(is_ready().into()));
        }
        let guests = Guests::load(&path, &name, &config, own, telemetry.signals());
        let guests = guests.await.map_err(StartError::Mistake)?;

        let in_flight = config.http.max_in_flight.min(guests.room());
        if in_flight < config.http.max_in_flight {
            tracing::warn!(
                max_in_flight = config.http.max_in_flight,
                in_force = in_flight,
                "there is room for fewer instances than http.max-in-flight asks for: {in_flight} requests at once are \
                 served, further ones shed"
            );
        }
        tracing::info!(component = name, "{}", guests.describe());
        let admission = Arc::new(Admission::new(in_flight));
        let guests = Arc::new(guests);
        if let Some(metrics) = telemetry.metrics() {
            guests.observe(&metrics.host);
            admission.observe(&metrics.host);
        }
        let handler = Arc::new(Handler {
            guests,
            telemetry: telemetry.clone(),
            admission,
            drain: Drain::new(),
            access: AccessLog::new(config.log.access, telemetry.signals().logs, &config.otel),
            server_timing: config.http.server_timing,
            max_body: config.http.max_request_body.0,
        });
        let server = Arc::new(Server::new(&config.http, handler.clone()));
        let app =
            Self { listeners, server, handler, telemetry, admin, grace_period: config.http.grace_period };
        if let Some((admin, _)) = &app.admin {
            admin.ready(facts::of(app.handler.clone(), name, path.display().to_string(), app.urls()));
        }
        Ok(app)
    }

    /// Where clients connect to, one per listener, inherited ones first, then in the order of `http.listen`: `http://127.0.0.1:8080` or
    /// `unix:/run/pounce.sock`.
    #[must_use]
    pub fn urls(&self) -> Vec<String> {
        self.listeners.iter().map(Listener::url).collect()
    }

    /// Where the admin listener is: `http://127.0.0.1:8081` or `unix:/run/admin.sock`; none without one.
    #[must_use]
    pub fn admin_url(&self) -> Option<&str> {
        self.admin.as_ref().map(|(admin, _)| admin.url())
    }
}

/// Has the admin listener serve a socket that is bound; with the file that has to go when it stops.
fn start_admin(
    listener: Listener,
    addr: Option<&ListenAddr>,
    telemetry: &Telemetry,
) -> anyhow::Result<(Admin, Option<SocketFile>)> {
    let url = listener.url();
    let name = match addr {
        Some(ListenAddr::Tcp(addr)) => addr.rsplit_once(':').map(|(host, _)| host.to_owned()),
        _ => None,
    };
    let (socket, file) = listener.detach().context("cannot hand over the socket of the admin listener")?;
    let socket = match socket {
        Inherited::Tcp(socket) => admin::Socket::Tcp(socket),
        Inherited::Unix(socket) => admin::Socket::Unix(socket),
    };
    Ok((Admin::start(socket, url, name, telemetry.clone())?, file))
}
