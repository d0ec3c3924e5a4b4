//! How long an outgoing request may take, and how many there may be.

use std::time::Duration;

use wasmtime_wasi_http::RequestOptions;

/// A time that a guest may choose within bounds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounded {
    /// In force when the guest says nothing.
    pub(crate) default: Duration,
    /// The longest that the guest may say.
    pub(crate) longest: Duration,
}

impl Bounded {
    fn choose(self, wish: Option<Duration>) -> Duration {
        wish.unwrap_or(self.default).min(self.longest)
    }
}

/// The limits of one component's client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// To an open connection, TLS handshake and the wait for a permit included.
    pub(crate) connect: Bounded,
    /// To the response head, from the moment that the connection is there and the
    /// guest's body has last moved. A slow upload is no slow server.
    pub(crate) first_byte: Bounded,
    /// Between two reads of the response body.
    pub(crate) between_bytes: Bounded,
    /// Requests without a complete response; further ones wait as for a connection.
    pub(crate) in_flight: usize,
    /// Open connections, idle ones included: they are file descriptors of the server.
    pub(crate) connections: usize,
    /// A response head of HTTP/1, a header list of HTTP/2.
    pub(crate) header_size: u32,
    /// When an idle connection is closed.
    pub(crate) idle: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let connect = Duration::from_secs(10);
        // Guests that wait longer on purpose (reports, language models) say so in
        // their request options; `http.request-timeout` bounds them all the same.
        let patience = Bounded { default: Duration::from_secs(60), longest: Duration::from_secs(600) };
        Self {
            connect: Bounded { default: connect, longest: connect },
            first_byte: patience,
            between_bytes: patience,
            in_flight: 256,
            connections: 1024,
            header_size: 64 * 1024,
            // Below the keep-alive of common servers (60 s and more), so that ours is
            // the side that closes and no request meets a closing connection.
            idle: Duration::from_secs(30),
        }
    }
}

/// The times in force for one request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timeouts {
    pub(super) connect: Duration,
    pub(super) first_byte: Duration,
    pub(super) between_bytes: Duration,
}

impl Limits {
    pub(super) fn timeouts(&self, options: Option<RequestOptions>) -> Timeouts {
        let options = options.unwrap_or_default();
        Timeouts {
            connect: self.connect.choose(options.connect_timeout),
            first_byte: self.first_byte.choose(options.first_byte_timeout),
            between_bytes: self.between_bytes.choose(options.between_bytes_timeout),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_chooses_within_bounds() {
        let limits = Limits::default();
        let none = limits.timeouts(None);
        assert_eq!(none.connect, Duration::from_secs(10));
        assert_eq!(none.first_byte, Duration::from_secs(60));
        let long = Some(Duration::from_secs(100_000));
        let short = Some(Duration::ZERO);
        let chosen = limits.timeouts(Some(RequestOptions {
            connect_timeout: long,
            first_byte_timeout: long,
            between_bytes_timeout: short,
        }));
        assert_eq!(chosen.connect, Duration::from_secs(10));
        assert_eq!(chosen.first_byte, Duration::from_secs(600));
        assert_eq!(chosen.between_bytes, Duration::ZERO);
    }
}
