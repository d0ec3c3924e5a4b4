//! OTLP over gRPC: a call with one message each way, as a request of HTTP/2 whose trailers say how it went.

use super::answer::{
    Accepted, Failed, MAX_ANSWER, RpcStatus, is, not_this_protocol, of_protobuf, on_one_line, retries,
};
use super::refusal::Refusal;
use super::target::Target;
use crate::settings::Protocol;
use crate::signal::Signal;
use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use bytes::{BufMut, Bytes};
use http::{HeaderMap, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use percent_encoding::percent_decode_str;
use prost::Message;
use std::time::Duration;

/// Padding is optional in metadata.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The names of the codes, which are their numbers.
const CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// A message as it stands in the body.
pub(crate) fn frame(message: &[u8], compressed: bool) -> Bytes {
    let mut frame = Vec::with_capacity(5 + message.len());
    frame.put_u8(compressed.into());
    // A batch is far smaller than 4 GiB.
    frame.put_u32(message.len() as u32);
    frame.put_slice(message);
    frame.into()
}

/// Reads the answer; without a status of gRPC it is none.
pub(crate) async fn judge(answer: Response<Incoming>, to: &Target) -> Result<Accepted, Failed> {
    let (head, body) = answer.into_parts();
    if head.status != StatusCode::OK || !is(&head.headers, "application/grpc") {
        let error = format!(
            "the endpoint answered {}, which is no gRPC{}",
            head.status,
            not_this_protocol(Protocol::Grpc, to.endpoint.names)
        );
        let code = Some(head.status.as_u16());
        // Of a proxy before it, which reads requests and has a limit of its own.
        let refusal = (head.status == StatusCode::PAYLOAD_TOO_LARGE).then_some(Refusal::TooLarge);
        let retry = retries(head.status);
        return Err(Failed { error, retry, answered: true, code, refusal, ..Failed::default() });
    }
    let body = Limited::new(body, MAX_ANSWER).collect().await;
    let (body, trailers) = match body {
        Ok(body) => {
            let trailers = body.trailers().cloned();
            (body.to_bytes(), trailers)
        }
        Err(_) if head.headers.contains_key("grpc-status") => (Bytes::new(), None),
        Err(error) => {
            let error = format!("the answer broke off: {error}");
            return Err(Failed { error, retry: true, ..Failed::default() });
        }
    };
    // Where nothing but a status is said, it is in the headers.
    let said = trailers.filter(|trailers| trailers.contains_key("grpc-status")).unwrap_or(head.headers);
    match said.get("grpc-status").and_then(|code| code.to_str().ok()?.parse::<usize>().ok()) {
        Some(0) => Ok(message(&body)),
        Some(code) => Err(refused(code, &said, to)),
        None => {
            let error = "the endpoint answered without a status of gRPC".to_owned();
            Err(Failed { error, answered: true, ..Failed::default() })
        }
    }
}

/// What the only message says. One that is compressed, which we did not ask for, says nothing.
fn message(body: &[u8]) -> Accepted {
    let message = match body.split_first_chunk::<5>() {
        Some(([0, len @ ..], rest)) => rest.get(..u32::from_be_bytes(*len) as usize),
        _ => None,
    };
    message.map(|message| of_protobuf(Bytes::copy_from_slice(message))).unwrap_or_default()
}

fn refused(code: usize, said: &HeaderMap, to: &Target) -> Failed {
    let name = CODES.get(code).copied().unwrap_or("an unknown code");
    let text = |name| said.get(name).and_then(|value| value.to_str().ok());
    let message = percent_decode_str(text("grpc-message").unwrap_or_default()).decode_utf8_lossy();
    let retry_after = text("grpc-status-details-bin").and_then(retry_info);
    let refusal = Refusal::of_code(name, &message, retry_after.is_some());
    let advice = match (name, refusal.and_then(|refusal| refusal.advice(to))) {
        (_, Some(advice)) => format!(" ({advice})"),
        ("UNAUTHENTICATED" | "PERMISSION_DENIED", _) => format!(" (check `{}`)", to.endpoint.names.headers),
        ("UNIMPLEMENTED", _) if to.signal == Signal::Traces => {
            " (it speaks gRPC, but takes no OTLP: is this the port of the OTLP receiver?)".to_owned()
        }
        _ => String::new(),
    };
    let mut error = format!("the endpoint answered {name} ({code}){advice}");
    if let Some(message) = on_one_line(&message) {
        error.push_str(&format!("; it says: {message}"));
    }
    let retry = match name {
        _ if refusal.is_some() => false,
        "CANCELLED" | "DEADLINE_EXCEEDED" | "ABORTED" | "OUT_OF_RANGE" | "UNAVAILABLE" | "DATA_LOSS" => true,
        // Without a time it will not be better, says the protocol.
        "RESOURCE_EXHAUSTED" => retry_after.is_some(),
        _ => false,
    };
    let retry_after = retry_after.filter(|_| retry);
    let unknown_signal = name == "UNIMPLEMENTED";
    Failed {
        error,
        retry,
        answered: true,
        code: u16::try_from(code).ok(),
        retry_after,
        unknown_signal,
        refusal,
    }
}

/// `google.rpc.RetryInfo`.
#[derive(Clone, PartialEq, Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    delay: Option<Delay>,
}

