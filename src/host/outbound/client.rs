//! Sends the requests of one component.

use std::sync::Arc;

use http::{HeaderMap, Request, Response, StatusCode, Version, header};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper_util::client::legacy::connect::capture_connection;
use hyper_util::client::legacy::{self, ResponseFuture};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::{OnceCell, Semaphore};
use tokio::time::{Instant, sleep_until, timeout_at};
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody};

use super::body::{Download, Progress, Upload};
use super::connect::{Connector, Shared};
use super::error;
use super::ledger::Ledger;
use super::limits::{Limits, Timeouts};
use super::mocks::Mocks;
use super::own::OwnListeners;
use super::peer_service::PeerServices;
use super::policy::Policy;
use super::propagate::Destinations;
use super::refusals::RefusalLog;
use super::resolve::Resolver;
use super::roots::Roots;
use super::stream::Opened;
use crate::config::OutboundRule;

/// What a client is made of.
pub(crate) struct Setup {
    /// For the log.
    pub(crate) component: Arc<str>,
    pub(crate) policy: Policy,
    /// Where it is noted who is called, if that is to be told.
    pub(crate) ledger: Option<Arc<Ledger>>,
    /// What answers in place of the network, where something does.
    pub(crate) mocks: Option<Arc<Mocks>>,
    /// Where trace context goes.
    pub(crate) propagate_to: Destinations,
    /// What spans call the services that requests go to.
    pub(crate) peer_services: PeerServices,
    /// Where this server listens: wildcards don't lead back here.
    pub(crate) own: OwnListeners,
    /// Shared by all clients.
    pub(crate) roots: Roots,
    pub(crate) limits: Limits,
    pub(super) resolver: Resolver,
}

impl Setup {
    /// The rules of a component and otherwise the defaults.
    pub(crate) fn new(component: &str, rules: &[OutboundRule]) -> Self {
        Self {
            component: component.into(),
            policy: Policy::new(rules),
            ledger: None,
            mocks: None,
            propagate_to: Destinations::default(),
            peer_services: PeerServices::default(),
            own: OwnListeners::default(),
            roots: Roots::system(),
            limits: Limits::default(),
            resolver: Resolver::system(),
        }
    }

    /// The setup of a client that may call everybody, with a ledger of whom it does.
    pub(crate) fn open(component: &str, ledger: Arc<Ledger>) -> Self {
        Self { policy: Policy::open(), ledger: Some(ledger), ..Self::new(component, &[]) }
    }
}

/// The HTTP client of one component: its rules, its limits and its pool of
/// connections, which no other component shares. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Client(Arc<Inner>);

struct Inner {
    policy: Arc<Policy>,
    mocks: Option<Arc<Mocks>>,
    propagate_to: Destinations,
    peer_services: PeerServices,
    refusals: Arc<RefusalLog>,
    limits: Limits,
    in_flight: Arc<Semaphore>,
    pool: legacy::Client<Connector, Upload>,
}

impl Client {
    /// Makes the client; opens and reads nothing before the first request.
    pub(crate) fn new(setup: Setup) -> Self {
        let Setup { component, policy, ledger, mocks, propagate_to, .. } = setup;
        let Setup { peer_services, own, roots, limits, resolver, .. } = setup;
        let policy = Arc::new(policy);
        let refusals = Arc::new(RefusalLog::new(component, "outgoing requests to more than"));
        let connector = Connector::new(Shared {
            policy: Arc::clone(&policy),
            ledger,
            refusals: Arc::clone(&refusals),
            resolver,
            own,
            roots,
            tls: OnceCell::new(),
            connections: Arc::new(Semaphore::new(limits.connections)),
            timeout: limits.connect.longest,
        });
        let in_flight = Arc::new(Semaphore::new(limits.in_flight));
        let pool = pool(connector, &limits);
        let inner = Inner { policy, mocks, propagate_to, peer_services, refusals, limits, in_flight, pool };
        Self(Arc::new(inner))
    }

    /// Whether a request to this URI carries trace context.
    pub(crate) fn propagates_to(&self, uri: &http::Uri) -> bool {
        self.0.propagate_to.allow(uri)
    }

    /// What the operator calls the service that a request to this URI goes to.
    pub(crate) fn peer_service(&self, uri: &http::Uri) -> Option<Arc<str>> {
        self.0.peer_services.name(uri)
    }

    /// Sends `request` and returns its response once the head is there. Dropping the
    /// future or the response's body cancels the request.
    pub(crate) fn send(
        &self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
    ) -> impl Future<Output = Result<Response<WasiBody>, Error>> + Send + use<> {
        let inner = Arc::clone(&self.0);
        async move { inner.send(request, options).await }
    }

    /// Whether mocks answer, which have to be told on whose behalf a guest calls.
    pub(crate) fn is_mocked(&self) -> bool {
        self.0.mocks.is_some()
    }

    /// Requests refused so far.
    pub(crate) fn refused(&self) -> u64 {
        self.0.refusals.total()
    }
}

