//! Takes its time: `?ms=` before the head (default 1000), then `?chunks=` pieces of the body (default 1), each after
//! `?body_ms=` (default 0). Pieces read `chunk 1\n`, `chunk 2\n`, …, filled up with
//! blanks to `?size=` bytes. `?length=` is the `Content-Length` that the head promises (default: none).

use guest_http::p2::{self, Answer};
use wasip2::http::types::{IncomingRequest, ResponseOutparam};

struct Slow;

impl wasip2::exports::http::incoming_handler::Guest for Slow {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let target = p2::target(&request);
        p2::wait(target.number("ms", 1000));
        let fields = p2::content_type("text/plain");
        if let Some(length) = target.get("length") {
            fields.append("content-length", length.as_bytes()).expect("a length");
        }
        let answer = Answer::start(out, 200, fields);
        let size = target.number("size", 0) as usize;
        for chunk in 1..=target.number("chunks", 1) {
            p2::wait(target.number("body_ms", 0));
            if answer.write(format!("{:<size$}\n", format!("chunk {chunk}")).as_bytes()).is_err() {
                return;
            }
        }
        answer.finish();
    }
}

wasip2::http::proxy::export!(Slow with_types_in wasip2);
