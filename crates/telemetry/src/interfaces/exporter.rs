//! A span exporter of the program's, on a thread of its own: what it does there, and for how long, no request and no
//! other signal gets to feel.

use super::convert;
use super::guard::said_by;
use crate::logs;
use crate::settings::Queue;
use futures_util::future::{Either, select};
use opentelemetry::Context;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use pounce_otlp::{Batch, Buffer, Envelope, Loss};
use prost::Message as _;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::sync::watch;

/// Time between two lines of the log about exports that fail.
const EVERY: Duration = Duration::from_secs(60);
/// How much later than its deadline a shutdown still waits for the thread's last word.
const ANSWER_GRACE: Duration = Duration::from_millis(100);
/// How often the shutdown looks whether its deadline has moved.
const LOOK: Duration = Duration::from_millis(50);

/// [`SpanExporter`] without its generic future.
pub(crate) trait Export: Send + Sync + fmt::Debug {
    fn export<'a>(&'a self, batch: Vec<SpanData>)
    -> Pin<Box<dyn Future<Output = OTelSdkResult> + Send + 'a>>;
    fn set_resource(&mut self, resource: &Resource);
    fn shutdown(&self, within: Duration) -> OTelSdkResult;
}

impl<E: SpanExporter> Export for E {
    fn export<'a>(
        &'a self,
        batch: Vec<SpanData>,
    ) -> Pin<Box<dyn Future<Output = OTelSdkResult> + Send + 'a>> {
        Box::pin(SpanExporter::export(self, batch))
    }

    fn set_resource(&mut self, resource: &Resource) {
        SpanExporter::set_resource(self, resource);
    }

    fn shutdown(&self, within: Duration) -> OTelSdkResult {
        self.shutdown_with_timeout(within)
    }
}

/// Handle on the thread of an exporter.
pub(crate) struct Thread {
    /// The deadline of the shutdown, once it has begun.
    stop: watch::Sender<Option<Instant>>,
    /// Answers when the thread is done; taken by the first shutdown.
    done: Mutex<Option<Receiver<()>>>,
    buffer: Arc<Buffer>,
}

impl Thread {
    /// Starts the thread, which exports what `buffer` holds; one export may take `timeout`.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(crate) fn start(
        exporter: Box<dyn Export>,
        buffer: &Arc<Buffer>,
        envelope: Envelope,
        queue: Queue,
        timeout: Option<Duration>,
    ) -> io::Result<Self> {
        let (stop, stopping) = watch::channel(None);
        let (finished, done) = mpsc::sync_channel(1);
        let runtime = Handle::try_current().ok();
        let buffer = Arc::clone(buffer);
        let mut exporting = Exporting {
            exporter,
            buffer: Arc::clone(&buffer),
            envelope,
            queue,
            timeout,
            resource: None,
            said: None,
            failed: 0,
        };
        thread::Builder::new().name("pounce-exporter".to_owned()).spawn(move || {
            // What is said here would be exported, and lead to more.
            logs::keep_here();
            let _quiet = Context::enter_telemetry_suppressed_scope();
            // Not `block_on` of a runtime: within one, a client that blocks would panic.
            let _within = runtime.as_ref().map(Handle::enter);
            exporting.run(stopping);
            _ = finished.send(());
        })?;
        Ok(Thread { stop, done: Mutex::new(Some(done)), buffer })
    }

    /// Flushes and stops, by `deadline` at the latest; afterwards every span is accounted for. Blocks the calling thread.
    pub(crate) fn shutdown(&self, deadline: Instant) {
        let done = self.done.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(done) = done else { return };
        self.hurry(deadline);
        loop {
            let end = self.stop.borrow().unwrap_or(deadline) + ANSWER_GRACE;
            let left = end.saturating_duration_since(Instant::now());
            match done.recv_timeout(left.min(LOOK)) {
                Err(RecvTimeoutError::Timeout) if !left.is_zero() => {}
                // A thread that is stuck stays behind: what it holds is lost, and counted below.
                _ => break,
            }
        }
        self.buffer.settle();
    }

    /// Has a shutdown, under way or to come, end by `deadline`, if that is sooner.
    pub(crate) fn hurry(&self, deadline: Instant) {
        self.stop.send_modify(|stop| *stop = Some(stop.map_or(deadline, |sooner| sooner.min(deadline))));
    }
}

