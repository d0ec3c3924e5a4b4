//! POST it a list of calls (see [`calls`]); it makes them, one after another, and answers what came of each.
//!
//! By itself it neither forwards nor sets a trace header: what the called ones get of them is the host's doing.

use guest_http::p3;
use wasip3::http::client;
use wasip3::http::types::{ErrorCode, Method, Request, Response, Scheme};
use wasip3::{wit_future, wit_stream};

#[path = "../calls.rs"]
mod calls;

struct Relay;

impl wasip3::exports::http::handler::Guest for Relay {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let calls = match calls::parse(&p3::read(request).await.unwrap_or_default()) {
            Ok(calls) => calls,
            Err(problem) => {
                return Ok(p3::respond(400, p3::content_type("text/plain"), problem.into_bytes()));
            }
        };
        let mut outcomes = Vec::new();
        for call in &calls {
            let refused = call.set_baggage();
            outcomes.push(calls::outcome(&refused, send(call).await));
        }
        let body = serde_json::Value::from(outcomes).to_string().into_bytes();
        Ok(p3::respond(200, p3::content_type("application/json"), body))
    }
}

/// Makes a call and reads its response to the end.
async fn send(call: &calls::Call) -> Result<u16, ErrorCode> {
    let (mut body, contents) = wit_stream::new();
    let (_, trailers) = wit_future::new(|| Ok(None));
    let fields = p3::content_type("application/json");
    let _ = fields.set("content-length", &[call.body.len().to_string().into_bytes()]);
    for (name, value) in &call.headers {
        // A forbidden one is left out; a test will miss it.
        let _ = fields.append(name, value.as_bytes());
    }
    let (request, _transmitted) = Request::new(fields, Some(contents), trailers, None);
    let invalid = |()| ErrorCode::HttpRequestUriInvalid;
    request.set_method(&Method::Post).map_err(invalid)?;
    request.set_scheme(Some(if call.https { &Scheme::Https } else { &Scheme::Http })).map_err(invalid)?;
    request.set_authority(Some(&call.authority)).map_err(invalid)?;
    request.set_path_with_query(Some(&call.path_with_query)).map_err(invalid)?;
    let written = call.body.clone();
    wasip3::spawn_local(async move {
        body.write_all(written).await;
    });

    let response = client::send(request).await?;
    let status = response.get_status_code();
    let (_, received) = wit_future::new(|| Ok(()));
    let (stream, end) = Response::consume_body(response, received);
    stream.collect().await;
    end.await?;
    Ok(status)
}

wasip3::http::service::export!(Relay);
