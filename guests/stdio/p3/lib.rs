//! Writes to stdout and stderr (see [`output`]), then answers `written\n`; by the streams of wasi:cli 0.3, or
//! by Rust's std, whose output is 0.2, where it is told to.

use guest_http::p3;
use wasip3::cli::{stderr, stdout};
use wasip3::clocks::monotonic_clock;
use wasip3::http::types::{ErrorCode, Request, Response};
use wasip3::wit_stream;

#[path = "../output.rs"]
mod output;

struct Stdio;

impl wasip3::exports::http::handler::Guest for Stdio {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let target = p3::target(&request);
        if let Some(id) = target.get("std") {
            for number in 0..5 {
                if number % 2 == 0 {
                    println!("std {id} {number}");
                } else {
                    eprintln!("std {id} {number}");
                }
                // Others that share the instance get to write.
                monotonic_clock::wait_for(2_000_000).await;
            }
            return Ok(p3::respond(200, p3::content_type("text/plain"), b"written\n".to_vec()));
        }
        for stream in ["stdout", "stderr"] {
            if !output::wanted(&target, stream) {
                continue;
            }
            let (mut writer, reader) = wit_stream::new();
            let written = match stream {
                "stdout" => stdout::write_via_stream(reader),
                _ => stderr::write_via_stream(reader),
            };
            for piece in output::pieces(&target) {
                // A host that refuses to log more does not keep a guest from answering.
                if !writer.write_all(piece).await.is_empty() {
                    break;
                }
            }
            drop(writer);
            let _ = written.await;
        }
        Ok(p3::respond(200, p3::content_type("text/plain"), b"written\n".to_vec()))
    }
}

wasip3::http::service::export!(Stdio);
