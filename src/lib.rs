//! Pounce serves WebAssembly components over HTTP and traces every request.

mod app;
mod cli;
mod config;
mod guest;
mod host;
mod server;
mod telemetry;
