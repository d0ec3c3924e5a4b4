//! One test binary: everything a user, a client or an operator can see, against the real `pounce`.
//!
//! Tests start the built binary on port 0 (`support::pounce`), talk to it as a client (`support::client`) and read
//! its spans as a collector would (`support::collector`). Guests come from `make guests`.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests fail by panicking, and the long ones report what they measured"
)]

/// The real binary, the fake collector and origin, HTTP clients, span comparison.
mod support;

/// A component answers HTTP: both ABIs, both protocols, streaming, trailers, HEAD, 100-continue.
mod serve;
/// The server span: names, parents, attributes of each profile, resource.
mod tracing;
