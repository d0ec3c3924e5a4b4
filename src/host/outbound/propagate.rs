//! Which destinations get trace context: the rules of `otel.propagate-to`.

use http::Uri;

use super::policy::Rule;
use super::target::Target;
use crate::config::PropagateTo;

/// The rules of one component.
#[derive(Debug, Default)]
pub(crate) struct Destinations {
    /// None for all; a rule that can't be read matches nothing.
    rules: Option<Vec<Rule>>,
}

impl Destinations {
    /// Takes the rules as configured.
    pub(crate) fn new(setting: &PropagateTo) -> Self {
        let rules = match setting {
            PropagateTo::All => None,
            PropagateTo::Only(rules) => Some(rules.iter().filter_map(Rule::new).collect()),
        };
        Self { rules }
    }

    /// Whether a request to this URI carries trace context. A wildcard matches private hosts, too: what opens them is
    /// `guest.allow-outbound`.
    pub(crate) fn allow(&self, uri: &Uri) -> bool {
        let Some(rules) = &self.rules else {
            return true;
        };
        // What can't be read is refused later.
        Target::of(uri).is_ok_and(|target| rules.iter().any(|rule| rule.matches(&target)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allow(rules: &[&str], uri: &str) -> bool {
        let rules = rules.iter().map(|rule| rule.parse().unwrap()).collect();
        Destinations::new(&PropagateTo::Only(rules)).allow(&uri.parse().unwrap())
    }

    #[test]
    fn rules_are_those_of_outgoing_requests() {
        assert!(Destinations::default().allow(&"https://api.example.com/x".parse().unwrap()));
        assert!(!allow(&[], "https://api.example.com/x"));
        for (rule, inside, outside) in [
            ("*.example.com", "https://api.example.com/x", "https://example.com/"),
            ("api.example.com", "http://API.example.com./", "http://api.example.com:8080/"),
            ("https://api.example.com", "https://api.example.com/", "http://api.example.com/"),
            ("http://127.0.0.1:*", "http://127.0.0.1:1/", "http://127.0.0.2:1/"),
            ("[::1]:80", "http://[::1]/", "http://[::2]/"),
            ("*:443", "https://10.0.0.1/", "http://10.0.0.1/"),
        ] {
            assert!(allow(&[rule], inside), "{rule} {inside}");
            assert!(!allow(&[rule], outside), "{rule} {outside}");
        }
        assert!(allow(&["*"], "http://127.0.0.1:8080/"), "private hosts, too");
        assert!(!allow(&["*"], "http://user@127.0.0.1/"));
    }
}
