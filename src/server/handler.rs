//! The request path, on one screen.

use std::sync::Arc;
use std::time::Duration;

use http::header::EXPECT;
use http::{Request, Response, Version};

use super::admission::Admission;
use super::deadline::Deadline;
use super::drain::{Drain, Phase};
use super::error_page::ErrorPages;
use super::forward;
use super::forwarded::{Forwarding, Hop, Origin};
use super::generation::Current;
use super::head::{self, HeadLimits};
use super::idle::Activity;
use super::inbound::InboundBody;
use super::incoming::Incoming;
use super::leftover;
use super::rate::Rates;
use super::response::{self, Body, Exchange};
use crate::guest::Share;
use pounce_telemetry::Telemetry;

/// Serves the requests of all connections.
pub(crate) struct Handler {
    /// What is served now.
    pub(crate) generation: Current,
    pub(crate) telemetry: Telemetry,
    pub(crate) rates: Arc<Rates>,
    pub(crate) admission: Arc<Admission>,
    pub(crate) forwarding: Forwarding,
    pub(crate) drain: Drain,
    /// What failures are explained by, where it is a developer who asks (`pounce dev`).
    pub(crate) error_pages: Option<Arc<ErrorPages>>,
    /// Whether responses tell of trace and phases (`http.server-timing`).
    pub(crate) server_timing: bool,
    /// From a request's head to the end of its response (`http.response-timeout`).
    pub(crate) response_timeout: Option<Duration>,
    /// How long a client may send nothing of a body that its guest waits for (`http.idle-timeout`).
    pub(crate) idle_timeout: Option<Duration>,
    /// What a request head may have.
    pub(crate) heads: HeadLimits,
    /// Bytes of a request body (`http.max-request-body`).
    pub(crate) max_body: Option<u64>,
}

impl Handler {
    /// Serves one request: the whole path, in order.
    pub(crate) async fn handle(
        &self,
        hop: &Hop,
        activity: &Arc<Activity>,
        request: Request<Incoming>,
    ) -> Response<Body> {
        let (mut head, body) = request.into_parts();
        head::join_cookies(&mut head.headers);
        let origin = self.forwarding.origin(hop, &head);
        let peer = origin.peer();
        let generation = self.generation.get();
        let route = generation.find(&origin, &head);
        let telemetry = generation.telemetry_of(&route);
        let pattern = route.as_ref().ok().and_then(|route| route.pattern);
        let span = telemetry.server_span_of(peer, &head, pattern, activity.caller());
        activity.starts(&span);
        let share = self.share(&origin, activity);
        let body = InboundBody::new(body, &head, self.max_body, activity, &span)
            .hurried_by(&share, self.idle_timeout);
        let open = self.drain.open();
        let arrival = body.arrival();
        let exchange = Exchange::begin(span.clone(), &head, arrival.clone(), activity.begin(), open)
            .logged_as(generation.name_of(&route))
            .explained_as(self.error_pages.as_ref().map(|pages| pages.asked(&head)))
            .until(Deadline::new(self.response_timeout));
        let (version, waits_to_continue) = (head.version, head.headers.contains_key(EXPECT));

        let answer = async {
            // Sheds load before any work is done for the request.
            self.rates.admit(origin.told_client().or(hop.counted()))?;
            let place = self.admission.admit(&share)?;
            self.heads.check(&head)?;
            let baggage = telemetry.baggage(peer, &head, activity.caller());
            let request = forward::prepare(&origin, head, body)?;
            let component = route.map_err(|refused| refused.failure())?.component;
            let place = self.admission.admit_to(component, place)?;
            let answer = match component.ready().await {
                Ok(guests) => {
                    let mut alarm = activity.take_alarm();
                    let answer = guests.invoke(request, &arrival, span, baggage, place, &mut alarm).await;
                    activity.keep_alarm(alarm);
                    answer
                }
                Err(failure) => Err(failure),
            };
            self.admission.count(&answer);
            answer
        }
        .await;

        if waits_to_continue {
            // A guest that answers first and reads then: hyper gets its turn to send `100 Continue`, which it cannot
            // do any more once it has the response.
            tokio::task::yield_now().await;
        }
        if version >= Version::HTTP_2 {
            leftover::settled(&arrival, waits_to_continue, || share.is_pressed()).await;
        }
        let ends_connection = leftover::ends_connection(&arrival, answer.as_ref().err(), waits_to_continue);
        let mut response = response::finish(answer, exchange);
        if self.server_timing {
            response::tell_timing(&mut response);
        }
        if ends_connection || self.drain.phase() != Phase::Serving {
            response::say_goodbye(&mut response);
        }
        response
    }

    /// Where a request gets its place: its connection's share, or that of the client that a proxy told.
    fn share(&self, origin: &Origin<'_>, activity: &Activity) -> Share {
        match (origin.told_client(), activity.share()) {
            (None, Some(share)) => share.clone(),
            (told, _) => self.admission.share(told),
        }
    }
}
