//! Uses every function that works on the server span (see [`deeds`]) and answers, as JSON, what it sees of its trace.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use guest_http::p2;
use wasip2::http::types::{IncomingRequest, ResponseOutparam};

#[path = "../deeds.rs"]
mod deeds;

struct Attributes;

impl wasip2::exports::http::incoming_handler::Guest for Attributes {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let done = now(deeds::perform(&p2::target(&request), async |milliseconds| p2::wait(milliseconds)));
        p2::respond(out, done.status, p2::content_type("application/json"), &done.report);
    }
}

/// The result of a future that never has to wait: in 0.2 waiting blocks.
fn now<T>(future: impl Future<Output = T>) -> T {
    let mut context = Context::from_waker(Waker::noop());
    match pin!(future).poll(&mut context) {
        Poll::Ready(result) => result,
        Poll::Pending => unreachable!("nothing here waits but by blocking"),
    }
}

wasip2::http::proxy::export!(Attributes with_types_in wasip2);
