//! Pounce serves WebAssembly components over HTTP and traces every request.

mod app;
mod cli;
pub mod config;
mod guest;
mod host;
mod server;
mod telemetry;

pub use app::{App, Outcome, StartError};
pub use cli::run;
pub use config::Config;
#[doc(hidden)]
pub use telemetry::bench;
