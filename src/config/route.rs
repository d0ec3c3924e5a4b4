//! Routes: which requests a component serves (`[[route]]`).

use std::collections::HashMap;
use std::fmt;

use http::Method;

use super::mistake::Wrong;
use super::value::{HostPattern, Invalid, Place, Value};

/// Requests that a component serves.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Route {
    /// Name of the component.
    pub component: String,
    /// Hosts that requests are for, without a port; any when absent.
    pub host: Option<HostPattern>,
    /// Paths, as clients write them: `{name}` stands for a segment or a part of one, `{*name}` at the end for all that
    /// is left. Any path when absent.
    pub path: Option<String>,
    /// Method; any when absent. `GET` is `HEAD`, too, unless that has a route of its own.
    pub method: Option<Method>,
    /// Where it was written; empty for one that was set from code.
    pub(crate) place: String,
}

const PATH_HINT: &str = "write a path such as /items, /items/{id} or /static/{*rest}";
const HOST_HINT: &str = "write a host without a port, such as example.com or *.example.com";

impl Route {
    /// A route of all requests to this component.
    #[must_use]
    pub fn to(component: impl Into<String>) -> Self {
        Self { component: component.into(), host: None, path: None, method: None, place: String::new() }
    }

    /// Reads the short form of a route, `[METHOD ][HOST]PATH=COMPONENT`.
    ///
    /// # Errors
    /// It has another form, or a part of it is none.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let hint = "write [METHOD ][HOST]PATH=COMPONENT, such as /api/{*rest}=api or `GET example.com/=site`";
        let (pattern, component) = text.rsplit_once('=').ok_or_else(|| Invalid::new("has no `=`", hint))?;
        if component.trim().is_empty() {
            return Err(Invalid::new("names no component", hint));
        }
        let pattern = pattern.trim();
        let (method, target) = match pattern.split_once(char::is_whitespace) {
            Some((method, target)) => (Some(read_method(method)?), target.trim_start()),
            None => (None, pattern),
        };
        let at = target.find('/').unwrap_or(target.len());
        let (host, path) = target.split_at(at);
        Ok(Self {
            component: component.trim().to_owned(),
            host: if host.is_empty() { None } else { Some(read_host(host)?) },
            path: if path.is_empty() { None } else { Some(read_path(path)?) },
            method,
            place: String::new(),
        })
    }
}

/// Reads a host, with `*.` in front for all that are below it.
pub(crate) fn read_host(text: &str) -> Result<HostPattern, Invalid> {
    let lower = text.trim().to_ascii_lowercase();
    let (name, is_suffix) = match lower.strip_prefix("*.") {
        Some(name) => (name, true),
        None => (lower.as_str(), false),
    };
    let name = name.trim_end_matches('.');
    let name = name.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(name);
    let is_address = name.parse::<std::net::Ipv6Addr>().is_ok() && !is_suffix;
    let is_name = !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
        && !name.starts_with('.');
    if !is_address && !is_name {
        return Err(Invalid::new("is no host", HOST_HINT));
    }
    let name = name.to_owned();
    Ok(if is_suffix { HostPattern::Suffix(name) } else { HostPattern::Exact(name) })
}

/// Reads a pattern of paths.
pub(crate) fn read_path(text: &str) -> Result<String, Invalid> {
    if !text.starts_with('/') {
        return Err(Invalid::new("does not begin with `/`", PATH_HINT));
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#')) {
        let hint = "write it as it stands in requests, percent-encoded and without a query";
        return Err(Invalid::new("is a path that no request can have", hint));
    }
    if has_dot_segment(text) {
        return Err(Invalid::new("has a segment of dots, which no request may have", PATH_HINT));
    }
    matchit::Router::new().insert(text, ()).map_err(|flaw| {
        Invalid::new(
            format!("is no pattern ({})", flaw.to_string().trim_end_matches('.')),
            "write {name} for a part of a path, {*name} at its end for the rest, {{ and }} for braces",
        )
    })?;
    Ok(text.to_owned())
}

/// Reads a method.
pub(crate) fn read_method(text: &str) -> Result<Method, Invalid> {
    let hint = "write one such as GET or POST, in capitals";
    let method = Method::from_bytes(text.as_bytes()).ok().filter(|method| method != Method::CONNECT);
    let method = method.filter(|method| method.as_str().bytes().all(|byte| !byte.is_ascii_lowercase()));
    method.ok_or_else(|| Invalid::new("is no method that can be served", hint))
}

/// Whether a path has a segment `.` or `..`, be its dots percent-encoded or not. What it would come to depends on who
/// reads it, so it can slip past a route.
pub(crate) fn has_dot_segment(path: &str) -> bool {
    path.contains(['.', '%']) && path.split('/').any(is_dots)
}

fn is_dots(segment: &str) -> bool {
    let mut rest = segment.as_bytes();
    let mut dots = 0;
    loop {
        rest = match rest {
            [] => return dots == 1 || dots == 2,
            [b'.', rest @ ..] | [b'%', b'2', b'e' | b'E', rest @ ..] => rest,
            _ => return false,
        };
        dots += 1;
        if dots > 2 {
            return false;
        }
    }
}

