//! The data of a store: what host functions find when a guest calls, and the one rule that says whose request it is.

use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

use wasmtime::StoreContextMut;
use wasmtime::component::{GuestTaskId, ResourceTable};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use super::guest_log::Stream;
use super::limits::Limits;
use super::outgoing::Outgoing;
use super::scope::RequestScope;
use super::stdio::{GuestOutput, Owner};
use super::telemetry::{Ignored, Recorder};
use super::{Capabilities, MAX_FIELDS_SIZE, MAX_HANDLES};
use crate::telemetry::{Allowance, ServerSpan};

/// Which requests a store serves.
#[derive(Debug)]
enum Requests {
    /// One at a time: whatever the guest does, it does for this one.
    One(Option<Arc<RequestScope>>),
    /// Several at once, told apart by the task that the host started for each. Weak: the work of a request whose
    /// response is over belongs to nobody.
    Many(Vec<(GuestTaskId, Weak<RequestScope>)>),
}

/// The `T` of every `Store<T>`.
pub(crate) struct HostState {
    pub(crate) table: ResourceTable,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    pub(crate) outgoing: Outgoing,
    pub(crate) limits: Limits,
    requests: Requests,
    /// Requests that a shared store has begun.
    served: usize,
    output: [GuestOutput; 2],
    output_owner: Owner,
    /// Telemetry calls of guests that did nothing.
    pub(super) ignored: Arc<Ignored>,
    pub(super) recorder: Arc<Recorder>,
    /// For what the guest records on nobody's behalf.
    pub(super) allowance: Allowance,
    /// How long instantiation took, until the first request has taken it for its span.
    pub(crate) instantiate: Option<Duration>,
}

impl HostState {
    /// The state of a new store; `shared` where it may serve several requests at once.
    pub(crate) fn new(capabilities: &Capabilities, limits: Limits, shared: bool) -> wasmtime::Result<Self> {
        let mut table = ResourceTable::new();
        table.set_max_capacity(MAX_HANDLES);
        let mut http = WasiHttpCtx::new();
        http.set_field_size_limit(MAX_FIELDS_SIZE);
        let output_owner = Owner::default();
        let output = [Stream::Stdout, Stream::Stderr]
            .map(|stream| GuestOutput::new(capabilities.log.clone(), output_owner.clone(), stream));
        Ok(Self {
            table,
            wasi: wasi(capabilities, &output)?,
            http,
            outgoing: Outgoing::new(capabilities.client.clone()),
            limits,
            requests: if shared { Requests::Many(Vec::new()) } else { Requests::One(None) },
            served: 0,
            output,
            output_owner,
            ignored: capabilities.ignored.clone(),
            recorder: capabilities.recorder.clone(),
            allowance: Allowance::default(),
            instantiate: None,
        })
    }

    /// The store now serves this request, and no other (`isolation = request`, or 0.2 reuse one after another).
    pub(crate) fn serve_one(&mut self, scope: Option<Arc<RequestScope>>) {
        for output in &self.output {
            output.finish_line();
        }
        *self.output_owner.lock().unwrap_or_else(PoisonError::into_inner) =
            scope.as_ref().map_or_else(ServerSpan::off, |scope| scope.span().clone());
        self.requests = Requests::One(scope);
        self.limits.forget_refusal();
    }

    /// The store also serves this request, in that task.
    pub(crate) fn serve_also(&mut self, task: GuestTaskId, scope: &Arc<RequestScope>) {
        match &mut self.requests {
            Requests::One(_) => self.serve_one(Some(scope.clone())),
            Requests::Many(requests) => {
                // Ids are slot numbers and come again: an entry of the same id is of a request long gone.
                requests.retain(|(other, scope)| *other != task && scope.strong_count() > 0);
                if requests.is_empty() {
                    // What an earlier request was refused is not this one's concern.
                    self.limits.forget_refusal();
                }
                self.served += 1;
                requests.push((task, Arc::downgrade(scope)));
            }
        }
    }

    /// The store has never served but one request: whatever went wrong in it did so for that one.
    pub(crate) fn served_one(&self) -> bool {
        matches!(self.requests, Requests::One(_)) || self.served == 1
    }

    /// The requests whose responses are not over yet.
    pub(crate) fn live(&self) -> Vec<Arc<RequestScope>> {
        match &self.requests {
            Requests::One(scope) => scope.iter().filter(|scope| !scope.is_closed()).cloned().collect(),
            Requests::Many(requests) => requests
                .iter()
                .filter_map(|(_, scope)| scope.upgrade())
                .filter(|scope| !scope.is_closed())
                .collect(),
        }
    }
}

/// The request on whose behalf the guest calls, if that is certain.
///
/// In a store that serves several requests only a call stack of depth 1 names its task for sure: a subtask that
/// outlived its caller shows the caller's id, which may name a newer request by now (wasmtime #14247). Everything else
/// is "no current request". Call it before the first await of a host function: after it the stack is empty.
pub(crate) fn current_request(store: &mut StoreContextMut<'_, HostState>) -> Option<Arc<RequestScope>> {
    if let Requests::One(scope) = &store.data().requests {
        return scope.clone();
    }
    let task = {
        let mut stack = store.async_call_stack().ok()?;
        let (Some(task), None) = (stack.next(), stack.next()) else {
            return None;
        };
        task
    };
    let Requests::Many(requests) = &store.data().requests else {
        return None;
    };
    requests.iter().find(|(other, _)| *other == task).and_then(|(_, scope)| scope.upgrade())
}

fn wasi(capabilities: &Capabilities, [stdout, stderr]: &[GuestOutput; 2]) -> wasmtime::Result<WasiCtx> {
    let mut wasi = WasiCtx::builder();
    wasi.max_random_size(super::MAX_RANDOM)
        // Sockets stay closed: outgoing traffic goes through wasi:http, where it is checked and traced.
        .allow_tcp(false)
        .allow_udp(false)
        .stdout(stdout.clone())
        .stderr(stderr.clone());
    if !capabilities.env.is_empty() {
        wasi.envs(&capabilities.env);
    }
    if !capabilities.args.is_empty() {
        wasi.args(&capabilities.args);
    }
    for dir in &capabilities.dirs {
        dir.preopen(&mut wasi)?;
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
