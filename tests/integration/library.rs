//! The library: requests that a program has served without a socket.

use std::error::Error as _;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::stream;
use http::{Request, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt as _, Empty, Full, StreamBody};
use opentelemetry::Context;
use opentelemetry::trace::{
    FutureExt as _, SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState,
};
use pounce::config::ListenAddr;
use pounce::{App, Caller, Config, Listening, LogExport, Outcome, StartError};
use tokio::sync::mpsc;
use tracing::instrument::WithSubscriber as _;
use tracing_subscriber::layer::SubscriberExt as _;

use crate::support::{Abi, Collector, for_both_abis};

for_both_abis!(
    a_request_is_served_without_a_socket,
    bodies_stream_both_ways,
    a_body_that_breaks_off_is_an_error,
    limits_hold_without_a_socket,
    a_request_belongs_to_the_span_around_it,
);

/// An app that listens nowhere and leaves no trace in the cache of who runs the tests.
async fn app(component: &Path, set: impl FnOnce(&mut Config)) -> App {
    let mut config = Config::new(component);
    config.http.listen.clear();
    config.guest.cache = pounce::config::CacheDir::Off;
    set(&mut config);
    App::build(config).await.unwrap()
}

fn get(path: &str) -> Request<Empty<Bytes>> {
    Request::get(path).body(Empty::new()).unwrap()
}

async fn a_request_is_served_without_a_socket(abi: Abi) {
    let app = app(&abi.guest("hello"), |_| {}).await;
    assert!(app.listeners().is_empty());
    let caller = app.caller();
    // Many at once, while the app runs, too.
    let calls = async {
        let calls = (0..50).map(|n| {
            let caller = caller.clone();
            tokio::spawn(async move { caller.call(get(&format!("http://shop.example/{n}"))).await })
        });
        for call in calls.collect::<Vec<_>>() {
            let response = call.await.unwrap();
            assert_eq!(response.status(), StatusCode::OK);
            assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "Hello, World!\n");
        }
    };
    assert_eq!(app.call(get("/")).await.status(), StatusCode::OK);
    assert_eq!(app.run_until(calls).await, Outcome::Drained);
}

async fn bodies_stream_both_ways(abi: Abi) {
    let app = app(&abi.guest("echo"), |_| {}).await;
    let (sender, receiver) = mpsc::channel::<Result<Frame<Bytes>, std::io::Error>>(1);
    let next = |mut receiver: mpsc::Receiver<_>| async move { Some((receiver.recv().await?, receiver)) };
    let body = StreamBody::new(stream::unfold(receiver, next));
    sender.send(Ok(Frame::data(Bytes::from("first")))).await.unwrap();
    let response = app.call(Request::post("/").body(body).unwrap()).await;
    let mut body = response.into_body();
    let mut frame = async || body.frame().await.map(|frame| frame.unwrap().into_data().unwrap_or_default());
    assert_eq!(frame().await.unwrap(), "first");
    // What comes later is sent on before there is more.
    sender.send(Ok(Frame::data(Bytes::from("second")))).await.unwrap();
    assert_eq!(frame().await.unwrap(), "second");
    drop(sender);
    assert!(frame().await.is_none_or(|rest| rest.is_empty()));
}

async fn a_body_that_breaks_off_is_an_error(abi: Abi) {
    let app = app(&abi.guest("trap"), |_| {}).await;
    assert_eq!(app.call(get("/unreachable")).await.status(), StatusCode::INTERNAL_SERVER_ERROR);
    let response = app.call(get("/after-head")).await;
    assert_eq!(response.status(), StatusCode::OK);
    let error = response.into_body().collect().await.unwrap_err();
    assert!(error.to_string().contains("broke off"), "{error}");
    // A body that the caller lets go of stops its guest: there is nothing left to drain.
    drop(app.call(get("/after-head")).await);
    assert_eq!(app.run_until(async {}).await, Outcome::Drained);
}

async fn limits_hold_without_a_socket(abi: Abi) {
    let app = app(&abi.guest("echo"), |config| config.http.max_request_body = "4".parse().unwrap()).await;
    let post = |body: &'static str| Request::post("/").body(Full::new(Bytes::from(body))).unwrap();
    assert_eq!(app.call(post("1234")).await.status(), StatusCode::OK);
    assert_eq!(app.call(post("12345")).await.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let connect =
        Request::builder().method("CONNECT").uri("http://a.test/").body(Empty::<Bytes>::new()).unwrap();
    assert_eq!(app.call(connect).await.status(), StatusCode::NOT_IMPLEMENTED);
    // A body of the caller's own that fails is a client's that is gone.
    let failing = StreamBody::new(stream::iter([Err::<Frame<Bytes>, _>(std::io::Error::other("mine"))]));
    let response = app.call(Request::post("/").body(failing).unwrap()).await;
    assert!(response.status() != StatusCode::OK || response.into_body().collect().await.is_err());
}

/// The context of a span of the program's own.
fn context() -> Context {
    let (trace_id, span_id) = (TraceId::from_bytes([7; 16]), SpanId::from_bytes([7; 8]));
    let span = SpanContext::new(trace_id, span_id, TraceFlags::SAMPLED, false, TraceState::NONE);
    Context::new().with_remote_span_context(span)
}

async fn a_request_belongs_to_the_span_around_it(abi: Abi) {
    let collector = Collector::start().await;
    let endpoint = collector.endpoint().parse().unwrap();
    let app = app(&abi.guest("echo"), |config| config.otel.endpoint = Some(endpoint)).await;
    // Code of the program that runs while the request is served.
    let seen = Arc::new(Mutex::new(None));
    let frames = {
        let seen = seen.clone();
        stream::once(async move {
            *seen.lock().unwrap() = Some(Context::current().span().span_context().clone());
            Ok::<_, std::io::Error>(Frame::data(Bytes::from("body")))
        })
    };
    let request = Request::post("/").body(StreamBody::new(Box::pin(frames))).unwrap();
    let response = app.call(request).with_context(context()).await;
    let own = response.extensions().get::<Context>().unwrap().span().span_context().clone();
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "body");
    assert_eq!(app.run_until(async {}).await, Outcome::Drained);
    let span = collector.span().await;
    assert_eq!(span.parent, SpanId::from_bytes([7; 8]).to_string());
    assert_eq!(span.trace_id, TraceId::from_bytes([7; 16]).to_string());
    assert_eq!(span.span_id, own.span_id().to_string());
    assert_eq!(seen.lock().unwrap().as_ref(), Some(&own));
}

