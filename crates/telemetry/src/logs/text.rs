//! Lines of the log for people: what happened first, its fields behind it, and a stack trace below it. For who develops a
//! guest (`pounce dev`) the lines are shorter still, and what a guest writes stands under the id of its request.
//!
//! What a guest or a client says moves no cursor and makes no line of its own: texts in fields are escaped, and each line of
//! a stack trace is set in.

use std::borrow::Cow;
use std::fmt::{self, Debug, Write as _};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::registry::LookupSpan;

use super::{escaped, with_causes};
use crate::terminal::{Style, styled};

/// Digits of a trace id that tell the requests of a developer apart.
const SHORT_ID: usize = 8;
/// Columns for what a request was, so that what follows stands below each other.
const REQUEST_WIDTH: usize = 28;

/// The form of lines for people.
#[derive(Clone, Copy, Debug)]
pub(super) struct Text {
    pub(super) colour: bool,
    /// For who develops a guest, in place of an operator.
    pub(super) is_dev: bool,
}

impl<S, N> FormatEvent<S, N> for Text
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let metadata = event.metadata();
        let text = match (self.is_dev, metadata.target()) {
            (true, "access") => self.request(&fields)?,
            (true, "guest") => self.guest(&fields, *metadata.level())?,
            (true, _) => self.news(&fields, *metadata.level())?,
            (false, _) => self.line(&fields, *metadata.level())?,
        };
        writer.write_str(&text)
    }
}

impl Text {
    /// A line for an operator.
    fn line(self, fields: &Fields, level: Level) -> Result<String, fmt::Error> {
        let mut out = String::with_capacity(256);
        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        self.put(&mut out, &time, Some(Style::Dim))?;
        self.put(&mut out, &format!(" {:>5} ", level.as_str()), Some(style_of(level)))?;
        out.push_str(&escaped(&fields.message, false));
        self.fields(&mut out, fields, |_| true)?;
        out.push('\n');
        self.stack(&mut out, fields)?;
        Ok(out)
    }

    /// A request that is over, for a developer.
    fn request(self, fields: &Fields) -> Result<String, fmt::Error> {
        let mut out = String::with_capacity(128);
        let text = |name: &str| escaped(fields.text(name), false);
        let (method, path) = (text("method"), text("path"));
        let status = text("status");
        let style = match status.as_bytes().first() {
            Some(b'1'..=b'3') => Style::Green,
            Some(b'4') => Style::Yellow,
            _ => Style::Red,
        };
        let status = if status.is_empty() { "---" } else { &status };
        self.put(&mut out, &format!("{method:<4} "), Some(Style::Bold))?;
        let width = REQUEST_WIDTH.saturating_sub(method.chars().count().max(4) + 1);
        write!(out, "{path:<width$} ")?;
        self.put(&mut out, status, Some(style))?;
        let took = text("duration_ms").parse().map(milliseconds).unwrap_or_default();
        write!(out, "  {took:>8}  ")?;
        self.put(&mut out, &text("trace_id"), Some(Style::Dim))?;
        for (name, style) in [("route", Style::Cyan), ("error.type", Style::Red)] {
            if !text(name).is_empty() && text(name) != path {
                out.push_str("  ");
                self.put(&mut out, &text(name), Some(style))?;
            }
        }
        if !text("retried").is_empty() {
            self.put(&mut out, "  retried", Some(Style::Yellow))?;
        }
        out.push('\n');
        Ok(out)
    }

    /// What a guest has written or recorded, for a developer.
    fn guest(self, fields: &Fields, level: Level) -> Result<String, fmt::Error> {
        let mut out = String::with_capacity(128);
        let trace_id = fields.text("trace_id");
        let id = trace_id.get(..SHORT_ID).unwrap_or("--------");
        self.put(&mut out, id, Some(Style::Dim))?;
        let stream = fields.text("stream");
        let style = match (stream, level) {
            ("stderr", _) | ("", Level::WARN) => Style::Yellow,
            ("", Level::ERROR) => Style::Red,
            ("", _) => Style::Cyan,
            _ => Style::Blue,
        };
        self.put(&mut out, " │ ", Some(style))?;
        if stream.is_empty() {
            self.put(&mut out, &format!("{} ", level.as_str().to_ascii_lowercase()), Some(style))?;
        }
        out.push_str(&set_in(&fields.message));
        self.fields(&mut out, fields, |name| matches!(name, "event" | "attributes"))?;
        out.push('\n');
        Ok(out)
    }

