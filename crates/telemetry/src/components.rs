//! Telemetry of several components in one server: each with a resource and settings of its own, all on one way out.
//!
//! Their spans and log records wait in the server's buffers, marked whose they are, so that limits, losses, spool and
//! connections are those of one exporter. Metrics are each component's own, and collected together.

use crate::exceptions::ExceptionLog;
use crate::export::{Member, Sources};
use crate::log_records::LogRecords;
use crate::methods::Methods;
use crate::request::access::AccessLog;
use crate::request::shared::Shared;
use crate::settings::Settings;
use crate::spans::open::Registry;
use crate::{On, Propagator, Signals, Telemetry, Traces, resource, shown_by, spans_with};
use std::sync::{Arc, Mutex, PoisonError};

impl Telemetry {
    /// Telemetry of the component called `name`, with a resource of its own, in a server of several: on the way out of
    /// this, which is the server's. Of `settings` those count that are about spans and metrics, not those about the way
    /// out. It needs no shutdown of its own.
    #[must_use]
    pub fn of_component(&self, settings: &Settings, name: &str) -> Telemetry {
        let Some(server) = &self.0 else {
            return Telemetry::off();
        };
        let resource: Arc<[u8]> = resource::encode(settings, name).into();
        // Under one lock: both numbers are then of the same component.
        let mut components = server.components.lock().unwrap_or_else(PoisonError::into_inner);
        let (envelopes, origins) = server.envelopes.of_another(settings, name, &resource);
        let spans = server.shared.spans.as_ref().map(|spans| {
            let pipeline = Arc::new(spans.pipeline.of_origin(origins.spans));
            spans_with(settings, pipeline, spans.tail_room.clone())
        });
        let recent = self.traces().and_then(|traces| traces.recent.clone());
        let are_logs_exported = server.sources.logs.is_some();
        let logs = server.signals.logs.as_ref().map(|logs| {
            let pipeline = Arc::new(logs.pipeline.of_origin(origins.logs));
            Arc::new(LogRecords::new(pipeline, &settings.limits, shown_by(settings, recent.as_ref())))
        });
        let exported_logs = logs.clone().filter(|_| are_logs_exported);
        let registries = server.sources.metrics.as_ref().map(|metrics| metrics.of_another(settings));
        if let Some(metrics) = registries.clone() {
            metrics.host.observe_component(&metrics, exported_logs.as_ref());
            let member = Member { component: name.into(), metrics, envelopes: envelopes.clone() };
            server.sources.others().push(member);
        }
        let host = registries.as_ref().map(|metrics| metrics.host.clone());
        let shared = Arc::new(Shared {
            component: name.into(),
            methods: Methods::new(settings.known_methods.as_deref()),
            spans,
            families: Registry::new(),
            metrics: host.clone(),
            access: server.shared.access.is_some().then(|| AccessLog::new(exported_logs.clone())),
            keeps_output: server.shared.keeps_output,
            exceptions: ExceptionLog::new(settings.exceptions, name, exported_logs.as_ref()),
        });
        let traces = server.traces.as_ref().map(|servers| {
            let propagator = Propagator::new(&settings.propagators).like(&servers.propagator);
            Traces::new(settings, propagator, servers.foreign.clone(), recent)
        });
        let propagator = traces.as_ref().map(|traces| traces.propagator.clone());
        let is_exported = server.sources.spans.is_some();
        let guests = registries.as_ref().map(|metrics| metrics.guests.clone());
        let telemetry = Telemetry(Some(Arc::new(On {
            traces,
            sources: Sources {
                spans: shared.spans.as_ref().filter(|_| is_exported).map(|spans| spans.pipeline.clone()),
                logs: exported_logs.map(|logs| logs.pipeline.clone()),
                metrics: registries,
                ..Sources::default()
            },
            shared,
            signals: Signals { metrics: guests, logs, host, propagator },
            exporter: None,
            envelopes,
            components: Mutex::default(),
        })));
        components.push(telemetry.clone());
        telemetry
    }

    /// Components that have a resource of their own.
    pub(crate) fn components(&self) -> Vec<Telemetry> {
        let components =
            self.0.as_ref().map(|on| on.components.lock().unwrap_or_else(PoisonError::into_inner));
        components.map(|components| components.clone()).unwrap_or_default()
    }
}
