//! Rules against URIs, and the messages of refusals.

use proptest::prelude::*;

use super::*;

/// Reads `[scheme://]host[:port]` as the configuration will.
fn rule(text: &str) -> OutboundRule {
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) => (Some(scheme.to_owned()), rest),
        None => (None, text),
    };
    let split = rest.rfind(':').filter(|at| !rest[*at..].contains(']'));
    let (host, port) = match split {
        Some(at) => (&rest[..at], Some(&rest[at + 1..])),
        None => (rest, None),
    };
    OutboundRule {
        scheme,
        host: match host.strip_prefix("*.") {
            _ if host == "*" => HostPattern::Any,
            Some(suffix) => HostPattern::Suffix(suffix.to_owned()),
            None => HostPattern::Exact(host.to_owned()),
        },
        port: match port {
            None => PortPattern::Default,
            Some("*") => PortPattern::Any,
            Some(port) => PortPattern::Exact(port.parse().unwrap()),
        },
    }
}

fn policy(rules: &[&str]) -> Policy {
    Policy::new(&rules.iter().map(|r| rule(r)).collect::<Vec<_>>())
}

fn ask(rules: &[&str], uri: &str) -> Result<bool, Refused> {
    policy(rules).allows(&uri.parse().unwrap()).map(|a| a.named)
}

const NAMED: Option<bool> = Some(true);
const WILD: Option<bool> = Some(false);
const NO: Option<bool> = None;

#[test]
fn rules_match_scheme_host_and_port() {
    for (rule, uri, expected) in [
        ("https://api.example.com", "https://api.example.com/v1", NAMED),
        ("https://api.example.com", "https://API.Example.COM./v1", NAMED),
        ("https://API.example.com", "https://api.example.com:443/", NAMED),
        ("https://api.example.com", "http://api.example.com/", NO),
        ("https://api.example.com", "https://api.example.com:8443/", NO),
        ("https://api.example.com", "https://api.example.com.evil.test/", NO),
        ("api.example.com", "http://api.example.com/", NAMED),
        ("api.example.com", "https://api.example.com/", NAMED),
        ("api.example.com", "http://api.example.com:443/", NO),
        ("api.example.com:443", "http://api.example.com:443/", NAMED),
        ("*.example.com:443", "https://a.example.com/", WILD),
        ("*.example.com:443", "https://a.b.example.com/", WILD),
        ("*.example.com:443", "https://example.com/", NO),
        ("*.example.com:443", "https://badexample.com/", NO),
        ("*.example.com:443", "https://a.example.com:444/", NO),
        ("http://127.0.0.1:*", "http://127.0.0.1:9000/", NAMED),
        ("http://127.0.0.1:*", "http://127.0.0.2:9000/", NO),
        ("http://127.0.0.1:*", "http://2130706433:9000/", NO),
        ("http://127.0.0.1:*", "http://localhost:9000/", NO),
        ("http://[::1]:8080", "http://[0:0:0:0:0:0:0:1]:8080/", NAMED),
        ("http://[::1]:8080", "http://[::1]/", NO),
        ("*", "https://anything.test/", WILD),
        ("*", "http://anything.test/", WILD),
        ("*", "http://anything.test:8080/", NO),
        ("*:*", "http://anything.test:8080/", WILD),
        ("*", "http://1.1.1.1/", WILD),
        ("ftp://*", "http://1.1.1.1/", NO),
    ] {
        assert_eq!(ask(&[rule], uri).ok(), expected, "{rule} against {uri}");
    }
}

#[test]
fn no_rules_allow_nothing() {
    assert_eq!(ask(&[], "https://example.com/").unwrap_err().reason, Reason::NotAllowed);
}

#[test]
fn an_exact_rule_names_the_host_wherever_it_stands() {
    assert_eq!(ask(&["*:*", "http://10.0.0.1"], "http://10.0.0.1/"), Ok(true));
    assert_eq!(ask(&["http://10.0.0.1", "*:*"], "http://10.0.0.1/"), Ok(true));
    // It names that target only.
    assert!(ask(&["http://10.0.0.1", "*:*"], "http://10.0.0.1:81/").is_err());
    assert!(ask(&["http://10.0.0.1", "*:*"], "http://10.0.0.2/").is_err());
}

