//! Returns an error code of wasi:http in place of a response: `?code=connection-refused` (see [`codes`] for the names;
//! default `internal-error`). An unknown name is answered with 400.
//!
//! With `?after-head` it answers 200, writes `before the error\n` and ends the body with the code.

use guest_http::p3::{self, Answer};
use wasip3::http::types::{self, ErrorCode, Request, Response};

#[path = "../codes.rs"]
mod codes;

struct Failing;

impl wasip3::exports::http::handler::Guest for Failing {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let target = p3::target(&request);
        let fields = p3::content_type("text/plain");
        let Some(code) = codes::by_name(target.get("code").unwrap_or("internal-error")) else {
            return Ok(p3::respond(400, fields, b"no such error code\n".to_vec()));
        };
        if target.get("after-head").is_none() {
            return Err(code);
        }
        let (mut answer, response) = Answer::new(200, fields);
        wasip3::spawn_local(async move {
            if answer.write(b"before the error\n".to_vec()).await {
                // Gives the host the time to send it.
                p3::wait(10).await;
                answer.finish(Err(code)).await;
            }
        });
        Ok(response)
    }
}

wasip3::http::service::export!(Failing);
