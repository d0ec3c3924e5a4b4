//! Answers every request with `Hello, World!`: the smallest whole guest of wasi:http 0.3.

use wasip3::http::types::{ErrorCode, Fields, Request, Response};
use wasip3::{wit_future, wit_stream};

const BODY: &[u8] = b"Hello, World!\n";

struct Hello;

impl wasip3::exports::http::handler::Guest for Hello {
    async fn handle(_request: Request) -> Result<Response, ErrorCode> {
        let headers = Fields::from_list(&[
            ("content-type".into(), b"text/plain".to_vec()),
            ("content-length".into(), BODY.len().to_string().into_bytes()),
        ])
        .expect("both headers are well-formed and allowed");
        let (mut body, contents) = wit_stream::new();
        // Nobody writes to the future: it ends with this, no trailers.
        let (_, trailers) = wit_future::new(|| Ok(None));
        let (response, _transmitted) = Response::new(headers, Some(contents), trailers);
        wasip3::spawn_local(async move {
            // Falls short when the client has gone; then nothing is left to do.
            body.write_all(BODY.to_vec()).await;
        });
        Ok(response)
    }
}

wasip3::http::service::export!(Hello);
