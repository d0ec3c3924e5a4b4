//! The data of a store: what host functions find when a guest calls.

use std::sync::Arc;
use std::time::Duration;

use wasmtime::component::{GuestTaskId, ResourceTable};
use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use super::budget::HeldOne;
use super::current::{Requests, Serving};
use super::guest_log::Stream;
use super::last_words::{End, LastWords, Raised};
use super::limits::{Limits, Refused};
use super::meter::Meter;
use super::outgoing::Outgoing;
use super::scope::{RequestScope, Trace};
use super::stdio::{GuestStream, StoreOutput};
use super::{Capabilities, MAX_FIELDS_SIZE, MAX_RESOURCES};
use pounce_telemetry::metrics::host::Live;
use pounce_telemetry::{Folds, Quota, ServerSpan};

/// The `T` of every `Store<T>`.
pub(crate) struct HostState {
    pub(super) capabilities: Arc<Capabilities>,
    pub(crate) table: ResourceTable,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    pub(crate) outgoing: Outgoing,
    pub(crate) limits: Limits,
    /// Tells whose code runs, where several requests share the processor in one event loop.
    pub(crate) meter: Option<Meter>,
    pub(super) requests: Requests,
    /// Handles on spans that are in the table.
    pub(super) spans: usize,
    /// Handles of `pounce:telemetry` that do nothing, and are in no table but the guest's own.
    pub(super) empty_handles: usize,
    pub(super) output: Arc<StoreOutput>,
    /// For what the guest records on nobody's behalf.
    pub(super) quota: Quota,
    /// What cumulative metrics of the guest's own SDK said last.
    pub(super) folds: Folds,
    /// How long instantiation took, until the first request has taken it for its span.
    pub(crate) instantiate: Option<Duration>,
    /// Counts the instance, once there is one.
    live: Option<Live>,
    /// The instance's slot among its component's, where those are counted.
    pub(crate) slot: Option<HeldOne>,
}

impl HostState {
    /// The state of a new store.
    pub(crate) fn new(
        capabilities: &Arc<Capabilities>,
        mut limits: Limits,
        serving: Serving,
    ) -> wasmtime::Result<Self> {
        let mut table = ResourceTable::new();
        table.set_max_capacity(MAX_RESOURCES);
        let mut http = WasiHttpCtx::new();
        http.set_field_size_limit(MAX_FIELDS_SIZE);
        let output = Arc::new(StoreOutput::new(
            capabilities.recorder.log.clone(),
            ServerSpan::off(),
            LastWords::new(capabilities.has_reports),
        ));
        let is_told = capabilities.traced || capabilities.metrics.is_some();
        let meter = (is_told && serving != Serving::One).then(Meter::default);
        limits.set_meter(meter.clone());
        Ok(Self {
            meter,
            table,
            wasi: wasi(capabilities, &output)?,
            http,
            outgoing: Outgoing::new(capabilities.clone()),
            capabilities: capabilities.clone(),
            limits,
            requests: Requests::new(serving),
            spans: 0,
            empty_handles: 0,
            output,
            quota: Quota::of_store(),
            folds: Folds::default(),
            instantiate: None,
            live: None,
            slot: None,
        })
    }

    /// What the component is called.
    pub(crate) fn component(&self) -> &str {
        self.capabilities.recorder.log.component()
    }

    /// There is an instance, which took so long to make.
    pub(crate) fn instantiated(&mut self, time: Duration) {
        self.instantiate = Some(time);
        if let Some(metrics) = &self.capabilities.metrics {
            metrics.instantiated(time);
            self.live = Some(metrics.instance());
        }
    }

    /// The store now serves this request, and no other (`isolation = request`, or 0.2 reuse one after another).
    pub(crate) fn serve_one(&mut self, scope: Option<RequestScope>) {
        self.output.begin(scope.as_ref().map_or_else(ServerSpan::off, |scope| scope.span.clone()));
        self.limits.charge(scope.as_ref().and_then(|scope| scope.memory_share()));
        self.requests.set(scope);
        self.limits.forget_refusal();
    }

    /// What the store holds has room in what guests may hold that work for the client of `scope`.
    pub(crate) fn fits(&self, scope: &RequestScope) -> bool {
        scope.memory_share().is_none_or(|share| self.limits.fits(&share))
    }

    /// The store also serves this request, in that task; `finds_none`: every task that the store had has ended.
    pub(crate) fn serve_also(&mut self, task: GuestTaskId, scope: &RequestScope, finds_none: bool) {
        if self.requests.is_idle() {
            // What an earlier request was refused is not this one's concern.
            self.limits.forget_refusal();
        }
        if !self.requests.add(task, scope, finds_none) {
            self.serve_one(Some(scope.clone()));
        }
    }

    /// The request of a store that serves one at a time.
    pub(crate) fn only_request(&self) -> Option<&Trace> {
        self.requests.only()
    }

    /// The store has never served but one request: whatever went wrong in it did so for that one.
    pub(crate) fn served_one(&self) -> bool {
        self.requests.has_served_one()
    }

    /// The growth of memory that was refused before a trap of `culprit`, or of whoever it was.
    pub(crate) fn refused(&self, culprit: Option<&Trace>) -> Option<Refused> {
        match (culprit, &self.meter) {
            (Some(culprit), Some(_)) => culprit.refused(),
            _ => self.limits.refused(),
        }
    }

    /// What `culprit` wrote to stderr of its failure, which came to it in this way.
    pub(crate) fn last_words(&self, culprit: &ServerSpan, end: End) -> Option<Raised> {
        let said = self.output.last_words(culprit, end);
        // Without spans nothing tells the requests of a shared store apart.
        said.filter(|_| culprit.is_on() || !self.requests.is_shared())
    }

    /// The guest writes no more for the request that it writes for.
    pub(crate) fn finish_output(&self) {
        self.output.finish();
    }

    /// The requests whose responses are not over yet.
    pub(crate) fn live(&self) -> Vec<RequestScope> {
        self.requests.live()
    }
}

fn wasi(capabilities: &Capabilities, output: &Arc<StoreOutput>) -> wasmtime::Result<WasiCtx> {
    let stream = |stream| GuestStream { store: output.clone(), stream };
    let mut wasi = WasiCtx::builder();
    wasi.max_random_size(super::MAX_RANDOM)
        // Sockets stay closed: outgoing traffic goes through wasi:http, where it is checked and traced.
        .allow_tcp(false)
        .allow_udp(false)
        .stdout(stream(Stream::Stdout))
        .stderr(stream(Stream::Stderr));
    if !capabilities.env.is_empty() {
        wasi.envs(&capabilities.env);
    }
    if !capabilities.args.is_empty() {
        wasi.args(&capabilities.args);
    }
    for dir in &capabilities.dirs {
        let perms = if dir.read_write { FsPerms::ReadWrite } else { FsPerms::ReadOnly };
        wasi.preopened_dir(&dir.host, &dir.guest, perms)?;
    }
    Ok(wasi.build())
}

impl WasiView for HostState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for HostState {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { ctx: &mut self.http, table: &mut self.table, hooks: &mut self.outgoing }
    }
}

impl std::fmt::Debug for HostState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HostState")
            .field("limits", &self.limits)
            .field("requests", &self.requests)
            .finish_non_exhaustive()
    }
}
