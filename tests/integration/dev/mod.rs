//! `pounce dev`: what a developer sees of it, in a browser, on a terminal and in a log.

mod builds;
mod calls;
mod pages;
mod terminal;

use crate::support::client;
use crate::support::pounce::Pounce;
use serde_json::Value;
use std::path::Path;

/// Puts a component in the place of the one that is there, as a whole.
fn put(from: impl AsRef<Path>, to: impl AsRef<Path>) {
    let draft = to.as_ref().with_extension("draft");
    std::fs::copy(from, &draft).expect("copied");
    std::fs::rename(draft, to).expect("renamed");
}

/// The latest traces, as OTLP JSON.
async fn traces(server: &mut Pounce) -> Value {
    client::fetch_json(server.admin().await, "/api/traces").await
}
