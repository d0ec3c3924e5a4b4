//! An OTLP receiver with scripted replies, for all protocols on one port. It decodes with `opentelemetry-proto`, not with our own encoder's
//! tables, and keeps what it accepted: spans, and apart from them metrics and log records.

use super::forms::{Body, Form};
use super::server::{Arrived, Identity, Serving, serve_on};
use super::signals::{LogRecord, Metric, Received, in_order};
use super::span::{Span, read};
use super::{PATIENCE, eventually, within};
use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{HeaderMap, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use prost::Message;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::watch;

/// How the collector answers an export.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// Takes all spans.
    Accept,
    /// Takes all spans, after a while.
    AcceptAfter(Duration),
    /// Says that it left out this many, and why.
    Partial(i64, &'static str),
    /// Refuses with a status.
    Refuse(u16),
    /// Refuses with a status and `Retry-After` in seconds.
    RetryAfter(u16, u64),
    /// 200 with a body that is no OTLP.
    Garbage,
    /// Closes the connection without an answer.
    HangUp,
    /// Never answers.
    Silence,
}

/// One request for export, refused ones too.
#[derive(Clone, Debug)]
pub(crate) struct Export {
    /// Path and query.
    pub(crate) target: String,
    /// Headers.
    pub(crate) headers: HeaderMap,
    /// Its spans; none where they are only counted.
    pub(crate) spans: Vec<Span>,
    /// Whether the reply took them.
    pub(crate) accepted: bool,
    /// When it came, before it was answered.
    pub(crate) at: Instant,
}

/// One request for export of metrics or log records, refused ones too.
#[derive(Clone, Debug)]
pub(crate) struct Other {
    /// Path and query.
    pub(crate) target: String,
    /// Headers.
    pub(crate) headers: HeaderMap,
    /// What it holds.
    pub(crate) received: Received,
    /// Whether the reply took it.
    pub(crate) accepted: bool,
}

/// The receiver.
pub(crate) struct Collector {
    addr: SocketAddr,
    script: Arc<Mutex<Script>>,
    exports: watch::Receiver<Vec<Export>>,
    others: watch::Receiver<Vec<Other>>,
    _serving: Serving,
}

struct Script {
    next: VecDeque<Reply>,
    then: Reply,
    /// To metrics and log records, which no script covers.
    to_others: Reply,
    /// Bytes of a message that it takes, and the status of HTTP for more.
    most: Option<(usize, u16)>,
    /// Bytes of all messages that were not too large.
    sizes: Vec<usize>,
    /// Messages that were.
    too_large: usize,
}

impl Collector {
    /// Starts one that accepts everything.
    pub(crate) async fn start() -> Self {
        Self::with(None).await
    }

    /// Starts a collector, in TLS if there is an identity.
    pub(crate) async fn with(identity: Option<&Identity>) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").await.expect("a free port"), identity)
    }

    /// Starts a collector in the place of another that is gone, as soon as its port is free: its connections end a moment
    /// after it, and for that moment the port may be a client's of another test.
    pub(crate) async fn back_at(addr: SocketAddr) -> Self {
        let mut listener = None;
        eventually("its port to be free again", async || {
            listener = TcpListener::bind(addr).await.ok();
            listener.is_some()
        })
        .await;
        Self::on(listener.expect("just now"), None)
    }

    fn on(listener: TcpListener, identity: Option<&Identity>) -> Self {
        let script = Arc::new(Mutex::new(Script {
            next: VecDeque::new(),
            then: Reply::Accept,
            to_others: Reply::Accept,
            most: None,
            sizes: Vec::new(),
            too_large: 0,
        }));
        let (sender, exports) = watch::channel(Vec::new());
        let (of_others, others) = watch::channel(Vec::new());
        let (sender, of_others) = (Arc::new(sender), Arc::new(of_others));
        let replies = script.clone();
        let answer = move |arrived: Arrived| {
            let unpacked = Form::unpack(arrived);
            let refusal = unpacked.as_ref().and_then(|(form, message)| {
                replies.lock().expect("not poisoned").too_large(*form, message.body.len())
            });
            let read = unpacked.and_then(|(form, message)| Some((form, form.as_protobuf(message)?)));
            // What is too large is not looked at, and is none of the exports.
            if let Some(refusal) = refusal {
                return std::future::ready(Some(refusal)).left_future();
            }
            let other = read.as_ref().and_then(|(_, arrived)| Received::decode(arrived));
            let reply = {
                let mut script = replies.lock().expect("not poisoned");
                match &other {
                    Some(_) => script.to_others.clone(),
                    None => script.next.pop_front().unwrap_or_else(|| script.then.clone()),
                }
            };
            let (sender, of_others) = (sender.clone(), of_others.clone());
            let answer = async move {
                // A real collector would refuse this as well; the span that never comes fails the test.
                let Some((form, arrived)) = read else {
                    return Some(with_status(StatusCode::BAD_REQUEST).map(Full::boxed));
                };
                let answer = match other {
                    Some(received) => answer_other(arrived, received, reply, of_others).await,
                    None => answer(arrived, reply, sender).await,
                };
                match answer {
                    Some(answer) => Some(form.answer(answer).await),
                    None => None,
                }
            };
            answer.right_future()
        };
        let (addr, serving) = serve_on(listener, identity, answer);
        Collector { addr, script, exports, others, _serving: serving }
    }

    /// Where it listens.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What to give as `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Replies to the next exports, in order.
    pub(crate) fn script(&self, replies: impl IntoIterator<Item = Reply>) {
        self.script.lock().expect("not poisoned").next.extend(replies);
    }

    /// Replies thus to every export that the script does not cover.
    pub(crate) fn always(&self, reply: Reply) {
        self.script.lock().expect("not poisoned").then = reply;
    }

    /// Replies thus to metrics and log records from now on.
    pub(crate) fn always_to_others(&self, reply: Reply) {
        self.script.lock().expect("not poisoned").to_others = reply;
    }

    /// Refuses messages of more than `most` bytes before compression from now on: over HTTP with this status.
    pub(crate) fn takes_at_most(&self, most: usize, status: u16) {
        self.script.lock().expect("not poisoned").most = Some((most, status));
    }

    /// Messages that were too large so far.
    pub(crate) fn too_large(&self) -> usize {
        self.script.lock().expect("not poisoned").too_large
    }

    /// Bytes of all messages that were not, in the order of their arrival.
    pub(crate) fn sizes(&self) -> Vec<usize> {
        self.script.lock().expect("not poisoned").sizes.clone()
    }

    /// All exports of guests' metrics and log records so far.
    pub(crate) fn others(&self) -> Vec<Other> {
        let mut others: Vec<_> = self.others.borrow().clone();
        others.retain(|other| {
            let records = other.received.clone().logs();
            let is_of_guests = |record: &LogRecord| record.origin.scope != "pounce";
            !other.received.is_hosts() && (records.is_empty() || records.iter().any(is_of_guests))
        });
        others
    }

    /// All exports of the host's own metrics so far.
    pub(crate) fn hosts(&self) -> Vec<Other> {
        self.others.borrow().iter().filter(|other| other.received.is_hosts()).cloned().collect()
    }

    /// The host's own metrics of the last accepted export that has any.
    pub(crate) fn host_metrics(&self) -> Vec<Metric> {
        let last = self.hosts().into_iter().rfind(|other| other.accepted);
        last.map(|other| other.received.metrics()).unwrap_or_default()
    }

    /// Points of metrics that were accepted so far, guests' and the host's.
    pub(crate) fn points(&self) -> usize {
        let accepted =
            self.others.borrow().iter().filter(|other| other.accepted).cloned().collect::<Vec<_>>();
        let metrics = accepted.into_iter().flat_map(|other| other.received.metrics());
        metrics.map(|metric| metric.points.len()).sum()
    }

    /// Requests for export of log records so far, refused ones too.
    pub(crate) fn log_exports(&self) -> usize {
        let others = self.others.borrow();
        others.iter().filter(|other| matches!(other.received, Received::Logs(_))).count()
    }

    /// The accepted log records of guests so far.
    pub(crate) fn log_records(&self) -> Vec<LogRecord> {
        let mut records = self.all_log_records();
        records.retain(|record| record.origin.scope != "pounce");
        records
    }

    /// The accepted log records of the server's own so far.
    pub(crate) fn own_log_records(&self) -> Vec<LogRecord> {
        let mut records = self.all_log_records();
        records.retain(|record| record.origin.scope == "pounce");
        records
    }

    fn all_log_records(&self) -> Vec<LogRecord> {
        let others = self.others.borrow().clone();
        in_order(others.into_iter().filter(|other| other.accepted).flat_map(|other| other.received.logs()))
    }

    /// Waits until so many log records have been accepted, and fails on more.
    pub(crate) async fn log_records_of(&self, n: usize) -> Vec<LogRecord> {
        eventually(&format!("{n} log records"), async || self.log_records().len() >= n).await;
        let records = self.log_records();
        assert_eq!(records.len(), n, "{records:#?}");
        records
    }

    /// The metrics of the last accepted export that has any.
    pub(crate) fn metrics(&self) -> Vec<Metric> {
        let accepted = self.others().into_iter().filter(|other| other.accepted);
        accepted
            .map(|other| other.received.metrics())
            .rfind(|metrics| !metrics.is_empty())
            .unwrap_or_default()
    }

    /// Waits until an accepted export has metrics that `wanted` picks.
    pub(crate) async fn metrics_where(&self, what: &str, wanted: impl Fn(&[Metric]) -> bool) -> Vec<Metric> {
        eventually(&format!("metrics {what}"), async || wanted(&self.metrics())).await;
        self.metrics()
    }

    /// All exports so far.
    pub(crate) fn exports(&self) -> Vec<Export> {
        self.exports.borrow().clone()
    }

    /// The accepted spans so far.
    pub(crate) fn received(&self) -> Vec<Span> {
        accepted(&self.exports.borrow())
    }

    /// Waits until `n` exports have arrived.
    pub(crate) async fn exports_of(&self, n: usize) -> Vec<Export> {
        let mut exports = self.exports.clone();
        let wait = exports.wait_for(|exports| exports.len() >= n);
        within(&format!("waiting for {n} exports"), wait).await.expect("the receiver runs").clone()
    }

    /// Waits until `n` spans have been accepted, and fails on more: a span that comes twice is a lie too.
    pub(crate) async fn spans(&self, n: usize) -> Vec<Span> {
        let mut exports = self.exports.clone();
        let wait = exports.wait_for(|exports| accepted(exports).len() >= n);
        let in_time = tokio::time::timeout(PATIENCE, wait).await.is_ok();
        let spans = self.received();
        let names: Vec<_> = spans.iter().map(|span| &span.name).collect();
        assert!(in_time && spans.len() == n, "{} spans came and not {n}: {names:?}", spans.len());
        spans
    }

    /// Waits for the one span of the one request that was made.
    pub(crate) async fn span(&self) -> Span {
        self.spans(1).await.remove(0)
    }

    /// Waits for a span that `wanted` picks.
    pub(crate) async fn span_where(&self, what: &str, wanted: impl Fn(&Span) -> bool) -> Span {
        let mut exports = self.exports.clone();
        let pick = |exports: &Vec<Export>| accepted(exports).into_iter().find(|span| wanted(span));
        let found =
            match tokio::time::timeout(PATIENCE, exports.wait_for(|exports| pick(exports).is_some())).await {
                Ok(exports) => pick(&exports.expect("the receiver runs")),
                Err(_) => None,
            };
        found.unwrap_or_else(|| {
            let names: Vec<_> = self.received().into_iter().map(|span| span.name).collect();
            panic!("no span {what} among {names:?}")
        })
    }
}

