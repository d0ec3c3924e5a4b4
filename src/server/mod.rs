//! Sockets and HTTP; knows no wasmtime. A connection comes in at `listener`, a request goes through `handler`.

mod admission;
mod ahead;
mod bound;
mod client;
mod connection;
mod deadline;
mod drain;
mod entrance;
mod files;
mod forward;
mod forwarded;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod gather;
mod generation;
mod handler;
mod hangup;
mod head;
mod http2;
mod idle;
mod inbound;
mod incoming;
mod inherited;
mod leftover;
mod listener;
mod proxy_protocol;
mod rate;
mod response;
mod router;
mod stall;
mod tls;
mod turn;
mod wait;

pub(crate) use admission::{Admission, Memory};
pub(crate) use bound::BoundSocket;
pub(crate) use drain::{Drain, Phase};
pub(crate) use files::{Files, LOOK};
pub(crate) use forwarded::Forwarding;
pub(crate) use generation::{Current, Generation};
pub(crate) use handler::Handler;
pub(crate) use head::HeadLimits;
pub(crate) use inherited::Inherited;
pub(crate) use listener::{Listener, Server, SocketFile};
pub(crate) use rate::Rates;
pub(crate) use router::Router;
pub(crate) use tls::Tls;
