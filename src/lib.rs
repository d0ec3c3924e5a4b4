//! Pounce serves WebAssembly components (wasi:http 0.2 and 0.3) over HTTP and gives each request a trace, with no change
//! to the guest.
//!
//! Most users want the binary: `pounce serve app.wasm`. This crate is the same server for programs of their own:
//!
//! ```
//! use std::io::{Read as _, Write as _};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut config = pounce::Config::new("examples/hello.wasm");
//! config.http.listen = vec![(std::net::Ipv4Addr::LOCALHOST, 0).into()];
//!
//! let runtime = tokio::runtime::Runtime::new()?;
//! let outcome = runtime.block_on(async {
//!     let app = pounce::App::build(config).await?;
//!     let address = app.listeners()[0].tcp_addr().expect("a TCP address");
//!     let client = tokio::task::spawn_blocking(move || -> std::io::Result<String> {
//!         let mut stream = std::net::TcpStream::connect(address)?;
//!         stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
//!         let mut response = String::new();
//!         stream.read_to_string(&mut response)?;
//!         Ok(response)
//!     });
//!     // Serves until the future resolves, then drains.
//!     let outcome = app
//!         .run_until(async {
//!             let response = client.await.expect("the client does not panic").expect("a response");
//!             assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
//!             assert!(response.ends_with("Hello, World!\n"), "{response}");
//!         })
//!         .await;
//!     Ok::<_, pounce::StartError>(outcome)
//! })?;
//! assert_eq!(outcome, pounce::Outcome::Drained);
//! # Ok(())
//! # }
//! ```
//!
//! # What is where
//!
//! | to … | |
//! | --- | --- |
//! | set something | [`Config`], a field for each key of `pounce.toml`, which serde reads as well |
//! | start a server | [`App::build`], or [`App::builder`] with what only a program can give |
//! | know where it listens, serve, and stop | [`App::listeners`], [`App::run`], [`App::run_until`] |
//! | serve a request that came otherwise, or mount a component in axum | [`App::call`], [`Caller`] |
//! | hand over a sampler, a span exporter or a propagator of OpenTelemetry | [`Builder`] |
//! | have traces go on from spans of the program, and into them | [`App::call`] |
//! | export the program's own log | [`LogExport`] |
//! | tell why it does not start | [`StartError`] |
//!
//! # One request, in order
//!
//! | step | file |
//! | --- | --- |
//! | accept | `server/listener` |
//! | HTTP/1.1 or HTTP/2, and the peer's clock | `server/connection`, `server/idle` |
//! | **the whole path on one screen** | `server/handler` |
//! | who sent it, if a trusted proxy says | `server/forwarded` |
//! | the record: parent, decision, start | `request`, `propagation`, `sampler` of the crate `pounce-telemetry` |
//! | a place, or 503 | `server/admission` |
//! | an absolute URI and a body with an end | `server/forward` |
//! | an instance | `guest/v02` or `guest/v03`, `guest/instance` |
//! | the guest, which calls back | `host/*` |
//! | the answer, or what went wrong | `guest/error`, `server/response` |
//! | the true end: record and place | `server/response/body` |
//! | span, metrics, access log | `request`, `metrics/host` of `pounce-telemetry` |
//! | out | `pipeline` of `pounce-telemetry`, and the crate `pounce-otlp` |
//!
//! Folders are layers; imports point down only: `cli → app → server → guest → host`, beside `server` the `admin`
//! listener, all of them → `config` → the crates `pounce-telemetry` → `pounce-otlp`.

mod admin;
mod app;
mod cases;
mod cli;
pub mod config;
mod guest;
mod host;
mod server;

pub use app::{App, BodyError, Builder, Caller, Cause, Outcome, ResponseBody, StartError};
pub use cli::run;
pub use config::Config;
pub use opentelemetry;
pub use opentelemetry_sdk;
pub use pounce_telemetry::Interfaces;
pub use pounce_telemetry::logs::LogExport;
pub use server::{ListenError, Listening};

/// What must hold of what others write, whatever it is; built for `fuzz/` alone.
#[cfg(any(test, fuzzing))]
pub mod fuzz {
    pub use crate::cases::fuzz::{
        assignment as case_assignment, case_file as case_files, pattern as case_patterns,
    };
    pub use crate::config::fuzz::*;
    pub use crate::host::fuzz::*;
    pub use crate::server::fuzz::*;
}
