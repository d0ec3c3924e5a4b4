//! The error codes of wasi:http by the names that its WIT gives them, in lower case.

use super::types::{DnsErrorPayload, ErrorCode, FieldSizePayload, TlsAlertReceivedPayload};

/// The code of this name; payloads are made up. `None` for a name that wasi:http does not know.
pub(crate) fn by_name(name: &str) -> Option<ErrorCode> {
    Some(match name {
        "dns-timeout" => ErrorCode::DnsTimeout,
        "dns-error" => {
            ErrorCode::DnsError(DnsErrorPayload { rcode: Some("SERVFAIL".into()), info_code: Some(2) })
        }
        "destination-not-found" => ErrorCode::DestinationNotFound,
        "destination-unavailable" => ErrorCode::DestinationUnavailable,
        "destination-ip-prohibited" => ErrorCode::DestinationIpProhibited,
        "destination-ip-unroutable" => ErrorCode::DestinationIpUnroutable,
        "connection-refused" => ErrorCode::ConnectionRefused,
        "connection-terminated" => ErrorCode::ConnectionTerminated,
        "connection-timeout" => ErrorCode::ConnectionTimeout,
        "connection-read-timeout" => ErrorCode::ConnectionReadTimeout,
        "connection-write-timeout" => ErrorCode::ConnectionWriteTimeout,
        "connection-limit-reached" => ErrorCode::ConnectionLimitReached,
        "tls-protocol-error" => ErrorCode::TlsProtocolError,
        "tls-certificate-error" => ErrorCode::TlsCertificateError,
        "tls-alert-received" => ErrorCode::TlsAlertReceived(TlsAlertReceivedPayload {
            alert_id: Some(40),
            alert_message: Some("handshake failure".into()),
        }),
        "http-request-denied" => ErrorCode::HttpRequestDenied,
        "http-request-length-required" => ErrorCode::HttpRequestLengthRequired,
        "http-request-body-size" => ErrorCode::HttpRequestBodySize(Some(SIZE.into())),
        "http-request-method-invalid" => ErrorCode::HttpRequestMethodInvalid,
        "http-request-uri-invalid" => ErrorCode::HttpRequestUriInvalid,
        "http-request-uri-too-long" => ErrorCode::HttpRequestUriTooLong,
        "http-request-header-section-size" => ErrorCode::HttpRequestHeaderSectionSize(Some(SIZE)),
        "http-request-header-size" => ErrorCode::HttpRequestHeaderSize(Some(field())),
        "http-request-trailer-section-size" => ErrorCode::HttpRequestTrailerSectionSize(Some(SIZE)),
        "http-request-trailer-size" => ErrorCode::HttpRequestTrailerSize(field()),
        "http-response-incomplete" => ErrorCode::HttpResponseIncomplete,
        "http-response-header-section-size" => ErrorCode::HttpResponseHeaderSectionSize(Some(SIZE)),
        "http-response-header-size" => ErrorCode::HttpResponseHeaderSize(field()),
        "http-response-body-size" => ErrorCode::HttpResponseBodySize(Some(SIZE.into())),
        "http-response-trailer-section-size" => ErrorCode::HttpResponseTrailerSectionSize(Some(SIZE)),
        "http-response-trailer-size" => ErrorCode::HttpResponseTrailerSize(field()),
        "http-response-transfer-coding" => ErrorCode::HttpResponseTransferCoding(Some("gzip".into())),
        "http-response-content-coding" => ErrorCode::HttpResponseContentCoding(Some("br".into())),
        "http-response-timeout" => ErrorCode::HttpResponseTimeout,
        "http-upgrade-failed" => ErrorCode::HttpUpgradeFailed,
        "http-protocol-error" => ErrorCode::HttpProtocolError,
        "loop-detected" => ErrorCode::LoopDetected,
        "configuration-error" => ErrorCode::ConfigurationError,
        "internal-error" => ErrorCode::InternalError(Some("the guest says so".into())),
        _ => return None,
    })
}

const SIZE: u32 = 65_536;

fn field() -> FieldSizePayload {
    FieldSizePayload { field_name: Some("x-large".into()), field_size: Some(SIZE) }
}
