//! What the answer of an endpoint means: taken, to be tried again, or lost.

use super::refusal::Refusal;
use super::target::Target;
use crate::settings::{Names, Protocol};
use crate::signal::Signal;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper_util::client::legacy::Error;
use prost::Message;
use std::time::{Duration, SystemTime};

/// More than this of an answer is not read.
pub(crate) const MAX_ANSWER: usize = 4 * 1024 * 1024;
/// Characters of an error answer that are shown.
const MAX_SHOWN: usize = 300;

/// The endpoint took the batch.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Accepted {
    /// Items it refused.
    pub(crate) rejected: i64,
    /// What it says about that.
    pub(crate) message: String,
    /// It answered with a page for people, as something else does that takes whatever comes.
    pub(crate) page: bool,
}

/// The batch did not arrive.
#[derive(Debug, Default)]
pub(crate) struct Failed {
    /// With its causes.
    pub(crate) error: String,
    /// Another attempt may help.
    pub(crate) retry: bool,
    /// The endpoint itself said no.
    pub(crate) answered: bool,
    /// How it did: a status of HTTP, or a code of gRPC, which are below 17.
    pub(crate) code: Option<u16>,
    /// The wait that it asked for.
    pub(crate) retry_after: Option<Duration>,
    /// The endpoint has nothing at this path: perhaps it takes other signals only.
    pub(crate) unknown_signal: bool,
    /// What it means by that, where its words or its status leave no doubt.
    pub(crate) refusal: Option<Refusal>,
}

impl Failed {
    /// The batch may be taken later: by another attempt, once the operator has put right who we are, or once a network
    /// has no longer a page of its own in the way.
    pub(crate) fn may_pass(&self) -> bool {
        self.retry || matches!(self.code, Some(200 | 401 | 403 | 407 | 7 | 16))
    }

    /// Something else than an OTLP endpoint answered.
    pub(crate) fn page() -> Self {
        let error = "the endpoint answered with a page of HTML, as a login or a web site does: is this where OTLP is \
                     taken?";
        Failed { error: error.to_owned(), answered: true, code: Some(200), ..Failed::default() }
    }

    /// The endpoint was silent for this long.
    pub(crate) fn no_answer(limit: Duration) -> Self {
        Failed { error: format!("no answer within {limit:?}"), retry: true, ..Failed::default() }
    }

    /// The endpoint was silent when the shutdown began, and for a while after that.
    pub(crate) fn no_answer_in_the_end() -> Self {
        Failed {
            error: "no answer so far, and the server stops".to_owned(),
            retry: true,
            ..Failed::default()
        }
    }

