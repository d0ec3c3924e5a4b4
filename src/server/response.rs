//! From a guest's answer, or the lack of one, to what the client gets; its body knows how the request ended.

mod body;

use std::sync::Arc;

use bytes::Bytes;
use http::header::{ALLOW, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Version, request};
use http_body::Body as _;

use body::Content;
pub(crate) use body::{Body, BrokenOff};

use super::ahead::Source;
use super::deadline::Deadline;
use super::drain::{OpenRequest, Phase};
use super::error_page::Asked;
use super::flushes::Flushes;
use super::idle::Busy;
use super::stall::Flow;
use crate::guest::{self, Arrival, Blame, Failure, FailureKind};
use pounce_telemetry::ServerSpan;
use pounce_telemetry::logs::{self, printable};

/// Seconds after which a shed client may try again.
const RETRY_AFTER_SECONDS: &str = "1";

/// Tells a browser where the time went (W3C Server Timing).
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// One request and its response, until both are over. Ends the span exactly once, however that comes about.
pub(crate) struct Exchange {
    span: ServerSpan,
    version: Version,
    is_head: bool,
    sent: u64,
    ended: bool,
    arrival: Arrival,
    /// The HTTP/2 stream, whose peer must make room for the response.
    flow: Option<Arc<Flow>>,
    deadline: Option<Deadline>,
    open: OpenRequest,
    component: Option<Arc<str>>,
    /// What a developer is told should it fail.
    asked: Option<Box<Asked>>,
    busy: Busy,
}

impl Exchange {
    /// `arrival` is that of the request's body. To be called by the task that serves the request.
    pub(crate) fn begin(
        span: ServerSpan,
        head: &request::Parts,
        arrival: Arrival,
        busy: Busy,
        open: OpenRequest,
    ) -> Self {
        Self {
            span,
            version: head.version,
            is_head: head.method == Method::HEAD,
            sent: 0,
            ended: false,
            arrival,
            flow: Flow::current(),
            deadline: None,
            open,
            component: None,
            asked: None,
            busy,
        }
    }

    /// With the component that serves it, if one does, as lines of the log name it.
    pub(crate) fn logged_as(mut self, component: Option<&Arc<str>>) -> Self {
        self.component = component.cloned();
        self
    }

    /// With what a developer is told should it fail, if it is one who asks.
    pub(crate) fn explained_as(mut self, asked: Option<Box<Asked>>) -> Self {
        self.asked = asked;
        self
    }

    /// What has gone to the connection's socket.
    fn flushes(&self) -> &Flushes {
        self.busy.flushes()
    }

    /// With the moment by which the response must be over, if there is one.
    pub(crate) fn until(mut self, deadline: Option<Deadline>) -> Self {
        self.deadline = deadline;
        if let Some(deadline) = deadline {
            match &self.flow {
                Some(flow) => flow.until(deadline.at),
                None => self.busy.until(deadline.at),
            }
        }
        self
    }

    /// The response has this head.
    fn answer(&self, status: StatusCode, headers: &HeaderMap) {
        self.span.response_head(status, headers);
    }

    /// The response says what went wrong; the span has failed unless that is only a mistake of the client's.
    fn fail(&self, failure: &Failure) {
        let error_type = failure.kind.error_type();
        match (error_type, failure.exception()) {
            (Some(error_type), None) => self.span.refuse(error_type),
            (Some(error_type), exception) => self.span.fail(error_type, exception),
            (None, _) => {}
        }
        log(self.component(), &self.span, failure, error_type);
    }

    fn component(&self) -> Option<&str> {
        self.component.as_deref()
    }

    /// Ends the request after its head: the status it was sent with tells nothing of what went wrong.
    fn break_off(&mut self, failure: &Failure) {
        let fault = self.arrival.fault();
        let failure = fault.as_ref().unwrap_or(failure);
        let error_type = failure.kind.error_type_after_head();
        self.span.fail(error_type, failure.exception());
        log(self.component(), &self.span, failure, Some(error_type));
        self.end();
    }

