//! Identity: everything that a request tells carries its number (see [`work`]), while requests that share the instance
//! run in turns with it.

use guest_http::{Call, error_name, p3};
use serde_json::{Value as Json, json};
use wasip3::http::types::{ErrorCode, Request, Response};

#[path = "../work.rs"]
mod work;

struct Async;

impl work::World for Async {
    async fn wait(&self, nanoseconds: u64) {
        p3::wait_nanoseconds(nanoseconds).await;
    }

    async fn call(&self, call: Call) -> Json {
        match p3::send(call).await {
            Ok(status) => json!(status),
            Err(error) => json!(error_name(&error)),
        }
    }
}

struct Weave;

impl wasip3::exports::http::handler::Guest for Weave {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let work = work::Work::new(&p3::target(&request), Async);
        let answer = work.perform().await;
        wasip3::spawn_local(async move { work.go_on().await });
        Ok(p3::respond(200, p3::content_type("application/json"), answer))
    }
}

wasip3::http::service::export!(Weave);
