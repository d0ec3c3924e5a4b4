//! Components through all reloads: what belongs to a name, whichever file is served under it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pounce_telemetry::Telemetry;

use crate::config::Config;
use crate::guest::{Losses, Standing};

/// Telemetry and counts of components, by name.
pub(super) struct Lines {
    server: Telemetry,
    /// The component that the server's telemetry was started for, where it began with one.
    alone: Option<String>,
    known: Mutex<Vec<Line>>,
}

#[derive(Clone)]
struct Line {
    name: String,
    telemetry: Telemetry,
    standing: Arc<Standing>,
}

impl Lines {
    /// The lines of a server with this telemetry, which is that of the component called `alone` where it began with one.
    pub(super) fn new(server: Telemetry, alone: Option<String>) -> Self {
        Self { server, alone, known: Mutex::default() }
    }

    /// The server's own.
    pub(super) fn telemetry(&self) -> &Telemetry {
        &self.server
    }

    /// Telemetry and counts of the component of this configuration: those that it had before, or new ones.
    pub(super) fn of(&self, config: &Config) -> (Telemetry, Arc<Standing>) {
        let name = config.component_name().unwrap_or_default();
        let mut known = self.known();
        if let Some(line) = known.iter().find(|line| line.name == name) {
            return (line.telemetry.clone(), line.standing.clone());
        }
        let telemetry = match &self.alone {
            Some(alone) if *alone == name => self.server.clone(),
            _ => self.server.of_component(&config.otel.telemetry(), &name),
        };
        let standing = Arc::new(Standing::default());
        if let Some(metrics) = telemetry.metrics() {
            standing.observe(&metrics.host);
        }
        known.push(Line { name, telemetry: telemetry.clone(), standing: standing.clone() });
        (telemetry, standing)
    }

    /// Lets go of guests whose generation is gone.
    pub(super) fn settle(&self) {
        // Not under the lock: engines may go with them.
        let known = self.known().clone();
        known.iter().for_each(|line| line.standing.settle());
    }

    /// What all guests were refused or lost since the start.
    pub(super) fn losses(&self) -> Losses {
        Losses::sum(self.known().iter().map(|line| line.standing.losses()))
    }

    fn known(&self) -> MutexGuard<'_, Vec<Line>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
