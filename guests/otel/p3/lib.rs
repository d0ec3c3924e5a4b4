//! The stock OpenTelemetry SDK in a guest, through `wasi:otel` (see [`deeds`]). This one knows the host's span by the name
//! of upstream's main branch, `current-span-context`; that of 0.2 by the name of the release candidate.

use guest_http::{error_name, p3};
use serde_json::json;
use wasip3::http::types::{ErrorCode, Request, Response};

#[path = "../bindings.rs"]
mod bindings;
#[path = "../convert.rs"]
mod convert;
#[path = "../convert_metrics.rs"]
mod convert_metrics;
#[path = "../deeds.rs"]
mod deeds;
#[path = "../hostile.rs"]
mod hostile;
#[path = "../raw.rs"]
mod raw;
#[path = "../sdk.rs"]
mod sdk;

struct Otel;

impl wasip3::exports::http::handler::Guest for Otel {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let host = bindings::tracing::current_span_context();
        let target = p3::target(&request);
        let send = async |call| match p3::send(call).await {
            Ok(status) => json!(status),
            Err(error) => json!(error_name(&error)),
        };
        let done = deeds::perform(&target, host.clone(), send).await;
        if let Some(script) = target.get("then").map(str::to_owned) {
            wasip3::spawn_local(async move {
                p3::wait(100).await;
                raw::perform(&script, &host, send).await;
            });
        }
        Ok(match done {
            Some(report) => p3::respond(200, p3::content_type("application/json"), report),
            None => p3::respond(404, p3::content_type("text/plain"), b"no such deed\n".to_vec()),
        })
    }
}

wasip3::http::service::export!(Otel);
