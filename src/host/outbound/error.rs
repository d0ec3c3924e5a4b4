//! From the errors of sockets, TLS and HTTP to the codes of wasi:http, and from
//! those to `error.type` and status.

use std::error::Error as StdError;
use std::io;

use http::StatusCode;
use wasmtime_wasi_http::Error;

use super::connect::ConnectError;

/// The `error.type` of an error: its wasi:http code in snake_case.
pub(crate) fn error_type(error: &Error) -> &'static str {
    match error {
        Error::DnsTimeout => "dns_timeout",
        Error::DnsError { .. } => "dns_error",
        Error::DestinationNotFound => "destination_not_found",
        Error::DestinationUnavailable => "destination_unavailable",
        Error::DestinationIpProhibited => "destination_ip_prohibited",
        Error::DestinationIpUnroutable => "destination_ip_unroutable",
        Error::ConnectionRefused => "connection_refused",
        Error::ConnectionTerminated => "connection_terminated",
        Error::ConnectionTimeout => "connection_timeout",
        Error::ConnectionReadTimeout => "connection_read_timeout",
        Error::ConnectionWriteTimeout => "connection_write_timeout",
        Error::ConnectionLimitReached => "connection_limit_reached",
        Error::TlsProtocolError | Error::Tls(_) => "tls_protocol_error",
        Error::TlsCertificateError => "tls_certificate_error",
        Error::TlsAlertReceived { .. } => "tls_alert_received",
        Error::HttpRequestDenied => "http_request_denied",
        Error::HttpRequestLengthRequired => "http_request_length_required",
        Error::HttpRequestBodySize(_) => "http_request_body_size",
        Error::HttpRequestMethodInvalid => "http_request_method_invalid",
        Error::HttpRequestUriInvalid => "http_request_uri_invalid",
        Error::HttpRequestUriTooLong => "http_request_uri_too_long",
        Error::HttpRequestHeaderSectionSize(_) => "http_request_header_section_size",
        Error::HttpRequestHeaderSize { .. } => "http_request_header_size",
        Error::HttpRequestTrailerSectionSize(_) => "http_request_trailer_section_size",
        Error::HttpRequestTrailerSize { .. } => "http_request_trailer_size",
        Error::HttpResponseIncomplete => "http_response_incomplete",
        Error::HttpResponseHeaderSectionSize(_) => "http_response_header_section_size",
        Error::HttpResponseHeaderSize { .. } => "http_response_header_size",
        Error::HttpResponseBodySize(_) => "http_response_body_size",
        Error::HttpResponseTrailerSectionSize(_) => "http_response_trailer_section_size",
        Error::HttpResponseTrailerSize { .. } => "http_response_trailer_size",
        Error::HttpResponseTransferCoding(_) => "http_response_transfer_coding",
        Error::HttpResponseContentCoding(_) => "http_response_content_coding",
        Error::HttpResponseTimeout => "http_response_timeout",
        Error::HttpUpgradeFailed => "http_upgrade_failed",
        Error::HttpProtocolError | Error::Hyper(_) => "http_protocol_error",
        Error::LoopDetected => "loop_detected",
        Error::ConfigurationError => "configuration_error",
        // What wasi-http's own hooks make of a failed connection.
        Error::Connect(_) => "connection_refused",
        Error::InternalError(_) => "internal_error",
        // `Error` may grow; wasi-http tells guests the same of what it doesn't know.
        _ => "internal_error",
    }
}

