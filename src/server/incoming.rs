//! A request's body as it comes off the wire, whichever version of HTTP brings it.

use std::error::Error as _;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming as Http1;

use super::http2::Upload;

/// The body of a request.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// There is none.
    Empty,
    Http1(Http1),
    Http2(Upload),
}

/// Why a request's body broke off.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    #[error(transparent)]
    Http1(hyper::Error),
    #[error(transparent)]
    Http2(h2::Error),
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
            // h2 says who it was that reset the stream: here we did.
            Self::Http2(error) => {
                let is_ours = error.is_library() && error.reason() == Some(h2::Reason::PROTOCOL_ERROR);
                is_ours.then(|| error.to_string())
            }
        }
    }
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
        })
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Http1(body) => body.is_end_stream(),
            Self::Http2(body) => body.is_over(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Http1(body) => body.size_hint(),
            Self::Http2(body) => body.left().map_or_else(SizeHint::default, SizeHint::with_exact),
        }
    }
}
