//! Spans of a guest's own: everything that a span can do, and all that can be done wrong with one (see [`cases`]).

use guest_http::p2;
use wasip2::http::types::{IncomingRequest, ResponseOutparam};

#[path = "../bindings.rs"]
mod bindings;
#[path = "../cases.rs"]
mod cases;

struct Spans;

impl wasip2::exports::http::incoming_handler::Guest for Spans {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        match cases::perform(&p2::target(&request)) {
            Some(report) => p2::respond(out, 200, p2::content_type("application/json"), &report),
            None => p2::respond(out, 404, p2::content_type("text/plain"), b"no such case\n"),
        }
    }
}

wasip2::http::proxy::export!(Spans with_types_in wasip2);
