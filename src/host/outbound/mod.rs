//! The outgoing HTTP client of a component; knows nothing of stores or linkers.
//!
//! A request goes through the files in this order: `client` → `policy` (may it go
//! there? asked of a `target`) → the pool → `connect` (`resolve`, `address`, `roots`,
//! and `net` of `pounce-otlp`, which dials and has TLS) when no connection is idle →
//! back in `client` for the response head → `body`. What goes wrong becomes a wasi:http code in `error`; what is refused is
//! told to the operator by `refusals`. Names that guests look up themselves are `sockets`' concern.
//!
//! Redirects aren't followed (each hop is a request of the guest's, and is judged),
//! nothing is sent twice, and `HTTP_PROXY` is not read.

mod address;
mod body;
mod client;
mod connect;
mod error;
mod ledger;
mod limits;
mod mocks;
mod own;
mod peer_service;
mod policy;
mod propagate;
mod refusals;
mod resolve;
mod roots;
mod sockets;
mod stream;
mod target;
#[cfg(test)]
mod tests;

pub(crate) use client::{Client, Setup};
pub(crate) use error::{error_type, names as error_names, status};
pub(crate) use ledger::Ledger;
pub(in crate::host) use mocks::Behalf;
pub(crate) use mocks::{Mocks, Reply};
pub(crate) use own::OwnListeners;
pub(crate) use peer_service::PeerServices;
pub(crate) use policy::Policy;
pub(crate) use propagate::Destinations;
pub(crate) use sockets::{MOST_ADDRESSES, Raw, Sockets, Unresolved};
