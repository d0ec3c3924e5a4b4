//! Takes its time: `?ms=` before the head (default 1000), of which it computes the last `?busy=` ms without a pause, then
//! `?chunks=` pieces of the body (default 1), each after `?body_ms=` (default 0). Pieces read `chunk 1\n`,
//! `chunk 2\n`, …, filled up with blanks to `?size=` bytes. `?length=` is the `Content-Length` that the head promises
//! (default: none).

use guest_http::p3::{self, Answer};
use wasip3::clocks::monotonic_clock;
use wasip3::http::types::{ErrorCode, Request, Response};

/// Keeps the instance to itself for so many milliseconds.
fn compute(ms: u64) {
    let end = monotonic_clock::now() + ms * 1_000_000;
    while monotonic_clock::now() < end {
        std::hint::spin_loop();
    }
}

struct Slow;

impl wasip3::exports::http::handler::Guest for Slow {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let target = p3::target(&request);
        let busy = target.number("busy", 0);
        p3::wait(target.number("ms", 1000).saturating_sub(busy)).await;
        compute(busy);
        let fields = p3::content_type("text/plain");
        if let Some(length) = target.get("length") {
            fields.append("content-length", length.as_bytes()).expect("a length");
        }
        let (mut answer, response) = Answer::new(200, fields);
        let size = target.number("size", 0) as usize;
        wasip3::spawn_local(async move {
            for chunk in 1..=target.number("chunks", 1) {
                p3::wait(target.number("body_ms", 0)).await;
                if !answer.write(format!("{:<size$}\n", format!("chunk {chunk}")).into_bytes()).await {
                    return;
                }
            }
            answer.finish(Ok(None)).await;
        });
        Ok(response)
    }
}

wasip3::http::service::export!(Slow);
