//! URLs of outgoing requests, and the patterns of mocks, in one spelling.

/// The URL, or the pattern of one, with scheme and host in lower case, without the scheme's own port, and with a slash where
/// it has no path. What a pattern leaves open stays open.
pub(super) fn normalised(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let scheme = scheme.to_ascii_lowercase();
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let (user, host) = match authority.rsplit_once('@') {
        Some((user, host)) => (format!("{user}@"), host),
        None => (String::new(), authority),
    };
    let host = host.to_ascii_lowercase();
    let port = match &*scheme {
        "http" => ":80",
        "https" => ":443",
        _ => "",
    };
    let host = host.strip_suffix(port).unwrap_or(&host);
    // A star at the end stands for the path, too.
    let slash = if path.starts_with('/') || (path.is_empty() && host.ends_with('*')) { "" } else { "/" };
    format!("{scheme}://{user}{host}{slash}{path}")
}

#[cfg(test)]
mod tests {
    use super::normalised;

    #[test]
    fn one_url_has_one_spelling() {
        for (written, expected) in [
            ("http://Backend.TEST:80/A", "http://backend.test/A"),
            ("HTTPS://a.test:443?Q=1", "https://a.test/?Q=1"),
            ("http://a.test", "http://a.test/"),
            ("http://a.test:443/", "http://a.test:443/"),
            ("https://u:P@A.test:8443/x", "https://u:P@a.test:8443/x"),
            ("http://[::1]:80/", "http://[::1]/"),
            ("http://*", "http://*"),
            ("*://A.test:80/x*", "*://a.test:80/x*"),
            ("*/Users/7", "*/Users/7"),
            ("*", "*"),
        ] {
            assert_eq!(normalised(written), expected, "{written}");
            assert_eq!(normalised(expected), expected);
        }
    }
}