    /// What the server itself has to say to a developer.
    fn news(self, fields: &Fields, level: Level) -> Result<String, fmt::Error> {
        let mut out = String::with_capacity(128);
        let trace_id = fields.text("trace_id");
        if let Some(id) = trace_id.get(..SHORT_ID) {
            self.put(&mut out, id, Some(Style::Dim))?;
            self.put(&mut out, " │ ", Some(style_of(level)))?;
        }
        if level != Level::INFO {
            let word = match level {
                Level::WARN => "warning".to_owned(),
                level => level.as_str().to_ascii_lowercase(),
            };
            self.put(&mut out, &format!("{word}: "), Some(style_of(level)))?;
        }
        // Of an exception people know the name; what else there is of a request stands on its line.
        let exception = escaped(fields.text("exception.type"), false);
        if !exception.is_empty() && exception != fields.message {
            write!(out, "{exception}: ")?;
        }
        out.push_str(&set_in(&fields.message));
        let is_of_request = !trace_id.is_empty();
        self.fields(&mut out, fields, |name| match name {
            "trace_id" | "span_id" | "exception.type" => false,
            "component" | "error.type" => !is_of_request,
            _ => true,
        })?;
        out.push('\n');
        self.stack(&mut out, fields)?;
        Ok(out)
    }

    fn put(self, out: &mut String, text: &str, style: Option<Style>) -> fmt::Result {
        styled(out, text, style, self.colour)
    }

    /// All fields that are `wanted` and have no place of their own.
    fn fields(self, out: &mut String, fields: &Fields, wanted: impl Fn(&str) -> bool) -> fmt::Result {
        for field in fields
            .others
            .iter()
            .filter(|field| !matches!(field.name, "stacktrace" | "tip") && wanted(field.name))
        {
            out.push(' ');
            self.put(out, &format!("{}=", field.name), Some(Style::Dim))?;
            if field.is_text {
                write!(out, "{:?}", field.value)?;
            } else {
                out.push_str(&escaped(&field.value, false));
            }
        }
        Ok(())
    }

    /// A stack trace, each of its lines set in, and what to do.
    fn stack(self, out: &mut String, fields: &Fields) -> fmt::Result {
        for line in fields.text("stacktrace").lines() {
            self.put(out, &format!("    {}", escaped(line, false)), Some(Style::Dim))?;
            out.push('\n');
        }
        let tip = fields.text("tip");
        if !tip.is_empty() {
            self.put(out, "    tip: ", Some(Style::Cyan))?;
            out.push_str(&escaped(tip, false));
            out.push('\n');
        }
        Ok(())
    }
}

/// A message whose further lines stand below the first.
fn set_in(message: &str) -> Cow<'_, str> {
    match escaped(message, true) {
        lines if lines.contains('\n') => Cow::Owned(lines.replace('\n', "\n    ")),
        line => line,
    }
}

fn style_of(level: Level) -> Style {
    match level {
        Level::ERROR => Style::Red,
        Level::WARN => Style::Yellow,
        Level::INFO => Style::Green,
        Level::DEBUG => Style::Blue,
        Level::TRACE => Style::Magenta,
    }
}

/// A length of time with three digits, in the unit that suits it.
fn milliseconds(milliseconds: f64) -> String {
    let (value, unit) = match milliseconds {
        ms if ms < 1.0 => return format!("{:.0} µs", ms * 1e3),
        ms if ms < 1e3 => (ms, "ms"),
        ms => (ms / 1e3, "s"),
    };
    let digits = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
    format!("{value:.digits$} {unit}")
}

/// What an event says.
#[derive(Default)]
struct Fields {
    message: String,
    others: Vec<Said>,
}

struct Said {
    name: &'static str,
    value: String,
    /// It is written in quotation marks, with escapes.
    is_text: bool,
}

impl Fields {
    fn text(&self, name: &str) -> &str {
        self.others.iter().find(|field| field.name == name).map_or("", |field| &field.value)
    }

