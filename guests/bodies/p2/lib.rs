//! Writes a body, and ends it well or not: see [`order`].

use guest_http::{Call, error_name, p2};
use wasip2::http::outgoing_handler;
use wasip2::http::types::{
    ErrorCode, Fields, IncomingRequest, Method, OutgoingBody, OutgoingRequest, OutgoingResponse,
    ResponseOutparam, Scheme,
};
use wasip2::io::streams::StreamError;

#[path = "../order.rs"]
mod order;
use order::{Ending, Order};

struct Bodies;

impl wasip2::exports::http::incoming_handler::Guest for Bodies {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let order = Order::of(&p2::target(&request));
        if let Some(call) = &order.pass {
            return pass(call, out);
        }
        if let Some(call) = &order.to {
            let outcome = send(call, &order).map_or_else(|code| error_name(&code), |status| status.to_string());
            return p2::respond(out, 200, p2::content_type("text/plain"), outcome.as_bytes());
        }
        let response = OutgoingResponse::new(fields(&order));
        response.set_status_code(order.status).expect("a status");
        let body = response.body().expect("the body is taken once");
        ResponseOutparam::set(out, Ok(response));
        write(body, &order);
        p2::wait(order.linger);
    }
}

fn fields(order: &Order) -> Fields {
    let fields = p2::content_type("text/plain");
    if let Some(length) = &order.length {
        fields.append("content-length", length.as_bytes()).expect("a length");
    }
    if order.trailers {
        fields.append("trailer", b"x-end").expect("a name");
    }
    fields
}

/// Writes the body and ends it.
fn write(body: OutgoingBody, order: &Order) {
    let stream = body.write().expect("the stream is taken once");
    for size in &order.pieces {
        if p2::write(&stream, &vec![b'x'; *size]).is_err() {
            break;
        }
    }
    p2::wait(order.pause);
    match order.ending {
        Ending::Finish => {
            drop(stream);
            let trailers = order.trailers.then(|| {
                Fields::from_list(&[("x-end".to_owned(), b"yes".to_vec())]).expect("a valid header")
            });
            // What the host says to a wrong length is its test's concern.
            let _ = OutgoingBody::finish(body, trailers);
            return;
        }
        Ending::Drop => return drop((stream, body)),
        Ending::Leak | Ending::Trap | Ending::Exit => std::mem::forget((stream, body)),
    }
    match order.ending {
        Ending::Trap => core::arch::wasm32::unreachable(),
        Ending::Exit => std::process::exit(0),
        _ => {}
    }
}

/// POSTs the body; the status that comes back, or 0 where the call is left open with its body.
fn send(call: &Call, order: &Order) -> Result<u16, ErrorCode> {
    let request = OutgoingRequest::new(fields(order));
    let invalid = |()| ErrorCode::HttpRequestUriInvalid;
    request.set_method(&Method::Post).map_err(invalid)?;
    request.set_scheme(Some(&Scheme::Http)).map_err(invalid)?;
    request.set_authority(Some(&call.authority)).map_err(invalid)?;
    request.set_path_with_query(Some(&call.path_with_query)).map_err(invalid)?;
    let body = request.body().expect("the body is taken once");
    let pending = outgoing_handler::handle(request, None)?;
    write(body, order);
    if matches!(order.ending, Ending::Leak) {
        std::mem::forget(pending);
        return Ok(0);
    }
    p2::complete(pending)
}

/// Answers what the URL does.
fn pass(call: &Call, out: ResponseOutparam) {
    let pending = p2::begin(call).expect("a call");
    pending.subscribe().block();
    let answer = match pending.get().expect("ready once the wait is over").expect("taken once") {
        Ok(answer) => answer,
        Err(code) => return ResponseOutparam::set(out, Err(code)),
    };
    let fields = Fields::new();
    for (name, value) in answer.headers().entries() {
        // Those of the connection are not for guests.
        let _ = fields.append(&name, &value);
    }
    let response = OutgoingResponse::new(fields);
    response.set_status_code(answer.status()).expect("a status");
    let to = response.body().expect("the body is taken once");
    ResponseOutparam::set(out, Ok(response));
    let from = answer.consume().expect("the body is taken once");
    let (input, output) = (from.stream().expect("taken once"), to.write().expect("taken once"));
    loop {
        match input.blocking_read(4096) {
            Ok(bytes) if p2::write(&output, &bytes).is_ok() => {}
            Err(StreamError::Closed) => break,
            // Broken off, on either side.
            _ => return,
        }
    }
    drop(output);
    let _ = OutgoingBody::finish(to, None);
}

wasip2::http::proxy::export!(Bodies with_types_in wasip2);
