//! Sends the request's body back as it comes, content type and trailers too, in constant memory, but not before `?ms=`
//! have passed (default 0).
//!
//! A request body that breaks off breaks the response off. With `?seen` it answers in place of that what it sees of the
//! request: a line with scheme and authority, one for each header, and one with path and query.

use guest_http::p2::{self, Answer};
use wasip2::http::types::{Fields, IncomingBody, IncomingRequest, ResponseOutparam, Scheme};
use wasip2::io::streams::StreamError;

const READ: u64 = 64 * 1024;
/// HTTP/1.1 sends only the trailers that `trailer` announces.
const ECHOED: [&str; 2] = ["content-type", "trailer"];

struct Echo;

impl wasip2::exports::http::incoming_handler::Guest for Echo {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        p2::wait(p2::target(&request).number("ms", 0));
        let fields = Fields::new();
        for name in ECHOED {
            // Setting nothing is as good as not setting.
            let _ = fields.set(name, &request.headers().get(name));
        }
        if p2::target(&request).get("seen").is_some() {
            let fields = p2::content_type("text/plain");
            return p2::respond(out, 200, fields, seen(&request).as_bytes());
        }
        let body = request.consume().expect("the body is taken once");
        let input = body.stream().expect("the stream is taken once");
        let answer = Answer::start(out, 200, fields);
        loop {
            match input.blocking_read(READ) {
                Ok(bytes) if answer.write(&bytes).is_ok() => {}
                Err(StreamError::Closed) => break,
                // The client has gone, or its body broke off: so does ours.
                Ok(_) | Err(StreamError::LastOperationFailed(_)) => return,
            }
        }
        drop(input);

        let trailers = IncomingBody::finish(body);
        trailers.subscribe().block();
        if let Some(Ok(Ok(trailers))) = trailers.get() {
            // A response's trailers are fields of its own: the request's are not ours to pass on.
            answer.finish_with(trailers.map(|fields| fields.clone()));
        }
    }
}

/// What this guest sees of a request.
fn seen(request: &IncomingRequest) -> String {
    let scheme = match request.scheme() {
        Some(Scheme::Http) => "http",
        Some(Scheme::Https) => "https",
        Some(Scheme::Other(_)) => "other",
        None => "none",
    };
    let mut text = format!("{scheme} {}\n", request.authority().unwrap_or_default());
    for (name, value) in request.headers().entries() {
        text.push_str(&format!("{name}: {}\n", String::from_utf8_lossy(&value)));
    }
    text.push_str(&format!("{}\n", request.path_with_query().unwrap_or_default()));
    text
}

wasip2::http::proxy::export!(Echo with_types_in wasip2);
