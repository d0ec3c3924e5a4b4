//! A guest that tells its host more, and worse, than anybody would want to hear (see [`deeds`]), then answers 200.

use guest_http::{error_name, p3};
use wasip3::http::types::{ErrorCode, Request, Response};

#[path = "../deeds.rs"]
mod deeds;

struct Hostile;

impl wasip3::exports::http::handler::Guest for Hostile {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let target = p3::target(&request);
        let done = deeds::perform(&target, async |call| match p3::send(call).await {
            Ok(status) => status.to_string(),
            Err(error) => error_name(&error),
        });
        Ok(match done.await {
            Some(report) => p3::respond(200, p3::content_type("application/json"), report),
            None => p3::respond(404, p3::content_type("text/plain"), b"no such deed\n".to_vec()),
        })
    }
}

wasip3::http::service::export!(Hostile);
