//! A sampler of the program's: what it is told of a request, and what its answer means.

use super::convert;
use super::guard::Guard;
use crate::context::{SAMPLED, SpanContext, TraceState};
use crate::http_facts::{AddressText, header_text, protocol_version, split_authority};
use crate::methods::Methods;
use crate::propagation::Baggage;
use crate::request::facts::Facts;
use crate::request::spans::Spans;
use crate::sampler::Decision;
use crate::settings::Semconv;
use crate::value::Value;
use crate::{redact, semconv};
use opentelemetry::trace::{Link, SpanKind, TraceContextExt as _, TraceId as TheirTraceId};
use opentelemetry::{Array, Context, KeyValue, StringValue, Value as TheirValue};
use opentelemetry_sdk::trace::{SamplingDecision, ShouldSample};
use pounce_otlp::id::TraceId;
use std::fmt;

/// A sampler that the program has handed over.
pub(crate) struct ForeignSampler(Guard<Box<dyn ShouldSample>>);

/// What a sampler is told of a request.
pub(crate) struct Asked<'a> {
    pub(crate) trace_id: TraceId,
    /// The caller's span, where there is a trusted one.
    pub(crate) caller: Option<&'a SpanContext>,
    /// The context of a caller in this process.
    pub(crate) within: Option<&'a Context>,
    pub(crate) baggage: Baggage,
    /// The span of a caller that is not trusted.
    pub(crate) stranger: Option<&'a SpanContext>,
    pub(crate) facts: &'a Facts,
    pub(crate) head: &'a http::request::Parts,
    pub(crate) route: Option<&'a str>,
    pub(crate) methods: &'a Methods,
    pub(crate) spans: &'a Spans,
    /// The flag of the request's span that says whether the trace's id is random.
    pub(crate) random: u8,
}

/// A sampler's answer.
pub(crate) struct Sampled {
    pub(crate) decision: Decision,
    /// Whether guests record, although nothing may be exported.
    pub(crate) is_recorded: bool,
    /// What is added to the request's span.
    pub(crate) attributes: Vec<(String, Value)>,
}

impl ForeignSampler {
    pub(super) fn new(sampler: Box<dyn ShouldSample>) -> Self {
        ForeignSampler(Guard::new("sampler", sampler))
    }

    /// What becomes of a request; `None` where the sampler does not say.
    pub(crate) fn decide(&self, asked: &Asked<'_>) -> Option<Sampled> {
        let parent = match (asked.within, asked.caller) {
            (Some(within), _) => within.clone(),
            (None, Some(caller)) => Context::new().with_remote_span_context(convert::theirs(caller, true)),
            (None, None) => Context::new(),
        };
        let parent = convert::with_baggage(parent, &asked.baggage);
        let trace_id = TheirTraceId::from_bytes(asked.trace_id.0);
        let (name, attributes) = (asked.name(), asked.attributes());
        let links: Vec<_> =
            asked.stranger.map(|span| Link::with_context(convert::theirs(span, true))).into_iter().collect();
        let result = self.0.ask(|sampler| {
            sampler.should_sample(Some(&parent), trace_id, &name, &SpanKind::Server, &attributes, &links)
        })?;
        let sampled = if result.decision == SamplingDecision::RecordAndSample { SAMPLED } else { 0 };
        let state = result.trace_state.header();
        let trace_state = match asked.caller.map(|span| &span.trace_state) {
            Some(callers) if callers.as_str() == state => callers.clone(),
            _ => TraceState::parse(&state),
        };
        let attribute = |KeyValue { key, value, .. }: KeyValue| (key.to_string(), convert::value(value));
        Some(Sampled {
            decision: Decision { flags: asked.random | sampled, trace_state },
            is_recorded: result.decision != SamplingDecision::Drop,
            attributes: result.attributes.into_iter().map(attribute).collect(),
        })
    }
}

impl fmt::Debug for ForeignSampler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Asked<'_> {
    fn has_known_method(&self) -> bool {
        self.methods.is_known(self.facts.method_place)
    }

    /// What the span would be called if it ended now.
    fn name(&self) -> String {
        let method = if self.has_known_method() { self.facts.method.as_str() } else { "HTTP" };
        match (self.route, self.facts.uri.path()) {
            (Some(route), _) => format!("{method} {route}"),
            (None, path) if self.spans.profile == Semconv::Compat && !path.is_empty() => {
                format!("{method} {path}")
            }
            (None, _) => method.to_owned(),
        }
    }

    /// Stable attributes that are known from the start, as they will stand on the span.
    fn attributes(&self) -> Vec<KeyValue> {
        let facts = self.facts;
        let peer = &facts.peer;
        let length = self.spans.limits.value;
        let mut all = Vec::with_capacity(16);
        let mut add = |key: &'static str, value: TheirValue| all.push(KeyValue::new(key, value));
        let text = |text: &str| TheirValue::from(length.shortened(text).to_owned());
        let method = facts.method.as_str();
        if self.has_known_method() {
            add(semconv::HTTP_REQUEST_METHOD, text(method));
        } else {
            add(semconv::HTTP_REQUEST_METHOD, text(semconv::OTHER_METHOD));
            add(semconv::HTTP_REQUEST_METHOD_ORIGINAL, text(method));
        }
        add(semconv::URL_PATH, text(facts.uri.path()));
        if let Some(query) = facts.uri.query() {
            add(semconv::URL_QUERY, text(&redact::query(query)));
        }
        let (scheme, default_port) = if peer.is_https() { ("https", 443) } else { ("http", 80) };
        add(semconv::URL_SCHEME, text(scheme));
        if let Some((host, port)) = facts.authority().and_then(split_authority) {
            add(semconv::SERVER_ADDRESS, text(host));
            add(semconv::SERVER_PORT, i64::from(port.unwrap_or(default_port)).into());
        }
        if let Some(version) = protocol_version(facts.version) {
            add(semconv::NETWORK_PROTOCOL_VERSION, text(version));
        }
        if let Some(client) = peer.client() {
            add(semconv::CLIENT_ADDRESS, text(AddressText::new(client).as_str()));
        }
        if let Some(agent) = &facts.user_agent {
            add(semconv::USER_AGENT_ORIGINAL, text(&header_text(agent)));
        }
        if let Some(route) = self.route {
            add(semconv::HTTP_ROUTE, text(route));
        }
        for (key, value) in self.spans.request_headers.values(&self.head.headers, length) {
            let texts = value.into_iter().map(StringValue::from).collect();
            all.push(KeyValue::new(key, TheirValue::Array(Array::String(texts))));
        }
        all
    }
}
