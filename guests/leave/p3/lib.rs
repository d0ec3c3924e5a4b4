//! Answers `on my way out\n` and goes on working for `?ms=` (default 1000) in a task of its own, then says so on
//! stderr. With `?read` it reads the request's body in that time, and says how much there was.

use guest_http::p3;
use wasip3::http::types::{ErrorCode, Request, Response};

struct Leave;

impl wasip3::exports::http::handler::Guest for Leave {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let target = p3::target(&request);
        let milliseconds = target.number("ms", 1000);
        wasip3::spawn_local(async move {
            if target.get("read").is_some() {
                let bytes = p3::read(request).await;
                eprintln!("leave: read {:?} bytes after the response", bytes.map(|bytes| bytes.len()));
            }
            p3::wait(milliseconds).await;
            eprintln!("leave: worked on for {milliseconds} ms after the response");
        });
        Ok(p3::respond(200, p3::content_type("text/plain"), b"on my way out\n".to_vec()))
    }
}

wasip3::http::service::export!(Leave);
