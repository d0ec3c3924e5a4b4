//! Writes to stdout and stderr (see [`output`]), then answers `written\n`.

use std::io::Write;

use guest_http::p2;
use wasip2::http::types::{IncomingRequest, ResponseOutparam};

#[path = "../output.rs"]
mod output;

struct Stdio;

impl wasip2::exports::http::incoming_handler::Guest for Stdio {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let target = p2::target(&request);
        let mut streams: Vec<Box<dyn Write>> = Vec::new();
        if output::wanted(&target, "stdout") {
            streams.push(Box::new(std::io::stdout()));
        }
        if output::wanted(&target, "stderr") {
            streams.push(Box::new(std::io::stderr()));
        }
        for piece in output::pieces(&target) {
            for stream in &mut streams {
                // A host that refuses to log more does not keep a guest from answering.
                let _ = stream.write_all(&piece).and_then(|()| stream.flush());
            }
        }
        p2::respond(out, 200, p2::content_type("text/plain"), b"written\n");
    }
}

wasip2::http::proxy::export!(Stdio with_types_in wasip2);
