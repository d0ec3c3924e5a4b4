//! One attempt at an OTLP endpoint, and what its answer means.

use crate::telemetry::export::signal::Signal;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::{Client as HttpClient, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;
use rustls::{ClientConfig, RootCertStore};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// More than this of an answer is not read.
const MAX_ANSWER: usize = 4 * 1024 * 1024;
/// Characters of an error answer that are shown.
const MAX_SHOWN: usize = 300;
/// Connections are closed after this without a batch.
const IDLE: Duration = Duration::from_secs(60);

const AGENT: &str =
    concat!("Pounce/", env!("CARGO_PKG_VERSION"), " OTel-OTLP-Exporter-Rust/", env!("CARGO_PKG_VERSION"));

/// The connections that all signals share, most of which go to the same place.
#[derive(Clone)]
pub(super) struct Connections(HttpClient<HttpsConnector<HttpConnector>, Full<Bytes>>);

/// A client of one endpoint.
pub(super) struct Client {
    connections: Connections,
    signal: Signal,
    url: Uri,
    headers: HeaderMap,
    timeout: Option<Duration>,
}

/// The endpoint took the batch.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Accepted {
    /// Items it refused.
    pub(super) rejected: i64,
    /// What it says about that.
    pub(super) message: String,
}

/// The batch did not arrive.
#[derive(Debug)]
pub(super) struct Failed {
    /// With its causes.
    pub(super) error: String,
    /// Another attempt may help.
    pub(super) retry: bool,
    /// The endpoint itself said no.
    pub(super) answered: bool,
    /// The wait that it asked for.
    pub(super) retry_after: Option<Duration>,
    /// The endpoint has nothing at this path: perhaps it takes other signals only.
    pub(super) unknown_signal: bool,
}

impl Connections {
    /// Reading the system's certificates takes time and memory that only `https` needs.
    pub(super) fn new(encrypted: bool) -> Self {
        Self::with_roots(if encrypted { system_roots() } else { RootCertStore::empty() })
    }

    fn with_roots(roots: RootCertStore) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls(roots))
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let http = HttpClient::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE)
            .pool_timer(TokioTimer::new())
            .build(connector);
        Connections(http)
    }
}

impl Client {
    pub(super) fn new(
        connections: &Connections,
        signal: Signal,
        url: &Uri,
        given: &[(HeaderName, HeaderValue)],
        timeout: Option<Duration>,
    ) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        for (name, value) in given {
            let mut value = value.clone();
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        Client { connections: connections.clone(), signal, url: url.clone(), headers, timeout }
    }

    /// Sends `body` once, and reads the answer whole, within the timeout.
    pub(super) async fn post(&self, body: Bytes) -> Result<Accepted, Failed> {
        let attempt = async {
            let mut request = Request::new(Full::new(body));
            *request.method_mut() = Method::POST;
            *request.uri_mut() = self.url.clone();
            *request.headers_mut() = self.headers.clone();
            let answer =
                self.connections.0.request(request).await.map_err(|error| Failed::transport(&error))?;
            judge(answer, self.signal).await
        };
        match self.timeout {
            None => attempt.await,
            Some(limit) => tokio::time::timeout(limit, attempt)
                .await
                .unwrap_or_else(|_elapsed| Err(Failed::no_answer(limit))),
        }
    }
}

impl Failed {
    /// The endpoint was silent for this long.
    pub(super) fn no_answer(limit: Duration) -> Self {
        Failed {
            error: format!("no answer within {limit:?}"),
            retry: true,
            answered: false,
            retry_after: None,
            unknown_signal: false,
        }
    }

