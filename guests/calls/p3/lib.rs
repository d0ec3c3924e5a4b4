//! Calls out, in every way in which a guest can make, wait for and give up a request (see [`plan`]).

use guest_http::{Call, abandon, join_all, p3};
use plan::How;
use serde_json::Value as Json;
use wasip3::http::types::{ErrorCode, Request, Response};

#[path = "../plan.rs"]
mod plan;

struct Calls;

impl wasip3::exports::http::handler::Guest for Calls {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        Ok(match plan::perform(&p3::target(&request), make).await {
            Ok(report) => p3::respond(200, p3::content_type("application/json"), report),
            Err(problem) => p3::respond(400, p3::content_type("text/plain"), problem.into_bytes()),
        })
    }
}

async fn make(how: How, calls: Vec<Call>) -> Vec<Json> {
    match how {
        How::InTurn => {
            let mut results = Vec::new();
            for call in calls {
                results.push(plan::outcome(p3::send(call).await));
            }
            results
        }
        How::Concurrent => {
            join_all(calls.into_iter().map(async |call| plan::outcome(p3::send(call).await))).await
        }
        How::Abandon => {
            let mut begun: Vec<_> = calls.into_iter().map(|call| Box::pin(p3::send(call))).collect();
            let mut results = Vec::new();
            for call in &mut begun {
                // What is done by then is what the host refused at once.
                results.push(abandon(call).await.map_or_else(plan::abandoned, plan::outcome));
            }
            drop(begun);
            results
        }
    }
}

wasip3::http::service::export!(Calls);
