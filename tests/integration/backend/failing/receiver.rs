//! Receivers under test, over each protocol: one that is well, and what can be wrong with one. They count what they took.

use super::streams::{self, Ends};
use crate::support::broken::{Broken, Trouble};
use crate::support::forms::Form;
use crate::support::server::{Arrived, Serving, serve_on};
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use prost::Message;
use serde_json::Value;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket};

/// What came in the requests that a receiver answered with a yes.
#[derive(Default)]
pub(super) struct Took {
    pub(super) spans: AtomicUsize,
    pub(super) records: AtomicUsize,
    pub(super) points: AtomicUsize,
    /// Points of all requests that came whole, whatever the answer was; by a hash of the request, since one that is tried
    /// again has the same points.
    offered: Mutex<HashMap<u64, usize>>,
    hasher: RandomState,
}

impl Took {
    /// Notes that a request came, and whether it was taken.
    pub(super) fn note(&self, form: Form, arrived: &Arrived, taken: bool) {
        // The paths of gRPC have their names in capitals.
        let path = arrived.target.to_ascii_lowercase();
        let of_metrics = path.contains("metrics");
        if !of_metrics && !taken {
            return;
        }
        // Of gRPC's frame, the head is flag and length.
        let body = arrived.body.slice(if form == Form::Grpc { 5.. } else { 0.. });
        let items = items_in(form, &body, of_metrics);
        if of_metrics {
            self.offered.lock().expect("not poisoned").insert(self.hasher.hash_one(&body), items);
        }
        if taken {
            let count = match () {
                () if of_metrics => &self.points,
                () if path.contains("logs") => &self.records,
                () => &self.spans,
            };
            count.fetch_add(items, Relaxed);
        }
    }

    /// Points that it was offered so far, each once.
    pub(super) fn offered(&self) -> usize {
        self.offered.lock().expect("not poisoned").values().sum()
    }
}

/// A receiver under test.
pub(super) struct Receiver {
    pub(super) protocol: &'static str,
    pub(super) endpoint: String,
    pub(super) took: Arc<Took>,
    /// It answers each request at once, so that no point is given up that it was not offered.
    pub(super) sees_all: bool,
    /// It asks to be left alone, and what is to be sent waits.
    pub(super) asks_to_wait: bool,
    /// What keeps it up.
    _up: Up,
}

enum Up {
    Nothing,
    Broken { _broken: Broken },
    Serving { _serving: Serving },
    Task { _task: tokio::task::JoinHandle<()> },
}

/// An answer to `http/protobuf` of this status and body; other protocols get the same in their form, and what is no OTLP
/// as it is.
pub(super) fn saying(status: u16, body: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
    response
}

/// An answer with a content type.
pub(super) fn typed(status: u16, kind: &'static str, body: &'static str) -> Response<Full<Bytes>> {
    let mut response = saying(status, body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// All was taken.
pub(super) fn yes() -> Response<Full<Bytes>> {
    typed(200, "application/x-protobuf", "")
}

/// A refusal that asks for a second of quiet; over gRPC the same by `RetryInfo`.
pub(super) fn later(status: u16) -> Response<Full<Bytes>> {
    let mut response = saying(status, "");
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(1));
    response
}

/// How a receiver answers the request of a number.
struct Answers<F> {
    took: Arc<Took>,
    number: AtomicUsize,
    /// As it is, in whatever protocol it was asked.
    raw: bool,
    /// From now on nobody gets an answer.
    going: AtomicBool,
    answer: F,
}

impl<F: Fn(usize) -> Response<Full<Bytes>> + Send + Sync + 'static> Answers<F> {
    fn new(raw: bool, answer: F) -> Arc<Self> {
        let (number, going) = (AtomicUsize::new(0), AtomicBool::new(false));
        Arc::new(Answers { took: Arc::default(), number, raw, going, answer })
    }

    /// Serves on `listener`, counting what it answers with a yes.
    fn serve_on(self: &Arc<Self>, listener: TcpListener) -> (SocketAddr, Serving) {
        let this = Arc::clone(self);
        serve_on(listener, None, move |arrived| {
            let this = Arc::clone(&this);
            async move {
                if this.going.load(Relaxed) {
                    std::future::pending::<()>().await;
                }
                let form = Form::of(&arrived).expect("OTLP");
                let response = (this.answer)(this.number.fetch_add(1, Relaxed));
                // Over gRPC a yes is more than a 200.
                let taken = response.status() == StatusCode::OK && !(this.raw && form == Form::Grpc);
                this.took.note(form, &arrived, taken);
                Some(if this.raw { response.map(Full::boxed) } else { form.answer(response).await })
            }
        })
    }
}

async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.expect("a free port")
}

impl Receiver {
    fn at(protocol: &'static str, addr: SocketAddr, took: Arc<Took>, up: Up) -> Self {
        let endpoint = format!("http://{addr}");
        Receiver { protocol, endpoint, took, sees_all: false, asks_to_wait: false, _up: up }
    }

    /// Answers in the form of the protocol. Where it asks for no wait, it is offered each point.
    pub(super) async fn that_answers(
        protocol: &'static str,
        answer: impl Fn(usize) -> Response<Full<Bytes>> + Send + Sync + 'static,
    ) -> Self {
        Self::with(protocol, Answers::new(false, answer)).await
    }

    /// Answers in the words of HTTP, whatever it was asked in.
    pub(super) async fn that_babbles(
        protocol: &'static str,
        answer: impl Fn(usize) -> Response<Full<Bytes>> + Send + Sync + 'static,
    ) -> Self {
        Self::with(protocol, Answers::new(true, answer)).await
    }