    fn transport(error: &(dyn std::error::Error + 'static)) -> Self {
        let causes = std::iter::successors(Some(error), |error| error.source());
        let error = causes.map(ToString::to_string).collect::<Vec<_>>().join(": ");
        Failed { error, retry: true, answered: false, retry_after: None, unknown_signal: false }
    }
}

async fn judge(answer: Response<Incoming>, signal: Signal) -> Result<Accepted, Failed> {
    let (head, body) = answer.into_parts();
    let body = Limited::new(body, MAX_ANSWER).collect().await;
    if head.status.is_success() {
        // The batch has arrived even if the rest of the answer has not. The answers of all signals have the same form.
        let body = body.map(|body| body.to_bytes()).unwrap_or_default();
        let partial = ExportTraceServiceResponse::decode(body).ok().and_then(|answer| answer.partial_success);
        let partial = partial.unwrap_or_default();
        return Ok(Accepted { rejected: partial.rejected_spans, message: partial.error_message });
    }
    let body = body.map(|body| body.to_bytes()).unwrap_or_default();
    let status = head.status;
    let mut error = format!("the endpoint answered {status}{}", advice(status, signal));
    if let Some(said) = shown(&head.headers, &body) {
        error.push_str(&format!("; it says: {said}"));
    }
    let retry = matches!(status.as_u16(), 429 | 502 | 503 | 504);
    let retry_after = if retry { retry_after(&head.headers) } else { None };
    let unknown_signal = matches!(status.as_u16(), 404 | 405 | 501);
    Err(Failed { error, retry, answered: true, retry_after, unknown_signal })
}

/// What to do about an answer that trying again will not change.
fn advice(status: StatusCode, signal: Signal) -> String {
    match (status.as_u16(), signal) {
        (401 | 403, _) => " (check `otel.headers`)".to_owned(),
        (404 | 405, Signal::Traces) => {
            " (is this the OTLP endpoint? `/v1/traces` is appended to `otel.endpoint` unless it ends in it)"
                .to_owned()
        }
        (300..400, _) => " (redirects are not followed: set `otel.endpoint` to where it points)".to_owned(),
        (400 | 415, _) => {
            " (does it take OTLP as http/protobuf? Port 4318 is usual, 4317 is gRPC)".to_owned()
        }
        (413, _) => format!(" ({})", signal.smaller()),
        _ => String::new(),
    }
}

/// The start of an error answer, when it is text.
fn shown(headers: &HeaderMap, body: &[u8]) -> Option<String> {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let text = if kind.starts_with("application/x-protobuf") {
        RpcStatus::decode(body).ok()?.message
    } else if kind.starts_with("text/plain") || kind.starts_with("application/json") {
        String::from_utf8_lossy(body).into_owned()
    } else {
        return None;
    };
    let text: String = text.trim().chars().take(MAX_SHOWN).collect();
    (!text.is_empty()).then(|| text.escape_debug().to_string())
}

/// `google.rpc.Status`, in which OTLP endpoints explain a refusal.
#[derive(Clone, PartialEq, Message)]
struct RpcStatus {
    #[prost(string, tag = "2")]
    message: String,
}

/// Seconds, or a moment.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let moment = httpdate::parse_http_date(value).ok()?;
    Some(moment.duration_since(SystemTime::now()).unwrap_or_default())
}

/// The certificate authorities that this machine trusts.
fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let errors = found.errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        tracing::warn!(
            errors,
            "found no certificate authorities, so no https endpoint can be trusted: install \
             `ca-certificates`, or name a bundle in SSL_CERT_FILE"
        );
    }
    roots
}

fn tls(roots: RootCertStore) -> ClientConfig {
    // The provider is named because a second one in the build would make the default ambiguous.
    ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring supports the default protocol versions")
        .with_root_certificates(roots)
        .with_no_client_auth()
}

/// The endpoint as it may be shown: neither credentials nor a query, which may hold a key.
pub(super) fn for_people(url: &Uri) -> String {
    let host = url.authority().map_or("", |authority| authority.as_str());
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    format!("{}://{host}{}", url.scheme_str().unwrap_or("http"), url.path())
}

#[cfg(test)]
mod tests;
