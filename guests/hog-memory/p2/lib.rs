//! Takes memory (see [`hog`]), holds it for `?ms=` (default 0), says how much it took, and pads that to a response of
//! `?kib=` KiB more. `?leak` never gives the memory back to the instance.

use guest_http::p2;
use wasip2::http::types::{IncomingRequest, ResponseOutparam};

#[path = "../hog.rs"]
mod hog;

struct HogMemory;

impl wasip2::exports::http::incoming_handler::Guest for HogMemory {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let target = p2::target(&request);
        let hog = hog::Hog::take(target.number("mib", 64));
        p2::wait(target.number("ms", 0));
        p2::respond(out, 200, p2::content_type("text/plain"), hog.report(target.number("kib", 0)).as_bytes());
        if target.get("leak").is_some() {
            std::mem::forget(hog);
        }
    }
}

wasip2::http::proxy::export!(HogMemory with_types_in wasip2);
