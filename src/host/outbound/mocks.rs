//! Mocks: answers to outgoing requests in place of the network, by the trace of the request on whose behalf a guest calls
//! (`pounce test`). Requests that are served at once so have each their own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, request};
use http_body_util::{BodyExt as _, Full, Limited};
use pounce_telemetry::TraceId;
use tokio::time::timeout;
use wasmtime_wasi_http::{Error, WasiBody};

use super::error::named;
use super::limits::Timeouts;

/// Bytes of a request's body that a mock takes.
const MOST: usize = 16 * 1024 * 1024;

/// What becomes of an outgoing request.
#[derive(Debug)]
pub(crate) enum Reply {
    /// It gets this response, after that time.
    Respond(Response<Bytes>, Duration),
    /// It fails with the error code of this name, after that time.
    Fail(&'static str, Duration),
    /// It goes out, as far as the component's rules allow it.
    PassOn,
    /// It is refused as one that no rule allows.
    Refuse,
    /// That depends on its body: ask again with it.
    Read,
}

/// Says what becomes of an outgoing request, whose body it is given where it has asked for it.
pub(crate) type Script = Arc<dyn Fn(&request::Parts, Option<&Bytes>) -> Reply + Send + Sync>;

/// The scripts of all requests that are served now.
#[derive(Default)]
pub(crate) struct Mocks(Mutex<HashMap<TraceId, Script>>);

/// Has a script followed, until it is dropped.
pub(crate) struct Followed {
    mocks: Arc<Mocks>,
    trace_id: TraceId,
}

impl Drop for Followed {
    fn drop(&mut self) {
        self.mocks.scripts().remove(&self.trace_id);
    }
}

/// On whose behalf a guest calls: an extension of its request.
#[derive(Clone, Copy, Debug)]
pub(in crate::host) struct Behalf(pub(in crate::host) TraceId);

impl Mocks {
    /// Follows `script` for outgoing requests of the trace with this id.
    pub(crate) fn follow(self: &Arc<Self>, trace_id: TraceId, script: Script) -> Followed {
        self.scripts().insert(trace_id, script);
        Followed { mocks: Arc::clone(self), trace_id }
    }

    fn scripts(&self) -> MutexGuard<'_, HashMap<TraceId, Script>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers a request as its script says; gives it back where it is to go out.
    pub(super) async fn answer(
        &self,
        request: Request<WasiBody>,
        timeouts: Timeouts,
    ) -> Result<Result<Response<WasiBody>, Request<WasiBody>>, Error> {
        let script =
            request.extensions().get::<Behalf>().and_then(|Behalf(id)| self.scripts().get(id).cloned());
        let script = script.ok_or(Error::HttpRequestDenied)?;
        let (head, body) = request.into_parts();
        let reply = match script(&head, None) {
            Reply::PassOn => return Ok(Err(Request::from_parts(head, body))),
            Reply::Refuse => return Err(Error::HttpRequestDenied),
            reply => reply,
        };
        // A server reads the request before it answers: a guest that writes would wait for ever for one that does not.
        let body =
            Limited::new(body, MOST).collect().await.map_err(|error| match error.downcast::<Error>() {
                Ok(error) => *error,
                Err(_) => Error::HttpRequestBodySize(Some(MOST as u64)),
            })?;
        let body = body.to_bytes();
        let reply = if let Reply::Read = reply { script(&head, Some(&body)) } else { reply };
        let after = async |time: Duration| {
            let waited = timeout(timeouts.first_byte, tokio::time::sleep(time)).await;
            waited.map_err(|_| Error::HttpResponseTimeout)
        };
        match reply {
            Reply::Respond(response, delay) => {
                after(delay).await?;
                let body = |bytes| Full::new(bytes).map_err(|never| match never {}).boxed_unsync();
                Ok(Ok(response.map(body)))
            }
            Reply::Fail(code, delay) => {
                after(delay).await?;
                Err(named(code).unwrap_or(Error::InternalError(None)))
            }
            Reply::PassOn => {
                let body = Full::new(body).map_err(|never| match never {}).boxed_unsync();
                Ok(Err(Request::from_parts(head, body)))
            }
            Reply::Refuse | Reply::Read => Err(Error::HttpRequestDenied),
        }
    }
}
