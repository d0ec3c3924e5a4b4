//! axum by wstd-axum, as their authors mean them to be used: a router, extractors that refuse what they cannot read, a
//! fallback, a stream, a call of another service.

use axum::body::Body;
use axum::extract::{Path, Query};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

#[derive(Deserialize, Serialize)]
struct Item {
    id: u32,
    q: Option<String>,
}

#[derive(Deserialize)]
struct Search {
    q: Option<String>,
}

#[derive(Deserialize)]
struct Call {
    url: String,
}

#[wstd_axum::http_server]
fn main() -> Router {
    Router::new()
        .route("/", get(|| async { "Hello from axum!\n" }))
        .route("/items/{id}", get(item))
        .route("/items", get(|| async { "no items\n" }).post(|Json(item): Json<Item>| async { (StatusCode::CREATED, Json(item)) }))
        .route("/echo", axum::routing::post(|body: Body| async { Response::new(body) }))
        .route("/broken", get(broken))
        .route("/call", get(call))
        .fallback(|| async { (StatusCode::NOT_FOUND, "nothing is here\n") })
}

async fn item(Path(id): Path<u32>, Query(Search { q }): Query<Search>) -> impl IntoResponse {
    ([(header::CACHE_CONTROL, "no-store")], Json(Item { id, q }))
}

async fn broken() -> &'static str {
    panic!("axum is broken on purpose")
}

// What wstd waits for stays on its thread, of which there is one; axum's handlers may be sent to others.
async fn call(Query(Call { url }): Query<Call>) -> Response {
    let calling = async move {
        let request = wstd::http::Request::get(url).body(wstd::http::Body::empty()).expect("a request");
        let mut answer = wstd::http::Client::new().send(request).await.map_err(|error| error.to_string())?;
        let status = answer.status();
        let text = answer.body_mut().str_contents().await.map_err(|error| error.to_string())?.to_owned();
        Ok::<_, String>(format!("{} {text}", status.as_u16()))
    };
    match calling.await {
        Ok(text) => text.into_response(),
        Err(error) => (StatusCode::BAD_GATEWAY, error).into_response(),
    }
}