    async fn with<F>(protocol: &'static str, answers: Arc<Answers<F>>) -> Self
    where
        F: Fn(usize) -> Response<Full<Bytes>> + Send + Sync + 'static,
    {
        let (addr, serving) = answers.serve_on(listener().await);
        let waits = (answers.answer)(0).headers().contains_key(header::RETRY_AFTER);
        let up = Up::Serving { _serving: serving };
        let receiver = Self::at(protocol, addr, answers.took.clone(), up);
        Receiver { sees_all: !waits, asks_to_wait: waits, ..receiver }
    }

    pub(super) async fn that_is_well(protocol: &'static str) -> Self {
        Self::that_answers(protocol, |_| yes()).await
    }

    pub(super) async fn in_trouble(protocol: &'static str, trouble: Trouble) -> Self {
        let broken = Broken::start(trouble).await;
        let addr = broken.addr();
        let mut receiver = Self::at(protocol, addr, Arc::default(), Up::Broken { _broken: broken });
        if matches!(trouble, Trouble::HalfHandshake) {
            receiver.endpoint = format!("https://{addr}");
        }
        receiver
    }

    pub(super) async fn that_refuses(protocol: &'static str) -> Self {
        let addr = listener().await.local_addr().expect("bound");
        Self::at(protocol, addr, Arc::default(), Up::Nothing)
    }

    /// There for a while, gone for a while.
    pub(super) async fn that_comes_and_goes(protocol: &'static str) -> Self {
        let answers = Answers::new(false, |_| yes());
        let took = Arc::clone(&answers.took);
        let mut listener = listener().await;
        let addr = listener.local_addr().expect("bound");
        let task = tokio::spawn(async move {
            loop {
                let (_, serving) = answers.serve_on(listener);
                tokio::time::sleep(Duration::from_millis(130)).await;
                // What was counted as taken is told so; who comes now is never answered.
                answers.going.store(true, Relaxed);
                tokio::time::sleep(Duration::from_millis(20)).await;
                drop(serving);
                // Bound and not listening: connections are refused, and no other test gets the port.
                let away = loop {
                    let socket = TcpSocket::new_v4().expect("a socket");
                    socket.set_reuseaddr(true).expect("a socket");
                    match socket.bind(addr) {
                        Ok(()) => break socket,
                        Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
                    }
                };
                tokio::time::sleep(Duration::from_millis(150)).await;
                answers.going.store(false, Relaxed);
                listener = away.listen(64).expect("its own port");
            }
        });
        Self::at(protocol, addr, took, Up::Task { _task: task })
    }

    /// Speaks gRPC, and ends streams or connections instead of, or beside, answering.
    pub(super) async fn that_ends(ends: Ends) -> Self {
        let took = Arc::<Took>::default();
        let listener = listener().await;
        let addr = listener.local_addr().expect("bound");
        let task = tokio::spawn(streams::serve(listener, ends, Arc::clone(&took)));
        Self::at("grpc", addr, took, Up::Task { _task: task })
    }
}

/// As much of a request for export as counting takes. A receiver that is well must not slow down the server beside it by
/// reading all of it in this process.
#[derive(Message)]
struct Request {
    #[prost(message, repeated, tag = "1")]
    resources: Vec<OfResource>,
}

#[derive(Message)]
struct OfResource {
    #[prost(message, repeated, tag = "2")]
    scopes: Vec<OfScope>,
}

/// Spans, log records or metrics.
#[derive(Message)]
struct OfScope {
    #[prost(bytes = "bytes", repeated, tag = "2")]
    items: Vec<Bytes>,
}

/// A metric; its points are in one of these.
#[derive(Message)]
struct Metric {
    #[prost(message, optional, tag = "5")]
    gauge: Option<Points>,
    #[prost(message, optional, tag = "7")]
    sum: Option<Points>,
    #[prost(message, optional, tag = "9")]
    histogram: Option<Points>,
    #[prost(message, optional, tag = "10")]
    exponential: Option<Points>,
}

#[derive(Message)]
struct Points {
    #[prost(bytes = "bytes", repeated, tag = "1")]
    points: Vec<Bytes>,
}

/// Spans, log records or points in a request.
fn items_in(form: Form, body: &Bytes, of_metrics: bool) -> usize {
    if form == Form::Json {
        return items_in_json(&serde_json::from_slice(body).expect("OTLP in JSON"));
    }
    let request = Request::decode(body.clone()).expect("OTLP");
    let items = request.resources.into_iter().flat_map(|of| of.scopes).flat_map(|of| of.items);
    if !of_metrics {
        return items.count();
    }
    let points = |metric: Bytes| {
        let Metric { gauge, sum, histogram, exponential } = Metric::decode(metric).expect("OTLP");
        [gauge, sum, histogram, exponential].iter().flatten().map(|data| data.points.len()).sum::<usize>()
    };
    items.map(points).sum()
}

/// Counts the items of a JSON body by the names of the lists.
fn items_in_json(value: &Value) -> usize {
    let Value::Object(fields) = value else { return 0 };
    let of = |(name, value): (&String, &Value)| match (name.as_str(), value) {
        ("spans" | "logRecords" | "dataPoints", Value::Array(items)) => items.len(),
        ("resource" | "scope", _) => 0,
        (_, Value::Array(list)) => list.iter().map(items_in_json).sum(),
        (_, value) => items_in_json(value),
    };
    fields.iter().map(of).sum()
}
