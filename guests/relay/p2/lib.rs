//! POST it a list of calls (see [`calls`]); it makes them, one after another, and answers what came of each.
//!
//! By itself it neither forwards nor sets a trace header: what the called ones get of them is the host's doing.

use guest_http::p2;
use wasip2::http::outgoing_handler;
use wasip2::http::types::{
    ErrorCode, IncomingRequest, Method, OutgoingBody, OutgoingRequest, ResponseOutparam, Scheme,
};

#[path = "../calls.rs"]
mod calls;

struct Relay;

impl wasip2::exports::http::incoming_handler::Guest for Relay {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let body = request.consume().expect("the body is taken once");
        match calls::parse(&p2::read(&body).unwrap_or_default()) {
            Ok(calls) => {
                let outcomes: serde_json::Value = calls
                    .iter()
                    .map(|call| {
                        let refused = call.set_baggage();
                        calls::outcome(&refused, send(call))
                    })
                    .collect();
                p2::respond(out, 200, p2::content_type("application/json"), outcomes.to_string().as_bytes());
            }
            Err(problem) => p2::respond(out, 400, p2::content_type("text/plain"), problem.as_bytes()),
        }
    }
}

/// Makes a call and reads its response to the end.
fn send(call: &calls::Call) -> Result<u16, ErrorCode> {
    let fields = p2::content_type("application/json");
    let _ = fields.set("content-length", &[call.body.len().to_string().into_bytes()]);
    for (name, value) in &call.headers {
        // A forbidden one is left out; a test will miss it.
        let _ = fields.append(name, value.as_bytes());
    }
    let request = OutgoingRequest::new(fields);
    let invalid = |()| ErrorCode::HttpRequestUriInvalid;
    request.set_method(&Method::Post).map_err(invalid)?;
    request.set_scheme(Some(if call.https { &Scheme::Https } else { &Scheme::Http })).map_err(invalid)?;
    request.set_authority(Some(&call.authority)).map_err(invalid)?;
    request.set_path_with_query(Some(&call.path_with_query)).map_err(invalid)?;
    let body = request.body().expect("the body is taken once");
    let pending = outgoing_handler::handle(request, None)?;

    let stream = body.write().expect("the stream is taken once");
    // When writing fails, what the other side had to say about it is in the response.
    let written = p2::write(&stream, &call.body);
    drop(stream);
    if written.is_ok() {
        OutgoingBody::finish(body, None)?;
    }

    pending.subscribe().block();
    let response = pending.get().expect("ready once the wait is over").expect("taken once")?;
    let body = response.consume().expect("the body is taken once");
    p2::read(&body).ok_or(ErrorCode::HttpResponseIncomplete)?;
    Ok(response.status())
}

wasip2::http::proxy::export!(Relay with_types_in wasip2);
