//! Which certificate a client gets: one for the name that it asks for, else the first.

use std::sync::Arc;

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::config::Certified;

/// The certificates of a server, at least one.
#[derive(Debug)]
pub(super) struct Identities(Vec<Certified>);

/// How a certificate's name matches the one that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Match {
    /// It is the name.
    Exact,
    /// Its `*` stands for the first label of the name.
    Star,
}

impl Identities {
    pub(super) fn new(certified: Vec<Certified>) -> Self {
        Self(certified)
    }

    /// In the order of the settings.
    pub(super) fn all(&self) -> &[Certified] {
        &self.0
    }
}

impl ResolvesServerCert for Identities {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let asked = hello.server_name().map(|name| name.trim_end_matches('.').to_ascii_lowercase());
        let named = asked.as_deref().and_then(|asked| {
            let is_for = |one: &Certified, wanted| {
                one.described.names.iter().any(|name| matches(name, asked) == Some(wanted))
            };
            // Of several for the same name (ECDSA and RSA), the first whose signatures the client understands.
            let is_understood =
                |one: &&Certified| one.signing.key.choose_scheme(hello.signature_schemes()).is_some();
            let best = |wanted| self.0.iter().filter(move |one| is_for(one, wanted)).find(is_understood);
            best(Match::Exact).or_else(|| best(Match::Star))
        });
        named.or(self.0.first()).map(|one| one.signing.clone())
    }
}

fn matches(name: &str, asked: &str) -> Option<Match> {
    if name == asked {
        return Some(Match::Exact);
    }
    let parent = name.strip_prefix("*.")?;
    let (label, rest) = asked.split_once('.')?;
    (rest == parent && !label.is_empty()).then_some(Match::Star)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_one_label() {
        assert_eq!(matches("a.example", "a.example"), Some(Match::Exact));
        assert_eq!(matches("*.example", "a.example"), Some(Match::Star));
        for (name, asked) in [
            ("*.example", "example"),
            ("*.example", "b.a.example"),
            ("*.example", ".example"),
            ("a.example", "b.example"),
            ("*", "example"),
        ] {
            assert_eq!(matches(name, asked), None, "{name} {asked}");
        }
    }
}
