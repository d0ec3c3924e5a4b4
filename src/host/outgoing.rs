//! Outgoing requests of guests, 0.2 and 0.3: finds the request on whose behalf the guest calls, starts the CLIENT span
//! under it, puts that on the wire, and hands the rest to the component's client.
//!
//! `WasiHttpHooks::send_request` gets no store, so the two imports that lead to it are shadowed: each looks up the
//! request in the same synchronous section in which the hook runs, and leaves it where the hook takes it.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use http_body_util::BodyExt as _;
use wasmtime::component::{Accessor, Linker, Resource};
use wasmtime::{AsContextMut, StoreContextMut};
use wasmtime_wasi_http::p2::bindings::http::{outgoing_handler, types as types_02};
use wasmtime_wasi_http::p3::bindings::http::{client, types as types_03};
use wasmtime_wasi_http::{
    Error, ForbiddenHeaderFilter, RequestOptions, WasiBody, WasiHttp, WasiHttpHooks, WasiHttpView,
};

use super::Capabilities;
use super::current::{Current, current};
use super::held::{BODY_CHUNK, Calls};
use super::outbound::{self, Behalf, Client};
use super::scope::Trace;
use super::state::HostState;
use super::written::{Abi, Uploads, Written};
use pounce_telemetry::metrics::host::{Host as Metrics, OutgoingEnd, OutgoingRequest};
use pounce_telemetry::{ClientSpan, Connected, Propagator};

/// The hooks of one store.
pub(crate) struct Outgoing {
    capabilities: Arc<Capabilities>,
    /// Calls that are under way.
    pub(super) calls: Calls,
    uploads: Uploads,
    /// The caller, and the version of wasi:http that it calls by, from the shadowed import to the hook.
    caller: Option<Current>,
    abi: Abi,
}

/// A call under way.
struct Call {
    /// None where nobody knows whose it is.
    span: Option<ClientSpan>,
    trace: Option<Trace>,
    measured: Option<OutgoingRequest>,
    body: Written,
}

impl Call {
    fn end(&mut self, response: &Result<http::Response<WasiBody>, Error>) {
        match response {
            Ok(response) => {
                if let Some(measured) = self.measured.take() {
                    measured.end(OutgoingEnd::Response(response.status(), response.version()));
                }
                if let Some(span) = self.span.take() {
                    let connected = response.extensions().get::<Connected>().copied();
                    span.respond(response.status(), response.version(), connected);
                }
            }
            Err(error) => {
                let message = self.body.reason("request").unwrap_or_else(|| error.to_string());
                self.fail(outbound::error_type(error), &message);
            }
        }
    }

    fn fail(&mut self, error_type: &str, message: &str) {
        if let Some(measured) = self.measured.take() {
            measured.end(OutgoingEnd::Failed(error_type));
        }
        if let Some(span) = self.span.take() {
            span.fail(error_type, message, self.trace.as_ref().map(|trace| &trace.quota));
        }
    }
}

/// The guest let go of it, perhaps with a body that it had not finished, or its request is over: then for the request's
/// reason.
impl Drop for Call {
    fn drop(&mut self) {
        if let Some(failure) = self.trace.as_ref().and_then(|trace| trace.failure()) {
            self.fail(failure.kind.error_type_after_head(), &failure.message);
        } else if let Some(reason) = self.body.reason("request") {
            self.fail(outbound::error_type(&Error::HttpProtocolError), &reason);
        }
    }
}

impl Outgoing {
    pub(crate) fn new(capabilities: Arc<Capabilities>) -> Self {
        let (calls, uploads) = (Calls::default(), Uploads::default());
        Self { capabilities, calls, uploads, caller: None, abi: Abi::P2 }
    }

    /// The bodies of requests that are being sent.
    pub(crate) fn uploads(&self) -> &Uploads {
        &self.uploads
    }
}

fn is_forbidden(name: &http::HeaderName) -> bool {
    wasmtime_wasi_http::DEFAULT_FORBIDDEN_HEADERS.contains(name)
}

type Sent = Result<(http::Response<WasiBody>, Box<dyn Future<Output = Result<(), Error>> + Send>), Error>;

impl WasiHttpHooks for Outgoing {
    // Both forms, or trailers passed through by a 0.3 guest would not be filtered (GHSA-jxcf-8qw5-5c33); this one also
    // saves an allocation for each header checked.
    fn is_forbidden_header(&mut self, name: &http::HeaderName) -> bool {
        is_forbidden(name)
    }

    fn forbidden_header_filter(&mut self) -> ForbiddenHeaderFilter {
        Arc::new(is_forbidden)
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        BODY_CHUNK
    }

