//! A trace as a tree of one line for each span, with a bar where it stands in the trace's time: for who develops a guest.

use super::traces::Trace;
use super::tree::{clean, duration, hex, value};
use crate::semconv;
use crate::terminal::{Style, styled};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::{Span, status::StatusCode};

/// Columns of tree and name, and of bars.
const NAME_WIDTH: usize = 46;
const BAR_WIDTH: usize = 32;
/// Spans of a trace that are shown; of more nobody would see the beginning.
const MAX_SPANS: usize = 200;
/// Eighths of a cell, by their number.
const EIGHTHS: [char; 8] = ['█', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];

/// Renders `trace`; ends with an empty line.
pub(super) fn render(trace: &Trace, colour: bool) -> String {
    let begun = trace.iter().map(|span| span.start_time_unix_nano).min().unwrap_or_default();
    let ended = trace.iter().map(|span| span.end_time_unix_nano).max().unwrap_or_default();
    let mut bars = Bars {
        trace,
        out: String::new(),
        colour,
        begun,
        lasted: ended.saturating_sub(begun),
        left: MAX_SPANS,
    };
    let known = |id: &[u8]| trace.iter().any(|span| span.span_id == id);
    for root in bars.sorted(|span| !known(&span.parent_span_id)) {
        bars.span(root, "", "", true);
    }
    if trace.len() > MAX_SPANS {
        bars.line(&[(&format!("  … and {} more spans", trace.len() - MAX_SPANS), Some(Style::Dim))]);
    }
    bars.out.push('\n');
    bars.out
}

struct Bars<'a> {
    trace: &'a Trace,
    out: String,
    colour: bool,
    /// Unix time in nanoseconds.
    begun: u64,
    /// Nanoseconds.
    lasted: u64,
    /// Spans that may yet be shown.
    left: usize,
}

impl<'a> Bars<'a> {
    fn sorted(&self, wanted: impl Fn(&Span) -> bool) -> Vec<&'a Span> {
        let mut spans: Vec<_> = self.trace.iter().filter(|span| wanted(span)).collect();
        spans.sort_by_key(|span| span.start_time_unix_nano);
        spans
    }

    /// Shows `span` and what is below it. `first` stands before its own line, `rest` before all others.
    fn span(&mut self, span: &'a Span, first: &str, rest: &str, is_root: bool) {
        let Some(left) = self.left.checked_sub(1) else { return };
        self.left = left;
        let has_failed = span.status.as_ref().is_some_and(|status| status.code() == StatusCode::Error);
        let style = if has_failed { Style::Red } else { Style::Green };
        let name = name(span);
        let status = attribute(span, semconv::HTTP_RESPONSE_STATUS_CODE);
        let width = first.chars().count() + 2 + name.chars().count();
        let room = NAME_WIDTH.saturating_sub(first.chars().count() + 2);
        let shown: String = if width > NAME_WIDTH {
            name.chars().take(room.saturating_sub(1)).chain(['…']).collect()
        } else {
            format!("{name:room$}")
        };
        let took = duration(span.end_time_unix_nano.saturating_sub(span.start_time_unix_nano));
        let bar = self.bar(span);
        let id = if is_root { format!("  {}", hex(&span.trace_id)) } else { String::new() };
        self.line(&[
            (first, Some(Style::Dim)),
            ("● ", Some(style)),
            (&shown, is_root.then_some(Style::Bold)),
            (&format!(" {status:>3} "), Some(style)),
            (&format!("{took:>8}  "), None),
            (&bar, Some(if has_failed { Style::Red } else { Style::Cyan })),
            (&id, Some(Style::Dim)),
        ]);
        let children = self.sorted(|child| child.parent_span_id == span.span_id);
        self.failure(span, has_failed, &format!("{rest}{}", if children.is_empty() { "  " } else { "│ " }));
        for (at, child) in children.iter().enumerate() {
            let (branch, below) =
                if at + 1 == children.len() { ("└─", "  ") } else { ("├─", "│ ") };
            self.span(child, &format!("{rest}{branch}"), &format!("{rest}{below}"), false);
        }
    }

    /// Why `span` failed: its exceptions, or else its status' description.
    fn failure(&mut self, span: &Span, has_failed: bool, before: &str) {
        let mut told = Vec::new();
        for event in span.events.iter().filter(|event| event.name == "exception") {
            let text = |key: &str| {
                let found = event.attributes.iter().find(|attribute| attribute.key == key);
                found.map(|attribute| value(attribute.value.as_ref())).unwrap_or_default()
            };
            told.push(format!("{}: {}", text("exception.type"), text("exception.message")));
            told.extend(text("exception.stacktrace").lines().map(|line| format!("    {line}")));
        }
        if let Some(status) = span.status.as_ref().filter(|status| has_failed && !status.message.is_empty())
            && told.is_empty()
        {
            told.push(status.message.clone());
        }
        for line in told.iter().flat_map(|text| text.lines()) {
            self.line(&[(before, Some(Style::Dim)), (&clean(line), Some(Style::Red))]);
        }
    }

    /// Where `span` stands in the time of its trace; a short one is a mark.
    fn bar(&self, span: &Span) -> String {
        let cells = (BAR_WIDTH * 8) as u128;
        let at = |time: u64| {
            let since =
                u128::from(time.clamp(self.begun, self.begun.saturating_add(self.lasted)) - self.begun);
            usize::try_from(since * cells / u128::from(self.lasted.max(1))).unwrap_or_default()
        };
        let (from, to) = (at(span.start_time_unix_nano), at(span.end_time_unix_nano));
        // It begins with a whole cell: a part of one would stand at the cell's left.
        let first = (from / 8).min(BAR_WIDTH - 1);
        let eighths = to.saturating_sub(first * 8).max(1);
        let mut bar = " ".repeat(first);
        bar.extend(std::iter::repeat_n('█', eighths / 8));
        if !eighths.is_multiple_of(8) {
            bar.push(EIGHTHS[eighths % 8]);
        }
        let length = bar.chars().count();
        bar.extend(std::iter::repeat_n(' ', BAR_WIDTH.saturating_sub(length)));
        bar
    }

    fn line(&mut self, parts: &[(&str, Option<Style>)]) {
        let mut line = String::new();
        for (text, style) in parts {
            // What is blank is not set off: the end of a line is cut.
            let style = style.filter(|_| !text.trim().is_empty());
            let _infallible = styled(&mut line, text, style, self.colour);
        }
        self.out.push_str(line.trim_end());
        self.out.push('\n');
    }
}

