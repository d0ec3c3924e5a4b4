//! The other end of a connection, and what a trusted proxy says of a request's client.

use http::uri::Authority;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// What is known of the other end of a connection, and of one request if it told of that.
#[derive(Clone, Debug, Default)]
pub struct Peer {
    /// The other end; none on a unix socket.
    pub remote: Option<SocketAddr>,
    /// Our end; none on a unix socket.
    pub local: Option<SocketAddr>,
    /// How the connection is encrypted, if it is, which makes the scheme `https`.
    pub tls: Option<Arc<Tls>>,
    /// What it told of this request, where it is a proxy that is believed.
    pub told: Option<Arc<Told>>,
}

/// A request as its client sent it, in the words of a proxy that is believed. What it did not say is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Address of the client that sent it.
    pub client: Option<IpAddr>,
    /// Whether the scheme was `https`.
    pub is_https: Option<bool>,
    /// Host and port that it was for.
    pub authority: Option<Authority>,
}

/// How a connection is encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// `1.2` or `1.3`.
    pub version: &'static str,
    /// Cipher suite by the name that IANA has for it: `TLS_AES_128_GCM_SHA256`.
    pub cipher: Box<str>,
    /// Client that has shown a certificate which somebody vouches for.
    pub client: Option<TlsClient>,
}

/// A client, by its certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsClient {
    /// Distinguished name of the certificate's holder.
    pub subject: Box<str>,
    /// SHA-256 of the certificate in DER form: 64 digits in upper case.
    pub sha256: Box<str>,
}

impl Peer {
    /// Whether the request's scheme is `https`.
    pub fn is_https(&self) -> bool {
        self.told.as_ref().and_then(|told| told.is_https).unwrap_or(self.tls.is_some())
    }

    /// Address of the client that sent the request; none for a client on a Unix socket that no proxy told of.
    pub fn client(&self) -> Option<IpAddr> {
        let told = self.told.as_ref().and_then(|told| told.client);
        told.or_else(|| self.remote.map(|remote| remote.ip()))
    }

    /// Host and port that the request was for, where a proxy said it.
    pub fn told_authority(&self) -> Option<&Authority> {
        self.told.as_ref()?.authority.as_ref()
    }
}
