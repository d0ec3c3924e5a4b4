//! Logs by `wasi:logging` (see [`records`]), and answers.

use guest_http::p2;
use wasip2::http::types::{IncomingRequest, ResponseOutparam};

#[path = "../records.rs"]
mod records;

struct Logging;

impl wasip2::exports::http::incoming_handler::Guest for Logging {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        records::log(&p2::target(&request));
        p2::respond(out, 200, p2::content_type("text/plain"), b"logged\n");
    }
}

wasip2::http::proxy::export!(Logging with_types_in wasip2);
