//! One request, one record: facts of its head, its outcome, and who reads them at its end.
//!
//! A [`Record`](record::Record) is made when a request's head has been read, if any reader wants it. The
//! server, the guest and the host write to its [`Outcome`](outcome::Outcome). Its end happens once, and hands the
//! [`Finished`](finished::Finished) request to each of its readers: the SERVER span ([`span`]), the metrics
//! (`metrics::host`) and the access log ([`access`]).

pub(crate) mod access;
pub(crate) mod facts;
pub(crate) mod finished;
pub(crate) mod headers;
pub(crate) mod outcome;
pub(crate) mod output;
pub(crate) mod record;
pub(crate) mod server_span;
pub(crate) mod shared;
mod span;
pub(crate) mod spans;
pub(crate) mod tail;