#[tokio::test]
async fn the_programs_log_is_exported_where_asked() {
    let collector = Collector::start().await;
    let mut config = Config::new(Abi::P2.guest("hello"));
    config.http.listen.clear();
    config.guest.cache = pounce::config::CacheDir::Off;
    config.otel.endpoint = Some(collector.endpoint().parse().unwrap());
    let log = LogExport::default();
    let subscriber = tracing_subscriber::registry().with(log.layer());
    let run = async {
        tracing::info!(target: "shop", answer = 42, "before the server");
        let app = App::builder(config).export_log(&log).build().await.unwrap();
        async { tracing::warn!(target: "shop", "within a span") }.with_context(context()).await;
        tracing::info!(target: "hyper", "not what the transport says");
        app.run_until(async {}).await
    };
    assert_eq!(run.with_subscriber(subscriber).await, Outcome::Drained);
    let records = collector.own_log_records();
    let of_shop: Vec<_> =
        records.iter().filter(|record| format!("{:?}", record.attributes).contains("shop")).collect();
    let [before, within] = &of_shop[..] else { panic!("{records:?}") };
    assert_eq!((&*before.body, &*before.trace_id), ("\"before the server\"", ""));
    assert_eq!((&*within.body, &*within.severity.1), ("\"within a span\"", "WARN"));
    assert_eq!(within.trace_id, TraceId::from_bytes([7; 16]).to_string());
    assert!(records.iter().all(|record| !record.body.contains("transport")));
}

#[tokio::test]
async fn what_keeps_an_app_from_starting_can_be_told_apart() {
    let taken = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let hello = |set: fn(&mut Config)| {
        let mut config = Config::new(Abi::P2.guest("hello"));
        config.guest.cache = pounce::config::CacheDir::Off;
        config.http.listen.clear();
        set(&mut config);
        config
    };
    let mut config = hello(|_| {});
    config.http.listen = vec![taken.local_addr().unwrap().into()];
    let error = App::build(config.clone()).await.err().unwrap();
    let StartError::Listen(listen) = &error else { panic!("{error:?}") };
    assert_eq!(listen.kind(), std::io::ErrorKind::AddrInUse);
    assert_eq!(listen.address(), Some(&ListenAddr::Tcp(taken.local_addr().unwrap())));
    assert!(!error.is_mistake());

    let error = App::build(hello(|config| config.http.max_headers = 0)).await.err().unwrap();
    let StartError::Settings(mistakes) = &error else { panic!("{error:?}") };
    assert!(mistakes.iter().count() == 1 && error.is_mistake());

    let error =
        App::build(hello(|config| config.component = Some("no/such.wasm".into()))).await.err().unwrap();
    assert!(matches!(error, StartError::Component(_)) && error.is_mistake(), "{error:?}");
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    let is_missing = |cause: &&(dyn std::error::Error + 'static)| {
        cause
            .downcast_ref::<std::io::Error>()
            .is_some_and(|error| error.kind() == std::io::ErrorKind::NotFound)
    };
    assert!(
        error.to_string().contains("no/such.wasm") || causes.clone().any(|cause| is_missing(&cause)),
        "{error:?}"
    );

    let error = App::build(Config::default()).await.err().unwrap();
    assert!(matches!(error, StartError::Settings(_)), "{error:?}");
    drop(taken);
    config.http.listen.push("unix:/tmp/pounce-library-test.sock".parse().unwrap());
    let listeners = App::build(config).await.unwrap().listeners();
    assert!(
        matches!(&listeners[..], [Listening::Http(_), Listening::Unix { path: Some(_) }]),
        "{listeners:?}"
    );
}

/// What a program may rely on when it moves these between threads.
#[test]
fn public_types_are_send_and_sync() {
    fn is<T: Send + Sync>() {}
    is::<(Config, Caller, StartError, Listening, LogExport, Outcome)>();
    fn can_move<T: Send>() {}
    can_move::<(App, pounce::Builder, pounce::ResponseBody)>();
}