/// What the thread works with.
struct Exporting {
    exporter: Box<dyn Export>,
    buffer: Arc<Buffer>,
    envelope: Envelope,
    queue: Queue,
    timeout: Option<Duration>,
    /// The resource that the exporter was told last, as the message.
    resource: Option<Option<opentelemetry_proto::tonic::resource::v1::Resource>>,
    /// When the log had a line about exports that fail, and how many spans have since.
    said: Option<Instant>,
    failed: u64,
}

impl Exporting {
    fn run(&mut self, mut stopping: watch::Receiver<Option<Instant>>) {
        let deadline = |stopping: &watch::Receiver<Option<Instant>>| *stopping.borrow();
        while deadline(&stopping).is_none() {
            {
                let (ready, stopped) = (pin!(self.buffer.ready()), pin!(stopping.changed()));
                let either = select(ready, stopped);
                let came = wait(either, Some(Instant::now() + self.queue.batching.delay));
                if let Some(Either::Right((Err(_), _))) = came {
                    // Nobody is left who could stop it.
                    break;
                }
            }
            let chunks = self.buffer.drain(false);
            for batch in self.envelope.batches_of(&chunks, self.queue.batching.max_items) {
                self.export(&batch, || deadline(&stopping));
            }
        }
        let chunks = self.buffer.drain(true);
        for batch in self.envelope.batches_of(&chunks, self.queue.batching.max_items) {
            // What is not tried any more is counted by the shutdown.
            if deadline(&stopping).is_none_or(|deadline| Instant::now() < deadline) {
                self.export(&batch, || deadline(&stopping));
            }
        }
        let within = deadline(&stopping).map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let ended = catch_unwind(AssertUnwindSafe(|| self.exporter.shutdown(within.unwrap_or_default())));
        if let Ok(Err(error)) = ended {
            tracing::warn!("the program's span exporter did not shut down: {error}");
        }
    }

    /// Has the exporter take a batch, by the end of its time or of the shutdown's.
    fn export(&mut self, batch: &Batch, shutdown: impl Fn() -> Option<Instant>) {
        let counts = Arc::clone(self.buffer.counts());
        let items = u64::from(batch.items);
        match catch_unwind(AssertUnwindSafe(|| self.try_export(batch, shutdown))) {
            Ok(Ok(())) => counts.export(items),
            Ok(Err(why)) => self.lose(items, &why),
            Err(panic) => self.lose(items, &format!("it panicked: {}", said_by(&*panic))),
        }
    }

    fn try_export(&mut self, batch: &Batch, shutdown: impl Fn() -> Option<Instant>) -> Result<(), String> {
        let message =
            ExportTraceServiceRequest::decode(batch.body.clone()).map_err(|error| error.to_string())?;
        for of_resource in message.resource_spans {
            if self.resource.as_ref() != Some(&of_resource.resource) {
                let resource = convert::resource(of_resource.resource.clone().unwrap_or_default());
                self.exporter.set_resource(&resource);
                self.resource = Some(of_resource.resource);
            }
            let spans = of_resource.scope_spans.into_iter().flat_map(convert::spans).collect();
            let end = self.timeout.map(|timeout| Instant::now() + timeout);
            let mut exporting = self.exporter.export(spans);
            loop {
                // A shutdown may begin, or be hurried, while an export is under way.
                let ends = end.into_iter().chain(shutdown()).min();
                let look = Instant::now() + LOOK;
                match wait(exporting.as_mut(), Some(ends.map_or(look, |end| end.min(look)))) {
                    Some(Ok(())) => break,
                    Some(Err(error)) => return Err(error.to_string()),
                    None if ends.is_some_and(|end| Instant::now() >= end) => {
                        return Err("it took too long".to_owned());
                    }
                    None => {}
                }
            }
        }
        Ok(())
    }

    fn lose(&mut self, spans: u64, why: &str) {
        self.buffer.counts().lose(Loss::ExportFailed, spans);
        self.failed += spans;
        if self.said.is_none_or(|said| said.elapsed() >= EVERY) {
            self.said = Some(Instant::now());
            let spans = std::mem::take(&mut self.failed);
            tracing::warn!(spans, "the program's span exporter failed, and spans are lost: {why}");
        }
    }
}

/// What a future resolves to, unless that takes until `deadline`. The thread sleeps meanwhile.
fn wait<F: Future + Unpin>(mut future: F, deadline: Option<Instant>) -> Option<F::Output> {
    struct Unpark(thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut cx = std::task::Context::from_waker(&waker);
    loop {
        if let Poll::Ready(output) = Pin::new(&mut future).poll(&mut cx) {
            return Some(output);
        }
        match deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())) {
            Some(Duration::ZERO) => return None,
            Some(left) => thread::park_timeout(left),
            None => thread::park(),
        }
    }
}
