//! Sends the request's body back as it comes, content type and trailers too, in constant memory, but not before `?ms=`
//! have passed (default 0).
//!
//! The bytes pass through this guest's memory; with `?through` the stream itself is handed back and they do not.
//! A request body that breaks off breaks the response off. With `?seen` it answers in place of that what it sees of the
//! request: a line with scheme and authority, one for each header, and one with path and query.

use guest_http::p3::{self, Answer};
use wasip3::http::types::{ErrorCode, Fields, Request, Response, Scheme};
use wasip3::wit_bindgen::StreamResult;

const READ: usize = 64 * 1024;
/// HTTP/1.1 sends only the trailers that `trailer` announces.
const ECHOED: [&str; 2] = ["content-type", "trailer"];

struct Echo;

impl wasip3::exports::http::handler::Guest for Echo {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let target = p3::target(&request);
        p3::wait(target.number("ms", 0)).await;
        let fields = Fields::new();
        for name in ECHOED {
            // Setting nothing is as good as not setting.
            let _ = fields.set(name, &request.get_headers().get(name));
        }
        if target.get("seen").is_some() {
            return Ok(p3::respond(200, p3::content_type("text/plain"), seen(&request).into_bytes()));
        }
        let through = target.get("through").is_some();
        let (mut input, end) = p3::body(request);
        if through {
            let (response, _transmitted) = Response::new(fields, Some(input), end);
            return Ok(response);
        }

        let (mut answer, response) = Answer::new(200, fields);
        wasip3::spawn_local(async move {
            let mut buffer = Vec::with_capacity(READ);
            loop {
                let (result, mut bytes) = input.read(buffer).await;
                // False when the client has gone: nothing is left to do.
                if !bytes.is_empty() && !answer.write(std::mem::take(&mut bytes)).await {
                    return;
                }
                if result == StreamResult::Dropped {
                    break;
                }
                buffer = Vec::with_capacity(READ);
            }
            answer.finish(end.await).await;
        });
        Ok(response)
    }
}

/// What this guest sees of a request.
fn seen(request: &Request) -> String {
    let scheme = match request.get_scheme() {
        Some(Scheme::Http) => "http",
        Some(Scheme::Https) => "https",
        Some(Scheme::Other(_)) => "other",
        None => "none",
    };
    let mut text = format!("{scheme} {}\n", request.get_authority().unwrap_or_default());
    for (name, value) in request.get_headers().copy_all() {
        text.push_str(&format!("{name}: {}\n", String::from_utf8_lossy(&value)));
    }
    text.push_str(&format!("{}\n", request.get_path_with_query().unwrap_or_default()));
    text
}

wasip3::http::service::export!(Echo);
