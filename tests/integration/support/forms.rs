//! The forms in which OTLP arrives, and the answers in the same form: the rest of the receiver knows protobuf only.

use super::server::Arrived;
use bytes::{BufMut, Bytes, BytesMut};
use flate2::read::GzDecoder;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use prost::Message;
use std::convert::Infallible;
use std::io::Read;

/// What answers are made of.
pub(crate) type Body = BoxBody<Bytes, Infallible>;

/// How a request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Protobuf,
    Json,
    Grpc,
}

impl Form {
    /// The form of a request by what it says of itself; none for what no receiver takes.
    pub(crate) fn of(arrived: &Arrived) -> Option<Self> {
        match arrived.values("content-type")[..] {
            ["application/x-protobuf"] => Some(Form::Protobuf),
            ["application/json"] => Some(Form::Json),
            ["application/grpc"] => Some(Form::Grpc),
            _ => None,
        }
    }

    /// The form of a request, and its message alone and not compressed, whose length receivers limit; none for what no
    /// receiver takes.
    pub(crate) fn unpack(mut arrived: Arrived) -> Option<(Self, Arrived)> {
        let form = Form::of(&arrived)?;
        if form == Form::Grpc {
            let (head, message) = arrived.body.split_first_chunk::<5>()?;
            let compressed = head[0] == 1;
            let len = u32::from_be_bytes(head[1..].try_into().expect("four bytes")) as usize;
            let is_sound = len == message.len()
                && arrived.values("te") == ["trailers"]
                && compressed == (arrived.values("grpc-encoding") == ["gzip"]);
            if !is_sound {
                return None;
            }
            let message = Bytes::copy_from_slice(message);
            arrived.body = if compressed { unzip(&message)? } else { message };
            let path = match arrived.target.as_str() {
                "/opentelemetry.proto.collector.trace.v1.TraceService/Export" => "/v1/traces",
                "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export" => "/v1/metrics",
                "/opentelemetry.proto.collector.logs.v1.LogsService/Export" => "/v1/logs",
                _ => return None,
            };
            arrived.target = path.to_owned();
        } else if arrived.headers.contains_key("content-encoding") {
            if arrived.values("content-encoding") != ["gzip"] {
                return None;
            }
            arrived.body = unzip(&arrived.body)?;
        }
        Some((form, arrived))
    }

    /// The form of a request, and the request as `http/protobuf` has it; none for what no receiver takes.
    pub(crate) fn read(arrived: Arrived) -> Option<(Self, Arrived)> {
        let (form, message) = Form::unpack(arrived)?;
        Some((form, form.as_protobuf(message)?))
    }

    /// A message as `http/protobuf` has it; none for what is none.
    pub(crate) fn as_protobuf(self, mut arrived: Arrived) -> Option<Arrived> {
        if self == Form::Json {
            let json = &arrived.body;
            let protobuf = match arrived.target.split('?').next()?.rsplit('/').next()? {
                "traces" => serde_json::from_slice::<ExportTraceServiceRequest>(json).ok()?.encode_to_vec(),
                "metrics" => {
                    serde_json::from_slice::<ExportMetricsServiceRequest>(json).ok()?.encode_to_vec()
                }
                "logs" => serde_json::from_slice::<ExportLogsServiceRequest>(json).ok()?.encode_to_vec(),
                _ => return None,
            };
            arrived.body = protobuf.into();
        }
        Some(arrived)
    }

