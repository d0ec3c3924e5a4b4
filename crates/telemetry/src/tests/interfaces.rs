//! OpenTelemetry's own interfaces, by the standard implementations and by bad ones.

use super::*;
use crate::interfaces::Interfaces;
use crate::settings::{RouteRatio, Sampling};
use http::StatusCode;
use opentelemetry::propagation::text_map_propagator::FieldIter;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::{
    Link as TheirLink, SpanKind as TheirKind, TraceContextExt as _, TraceId as TheirTraceId,
};
use opentelemetry::{Context as TheirContext, KeyValue as TheirAttribute};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::propagation::{BaggagePropagator, TraceContextPropagator};
use opentelemetry_sdk::trace::{
    Sampler as TheirSampler, SamplingDecision, SamplingResult, ShouldSample, SpanData, SpanExporter,
};
use pounce_otlp::Loss;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const UNSAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

/// Telemetry with `interfaces`, whose spans go to what it returns.
fn with(settings: &Settings, mut interfaces: Interfaces) -> (Telemetry, Taken) {
    let taken = Taken::default();
    interfaces.set_exporter(taken.clone());
    let local = LocalReaders::default();
    (Telemetry::start_with(settings, "shop", local, interfaces).unwrap(), taken)
}

/// Spans that an exporter was given, each with the resource that it had then.
#[derive(Clone, Debug, Default)]
struct Taken(Arc<Mutex<Vec<Exported>>>, Option<Resource>);

type Exported = (SpanData, Option<Resource>);

impl SpanExporter for Taken {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.lock().unwrap().extend(batch.into_iter().map(|span| (span, self.1.clone())));
        Ok(())
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.1 = Some(resource.clone());
    }
}

impl Taken {
    fn spans(&self, telemetry: &Telemetry) -> Vec<SpanData> {
        let totals = telemetry.shutdown(second());
        let spans: Vec<_> = self.0.lock().unwrap().iter().map(|(span, _)| span.clone()).collect();
        assert_eq!((totals.spans.exported, totals.lost()), (spans.len() as u64, 0));
        spans
    }
}

fn sampling_by(sampler: impl ShouldSample + 'static) -> Interfaces {
    let mut interfaces = Interfaces::default();
    interfaces.set_sampler(Box::new(sampler));
    interfaces
}

