//! How one signal is sent: in which form, as whom, and who is believed to be the endpoint.

use super::value::{Certificates, Compression, PrivateKey, Protocol};

/// How one signal is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Transport {
    /// The form of OTLP (`otel.protocol`).
    pub protocol: Protocol,
    /// How requests are compressed (`otel.compression`).
    pub compression: Compression,
    /// The authorities that vouch for the endpoint, in place of the system's (`otel.certificate`).
    pub certificate: Option<Certificates>,
    /// Who Pounce is to the endpoint (`otel.client-certificate`); nobody without the key.
    pub client_certificate: Option<Certificates>,
    /// The key of that certificate (`otel.client-key`).
    pub client_key: Option<PrivateKey>,
    /// Whether an endpoint without a scheme, which only gRPC has, is one without TLS (`OTEL_EXPORTER_OTLP_INSECURE`).
    pub(crate) insecure: bool,
}

impl Default for Transport {
    fn default() -> Self {
        Self {
            protocol: Protocol::HttpProtobuf,
            compression: Compression::None,
            certificate: None,
            client_certificate: None,
            client_key: None,
            insecure: false,
        }
    }
}

impl Transport {
    /// Why these settings can't work together, and what to do; `None` when they can.
    pub(crate) fn flaw(&self) -> Option<(&'static str, String, &'static str)> {
        match (&self.client_certificate, &self.client_key) {
            (Some(_), None) => Some((
                "otel.client-certificate",
                "there is no key for the client certificate".to_owned(),
                "set otel.client-key (OTEL_EXPORTER_OTLP_CLIENT_KEY), too",
            )),
            (None, Some(_)) => Some((
                "otel.client-key",
                "there is no certificate for the client key".to_owned(),
                "set otel.client-certificate (OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE), too",
            )),
            (Some(certificates), Some(key)) => key.mismatch(certificates).map(|what| {
                (
                    "otel.client-key",
                    what,
                    "name the key with which the first certificate of the file was made",
                )
            }),
            (None, None) => None,
        }
    }
}
