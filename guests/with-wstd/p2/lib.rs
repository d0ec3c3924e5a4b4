//! The SDK in a guest of the crate `wstd`: one attribute and a route on the request's span, then `Hello, wstd!`.

use pounce_guest::tracing;
use wstd::http::{Body, Error, Request, Response};

#[wstd::http_server]
async fn main(_request: Request<Body>) -> Result<Response<Body>, Error> {
    tracing::set_route("/wstd");
    tracing::set_attribute("guest.toolkit", "wstd");
    Ok(Response::new("Hello, wstd!\n".to_owned().into()))
}
