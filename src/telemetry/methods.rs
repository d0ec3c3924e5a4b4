//! Which request methods spans name: others are `_OTHER`, since a client may make up as many as it likes.

use super::semconv;
use http::Method;

/// The methods that are named; compared with their case.
#[derive(Debug, Default)]
pub(super) struct Methods(Option<Box<[String]>>);

impl Methods {
    /// Those that are set, in place of those of the conventions.
    pub(super) fn new(set: Option<&[String]>) -> Self {
        Methods(set.map(Into::into))
    }

    /// Whether a span may say this one in `http.request.method`.
    pub(super) fn knows(&self, method: &Method) -> bool {
        match &self.0 {
            None => semconv::KNOWN_METHODS.contains(&method.as_str()),
            Some(set) => set.iter().any(|known| known == method.as_str()),
        }
    }

    /// The method as it may stand in a span's name: `HTTP` for one that is not known.
    pub(super) fn name<'a>(&self, method: &'a Method) -> &'a str {
        if self.knows(method) { method.as_str() } else { "HTTP" }
    }
}

/// The place of a method among those of the conventions; beyond the last for another.
pub(super) fn place(method: &Method) -> usize {
    let known = semconv::KNOWN_METHODS.iter().position(|known| *known == method.as_str());
    known.unwrap_or(semconv::KNOWN_METHODS.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_is_set_stands_in_place_of_the_conventions() {
        let method = |text: &str| text.parse::<Method>().unwrap();
        let usual = Methods::default();
        assert_eq!(usual.name(&method("GET")), "GET");
        assert_eq!((usual.name(&method("get")), usual.name(&method("PROPFIND"))), ("HTTP", "HTTP"));
        let set = Methods::new(Some(&["PROPFIND".to_owned()]));
        assert_eq!((set.name(&method("PROPFIND")), set.name(&method("GET"))), ("PROPFIND", "HTTP"));
    }
}
