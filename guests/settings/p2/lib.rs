//! Answers, as JSON, what it reads by `wasi:config` (see [`report`]).

use guest_http::p2;
use wasip2::http::types::{IncomingRequest, ResponseOutparam};

#[path = "../report.rs"]
mod report;

struct Settings;

impl wasip2::exports::http::incoming_handler::Guest for Settings {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let report = report::report(&p2::target(&request));
        p2::respond(out, 200, p2::content_type("application/json"), &report);
    }
}

wasip2::http::proxy::export!(Settings with_types_in wasip2);
