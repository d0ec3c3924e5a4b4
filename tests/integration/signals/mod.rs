//! Metrics and log records of guests: what arrives, what our own log says, what is lost and told.

/// What the server tells of itself.
mod host;
/// From `logs.emit` to our log and the endpoint.
mod logs;
/// Which methods have names.
mod methods;
/// From `metrics.*` to the endpoint.
mod metrics;
/// Where the two go, and what happens when nobody takes them.
mod sending;
/// Each of its own request, many at once.
mod whose;

use crate::support::client;
use crate::support::pounce::Pounce;

/// Has the guest `attributes` do what `query` says.
async fn deeds(server: &Pounce, query: &str) -> serde_json::Value {
    let answer = client::fetch_path(server.addr(), &format!("/deeds?{query}")).await;
    assert!(answer.status == 200 && answer.error.is_none(), "{query}: {answer:?}");
    serde_json::from_str(answer.text()).expect("JSON")
}
