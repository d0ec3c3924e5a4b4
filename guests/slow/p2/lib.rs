//! Takes its time: `?ms=` before the head (default 1000), then `?chunks=` pieces of the body (default 1), each after
//! `?body_ms=` (default 0). Pieces read `chunk 1\n`, `chunk 2\n`, …

use guest_http::p2::{self, Answer};
use wasip2::http::types::{IncomingRequest, ResponseOutparam};

struct Slow;

impl wasip2::exports::http::incoming_handler::Guest for Slow {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let target = p2::target(&request);
        p2::wait(target.number("ms", 1000));
        let answer = Answer::start(out, 200, p2::content_type("text/plain"));
        for chunk in 1..=target.number("chunks", 1) {
            p2::wait(target.number("body_ms", 0));
            if answer.write(format!("chunk {chunk}\n").as_bytes()).is_err() {
                return;
            }
        }
        answer.finish();
    }
}

wasip2::http::proxy::export!(Slow with_types_in wasip2);
