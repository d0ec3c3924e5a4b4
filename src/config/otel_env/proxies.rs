//! The variables that name proxies, as other programs read them: `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`,
//! in capitals or not.

use http::Uri;

use super::warn;
use crate::config::transport::Proxies;
use crate::config::value::{Endpoint, Value};
use crate::config::vars::Vars;

/// The proxies on the way to endpoints.
pub(crate) fn proxies(vars: &Vars, warnings: &mut Vec<String>) -> Proxies {
    // In CGI that variable is a header of the request.
    let is_cgi = vars.get("REQUEST_METHOD").is_some();
    let mut proxy = |names: [&str; 2]| {
        let named = names.into_iter().filter(|name| !(is_cgi && *name == "HTTP_PROXY"));
        let (name, text) = named.into_iter().find_map(|name| Some((name, vars.set(name)?.trim())))?;
        if is_proxy(text) {
            return Some(text.to_owned());
        }
        let quoted = Endpoint::quote(text);
        let hint = "write http://HOST:PORT; SOCKS is not supported";
        warn(
            warnings,
            format!("{name}: {quoted} is no proxy that telemetry can take, and is ignored ({hint})"),
        );
        None
    };
    let all = proxy(["ALL_PROXY", "all_proxy"]);
    let http = proxy(["HTTP_PROXY", "http_proxy"]);
    let https = proxy(["HTTPS_PROXY", "https_proxy"]);
    let no = ["NO_PROXY", "no_proxy"].into_iter().find_map(|name| vars.set(name));
    Proxies {
        http: http.or_else(|| all.clone()).unwrap_or_default(),
        https: https.or(all).unwrap_or_default(),
        no: no.unwrap_or_default().to_owned(),
    }
}

fn is_proxy(text: &str) -> bool {
    let Ok(url) = text.parse::<Uri>() else {
        return false;
    };
    let Some(authority) = url.authority().filter(|authority| !authority.host().is_empty()) else {
        return false;
    };
    let after_user = authority.as_str().rsplit('@').next().unwrap_or_default();
    let port_is_sound = after_user.len() == authority.host().len() || authority.port_u16().is_some();
    matches!(url.scheme_str(), None | Some("http" | "https")) && port_is_sound
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(vars: &[(&'static str, &'static str)]) -> (Proxies, Vec<String>) {
        let mut warnings = Vec::new();
        let proxies = proxies(&vars.iter().copied().collect(), &mut warnings);
        (proxies, warnings)
    }

    #[test]
    fn each_scheme_has_its_proxy_or_that_of_all() {
        let (found, warnings) =
            read(&[("all_proxy", "a:1"), ("HTTPS_PROXY", "https://u:p@s:2"), ("no_proxy", "x,y")]);
        assert_eq!((found.http.as_str(), found.https.as_str()), ("a:1", "https://u:p@s:2"));
        assert_eq!((found.no.as_str(), warnings.len()), ("x,y", 0));
        assert!(!format!("{found:?}").contains("u:p"));
        let (found, _) = read(&[("HTTP_PROXY", "http://h:1"), ("http_proxy", "http://l:1")]);
        assert_eq!((found.http.as_str(), found.https.as_str()), ("http://h:1", ""));
        assert_eq!(read(&[("HTTP_PROXY", "h:1"), ("REQUEST_METHOD", "GET")]).0, Proxies::default());
        assert_eq!(read(&[("HTTP_PROXY", " ")]).0, Proxies::default());
    }

    #[test]
    fn what_is_no_proxy_is_warned_about_without_its_password() {
        for text in ["socks5://u:secret@h:1", "http://u:secret@", "h h", "http://u:secret@h:x"] {
            let (found, warnings) = read(&[("ALL_PROXY", text)]);
            assert_eq!(found, Proxies::default(), "{text}");
            assert!(warnings[0].contains("ALL_PROXY") && !warnings[0].contains("secret"), "{warnings:?}");
        }
    }
}
