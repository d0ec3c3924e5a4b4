//! The stock OpenTelemetry SDK in a guest, through `wasi:otel` (see [`deeds`]). This one knows the host's span by the name
//! of the release candidate, `outer-span-context`; that of 0.3 by the name of upstream's main branch.

use guest_http::{error_name, now, p2};
use serde_json::json;
use wasip2::http::types::{IncomingRequest, ResponseOutparam};

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

impl wasip2::exports::http::incoming_handler::Guest for Otel {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let host = bindings::tracing::outer_span_context();
        let target = p2::target(&request);
        let send = async |call| match p2::begin(&call).and_then(p2::complete) {
            Ok(status) => json!(status),
            Err(error) => json!(error_name(&error)),
        };
        match now(deeds::perform(&target, host.clone(), send)) {
            Some(report) => p2::respond(out, 200, p2::content_type("application/json"), &report),
            None => p2::respond(out, 404, p2::content_type("text/plain"), b"no such deed\n"),
        }
        if let Some(script) = target.get("then") {
            now(raw::perform(script, &host, send));
        }
    }
}

wasip2::http::proxy::export!(Otel with_types_in wasip2);
