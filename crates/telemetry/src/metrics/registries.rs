//! The host's own instruments beside those of guests: what is exported and shown together.

use super::host::Host;
use super::store::Metrics;
use crate::methods::Methods;
use crate::settings::Settings;
use pounce_otlp::Counts;
use std::sync::Arc;

/// The host's own instruments, and those of guests.
#[derive(Clone)]
pub struct Registries {
    /// The host's own.
    pub host: Arc<Host>,
    /// What guests count.
    pub guests: Arc<Metrics>,
}

impl Registries {
    /// For an export as it is set; where nothing exports them, they are only read.
    pub(crate) fn new(settings: &Settings, is_exported: bool) -> Self {
        Self::with(settings, is_exported, &Arc::default())
    }

    /// The registries of another component, which are exported like these and counted with them.
    pub(crate) fn of_another(&self, settings: &Settings) -> Self {
        let another = Self::with(settings, self.guests.is_exported, self.counters());
        if self.guests.cumulative.get().is_some() {
            another.keep_for_pages();
        }
        another
    }

    fn with(settings: &Settings, is_exported: bool, counters: &Arc<Counts>) -> Self {
        let metrics =
            || Arc::new(Metrics { is_exported, ..Metrics::new(&settings.metrics, Arc::clone(counters)) });
        let methods = Methods::new(settings.known_methods.as_deref());
        Registries { host: Arc::new(Host::new(metrics(), methods)), guests: metrics() }
    }

    /// Has them keep what only pages need, which are asked for here.
    pub(crate) fn keep_for_pages(&self) {
        self.guests.cumulative.get_or_init(Default::default);
    }

    pub(crate) fn counters(&self) -> &Arc<Counts> {
        &self.guests.counters
    }

    /// Counts every point of `all` that has not arrived as failed; they share their counters.
    pub(crate) fn settle(all: &[Registries]) {
        let metrics: Vec<_> = all.iter().flat_map(|one| [&**one.host.metrics(), &*one.guests]).collect();
        Metrics::settle(&metrics);
    }
}