/// The status of a response for which a guest gives this code: 502 and 504 where the code says so.
pub(crate) fn status(error: &Error) -> StatusCode {
    match error {
        Error::DnsTimeout
        | Error::ConnectionTimeout
        | Error::ConnectionReadTimeout
        | Error::ConnectionWriteTimeout
        | Error::HttpResponseTimeout => StatusCode::GATEWAY_TIMEOUT,
        Error::DnsError { .. }
        | Error::DestinationNotFound
        | Error::DestinationUnavailable
        | Error::DestinationIpUnroutable
        | Error::ConnectionRefused
        | Error::ConnectionTerminated
        | Error::TlsProtocolError
        | Error::TlsCertificateError
        | Error::TlsAlertReceived { .. }
        | Error::HttpResponseIncomplete
        | Error::HttpProtocolError
        | Error::HttpUpgradeFailed => StatusCode::BAD_GATEWAY,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// All errors that [`error_type`] has a name of its own for, without their details.
const ALL: [fn() -> Error; 37] = [
    || Error::DnsTimeout,
    || Error::DnsError { rcode: None, info_code: None },
    || Error::DestinationNotFound,
    || Error::DestinationUnavailable,
    || Error::DestinationIpProhibited,
    || Error::DestinationIpUnroutable,
    || Error::ConnectionRefused,
    || Error::ConnectionTerminated,
    || Error::ConnectionTimeout,
    || Error::ConnectionReadTimeout,
    || Error::ConnectionWriteTimeout,
    || Error::ConnectionLimitReached,
    || Error::TlsProtocolError,
    || Error::TlsCertificateError,
    || Error::TlsAlertReceived { alert_id: None, alert_message: None },
    || Error::HttpRequestDenied,
    || Error::HttpRequestLengthRequired,
    || Error::HttpRequestBodySize(None),
    || Error::HttpRequestMethodInvalid,
    || Error::HttpRequestUriInvalid,
    || Error::HttpRequestUriTooLong,
    || Error::HttpRequestHeaderSectionSize(None),
    || Error::HttpRequestTrailerSectionSize(None),
    || Error::HttpResponseIncomplete,
    || Error::HttpResponseHeaderSectionSize(None),
    || Error::HttpResponseBodySize(None),
    || Error::HttpResponseTrailerSectionSize(None),
    || Error::HttpResponseTransferCoding(None),
    || Error::HttpResponseContentCoding(None),
    || Error::HttpResponseTimeout,
    || Error::HttpUpgradeFailed,
    || Error::HttpProtocolError,
    || Error::LoopDetected,
    || Error::ConfigurationError,
    || Error::HttpResponseHeaderSize { field_name: None, field_size: None },
    || Error::HttpResponseTrailerSize { field_name: None, field_size: None },
    || Error::InternalError(None),
];

/// The error whose [`error_type`] this is.
pub(crate) fn named(error_type: &str) -> Option<Error> {
    ALL.iter().map(|make| make()).find(|error| self::error_type(error) == error_type)
}

/// The names of all errors.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    ALL.iter().map(|make| error_type(&make()))
}

/// The error of a request that got no response.
pub(super) fn of_request(error: &(dyn StdError + 'static)) -> Error {
    of_chain(error).unwrap_or(Error::ConnectionTerminated)
}

/// The error of a response body that broke off.
pub(super) fn of_response_body(error: &hyper::Error) -> Error {
    match of_chain(error) {
        None | Some(Error::ConnectionTerminated) => Error::HttpResponseIncomplete,
        Some(error) => error,
    }
}

/// Walks from the outermost error to its cause and takes the first that says something.
fn of_chain(error: &(dyn StdError + 'static)) -> Option<Error> {
    let mut next = Some(error);
    let mut found = None;
    while let Some(error) = next {
        if let Some(connect) = error.downcast_ref::<ConnectError>() {
            return Some(of_connect(connect));
        }
        if let Some(io) = error.downcast_ref::<io::Error>() {
            // After the handshake rustls speaks through io errors.
            return Some(tls_inside(io).map_or_else(|| of_io(io), of_tls));
        }
        if let Some(hyper) = error.downcast_ref::<hyper::Error>() {
            found = of_hyper(hyper).or(found);
        }
        next = error.source();
    }
    found
}

fn of_hyper(error: &hyper::Error) -> Option<Error> {
    if error.is_parse_too_large() {
        Some(Error::HttpResponseHeaderSectionSize(None))
    } else if error.is_timeout() {
        Some(Error::HttpResponseTimeout)
    } else if error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
        Some(Error::ConnectionTerminated)
    } else if error.is_user() {
        Some(Error::InternalError(Some(error.to_string())))
    } else {
        // A parse error, or what HTTP/2 has to say; a cause below may know better.
        Some(Error::HttpProtocolError)
    }
}

fn of_connect(error: &ConnectError) -> Error {
    match error {
        ConnectError::Refused(refused) => refused.error(),
        ConnectError::Dns(_) | ConnectError::NoAddress => {
            // getaddrinfo has codes of its own, none of them a DNS rcode.
            Error::DnsError { rcode: None, info_code: None }
        }
        ConnectError::DnsTimeout => Error::DnsTimeout,
        ConnectError::Timeout => Error::ConnectionTimeout,
        ConnectError::TooMany => Error::ConnectionLimitReached,
        ConnectError::Tcp(error) => of_io(error),
        ConnectError::Tls(error) => tls_inside(error).map_or_else(|| of_io(error), of_tls),
        ConnectError::ServerName(_) => Error::TlsCertificateError,
        ConnectError::Roots(_) => Error::ConfigurationError,
    }
}

fn of_io(error: &io::Error) -> Error {
    use io::ErrorKind as Kind;
    match error.kind() {
        Kind::ConnectionRefused => Error::ConnectionRefused,
        Kind::TimedOut => Error::ConnectionTimeout,
        Kind::HostUnreachable | Kind::NetworkUnreachable | Kind::AddrNotAvailable => {
            Error::DestinationIpUnroutable
        }
        Kind::NetworkDown => Error::DestinationUnavailable,
        // The firewall's "administratively prohibited".
        Kind::PermissionDenied => Error::DestinationIpProhibited,
        Kind::ConnectionReset
        | Kind::ConnectionAborted
        | Kind::BrokenPipe
        | Kind::NotConnected
        | Kind::UnexpectedEof => Error::ConnectionTerminated,
        _ if error.raw_os_error().is_some_and(|code| [libc::EMFILE, libc::ENFILE].contains(&code)) => {
            Error::ConnectionLimitReached
        }
        _ => Error::DestinationUnavailable,
    }
}

/// The rustls error inside an io error, however often that was wrapped.
/// `io::Error::source` skips what it wraps, so the usual chain doesn't find it.
fn tls_inside(error: &io::Error) -> Option<&rustls::Error> {
    let inner = error.get_ref()?;
    inner.downcast_ref::<rustls::Error>().or_else(|| inner.downcast_ref::<io::Error>().and_then(tls_inside))
}

fn of_tls(error: &rustls::Error) -> Error {
    match error {
        rustls::Error::InvalidCertificate(_)
        | rustls::Error::NoCertificatesPresented
        | rustls::Error::UnsupportedNameType
        | rustls::Error::InvalidCertRevocationList(_) => Error::TlsCertificateError,
        rustls::Error::AlertReceived(alert) => Error::TlsAlertReceived {
            alert_id: Some(u8::from(*alert)),
            alert_message: alert.as_str().map(ToOwned::to_owned),
        },
        _ => Error::TlsProtocolError,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn io_errors_keep_their_meaning() {
        for (kind, expected) in [
            (io::ErrorKind::ConnectionRefused, "connection_refused"),
            (io::ErrorKind::TimedOut, "connection_timeout"),
            (io::ErrorKind::ConnectionReset, "connection_terminated"),
            (io::ErrorKind::HostUnreachable, "destination_ip_unroutable"),
        ] {
            let error = ConnectError::Tcp(kind.into());
            assert_eq!(error_type(&of_request(&error)), expected);
        }
        let full = io::Error::from_raw_os_error(libc::EMFILE);
        assert_eq!(error_type(&of_io(&full)), "connection_limit_reached");
    }

    #[test]
    fn tls_errors_are_found_in_their_wrappings() {
        let expired = rustls::Error::InvalidCertificate(rustls::CertificateError::Expired);
        let io = io::Error::other(io::Error::new(io::ErrorKind::InvalidData, expired));
        assert_eq!(error_type(&of_request(&ConnectError::Tls(io))), "tls_certificate_error");
        let alert = rustls::Error::AlertReceived(rustls::AlertDescription::HandshakeFailure);
        let io = io::Error::new(io::ErrorKind::InvalidData, alert);
        let Error::TlsAlertReceived { alert_id, .. } = of_request(&io) else { panic!() };
        assert_eq!(alert_id, Some(40));
    }
}
