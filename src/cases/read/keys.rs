//! The keys of each table of a case file. Unknown ones are mistakes; the schema of the format has the same.

/// What a file may have beside settings.
pub(crate) const FILE: &[&str] = &["case", "mock", "pass", "timeout", "linger", "max-body"];
pub(super) const CASE: &[&str] =
    &["name", "request", "response", "span", "log", "mock", "pass", "timeout", "linger", "max-body"];
pub(super) const REQUEST: &[&str] = &["method", "path", "headers", "body", "body-file", "json"];
pub(super) const RESPONSE: &[&str] = &["status", "headers", "without", "body", "body-file", "json", "broken"];
pub(super) const SPAN: &[&str] = &[
    "name",
    "kind",
    "status",
    "message",
    "scope",
    "attributes",
    "without",
    "events",
    "links",
    "children",
    "ordered",
    "others",
    "times",
    "at-least",
    "at-most",
];
pub(super) const EVENT: &[&str] = &["name", "attributes", "times", "at-least", "at-most"];
pub(super) const LINK: &[&str] = &["trace", "attributes", "times", "at-least", "at-most"];
pub(super) const LOG: &[&str] = &["body", "severity", "attributes", "times", "at-least", "at-most"];
pub(super) const MOCK: &[&str] = &["request", "response", "error", "delay", "times", "at-least", "at-most"];
pub(super) const MOCK_REQUEST: &[&str] = &["method", "url", "headers", "body", "body-file", "json"];
pub(super) const MOCK_RESPONSE: &[&str] = &["status", "headers", "body", "body-file", "json"];

/// All tables, by what the schema calls them.
#[cfg(test)]
pub(super) const TABLES: &[(&str, &[&str])] = &[
    ("case", CASE),
    ("request", REQUEST),
    ("response", RESPONSE),
    ("span", SPAN),
    ("event", EVENT),
    ("link", LINK),
    ("log", LOG),
    ("mock", MOCK),
    ("mockRequest", MOCK_REQUEST),
    ("mockResponse", MOCK_RESPONSE),
];
