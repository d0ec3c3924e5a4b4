//! Hostile and odd values, each with what is made of it.

use http::{HeaderValue, Request};
use proptest::prelude::*;

use super::*;
use crate::server::fuzz;

/// Proxies are those of 10.0.0.0/8, fd00::/8 and Unix sockets.
fn forwarding(family: ForwardedHeader) -> Forwarding {
    let proxies = ["10.0.0.0/8", "fd00::/8", "unix"].map(|proxy| proxy.parse().unwrap());
    Forwarding { proxies: proxies.to_vec(), family }
}

/// A request for `http://own.example` over HTTP/1.1 with these headers.
fn head(headers: &[(&'static str, &str)]) -> request::Parts {
    let (mut head, ()) = Request::new(()).into_parts();
    head.version = Version::HTTP_11;
    head.headers.insert(HOST, HeaderValue::from_static("own.example"));
    for (name, value) in headers {
        head.headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    head
}

fn peer(remote: &str) -> Peer {
    Peer { remote: remote.parse().ok(), ..Peer::default() }
}

/// Client, scheme and authority of a request from the proxy 10.0.0.1, `-` where nothing is told.
fn told(family: ForwardedHeader, headers: &[(&'static str, &str)]) -> String {
    let forwarding = forwarding(family);
    let hop = forwarding.hop(peer("10.0.0.1:9"));
    let told = forwarding.origin(&hop, &head(headers)).peer().told.clone().unwrap_or_default();
    let text = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let scheme = told.is_https.map(|is_https| if is_https { "https" } else { "http" }.to_owned());
    let authority = told.authority.as_ref().map(Authority::to_string);
    [told.client.map(|client| client.to_string()), scheme, authority].map(text).join(" ")
}

#[test]
fn x_forwarded_for_is_read_from_the_right() {
    let long = format!("{}, 198.51.100.7", "1.2.3.4, ".repeat(3000));
    for (values, client) in [
        (&["198.51.100.7"][..], "198.51.100.7"),
        // Spoofed by the client, in the same field and in one of its own.
        (&["203.0.113.1, 198.51.100.7"], "198.51.100.7"),
        (&["203.0.113.1", "198.51.100.7"], "198.51.100.7"),
        (&["10.9.9.9, 198.51.100.7"], "198.51.100.7"),
        (&["nonsense \u{fe}, 198.51.100.7"], "198.51.100.7"),
        (&["\", 198.51.100.7"], "198.51.100.7"),
        (&[&long], "198.51.100.7"),
        // Through several of the operator's.
        (&["203.0.113.1, 198.51.100.7, 10.0.0.3, 10.0.0.2"], "198.51.100.7"),
        (&["198.51.100.7, fd00::2"], "198.51.100.7"),
        (&["198.51.100.7", "10.0.0.3", "::ffff:10.0.0.2"], "198.51.100.7"),
        // All are the operator's: the first is the client.
        (&["10.0.0.4, 10.0.0.3"], "10.0.0.4"),
        // With ports and in brackets.
        (&["198.51.100.7:4711"], "198.51.100.7"),
        (&["[2001:db8::1]:4711"], "2001:db8::1"),
        (&["[2001:db8::1]"], "2001:db8::1"),
        (&["2001:db8::1"], "2001:db8::1"),
        (&["::1"], "::1"),
        (&["2001:DB8:0::1"], "2001:db8::1"),
        (&["::ffff:198.51.100.7"], "198.51.100.7"),
        (&["[::ffff:198.51.100.7]:1"], "198.51.100.7"),
        // Members of lists may be empty.
        (&[" , 198.51.100.7\t, ,"], "198.51.100.7"),
        // What is no address ends the way: the last one that is known counts.
        (&["198.51.100.7, unknown, 10.0.0.2"], "10.0.0.2"),
        (&["198.51.100.7, _hidden, 10.0.0.2"], "10.0.0.2"),
        (&["unknown"], "-"),
        (&["_hidden"], "-"),
        (&[""], "-"),
        (&[" ,,"], "-"),
        (&["198.51.100"], "-"),
        (&["198.51.100.7.8"], "-"),
        (&["0x7f.1"], "-"),
        (&["198.51.100.7:"], "-"),
        (&["198.51.100.7:0"], "-"),
        (&["198.51.100.7:65536"], "-"),
        (&["198.51.100.7:+1"], "-"),
        (&["[198.51.100.7]"], "-"),
        (&["[2001:db8::1"], "-"),
        (&["[2001:db8::1]x"], "-"),
        (&["fe80::1%eth0"], "-"),
        (&["\"198.51.100.7\""], "-"),
        (&["198.51.100.7 203.0.113.1"], "-"),
        (&["for=198.51.100.7"], "-"),
        (&["example.com"], "-"),
    ] {
        let headers: Vec<_> = values.iter().map(|value| ("x-forwarded-for", *value)).collect();
        let expected = format!("{client} - -");
        assert_eq!(told(ForwardedHeader::XForwarded, &headers), expected, "{values:.80?}");
    }
}

#[test]
fn scheme_host_and_port_go_with_the_hop_that_is_the_client() {
    const FOR: &str = "x-forwarded-for";
    const PROTO: &str = "x-forwarded-proto";
    const NAME: &str = "x-forwarded-host";
    const PORT: &str = "x-forwarded-port";
    let long = "a".repeat(300);
    for (headers, expected) in [
        (&[(PROTO, "https")][..], "- https -"),
        (&[(PROTO, "HTTPS"), (NAME, "shop.example")], "- https shop.example"),
        (&[(PROTO, "http")], "- http -"),
        // The client's own words stand to the left.
        (&[(FOR, "1.1.1.1, 2.2.2.2"), (PROTO, "https, http"), (NAME, "evil, good")], "2.2.2.2 http good"),
        (&[(FOR, "2.2.2.2"), (PROTO, "https"), (PROTO, "http")], "2.2.2.2 http -"),
        // Each of two proxies has added its own; only the one at the edge has; it says what it was, the others nothing.
        (&[(FOR, "2.2.2.2, 10.0.0.2"), (PROTO, "https, http"), (NAME, "edge, inner")], "2.2.2.2 https edge"),
        (&[(FOR, "9.9.9.9, 2.2.2.2, 10.0.0.2"), (PROTO, "x, https, http")], "2.2.2.2 https -"),
        (&[(FOR, "2.2.2.2, 10.0.0.2"), (PROTO, "https"), (NAME, "edge")], "2.2.2.2 https edge"),
        // Ports.
        (&[(PROTO, "https"), (PORT, "443")], "- https own.example"),
        (&[(PROTO, "https"), (PORT, "8443")], "- https own.example:8443"),
        (&[(PORT, "80")], "- - own.example"),
        (&[(NAME, "shop.example"), (PORT, "8443")], "- - shop.example:8443"),
        (&[(NAME, "shop.example:81"), (PORT, "8443")], "- - shop.example:81"),
        (&[(NAME, "[2001:db8::1]"), (PORT, "8443")], "- - [2001:db8::1]:8443"),
        (&[(NAME, "[2001:db8::1]:99")], "- - [2001:db8::1]:99"),
        // What is none of these is not said.
        (&[(PROTO, "gopher")], "- - -"),
        (&[(PROTO, "")], "- - -"),
        (&[(PROTO, "https https")], "- - -"),
        (&[(PORT, "0")], "- - -"),
        (&[(PORT, "http")], "- - -"),
        (&[(PORT, "65536")], "- - -"),
        (&[(NAME, "")], "- - -"),
        (&[(NAME, "user@shop.example")], "- - -"),
        (&[(NAME, "shop.example/path")], "- - -"),
        (&[(NAME, "shop.example:")], "- - -"),
        (&[(NAME, "shop.example:http")], "- - -"),
        (&[(NAME, "shop.example:65536")], "- - -"),
        (&[(NAME, ":80")], "- - -"),
        (&[(NAME, "2001:db8::1")], "- - -"),
        (&[(NAME, "\"shop.example\"")], "- - -"),
        (&[(NAME, "b\u{fc}cher.example")], "- - -"),
        (&[(NAME, &long)], "- - -"),
    ] {
        assert_eq!(told(ForwardedHeader::XForwarded, headers), expected, "{headers:?}");
    }
}

#[test]
fn forwarded_is_read_from_the_right() {
    let long = format!("{}, for=198.51.100.7", "for=1.2.3.4, ".repeat(2000));
    for (values, expected) in [
        (&["for=198.51.100.7"][..], "198.51.100.7 - -"),
        (&["For=198.51.100.7;PROTO=https;Host=shop.example"], "198.51.100.7 https shop.example"),
        (&[r#"for="198.51.100.7:4711";host="shop.example:81""#], "198.51.100.7 - shop.example:81"),
        (&[r#"for="[2001:db8::1]:4711";by=_us;secret=x"#], "2001:db8::1 - -"),
        (&[r#"for="[2001:db8::1]""#], "2001:db8::1 - -"),
        (&[r#"for="[2001:db8::1]:_hidden""#], "2001:db8::1 - -"),
        (&[r#"for="\1\9\8.51.100.7""#], "198.51.100.7 - -"),
        (&[r#"for="[::ffff:198.51.100.7]""#], "198.51.100.7 - -"),
        (&[" ; for=198.51.100.7 ; ; proto=http ; "], "198.51.100.7 http -"),
        (&["proto=https"], "- https -"),
        // Spoofed, in the same field and in one of its own; and words that would swallow what follows.
        (&["for=203.0.113.1;proto=https, for=198.51.100.7;proto=http"], "198.51.100.7 http -"),
        (&["for=203.0.113.1", "for=198.51.100.7"], "198.51.100.7 - -"),
        (&[r#"for=", for=198.51.100.7"#], "198.51.100.7 - -"),
        (&[r#"for="x\", for=198.51.100.7"#], "198.51.100.7 - -"),
        (&["for=\u{fe}\\, for=198.51.100.7"], "198.51.100.7 - -"),
        (&[r#"for=203.0.113.1;host="a, for=198.51.100.7"#], "198.51.100.7 - -"),
        (&[&long], "198.51.100.7 - -"),
        // A comma within quotes parts nothing.
        (&[r#"for=198.51.100.7;ext="a, for=203.0.113.1""#], "198.51.100.7 - -"),
        (&[r#"for=198.51.100.7;ext="a\", for=203.0.113.1""#], "198.51.100.7 - -"),
        // Through several of the operator's: scheme and host are the client's.
        (
            &["for=198.51.100.7;proto=https;host=edge, for=10.0.0.2;proto=http;host=inner"],
            "198.51.100.7 https edge",
        ),
        (&["for=198.51.100.7;proto=https", r#"for="[fd00::2]";proto=http"#], "198.51.100.7 https -"),
        (&["for=198.51.100.7, for=unknown, for=10.0.0.2;proto=https"], "10.0.0.2 - -"),
        // Nobody, or nothing that can be read.
        (&["for=unknown;proto=https"], "- https -"),
        (&["for=_hidden"], "- - -"),
        (&["for="], "- - -"),
        (&[r#"for="""#], "- - -"),
        (&[r#"for="198.51.100.7"#], "- - -"),
        (&[r#"for="198.51.100.7"x"#], "- - -"),
        (&["for=2001:db8::1"], "- - -"),
        (&["for=[2001:db8::1]"], "- - -"),
        (&[r#"for="2001:db8::1""#], "2001:db8::1 - -"),
        (&["for=198.51.100.7;for=203.0.113.1"], "- - -"),
        (&["for = 198.51.100.7"], "- - -"),
        (&["198.51.100.7"], "- - -"),
        (&["for=198.51.100.7 proto=https"], "- - -"),
        (&["for=198.51.100.7;host=\"a@b\";proto=ftp"], "198.51.100.7 - -"),
        (&[""], "- - -"),
        (&[" ,, "], "- - -"),
    ] {
        let headers: Vec<_> = values.iter().map(|value| ("forwarded", *value)).collect();
        assert_eq!(told(ForwardedHeader::Forwarded, &headers), expected, "{values:.80?}");
    }
}

#[test]
fn only_trusted_peers_and_one_family_are_believed() {
    let both =
        head(&[("x-forwarded-for", "1.1.1.1"), ("forwarded", "for=2.2.2.2"), ("x-real-ip", "3.3.3.3")]);
    for (family, remote, client) in [
        (ForwardedHeader::XForwarded, "10.0.0.1:9", Some("1.1.1.1")),
        (ForwardedHeader::Forwarded, "10.0.0.1:9", Some("2.2.2.2")),
        (ForwardedHeader::Forwarded, "[::ffff:10.0.0.1]:9", Some("2.2.2.2")),
        (ForwardedHeader::XForwarded, "192.0.2.1:9", Some("192.0.2.1")),
        (ForwardedHeader::Forwarded, "192.0.2.1:9", Some("192.0.2.1")),
        // On a Unix socket.
        (ForwardedHeader::XForwarded, "", Some("1.1.1.1")),
    ] {
        let forwarding = forwarding(family);
        let hop = forwarding.hop(peer(remote));
        let origin = forwarding.origin(&hop, &both);
        assert_eq!(origin.peer().client(), client.map(|client| client.parse().unwrap()), "{remote}");
    }
    let nobody = Forwarding { proxies: Vec::new(), family: ForwardedHeader::XForwarded };
    let hop = nobody.hop(Peer::default());
    assert_eq!(nobody.origin(&hop, &both).peer().client(), None);
}

#[test]
fn the_scheme_of_http_2_is_believed_of_trusted_peers_only() {
    let forwarding = forwarding(ForwardedHeader::XForwarded);
    let mut head = head(&[]);
    head.version = Version::HTTP_2;
    head.uri = "https://own.example/".parse().unwrap();
    for (remote, told, expected) in
        [("10.0.0.1:9", None, true), ("10.0.0.1:9", Some("http"), false), ("192.0.2.1:9", None, false)]
    {
        if let Some(told) = told {
            head.headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(told));
        }
        let hop = forwarding.hop(peer(remote));
        assert_eq!(forwarding.origin(&hop, &head).peer().is_https(), expected, "{remote} {told:?}");
        head.headers.remove(X_FORWARDED_PROTO);
    }
}

#[test]
fn what_a_guest_sees_was_written_here() {
    const CLAIMS: [(&str, &str); 8] = [
        ("x-forwarded-for", "1.1.1.1, 198.51.100.7, 10.0.0.2"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-port", "8443"),
        ("forwarded", "for=1.1.1.1, for=\"[2001:db8::1]\";proto=https;host=shop.example"),
        ("x_forwarded_for", "1.1.1.1"),
        ("x-real-ip", "1.1.1.1"),
        ("x-forwarded-user", "root"),
        ("accept", "*/*"),
    ];
    for (family, remote, expected) in [
        (
            ForwardedHeader::XForwarded,
            "10.0.0.1:9",
            "x-forwarded-for: 198.51.100.7, 10.0.0.2, 10.0.0.1; x-forwarded-host: own.example:8443; \
             x-forwarded-proto: https; x-forwarded-user: root",
        ),
        (
            ForwardedHeader::XForwarded,
            "[2001:db8::9]:9",
            "x-forwarded-for: 2001:db8::9; x-forwarded-host: own.example; x-forwarded-proto: http",
        ),
        (
            ForwardedHeader::Forwarded,
            "10.0.0.1:9",
            "forwarded: for=\"[2001:db8::1]\";host=\"shop.example\";proto=https, for=10.0.0.1; x-forwarded-user: root",
        ),
        (
            ForwardedHeader::Forwarded,
            "192.0.2.1:9",
            "forwarded: for=192.0.2.1;host=\"own.example\";proto=http",
        ),
        (
            ForwardedHeader::XForwarded,
            "",
            "x-forwarded-for: 198.51.100.7, 10.0.0.2; x-forwarded-host: own.example:8443; \
             x-forwarded-proto: https; x-forwarded-user: root",
        ),
    ] {
        let forwarding = forwarding(family);
        let hop = forwarding.hop(peer(remote));
        let mut head = head(&CLAIMS);
        let origin = forwarding.origin(&hop, &head);
        let authority = origin.peer().told_authority().map_or("own.example", Authority::as_str);
        head.uri = format!("http://{authority}/").parse().unwrap();
        origin.write(&mut head);
        let mut seen: Vec<_> =
            head.headers.iter().filter(|(name, _)| *name != HOST && *name != "accept").collect();
        seen.sort_by_key(|(name, _)| name.as_str());
        let seen: Vec<_> =
            seen.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        assert_eq!(seen.join("; "), expected, "{family} from {remote:?}");
    }
}

#[test]
fn claims_are_known_by_their_names() {
    for (name, of_strangers, of_proxies) in [
        ("x-forwarded-for", true, true),
        ("x_forwarded-for", true, true),
        ("x-forwarded-scheme", true, true),
        ("x-forwarded-user", true, false),
        ("x-forwarded-client-cert", true, false),
        ("x-forwarded-", true, false),
        ("forwarded", true, true),
        ("true_client_ip", true, true),
        ("cf-connecting-ip", true, true),
        ("x-forward", false, false),
        ("x-request-id", false, false),
        ("from", false, false),
        ("cookie", false, false),
    ] {
        assert_eq!(written::is_claim(name, false), of_strangers, "{name}");
        assert_eq!(written::is_claim(name, true), of_proxies, "{name}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        fuzz::forwarded(&bytes);
    }

    #[test]
    fn what_looks_like_it_is_read(
        lines in proptest::collection::vec("(for=|proto=|host=|\"|\\\\|,|;| |10\\.0\\.0\\.2|1\\.2\\.3\\.4|\\[fd00::1\\]|:|8|https?|a){0,14}", 0..10)
    ) {
        fuzz::forwarded(lines.join("\n").as_bytes());
    }
}
