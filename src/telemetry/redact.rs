//! Query strings without the secrets that signed URLs carry.

use std::borrow::Cow;

/// Parameters whose values are never recorded, by the HTTP conventions; compared with their case.
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
    if !query.split('&').any(|pair| secret_key(pair).is_some()) {
        return Cow::Borrowed(query);
    }
    let mut clean = String::with_capacity(query.len());
    for (at, pair) in query.split('&').enumerate() {
        if at > 0 {
            clean.push('&');
        }
        match secret_key(pair) {
            Some(key) => clean.extend([key, "=REDACTED"]),
            None => clean.push_str(pair),
        }
    }
    Cow::Owned(clean)
}

fn secret_key(pair: &str) -> Option<&str> {
    let (key, _) = pair.split_once('=')?;
    SECRET.contains(&key).then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_values_of_secret_parameters_are_replaced() {
        for key in SECRET {
            assert_eq!(query(&format!("a=1&{key}=s=ecret&b")), format!("a=1&{key}=REDACTED&b"));
        }
        for plain in ["", "a=1&b=2", "SIG=x", "sig", "signature=x", "x=sig", "&&=&"] {
            assert!(matches!(query(plain), Cow::Borrowed(same) if same == plain));
        }
        assert_eq!(query("sig=1&sig=2&"), "sig=REDACTED&sig=REDACTED&");
    }
}