fn get(telemetry: &Telemetry, path: &str, headers: &[(&'static str, &str)]) -> ServerSpan {
    telemetry.server_span(&peer(), &head("GET", path, headers))
}

fn attribute(span: &SpanData, key: &str) -> Option<String> {
    let found = span.attributes.iter().find(|attribute| attribute.key.as_str() == key);
    found.map(|attribute| attribute.value.as_str().into_owned())
}

#[test]
fn standard_samplers_decide_as_they_do_in_the_sdk() {
    let based = |root: TheirSampler| TheirSampler::ParentBased(Box::new(root));
    for (sampler, expected) in [
        (TheirSampler::AlwaysOn, [true, true, true]),
        (TheirSampler::AlwaysOff, [false, false, false]),
        (TheirSampler::TraceIdRatioBased(1.0), [true, true, true]),
        (based(TheirSampler::AlwaysOn), [true, true, false]),
        (based(TheirSampler::AlwaysOff), [false, true, false]),
    ] {
        let (telemetry, _) = with(&settings(), sampling_by(sampler.clone()));
        let found = [&[][..], &[("traceparent", PARENT)], &[("traceparent", UNSAMPLED)]]
            .map(|headers| get(&telemetry, "/", headers).context().unwrap().is_sampled());
        assert_eq!(found, expected, "{sampler:?}");
    }
}

/// What a sampler was told, and says.
#[derive(Clone, Debug)]
struct Told {
    told: Arc<Mutex<Vec<Question>>>,
    says: SamplingDecision,
}

/// Name, attributes, parent context and the number of links.
type Question = (String, Vec<TheirAttribute>, TheirContext, usize);

impl Told {
    fn saying(says: SamplingDecision) -> Self {
        Told { told: Arc::default(), says }
    }
}

impl ShouldSample for Told {
    fn should_sample(
        &self,
        parent: Option<&TheirContext>,
        _: TheirTraceId,
        name: &str,
        kind: &TheirKind,
        attributes: &[TheirAttribute],
        links: &[TheirLink],
    ) -> SamplingResult {
        assert_eq!(*kind, TheirKind::Server);
        let told = (name.to_owned(), attributes.to_vec(), parent.unwrap().clone(), links.len());
        self.told.lock().unwrap().push(told);
        SamplingResult {
            decision: self.says.clone(),
            attributes: vec![TheirAttribute::new("sampler.rule", "all")],
            trace_state: "a=1".parse().unwrap(),
        }
    }
}

#[test]
fn a_sampler_is_told_what_will_stand_on_the_span_and_adds_to_it() {
    let sampler = Told::saying(SamplingDecision::RecordAndSample);
    let mut settings = settings();
    settings.request_headers = vec![http::HeaderName::from_static("x-tier")];
    let (telemetry, taken) = with(&settings, sampling_by(sampler.clone()));
    let headers = [
        ("host", "shop.example"),
        ("user-agent", "probe/1"),
        ("x-tier", "gold"),
        ("traceparent", PARENT),
        ("baggage", "user=7"),
    ];
    let span = get(&telemetry, "/a?sig=secret", &headers);
    assert_eq!(span.context().unwrap().trace_state.as_str(), "a=1");
    span.response_head(StatusCode::OK, &http::HeaderMap::new());
    span.end(0);
    let head = head("GET", "/items/7", &[]);
    telemetry.server_span_of(&peer(), &head, Some("/items/{id}"), None).end(0);
    let spans = taken.spans(&telemetry);
    let told = sampler.told.lock().unwrap();
    assert_eq!(told.len(), 2);
    for ((name, attributes, ..), span) in told.iter().zip(&spans) {
        assert_eq!(*name, span.name);
        let mut keys: Vec<_> = attributes.iter().map(|attribute| attribute.key.as_str()).collect();
        for told in attributes {
            let found = span.attributes.iter().find(|attribute| attribute.key == told.key);
            assert_eq!(found.map(|found| &found.value), Some(&told.value), "{}", told.key);
        }
        keys.sort_unstable();
        let before = keys.len();
        keys.dedup();
        assert_eq!(keys.len(), before);
        assert_eq!(attribute(span, "sampler.rule").unwrap(), "all");
    }
    let keys: Vec<_> = told[0].1.iter().map(|attribute| attribute.key.as_str()).collect();
    for key in [
        "http.request.method",
        "url.path",
        "url.query",
        "url.scheme",
        "server.address",
        "server.port",
        "client.address",
        "user_agent.original",
        "network.protocol.version",
        "http.request.header.x-tier",
    ] {
        assert!(keys.contains(&key), "{key}");
    }
    assert_eq!(told[1].0, "GET /items/{id}");
    let parent = told[0].2.span().span_context().clone();
    assert!(parent.is_remote() && parent.is_sampled());
    assert_eq!(told[0].2.baggage().get("user").unwrap().as_str(), "7");
    assert!(!told[1].2.has_active_span());
}

#[test]
fn a_caller_that_is_not_trusted_is_a_link_to_the_sampler_too() {
    let sampler = Told::saying(SamplingDecision::Drop);
    let mut settings = settings();
    settings.trust = settings::Trust::of(|_| false);
    let (telemetry, _) = with(&settings, sampling_by(sampler.clone()));
    get(&telemetry, "/", &[("traceparent", PARENT), ("baggage", "user=7")]).end(0);
    let told = sampler.told.lock().unwrap();
    assert!(!told[0].2.has_active_span() && told[0].2.baggage().is_empty());
    assert_eq!(told[0].3, 1);
}

#[test]
fn what_is_only_recorded_is_not_exported_unless_a_rule_keeps_it() {
    for (says, keeps_errors, is_recording, exported) in [
        (SamplingDecision::Drop, false, false, 0),
        (SamplingDecision::RecordOnly, false, true, 0),
        (SamplingDecision::RecordAndSample, false, true, 2),
        (SamplingDecision::Drop, true, true, 1),
        (SamplingDecision::RecordOnly, true, true, 1),
    ] {
        let mut settings = settings();
        settings.keep_errors = keeps_errors;
        let (telemetry, taken) = with(&settings, sampling_by(Told::saying(says.clone())));
        for status in [200, 500] {
            let span = get(&telemetry, "/", &[]);
            assert_eq!(span.is_recording(), is_recording, "{says:?}");
            span.response_head(StatusCode::from_u16(status).unwrap(), &http::HeaderMap::new());
            span.end(0);
        }
        assert_eq!(taken.spans(&telemetry).len(), exported, "{says:?} {keeps_errors}");
    }
}

#[test]
fn rules_of_routes_stand_above_a_sampler_where_no_caller_has_decided() {
    let sampler = Told::saying(SamplingDecision::RecordAndSample);
    let route = RouteRatio { method: None, path: "/health".to_owned(), ratio: 0.0 };
    let settings =
        Settings { sampling: Sampling { routes: vec![route], ..Sampling::default() }, ..settings() };
    let (telemetry, _) = with(&settings, sampling_by(sampler.clone()));
    let is_sampled = |path, headers: &[_]| get(&telemetry, path, headers).context().unwrap().is_sampled();
    assert!(!is_sampled("/health", &[]));
    assert_eq!(sampler.told.lock().unwrap().len(), 0);
    assert!(is_sampled("/health", &[("traceparent", UNSAMPLED)]), "the sampler's to say");
    assert!(is_sampled("/", &[]));
}

/// A sampler, exporter and propagator that panics.
#[derive(Clone, Debug)]
struct Panics;

impl ShouldSample for Panics {
    fn should_sample(
        &self,
        _: Option<&TheirContext>,
        _: TheirTraceId,
        _: &str,
        _: &TheirKind,
        _: &[TheirAttribute],
        _: &[TheirLink],
    ) -> SamplingResult {
        panic!("the sampler does not feel well")
    }
}

impl TextMapPropagator for Panics {
    fn inject_context(&self, _: &TheirContext, _: &mut dyn Injector) {
        panic!("nor does the propagator")
    }

    fn extract_with_context(&self, _: &TheirContext, _: &dyn Extractor) -> TheirContext {
        panic!("nor does the propagator")
    }

    fn fields(&self) -> FieldIter<'_> {
        panic!("nor does the propagator")
    }
}

#[test]
fn what_panics_is_as_if_it_had_not_been_asked() {
    let mut interfaces = sampling_by(Panics);
    interfaces.set_propagator(Box::new(Panics));
    let settings = Settings { sampling: Sampling::share(0.0), ..settings() };
    let (telemetry, _) = with(&settings, interfaces);
    let span = get(&telemetry, "/", &[("traceparent", PARENT)]);
    let context = span.context().unwrap();
    assert!(!context.is_sampled(), "own sampling decides");
    assert_ne!(context.trace_id.to_string(), PARENT[3..35], "a new trace");
    let mut headers = http::HeaderMap::new();
    headers.insert("traceparent", PARENT.parse().unwrap());
    telemetry.signals().propagator.unwrap().inject(&context, &Baggage::default(), &mut headers);
    assert!(headers.is_empty());
}

#[test]
fn standard_propagators_read_and_write_in_place_of_the_settings() {
    let both = opentelemetry::propagation::TextMapCompositePropagator::new(vec![
        Box::new(TraceContextPropagator::new()),
        Box::new(BaggagePropagator::new()),
    ]);
    let mut interfaces = Interfaces::default();
    interfaces.set_propagator(Box::new(both));
    let settings = Settings { propagators: [].into_iter().collect(), ..settings() };
    let (telemetry, taken) = with(&settings, interfaces);
    let given = head("GET", "/", &[("traceparent", PARENT), ("tracestate", "a=1"), ("baggage", "user=7")]);
    let span = telemetry.server_span(&peer(), &given);
    let context = span.context().unwrap();
    assert_eq!(context.trace_id.to_string(), PARENT[3..35]);
    let propagator = telemetry.signals().propagator.unwrap();
    assert!(propagator.carries_baggage());
    let mut headers = http::HeaderMap::new();
    headers.insert("b3", "0".parse().unwrap());
    propagator.inject(&context, &telemetry.baggage(&peer(), &given, None), &mut headers);
    assert_eq!(headers["traceparent"], context.traceparent());
    assert!(headers["tracestate"] == "a=1" && headers["baggage"] == "user=7", "{headers:?}");
    assert_eq!(headers.len(), 3, "{headers:?}");
    assert_eq!(propagator.extract(&headers).context.unwrap().span_id, context.span_id);
    span.end(0);
    let span = taken.spans(&telemetry).remove(0);
    assert!(span.parent_span_is_remote && span.parent_span_id.to_string() == PARENT[36..52]);
}

#[test]
fn a_caller_in_this_process_is_the_parent_whatever_the_head_says() {
    let (telemetry, taken) = with(&settings(), Interfaces::default());
    let here = SpanContext {
        trace_id: TraceId::random(),
        span_id: SpanId::random(),
        flags: SpanContext::SAMPLED,
        trace_state: TraceState::parse("a=1"),
    };
    let within = here.within(&TheirContext::new().with_baggage([TheirAttribute::new("user", "7")]));
    let head = head("GET", "/", &[("traceparent", PARENT), ("baggage", "user=8")]);
    let span = telemetry.server_span_of(&peer(), &head, None, Some(&within));
    let entries = telemetry.baggage(&peer(), &head, Some(&within)).entries();
    assert_eq!(entries, [("user".to_owned(), "7".to_owned())]);
    span.end(0);
    // One without a span counts for nothing.
    let other = telemetry.server_span_of(&peer(), &head, None, Some(&TheirContext::new()));
    assert_eq!(other.context().unwrap().trace_id.to_string(), PARENT[3..35]);
    other.end(0);
    let spans = taken.spans(&telemetry);
    assert_eq!(spans[0].span_context.trace_id().to_bytes(), here.trace_id.0);
    assert_eq!(spans[0].parent_span_id.to_bytes(), here.span_id.0);
    assert_eq!(spans[0].span_context.trace_state().header(), "a=1");
    assert!(!spans[0].parent_span_is_remote && spans[1].parent_span_is_remote);
}

#[test]
fn an_exporter_gets_all_that_a_span_has() {
    let settings = Settings { service_name: Some("shop-service".to_owned()), ..settings() };
    let (telemetry, taken) = with(&settings, Interfaces::default());
    let span = get(&telemetry, "/", &[]);
    let values = [
        ("text", Value::Text("t".to_owned()), "t"),
        ("texts", Value::Texts(vec!["a".to_owned(), "b".to_owned()]), "[\"a\",\"b\"]"),
        ("ints", Value::Ints(vec![1, 2]), "[1,2]"),
        ("doubles", Value::Doubles(vec![0.5]), "[0.5]"),
        ("bools", Value::Bools(vec![true]), "[true]"),
        ("mixed", Value::List(vec![Value::Int(1), Value::Null]), "[1,null]"),
        ("bytes", Value::Bytes(vec![1, 2, 3]), "\"AQID\""),
        ("map", Value::Map(vec![("k".to_owned(), Value::Bool(true))]), "{\"k\":true}"),
    ];
    let child = span.child(None, "work", ChildOptions::default());
    for (key, value, _) in &values {
        child.set_attribute(key, value.clone());
    }
    child.add_event("step", vec![("n".to_owned(), Value::Int(1))], None);
    let other = SpanContext { span_id: SpanId::random(), ..span.context().unwrap() };
    child.add_link(Linked::remote(other.clone()), Vec::new());
    child.set_status(Status::Error("broke".to_owned()));
    child.end(None);
    span.response_head(StatusCode::OK, &http::HeaderMap::new());
    span.end(0);
    let spans = taken.spans(&telemetry);
    let [child, server] = &spans[..] else { panic!("{spans:?}") };
    assert_eq!((&*child.name, &child.span_kind), ("work", &TheirKind::Internal));
    assert_eq!(child.parent_span_id, server.span_context.span_id());
    assert_eq!(child.status, opentelemetry::trace::Status::error("broke"));
    assert_eq!(server.status, opentelemetry::trace::Status::Ok);
    for (key, _, expected) in values {
        assert_eq!(attribute(child, key).as_deref(), Some(expected), "{key}");
    }
    assert_eq!((&*child.events[0].name, child.events[0].attributes.len()), ("step", 1));
    assert_eq!(child.links[0].span_context.span_id().to_bytes(), other.span_id.0);
    assert!(child.links[0].span_context.is_remote() && child.start_time <= child.end_time);
    assert_eq!(server.instrumentation_scope.name(), "pounce");
    let resource = taken.0.lock().unwrap()[0].1.clone().unwrap();
    let name = resource.get(&"service.name".into()).unwrap();
    assert_eq!(name.as_str(), "shop-service");
}

#[test]
fn a_component_with_a_resource_of_its_own_keeps_it() {
    let (telemetry, taken) = with(&settings(), Interfaces::default());
    let other = telemetry.of_component(&Settings::default(), "cart");
    get(&telemetry, "/", &[]).end(0);
    get(&other, "/", &[]).end(0);
    assert_eq!(taken.spans(&telemetry).len(), 2);
    let names: Vec<_> = {
        let taken = taken.0.lock().unwrap();
        let name = |(_, resource): &(_, Option<Resource>)| {
            resource.as_ref().unwrap().get(&"service.name".into()).unwrap().to_string()
        };
        taken.iter().map(name).collect()
    };
    assert!(names.contains(&"shop".to_owned()) && names.contains(&"cart".to_owned()), "{names:?}");
}

/// An exporter that fails in each way, one batch after the other, then hangs.
#[derive(Clone, Debug, Default)]
struct Fails(Arc<AtomicUsize>);

impl SpanExporter for Fails {
    async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
        match self.0.fetch_add(1, SeqCst) {
            0 => Err(OTelSdkError::InternalFailure("no".to_owned())),
            1 => panic!("the exporter does not feel well"),
            2 => Ok(()),
            _ => std::future::pending().await,
        }
    }
}

