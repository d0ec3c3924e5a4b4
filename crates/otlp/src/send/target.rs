//! What is sent, and where.

use crate::settings::{Endpoint, Protocol};
use crate::signal::Signal;
use http::Uri;

/// A signal, and the endpoint that it is sent to.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) signal: Signal,
    pub(crate) endpoint: Endpoint,
}

impl Target {
    pub(crate) fn protocol(&self) -> Protocol {
        self.endpoint.transport.protocol
    }

    pub(crate) fn url(&self) -> &Uri {
        &self.endpoint.url
    }
}

/// The endpoint as it may be shown: neither credentials nor a query, which may hold a key.
pub(crate) fn for_people(url: &Uri) -> String {
    let host = url.authority().map_or("", |authority| authority.as_str());
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    format!("{}://{host}{}", url.scheme_str().unwrap_or("http"), url.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_endpoint_is_shown_without_secrets() {
        for (url, shown) in [
            ("http://localhost:4318/v1/traces", "http://localhost:4318/v1/traces"),
            ("https://u:p@example.com/v1/traces?key=secret", "https://example.com/v1/traces"),
        ] {
            assert_eq!(for_people(&url.parse().unwrap()), shown);
        }
    }
}
