//! Which request methods spans, metrics and the access log's records name: others are `_OTHER`, since a client may make
//! up as many as it likes.

use super::semconv;
use http::Method;
use std::sync::Arc;

/// Far more than a variable has room for, and few enough for every place to be a `u16`.
const MAX_METHODS: usize = u16::MAX as usize;

/// The methods that are named; compared with their case.
#[derive(Clone, Debug, Default)]
pub(super) struct Methods(Option<Arc<[String]>>);

impl Methods {
    /// The methods in `set`, in place of those that the conventions name.
    pub(super) fn new(set: Option<&[String]>) -> Self {
        Methods(set.map(|set| set[..set.len().min(MAX_METHODS)].into()))
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.as_ref().map_or(semconv::KNOWN_METHODS.len(), |set| set.len())
    }

    /// Whether the method of this place may stand in `http.request.method`.
    pub(super) fn is_known(&self, place: u16) -> bool {
        usize::from(place) < self.len()
    }

    /// Whether this one may stand in `http.request.method`.
    pub(super) fn knows(&self, method: &Method) -> bool {
        self.position(method).is_some()
    }

    /// The place of a method among these, for whoever keeps it in little; beyond the last for another.
    pub(super) fn place(&self, method: &Method) -> u16 {
        let place = self.position(method).unwrap_or(self.len());
        u16::try_from(place).unwrap_or(u16::MAX)
    }

    /// What the method of this place is called in `http.request.method`.
    pub(super) fn at(&self, place: u16) -> &str {
        let known = match &self.0 {
            None => semconv::KNOWN_METHODS.get(usize::from(place)).copied(),
            Some(set) => set.get(usize::from(place)).map(String::as_str),
        };
        known.unwrap_or(semconv::OTHER_METHOD)
    }

    fn position(&self, method: &Method) -> Option<usize> {
        match &self.0 {
            None => semconv::KNOWN_METHODS.iter().position(|known| *known == method.as_str()),
            Some(set) => set.iter().position(|known| known == method.as_str()),
        }
    }

    /// The method as it may stand in a span's name: `HTTP` for one that is not known.
    pub(super) fn name<'a>(&self, method: &'a Method) -> &'a str {
        if self.knows(method) { method.as_str() } else { "HTTP" }
    }
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

    #[test]
    fn a_place_is_that_of_its_method_and_beyond_the_last_are_the_others() {
        let method = |text: &str| text.parse::<Method>().unwrap();
        for (methods, known, other) in [
            (Methods::default(), "TRACE", "PROPFIND"),
            (Methods::new(Some(&["A".to_owned(), "PROPFIND".to_owned()])), "PROPFIND", "GET"),
            (Methods::new(Some(&vec!["A".to_owned(); 70_000])), "A", "GET"),
        ] {
            let at = |text: &str| methods.at(methods.place(&method(text)));
            assert_eq!((at(known), at(other)), (known, "_OTHER"));
            assert_eq!(usize::from(methods.place(&method(other))), methods.len());
        }
    }
}
