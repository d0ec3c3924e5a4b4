//! Our own log, on stderr: text for people, JSON for machines. Lines of a request carry `trace_id` and `span_id`.
//!
//! Written by a thread of its own: when nobody reads stderr, lines are lost and counted, and no request waits. What we
//! say ourselves also becomes log records for the endpoint (`own`). Each kind of line has a budget (`budget`).

mod budget;
mod own;
mod text;

use std::borrow::Cow;
use std::io::IsTerminal as _;
use std::sync::atomic::{AtomicU8, Ordering};

use anyhow::Context as _;
use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{FilterExt as _, Targets};
use tracing_subscriber::fmt::writer::{MakeWriter, MakeWriterExt as _};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::settings::{LogFormat, LogLevel};
use crate::terminal;
use text::Text;

pub use budget::lines_left_out;
use budget::{Budget, Within};
use own::OwnRecords;
pub(super) use own::keep_here;
pub use own::{LogExport, of_span};

/// Lines that wait for stderr before further ones are dropped.
const MAX_LINES: usize = 16 * 1024;

/// Which lines are written, and how.
#[derive(Debug, Clone, Copy)]
pub struct LogSettings {
    /// Form of the lines; text on a terminal, else JSON, when absent.
    pub format: Option<LogFormat>,
    /// Least severe lines.
    pub level: LogLevel,
    /// Least severe lines about telemetry; as of the others when absent.
    pub telemetry_level: Option<LogLevel>,
    /// Whether each request is a line when it is over.
    pub access: bool,
    /// Whether text is for who develops a guest, in place of an operator.
    pub is_dev: bool,
}

/// Keeps the log going; writes what is left when dropped.
pub struct Log {
    dropped: ErrorCounter,
    export: LogExport,
    /// Before the writer: its last words are to be written.
    _budget: Budget,
    _writer: WorkerGuard,
}

impl Log {
    /// Installs the log for the process.
    ///
    /// # Errors
    /// There is one already, or no thread for it.
    pub fn start(settings: &LogSettings) -> anyhow::Result<Self> {
        let (writer, guard) = NonBlockingBuilder::default()
            .buffered_lines_limit(MAX_LINES)
            .lossy(true)
            .thread_name("log")
            .finish(std::io::stderr());
        let dropped = writer.error_counter();
        let level = filter(settings.level);
        let of_telemetry = settings.telemetry_level.map_or(level, filter);
        // Libraries report to us; what they think of each connection is noise below a warning. wasmtime's bindings
        // would open a span for each host call.
        let filter = Targets::new()
            .with_default(level.min(LevelFilter::WARN))
            .with_target("pounce", level)
            .with_target("pounce_telemetry", of_telemetry)
            .with_target("pounce_otlp", of_telemetry)
            .with_target("guest", level)
            .with_target("access", if settings.access { LevelFilter::INFO } else { LevelFilter::OFF });
        let terminal = std::io::stderr().is_terminal();
        let format = settings.format.unwrap_or(if terminal { LogFormat::Text } else { LogFormat::Json });
        let readers = match format {
            LogFormat::Text if settings.is_dev => Readers::Developers,
            LogFormat::Text => Readers::Operators,
            LogFormat::Json => Readers::Machines,
        };
        READERS.store(readers as u8, Ordering::Relaxed);
        let text = Text { colour: terminal::is_coloured(), is_dev: settings.is_dev };
        let lines = lines(format, text, writer);
        let export = LogExport::default();
        let of_records = OwnRecords::filter(level);
        let budget = Budget::start().context("cannot start the thread that keeps the log within bounds")?;
        // First, so that the others can ask what it decided.
        let judge = budget.judge().with_filter(filter.clone().or(of_records.clone()));
        let records = OwnRecords(export.clone()).with_filter(of_records);
        let layers = tracing_subscriber::registry().with(judge).with(lines.with_filter(filter)).with(records);
        layers.try_init()?;
        Ok(Self { dropped, export, _budget: budget, _writer: guard })
    }

    /// Where its records go: to be opened once telemetry has started.
    pub fn export(&self) -> LogExport {
        self.export.clone()
    }

    /// Lines lost since the start.
    pub fn dropped(&self) -> usize {
        self.dropped.dropped_lines()
    }
}

/// Who reads the log. Lines for people are such that a record is one line, and nothing in it moves a cursor or turns the
/// reading direction. JSON has its own escapes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Readers {
    Machines,
    Operators,
    Developers,
}

static READERS: AtomicU8 = AtomicU8::new(Readers::Machines as u8);

/// Who reads the log.
pub(super) fn readers() -> Readers {
    match READERS.load(Ordering::Relaxed) {
        number if number == Readers::Developers as u8 => Readers::Developers,
        number if number == Readers::Operators as u8 => Readers::Operators,
        _ => Readers::Machines,
    }
}

/// Whether lines are texts for people.
pub fn is_for_people() -> bool {
    readers() != Readers::Machines
}

/// What a guest or a client says, as it may stand in the log.
pub fn printable(text: &str) -> Cow<'_, str> {
    // Lines for developers set in what follows a line's end.
    let keeps_lines = readers() == Readers::Developers;
    if is_for_people() { escaped(text, keeps_lines) } else { Cow::Borrowed(text) }
}

/// What a guest or a client says, as one line of a report that may be read on a terminal.
pub fn one_line(text: &str) -> Cow<'_, str> {
    escaped(text, false)
}

/// Text without what moves a terminal's cursor or turns its writing round.
fn escaped(text: &str, keeps_lines: bool) -> Cow<'_, str> {
    let is_harmful = |char: char| {
        (char.is_control() && char != '\t' && !(keeps_lines && char == '\n'))
            || matches!(char, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !text.contains(is_harmful) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for char in text.chars() {
        if is_harmful(char) {
            safe.extend(char.escape_default());
        } else {
            safe.push(char);
        }
    }
    Cow::Owned(safe)
}

/// An error and what caused it: `cannot connect: connection refused`.
fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    for cause in std::iter::successors(error.source(), |error| error.source()) {
        text.push_str(": ");
        text.push_str(&cause.to_string());
    }
    text
}

fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}

/// The layer that writes lines to `writer`; those for people look like `text`.
fn lines<S, W>(format: LogFormat, text: Text, writer: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    // What is left out would come to the writer as an empty line, wake its thread, and count as lost where it is slow.
    let writer = writer.with_filter(|_| !budget::is_left_out());
    let lines = tracing_subscriber::fmt::layer().with_writer(writer);
    match format {
        LogFormat::Text => lines.event_format(Within(text)).boxed(),
        LogFormat::Json => {
            lines.json().flatten_event(true).with_current_span(false).map_event_format(Within).boxed()
        }
    }
}