    /// The refusal of a message of `size` bytes where `most` are taken: in the words of Go's libraries, over HTTP with this
    /// status.
    pub(crate) fn too_large(self, size: usize, most: usize, status: u16) -> Response<Body> {
        let mut refusal = Response::new(Full::new(Bytes::new()).boxed());
        if self == Form::Grpc {
            let said = format!("grpc:%20received%20message%20larger%20than%20max%20({size}%20vs.%20{most})");
            let headers = refusal.headers_mut();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
            headers.insert("grpc-status", HeaderValue::from(8));
            headers.insert("grpc-message", HeaderValue::from_str(&said).expect("text"));
            return refusal;
        }
        *refusal.status_mut() = status.try_into().expect("a status");
        if status == 400 {
            // As the Collector says it.
            let said = r#"{"code":3,"message":"http: request body too large"}"#;
            *refusal.body_mut() = Full::from(said).boxed();
            refusal.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        refusal
    }

    /// An answer of `http/protobuf` in this form.
    pub(crate) async fn answer(self, answer: Response<Full<Bytes>>) -> Response<Body> {
        let is_otlp =
            answer.status() != StatusCode::OK || answer.headers().contains_key(header::CONTENT_TYPE);
        match self {
            Form::Protobuf => answer.map(Full::boxed),
            // What is no OTLP is none in any form.
            _ if !is_otlp => answer.map(Full::boxed),
            Form::Json => as_json(answer).await,
            Form::Grpc => as_grpc(answer).await,
        }
    }
}

async fn as_json(answer: Response<Full<Bytes>>) -> Response<Body> {
    let (mut head, body) = answer.into_parts();
    let mut body = body.collect().await.expect("in memory").to_bytes();
    if head.status == StatusCode::OK {
        let said = ExportTraceServiceResponse::decode(body).expect("written here");
        body = match said.partial_success {
            // As text, which the protocol asks for: `opentelemetry-proto` writes a number.
            Some(partial) => serde_json::json!({ "partialSuccess": {
                "rejectedSpans": partial.rejected_spans.to_string(),
                "errorMessage": partial.error_message,
            } }),
            None => serde_json::json!({}),
        }
        .to_string()
        .into();
        head.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    Response::from_parts(head, Full::new(body).boxed())
}

async fn as_grpc(answer: Response<Full<Bytes>>) -> Response<Body> {
    let (head, body) = answer.into_parts();
    let kind = HeaderValue::from_static("application/grpc");
    if head.status != StatusCode::OK {
        let code = match head.status.as_u16() {
            400 => 3,
            401 => 16,
            403 => 7,
            404 => 12,
            429 => 8,
            502..=504 => 14,
            _ => 13,
        };
        // Nothing but a status: in the headers.
        let mut refusal = Response::new(Full::new(Bytes::new()).boxed());
        let headers = refusal.headers_mut();
        headers.insert(header::CONTENT_TYPE, kind);
        headers.insert("grpc-status", HeaderValue::from(code));
        headers.insert("grpc-message", HeaderValue::from_static("not%20today"));
        if let Some(seconds) = head.headers.get(header::RETRY_AFTER) {
            let seconds = seconds.to_str().expect("digits").parse().expect("a number");
            let details = HeaderValue::from_str(&retry_info(seconds)).expect("base64");
            headers.insert("grpc-status-details-bin", details);
        }
        return refusal;
    }
    let message = body.collect().await.expect("in memory").to_bytes();
    let mut frame = BytesMut::new();
    frame.put_u8(0);
    frame.put_u32(message.len().try_into().expect("short"));
    frame.put(message);
    let trailers = async {
        let status = (HeaderName::from_static("grpc-status"), HeaderValue::from(0));
        Some(Ok(HeaderMap::from_iter([status])))
    };
    let mut answer = Response::new(Full::new(frame.freeze()).with_trailers(trailers).boxed());
    answer.headers_mut().insert(header::CONTENT_TYPE, kind);
    answer
}

/// `google.rpc.Status` with a `RetryInfo`, byte by byte: a number, two messages and a name.
fn retry_info(seconds: u8) -> String {
    use base64::Engine as _;
    let info = [0x0a, 2, 0x08, seconds];
    let name = b"type.googleapis.com/google.rpc.RetryInfo";
    let mut any = vec![0x0a, name.len() as u8];
    any.extend(name);
    any.extend([0x12, info.len() as u8]);
    any.extend(info);
    let mut status = vec![0x08, 8, 0x1a, any.len() as u8];
    status.extend(any);
    base64::engine::general_purpose::STANDARD_NO_PAD.encode(status)
}

fn unzip(body: &[u8]) -> Option<Bytes> {
    let mut plain = Vec::new();
    GzDecoder::new(body).read_to_end(&mut plain).ok()?;
    Some(plain.into())
}
