//! A guest that tells its host more, and worse, than anybody would want to hear (see [`deeds`]), then answers 200.

use guest_http::{error_name, now, p2};
use wasip2::http::types::{IncomingRequest, ResponseOutparam};

#[path = "../deeds.rs"]
mod deeds;

struct Hostile;

impl wasip2::exports::http::incoming_handler::Guest for Hostile {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let done = now(deeds::perform(&p2::target(&request), async |call| {
            match p2::begin(&call).and_then(p2::complete) {
                Ok(status) => status.to_string(),
                Err(error) => error_name(&error),
            }
        }));
        match done {
            Some(report) => p2::respond(out, 200, p2::content_type("application/json"), &report),
            None => p2::respond(out, 404, p2::content_type("text/plain"), b"no such deed\n"),
        }
    }
}

wasip2::http::proxy::export!(Hostile with_types_in wasip2);