    fn add(&mut self, field: &Field, value: String, is_text: bool) {
        match field.name() {
            "message" => self.message = value,
            name => self.others.push(Said { name, value, is_text }),
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.add(field, format!("{value:?}"), false);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value.to_owned(), true);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.add(field, with_causes(value), true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use std::sync::{Arc, Mutex};
    use tracing_subscriber::layer::SubscriberExt as _;

    /// What the lines of `say` look like.
    fn written(text: Text, say: impl FnOnce()) -> String {
        #[derive(Clone, Default)]
        struct Out(Arc<Mutex<Vec<u8>>>);
        impl io::Write for Out {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.lock().unwrap().extend_from_slice(bytes);
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let out = Out::default();
        let made = out.clone();
        let lines = tracing_subscriber::fmt::layer().with_writer(move || made.clone()).event_format(text);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), say);
        let bytes = out.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    const PLAIN: Text = Text { colour: false, is_dev: true };

    #[test]
    fn a_developer_reads_each_request_in_one_line() {
        let id = "4bf92f3577b34da6a3ce929d0e0e4736";
        let lines = written(PLAIN, || {
            tracing::info!(target: "guest", component = "shop", stream = "stdout", trace_id = %id, "hello");
            tracing::info!(target: "guest", component = "shop", stream = "stderr", "nobody's");
            tracing::info!(
                target: "access", method = "GET", path = "/items/7", status = 200_u16, route = "/items/{id}",
                duration_ms = 1.24, bytes_in = 0_u64, trace_id = %id, "GET /items/7 200"
            );
            tracing::info!(
                target: "access", method = "DELETE", path = "/", status = 500_u16, duration_ms = 0.3,
                error.type = "timeout", "DELETE / 500"
            );
            tracing::info!(target: "access", method = "GET", path = "/", duration_ms = 61_000.0, "GET / -");
        });
        let expected = "\
4bf92f35 │ hello
-------- │ nobody's
GET  /items/7                200   1.24 ms  4bf92f3577b34da6a3ce929d0e0e4736  /items/{id}
DELETE /                     500    300 µs    timeout
GET  /                       ---    61.0 s  
";
        assert_eq!(lines, expected);
    }

    #[test]
    fn a_stack_trace_stands_below_its_line() {
        let say = || tracing::warn!(component = "shop", error.type = "x", trace_id = %"4bf92f3577b3", stacktrace = "  0: a\n  1: b", tip = "mend it", "it broke");
        assert_eq!(
            written(PLAIN, say),
            "4bf92f35 │ warning: it broke\n      0: a\n      1: b\n    tip: mend it\n"
        );
        let raised = || tracing::warn!(component = "shop", exception.type = "Mistake", "no\nway");
        assert_eq!(written(PLAIN, raised), "warning: Mistake: no\n    way component=\"shop\"\n");
        let operators = written(Text { colour: false, is_dev: false }, say);
        let (time, rest) = operators.split_once("  WARN ").unwrap();
        assert!(time.ends_with('Z'), "{time}");
        assert_eq!(
            rest,
            "it broke component=\"shop\" error.type=\"x\" trace_id=4bf92f3577b3\n      0: a\n      1: b\n    tip: mend it\n"
        );
    }

    #[test]
    fn nobody_moves_the_cursor() {
        const HOSTILE: &str = "a\u{1b}[2J\r\u{202e}";
        for text in [PLAIN, Text { colour: false, is_dev: false }] {
            let lines = written(text, || {
                tracing::info!(
                    target: "access", method = HOSTILE, path = HOSTILE, status = 200_u16, route = HOSTILE,
                    duration_ms = 1.0, trace_id = %HOSTILE, error.type = HOSTILE, "{HOSTILE}"
                );
                tracing::info!(target: "guest", stream = HOSTILE, event = HOSTILE, attributes = %HOSTILE, "{HOSTILE}");
                tracing::warn!(
                    exception.type = HOSTILE, stacktrace = HOSTILE, tip = HOSTILE, other = %HOSTILE,
                    "{HOSTILE}"
                );
            });
            assert_eq!(lines.matches(['\u{1b}', '\r', '\u{202e}']).count(), 0, "{lines:?}");
            assert!(lines.matches("\\u{1b}[2J").count() >= 8, "{lines}");
        }
    }

    #[test]
    fn colours_are_only_where_they_are_asked_for() {
        let say = || tracing::error!(component = "a\u{1b}[2J", "no");
        assert!(!written(PLAIN, say).contains('\u{1b}'));
        let coloured = written(Text { colour: true, is_dev: true }, say);
        assert!(coloured.starts_with("\u{1b}[31merror: \u{1b}[0mno"), "{coloured:?}");
        assert!(!coloured.contains("\u{1b}[2J"), "{coloured:?}");
    }
}
