//! A component as the server has it: loaded at the start, or when a request asks for it (`lazy`).

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use pounce_telemetry::Telemetry;
use tokio::sync::Mutex;

use super::{Budget, Guests, Place};
use crate::host::{Failure, FailureKind};

/// How long a component that could not be loaded is not tried again.
const NOT_AGAIN_WITHIN: Duration = Duration::from_secs(5);
/// How long requests wait for it where they may take for ever.
const LOADED_WITHIN: Duration = Duration::from_secs(30);

/// Loads the guests of a component.
pub(crate) type Load =
    Box<dyn Fn() -> Pin<Box<dyn Future<Output = anyhow::Result<Arc<Guests>>> + Send>> + Send + Sync>;

/// A component that is served. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Served(Arc<Inner>);

struct Inner {
    name: Arc<str>,
    telemetry: Telemetry,
    /// Places for its requests, where it shares them with other components.
    places: Option<Arc<Budget>>,
    guests: OnceLock<Arc<Guests>>,
    /// None where it is loaded from the start.
    lazy: Option<Lazy>,
}

struct Lazy {
    load: Load,
    /// When that failed last. Held while it is being loaded.
    failed: Mutex<Option<Instant>>,
    /// How long a request waits.
    patience: Duration,
}

impl Served {
    /// A component that is loaded.
    pub(crate) fn loaded(guests: Arc<Guests>, telemetry: Telemetry, places: Option<Arc<Budget>>) -> Self {
        let name = guests.name().clone();
        Self(Arc::new(Inner { name, telemetry, places, guests: guests.into(), lazy: None }))
    }

    /// A component that is loaded when the first request asks for it, which waits for `patience` at most.
    pub(crate) fn lazy(
        name: &str,
        telemetry: Telemetry,
        places: Option<Arc<Budget>>,
        patience: Option<Duration>,
        load: Load,
    ) -> Self {
        let patience = patience.unwrap_or(LOADED_WITHIN);
        let lazy = Some(Lazy { load, failed: Mutex::new(None), patience });
        Self(Arc::new(Inner { name: name.into(), telemetry, places, guests: OnceLock::new(), lazy }))
    }

    /// What the component is called.
    pub(crate) fn name(&self) -> &Arc<str> {
        &self.0.name
    }

    /// Where its requests are told.
    pub(crate) fn telemetry(&self) -> &Telemetry {
        &self.0.telemetry
    }

    /// Its guests, once it is loaded.
    pub(crate) fn guests(&self) -> Option<&Arc<Guests>> {
        self.0.guests.get()
    }

    /// The place with one of the component's own, where it shares them.
    ///
    /// # Errors
    /// It has all that it may have.
    pub(crate) fn admit(&self, place: Place) -> Result<Place, Failure> {
        let Some(places) = &self.0.places else { return Ok(place) };
        match places.hold_one() {
            Some(one) => Ok(place.of_component(one)),
            None => Err(Failure::overloaded(format!(
                "{} requests of the component are in flight, and the other places are kept for other components \
                 (http.max-in-flight)",
                places.used()
            ))),
        }
    }

    /// The component's guests, loaded first where nobody has asked for them yet.
    ///
    /// # Errors
    /// The component cannot be loaded, or not within the time that a request waits for it.
    pub(crate) async fn ready(&self) -> Result<&Arc<Guests>, Failure> {
        match self.guests() {
            Some(guests) => Ok(guests),
            // In a box: it is rare, and would make the future of every request larger.
            None => Box::pin(self.load()).await,
        }
    }

    /// Waits until the component is loaded.
    async fn load(&self) -> Result<&Arc<Guests>, Failure> {
        let not_loaded = |why: &str| {
            let message = format!("the component `{}` is not loaded: {why}", self.name());
            Failure::new(FailureKind::NotLoaded, message)
        };
        let Some(lazy) = &self.0.lazy else { return Err(not_loaded("nothing loads it")) };
        // A task of its own: it goes on when the client that asked first is gone.
        let loading = tokio::spawn({
            let (served, asked) = (self.clone(), Instant::now());
            async move { served.load_once(asked).await }
        });
        match tokio::time::timeout(lazy.patience, loading).await {
            Ok(_) => self.guests().ok_or_else(|| not_loaded("the log says why")),
            Err(_) => Err(not_loaded("it is being loaded, which takes longer than a request may wait")),
        }
    }

    /// Loads the component, unless somebody has done so, or has failed to since it was `asked` for or just before.
    async fn load_once(&self, asked: Instant) {
        let Some(lazy) = &self.0.lazy else { return };
        let mut failed = lazy.failed.lock().await;
        let is_hopeless = failed.is_some_and(|at| at >= asked || at.elapsed() < NOT_AGAIN_WITHIN);
        if is_hopeless || self.guests().is_some() {
            return;
        }
        tracing::info!(component = &*self.0.name, "a request asks for the component: loading it");
        match (lazy.load)().await {
            Ok(guests) => {
                tracing::info!(component = &*self.0.name, "loaded: {}", guests.describe());
                _ = self.0.guests.set(guests);
            }
            Err(error) => {
                *failed = Some(Instant::now());
                tracing::error!(
                    component = &*self.0.name,
                    "the component cannot be loaded, and its requests get 503; it is tried again when they ask for it \
                     in {NOT_AGAIN_WITHIN:?}: {error:#}"
                );
            }
        }
    }
}
