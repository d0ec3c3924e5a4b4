//! Greets whom the path names, `GET /hello/{name}`, after asking a backend.

use pounce_guest::{attributes, traced, tracing};
use wstd::http::{Body, Client, Error, Request, Response, StatusCode};

/// What is asked where the variable `BACKEND_URL` names nothing else.
const BACKEND: &str = "http://example.com/";

#[wstd::http_server]
async fn main(request: Request<Body>) -> Result<Response<Body>, Error> {
    pounce_guest::set_panic_hook();
    match request.uri().path().strip_prefix("/hello/") {
        Some(name) if !name.is_empty() && !name.contains('/') => hello(name).await,
        _ => answer(StatusCode::NOT_FOUND, "try /hello/world\n".to_owned()),
    }
}

async fn hello(name: &str) -> Result<Response<Body>, Error> {
    // Pounce traces the request by itself; this is what only the guest knows.
    tracing::set_route("/hello/{name}");
    tracing::set_attribute("hello.name", name);
    match ask_backend().await {
        Ok(status) => {
            answer(StatusCode::OK, format!("Hello, {name}! The backend says {status}.\n"))
        }
        Err(_) => answer(StatusCode::BAD_GATEWAY, "The backend does not answer.\n".to_owned()),
    }
}

/// Has a span of its own, with the call as its child; an error is recorded on it.
#[traced(name = "ask the backend")]
async fn ask_backend() -> Result<u16, Error> {
    let url = std::env::var("BACKEND_URL").unwrap_or_else(|_| BACKEND.to_owned());
    let response = Client::new().send(Request::get(url).body(Body::empty())?).await?;
    tracing::current()
        .add_event("answered", attributes! { "backend.status" => response.status().as_u16() });
    Ok(response.status().as_u16())
}

fn answer(status: StatusCode, text: String) -> Result<Response<Body>, Error> {
    Ok(Response::builder().status(status).header("content-type", "text/plain").body(text.into())?)
}
