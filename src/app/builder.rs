//! How a program builds a server, with what only a program can give it.

use std::convert::Infallible;

use opentelemetry::propagation::TextMapPropagator;
use opentelemetry_sdk::trace::{ShouldSample, SpanExporter};
use pounce_telemetry::Interfaces;
use pounce_telemetry::logs::LogExport;

use super::{App, StartError, Surroundings};
use crate::config::{Config, Harden, Loaded, Mistake, Mistakes};
use crate::guest::{Compiling, Worker};

/// Builder of an [`App`]: the settings, and what a program has beside them.
#[derive(Debug)]
#[must_use = "nothing is bound or loaded before `build`"]
pub struct Builder {
    config: Config,
    log: LogExport,
    interfaces: Interfaces,
}

impl Builder {
    pub(super) fn new(config: Config) -> Self {
        Self { config, log: LogExport::default(), interfaces: Interfaces::default() }
    }

    /// Exports the program's own log with that of the server: each event that reaches the [layer](LogExport::layer) of
    /// `log` becomes a log record of OpenTelemetry, and goes where log records go (`otel.endpoint`).
    ///
    /// ```no_run
    /// use tracing_subscriber::layer::SubscriberExt as _;
    /// use tracing_subscriber::util::SubscriberInitExt as _;
    ///
    /// # async fn serve(config: pounce::Config) -> Result<(), Box<dyn std::error::Error>> {
    /// let log = pounce::LogExport::default();
    /// // Lines on standard output, as ever, and records beside them.
    /// tracing_subscriber::registry().with(tracing_subscriber::fmt::layer()).with(log.layer()).init();
    /// let app = pounce::App::builder(config).export_log(&log).build().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn export_log(mut self, log: &LogExport) -> Self {
        self.log = log.clone();
        self
    }

    /// Has a sampler of OpenTelemetry decide which requests are sampled, in place of `otel.sample`; rules of
    /// `otel.sample-route` stand above it for requests about which no caller has decided, and `otel.keep-errors` and
    /// `otel.keep-slow` export what it has not sampled. See [`Interfaces::set_sampler`] for what it is told, and for what
    /// its answers mean.
    ///
    /// ```no_run
    /// use opentelemetry_sdk::trace::Sampler;
    ///
    /// # async fn serve(config: pounce::Config) -> Result<(), pounce::StartError> {
    /// let tenth = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(0.1)));
    /// let app = pounce::App::builder(config).sampler(tenth).build().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn sampler(mut self, sampler: impl ShouldSample + 'static) -> Self {
        self.interfaces.set_sampler(Box::new(sampler));
        self
    }

    /// Has spans go to an exporter of OpenTelemetry, in place of `otel.endpoint` and `otel.exporter`; they are recorded then
    /// although no endpoint is set, unless `otel.exporter` is `none`. Metrics and log records go where the settings say.
    /// See [`Interfaces::set_exporter`] for how it is called, and for what its type of a span cannot hold.
    pub fn span_exporter(mut self, exporter: impl SpanExporter + 'static) -> Self {
        self.interfaces.set_exporter(exporter);
        self
    }

    /// Has a propagator of OpenTelemetry read and write trace context and baggage, in place of `otel.propagators`. See
    /// [`Interfaces::set_propagator`].
    pub fn propagator(mut self, propagator: impl TextMapPropagator + Send + Sync + 'static) -> Self {
        self.interfaces.set_propagator(Box::new(propagator));
        self
    }

    /// Binds the addresses, starts telemetry, loads the components, and listens: clients that connect earlier are
    /// refused, those that connect later wait for [`App::run`].
    ///
    /// Must be called within a multi-threaded tokio runtime.
    ///
    /// A component that the cache does not have is compiled in this process, not in one of its own as the `pounce` binary
    /// does it: `guest.compile-timeout` and `guest.compile-memory` limit nothing then, and the process keeps some of the
    /// memory that it took. Nor is the process restricted, be `http.harden` on or off.
    ///
    /// # Errors
    /// [`StartError`], which says what is wrong and what to do about it.
    pub async fn build(self) -> Result<App, StartError> {
        let Self { config, log, interfaces } = self;
        if config.http.harden == Harden::Required {
            let what = "http.harden is required, and what restricts itself is the process of the `pounce` binary: a program that \
                        has a server inside does that as it sees fit";
            return Err(Mistakes(vec![Mistake::new("http.harden", what, "set it to on or off")]).into());
        }
        let around = Surroundings { log, interfaces, ..Surroundings::new(Compiling::by(Worker::Inline)) };
        App::build_within(Loaded::of(config), around).await
    }
}

impl App {
    /// Builder of an app with these settings.
    pub fn builder(config: Config) -> Builder {
        Builder::new(config)
    }

    /// An app with these settings and nothing else: see [`Builder::build`].
    ///
    /// # Errors
    /// [`StartError`], which says what is wrong and what to do about it.
    pub async fn build(config: Config) -> Result<Self, StartError> {
        Self::builder(config).build().await
    }

    /// An app in these surroundings.
    pub(crate) async fn build_within(loaded: Loaded, around: Surroundings) -> Result<Self, StartError> {
        let again = loaded.clone();
        let source: super::Source = Box::new(move || Ok(again.clone()));
        match Self::build_on(loaded, around, source, std::future::pending::<Infallible>()).await? {
            Ok(app) => Ok(app),
            Err(never) => match never {},
        }
    }
}
