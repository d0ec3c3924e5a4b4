//! Never answers: it waits for a byte from a stream whose other end it holds itself.
//!
//! In 0.3 the response is what the handler returns; not to answer is not to return. (A future that nothing at all can
//! wake would not do: wit-bindgen panics on it.)

use wasip3::http::types::{ErrorCode, Request, Response};
use wasip3::wit_stream;

struct NoResponse;

impl wasip3::exports::http::handler::Guest for NoResponse {
    async fn handle(_request: Request) -> Result<Response, ErrorCode> {
        let (_writer, mut reader) = wit_stream::new::<u8>();
        reader.next().await;
        Err(ErrorCode::InternalError(Some("a byte that nobody wrote".into())))
    }
}

wasip3::http::service::export!(NoResponse);
