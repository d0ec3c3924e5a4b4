//! Requests that a program has served without a socket.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use pounce_telemetry::{Telemetry, TraceId};

use tower_service::Service;

use super::App;
use crate::server::{self, BoxError, BrokenOff, Handler, Settled};

/// Has requests served by an [`App`] without a socket; cheap to clone, and of use while the app runs as well.
#[derive(Clone)]
pub struct Caller {
    handler: Arc<Handler>,
    telemetry: Telemetry,
}

/// Body of a response that [`App::call`] gave; the request, and its span, end with it.
pub struct ResponseBody(server::Body);

/// Error of a response's body that broke off: its guest failed after the head, or time was up. What came before is not
/// the whole body.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct BodyError(#[from] BrokenOff);

impl App {
    /// Serves one request without a socket: through routes, limits, guest and telemetry, as one that came by a listener
    /// does. For programs that have requests from elsewhere, tests and benchmarks; listeners may be left out
    /// (`config.http.listen` empty), and [`run`](Self::run) need not be called before.
    ///
    /// # Traces
    /// Within a span of OpenTelemetry ([`opentelemetry::Context::current`], which `tracing-opentelemetry` keeps at that of the
    /// `tracing` span), the request's span is a child of that one, whatever its headers say, and is sampled as that one
    /// is, unless `otel.sample` or a sampler decides otherwise; the context's baggage is the request's. Without one, the
    /// headers count as those of a request by a listener.
    ///
    /// The request's own context is current while its body is read, and is an extension of the response, for spans of the
    /// program's own: `response.extensions().get::<opentelemetry::Context>()`. Where telemetry is
    /// off, there is none.
    ///
    /// # How it counts
    /// The request counts as HTTP of its own version. Its URI may be a path, or absolute; one without a host is for
    /// `localhost`. Failures are responses, too: a guest that traps gives 500, too many requests at once 503. Dropping
    /// the future, or the body before its end, stops the guest.
    ///
    /// ```
    /// use http_body_util::{BodyExt as _, Empty};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let mut config = pounce::Config::new("examples/hello.wasm");
    /// config.http.listen.clear();
    ///
    /// let runtime = tokio::runtime::Runtime::new()?;
    /// let body = runtime.block_on(async {
    ///     let app = pounce::App::build(config).await?;
    ///     let request = http::Request::get("/").body(Empty::<bytes::Bytes>::new())?;
    ///     let response = app.call(request).await;
    ///     assert_eq!(response.status(), 200);
    ///     let body = response.into_body().collect().await?.to_bytes();
    ///     // Drains, and sends what telemetry still holds.
    ///     app.run_until(async {}).await;
    ///     Ok::<_, Box<dyn std::error::Error>>(body)
    /// })?;
    /// assert_eq!(&body[..], b"Hello, World!\n");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn call<B>(&self, request: Request<B>) -> Response<ResponseBody>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        call(&self.handler, request).await.0
    }

    /// Handle by which requests are served without a socket, also while the app runs.
    #[must_use]
    pub fn caller(&self) -> Caller {
        Caller { handler: self.handler.clone(), telemetry: self.telemetry.clone() }
    }
}

impl Caller {
    /// Serves one request, as [`App::call`] does.
    pub async fn call<B>(&self, request: Request<B>) -> Response<ResponseBody>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        self.call_to_end(request).await.0
    }

    /// Serves one request, and tells when its guest is done with it.
    pub(crate) async fn call_to_end<B>(&self, request: Request<B>) -> (Response<ResponseBody>, Settled)
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        call(&self.handler, request).await
    }

    /// What is known of a trace: its spans and its log records, each as OTLP JSON.
    pub(crate) fn trace(&self, trace_id: TraceId) -> (Vec<u8>, Vec<u8>) {
        (self.telemetry.recent_traces(1, Some(trace_id)), self.telemetry.recent_logs(trace_id))
    }
}

/// Serves what a router of tower or axum has no route for, or mounts below one of its paths.
///
/// ```
/// # async fn mount(app: &pounce::App) {
/// let router: axum::Router = axum::Router::new()
///     .route("/health", axum::routing::get(|| async { "fine" }))
///     .fallback_service(app.caller());
/// # }
/// ```
impl<B> Service<Request<B>> for Caller
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    /// Always ready: requests beyond the limits get their answer at once.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let caller = self.clone();
        Box::pin(async move { Ok(Caller::call(&caller, request).await) })
    }
}

async fn call<B>(handler: &Handler, request: Request<B>) -> (Response<ResponseBody>, Settled)
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let (response, settled) = server::call(handler, request).await;
    (response.map(ResponseBody), settled)
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        Pin::new(&mut self.0).poll_frame(cx).map_err(BodyError)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

impl std::fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ResponseBody").field(&self.0.size_hint()).finish()
    }
}

impl std::fmt::Debug for Caller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Caller").finish_non_exhaustive()
    }
}
