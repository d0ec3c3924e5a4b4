//! What the operator calls the service that a request goes to: the entries of `otel.peer-service`.

use std::sync::Arc;

use http::Uri;

use super::policy::Rule;
use super::target::Target;
use crate::config::PeerService;

/// The entries of one component, in their order.
#[derive(Debug, Default)]
pub(crate) struct PeerServices(Vec<(Rule, Arc<str>)>);

impl PeerServices {
    /// Takes the entries as configured. One whose host can't be read names nothing; telling the user is up to `config`.
    pub(crate) fn new(entries: &[PeerService]) -> Self {
        let named = |entry: &PeerService| Some((Rule::new(&entry.host)?, entry.name.as_str().into()));
        Self(entries.iter().filter_map(named).collect())
    }

    /// The name of the service at this URI: that of the first entry that matches. A wildcard matches private hosts, too.
    pub(super) fn name(&self, uri: &Uri) -> Option<Arc<str>> {
        if self.0.is_empty() {
            return None;
        }
        let target = Target::of(uri).ok()?;
        self.0.iter().find(|(rule, _)| rule.matches(&target)).map(|(_, name)| Arc::clone(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_entry_that_matches_names_the_service() {
        let entries =
            ["http://127.0.0.1:*=here", "orders.internal=orders", "*.internal:443=inside", "*=others"];
        let services = PeerServices::new(&entries.map(|entry| entry.parse().unwrap()));
        for (uri, name) in [
            ("http://127.0.0.1:7/x?y", Some("here")),
            ("https://orders.internal/", Some("orders")),
            ("https://ORDERS.internal./", Some("orders")),
            ("http://orders.internal/", Some("orders")),
            ("https://stock.internal/", Some("inside")),
            // The ports without one in the entry are those of the schemes.
            ("http://orders.internal:8080/", Some("others")),
            ("https://127.0.0.1/", Some("others")),
            ("http://user@127.0.0.1:7/", None),
            ("ftp://127.0.0.1/", None),
        ] {
            assert_eq!(services.name(&uri.parse().unwrap()).as_deref(), name, "{uri}");
        }
        assert_eq!(PeerServices::default().name(&Uri::from_static("http://a/")), None);
    }
}
