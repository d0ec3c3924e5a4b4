//! How telemetry is sent: protocols, compression, TLS, proxies, and what becomes of it where the endpoint fails.

/// Endpoints that fail in every way.
mod failing;
/// The three protocols, compressed or not.
mod protocols;
/// Proxies on the way.
mod proxies;
/// Receivers that take no more than so many bytes at once.
mod sizes;
/// Telemetry that waits on the disk.
mod spool;
/// Who vouches for the endpoint, and who we are to it.
mod tls;

use crate::support::client::{self, Connection};
use crate::support::pounce::Pounce;
use crate::support::{Protocol, pounce};

/// Makes `n` requests, which must all be answered.
async fn request(server: &Pounce, n: usize) {
    let mut connection = Connection::open(server.addr(), Protocol::H2).await;
    for _ in 0..n {
        assert_eq!(connection.fetch(client::get("/200")).await.status, 200);
    }
}

/// A server that sends to `endpoint`, soon, and gives up soon at its end.
fn to(endpoint: impl ToString) -> crate::support::pounce::Builder {
    pounce()
        .fixture("status.wat")
        .flag("--otel-endpoint", endpoint)
        .flag("--grace-period", "2s")
        .env("OTEL_BSP_SCHEDULE_DELAY", 20)
}
