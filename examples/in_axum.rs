//! A component within an application of axum: it answers what the application's own routes do not, in process. Each
//! request's span is under the one that the application has for it.
//!
//! `cargo run --example in_axum`

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::get;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use pounce::{App, Config};
use tower_service::Service as _;
use tracing::Instrument as _;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut config = Config::new("examples/hello.wasm");
    // Requests come from axum alone.
    config.http.listen.clear();
    let app = App::build(config).await?;
    let router = router(&app);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
    let serving = async move {
        while let Ok((stream, _)) = listener.accept().await {
            let router = router.clone();
            let service = service_fn(move |request| router.clone().call(request));
            let connection = async move {
                let server = auto::Builder::new(TokioExecutor::new());
                // A client that goes away is no news here.
                _ = server.serve_connection(TokioIo::new(stream), service).await;
            };
            tokio::spawn(connection);
        }
    };
    // Ends with the application, and sends what telemetry still holds.
    app.run_until(serving).await;
    Ok(())
}

pub(crate) fn router(app: &App) -> Router {
    Router::new()
        .route("/health", get(|| async { "fine" }))
        .fallback_service(app.caller())
        .layer(from_fn(traced))
}

/// A span of `tracing` around each request; `tracing-opentelemetry` makes one of OpenTelemetry of it.
async fn traced(request: Request, next: Next) -> Response {
    let span = tracing::info_span!("application", path = request.uri().path());
    next.run(request).instrument(span).await
}