    fn end(&mut self) {
        if !std::mem::replace(&mut self.ended, true) {
            self.arrival.end_response();
            self.span.end(self.sent);
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if !self.ended {
            // Dropped before its end: by hyper, because the client is gone, or by us, because time is up, the server's
            // or that of a client which does not read on.
            let cut = self.open.phase() == Phase::Cut;
            let late = self.deadline.filter(Deadline::has_passed);
            self.break_off(&match late {
                _ if cut => Failure::draining(),
                Some(deadline) => Failure::response_not_taken(deadline.after),
                None => Failure::client_disconnected(),
            });
        }
    }
}

/// Makes the response, and leaves the rest of the request to its body.
pub(crate) fn finish(answer: Result<Response<guest::Body>, Failure>, exchange: Exchange) -> Response<Body> {
    // Whatever the guest made of a body that broke off, the client is told what was wrong with it.
    let answer = exchange.arrival.fault().map_or(answer, Err);
    let is_head = exchange.is_head;
    let answer = answer.and_then(|mut response| match response.status() {
        // 101 would make hyper hand over the connection, and other 1xx are no answers.
        status if status.is_informational() => {
            let message = format!("the guest answered with status {status}, which is not a final one");
            Err(Failure::new(FailureKind::InterimStatus, message))
        }
        _ => {
            let is_bodiless = is_without_content(&mut response) | is_head;
            // Of a body that should have no byte hyper asks for none.
            let excess = if is_bodiless { None } else { response.body().excess() };
            excess.map_or(Ok((response, is_bodiless)), Err)
        }
    });
    match answer {
        Ok((response, is_bodiless)) => {
            exchange.answer(response.status(), response.headers());
            let promised =
                response.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
            let is_old = exchange.version < Version::HTTP_11;
            let is_told = exchange.version < Version::HTTP_2 && response.status() == StatusCode::NOT_MODIFIED;
            let mut response = response.map(|body| {
                let source = Source::new(body, exchange.flow.as_ref());
                Body::new(Content::Guest(source), promised, is_bodiless, exchange)
            });
            response.body_mut().tells_length = is_told && promised.is_some();
            if is_old && response.body().size_hint().exact().is_none() {
                end_by_closing(&mut response);
            }
            response
        }
        Err(failure) => refuse(&failure, exchange),
    }
}

/// Whether the response has no content for its status, and then says so, whatever its guest has made of it or passes on of
/// a server that knows no better.
fn is_without_content(response: &mut Response<guest::Body>) -> bool {
    match response.status() {
        // RFC 9110 §8.6: no Content-Length; §15.3.6: none, or 0, which hyper adds over HTTP/1.1.
        StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT => {
            response.headers_mut().remove(CONTENT_LENGTH);
            true
        }
        // Its length is that of what is not sent.
        StatusCode::NOT_MODIFIED => true,
        _ => false,
    }
}

/// The response to a failure: the status, and no word on internals, but to a developer.
fn refuse(failure: &Failure, exchange: Exchange) -> Response<Body> {
    let status = failure.kind.status();
    let (mut head, ()) = Response::new(()).into_parts();
    head.status = status;
    let text = match &exchange.asked {
        Some(asked) => asked.body(failure, &exchange.span, &mut head.headers),
        None => {
            head.headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
            Bytes::from(format!("{}\n", status.canonical_reason().unwrap_or("Error")))
        }
    };
    head.headers.insert(CONTENT_LENGTH, HeaderValue::from(text.len()));
    match &failure.kind {
        FailureKind::RateLimited { retry_after } => {
            head.headers.insert(RETRY_AFTER, HeaderValue::from(*retry_after));
        }
        FailureKind::MethodNotAllowed(allow) => {
            head.headers.insert(ALLOW, allow.clone());
        }
        _ if status == StatusCode::SERVICE_UNAVAILABLE => {
            head.headers.insert(RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS));
        }
        _ => {}
    }
    exchange.answer(status, &head.headers);
    exchange.fail(failure);
    if let Some(flow) = exchange.flow.as_ref().filter(|_| failure.is_turned_away()) {
        flow.refuse();
    }
    let (promised, bodiless) = (Some(text.len() as u64), exchange.is_head);
    let body = Body::new(Content::Ours(Some(text)), promised, bodiless, exchange);
    Response::from_parts(head, body)
}

/// Tells an HTTP/1 client that the connection ends with this response; HTTP/2 has GOAWAY for it.
pub(crate) fn say_goodbye(response: &mut Response<Body>) {
    let version = response.body().exchange.version;
    if version < Version::HTTP_2 {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    if version < Version::HTTP_11 {
        end_by_closing(response);
    }
}

/// Has the connection of a client that speaks HTTP/1.0 closed after this response. To one of another version hyper adds
/// `connection: keep-alive` where the client has asked for it, even if it is going to close.
fn end_by_closing(response: &mut Response<Body>) {
    *response.version_mut() = Version::HTTP_10;
}

/// Adds a `Server-Timing` with the request's trace, where it has one, and the phases up to the response head. What the
/// guest says in one of its own stays.
pub(crate) fn tell_timing(response: &mut Response<Body>) {
    let body = response.body();
    let mut entries = Vec::new();
    if let Some(context) = body.exchange.span.context() {
        entries.push(format!("trace;desc=\"{}\"", context.traceparent()));
    }
    if let Content::Guest(body) = &body.content {
        let known = body.with(guest::Body::phases).into_iter().filter_map(|(name, time)| Some((name, time?)));
        entries.extend(known.map(|(name, time)| format!("{name};dur={:.3}", time.as_secs_f64() * 1e3)));
    }
    if let Some(value) = Some(entries.join(", ")).filter(|entries| !entries.is_empty())
        && let Ok(value) = HeaderValue::try_from(value)
    {
        response.headers_mut().append(SERVER_TIMING, value);
    }
}

/// Puts a failure into the log, with the `error.type` that its request's span has.
fn log(component: Option<&str>, span: &ServerSpan, failure: &Failure, error_type: Option<&str>) {
    let context = span.context();
    let trace_id = context.as_ref().map(|context| tracing::field::display(&context.trace_id));
    let span_id = context.as_ref().map(|context| tracing::field::display(&context.span_id));
    let stacktrace = failure.stacktrace.as_deref();
    let message = printable(&failure.message);
    let tip = failure.tip();
    logs::of_span(context.as_ref(), || match failure.kind.blame() {
        Blame::Guest => {
            let exception_type = failure.exception_type.as_deref();
            tracing::warn!(
                component,
                error.type = error_type,
                exception.type = exception_type,
                trace_id,
                span_id,
                stacktrace,
                tip,
                "{message}"
            );
        }
        // Shedding is what an overload is like: a line for each would be one more load. It is counted.
        Blame::Host if failure.kind.status() == StatusCode::SERVICE_UNAVAILABLE => {
            tracing::debug!(component, error.type = error_type, trace_id, span_id, "{message}");
        }
        Blame::Host => {
            tracing::error!(component, error.type = error_type, trace_id, span_id, "{message}");
        }
        Blame::Client => {
            tracing::debug!(component, error.type = error_type, trace_id, span_id, "{message}");
        }
    });
}

#[cfg(test)]
mod tests;
