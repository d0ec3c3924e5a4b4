//! A server in twenty lines: serves a component until Ctrl-C, and prints the trace of each request.
//!
//! `cargo run --example serve -- app.wasm`
#![expect(clippy::print_stdout, reason = "it tells where to look")]

use pounce::config::Exporter;
use pounce::{App, Config, StartError};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let component = std::env::args_os().nth(1).unwrap_or("examples/hello.wasm".into());
    let app = build(Config::new(component)).await?;
    for listener in app.listeners() {
        println!("listening on {listener}");
    }
    // A second Ctrl-C ends the drain.
    app.run().await?;
    Ok(())
}

pub(crate) async fn build(mut config: Config) -> Result<App, StartError> {
    config.http.request_timeout = std::time::Duration::from_secs(5).into();
    config.otel.exporter = Exporter::Console;
    App::build(config).await
}
