//! Calls out, in every way in which a guest can make, wait for and give up a request (see [`plan`]).

use guest_http::{Call, now, p2};
use plan::How;
use serde_json::Value as Json;
use wasip2::http::types::{ErrorCode, FutureIncomingResponse, IncomingRequest, ResponseOutparam};

#[path = "../plan.rs"]
mod plan;

struct Calls;

impl wasip2::exports::http::incoming_handler::Guest for Calls {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        match now(plan::perform(&p2::target(&request), make)) {
            Ok(report) => p2::respond(out, 200, p2::content_type("application/json"), &report),
            Err(problem) => p2::respond(out, 400, p2::content_type("text/plain"), problem.as_bytes()),
        }
    }
}

async fn make(how: How, calls: Vec<Call>) -> Vec<Json> {
    if how == How::InTurn {
        return calls.iter().map(|call| plan::outcome(p2::begin(call).and_then(p2::complete))).collect();
    }
    let begun: Vec<Result<FutureIncomingResponse, ErrorCode>> = calls.iter().map(p2::begin).collect();
    let finish = |begun: Result<FutureIncomingResponse, ErrorCode>| match begun {
        Ok(pending) if how == How::Abandon => {
            drop(pending);
            plan::abandoned()
        }
        begun => plan::outcome(begun.and_then(p2::complete)),
    };
    begun.into_iter().map(finish).collect()
}

wasip2::http::proxy::export!(Calls with_types_in wasip2);