impl Script {
    /// The refusal of a message of `size` bytes, if it is too large.
    fn too_large(&mut self, form: Form, size: usize) -> Option<Response<Body>> {
        match self.most {
            Some((most, status)) if size > most => {
                self.too_large += 1;
                Some(form.too_large(size, most, status))
            }
            _ => {
                self.sizes.push(size);
                None
            }
        }
    }
}

fn accepted(exports: &[Export]) -> Vec<Span> {
    let accepted = exports.iter().filter(|export| export.accepted);
    let mut spans: Vec<_> = accepted.flat_map(|export| export.spans.clone()).collect();
    // The order of arrival says nothing: spans come from several buffers.
    spans.sort_by_key(|span| span.start);
    spans
}

async fn answer(
    arrived: Arrived,
    reply: Reply,
    exports: Arc<watch::Sender<Vec<Export>>>,
) -> Option<Response<Full<Bytes>>> {
    let at = Instant::now();
    let request = match ExportTraceServiceRequest::decode(arrived.body.clone()) {
        Ok(request) if arrived.target.ends_with("/v1/traces") => request,
        _ => return Some(with_status(StatusCode::BAD_REQUEST)),
    };
    if let Reply::AcceptAfter(delay) = reply {
        tokio::time::sleep(delay).await;
    }
    let accepted =
        matches!(reply, Reply::Accept | Reply::AcceptAfter(_) | Reply::Partial(..) | Reply::Garbage);
    let export =
        Export { target: arrived.target, headers: arrived.headers, spans: read(request), accepted, at };
    exports.send_modify(|exports| exports.push(export));
    let partial = match reply {
        Reply::Accept | Reply::AcceptAfter(_) => None,
        Reply::Partial(rejected_spans, message) => {
            Some(ExportTracePartialSuccess { rejected_spans, error_message: message.into() })
        }
        Reply::Refuse(status) => return Some(with_status(status.try_into().expect("a status"))),
        Reply::RetryAfter(status, seconds) => {
            let mut response = with_status(status.try_into().expect("a status"));
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
            return Some(response);
        }
        Reply::Garbage => return Some(Response::new(Full::from("<html>It works!</html>"))),
        Reply::HangUp => return None,
        Reply::Silence => std::future::pending().await,
    };
    Some(with_body(ExportTraceServiceResponse { partial_success: partial }.encode_to_vec().into()))
}

async fn answer_other(
    arrived: Arrived,
    received: Received,
    reply: Reply,
    others: Arc<watch::Sender<Vec<Other>>>,
) -> Option<Response<Full<Bytes>>> {
    let accepted = matches!(reply, Reply::Accept | Reply::Partial(..));
    let other = Other { target: arrived.target, headers: arrived.headers, received, accepted };
    others.send_modify(|others| others.push(other));
    match reply {
        Reply::Accept => Some(with_body(Bytes::new())),
        // The answers of all signals have the same form.
        Reply::Partial(rejected_spans, message) => {
            let partial = ExportTracePartialSuccess { rejected_spans, error_message: message.into() };
            Some(with_body(
                ExportTraceServiceResponse { partial_success: Some(partial) }.encode_to_vec().into(),
            ))
        }
        Reply::Refuse(status) => Some(with_status(status.try_into().expect("a status"))),
        Reply::Silence => std::future::pending().await,
        other => panic!("no test replies {other:?} to metrics or log records yet"),
    }
}

fn with_body(body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    let kind = header::HeaderValue::from_static("application/x-protobuf");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

fn with_status(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}
