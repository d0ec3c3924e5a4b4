//! The client against real servers on this machine.

mod addresses;
mod bodies;
mod failures;
mod pool;
mod support;
mod timeouts;
mod tls;
