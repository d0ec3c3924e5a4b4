//! What a developer's client is told of a request that failed (`pounce dev`): the cause, the guest's backtrace and last
//! output, and where its trace is. As a page for browsers, as JSON where that is asked for, else as text.
//!
//! Nothing of this is made for `pounce serve`, whose responses name no internals.

mod accept;
mod html;

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, StatusCode, request};
use serde_json::json;

use crate::guest::Failure;
use accept::Form;
use pounce_telemetry::{OutputLine, ServerSpan};

/// Bytes of a path that are shown.
const MAX_PATH: usize = 2048;

/// What error pages tell beside the failure itself.
pub(crate) struct ErrorPages {
    /// `http://127.0.0.1:8081/traces`, where traces can be looked at by a browser.
    viewer: Option<String>,
    /// What keeps a newer component from being served.
    trouble: Mutex<Option<String>>,
}

impl ErrorPages {
    /// Pages that lead to this viewer.
    pub(crate) fn new(viewer: Option<String>) -> Self {
        Self { viewer, trouble: Mutex::default() }
    }

    /// From now on pages say that this keeps a newer component from being served, or nothing does.
    pub(crate) fn set_trouble(&self, trouble: Option<String>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }

    fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What a page for this request is made with, should it fail.
    pub(super) fn asked(self: &Arc<Self>, head: &request::Parts) -> Box<Asked> {
        let path = head.uri.path();
        let path = path[..path.floor_char_boundary(MAX_PATH)].to_owned();
        let form = Form::preferred(&head.headers);
        Box::new(Asked { pages: self.clone(), form, request: format!("{} {path}", head.method) })
    }
}

/// A request, as far as a page on its failure tells of it.
pub(super) struct Asked {
    pages: Arc<ErrorPages>,
    form: Form,
    /// Method and path.
    request: String,
}

/// All that a page tells.
struct Told<'a> {
    request: &'a str,
    status: StatusCode,
    /// `wasm_trap.unreachable`, or of a runtime's exception its type.
    kind: &'a str,
    message: &'a str,
    tip: Option<&'a str>,
    stacktrace: Option<&'a str>,
    output: Vec<OutputLine>,
    /// Lines of output that came before.
    left_out: usize,
    trace_id: Option<String>,
    /// Where the trace can be looked at.
    link: Option<String>,
    /// What keeps a newer component from being served.
    trouble: Option<String>,
}

impl Asked {
    /// The body that tells of this failure of the request of `span`, and its headers into `headers`.
    pub(super) fn body(&self, failure: &Failure, span: &ServerSpan, headers: &mut HeaderMap) -> Bytes {
        let trace_id = span.context().map(|context| context.trace_id.to_string());
        let link = self.pages.viewer.as_ref().zip(trace_id.as_ref());
        let (output, left_out) = span.output();
        let told = Told {
            request: &self.request,
            status: failure.kind.status(),
            kind: failure.exception_type.as_deref().or(failure.kind.error_type()).unwrap_or_default(),
            message: &failure.message,
            tip: failure.tip(),
            stacktrace: failure.stacktrace.as_deref(),
            output,
            left_out,
            link: link.map(|(viewer, trace_id)| format!("{viewer}/{trace_id}")),
            trace_id,
            trouble: self.pages.trouble(),
        };
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.form.content_type()));
        match self.form {
            Form::Html => {
                headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(html::POLICY));
                headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
                html::page(&told).into()
            }
            Form::Json => told.json().into(),
            Form::Text => told.text().into(),
        }
    }
}