    /// Something between here and the endpoint; `never` had an answer from it before.
    pub(crate) fn transport(error: &Error, to: &Target, never: bool) -> Self {
        let protocol = to.protocol();
        let first: &(dyn std::error::Error + 'static) = error;
        let causes = || std::iter::successors(Some(first), |error| error.source());
        let mut text = causes().map(ToString::to_string).collect::<Vec<_>>().join(": ");
        // Bytes came, or their end, but not those of the protocol.
        let misunderstood = match protocol {
            // There the connection's own task sees why, and the request only that it is over.
            Protocol::Grpc => !error.is_connect(),
            Protocol::HttpProtobuf | Protocol::HttpJson => {
                causes().filter_map(|cause| cause.downcast_ref::<hyper::Error>()).any(|error| {
                    error.is_parse()
                        || error.is_incomplete_message()
                        || error.to_string().starts_with("received unexpected message")
                })
            }
        };
        let in_words = text.to_ascii_lowercase().replace(['_', ' '], "");
        if in_words.contains("invalidcontenttype") {
            text.push_str(" (this port does not speak TLS: is the endpoint one of http://?)");
        } else if in_words.contains("noapplicationprotocol") || (never && misunderstood) {
            text.push_str(&not_this_protocol(protocol, to.endpoint.names));
        }
        Failed { error: text, retry: true, ..Failed::default() }
    }
}

/// What to do where an endpoint does not understand us, nor we it.
pub(crate) fn not_this_protocol(protocol: Protocol, names: &Names) -> String {
    let Names { protocol: setting, client_certificate, .. } = names;
    match protocol {
        Protocol::Grpc => format!(
            " (does this port speak gRPC? 4317 is usual; 4318 takes `{setting} = http/protobuf`. Where it wants TLS, \
             write https://; where it asks who we are, set {client_certificate})"
        ),
        Protocol::HttpProtobuf | Protocol::HttpJson => format!(
            " (does this port speak HTTP/1.1? 4318 is usual; 4317 takes `{setting} = grpc`. Where it wants TLS, write \
             https://)"
        ),
    }
}

/// Reads an answer over HTTP, to protobuf or JSON, in the time that an attempt may take.
pub(crate) async fn judge(answer: Response<Incoming>, to: &Target) -> Result<Accepted, Failed> {
    let (head, body) = answer.into_parts();
    let body = Limited::new(body, MAX_ANSWER).collect();
    let body = match to.endpoint.timeout {
        None => body.await.ok(),
        Some(limit) => tokio::time::timeout(limit, body).await.ok().and_then(Result::ok),
    };
    // The head has said what became of the batch, even if the rest of the answer does not come.
    let body = body.map(|body| body.to_bytes()).unwrap_or_default();
    if head.status.is_success() {
        let page = is(&head.headers, "text/html");
        let said = if is(&head.headers, "application/json") { of_json(&body) } else { of_protobuf(body) };
        return Ok(Accepted { page, ..said });
    }
    let status = head.status;
    // That status is a proxy's, which reads requests and sends them on.
    let who = if status == StatusCode::PROXY_AUTHENTICATION_REQUIRED { "the proxy" } else { "the endpoint" };
    let text = text(&head.headers, &body);
    let refusal = Refusal::of_status(status, text.as_deref().unwrap_or_default(), to);
    let mut error = format!("{who} answered {status}{}", advice(status, refusal, to));
    if let Some(said) = text.as_deref().and_then(on_one_line) {
        error.push_str(&format!("; it says: {said}"));
    }
    let retry = retries(status);
    let retry_after = if retry { retry_after(&head.headers) } else { None };
    let unknown_signal = refusal == Some(Refusal::Path) || status == StatusCode::NOT_IMPLEMENTED;
    let code = Some(status.as_u16());
    Err(Failed { error, retry, answered: true, code, retry_after, unknown_signal, refusal })
}

/// Whether the batch may be taken at another time.
pub(crate) fn retries(status: StatusCode) -> bool {
    matches!(status.as_u16(), 429 | 502 | 503 | 504)
}

/// The answers of all signals have the same form. What is none is a yes all the same.
pub(crate) fn of_protobuf(body: Bytes) -> Accepted {
    let partial = ExportResponse::decode(body).ok().and_then(|answer| answer.partial_success);
    let PartialSuccess { rejected, message } = partial.unwrap_or_default();
    Accepted { rejected, message, page: false }
}

/// Here the number is called after the signal, and is text or not.
fn of_json(body: &[u8]) -> Accepted {
    let answer: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let partial = &answer["partialSuccess"];
    let rejected = ["rejectedSpans", "rejectedDataPoints", "rejectedLogRecords"].iter().find_map(|name| {
        let number = &partial[name];
        number.as_i64().or_else(|| number.as_str()?.parse().ok())
    });
    let message = partial["errorMessage"].as_str().unwrap_or_default().to_owned();
    Accepted { rejected: rejected.unwrap_or_default(), message, page: false }
}

/// What to do about an answer that trying again will not change.
fn advice(status: StatusCode, refusal: Option<Refusal>, to: &Target) -> String {
    if let Some(advice) = refusal.and_then(|refusal| refusal.advice(to)) {
        return format!(" ({advice})");
    }
    let names = to.endpoint.names;
    match (status.as_u16(), refusal) {
        (_, Some(Refusal::Path)) if to.signal == Signal::Traces => {
            format!(
                " (is this the OTLP endpoint? `/v1/traces` is appended to `{}` unless it ends in it)",
                names.endpoint
            )
        }
        (_, Some(_)) => String::new(),
        (401 | 403, _) => format!(" (check `{}`)", names.headers),
        (407, _) => {
            " (the proxy wants a user name and a password: HTTP_PROXY=http://NAME:PASSWORD@HOST:PORT)"
                .to_owned()
        }
        (300..400, _) => {
            format!(" (redirects are not followed: set `{}` to where it points)", names.endpoint)
        }
        (400 | 415, _) => {
            format!(" (does it take OTLP as {}? Port 4318 is usual, 4317 is gRPC)", to.protocol())
        }
        _ => String::new(),
    }
}

/// An error answer, when it is text.
fn text(headers: &HeaderMap, body: &[u8]) -> Option<String> {
    if is(headers, "application/x-protobuf") {
        Some(RpcStatus::decode(body).ok()?.message)
    } else if is(headers, "text/plain") || is(headers, "application/json") {
        Some(String::from_utf8_lossy(body).into_owned())
    } else {
        None
    }
}

/// What an endpoint says, fit for a line of the log; none if it says nothing.
pub(crate) fn on_one_line(text: &str) -> Option<String> {
    let text: String = text.trim().chars().take(MAX_SHOWN).collect();
    (!text.is_empty()).then(|| text.escape_debug().to_string())
}

/// Whether the content is of this type.
pub(crate) fn is(headers: &HeaderMap, kind: &str) -> bool {
    let of_this =
        |value: &str| value.trim_start().get(..kind.len()).is_some_and(|it| it.eq_ignore_ascii_case(kind));
    headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).is_some_and(of_this)
}

