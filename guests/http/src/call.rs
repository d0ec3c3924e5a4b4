//! A request that a guest makes: GET a URL, with headers; what came of it.

use crate::Target;

/// A GET request to make.
#[derive(Clone, Debug, Default)]
pub struct Call {
    /// `https` rather than `http`.
    pub https: bool,
    /// Host and port.
    pub authority: String,
    /// What follows them, `/` at least.
    pub path_with_query: String,
    /// Headers to set, valid or not: what the host refuses is left out.
    pub headers: Vec<(String, Vec<u8>)>,
    /// How long to wait for the connection and for the first byte, each, in milliseconds.
    pub timeout: Option<u64>,
}

impl Call {
    /// A request for this URL; none when it is no http URL.
    pub fn get(url: &str) -> Option<Self> {
        let (https, rest) = match url.split_once("://") {
            Some(("http", rest)) => (false, rest),
            Some(("https", rest)) => (true, rest),
            _ => return None,
        };
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let slash = if path.starts_with('/') { "" } else { "/" };
        Some(Self {
            https,
            authority: authority.to_owned(),
            path_with_query: format!("{slash}{path}"),
            ..Self::default()
        })
    }

    /// A request for the URL in the parameter `name`.
    pub fn named(target: &Target, name: &str) -> Option<Self> {
        target.get(name).and_then(Self::get)
    }

    /// With one more header.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.to_owned(), value.as_ref().to_vec()));
        self
    }
}

/// An error code of wasi:http by the name that `error.type` has for it: `connection_refused`.
pub fn error_name(code: &impl std::fmt::Debug) -> String {
    let text = format!("{code:?}");
    let name = text.strip_prefix("ErrorCode::").unwrap_or(&text);
    let end = name.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(name.len());
    let mut snake = String::new();
    for letter in name[..end].chars() {
        if letter.is_ascii_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}
