//! Traps, in the way that the request's path asks for: see [`kinds`].

use guest_http::p2::{self, Answer};
use wasip2::http::types::{IncomingRequest, ResponseOutparam};

#[path = "../kinds.rs"]
mod kinds;

struct Trap;

impl wasip2::exports::http::incoming_handler::Guest for Trap {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let target = p2::target(&request);
        if kinds::is_after_head(target.path()) {
            let answer = Answer::start(out, 200, p2::content_type("text/plain"));
            let _ = answer.write(b"before the trap\n");
            // Not dropped: that would cut the body off before the trap does.
            std::mem::forget(answer);
        } else if kinds::is_after_response(target.path()) {
            p2::respond(out, 200, p2::content_type("text/plain"), b"whole\n");
            p2::wait(100);
        }
        kinds::fail(target.path(), target.get("ok").is_some())
    }
}

wasip2::http::proxy::export!(Trap with_types_in wasip2);
