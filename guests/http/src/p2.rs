//! wasi:http 0.2: read a request, answer it.
//!
//! A client that goes away makes writing fail. Guests then stop writing; they don't trap.

use crate::{Call, Target};
use wasip2::http::outgoing_handler;
use wasip2::http::types::{
    ErrorCode, Fields, FutureIncomingResponse, IncomingBody, IncomingRequest, OutgoingBody, OutgoingRequest,
    OutgoingResponse, RequestOptions, ResponseOutparam, Scheme,
};
use wasip2::io::streams::{InputStream, OutputStream, StreamError};

/// What one `blocking-write-and-flush` may carry, by the definition of wasi:io.
const WRITE: usize = 4096;

/// The target of a request.
pub fn target(request: &IncomingRequest) -> Target {
    Target::parse(request.path_with_query().as_deref())
}

/// Header fields of one content type.
pub fn content_type(value: &str) -> Fields {
    let fields = Fields::new();
    // Fails only for a forbidden or malformed header; this one is neither.
    let _ = fields.set("content-type", &[value.as_bytes().to_vec()]);
    fields
}

/// Answers whole: head, body, end.
pub fn respond(out: ResponseOutparam, status: u16, fields: Fields, body: &[u8]) {
    let answer = Answer::start(out, status, fields);
    if answer.write(body).is_ok() {
        answer.finish();
    }
}

/// A response whose head is sent and whose body is being written. Dropped without `finish` it is cut off.
pub struct Answer {
    // Before `body`: a stream must be dropped before the body it belongs to.
    stream: OutputStream,
    body: OutgoingBody,
}

impl Answer {
    /// Sends the head.
    pub fn start(out: ResponseOutparam, status: u16, fields: Fields) -> Self {
        let response = OutgoingResponse::new(fields);
        response.set_status_code(status).expect("a status between 100 and 999");
        let body = response.body().expect("the body is taken once");
        ResponseOutparam::set(out, Ok(response));
        let stream = body.write().expect("the stream is taken once");
        Self { stream, body }
    }

    /// Writes and flushes; waits for the client when it reads slowly.
    pub fn write(&self, bytes: &[u8]) -> Result<(), StreamError> {
        write(&self.stream, bytes)
    }

    /// Where the body is written.
    pub fn stream(&self) -> &OutputStream {
        &self.stream
    }

    /// Ends the body well.
    pub fn finish(self) {
        self.finish_with(None);
    }

    /// Ends the body well, with trailers.
    pub fn finish_with(self, trailers: Option<Fields>) {
        drop(self.stream);
        let _ = OutgoingBody::finish(self.body, trailers);
    }
}

/// Writes all of it, as much at a time as wasi:io allows.
pub fn write(stream: &OutputStream, bytes: &[u8]) -> Result<(), StreamError> {
    bytes.chunks(WRITE).try_for_each(|chunk| stream.blocking_write_and_flush(chunk))
}

/// Reads a body to its end; `None` when it broke off.
pub fn read(body: &IncomingBody) -> Option<Vec<u8>> {
    let stream: InputStream = body.stream().expect("the stream is taken once");
    let mut bytes = Vec::new();
    loop {
        match stream.blocking_read(64 * 1024) {
            Ok(chunk) => bytes.extend(chunk),
            Err(StreamError::Closed) => return Some(bytes),
            Err(StreamError::LastOperationFailed(_)) => return None,
        }
    }
}

/// Waits, by the monotonic clock.
pub fn wait(milliseconds: u64) {
    if milliseconds > 0 {
        wasip2::clocks::monotonic_clock::subscribe_duration(milliseconds * 1_000_000).block();
    }
}

/// Waits this many nanoseconds.
pub fn wait_nanoseconds(nanoseconds: u64) {
    wasip2::clocks::monotonic_clock::subscribe_duration(nanoseconds).block();
}

/// Begins a call.
pub fn begin(call: &Call) -> Result<FutureIncomingResponse, ErrorCode> {
    let fields = Fields::new();
    for (name, value) in &call.headers {
        // A forbidden or malformed one is left out: its test looks at what arrives.
        let _ = fields.append(name, value);
    }
    let request = OutgoingRequest::new(fields);
    let invalid = |()| ErrorCode::HttpRequestUriInvalid;
    request.set_scheme(Some(if call.https { &Scheme::Https } else { &Scheme::Http })).map_err(invalid)?;
    request.set_authority(Some(&call.authority)).map_err(invalid)?;
    request.set_path_with_query(Some(&call.path_with_query)).map_err(invalid)?;
    let options = call.timeout.map(|milliseconds| {
        let options = RequestOptions::new();
        let timeout = Some(milliseconds * 1_000_000);
        // A host may not support them; then there is none, and its test fails.
        let _ = (options.set_connect_timeout(timeout), options.set_first_byte_timeout(timeout));
        options
    });
    outgoing_handler::handle(request, options)
}

/// Waits for a call's response and reads it to the end; its status.
pub fn complete(pending: FutureIncomingResponse) -> Result<u16, ErrorCode> {
    pending.subscribe().block();
    let response = pending.get().expect("ready once the wait is over").expect("taken once")?;
    let body = response.consume().expect("the body is taken once");
    read(&body).ok_or(ErrorCode::HttpResponseIncomplete)?;
    Ok(response.status())
}
