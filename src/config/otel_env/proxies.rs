//! The variables that name proxies, as other programs read them: `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`,
//! in capitals or not.

use std::net::{Ipv4Addr, Ipv6Addr};

use http::Uri;

use super::reader::Reader;
use crate::config::declared::Flawed;
use crate::config::resolve::{INVALID, Source, Sourced};
use crate::config::value::{Endpoint, Invalid, Value};
use pounce_otlp::Proxies;

/// What a proxy's variable is to have.
const HINT: &str = "write http://HOST:PORT, or unset it; SOCKS is not supported";

/// The proxies on the way to endpoints, if anything is sent. What is no address at all is a mistake, since all that is
/// exported would be lost, or go another way than was meant; a proxy of a kind that is not supported is left to other
/// programs.
pub(super) fn proxies(reader: &mut Reader<'_>, is_sent: bool) -> Proxies {
    let all = proxy(reader, ["ALL_PROXY", "all_proxy"], is_sent);
    let mut of = |own: [&'static str; 2]| {
        let found = proxy(reader, own, is_sent).or_else(|| all.clone());
        let found = found.unwrap_or_else(|| Sourced::default_of(String::new()));
        reader.knows(&[own[0], own[1], "ALL_PROXY", "all_proxy"]);
        let shown = match found.value.as_str() {
            _ if !found.is_valid => INVALID.to_owned(),
            "" => "none".to_owned(),
            // It may have a password.
            proxy => Endpoint::quote(proxy).trim_matches('`').to_owned(),
        };
        reader.tell(own[0], shown, found.source);
        found.value
    };
    let (http, https) = (of(["HTTP_PROXY", "http_proxy"]), of(["HTTPS_PROXY", "https_proxy"]));
    let variables = ["NO_PROXY", "no_proxy"];
    reader.knows(&variables);
    let no = reader.first_set(&variables).filter(|_| is_sent);
    let shown = no.map_or("none", |(_, hosts)| hosts).to_owned();
    reader.tell(variables[0], shown, no.map_or(Source::Default, |(variable, _)| Source::by(variable)));
    Proxies { http, https, no: no.map_or("", |(_, hosts)| hosts).to_owned() }
}

/// The proxy that the first of `names` says.
fn proxy(reader: &mut Reader<'_>, names: [&'static str; 2], is_sent: bool) -> Option<Sourced<String>> {
    // In CGI that variable is a header of the request.
    let is_cgi = reader.vars.get("REQUEST_METHOD").is_some();
    let named = names.into_iter().filter(|name| is_sent && !(is_cgi && *name == "HTTP_PROXY"));
    let (variable, text) = named.into_iter().find_map(|name| Some((name, reader.vars.set(name)?.trim())))?;
    let quoted = Endpoint::quote(text);
    match judge(text) {
        Ok(Kind::Http) => Some(Sourced::by(text.to_owned(), variable)),
        Ok(Kind::Other) => {
            let what = format!("{quoted} is no proxy that telemetry can take, and is ignored ({HINT})");
            reader.warn(format!("{variable}: {what}"));
            None
        }
        Err(what) => {
            reader.flawed.push(Flawed { variable, quoted, flaw: Invalid::new(what, HINT) });
            Some(Sourced { is_valid: false, ..Sourced::by(String::new(), variable) })
        }
    }
}

/// What a proxy speaks.
enum Kind {
    Http,
    /// Something else, such as SOCKS.
    Other,
}

/// The kind of the proxy at `text`; the error is what is wrong with it.
fn judge(text: &str) -> Result<Kind, &'static str> {
    let url = text.parse::<Uri>().map_err(|_| "is no address of a proxy")?;
    let authority = url.authority().ok_or("is no address of a proxy")?;
    if !is_host(authority.host()) {
        return Err("names no host");
    }
    let after_user = authority.as_str().rsplit('@').next().unwrap_or_default();
    let has_port = after_user.len() > authority.host().len();
    if has_port && matches!(authority.port_u16(), None | Some(0)) {
        return Err("has no valid port");
    }
    Ok(if matches!(url.scheme_str(), None | Some("http" | "https")) { Kind::Http } else { Kind::Other })
}

