//! wasi:http 0.3: read a request, answer it.
//!
//! A client that goes away makes writing fall short. Guests then stop writing; they don't trap.

use crate::{Call, Target};
use wasip3::http::client;
use wasip3::http::types::{ErrorCode, Fields, Request, RequestOptions, Response, Scheme, Trailers};
use wasip3::wit_bindgen::{FutureReader, FutureWriter, StreamReader, StreamWriter, spawn_local};
use wasip3::{wit_future, wit_stream};

/// How a body ended: perhaps with trailers, or broken off.
pub type BodyEnd = Result<Option<Trailers>, ErrorCode>;

/// The target of a request.
pub fn target(request: &Request) -> Target {
    Target::parse(request.get_path_with_query().as_deref())
}

/// Header fields of one content type.
pub fn content_type(value: &str) -> Fields {
    let fields = Fields::new();
    // Fails only for a forbidden or malformed header; this one is neither.
    let _ = fields.set("content-type", &[value.as_bytes().to_vec()]);
    fields
}

/// A whole response; its body is written by a task of its own.
pub fn respond(status: u16, fields: Fields, body: Vec<u8>) -> Response {
    let (mut answer, response) = Answer::new(status, fields);
    spawn_local(async move {
        if answer.write(body).await {
            answer.finish(Ok(None)).await;
        }
    });
    response
}

/// The writing end of a response's body. Dropped without `finish` it is cut off.
pub struct Answer {
    body: StreamWriter<u8>,
    end: FutureWriter<BodyEnd>,
}

impl Answer {
    /// A response and the writing end of its body.
    pub fn new(status: u16, fields: Fields) -> (Self, Response) {
        let (body, contents) = wit_stream::new();
        let (end, trailers) = wit_future::new(|| Err(ErrorCode::InternalError(Some("cut off".into()))));
        // Whether it could be transmitted is known to the host; here nothing would follow from it.
        let (response, _transmitted) = Response::new(fields, Some(contents), trailers);
        response.set_status_code(status).expect("a status between 100 and 999");
        (Self { body, end }, response)
    }

    /// Writes all of it; false when nobody reads any more.
    pub async fn write(&mut self, bytes: Vec<u8>) -> bool {
        self.body.write_all(bytes).await.is_empty()
    }

    /// Where the body is written.
    pub fn stream(&mut self) -> &mut StreamWriter<u8> {
        &mut self.body
    }

    /// Ends the body, well or not.
    pub async fn finish(self, end: BodyEnd) {
        drop(self.body);
        let _ = self.end.write(end).await;
    }
}

/// The body of a request: its bytes, and how it ended.
pub fn body(request: Request) -> (StreamReader<u8>, FutureReader<BodyEnd>) {
    let (_, received) = wit_future::new(|| Ok(()));
    Request::consume_body(request, received)
}

/// Reads a body to its end; `None` when it broke off.
pub async fn read(request: Request) -> Option<Vec<u8>> {
    let (stream, end) = body(request);
    let bytes = stream.collect().await;
    end.await.ok().map(|_| bytes)
}

/// Waits, by the monotonic clock.
pub async fn wait(milliseconds: u64) {
    if milliseconds > 0 {
        wasip3::clocks::monotonic_clock::wait_for(milliseconds * 1_000_000).await;
    }
}

/// Waits this many nanoseconds.
pub async fn wait_nanoseconds(nanoseconds: u64) {
    wasip3::clocks::monotonic_clock::wait_for(nanoseconds).await;
}

/// Makes a call and reads its response to the end; its status.
pub async fn send(call: Call) -> Result<u16, ErrorCode> {
    let fields = Fields::new();
    for (name, value) in &call.headers {
        // A forbidden or malformed one is left out: its test looks at what arrives.
        let _ = fields.append(name, value);
    }
    let options = call.timeout.map(|milliseconds| {
        let options = RequestOptions::new();
        let timeout = Some(milliseconds * 1_000_000);
        // A host may not support them; then there is none, and its test fails.
        let _ = (options.set_connect_timeout(timeout), options.set_first_byte_timeout(timeout));
        options
    });
    let (_, trailers) = wit_future::new(|| Ok(None));
    let (request, _transmitted) = Request::new(fields, None, trailers, options);
    let invalid = |()| ErrorCode::HttpRequestUriInvalid;
    request.set_scheme(Some(if call.https { &Scheme::Https } else { &Scheme::Http })).map_err(invalid)?;
    request.set_authority(Some(&call.authority)).map_err(invalid)?;
    request.set_path_with_query(Some(&call.path_with_query)).map_err(invalid)?;

    let response = client::send(request).await?;
    let status = response.get_status_code();
    let (_, received) = wit_future::new(|| Ok(()));
    let (stream, end) = Response::consume_body(response, received);
    stream.collect().await;
    end.await?;
    Ok(status)
}
