//! Bodies stream both ways, at once, in constant memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Incoming;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use wasmtime_wasi_http::WasiBody;

use super::support::*;

async fn echo(request: Request<Incoming>) -> Response<WasiBody> {
    Response::new(request.into_body().map_err(Into::into).boxed_unsync())
}

/// Chunks without end until `total`, counted as they are asked for.
fn chunks(size: usize, total: u64) -> (WasiBody, Arc<AtomicU64>) {
    let made = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&made);
    let chunk = Bytes::from(vec![7; size]);
    let stream = futures_util::stream::iter(std::iter::from_fn(move || {
        let before = count.fetch_add(size as u64, Ordering::SeqCst);
        (before < total).then(|| Ok(Frame::data(chunk.clone())))
    }));
    (StreamBody::new(stream).boxed_unsync(), made)
}

#[tokio::test]
async fn each_chunk_comes_back_before_the_next_is_sent() {
    let server = Server::http(echo).await;
    let (tx, rx) = mpsc::channel::<Bytes>(1);
    let stream = futures_util::stream::unfold(rx, |mut rx| async {
        rx.recv().await.map(|chunk| (Ok(Frame::data(chunk)), rx))
    });
    let body = StreamBody::new(stream).boxed_unsync();
    let request = Request::post(server.url("/")).body(body).unwrap();
    let mut response = client(&[local()]).send(request, None).await.unwrap().into_body();
    for n in 0..10 {
        let chunk = Bytes::from(format!("chunk {n}"));
        tx.send(chunk.clone()).await.unwrap();
        let back = timeout(Duration::from_secs(10), response.frame()).await.unwrap();
        assert_eq!(back.unwrap().unwrap().into_data().unwrap(), chunk);
    }
    drop(tx);
    assert!(response.frame().await.is_none());
}

#[tokio::test]
async fn a_big_body_is_never_held_whole() {
    const TOTAL: u64 = 64 << 20;
    let server = Server::http(echo).await;
    let (body, made) = chunks(64 * 1024, TOTAL);
    let request = Request::post(server.url("/")).body(body).unwrap();
    let mut response = client(&[local()]).send(request, None).await.unwrap().into_body();
    let (mut received, mut most_held) = (0, 0);
    while let Some(frame) = response.frame().await {
        received += frame.unwrap().into_data().unwrap().len() as u64;
        most_held = most_held.max(made.load(Ordering::SeqCst).saturating_sub(received));
    }
    assert_eq!(received, TOTAL);
    // Two connections' socket buffers and hyper's, on both sides.
    assert!(most_held < TOTAL / 3, "{most_held} bytes between sender and receiver");
}

#[tokio::test]
async fn an_upload_waits_for_a_server_that_does_not_read() {
    let server = Server::raw(|stream| async move {
        sleep(Duration::from_secs(60)).await;
        drop(stream);
    })
    .await;
    let (body, made) = chunks(64 * 1024, 1 << 30);
    let request = Request::post(server.url("/")).body(body).unwrap();
    let sending = tokio::spawn(client(&[local()]).send(request, None));
    let held = settled(&made).await;
    assert!(held < 64 << 20, "{held} bytes taken from the guest");
    sending.abort();
}

#[tokio::test]
async fn a_server_waits_for_a_guest_that_does_not_read() {
    let made = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&made);
    let server = Server::http(move |_| {
        let (body, made) = chunks(64 * 1024, 1 << 30);
        let count = Arc::clone(&count);
        tokio::spawn(async move {
            loop {
                count.store(made.load(Ordering::SeqCst), Ordering::SeqCst);
                sleep(Duration::from_millis(10)).await;
            }
        });
        async { Response::new(body) }
    })
    .await;
    let response = client(&[local()]).send(get(&server.url("/")), None).await.unwrap();
    let held = settled(&made).await;
    assert!(held < 64 << 20, "{held} bytes taken from the server");
    drop(response);
}

/// The count once it has stopped growing.
async fn settled(made: &AtomicU64) -> u64 {
    let mut last = u64::MAX;
    for _ in 0..100 {
        sleep(Duration::from_millis(100)).await;
        let now = made.load(Ordering::SeqCst);
        if now > 0 && now == last {
            return now;
        }
        last = now;
    }
    panic!("still growing at {last}");
}

#[tokio::test]
async fn lengths_pass_through() {
    let server = Server::http(|request| async move {
        let length = request.headers().get("content-length").cloned();
        let body = format!("{length:?}");
        Response::new(full(body))
    })
    .await;
    let client = client(&[local()]);
    let request = Request::post(server.url("/")).body(full("12345")).unwrap();
    let response = client.send(request, None).await.unwrap();
    assert!(http_body::Body::size_hint(response.body()).exact().is_some());
    assert_eq!(text(response).await, "Some(\"5\")");
    let response = client.send(get(&server.url("/")), None).await.unwrap();
    assert_eq!(text(response).await, "None");
    let head = Request::head(server.url("/")).body(empty()).unwrap();
    assert_eq!(text(client.send(head, None).await.unwrap()).await, "");
}

/// The future can go to another thread, as both of wasi-http's ways to run it need.
#[test]
fn the_future_is_send_and_static() {
    fn check<T: Send + 'static>(_: &T) {}
    let client = client(&[]);
    let sending = client.send(get("http://a.test/"), None);
    check(&sending);
    drop(client);
    drop(sending);
}