/// The span's name; a call's with where it went.
fn name(span: &Span) -> String {
    let url = attribute(span, semconv::URL_FULL);
    match span.kind() {
        SpanKind::Client if !url.is_empty() => clean(&format!("{} {url}", span.name)),
        _ => clean(&span.name),
    }
}

fn attribute(span: &Span, key: &str) -> String {
    let found = span.attributes.iter().find(|attribute| attribute.key == key);
    found.map(|attribute| value(attribute.value.as_ref())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
    use opentelemetry_proto::tonic::trace::v1::Status;
    use opentelemetry_proto::tonic::trace::v1::span::Event;

    fn span(id: u8, parent: u8, name: &str, from: u64, to: u64) -> Span {
        Span {
            trace_id: vec![0xab; 16],
            span_id: vec![id; 8],
            parent_span_id: vec![parent; 8],
            name: name.to_owned(),
            start_time_unix_nano: from * 1_000_000,
            end_time_unix_nano: to * 1_000_000,
            ..Span::default()
        }
    }

    fn text(key: &str, text: &str) -> KeyValue {
        let value = AnyValue { value: Some(Value::StringValue(text.to_owned())) };
        KeyValue { key: key.to_owned(), value: Some(value), ..KeyValue::default() }
    }

    #[test]
    fn each_span_is_a_line_with_its_bar() {
        let mut root = span(1, 9, "GET /calls", 0, 100);
        root.attributes.push(text("http.response.status_code", "200"));
        let mut call = span(3, 2, "GET", 50, 75);
        call.kind = SpanKind::Client.into();
        call.attributes
            .extend([text("url.full", "http://a/\u{1b}[2J"), text("http.response.status_code", "503")]);
        call.status = Some(Status { code: StatusCode::Error.into(), message: String::new() });
        let mut failed = span(4, 1, &"long ".repeat(20), 99, 100);
        failed.status =
            Some(Status { code: StatusCode::Error.into(), message: "told by its event".to_owned() });
        failed.events.push(Event {
            name: "exception".to_owned(),
            attributes: vec![text("exception.type", "Mistake"), text("exception.message", "no\nway")],
            ..Event::default()
        });
        let trace = vec![failed, call, span(2, 1, "calls", 25, 75), root];
        let expected = "\
● GET /calls                                   200   100 ms  ████████████████████████████████  abababababababababababababababab
├─● calls                                           50.0 ms          ████████████████
│ └─● GET http://a/\\u{1b}[2J                   503  25.0 ms                  ████████
└─● long long long long long long long long l…      1.00 ms                                 █
    Mistake: no
    way

";
        assert_eq!(render(&trace, false), expected, "\n{}", render(&trace, false));
        assert!(render(&trace, true).contains("\u{1b}[31m                ████████"));
    }

    #[test]
    fn a_trace_of_many_spans_has_an_end() {
        let mut trace = vec![span(1, 9, "GET /", 0, 0)];
        trace.extend((0..1000).map(|_| span(2, 1, "part", 0, 0)));
        let shown = render(&trace, false);
        assert!(shown.ends_with("  … and 801 more spans\n\n") && shown.lines().count() == MAX_SPANS + 2);
    }
}
