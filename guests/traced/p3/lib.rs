//! Code that is traced from outside: by an attribute, by the crate `tracing`, by a panic hook (see [`work`]).

use guest_http::p3;
use wasip3::http::types::{ErrorCode, Request, Response};

#[path = "../work.rs"]
mod work;

struct Traced;

impl wasip3::exports::http::handler::Guest for Traced {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let is_known = work::perform(&p3::target(&request), p3::wait).await;
        let status = if is_known { 200 } else { 404 };
        Ok(p3::respond(status, p3::content_type("text/plain"), b"fine\n".to_vec()))
    }
}

wasip3::http::service::export!(Traced);
