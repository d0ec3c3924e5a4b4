//! Takes memory (see [`hog`]), holds it for `?ms=` (default 0), says how much it took, and pads that to a response of
//! `?kib=` KiB more. `?leak` never gives the memory back to the instance.

use guest_http::p3;
use wasip3::http::types::{ErrorCode, Request, Response};

#[path = "../hog.rs"]
mod hog;

struct HogMemory;

impl wasip3::exports::http::handler::Guest for HogMemory {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let target = p3::target(&request);
        let hog = hog::Hog::take(target.number("mib", 64));
        p3::wait(target.number("ms", 0)).await;
        let response = p3::respond(
            200,
            p3::content_type("text/plain"),
            hog.report(target.number("kib", 0)).into_bytes(),
        );
        if target.get("leak").is_some() {
            std::mem::forget(hog);
        }
        Ok(response)
    }
}

wasip3::http::service::export!(HogMemory);
