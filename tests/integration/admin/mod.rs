//! The admin listener: what operators and their tools see, and what nobody can do to it.

/// Slow, silent and rude clients.
mod clients;
/// Health through the life of a server.
mod health;
/// Alert rules and the dashboard.
mod ops;
/// Every page, and who may see it.
mod pages;
/// A real Prometheus.
pub(crate) mod prometheus;
/// `/api/traces`.
mod traces;
/// The trace viewer, and what it reads. In a browser it is tested by `tests/viewer`.
mod viewer;

use crate::support::Protocol;
use crate::support::client::{self, Answer, Body, fetch_json as json};
use http::Request;
use std::net::SocketAddr;

/// A server whose admin listener is on a free port of loopback.
fn with_admin() -> crate::support::pounce::Builder {
    crate::support::pounce().with_admin()
}

async fn ask(admin: SocketAddr, request: Request<Body>) -> Answer {
    client::fetch(admin, Protocol::H1, request).await
}

pub(crate) async fn metrics(admin: SocketAddr) -> String {
    let answer = client::fetch_path(admin, "/metrics").await;
    assert_eq!(answer.status, 200);
    answer.text().to_owned()
}

/// The value of the one series on `page` that has all of `parts`.
pub(crate) fn sample(page: &str, parts: &[&str]) -> Option<f64> {
    let mut found =
        page.lines().filter(|line| !line.starts_with('#') && parts.iter().all(|part| line.contains(part)));
    let (one, other) = (found.next(), found.next());
    assert!(other.is_none(), "{one:?} and {other:?} have {parts:?}");
    let (_, rest) = one?.rsplit_once('}')?;
    rest.split_whitespace().next()?.parse().ok()
}
