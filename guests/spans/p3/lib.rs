//! Spans of a guest's own: everything that a span can do, and all that can be done wrong with one (see [`cases`]).

use guest_http::p3;
use wasip3::http::types::{ErrorCode, Request, Response};

#[path = "../bindings.rs"]
mod bindings;
#[path = "../cases.rs"]
mod cases;

struct Spans;

impl wasip3::exports::http::handler::Guest for Spans {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        Ok(match cases::perform(&p3::target(&request)) {
            Some(report) => p3::respond(200, p3::content_type("application/json"), report),
            None => p3::respond(404, p3::content_type("text/plain"), b"no such case\n".to_vec()),
        })
    }
}

wasip3::http::service::export!(Spans);