/// Bytes that a server may send of an HTTP/2 response before the guest reads. hyper's default is 2 MiB.
const RESPONSE_WINDOW: u32 = 256 * 1024;
/// RFC 9113 §6.9.1.
const MAX_WINDOW: u32 = (1 << 31) - 1;

fn pool(connector: Connector, limits: &Limits) -> legacy::Client<Connector, Upload> {
    let mut builder = legacy::Client::builder(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(limits.idle)
        // One Host, made from the very URI that the rules were asked about, and none
        // beside `:authority` in HTTP/2; `send` takes away the one of wasi-http.
        .set_host(true)
        // Only a request of which nothing was sent is sent again, on another
        // connection; without this, every idle connection that a server closes
        // is a chance to fail.
        .retry_canceled_requests(true)
        .http1_max_buf_size(limits.header_size as usize)
        // Beyond this h2 resets the stream, which looks like any protocol error; `send`
        // gives what is less far over the limit its own code, as in HTTP/1.
        .http2_max_header_list_size(limits.header_size.saturating_mul(2))
        // What guests leave unread waits in our memory, and where one window is full of it nobody else's response comes:
        // there is room for all requests that may be in flight.
        .http2_initial_stream_window_size(RESPONSE_WINDOW)
        .http2_initial_connection_window_size(
            RESPONSE_WINDOW
                .saturating_mul(u32::try_from(limits.in_flight).unwrap_or(u32::MAX))
                .min(MAX_WINDOW),
        )
        // A dead HTTP/2 connection would otherwise fail all requests to its host.
        .http2_keep_alive_interval(std::time::Duration::from_secs(20))
        .http2_keep_alive_timeout(std::time::Duration::from_secs(10));
    builder.build(connector)
}

impl Inner {
    async fn send(
        &self,
        mut request: Request<WasiBody>,
        options: Option<RequestOptions>,
    ) -> Result<Response<WasiBody>, Error> {
        if let Some(mocks) = &self.mocks {
            // In a box: without mocks the future stays as small as it was.
            match Box::pin(mocks.answer(request, self.limits.timeouts(options))).await? {
                Ok(response) => return Ok(response),
                Err(passed_on) => request = passed_on,
            }
        }
        self.policy.check(request.method(), request.uri()).map_err(|refused| {
            self.refusals.note(&refused.target, &refused);
            refused.error()
        })?;
        let timeouts = self.limits.timeouts(options);
        let connected_by = Instant::now() + timeouts.connect;
        let permit = timeout_at(connected_by, Arc::clone(&self.in_flight).acquire_owned())
            .await
            .map_err(|_| Error::ConnectionLimitReached)?
            .map_err(|_| Error::ConnectionLimitReached)?;

        request.headers_mut().remove(header::HOST);
        *request.version_mut() = Version::HTTP_11;
        let (parts, body) = request.into_parts();
        let (upload, progress) = Upload::new(body);
        let mut request = Request::from_parts(parts, upload);
        let mut captured = capture_connection(&mut request);
        let connected = async move {
            // An answer without a connection means that the request has failed, and
            // its own future says why.
            if captured.wait_for_connection_metadata().await.is_none() {
                std::future::pending::<()>().await;
            }
        };
        let response = self.pool.request(request);
        let mut response = head(response, connected, connected_by, timeouts, progress).await?;
        if let Some(opened) = response.extensions_mut().remove::<Arc<Opened>>() {
            response.extensions_mut().insert(opened.tell());
        }
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            // Nobody asked, and no guest could use the connection.
            return Err(Error::HttpUpgradeFailed);
        }
        // hyper bounds what it buffers, which can be twice what is asked of it.
        let size = header_size(response.headers());
        if size > self.limits.header_size {
            return Err(Error::HttpResponseHeaderSectionSize(Some(size)));
        }
        Ok(response.map(|body| Download::new(body, permit, timeouts.between_bytes).boxed_unsync()))
    }
}

/// As HTTP/2 counts it, less its surcharge for each field.
fn header_size(headers: &HeaderMap) -> u32 {
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// Waits for the response head, first for a connection, then for the peer.
async fn head(
    mut response: ResponseFuture,
    connected: impl Future<Output = ()>,
    connected_by: Instant,
    timeouts: Timeouts,
    progress: Progress,
) -> Result<Response<Incoming>, Error> {
    let done = |result: Result<_, legacy::Error>| {
        result.map_err(|error| {
            tracing::debug!(error = &error as &dyn std::error::Error, "outgoing request failed");
            progress.take_failure().unwrap_or_else(|| error::of_request(&error))
        })
    };
    tokio::select! {
        biased;
        result = &mut response => return done(result),
        () = connected => {}
        () = sleep_until(connected_by) => return Err(Error::ConnectionTimeout),
    }
    let mut since = Instant::now();
    loop {
        let deadline = since + timeouts.first_byte;
        tokio::select! {
            biased;
            result = &mut response => return done(result),
            () = sleep_until(deadline) => {}
        }
        since = progress.last_frame();
        if since + timeouts.first_byte <= deadline {
            return Err(Error::HttpResponseTimeout);
        }
    }
}
