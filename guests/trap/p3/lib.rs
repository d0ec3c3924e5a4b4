//! Traps, in the way that the request's path asks for: see [`kinds`]. `?ms=` waits before it, so that other requests of
//! the same instance are under way.

use guest_http::p3::{self, Answer};
use wasip3::http::types::{ErrorCode, Request, Response};

#[path = "../kinds.rs"]
mod kinds;

struct Trap;

impl wasip3::exports::http::handler::Guest for Trap {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let target = p3::target(&request);
        p3::wait(target.number("ms", 0)).await;
        if kinds::is_after_response(target.path()) {
            wasip3::spawn_local(async {
                p3::wait(100).await;
                kinds::fail("/after", false)
            });
            return Ok(p3::respond(200, p3::content_type("text/plain"), b"whole\n".to_vec()));
        }
        if !kinds::is_after_head(target.path()) {
            kinds::fail(target.path(), target.get("ok").is_some())
        }
        let (mut answer, response) = Answer::new(200, p3::content_type("text/plain"));
        wasip3::spawn_local(async move {
            answer.write(b"before the trap\n".to_vec()).await;
            // Gives the host the time to send it.
            p3::wait(10).await;
            kinds::fail(target.path(), false)
        });
        Ok(response)
    }
}

wasip3::http::service::export!(Trap);
