//! Logs by `wasi:logging` (see [`records`]), and answers.

use guest_http::p3;
use wasip3::http::types::{ErrorCode, Request, Response};

#[path = "../records.rs"]
mod records;

struct Logging;

impl wasip3::exports::http::handler::Guest for Logging {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        records::log(&p3::target(&request));
        Ok(p3::respond(200, p3::content_type("text/plain"), b"logged\n".to_vec()))
    }
}

wasip3::http::service::export!(Logging);
