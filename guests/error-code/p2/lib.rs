//! Returns an error code of wasi:http in place of a response: `?code=connection-refused` (see [`codes`] for the names;
//! default `internal-error`). An unknown name is answered with 400.

use guest_http::p2;
use wasip2::http::types::{self, IncomingRequest, ResponseOutparam};

#[path = "../codes.rs"]
mod codes;

struct Failing;

impl wasip2::exports::http::incoming_handler::Guest for Failing {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        match codes::by_name(p2::target(&request).get("code").unwrap_or("internal-error")) {
            Some(code) => ResponseOutparam::set(out, Err(code)),
            None => p2::respond(out, 400, p2::content_type("text/plain"), b"no such error code\n"),
        }
    }
}

wasip2::http::proxy::export!(Failing with_types_in wasip2);