/// Whether it is an address, or a name as hosts have them. A number alone is a slip (`HTTP_PROXY=1`), although resolvers
/// make an address of it.
fn is_host(host: &str) -> bool {
    if let Some(address) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return address.parse::<Ipv6Addr>().is_ok();
    }
    if host.parse::<Ipv4Addr>().is_ok() {
        return true;
    }
    let is_label = |label: &str| {
        let is_usual = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        matches!(label.len(), 1..=63)
            && label.bytes().all(is_usual)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let host = host.strip_suffix('.').unwrap_or(host);
    let last = host.rsplit('.').next().unwrap_or_default();
    host.len() <= 253 && host.split('.').all(is_label) && !last.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(vars: &[(&'static str, &'static str)]) -> (Proxies, Vec<String>, Vec<Flawed>) {
        let vars = vars.iter().copied().collect();
        let mut reader = Reader::new(&vars);
        let proxies = proxies(&mut reader, true);
        (proxies, reader.warnings, reader.flawed)
    }

    #[test]
    fn each_scheme_has_its_proxy_or_that_of_all() {
        let (found, warnings, _) =
            read(&[("all_proxy", "a:1"), ("HTTPS_PROXY", "https://u:p@s:2"), ("no_proxy", "x,y")]);
        assert_eq!((found.http.as_str(), found.https.as_str()), ("a:1", "https://u:p@s:2"));
        assert_eq!((found.no.as_str(), warnings.len()), ("x,y", 0));
        assert!(!format!("{found:?}").contains("u:p"));
        let (found, ..) = read(&[("HTTP_PROXY", "http://h:1"), ("http_proxy", "http://l:1")]);
        assert_eq!((found.http.as_str(), found.https.as_str()), ("http://h:1", ""));
        assert_eq!(read(&[("HTTP_PROXY", "h:1"), ("REQUEST_METHOD", "GET")]).0, Proxies::default());
        assert_eq!(read(&[("HTTP_PROXY", " ")]).0, Proxies::default());
    }

    #[test]
    fn what_is_no_address_is_a_mistake_told_without_its_password() {
        for text in [
            "-1",
            "1",
            "0",
            "3128",
            "h h",
            "/run/proxy.sock",
            ":3128",
            "http://",
            "http://u:secret@",
            "http://u:secret@h:x",
            "http://u:secret@h:0",
            "http://u:secret@h:65536",
            "http://h:",
            "http://-h:1",
            "http://a..b:1",
            "http://1.2.3:1",
            "http://999.1.1.1:1",
            "socks5://u:secret@:1",
            "${PROXY}",
        ] {
            let (found, warnings, flawed) = read(&[("ALL_PROXY", text)]);
            assert_eq!((found, warnings.len(), flawed.len()), (Proxies::default(), 0, 1), "{text}");
            let Flawed { variable, quoted, flaw } = &flawed[0];
            assert_eq!(*variable, "ALL_PROXY");
            assert!(!quoted.contains("secret") && flaw.hint.contains("http://HOST:PORT"), "{quoted} {flaw}");
        }
    }

    #[test]
    fn hosts_are_names_and_addresses() {
        for text in
            ["proxy", "proxy.corp.example.:3128", "10.0.0.1:3128", "http://[::1]:3128", "https://a_b-c.d1"]
        {
            let (found, warnings, flawed) = read(&[("HTTP_PROXY", text)]);
            assert_eq!((found.http.as_str(), warnings.len(), flawed.len()), (text, 0, 0));
        }
    }

    #[test]
    fn a_proxy_of_another_kind_is_warned_about_and_left_alone() {
        for text in ["socks5://u:secret@h:1", "socks5h://h:1", "ftp://h"] {
            let (found, warnings, flawed) = read(&[("ALL_PROXY", text)]);
            assert_eq!((found, flawed.len()), (Proxies::default(), 0), "{text}");
            assert!(warnings[0].contains("ALL_PROXY") && !warnings[0].contains("secret"), "{warnings:?}");
        }
    }
}
