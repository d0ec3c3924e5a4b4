//! The pages: what is asked for, by whom it may be, and the answer.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::header::{
    ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_TYPE, HOST, LOCATION, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS,
};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Response, StatusCode, Version};
use http_body_util::Full;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::board::{Board, Phase};
use super::host::{self, Names};
use super::query::{self, Asked};
use super::status::Status;
use super::{format, viewer};
use pounce_telemetry::Telemetry;

/// Large pages of a kind that are in memory at once, those on their way to slow clients included. Each kind has places
/// of its own: who is slow to take traces does not keep Prometheus from its metrics.
const MAX_PAGES: usize = 4;

const PATHS: &str = "There are:
  /livez               200 while the process answers
  /readyz              200 while requests are served, 503 while it starts or drains
  /status              what runs here and how it is, as JSON
  /metrics             for Prometheus; with exemplars where OpenMetrics is asked for
  /traces              the latest traces, for browsers; /traces/HEX is one of them
  /api/traces          the latest traces as OTLP JSON; ?limit=N, ?trace_id=HEX
  /api/traces/outline  a trace as OTLP JSON, the outline of a large one; ?trace_id=HEX
  /api/traces/summary  a line about each as JSON; ?after=CURSOR for what has changed
  /api/logs            log records of a trace as OTLP JSON; ?trace_id=HEX
";

const CROSS_ORIGIN_RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";

pub(super) type Answer = Response<Full<Bytes>>;

/// How a client reached the listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Loopback,
    Network,
    Unix,
}

/// All pages, and what they are made of.
pub(super) struct Site {
    board: Arc<Board>,
    telemetry: Telemetry,
    names: Names,
    url: String,
    started: Instant,
    metrics_pages: Arc<Semaphore>,
    traces_pages: Arc<Semaphore>,
}

impl Site {
    pub(super) fn new(
        board: Arc<Board>,
        telemetry: Telemetry,
        names: Names,
        url: String,
        started: Instant,
    ) -> Self {
        let places = || Arc::new(Semaphore::new(MAX_PAGES));
        let (metrics_pages, traces_pages) = (places(), places());
        Self { board, telemetry, names, url, started, metrics_pages, traces_pages }
    }

    /// Answers one request, which came this way.
    pub(super) async fn answer(&self, head: Parts, way: Way) -> Answer {
        let mut answer = self.page(&head, way).await;
        let headers = answer.headers_mut();
        headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        // Pages of other origins do not get it even where they cannot read it, as an image or a script.
        headers.insert(CROSS_ORIGIN_RESOURCE_POLICY, HeaderValue::from_static("same-origin"));
        answer
    }

    async fn page(&self, head: &Parts, way: Way) -> Answer {
        if let Err(why) = self.is_meant(head, way) {
            return *why;
        }
        if !matches!(head.method, Method::GET | Method::HEAD) {
            let mut refusal = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
            refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return refusal;
        }
        match head.uri.path() {
            "/" => index(head),
            "/livez" => text(StatusCode::OK, "ok\n"),
            "/readyz" => {
                let phase = self.board.phase();
                let is_ready = phase == Phase::Ready;
                let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
                text(status, format!("{}\n", phase.word()))
            }
            "/status" => self.status(),
            "/metrics" => {
                let format = format::preferred(&head.headers);
                let telemetry = self.telemetry.clone();
                self.large(&self.metrics_pages, format::content_type(format), move || {
                    telemetry.exposition(format).into()
                })
                .await
            }
            path @ ("/api/traces" | "/api/traces/outline" | "/api/traces/summary" | "/api/logs") => {
                self.traces(path, head.uri.query().unwrap_or_default()).await
            }
            path if viewer::is_below(path)
                && let Some(page) = viewer::page(path, &head.headers) =>
            {
                page
            }
            path => {
                let shown: String = path.chars().take(100).collect();
                text(StatusCode::NOT_FOUND, format!("nothing at {shown}\n{PATHS}"))
            }
        }
    }