/// `ExportTraceServiceResponse`, and the answers of the other signals.
#[derive(Clone, PartialEq, Message)]
struct ExportResponse {
    #[prost(message, optional, tag = "1")]
    partial_success: Option<PartialSuccess>,
}

/// `ExportTracePartialSuccess`, and those of the other signals.
#[derive(Clone, PartialEq, Message)]
struct PartialSuccess {
    #[prost(int64, tag = "1")]
    rejected: i64,
    #[prost(string, tag = "2")]
    message: String,
}

/// `google.rpc.Status`, in which OTLP endpoints explain a refusal.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct RpcStatus {
    #[prost(string, tag = "2")]
    pub(crate) message: String,
    #[prost(message, repeated, tag = "3")]
    pub(crate) details: Vec<RpcDetail>,
}

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct RpcDetail {
    #[prost(string, tag = "1")]
    pub(crate) type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) value: Vec<u8>,
}

/// Seconds, or a moment.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let moment = httpdate::parse_http_date(value).ok()?;
    Some(moment.duration_since(SystemTime::now()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use std::time::UNIX_EPOCH;

    #[test]
    fn retry_after_is_seconds_or_a_moment() {
        let read = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_str(value).unwrap());
            retry_after(&headers)
        };
        assert_eq!(read("7"), Some(Duration::from_secs(7)));
        assert_eq!(read("soon"), None);
        assert_eq!(read("-1"), None);
        assert_eq!(read(&httpdate::fmt_http_date(UNIX_EPOCH)), Some(Duration::ZERO));
        let future = SystemTime::now() + Duration::from_secs(100);
        let wait = read(&httpdate::fmt_http_date(future)).unwrap();
        assert!((95..=100).contains(&wait.as_secs()), "{wait:?}");
    }

    #[test]
    fn an_explanation_is_shown_short_and_on_one_line() {
        let headers = |kind: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
            headers
        };
        let shown = |headers: &HeaderMap, body: &[u8]| text(headers, body).as_deref().and_then(on_one_line);
        assert_eq!(shown(&headers("text/plain"), b" no\n\x1b[2Jway "), Some("no\\n\\u{1b}[2Jway".into()));
        let status = RpcStatus { message: "bad token".into(), details: Vec::new() }.encode_to_vec();
        assert_eq!(shown(&headers("application/x-protobuf"), &status), Some("bad token".into()));
        assert_eq!(shown(&headers("text/html"), b"<html>"), None);
        assert_eq!(shown(&headers("text/plain"), &[b'x'; 9999]).map(|text| text.len()), Some(MAX_SHOWN));
    }

    #[test]
    fn what_was_refused_of_a_batch_is_read_from_json() {
        let of = |text: &str| of_json(text.as_bytes());
        let said = |rejected, message: &str| Accepted { rejected, message: message.into(), page: false };
        assert_eq!(of(r#"{"partialSuccess":{"rejectedSpans":"3","errorMessage":"old"}}"#), said(3, "old"));
        assert_eq!(of(r#"{"partialSuccess":{"rejectedDataPoints":2}}"#), said(2, ""));
        assert_eq!(of(r#"{"partialSuccess":{"rejectedLogRecords":"x"}}"#), said(0, ""));
        for nothing in ["", "{}", "[1]", "<html>", r#"{"partialSuccess":7}"#] {
            assert_eq!(of(nothing), said(0, ""), "{nothing}");
        }
    }
}