#[test]
fn an_exporter_that_fails_panics_or_hangs_loses_spans_which_are_counted() {
    let mut settings = settings();
    settings.spans.batching.max_items = 1;
    settings.spans.max_items = 8;
    let exporter = Fails::default();
    let mut interfaces = Interfaces::default();
    interfaces.set_exporter(exporter.clone());
    let telemetry = Telemetry::start_with(&settings, "shop", LocalReaders::default(), interfaces).unwrap();
    for batch in 1..=4 {
        get(&telemetry, "/", &[]).end(0);
        while exporter.0.load(SeqCst) < batch {
            std::thread::yield_now();
        }
    }
    // It hangs: further spans wait until there is no more room, and nobody who ends one waits.
    for _ in 0..100 {
        get(&telemetry, "/", &[]).end(0);
    }
    let totals = telemetry.shutdown(Instant::now()).spans;
    assert_eq!((totals.ended, totals.exported), (104, 1));
    // The hanging one was cut by the shutdown.
    assert!((2..=3).contains(&totals.losses.of(Loss::ExportFailed)), "{totals:?}");
    assert!(totals.losses.of(Loss::QueueFull) > 0 && totals.losses.of(Loss::Shutdown) > 0);
    assert_eq!(totals.losses.total(), 103);
}

/// An exporter that needs a runtime, and blocks as clients do that bring one of their own.
#[derive(Debug)]
struct NeedsBoth(Arc<AtomicUsize>);

impl SpanExporter for NeedsBoth {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let own = tokio::runtime::Builder::new_current_thread().build().unwrap();
        own.block_on(async {});
        drop(own);
        tokio::spawn(async { tokio::time::sleep(Duration::from_millis(1)).await }).await.unwrap();
        tokio::time::sleep(Duration::from_millis(1)).await;
        self.0.fetch_add(batch.len(), SeqCst);
        Ok(())
    }
}

#[tokio::test]
async fn an_exporter_may_wait_for_the_runtime_and_block_as_well() {
    let exported = Arc::new(AtomicUsize::new(0));
    let mut interfaces = Interfaces::default();
    interfaces.set_exporter(NeedsBoth(exported.clone()));
    let telemetry = Telemetry::start_with(&settings(), "shop", LocalReaders::default(), interfaces).unwrap();
    get(&telemetry, "/", &[]).end(0);
    let deadline = Instant::now() + Duration::from_secs(60);
    let totals = tokio::task::spawn_blocking(move || telemetry.shutdown(deadline)).await.unwrap();
    assert_eq!((totals.spans.exported, exported.load(SeqCst)), (1, 1));
}
