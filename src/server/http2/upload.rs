//! A request's body over HTTP/2: the connection takes it from h2 as it comes, the guest reads it when it will, and the
//! peer may send as much again as has been read.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use bytes::Bytes;
use h2::{FlowControl, RecvStream};
use http::header::{CONTENT_LENGTH, EXPECT};
use http::{HeaderMap, request};
use http_body::Frame;
use tokio::sync::oneshot;

use super::pieces::Pieces;
use crate::guest::Arrival;
use crate::server::incoming::{Incoming, malformed_body, malformed_http2};

/// What the task that answers a request sees of its body.
pub(super) struct Watched {
    /// None where the request has no body.
    shared: Option<Arc<Shared>>,
    /// Resolves when the guest wants the body of a request whose client waits to be told so (`Expect: 100-continue`).
    wanted: Option<oneshot::Receiver<()>>,
}

impl Watched {
    /// True once, when the client is to be told to send the body.
    pub(super) fn poll_wanted(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(wanted) = &mut self.wanted else { return false };
        let Poll::Ready(is_wanted) = Pin::new(wanted).poll(cx) else { return false };
        self.wanted = None;
        is_wanted.is_ok()
    }

    /// Takes what has come, whether or not there is news of it: where the connection takes it at this moment, this waits
    /// until it has. To be called before the request is given up because its stream is gone: a flaw in the body may be
    /// the reason.
    pub(super) fn fetch(&self) {
        if let Some(shared) = &self.shared {
            shared.take();
        }
    }
}

/// The uploads of a connection that are not over.
#[derive(Debug, Default)]
pub(super) struct Uploads(Vec<Arc<Shared>>);

impl Uploads {
    /// The body of a request, for its reader and for the task that answers it.
    pub(super) fn begin(&mut self, head: &request::Parts, mut stream: RecvStream) -> (Incoming, Watched) {
        if stream.is_end_stream() {
            return (Incoming::Empty, Watched { shared: None, wanted: None });
        }
        let room = stream.flow_control().clone();
        let shared = Arc::new(Shared {
            // What came with the head.
            has_news: AtomicBool::new(true),
            state: Mutex::new(State {
                stream: Some(stream),
                pieces: Pieces::default(),
                end: End::Open,
                reader: None,
                arrival: None,
            }),
        });
        let is_awaited = head.headers.contains_key(EXPECT);
        let (sender, wanted) = is_awaited.then(oneshot::channel).unzip();
        // Compared by h2 with what comes.
        let left = head.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        if shared.fetch() {
            self.0.push(shared.clone());
        }
        let watched = Watched { shared: Some(shared.clone()), wanted };
        (Incoming::Http2(Upload { shared, room, left, wanted: sender }), watched)
    }

    /// Takes from h2 what has come. To be called whenever h2 has read from the socket.
    pub(super) fn fetch(&mut self) {
        self.0.retain(|upload| upload.fetch());
    }
}

impl Drop for Uploads {
    fn drop(&mut self) {
        // The connection is gone, and h2 has said so to each stream.
        self.fetch();
    }
}

/// One upload, between the connection and its reader.
#[derive(Debug)]
struct Shared {
    has_news: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Until its end, or until nobody reads any more.
    stream: Option<RecvStream>,
    pieces: Pieces,
    end: End,
    reader: Option<Waker>,
    /// Is told of a flaw.
    arrival: Option<Arrival>,
}

#[derive(Debug)]
enum End {
    Open,
    /// The trailers are taken by the reader, and so is the error.
    Complete(Option<HeaderMap>),
    Broken(Option<h2::Error>),
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what has come, where there is news; false when nothing more will come.
    fn fetch(self: &Arc<Self>) -> bool {
        !self.has_news.swap(false, Ordering::AcqRel) || self.take()
    }

    /// Takes what has come; false when nothing more will.
    fn take(self: &Arc<Self>) -> bool {
        let waker = Waker::from(self.clone());
        let (reader, goes_on) = self.state().fetch(&mut Context::from_waker(&waker));
        if let Some(reader) = reader {
            reader.wake();
        }
        goes_on
    }
}

/// h2 tells of frames while the connection is polled, which asks for them right after that: a mark is enough.
impl Wake for Shared {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.has_news.store(true, Ordering::Release);
    }
}

impl State {
    fn fetch(&mut self, cx: &mut Context<'_>) -> (Option<Waker>, bool) {
        let Some(stream) = &mut self.stream else { return (None, false) };
        let mut is_new = false;
        while let Poll::Ready(data) = stream.poll_data(cx) {
            is_new = true;
            match data {
                Some(Ok(data)) => {
                    self.pieces.push(data);
                    continue;
                }
                Some(Err(error)) => self.end = End::Broken(Some(error)),
                None => match stream.poll_trailers(cx) {
                    Poll::Ready(Ok(trailers)) => self.end = End::Complete(trailers),
                    Poll::Ready(Err(error)) => self.end = End::Broken(Some(error)),
                    Poll::Pending => {}
                },
            }
            break;
        }
        self.tell();
        let goes_on = matches!(self.end, End::Open);
        if !goes_on {
            self.stream = None;
        }
        (if is_new { self.reader.take() } else { None }, goes_on)
    }

    /// Tells whoever is to know that what came is no body.
    fn tell(&self) {
        if let (End::Broken(Some(error)), Some(arrival)) = (&self.end, &self.arrival)
            && let Some(what) = malformed_http2(error)
        {
            arrival.break_off(malformed_body(&what));
        }
    }
}

/// The body of a request, for its reader.
#[derive(Debug)]
pub(crate) struct Upload {
    shared: Arc<Shared>,
    /// Tells the peer that there is room again.
    room: FlowControl,
    /// Bytes that the head promises and that have not been read.
    left: Option<u64>,
    /// Tells the client that waits for it that the body is wanted.
    wanted: Option<oneshot::Sender<()>>,
}

impl Upload {
    /// Has `arrival` told of a flaw as soon as it has come.
    pub(in crate::server) fn tell(&self, arrival: &Arrival) {
        let mut state = self.shared.state();
        state.arrival = Some(arrival.clone());
        state.tell();
    }

    pub(in crate::server) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        if let Some(wanted) = self.wanted.take() {
            // Nobody listens any more when the response was first.
            _ = wanted.send(());
        }
        let mut state = self.shared.state();
        if let Some(piece) = state.pieces.pop() {
            drop(state);
            // Fails where the connection is gone: no matter then.
            _ = self.room.release_capacity(piece.len());
            self.left = self.left.map(|left| left.saturating_sub(piece.len() as u64));
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        match &mut state.end {
            End::Open => {
                state.reader = Some(cx.waker().clone());
                Poll::Pending
            }
            End::Complete(trailers) => {
                Poll::Ready(trailers.take().map(|trailers| Ok(Frame::trailers(trailers))))
            }
            End::Broken(error) => Poll::Ready(error.take().map(Err)),
        }
    }

    /// Everything has been read, and it was complete.
    pub(in crate::server) fn is_over(&self) -> bool {
        let state = self.shared.state();
        state.pieces.is_empty() && matches!(state.end, End::Complete(None))
    }

    /// Bytes that are still to be read, where the head says how many there are.
    pub(in crate::server) fn left(&self) -> Option<u64> {
        self.left
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        let stream = state.stream.take();
        state.pieces = Pieces::default();
        drop(state);
        self.shared.has_news.store(true, Ordering::Release);
        // h2 drops what comes from now on, and gives its room back to the connection.
        drop(stream);
    }
}
