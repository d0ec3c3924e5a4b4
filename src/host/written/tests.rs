//! When a body is passed on, and as what it ends.

use futures_util::FutureExt as _;
use http::HeaderValue;
use http_body_util::{BodyExt as _, StreamBody};
use tokio::sync::mpsc;

use super::*;

type Sender = mpsc::Sender<Result<Frame<Bytes>, Error>>;

/// A body under such a `Content-Length`, and what writes it.
fn written(promised: Option<u64>) -> (Sender, Written) {
    let (sender, mut receiver) = mpsc::channel(8);
    let inner =
        StreamBody::new(futures_util::stream::poll_fn(move |cx| receiver.poll_recv(cx))).boxed_unsync();
    let headers = promised.map(|length| (CONTENT_LENGTH, HeaderValue::from(length)));
    (sender, Written::new(inner, &headers.into_iter().collect(), Abi::P3))
}

fn write(sender: &Sender, bytes: &'static str) {
    sender.try_send(Ok(Frame::data(bytes.into()))).unwrap();
}

/// The next frame if it is there: its bytes, `trailers`, `end`, or why it broke off.
fn next(body: &Written) -> Option<String> {
    let next = std::future::poll_fn(|cx| body.poll(cx, "response")).now_or_never()?;
    Some(match next {
        None => "end".to_owned(),
        Some(Err(broken)) => broken.message("response"),
        Some(Ok(frame)) => match frame.into_data() {
            Ok(data) => String::from_utf8(data.to_vec()).unwrap(),
            Err(_) => "trailers".to_owned(),
        },
    })
}

#[test]
fn the_last_of_the_promised_bytes_wait_for_the_end() {
    let (sender, body) = written(Some(6));
    write(&sender, "abc");
    write(&sender, "def");
    assert_eq!(next(&body).unwrap(), "abc");
    assert_eq!((next(&body), body.size_hint().exact()), (None, Some(3)));
    drop(sender);
    assert_eq!(next(&body).unwrap(), "def");
    assert!(body.is_end_stream());
    assert_eq!(next(&body).unwrap(), "end");
}

#[test]
fn trailers_come_behind_them() {
    let (sender, body) = written(Some(3));
    write(&sender, "abc");
    sender.try_send(Ok(Frame::trailers(HeaderMap::new()))).unwrap();
    assert_eq!(next(&body).unwrap(), "abc");
    assert!(!body.is_end_stream());
    assert_eq!((next(&body).unwrap(), next(&body).unwrap()), ("trailers".into(), "end".into()));
}

#[test]
fn what_was_finished_before_the_guest_went_is_whole() {
    for promised in [None, Some(6)] {
        let (sender, body) = written(promised);
        write(&sender, "abc");
        write(&sender, "def");
        drop(sender);
        assert!(!body.settle());
        assert_eq!((next(&body).unwrap(), next(&body).unwrap()), ("abc".into(), "def".into()));
        assert_eq!(next(&body).unwrap(), "end");
    }
}

#[test]
fn what_was_not_breaks_off_behind_what_was_written() {
    for (promised, reason) in [
        (None, "left its response body unfinished after 3 bytes"),
        (Some(6), "wrote 3 bytes where its Content-Length promises 6"),
    ] {
        let (sender, body) = written(promised);
        write(&sender, "abc");
        assert!(body.settle());
        // As it is when the guest has gone.
        drop(sender);
        assert!(body.reason("response").unwrap().contains(reason));
        assert_eq!(next(&body).unwrap(), "abc");
        assert!(next(&body).unwrap().contains(reason));
        assert_eq!(next(&body).unwrap(), "end", "told once");
    }
}

#[test]
fn bytes_that_were_held_back_are_not_passed_on_then() {
    let (sender, body) = written(Some(3));
    write(&sender, "abc");
    assert_eq!(next(&body), None);
    assert!(body.settle());
    assert!(next(&body).unwrap().contains("unfinished after 3 bytes"));
}

#[test]
fn too_many_bytes_break_it_off() {
    let (sender, body) = written(Some(5));
    write(&sender, "abcde");
    write(&sender, "fghi");
    assert!(next(&body).unwrap().contains("wrote 9 bytes where its Content-Length promises 5"));
}

/// A body of the host's.
struct Relayed(WasiBody);

impl http_body::Body for Relayed {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        asked_for_frame();
        Pin::new(&mut self.0).poll_frame(cx)
    }
}

#[test]
fn one_that_is_passed_on_needs_no_guest() {
    let (sender, mut receiver) = mpsc::channel(8);
    let inner = StreamBody::new(futures_util::stream::poll_fn(move |cx| receiver.poll_recv(cx)));
    let body = Written::new(Relayed(inner.boxed_unsync()).boxed_unsync(), &HeaderMap::new(), Abi::P3);
    assert!(!body.settle() && !body.settle());
    write(&sender, "abc");
    assert_eq!(next(&body).unwrap(), "abc");
    assert!(!body.settle());
    drop(sender);
    assert_eq!(next(&body).unwrap(), "end");
}
