//! One request, one record: facts of its head, its outcome, and who reads them at its end.
//!
//! A [`Record`](record::Record) is made when a request's head has been read, if any reader wants it. The
//! server, the guest and the host write to its [`Outcome`](outcome::Outcome). Its end happens once, and hands the
//! [`Finished`](finished::Finished) request to each of its readers: the SERVER span ([`span`]), the metrics
//! (`metrics::host`) and the access log ([`access`]).

pub(in crate::telemetry) mod access;
pub(in crate::telemetry) mod facts;
pub(in crate::telemetry) mod finished;
pub(in crate::telemetry) mod headers;
pub(in crate::telemetry) mod outcome;
pub(in crate::telemetry) mod record;
pub(in crate::telemetry) mod server_span;
pub(in crate::telemetry) mod shared;
mod span;
pub(in crate::telemetry) mod spans;
pub(in crate::telemetry) mod tail;
