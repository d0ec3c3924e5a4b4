//! Uses every function that works on the server span (see [`deeds`]) and answers, as JSON, what it sees of its trace.

use guest_http::p3;
use wasip3::http::types::{ErrorCode, Request, Response};

#[path = "../deeds.rs"]
mod deeds;

struct Attributes;

impl wasip3::exports::http::handler::Guest for Attributes {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let done = deeds::perform(&p3::target(&request), p3::wait).await;
        Ok(p3::respond(done.status, p3::content_type("application/json"), done.report))
    }
}

wasip3::http::service::export!(Attributes);
