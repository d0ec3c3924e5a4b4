//! The library: requests that a program has served without a socket.

use std::path::Path;

use bytes::Bytes;
use futures_util::stream;
use http::{Request, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt as _, Empty, Full, StreamBody};
use pounce::{App, Config, Outcome};
use tokio::sync::mpsc;

use crate::support::{Abi, for_both_abis};

for_both_abis!(
    a_request_is_served_without_a_socket,
    bodies_stream_both_ways,
    a_body_that_breaks_off_is_an_error,
    limits_hold_without_a_socket,
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
    assert!(app.urls().is_empty());
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