    /// Refuses what a web page may have had a browser send (see `host`).
    fn is_meant(&self, head: &Parts, way: Way) -> Result<(), Box<Answer>> {
        let mut given = head.headers.get_all(HOST).iter();
        let host = match (given.next(), given.next()) {
            (Some(host), None) => Some(host.to_str().unwrap_or_default()),
            (None, _) if head.version == Version::HTTP_10 => None,
            _ => return Err(Box::new(text(StatusCode::BAD_REQUEST, "a request needs one Host\n"))),
        };
        let target = head.uri.authority().map(http::uri::Authority::as_str);
        let is_foreign = |host: &str| !self.names.has(host);
        let is_checked = match way {
            Way::Loopback => true,
            Way::Network => shows_traces(head.uri.path()),
            Way::Unix => false,
        };
        if is_checked && host.into_iter().chain(target).any(is_foreign) {
            let why = "this listener does not know that name: ask for its address, localhost, or the host of \
                       admin.listen, or name it in admin.hosts\n";
            return Err(Box::new(text(StatusCode::MISDIRECTED_REQUEST, why)));
        }
        if host::is_of_another_origin(&head.headers) {
            let why = "a web page of another origin sends this: there is nothing here for it\n";
            return Err(Box::new(text(StatusCode::FORBIDDEN, why)));
        }
        Ok(())
    }

    /// What `/api/…` tells of recent traces.
    async fn traces(&self, path: &str, query: &str) -> Answer {
        let telemetry = self.telemetry.clone();
        let make: Box<dyn FnOnce() -> Vec<u8> + Send> = match path {
            "/api/logs" => match query::trace_id(query) {
                Ok(trace_id) => Box::new(move || telemetry.recent_logs(trace_id)),
                Err(what) => return text(StatusCode::BAD_REQUEST, what),
            },
            "/api/traces/outline" => match query::trace_id(query) {
                Ok(trace_id) => Box::new(move || telemetry.recent_outline(trace_id)),
                Err(what) => return text(StatusCode::BAD_REQUEST, what),
            },
            "/api/traces/summary" => match query::cursor(query) {
                Ok(after) => {
                    let after = after.map(str::to_owned);
                    Box::new(move || telemetry.recent_summaries(after.as_deref()))
                }
                Err(what) => return text(StatusCode::BAD_REQUEST, what),
            },
            _ => match Asked::read(query) {
                Ok(Asked { limit, trace_id }) => Box::new(move || telemetry.recent_traces(limit, trace_id)),
                Err(what) => return text(StatusCode::BAD_REQUEST, what),
            },
        };
        self.large(&self.traces_pages, JSON, make).await
    }

    fn status(&self) -> Answer {
        let status = Status {
            version: env!("CARGO_PKG_VERSION"),
            phase: self.board.phase(),
            uptime_seconds: self.started.elapsed().as_secs_f64(),
            admin: &self.url,
            facts: self.board.facts().into(),
            telemetry: self.telemetry.exports(),
        };
        match serde_json::to_vec_pretty(&status) {
            Ok(mut json) => {
                json.push(b'\n');
                whole(StatusCode::OK, JSON, json.into())
            }
            Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
        }
    }

    /// A page that may be large: made on another thread, so that `/livez` does not wait for it.
    async fn large(
        &self,
        places: &Arc<Semaphore>,
        kind: &'static str,
        make: impl FnOnce() -> Vec<u8> + Send + 'static,
    ) -> Answer {
        let Ok(permit) = places.clone().try_acquire_owned() else {
            let mut refusal =
                text(StatusCode::SERVICE_UNAVAILABLE, "other clients are still taking their pages\n");
            refusal.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
            return refusal;
        };
        let made = tokio::task::spawn_blocking(move || Page { bytes: make(), _permit: permit }).await;
        match made {
            Ok(page) => whole(StatusCode::OK, kind, Bytes::from_owner(page)),
            Err(error) => {
                tracing::error!("a page of the admin listener could not be made: {error}");
                text(StatusCode::INTERNAL_SERVER_ERROR, "this page could not be made: the log says why\n")
            }
        }
    }
}

/// A page, and its place among those that are in memory, until the last of it is written or given up.
struct Page {
    bytes: Vec<u8>,
    _permit: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Page {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// The list of pages; browsers go to the viewer.
fn index(head: &Parts) -> Answer {
    let accept = head.headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    if !accept.contains("text/html") {
        return text(StatusCode::OK, PATHS);
    }
    let mut answer = text(StatusCode::SEE_OTHER, "the viewer is at /traces\n");
    answer.headers_mut().insert(LOCATION, HeaderValue::from_static("/traces"));
    answer
}

/// Whether a page has traces in it, or shows those that have.
fn shows_traces(path: &str) -> bool {
    path.starts_with("/api/") || viewer::is_below(path)
}

fn text(status: StatusCode, body: impl Into<String>) -> Answer {
    whole(status, TEXT, body.into().into())
}

pub(super) fn whole(status: StatusCode, kind: &'static str, body: Bytes) -> Answer {
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}