/// `google.protobuf.Duration`.
#[derive(Clone, PartialEq, Message)]
struct Delay {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

/// The wait that the details of a status ask for.
fn retry_info(details: &str) -> Option<Duration> {
    let status = RpcStatus::decode(BASE64.decode(details.trim()).ok()?.as_slice()).ok()?;
    let info = status.details.iter().find(|detail| detail.type_url.ends_with("/google.rpc.RetryInfo"))?;
    let delay = RetryInfo::decode(info.value.as_slice()).ok()?.delay.unwrap_or_default();
    let nanos = u32::try_from(delay.nanos).ok().filter(|nanos| *nanos < 1_000_000_000).unwrap_or_default();
    Some(Duration::new(u64::try_from(delay.seconds).unwrap_or_default(), nanos))
}

#[cfg(test)]
mod tests {
    use super::super::answer::RpcDetail;
    use super::*;
    use crate::settings::{Endpoint, Transport};
    use http::HeaderValue;

    fn details(delay: Option<Delay>, type_url: &str) -> String {
        let value = RetryInfo { delay }.encode_to_vec();
        let details = vec![
            RpcDetail { type_url: "type.googleapis.com/google.rpc.Help".into(), value: vec![255] },
            RpcDetail { type_url: type_url.into(), value },
        ];
        let status = RpcStatus { message: "slow down".into(), details };
        base64::engine::general_purpose::STANDARD_NO_PAD.encode(status.encode_to_vec())
    }

    const INFO: &str = "type.googleapis.com/google.rpc.RetryInfo";

    #[test]
    fn the_wait_is_found_among_the_details() {
        let delay = |seconds, nanos| details(Some(Delay { seconds, nanos }), INFO);
        assert_eq!(retry_info(&delay(3, 500_000_000)), Some(Duration::from_millis(3500)));
        assert_eq!(retry_info(&delay(-3, -1)), Some(Duration::ZERO));
        assert_eq!(retry_info(&delay(i64::MAX, i32::MAX)), Some(Duration::from_secs(i64::MAX as u64)));
        assert_eq!(retry_info(&details(None, INFO)), Some(Duration::ZERO));
        assert_eq!(retry_info(&details(None, "x/google.rpc.ErrorInfo")), None);
        for nonsense in ["", "!", "AAAA", "/w"] {
            assert_eq!(retry_info(nonsense), None, "{nonsense}");
        }
    }

    fn failed(code: usize, details: Option<&str>) -> Failed {
        let mut said = HeaderMap::new();
        said.insert("grpc-message", HeaderValue::from_static("caf%C3%A9%0a%zz"));
        if let Some(details) = details {
            said.insert("grpc-status-details-bin", HeaderValue::from_str(details).unwrap());
        }
        let transport = Transport { protocol: Protocol::Grpc, ..Transport::default() };
        let endpoint = Endpoint::of(Signal::Traces, &"http://c:4317/".parse().unwrap(), transport);
        let to = Target { signal: Signal::Traces, endpoint };
        refused(code, &said, &to)
    }

    #[test]
    fn codes_are_tried_again_as_the_protocol_says() {
        let retried: Vec<_> = (1..20).filter(|code| failed(*code, None).retry).collect();
        assert_eq!(retried, [1, 4, 10, 11, 14, 15]);
        let details = details(Some(Delay { seconds: 9, nanos: 0 }), INFO);
        let retried: Vec<_> = (1..20).filter(|code| failed(*code, Some(&details)).retry).collect();
        assert_eq!(retried, [1, 4, 8, 10, 11, 14, 15]);
        assert_eq!(failed(8, Some(&details)).retry_after, Some(Duration::from_secs(9)));
        assert_eq!(failed(3, Some(&details)).retry_after, None);
    }

    #[test]
    fn a_refusal_is_told_by_name_and_in_its_own_words() {
        let error = failed(16, None).error;
        assert!(
            error.contains("UNAUTHENTICATED (16)") && error.contains("OTEL_EXPORTER_OTLP_HEADERS"),
            "{error}"
        );
        assert!(error.ends_with("it says: café\\n%zz"), "{error}");
        assert!(failed(12, None).unknown_signal && !failed(5, None).unknown_signal);
        assert!(failed(99, None).error.contains("(99)"));
    }

    #[test]
    fn a_message_that_is_none_says_nothing() {
        use opentelemetry_proto::tonic::collector::trace::v1::{
            ExportTracePartialSuccess, ExportTraceServiceResponse,
        };
        let partial = ExportTracePartialSuccess { rejected_spans: 2, error_message: "late".into() };
        let answer = ExportTraceServiceResponse { partial_success: Some(partial) }.encode_to_vec();
        assert_eq!(
            message(&frame(&answer, false)),
            Accepted { rejected: 2, message: "late".into(), page: false }
        );
        for nothing in
            [&b""[..], &frame(&answer, true), &frame(&answer, false)[..9], &[0, 255, 255, 255, 255]]
        {
            assert_eq!(message(nothing), Accepted::default());
        }
    }
}
