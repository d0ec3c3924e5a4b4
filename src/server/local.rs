//! Requests that come over no connection, but from the program itself: the way of every other request, from the handler on.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderValue, Request, Response};
use http_body_util::BodyExt as _;
use pounce_telemetry::Peer;

use super::embedding::{Embedding, LocalBody};
use super::forwarded::Hop;
use super::handler::Handler;
use super::idle::Activity;
use super::incoming::{BoxError, Incoming};
use super::response::Body;
use crate::guest::{Rooms, Share};

/// The host of a request that names none.
const LOCALHOST: HeaderValue = HeaderValue::from_static("localhost");
/// How often others have their turn before whoever waits for a guest sleeps.
const TURNS: usize = 64;
/// How long it sleeps then.
const LOOK: Duration = Duration::from_millis(1);

/// Tells when a guest is done with a request.
#[derive(Debug)]
pub(crate) struct Settled(Arc<Rooms>);

impl Settled {
    /// Resolves when nothing works for the request any more. Its response has to be read, or dropped, before.
    pub(crate) async fn wait(&self) {
        for turn in 0.. {
            if self.0.working.taken() + self.0.waiting.taken() == 0 {
                return;
            }
            if turn < TURNS {
                tokio::task::yield_now().await;
            } else {
                tokio::time::sleep(LOOK).await;
            }
        }
    }
}

/// Serves one request, in a share of its own of the places: other requests neither take it away nor wait for it.
pub(crate) async fn call<B>(handler: &Handler, request: Request<B>) -> (Response<Body>, Settled)
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let embedding = Arc::new(Embedding::current());
    let mut request = request.map(|body| match body.is_end_stream() {
        true => Incoming::Empty,
        false => Incoming::Local(LocalBody {
            body: body.map_err(Into::into).boxed_unsync(),
            embedding: embedding.clone(),
        }),
    });
    if request.uri().authority().is_none() && !request.headers().contains_key(HOST) {
        request.headers_mut().insert(HOST, LOCALHOST);
    }
    let hop = Hop { peer: Peer::default(), is_trusted: false };
    let share = handler.admission.share(None);
    let own = Arc::new(Rooms::new(1, 1, u64::MAX));
    let activity = Arc::new(Activity::local(Share { own: Some(own.clone()), ..share }, embedding.clone()));
    let mut response = handler.handle(&hop, &activity, request).await;
    if let Some(context) = embedding.request() {
        response.extensions_mut().insert(context.clone());
    }
    (response, Settled(own))
}
