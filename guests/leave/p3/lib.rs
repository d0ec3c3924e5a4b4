//! Answers `on my way out\n` and goes on working for `?ms=` (default 1000) in a task of its own, then says so on
//! stderr.

use guest_http::p3;
use wasip3::http::types::{ErrorCode, Request, Response};

struct Leave;

impl wasip3::exports::http::handler::Guest for Leave {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let milliseconds = p3::target(&request).number("ms", 1000);
        wasip3::spawn_local(async move {
            p3::wait(milliseconds).await;
            eprintln!("leave: worked on for {milliseconds} ms after the response");
        });
        Ok(p3::respond(200, p3::content_type("text/plain"), b"on my way out\n".to_vec()))
    }
}

wasip3::http::service::export!(Leave);
