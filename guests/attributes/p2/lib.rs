//! Uses every function that works on the server span (see [`deeds`]) and answers, as JSON, what it sees of its trace.

use guest_http::p2;
use wasip2::http::types::{IncomingRequest, ResponseOutparam};

#[path = "../deeds.rs"]
mod deeds;

struct Attributes;

impl wasip2::exports::http::incoming_handler::Guest for Attributes {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let done = deeds::perform(&p2::target(&request));
        p2::respond(out, done.status, p2::content_type("application/json"), &done.report);
    }
}

wasip2::http::proxy::export!(Attributes with_types_in wasip2);
