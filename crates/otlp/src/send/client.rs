//! One endpoint of one signal: what is sent to it, and one attempt to do so.

use super::answer::{self, Accepted, Failed};
use super::connect::Connections;
use super::grpc;
use super::target::Target;
use crate::json;
use crate::settings::{Compression, Endpoint, Protocol};
use bytes::Bytes;
use flate2::write::GzEncoder;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, TE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Version};
use http_body_util::Full;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// A client of one endpoint.
pub(crate) struct Client {
    connections: Arc<Connections>,
    to: Target,
    headers: HeaderMap,
    /// The endpoint has answered, in its protocol.
    known: AtomicBool,
}

/// What is sent of a batch, in the form of the endpoint's protocol.
pub(crate) struct Payload {
    pub(crate) bytes: Bytes,
    /// Bytes of the message before it is compressed, which is what receivers limit.
    pub(crate) size: usize,
}

impl Client {
    pub(crate) fn new(connections: Arc<Connections>, to: Target) -> Self {
        let Endpoint { user_agent, headers: given, transport, timeout, .. } = &to.endpoint;
        let mut headers = HeaderMap::new();
        headers.insert(USER_AGENT, user_agent.clone());
        for (name, value) in given {
            let mut value = value.clone();
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        let kind = match transport.protocol {
            Protocol::HttpProtobuf => "application/x-protobuf",
            Protocol::HttpJson => "application/json",
            Protocol::Grpc => "application/grpc",
        };
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        if transport.protocol == Protocol::Grpc {
            headers.insert(TE, HeaderValue::from_static("trailers"));
            // The deadline, so that nobody works for an answer that nobody waits for: eight digits at most.
            if let Some(limit) = timeout.filter(|limit| limit.as_millis() < 100_000_000) {
                let limit = HeaderValue::from_str(&format!("{}m", limit.as_millis()));
                headers.extend(limit.ok().map(|limit| (HeaderName::from_static("grpc-timeout"), limit)));
            }
        }
        if transport.compression == Compression::Gzip {
            let name = match transport.protocol {
                Protocol::Grpc => HeaderName::from_static("grpc-encoding"),
                Protocol::HttpProtobuf | Protocol::HttpJson => CONTENT_ENCODING,
            };
            headers.insert(name, HeaderValue::from_static("gzip"));
        }
        Client { connections, to, headers, known: AtomicBool::new(false) }
    }

    /// What is sent for `request`, the protobuf of a batch: made once, however often it is sent.
    ///
    /// # Errors
    /// `request` is malformed, and there is no JSON of it.
    pub(crate) fn payload(&self, request: Bytes) -> Result<Payload, Failed> {
        let mut message = request;
        if self.to.protocol() == Protocol::HttpJson {
            message = json::of_request(self.to.signal, &message)
                .map_err(|error| Failed { error: error.to_string(), ..Failed::default() })?
                .into();
        }
        let size = message.len();
        let compressed = self.to.endpoint.transport.compression == Compression::Gzip;
        if compressed {
            message = gzip(&message);
        }
        let framed = self.to.protocol() == Protocol::Grpc;
        Ok(Payload { bytes: if framed { grpc::frame(&message, compressed) } else { message }, size })
    }

    /// Sends a payload once, and reads the answer: its head within the timeout, and what follows within another.
    pub(crate) async fn post(&self, payload: &Payload) -> Result<Accepted, Failed> {
        let result = self.attempt(payload.bytes.clone()).await;
        match &result {
            Err(failed) if !failed.answered => self.connections.renew(),
            _ => self.known.store(true, Relaxed),
        }
        result
    }

    async fn attempt(&self, payload: Bytes) -> Result<Accepted, Failed> {
        let protocol = self.to.protocol();
        let mut request = Request::new(Full::new(payload));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.to.url().clone();
        *request.headers_mut() = self.headers.clone();
        if protocol == Protocol::Grpc {
            *request.version_mut() = Version::HTTP_2;
        }
        let never = !self.known.load(Relaxed);
        let answer = async {
            let answer = self.connections.request(request).await;
            answer.map_err(|error| Failed::transport(&error, &self.to, never))
        };
        match protocol {
            // What became of the batch stands at the end of the answer.
            Protocol::Grpc => self.in_time(async { grpc::judge(answer.await?, &self.to).await }).await,
            Protocol::HttpProtobuf | Protocol::HttpJson => {
                answer::judge(self.in_time(answer).await?, &self.to).await
            }
        }
    }

    async fn in_time<T>(&self, work: impl Future<Output = Result<T, Failed>>) -> Result<T, Failed> {
        match self.to.endpoint.timeout {
            None => work.await,
            Some(limit) => tokio::time::timeout(limit, work)
                .await
                .unwrap_or_else(|_elapsed| Err(Failed::no_answer(limit))),
        }
    }

    pub(crate) fn target(&self) -> &Target {
        &self.to
    }

    /// The time for a batch is over in the middle of an attempt.
    pub(crate) fn given_up(&self) {
        self.connections.renew();
    }
}

fn gzip(message: &[u8]) -> Bytes {
    let fast = flate2::Compression::fast();
    let mut encoder = GzEncoder::new(Vec::with_capacity(message.len() / 4), fast);
    encoder.write_all(message).and_then(|()| encoder.finish()).expect("memory takes all").into()
}

#[cfg(test)]
mod tests;
