//! A request's body as it comes off the wire, whichever version of HTTP brings it, or from this process itself.

use std::error::Error as _;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::Reason;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming as Http1;

use super::embedding::LocalBody;
use super::http2::Upload;
use crate::guest::{Arrival, Failure};

/// With what h2 answers a peer that breaks the protocol.
const FAULTS: [Reason; 4] =
    [Reason::PROTOCOL_ERROR, Reason::FLOW_CONTROL_ERROR, Reason::FRAME_SIZE_ERROR, Reason::COMPRESSION_ERROR];

/// The body of a request.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// There is none.
    Empty,
    Http1(Http1),
    Http2(Upload),
    /// The body of a request that came over no connection (`local`).
    Local(LocalBody),
}

/// What keeps a body of this process from going on.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl Incoming {
    /// Has `arrival` told of a flaw as soon as it has come, whether or not somebody reads so far. (hyper finds those of
    /// HTTP/1.1 as the body is read.)
    pub(super) fn tell(&self, arrival: &Arrival) {
        if let Self::Http2(body) = self {
            body.tell(arrival);
        }
    }
}

/// Why a request's body broke off.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    #[error(transparent)]
    Http1(hyper::Error),
    #[error(transparent)]
    Http2(h2::Error),
    #[error(transparent)]
    Local(BoxError),
}

impl Broken {
    /// What is wrong with what came, where it is not a body by the rules of its version.
    pub(crate) fn malformed(&self) -> Option<String> {
        match self {
            Self::Http1(error) => {
                let sources = std::iter::successors(error.source(), |&error| error.source());
                // hyper says of a body that is malformed what the kernel never says of a socket.
                let of_io = sources.filter_map(|error| error.downcast_ref::<io::Error>());
                of_io
                    .filter(|error| matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::InvalidData))
                    .map(ToString::to_string)
                    .next()
            }
            Self::Http2(error) => malformed_http2(error),
            Self::Local(_) => None,
        }
    }
}

/// What is wrong with what came, where it is h2 itself that ended the stream, or all streams, for what its peer did.
pub(super) fn malformed_http2(error: &h2::Error) -> Option<String> {
    let is_fault = error.reason().is_some_and(|reason| FAULTS.contains(&reason));
    (error.is_library() && is_fault).then(|| error.to_string())
}

/// The failure of a request whose body is malformed; `what` says how.
pub(super) fn malformed_body(what: &str) -> Failure {
    Failure::bad_request(format!("the request's body is malformed: {what}"))
}

impl Body for Incoming {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Poll::Ready(match self.get_mut() {
            Self::Empty => None,
            Self::Http1(body) => {
                ready!(Pin::new(body).poll_frame(cx)).map(|frame| frame.map_err(Broken::Http1))
            }
            Self::Http2(body) => ready!(body.poll_frame(cx)).map(|frame| frame.map_err(Broken::Http2)),
            Self::Local(body) => {
                ready!(Pin::new(body).poll_frame(cx)).map(|frame| frame.map_err(Broken::Local))
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Http1(body) => body.is_end_stream(),
            Self::Http2(body) => body.is_over(),
            Self::Local(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Http1(body) => body.size_hint(),
            Self::Http2(body) => body.left().map_or_else(SizeHint::default, SizeHint::with_exact),
            Self::Local(body) => body.size_hint(),
        }
    }
}
