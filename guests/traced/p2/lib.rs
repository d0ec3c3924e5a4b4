//! Code that is traced from outside: by an attribute, by the crate `tracing`, by a panic hook (see [`work`]).

use guest_http::{now, p2};
use wasip2::http::types::{IncomingRequest, ResponseOutparam};

#[path = "../work.rs"]
mod work;

struct Traced;

impl wasip2::exports::http::incoming_handler::Guest for Traced {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let is_known = now(work::perform(&p2::target(&request), async |milliseconds| p2::wait(milliseconds)));
        let status = if is_known { 200 } else { 404 };
        p2::respond(out, status, p2::content_type("text/plain"), b"fine\n");
    }
}

wasip2::http::proxy::export!(Traced with_types_in wasip2);
