//! Requests, responses and mocks of case files.

use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, Method, StatusCode, Uri};
use serde_json::Value as Json;
use toml::de::DeValue;

use super::fields::{Reader, Table, Value};
use super::{keys, values};
use crate::cases::expect::{Answer, Body, Mock, Request, Response, Status, Times};
use crate::cases::pattern::Pattern;
use crate::cases::url;
use crate::guest::error_names;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

impl Reader<'_> {
    /// `request`: `"GET /path"`, or a table.
    pub(super) fn request(&mut self, value: &Value<'_>) -> Option<Request> {
        let (method, path, at, headers, body) = match value.get_ref() {
            DeValue::String(text) => {
                let (method, path) = text.split_once(' ').unwrap_or(("GET", text));
                (method.to_owned(), path.trim().to_owned(), value.span(), Vec::new(), None)
            }
            DeValue::Table(table) => {
                let table = self.table("request", table, keys::REQUEST);
                let method = self.text(table, "method", "\"POST\"").map_or("GET", |(method, _)| method);
                let (path, at) = self.text(table, "path", "\"/users/7\"").unwrap_or(("/", value.span()));
                let mut headers = self.headers(table);
                let body = self.given_body(table, &mut headers);
                (method.to_owned(), path.to_owned(), at, headers, body)
            }
            _ => {
                self.wrong("request", value, "request = \"GET /users/7\"");
                return None;
            }
        };
        let method = self.method(&method, at.clone());
        let is_rooted = path.starts_with('/') || path.contains("://");
        let uri = path.parse::<Uri>().ok().filter(|_| is_rooted);
        if uri.is_none() {
            let hint =
                "write a path that begins with a slash, such as /users/7?full, with other characters as %20";
            self.mistake(at, format!("`{path}` is no path that can be asked for"), hint);
        }
        Some(Request { method: method?, uri: uri?, headers, body: body.unwrap_or_default() })
    }

    fn method(&mut self, text: &str, at: std::ops::Range<usize>) -> Option<Method> {
        let method = Method::from_bytes(text.as_bytes()).ok();
        if method.is_none() {
            self.mistake(at, format!("`{text}` is no method"), "write for example GET or POST");
        }
        method
    }

    /// A body that is sent: `body`, `body-file` or `json`, which says what it is unless a header does.
    fn given_body(&mut self, of: Table<'_>, headers: &mut Vec<(HeaderName, HeaderValue)>) -> Option<Bytes> {
        self.only_one(of, &["body", "body-file", "json"]);
        if let Some(value) = of.get("json") {
            if !headers.iter().any(|(name, _)| name == CONTENT_TYPE) {
                headers.push((CONTENT_TYPE, JSON));
            }
            return Some(self.json(value)?.to_string().into());
        }
        let text = self.text(of, "body", "\"hello\"").map(|(text, _)| Bytes::from(text.to_owned()));
        text.or_else(|| self.body_file(of))
    }

    /// JSON written as TOML, or as a text that is JSON.
    fn json(&mut self, value: &Value<'_>) -> Option<Json> {
        let Some(text) = value.get_ref().as_str() else { return Some(values::json(value.get_ref())) };
        match serde_json::from_str(text) {
            Ok(json) => Some(json),
            Err(error) => {
                let what = format!("`json` is a text that is no JSON: {error}");
                self.mistake(value.span(), what, "write the value as TOML, or JSON in quotes: '{\"id\": 7}'");
                None
            }
        }
    }

    /// A body that is expected: `body`, `body-file` or `json`.
    fn wanted_body(&mut self, of: Table<'_>) -> Option<Body> {
        self.only_one(of, &["body", "body-file", "json"]);
        if let Some(value) = of.get("json") {
            return self.json(value).map(|json| Body::Json(values::want(json)));
        }
        let text = self.pattern(of, "body", "\"Hello, *\"").map(Body::Text);
        text.or_else(|| self.body_file(of).map(Body::Bytes))
    }

    /// `response`: a status, or a table.
    pub(super) fn response(&mut self, value: &Value<'_>) -> Option<Response> {
        let DeValue::Table(table) = value.get_ref() else {
            let status = self.status("response", value)?;
            return Some(Response { status: Some(status), is_short: true, ..Response::default() });
        };
        let table = self.table("response", table, keys::RESPONSE);
        let without = self.texts(table, "without", "[\"set-cookie\"]");
        Some(Response {
            status: table.get("status").and_then(|value| self.status("response.status", value)),
            headers: self.header_patterns(table),
            without: without.into_iter().filter_map(|(name, at)| self.header_name(&name, at)).collect(),
            body: self.wanted_body(table),
            is_broken: table.has("broken").then(|| self.bool(table, "broken")),
            is_short: false,
        })
    }

    /// `200`, `"200"` or `"2xx"`.
    fn status(&mut self, what: &str, value: &Value<'_>) -> Option<Status> {
        let class = |text: &str| match text.strip_suffix("xx")?.parse() {
            Ok(first @ 1..=5) => Some(Status::Class(first)),
            _ => None,
        };
        let exact =
            |code: i64| u16::try_from(code).ok().filter(|code| (100..=999).contains(code)).map(Status::Exact);
        let status = match value.get_ref() {
            DeValue::String(text) => class(text).or_else(|| exact(text.parse().ok()?)),
            other => values::integer(other).and_then(exact),
        };
        if status.is_none() {
            let key = what.rsplit('.').next().unwrap_or(what);
            self.mistake(
                value.span(),
                format!("`{what}` is no status"),
                format!("write {key} = 200, or {key} = \"2xx\" for all of a class"),
            );
        }
        status
    }

    /// `[[mock]]`; `times` is how often it is to be called where it does not say so itself.
    pub(super) fn mock(
        &mut self,
        at: std::ops::Range<usize>,
        table: &toml::de::DeTable<'_>,
        times: Times,
    ) -> Option<Mock> {
        let table = self.table("mock", table, keys::MOCK);
        let Some(value) = table.get("request") else {
            let hint = "add what it answers: request = \"GET https://api.example.com/*\"";
            self.mistake(at, "the mock answers no request", hint);
            return None;
        };
        self.only_one(table, &["response", "error"]);
        let (method, url, headers, body) = match value.get_ref() {
            DeValue::String(text) => {
                let (method, url) =
                    text.split_once(' ').map_or((None, &**text), |(method, url)| (Some(method), url));
                (method.map(str::to_owned), url.trim().to_owned(), Vec::new(), None)
            }
            DeValue::Table(table) => {
                let table = self.table("mock.request", table, keys::MOCK_REQUEST);
                let method = self.text(table, "method", "\"POST\"").map(|(method, _)| method.to_owned());
                let url =
                    self.text(table, "url", "\"https://api.example.com/*\"").map_or("*", |(url, _)| url);
                (method, url.to_owned(), self.header_patterns(table), self.wanted_body(table))
            }
            _ => {
                self.wrong("mock.request", value, "request = \"GET https://api.example.com/*\"");
                return None;
            }
        };
        if !url.contains("://") && !url.starts_with('*') {
            let hint = "write the whole URL, or a pattern: https://api.example.com/users/*, */users/7";
            self.mistake(value.span(), format!("no request is for `{url}`"), hint);
        }
        let method = match method.filter(|method| method != "*") {
            Some(method) => Some(self.method(&method, value.span())?),
            None => None,
        };
        let written = format!("{} {url}", method.as_ref().map_or("*", Method::as_str));
        let answer = self.answer(table);
        Some(Mock {
            written,
            method,
            url: Pattern::new(&url::normalised(&url)),
            headers,
            body,
            answer: answer?,
            delay: self.duration(table, "delay").unwrap_or(Duration::ZERO),
            times: self.times(table).unwrap_or(times),
        })
    }

    fn answer(&mut self, mock: Table<'_>) -> Option<Answer> {
        if mock.has("error") {
            let names: Vec<_> = error_names().collect();
            let dashed = self.text(mock, "error", "\"connection_refused\"");
            let name = dashed.map(|(text, _)| text.replace('-', "_"));
            return match names.iter().find(|known| name.as_deref() == Some(known)) {
                Some(known) => Some(Answer::Error(known)),
                None => self.word(mock, "error", &names).map(Answer::Error),
            };
        }
        let ok = Answer::Response { status: StatusCode::OK, headers: Vec::new(), body: Bytes::new() };
        let Some(value) = mock.get("response") else { return Some(ok) };
        let DeValue::Table(table) = value.get_ref() else {
            let status = self.final_status("mock.response", value)?;
            return Some(Answer::Response { status, headers: Vec::new(), body: Bytes::new() });
        };
        let table = self.table("mock.response", table, keys::MOCK_RESPONSE);
        let mut headers = self.headers(table);
        let body = self.given_body(table, &mut headers).unwrap_or_default();
        let status = match table.get("status") {
            Some(value) => self.final_status("mock.response.status", value)?,
            None => StatusCode::OK,
        };
        Some(Answer::Response { status, headers, body })
    }

    fn final_status(&mut self, what: &str, value: &Value<'_>) -> Option<StatusCode> {
        let status = values::integer(value.get_ref()).and_then(|code| u16::try_from(code).ok());
        let status = status.filter(|code| *code >= 200).and_then(|code| StatusCode::from_u16(code).ok());
        if status.is_none() {
            let key = what.rsplit('.').next().unwrap_or(what);
            self.mistake(
                value.span(),
                format!("`{what}` is no status of a response"),
                format!("write {key} = 200"),
            );
        }
        status
    }
}
