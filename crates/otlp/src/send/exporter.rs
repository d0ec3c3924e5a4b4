//! The exporter: a thread with a runtime of its own, so that neither the program's load nor its shutdown stops it.

use super::stop::{Shutdown, Stop};
use super::{Source, Stream};
use crate::buffer::Buffer;
use crate::net::Proxies;
use crate::spool::Spool;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::runtime;
use tokio::sync::watch;

/// How much later than its deadline a shutdown still waits for the exporter's last word.
const ANSWER_GRACE: Duration = Duration::from_millis(100);
/// How often the shutdown looks whether its deadline has moved.
const LOOK: Duration = Duration::from_millis(50);

/// Handle on the thread that sends; dropping it gives the thread a second to flush, without waiting for it.
pub struct Exporter {
    stop: watch::Sender<Option<Shutdown>>,
    /// Answers when the thread is done; taken by the first shutdown.
    done: Mutex<Option<Receiver<()>>>,
    buffers: Vec<Arc<Buffer>>,
}

/// What an exporter runs; [`Builder::start`] starts it.
#[must_use]
pub struct Builder {
    thread: String,
    on_thread_start: fn(),
    proxies: Proxies,
    spool: Option<Arc<Spool>>,
    streams: Vec<Stream>,
    beside: Vec<Beside>,
}

type Beside = Box<dyn FnOnce(Stop) -> Pin<Box<dyn Future<Output = ()>>> + Send>;

/// Error of an exporter that could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The system gives no thread.
    #[error("cannot start the thread of the telemetry exporter")]
    Thread(#[source] io::Error),
    /// The system gives no event queue.
    #[error("cannot start the runtime of the telemetry exporter")]
    Runtime(#[source] io::Error),
    /// The thread ended before it had started.
    #[error("the thread of the telemetry exporter died")]
    Died,
}

impl Builder {
    /// Names the thread; `otlp-exporter` otherwise.
    pub fn thread_name(mut self, name: impl Into<String>) -> Self {
        self.thread = name.into();
        self
    }

    /// Calls `start` on each thread of the exporter before anything else, such as to mark it for a log that is exported
    /// itself.
    pub fn on_thread_start(mut self, start: fn()) -> Self {
        self.on_thread_start = start;
        self
    }

    /// Has endpoints reached by proxies.
    pub fn proxies(mut self, proxies: Proxies) -> Self {
        self.proxies = proxies;
        self
    }

    /// Has what an endpoint does not take now wait on the disk.
    pub fn spool(mut self, spool: Option<Arc<Spool>>) -> Self {
        self.spool = spool;
        self
    }

    /// Sends a signal to an endpoint.
    pub fn stream(mut self, stream: Stream) -> Self {
        self.streams.push(stream);
        self
    }

    /// Runs a future of the program's own beside the streams, on the same thread, until it ends: after the shutdown has
    /// begun it should, and at the deadline it must.
    pub fn beside<F: Future<Output = ()> + 'static>(
        mut self,
        run: impl FnOnce(Stop) -> F + Send + 'static,
    ) -> Self {
        self.beside.push(Box::new(|stop| Box::pin(run(stop))));
        self
    }

    /// Starts the thread.
    ///
    /// # Errors
    /// The system has no thread or no event queue to give.
    pub fn start(self) -> Result<Exporter, StartError> {
        let Builder { thread, on_thread_start, proxies, spool, streams, beside } = self;
        let buffers = streams.iter().filter_map(|stream| match &stream.source {
            Source::Buffer { buffer, .. } => Some(Arc::clone(buffer)),
            Source::Collector { .. } => None,
        });
        let buffers = buffers.collect();
        let (stop, stopped) = watch::channel(None);
        let (started, is_started) = mpsc::sync_channel(1);
        let (finished, done) = mpsc::sync_channel(1);
        std::thread::Builder::new()
            .name(thread)
            .spawn(move || {
                on_thread_start();
                // Made here, because a runtime must not be dropped on a thread of another one.
                let built = runtime::Builder::new_current_thread()
                    .enable_all()
                    .on_thread_start(on_thread_start)
                    .build();
                let runtime = match built {
                    Ok(runtime) => runtime,
                    Err(error) => return drop(started.send(Err(error))),
                };
                let _gone = started.send(Ok(()));
                let stop = Stop::new(stopped);
                runtime.block_on(async {
                    let beside = beside.into_iter().map(|run| run(stop.clone()));
                    let beside = futures_util::future::join_all(beside);
                    tokio::join!(beside, super::run(streams, proxies, spool, stop.clone()));
                });
                // A name lookup that hangs must not hold up the shutdown.
                runtime.shutdown_background();
                let _gone = finished.send(());
            })
            .map_err(StartError::Thread)?;
        is_started.recv().map_err(|_| StartError::Died)?.map_err(StartError::Runtime)?;
        Ok(Exporter { stop, done: Mutex::new(Some(done)), buffers })
    }
}

impl Exporter {
    /// An exporter that has nothing to send yet.
    pub fn builder() -> Builder {
        Builder {
            thread: "otlp-exporter".to_owned(),
            on_thread_start: || (),
            proxies: Proxies::default(),
            spool: None,
            streams: Vec::new(),
            beside: Vec::new(),
        }
    }

    /// Flushes and stops, by `deadline` at the latest; afterwards every item of every buffer is accounted for. Blocks the
    /// calling thread. A second call changes nothing.
    pub fn shutdown(&self, deadline: Instant) {
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(done) = done.take() {
            self.hurry(deadline);
            loop {
                let moved = self.stop.borrow().map(|stop| stop.deadline);
                let end = moved.unwrap_or(deadline) + ANSWER_GRACE;
                let left = end.saturating_duration_since(Instant::now());
                // When it does not answer the thread is stuck or gone: what it holds is then lost, and counted below.
                match done.recv_timeout(left.min(LOOK)) {
                    Err(mpsc::RecvTimeoutError::Timeout) if !left.is_zero() => {}
                    _ => break,
                }
            }
            self.buffers.iter().for_each(|buffer| buffer.settle());
        }
    }

    /// Has a shutdown, under way or to come, end by `deadline` if that is sooner than it would.
    pub fn hurry(&self, deadline: Instant) {
        self.stop.send_modify(|stop| {
            let sooner = stop.get_or_insert(Shutdown { began: Instant::now(), deadline });
            sooner.deadline = sooner.deadline.min(deadline);
        });
    }
}

impl fmt::Debug for Exporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exporter").field("buffers", &self.buffers).finish_non_exhaustive()
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("streams", &self.streams).finish_non_exhaustive()
    }
}