    fn p3_outgoing_body_chunk_size(&mut self) -> usize {
        BODY_CHUNK
    }

    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _result: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        let Capabilities { client, propagator, metrics, traced, .. } = &*self.capabilities;
        let (head, body) = request.into_parts();
        let body = Written::new(body, &head.headers, self.abi);
        self.uploads.add(&body);
        let mut request = http::Request::from_parts(head, body.clone().boxed_unsync());
        let mut call = Call { span: None, trace: None, measured: None, body };
        if let Some(caller) = self.caller.take() {
            let span = start_span(&caller, propagator, client, &request);
            (call.span, call.trace) = (Some(span), Some(caller.trace));
        }
        let context = call.span.as_ref().and_then(ClientSpan::context);
        let measured = |metrics: &Arc<Metrics>| metrics.outgoing(request.method(), request.uri(), context);
        call.measured = metrics.as_ref().map(measured);
        if *traced {
            match (context, &call.trace) {
                (Some(context), Some(trace)) if client.propagates_to(request.uri()) => {
                    propagator.inject(context, &trace.baggage(), request.headers_mut());
                }
                // A trace that is not certain to be this request's goes nowhere either, whatever the guest has copied.
                _ => propagator.remove(request.headers_mut()),
            }
        }
        if client.is_mocked()
            && let Some(context) = call.trace.as_ref().and_then(|trace| trace.span.context())
        {
            request.extensions_mut().insert(Behalf(context.trace_id));
        }
        let under_way = self.calls.begin(&request);
        let response = client.send(request, options);
        Box::new(async move {
            let _under_way = under_way;
            // Ready at once: 0.3 then spawns nothing for it, and our client drives its connections itself.
            let done: Box<dyn Future<Output = Result<(), Error>> + Send> =
                Box::new(std::future::ready(Ok(())));
            let response = response.await;
            call.end(&response);
            Ok((response?, done))
        })
    }
}

/// Starts the span of a request under the one that the guest means.
fn start_span(
    caller: &Current,
    propagator: &Propagator,
    client: &Client,
    request: &http::Request<WasiBody>,
) -> ClientSpan {
    let server = &caller.trace.span;
    // A guest names its parent by the headers that `inject` gave it for one of its spans. What it forwarded from its
    // own caller, or made up, would tear the trace apart.
    let named = Some(request.headers())
        .filter(|_| server.is_recording_children())
        .and_then(|headers| propagator.extract(headers).context)
        .filter(|named| server.owns(named));
    let parent = named.or_else(|| caller.context());
    let uri = request.uri();
    server.client(parent.as_ref(), request.method(), uri, || client.peer_service(uri))
}

/// Leaves the caller for the hook, which runs in the same synchronous section.
fn note_caller(store: &mut StoreContextMut<'_, HostState>, abi: Abi) {
    let caller = current(store);
    let state = store.data_mut();
    state.requests.act(caller.as_ref().map(|caller| &caller.trace));
    if caller.is_none() && state.capabilities.traced {
        state.capabilities.ignored.unattributed.fetch_add(1, Ordering::Relaxed);
    }
    (state.outgoing.caller, state.outgoing.abi) = (caller, abi);
}

/// Shadows `wasi:http/outgoing-handler` (0.2).
pub(crate) fn link_02(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    linker.instance("wasi:http/outgoing-handler@0.2.12")?.func_wrap(
        "handle",
        |mut store: StoreContextMut<'_, HostState>,
         (request, options): (
            Resource<types_02::OutgoingRequest>,
            Option<Resource<types_02::RequestOptions>>,
        )| {
            note_caller(&mut store, Abi::P2);
            let response = outgoing_handler::Host::handle(&mut store.data_mut().http(), request, options);
            store.data_mut().outgoing.caller = None;
            Ok((match response {
                Ok(response) => Ok(response),
                Err(error) => Err(error.downcast()?),
            },))
        },
    )?;
    linker.allow_shadowing(false);
    Ok(())
}

/// Shadows `wasi:http/client` (0.3).
pub(crate) fn link_03(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    linker.instance("wasi:http/client@0.3.0")?.func_wrap_concurrent(
        "send",
        |accessor: &Accessor<HostState>, (request,): (Resource<types_03::Request>,)| {
            Box::pin(async move {
                // Before the first await, as `current` demands; the hook runs before it too.
                accessor.with(|mut access| note_caller(&mut access.as_context_mut(), Abi::P3));
                let http = accessor.with_getter::<WasiHttp>(WasiHttpView::http);
                let response = <WasiHttp as client::HostWithStore<HostState>>::send(&http, request).await;
                if response.is_err() {
                    // It may have failed before the hook took the caller.
                    accessor.with(|mut access| access.data_mut().outgoing.caller = None);
                }
                Ok((match response {
                    Ok(response) => Ok::<_, types_03::ErrorCode>(response),
                    Err(error) => Err(error.downcast()?),
                },))
            }) as Pin<Box<dyn Future<Output = _> + Send>>
        },
    )?;
    linker.allow_shadowing(false);
    Ok(())
}