#[test]
fn a_wildcard_never_allows_a_literal_that_is_not_public() {
    for host in ["127.0.0.1", "169.254.169.254", "10.1.2.3", "[::1]", "[::ffff:127.0.0.1]"] {
        let refused = ask(&["*:*"], &format!("http://{host}:8080/")).unwrap_err();
        assert!(matches!(refused.reason, Reason::NotPublic(..)), "{refused}");
        assert!(matches!(refused.error(), Error::DestinationIpProhibited));
        assert!(refused.to_string().ends_with(&format!("--allow-outbound http://{host}:8080")));
    }
}

#[test]
fn suffixes_may_come_with_or_without_star_and_dot() {
    for text in ["example.com", ".example.com", "*.example.com"] {
        let rules = [OutboundRule {
            scheme: None,
            host: HostPattern::Suffix(text.to_owned()),
            port: PortPattern::Default,
        }];
        let policy = Policy::new(&rules);
        assert!(policy.allows(&"http://a.example.com".parse().unwrap()).is_ok());
        assert!(policy.allows(&"http://aexample.com".parse().unwrap()).is_err());
    }
}

#[test]
fn the_message_names_the_host_and_the_flag() {
    let refused = ask(&[], "https://api.example.com/secret?token=1").unwrap_err();
    assert_eq!(
        refused.to_string(),
        "outgoing request to `https://api.example.com` refused: not in guest.allow-outbound; \
         add --allow-outbound https://api.example.com"
    );
    let refused = ask(&["*:*"], "http://127.0.0.1:9/").unwrap_err();
    assert_eq!(
        refused.to_string(),
        "outgoing request to `http://127.0.0.1:9` refused: 127.0.0.1 is a loopback address, \
         which a wildcard never allows; name the host: --allow-outbound http://127.0.0.1:9"
    );
}

#[test]
fn methods_that_are_not_for_guests_are_refused() {
    let policy = policy(&["*"]);
    let uri = "https://example.com/".parse().unwrap();
    for method in ["CONNECT", "TRACE", "connect", "Trace"] {
        let refused = policy.check(&method.parse().unwrap(), &uri).unwrap_err();
        assert!(matches!(refused.error(), Error::HttpRequestMethodInvalid));
    }
    assert!(policy.check(&Method::GET, &uri).is_ok());
    assert!(policy.check(&"PURGE".parse().unwrap(), &uri).is_ok());
}

#[test]
fn a_user_name_is_refused_and_not_repeated() {
    let refused = ask(&["*"], "https://me:secret@example.com/").unwrap_err();
    assert!(matches!(refused.error(), Error::HttpRequestUriInvalid));
    assert!(!refused.to_string().contains("secret"), "{refused}");
}

proptest! {
    #[test]
    fn wildcards_allow_an_address_exactly_when_it_is_public(bits: u32, port in 1u16..) {
        let ip = std::net::Ipv4Addr::from_bits(bits);
        let allowed = ask(&["*:*"], &format!("http://{ip}:{port}/"));
        prop_assert_eq!(allowed.is_ok(), address::special(ip.into()).is_none());
        prop_assert_ne!(allowed, Ok(true));
    }

    #[test]
    fn the_flag_in_the_message_allows_the_request(
        https: bool,
        host in "[a-z0-9]{1,8}(\\.[a-zA-Z0-9-]{1,8}){0,3}\\.?",
        port in proptest::option::of(1u16..),
    ) {
        let scheme = if https { "https" } else { "http" };
        let port = port.map(|p| format!(":{p}")).unwrap_or_default();
        let uri = format!("{scheme}://{host}{port}/");
        if let Err(refused) = ask(&[], &uri)
            && refused.reason == Reason::NotAllowed
        {
            let message = refused.to_string();
            let flag = message.rsplit(' ').next().unwrap();
            prop_assert_eq!(ask(&[flag], &uri), Ok(true), "{} {}", flag, uri);
        }
    }

    #[test]
    fn no_uri_panics(text in "\\PC{0,40}") {
        if let Ok(uri) = text.parse::<Uri>() {
            prop_assert!(policy(&[]).allows(&uri).is_err());
        }
    }
}
