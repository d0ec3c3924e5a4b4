//! URLs without the secrets that they carry: credentials, and the parameters of signed ones.

use http::Uri;
use percent_encoding::percent_decode;
use std::borrow::Cow;

/// Parameters whose values are never recorded, by the HTTP conventions; compared with their case, once decoded as the
/// server that checks them does: `%73ig` is `sig`, `%2573ig` and `s+ig` are not.
const SECRET: [&str; 7] = [
    "X-Amz-Signature",
    "X-Amz-Credential",
    "X-Amz-Security-Token",
    "AWSAccessKeyId",
    "Signature",
    "sig",
    "X-Goog-Signature",
];

/// `query` with the values of secret parameters replaced; their keys stay.
pub(super) fn query(query: &str) -> Cow<'_, str> {
    // Bytes: this is asked of each request, and a search for a `char` takes longer than so short a text is worth.
    if !query.as_bytes().split(|byte| *byte == b'&').any(|pair| secret_key(pair).is_some()) {
        return Cow::Borrowed(query);
    }
    let mut clean = String::with_capacity(query.len());
    for (at, pair) in query.split('&').enumerate() {
        if at > 0 {
            clean.push('&');
        }
        match secret_key(pair.as_bytes()) {
            Some(end) => clean.extend([&pair[..end], "=REDACTED"]),
            None => clean.push_str(pair),
        }
    }
    Cow::Owned(clean)
}

/// The whole of `uri`, without credentials and the values of secret parameters.
pub(super) fn url(uri: &Uri) -> String {
    let mut clean = String::with_capacity(128);
    if let Some(scheme) = uri.scheme_str() {
        clean.extend([scheme, "://"]);
    }
    let authority = uri.authority().map(|authority| authority.as_str()).unwrap_or_default();
    match authority.rsplit_once('@') {
        Some((_, host)) => clean.extend(["REDACTED:REDACTED@", host]),
        None => clean.push_str(authority),
    }
    clean.push_str(uri.path());
    if let Some(text) = uri.query() {
        clean.extend(["?", &query(text)]);
    }
    clean
}

/// Where the key of `pair` ends, if its value is a secret.
fn secret_key(pair: &[u8]) -> Option<usize> {
    let end = pair.iter().position(|byte| *byte == b'=')?;
    let key = &pair[..end];
    let is_secret = match key.contains(&b'%') {
        false => SECRET.iter().any(|secret| secret.as_bytes() == key),
        true => SECRET.iter().any(|secret| percent_decode(key).eq(secret.bytes())),
    };
    is_secret.then_some(end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_url_loses_its_credentials_and_secret_parameters() {
        for (given, expected) in [
            ("http://example.com", "http://example.com/"),
            ("https://u:p@example.com:1/a?b=1", "https://REDACTED:REDACTED@example.com:1/a?b=1"),
            ("https://[::1]/?sig=1&x=2", "https://[::1]/?sig=REDACTED&x=2"),
            ("http://a/?%73ig=1&x=2", "http://a/?%73ig=REDACTED&x=2"),
        ] {
            assert_eq!(url(&given.parse().unwrap()), expected);
        }
    }

    #[test]
    fn only_values_of_secret_parameters_are_replaced() {
        for key in SECRET {
            assert_eq!(query(&format!("a=1&{key}=s=ecret&b")), format!("a=1&{key}=REDACTED&b"));
        }
        // Others than a server takes for one of them, which decodes once.
        let encoded =
            ["%53IG=x", "%2573ig=x", "s+ig=x", "sig%20=x", "%7=x", "%=x", "%zzsig=x", "a=1%26sig=x"];
        for plain in
            ["", "a=1&b=2", "SIG=x", "sig", "signature=x", "x=sig", "&&=&"].into_iter().chain(encoded)
        {
            assert!(matches!(query(plain), Cow::Borrowed(same) if same == plain));
        }
        assert_eq!(query("sig=1&sig=2&"), "sig=REDACTED&sig=REDACTED&");
    }

    /// `key` with the letters whose bits are set in `mask` encoded, their digits in upper or lower case.
    fn encoded(key: &str, mask: u32, upper: bool) -> String {
        let letter = |(at, byte): (usize, u8)| match (mask >> at & 1 == 1, upper) {
            (false, _) => char::from(byte).to_string(),
            (true, true) => format!("%{byte:02X}"),
            (true, false) => format!("%{byte:02x}"),
        };
        key.bytes().enumerate().map(letter).collect()
    }

    proptest! {
        #[test]
        fn no_encoding_of_a_key_hides_its_value(
            key in prop::sample::select(&SECRET[..]), mask: u32, upper: bool,
            before in "[a-z%=&+]{0,8}", after in "[a-zA-Z0-9%=&+]{0,8}",
        ) {
            let key = encoded(key, mask, upper);
            let clean = query(&format!("{before}&{key}=s3cret&{after}")).into_owned();
            prop_assert!(!clean.contains("s3cret"), "{clean}");
            prop_assert!(clean.contains(&format!("&{key}=REDACTED&")), "{clean}");
            let uri: Uri = format!("http://a/?{key}=s3cret").parse().unwrap();
            prop_assert_eq!(url(&uri), format!("http://a/?{key}=REDACTED"));
        }
    }
}
