//! Spin's SDK as its authors mean it to be used: one async function from request to response, and `send` for calls.

use http_body_util::BodyExt as _;
use spin_sdk::http::{EmptyBody, IntoResponse, Request, Response, StatusCode, send};
use spin_sdk::http_service;

#[http_service]
async fn handle(request: Request) -> anyhow::Result<impl IntoResponse> {
    let (head, body) = request.into_parts();
    Ok(match (head.method.as_str(), head.uri.path()) {
        ("GET", "/") => (StatusCode::OK, "Hello from Spin!\n".into()),
        ("POST", "/echo") => {
            let bytes = body.collect().await.map_err(|error| anyhow::anyhow!("{error:?}"))?.to_bytes();
            (StatusCode::OK, String::from_utf8(bytes.to_vec())?)
        }
        ("GET", "/call") => {
            let url = head.uri.query().and_then(|query| query.strip_prefix("url=")).unwrap_or_default();
            let response: Response = send(Request::get(url).body(EmptyBody::new())?).await?;
            let status = response.status();
            let bytes = response.into_body().collect().await.map_err(|error| anyhow::anyhow!("{error:?}"))?.to_bytes();
            (StatusCode::OK, format!("{} {}", status.as_u16(), String::from_utf8(bytes.to_vec())?))
        }
        ("GET", "/error") => anyhow::bail!("Spin's handler failed on purpose"),
        ("GET", "/broken") => panic!("Spin is broken on purpose"),
        _ => (StatusCode::NOT_FOUND, "nothing is here\n".into()),
    })
}