/// What is wrong with routes to components of these `names`, where there are some, as far as one route alone does not show
/// it.
pub(super) fn conflicts(routes: &[Route], names: &[String]) -> Vec<Wrong> {
    let mut wrong = Vec::new();
    let mut tell =
        |what: String, hint: String| wrong.push(Wrong { key: "http.route", what, hint: hint.into() });
    let mut known: HashMap<_, &Route> = HashMap::new();
    let mut paths: HashMap<Option<&HostPattern>, matchit::Router<String>> = HashMap::new();
    for route in routes {
        let place = at(route);
        if !names.is_empty() && !names.contains(&route.component) {
            tell(
                format!("the route `{route}`{place} is to a component that there is not"),
                match names {
                    [name] => format!("name the one that there is: {name}"),
                    names => format!("name one of those that there are: {}", names.join(", ")),
                },
            );
        }
        let path = route.path.as_deref().map(normal);
        let (host, method) = (route.host.as_ref(), route.method.as_ref());
        if let Some(earlier) = known.insert((host, path.clone(), method), route) {
            let earlier_place = at(earlier);
            tell(
                format!("the route `{route}`{place} is for the same requests as `{earlier}`{earlier_place}"),
                "leave one of them out".to_owned(),
            );
            continue;
        }
        let Some(path) = path else { continue };
        let router = paths.entry(host).or_default();
        // A path with another method is no second path.
        let is_known = router.at(&path).is_ok_and(|found| *found.value == path);
        if let Err(error) = if is_known { Ok(()) } else { router.insert(path.clone(), path) } {
            tell(
                format!("the route `{route}`{place} cannot be told from another: {error}"),
                "write paths that differ before their `{name}` begins".to_owned(),
            );
        }
    }
    wrong
}

fn at(route: &Route) -> String {
    if route.place.is_empty() { String::new() } else { format!(" ({})", route.place) }
}

/// A pattern whose parts have the names that their places give them, so that patterns for the same paths are equal.
pub(crate) fn normal(path: &str) -> String {
    let (mut normal, mut rest, mut count) = (String::with_capacity(path.len()), path, 0);
    while let Some(open) = rest.find(['{', '}']) {
        normal.push_str(&rest[..open]);
        rest = &rest[open..];
        if rest.starts_with("{{") || rest.starts_with("}}") {
            normal.push_str(&rest[..2]);
            rest = &rest[2..];
            continue;
        }
        let end = rest.find('}').map_or(rest.len(), |end| end + 1);
        let star = if rest.starts_with("{*") { "*" } else { "" };
        normal.push_str(&format!("{{{star}p{count}}}"));
        count += 1;
        rest = &rest[end..];
    }
    normal + rest
}

impl Value for Route {
    fn read(text: &str, _: &Place<'_>) -> Result<Self, Invalid> {
        Self::parse(text)
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(method) = &self.method {
            write!(f, "{method} ")?;
        }
        match &self.host {
            Some(HostPattern::Exact(host)) => f.write_str(host)?,
            Some(HostPattern::Suffix(host)) => write!(f, "*.{host}")?,
            Some(HostPattern::Any) | None => {}
        }
        write!(f, "{}={}", self.path.as_deref().unwrap_or_default(), self.component)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_short_form_has_a_host_a_path_and_a_method_or_less() {
        for text in ["/=a", "GET /items/{id}=a", "*.example.com/{*rest}=a", "POST example.com=a", "=a"] {
            assert_eq!(Route::parse(text).unwrap().to_string(), text);
        }
        for text in [
            "",
            "/a",
            "/a=",
            "/a?x=a",
            "/a/../b=a",
            "/%2e/b=a",
            "/{=a",
            "get /=a",
            "CONNECT /=a",
            "a_b:80/=a",
            "*/=a",
            "/ü=a",
        ] {
            assert!(Route::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn dots_are_seen_however_they_are_written() {
        for path in ["/.", "/..", "/a/../b", "/a/.%2e", "/%2E%2e/x", "/%2e"] {
            assert!(has_dot_segment(path), "{path}");
        }
        for path in ["/", "/a.b", "/...", "/.well-known/x", "/a..", "/%2f", "/%2", "/%252e"] {
            assert!(!has_dot_segment(path), "{path}");
        }
    }

    #[test]
    fn routes_for_the_same_requests_are_told() {
        let told = |texts: &[&str]| {
            let routes: Vec<_> = texts.iter().map(|text| Route::parse(text).unwrap()).collect();
            conflicts(&routes, &["a".to_owned()]).into_iter().map(|wrong| wrong.what).collect::<Vec<_>>()
        };
        let fine = [
            "/a=a",
            "GET /a=a",
            "/a/{id}=a",
            "GET /a/{name}=a",
            "/{*rest}=a",
            "x.example/a=a",
            "*.example/a=a",
            "=a",
        ];
        assert_eq!(told(&fine), [""; 0]);
        for (texts, words) in [
            (&["/a=a", "x/a=a", "/a=a"][..], "`/a=a` is for the same requests as `/a=a`"),
            (&["GET /a/{id}=a", "GET /a/{name}=a"], "same requests"),
            (&["=a", "=a"], "same requests"),
            (&["/a=c"], "to a component that there is not"),
        ] {
            let told = told(texts);
            assert!(told.len() == 1 && told[0].contains(words), "{texts:?}: {told:?}");
        }
    }
}