impl Told<'_> {
    /// `500 Internal Server Error`
    fn status(&self) -> String {
        format!("{} {}", self.status.as_u16(), self.status.canonical_reason().unwrap_or("Error"))
    }

    fn text(&self) -> String {
        let mut text = format!("{}\n\n", self.status());
        let kind = if self.kind.is_empty() { String::new() } else { format!("{}: ", self.kind) };
        let mut put = |title: &str, lines: &str| {
            let indent = if title.is_empty() { "" } else { "  " };
            if !title.is_empty() {
                let _infallible = writeln!(text, "{title}:");
            }
            for line in lines.lines() {
                let _infallible = writeln!(text, "{indent}{}", harmless(line));
            }
            text.push('\n');
        };
        put("", &format!("{kind}{}", self.message));
        if let Some(tip) = self.tip {
            put("", &format!("Tip: {tip}"));
        }
        if let Some(stacktrace) = self.stacktrace {
            put("Backtrace of the guest", stacktrace);
        }
        if !self.output.is_empty() {
            let title = match self.left_out {
                0 => "Output of the guest".to_owned(),
                lines => format!("Output of the guest, without {lines} lines before"),
            };
            let lines: Vec<_> = self.output.iter().map(|line| line.text.as_str()).collect();
            put(&title, &lines.join("\n"));
        }
        if let Some(trace) = self.link.as_ref().or(self.trace_id.as_ref()) {
            put("Trace", trace);
        }
        if let Some(trouble) = &self.trouble {
            put("A newer component is not served", trouble);
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
        text
    }

    fn json(&self) -> String {
        let output: Vec<_> = self
            .output
            .iter()
            .map(
                |line| json!({"stream": if line.is_stderr { "stderr" } else { "stdout" }, "line": line.text}),
            )
            .collect();
        let told = json!({
            "status": self.status.as_u16(),
            "error": self.kind,
            "message": self.message,
            "tip": self.tip,
            "backtrace": self.stacktrace,
            "output": output,
            "output_lines_before": self.left_out,
            "trace_id": self.trace_id,
            "trace": self.link,
            "not_served": self.trouble,
        });
        format!("{told:#}\n")
    }
}

/// A line without what would move the cursor of a terminal or turn its reading direction.
fn harmless(line: &str) -> String {
    let is_harmful = |char: char| {
        (char.is_control() && char != '\t')
            || matches!(char, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let mut out = String::with_capacity(line.len());
    for char in line.chars() {
        if is_harmful(char) { out.extend(char.escape_default()) } else { out.push(char) }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn told<'a>(message: &'a str, stacktrace: Option<&'a str>) -> Told<'a> {
        Told {
            request: "GET /items/<7>",
            status: StatusCode::INTERNAL_SERVER_ERROR,
            kind: "wasm_trap.unreachable",
            message,
            tip: Some("look <here>"),
            stacktrace,
            output: vec![
                OutputLine { is_stderr: false, text: "hello".to_owned() },
                OutputLine { is_stderr: true, text: "<script>alert(1)</script>\u{1b}[2J".to_owned() },
            ],
            left_out: 3,
            trace_id: Some("4bf92f3577b34da6a3ce929d0e0e4736".to_owned()),
            link: Some("http://127.0.0.1:8081/traces/4bf92f3577b34da6a3ce929d0e0e4736".to_owned()),
            trouble: Some("the build failed".to_owned()),
        }
    }

    #[test]
    fn text_tells_everything_and_moves_no_cursor() {
        let expected = "\
500 Internal Server Error

wasm_trap.unreachable: called `Option::unwrap()` on a `None` value

Tip: look <here>

Backtrace of the guest:
    0: shop::price
         at src/lib.rs:7

Output of the guest, without 3 lines before:
  hello
  <script>alert(1)</script>\\u{1b}[2J

Trace:
  http://127.0.0.1:8081/traces/4bf92f3577b34da6a3ce929d0e0e4736

A newer component is not served:
  the build failed
";
        let told = told(
            "called `Option::unwrap()` on a `None` value",
            Some("  0: shop::price\n       at src/lib.rs:7"),
        );
        assert_eq!(told.text(), expected);
    }

    proptest::proptest! {
        /// Whatever is told, and whatever a client asks for: markup is ours alone, and nothing moves a cursor.
        #[test]
        fn nothing_that_is_told_is_markup_or_control(message in ".{0,200}", trace in "(?s).{0,200}", accept: Vec<u8>) {
            let markup = |page: &str| page.matches(['<', '>', '"']).count();
            let page = html::page(&told(&message, Some(&trace)));
            assert_eq!(markup(&page), markup(&html::page(&told("", Some("")))), "{page}");
            let text = told(&message, Some(&trace)).text();
            assert!(!text.contains(|char: char| char.is_control() && char != '\n' && char != '\t'), "{text:?}");
            let headers: HeaderMap =
                HeaderValue::from_bytes(&accept).into_iter().map(|value| (http::header::ACCEPT, value)).collect();
            assert!(Form::preferred(&headers).content_type().contains('/'));
        }
    }

    #[test]
    fn json_tells_everything() {
        let read: serde_json::Value = serde_json::from_str(&told("no", None).json()).unwrap();
        assert_eq!(read["status"], 500);
        assert_eq!(read["error"], "wasm_trap.unreachable");
        assert_eq!(read["output"][1]["stream"], "stderr");
        assert_eq!(read["not_served"], "the build failed");
        assert!(read["trace"].as_str().unwrap().ends_with(read["trace_id"].as_str().unwrap()));
    }
}
