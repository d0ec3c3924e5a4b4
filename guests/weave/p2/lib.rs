//! Identity: everything that a request tells carries its number (see [`work`]). Here, in 0.2, an instance serves one
//! request at a time, so what the query says happens in a row; `after` goes on in the same call.

use guest_http::{Call, error_name, now, p2};
use serde_json::{Value as Json, json};
use wasip2::http::types::{IncomingRequest, ResponseOutparam};

#[path = "../work.rs"]
mod work;

struct Blocking;

impl work::World for Blocking {
    async fn wait(&self, nanoseconds: u64) {
        p2::wait_nanoseconds(nanoseconds);
    }

    async fn call(&self, call: Call) -> Json {
        match p2::begin(&call).and_then(p2::complete) {
            Ok(status) => json!(status),
            Err(error) => json!(error_name(&error)),
        }
    }
}

struct Weave;

impl wasip2::exports::http::incoming_handler::Guest for Weave {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let work = work::Work::new(&p2::target(&request), Blocking);
        let answer = now(work.perform());
        p2::respond(out, 200, p2::content_type("application/json"), &answer);
        now(work.go_on());
    }
}

wasip2::http::proxy::export!(Weave with_types_in wasip2);
