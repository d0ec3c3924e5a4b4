//! What a server span says about the outcome: response, failure, phases and the guest's own attributes.
//!
//! Status code, sizes and everything under `pounce.` are what the host saw; what a guest says of them is left out.

use super::encode::{Borrowed, SpanWriter};
use super::headers::Found;
use super::recording::Late;
use super::semconv;
use super::server_span::Phases;
use super::value::{Length, Status, Value};
use crate::config::Semconv;
use http::StatusCode;
use std::time::Duration;

/// The outcome as the host sees it.
#[derive(Default)]
pub(super) struct Response {
    /// Of the head that was sent, if one was.
    pub(super) status: Option<StatusCode>,
    pub(super) headers: Found,
    /// Of a request body whose length its head did not announce.
    pub(super) request_body_size: Option<u64>,
    pub(super) failure: Option<Failure>,
    pub(super) phases: Phases,
}

/// Why the host failed the request.
pub(super) struct Failure {
    pub(super) error_type: Box<str>,
    /// For the status Error; `None` where the client made the mistake, which a server's span is not Error for.
    pub(super) message: Option<Box<str>>,
}

impl Phases {
    /// Takes over what `more` knows.
    pub(super) fn add(&mut self, more: Phases) {
        self.reused = more.reused.or(self.reused);
        self.queue = more.queue.or(self.queue);
        self.instantiate = more.instantiate.or(self.instantiate);
        self.cpu = more.cpu.or(self.cpu);
        self.memory_peak = more.memory_peak.or(self.memory_peak);
    }
}

/// The status of the span. The host's Error stands above a guest's Ok, and below a guest's Error.
pub(super) fn status(late: &Late, profile: Semconv) -> Status {
    let Response { status, failure, .. } = &late.response;
    let failed = failure.as_ref().and_then(|failure| failure.message.as_deref());
    match (&late.notes.status, failed) {
        (Status::Error(message), _) => Status::Error(message.clone()),
        (_, Some(message)) => Status::Error(message.to_owned()),
        // The code says it: no description.
        _ if status.is_some_and(|status| status.is_server_error()) => Status::Error(String::new()),
        (Status::Ok, None) => Status::Ok,
        (Status::Unset, None)
            if profile == Semconv::Compat && status.is_some_and(|status| status.as_u16() < 500) =>
        {
            Status::Ok
        }
        (Status::Unset, None) => Status::Unset,
    }
}

/// How many attributes of the guest [`write`] leaves out although they say something else than the host does.
pub(super) fn left_out(late: &Late, body_bytes_sent: u64) -> u32 {
    let Response { status, failure, .. } = &late.response;
    let is_lost = |(key, value): &&(Box<str>, Value)| {
        let hosts = match &**key {
            semconv::ERROR_TYPE => match failure {
                Some(failure) => Some(Value::Text(failure.error_type.to_string())),
                // It is written.
                None => return false,
            },
            semconv::HTTP_RESPONSE_STATUS_CODE | semconv::HTTP_STATUS_CODE => {
                status.map(|status| Value::Int(status.as_u16().into()))
            }
            semconv::HTTP_RESPONSE_BODY_SIZE | semconv::HTTP_RESPONSE_CONTENT_LENGTH => {
                status.and(i64::try_from(body_bytes_sent).ok()).map(Value::Int)
            }
            key if is_hosts(key) => None,
            _ => return false,
        };
        hosts.as_ref() != Some(value)
    };
    let lost = late.notes.attributes.list.iter().filter(is_lost).count();
    u32::try_from(lost).unwrap_or(u32::MAX)
}

/// Writes the attributes that are known at the end, no value longer than `limit`, then the guest's.
pub(super) fn write(
    late: &Late,
    profile: Semconv,
    body_bytes_sent: u64,
    component: &str,
    limit: Length,
    span: &mut SpanWriter<'_>,
) {
    let Response { status, request_body_size, failure, phases, .. } = &late.response;
    if let Some(size) = request_body_size
        && !late.notes.attributes.has(semconv::HTTP_REQUEST_BODY_SIZE)
    {
        span.int(semconv::HTTP_REQUEST_BODY_SIZE, *size);
    }
    if let Some(route) = &late.route {
        span.text(semconv::HTTP_ROUTE, limit.shortened(route));
    }
    if let Some(status) = status {
        span.int(semconv::HTTP_RESPONSE_STATUS_CODE, status.as_u16().into());
        span.int(semconv::HTTP_RESPONSE_BODY_SIZE, body_bytes_sent);
        if profile != Semconv::Http {
            span.int(semconv::HTTP_STATUS_CODE, status.as_u16().into());
            span.int(semconv::HTTP_RESPONSE_CONTENT_LENGTH, body_bytes_sent);
        }
    }
    let mut guests_error = false;
    match (failure, status) {
        (Some(failure), _) => span.text(semconv::ERROR_TYPE, limit.shortened(&failure.error_type)),
        // A type that the guest gives says more than the code.
        _ if late.notes.attributes.has(semconv::ERROR_TYPE) => guests_error = true,
        (None, Some(status)) if status.is_server_error() => {
            span.text(semconv::ERROR_TYPE, limit.shortened(status.as_str()));
        }
        _ => {}
    }
    span.text(semconv::POUNCE_COMPONENT, limit.shortened(component));
    write_phases(phases, span);
    for (key, value) in &late.notes.attributes.list {
        if !is_hosts(key) || (guests_error && &**key == semconv::ERROR_TYPE) {
            span.attribute(key, Borrowed::Any(value));
        }
    }
}

fn write_phases(phases: &Phases, span: &mut SpanWriter<'_>) {
    if let Some(reused) = phases.reused {
        span.attribute(semconv::POUNCE_INSTANCE_REUSED, Borrowed::Bool(reused));
    }
    for (key, duration) in [
        (semconv::POUNCE_QUEUE_DURATION, phases.queue),
        (semconv::POUNCE_INSTANTIATE_DURATION, phases.instantiate),
        (semconv::POUNCE_GUEST_CPU_TIME, phases.cpu),
    ] {
        if let Some(seconds) = duration.as_ref().map(Duration::as_secs_f64) {
            span.attribute(key, Borrowed::Double(seconds));
        }
    }
    if let Some(peak) = phases.memory_peak {
        span.attribute(semconv::POUNCE_GUEST_MEMORY_PEAK, Borrowed::Int(peak as i64));
    }
}

/// Keys that no guest can set.
pub(super) fn is_reserved(key: &str) -> bool {
    key.starts_with("pounce.")
}

/// Keys that the host writes at the end, whatever a guest has set.
fn is_hosts(key: &str) -> bool {
    matches!(
        key,
        semconv::HTTP_RESPONSE_STATUS_CODE
            | semconv::HTTP_RESPONSE_BODY_SIZE
            | semconv::HTTP_STATUS_CODE
            | semconv::HTTP_RESPONSE_CONTENT_LENGTH
            | semconv::HTTP_ROUTE
            | semconv::ERROR_TYPE
    )
}
