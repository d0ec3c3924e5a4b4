//! Answers `on my way out\n` and goes on working for `?ms=` (default 1000) after its response has ended, then says so
//! on stderr. With `?read` it reads the request's body in that time, and says how much there was.

use guest_http::p2;
use wasip2::http::types::{IncomingRequest, ResponseOutparam};

struct Leave;

impl wasip2::exports::http::incoming_handler::Guest for Leave {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let target = p2::target(&request);
        let milliseconds = target.number("ms", 1000);
        p2::respond(out, 200, p2::content_type("text/plain"), b"on my way out\n");
        if target.get("read").is_some() {
            let bytes = p2::read(&request.consume().expect("the body is taken once"));
            eprintln!("leave: read {:?} bytes after the response", bytes.map(|bytes| bytes.len()));
        }
        p2::wait(milliseconds);
        eprintln!("leave: worked on for {milliseconds} ms after the response");
    }
}

wasip2::http::proxy::export!(Leave with_types_in wasip2);
