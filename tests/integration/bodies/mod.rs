//! Bodies that guests write: what is not whole never looks whole, to nobody.

/// Clients that have sent what they had to say.
mod half_closed;
/// Bodies of requests that guests send.
mod requests;
/// Responses, and which of them have no body at all.
mod responses;

use crate::support::Abi;
use crate::support::client::Answer;
use crate::support::pounce::{Builder, pounce};
use crate::support::span::Span;

/// Each way in which an instance comes to a request.
const INSTANCES: [(Abi, &str); 4] =
    [(Abi::P2, "request"), (Abi::P2, "instance"), (Abi::P3, "request"), (Abi::P3, "instance")];

fn bodies(abi: Abi, isolation: &str) -> Builder {
    pounce().guest(abi, "bodies").flag("--isolation", isolation)
}

/// Whether a client can tell that a response is not what its guest meant.
fn is_broken(answer: &Answer) -> bool {
    let is_visible = answer.error.is_some() && answer.reset() != Some(h2::Reason::NO_ERROR);
    answer.status.is_server_error() || is_visible
}

fn exception(span: &Span) -> String {
    span.event("exception").attributes["exception.message"].to_string()
}
