//! Answers, as JSON, what it reads by `wasi:config` (see [`report`]).

use guest_http::p3;
use wasip3::http::types::{ErrorCode, Request, Response};

#[path = "../report.rs"]
mod report;

struct Settings;

impl wasip3::exports::http::handler::Guest for Settings {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let report = report::report(&p3::target(&request));
        Ok(p3::respond(200, p3::content_type("application/json"), report))
    }
}

wasip3::http::service::export!(Settings);
