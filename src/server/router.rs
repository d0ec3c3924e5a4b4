//! Which requests are served, and as which route of all: by host, path and method, the most specific first.
//!
//! Of the hosts that match, one that is written out counts before `*.example.com`, the longer of those before the
//! shorter, and all of them before none; the first that has a path for the request is the one. Of its paths the most
//! specific counts. Only then the method does: where that has no route, the request is refused, and not given to a path
//! that is less specific.

use std::borrow::Cow;
use std::collections::HashMap;

use http::header::HOST;
use http::uri::Authority;
use http::{HeaderValue, Method, request};

use super::forwarded::Origin;
use crate::config::{self, HostPattern};
use crate::guest::{Failure, FailureKind};

/// The table of routes.
#[derive(Debug, Default)]
pub(crate) struct Router {
    /// None where every request is served.
    table: Option<Table>,
}

#[derive(Debug, Default)]
struct Table {
    exact: HashMap<Box<str>, Paths>,
    /// By what follows `*.`.
    suffixes: HashMap<Box<str>, Paths>,
    any: Paths,
}

#[derive(Debug, Default)]
struct Paths {
    router: matchit::Router<Methods>,
    /// For requests with any path.
    all: Option<Methods>,
}

/// Routes of one path, by method.
#[derive(Debug, Default)]
struct Methods {
    of: Vec<(Method, Target)>,
    any: Option<Target>,
}

/// Where a route leads.
#[derive(Debug)]
struct Target {
    /// The route's path, as it is written; none for a route of all paths.
    pattern: Option<Box<str>>,
    /// The place of its component among all.
    component: usize,
}

/// What serves a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found<'a> {
    /// The pattern of its route; none where it has none, or there are no routes.
    pub(super) pattern: Option<&'a str>,
    /// The place of the component among all.
    pub(super) component: usize,
}

impl Router {
    /// A table of `routes` to components of these `names`. Those of a checked configuration fit together.
    pub(crate) fn new(routes: &[config::Route], names: &[String]) -> Self {
        if routes.is_empty() {
            return Self::default();
        }
        let mut table = Table::default();
        // Of one path all methods belong together.
        let mut gathered: Vec<(Option<&HostPattern>, Option<String>, Methods)> = Vec::new();
        for route in routes {
            // One that leads nowhere was refused when the settings were checked.
            let Some(component) = names.iter().position(|name| *name == route.component) else { continue };
            let path = route.path.as_deref().map(config::normal_path);
            let known = gathered
                .iter()
                .position(|(host, known, _)| *host == route.host.as_ref() && *known == path)
                .unwrap_or_else(|| {
                    gathered.push((route.host.as_ref(), path, Methods::default()));
                    gathered.len() - 1
                });
            let target = Target { pattern: route.path.as_deref().map(Into::into), component };
            let methods = &mut gathered[known].2;
            match &route.method {
                Some(method) => methods.of.push((method.clone(), target)),
                None => methods.any = Some(target),
            }
        }
        for (host, path, methods) in gathered {
            let paths = match host {
                Some(HostPattern::Exact(host)) => table.exact.entry(host.as_str().into()).or_default(),
                Some(HostPattern::Suffix(host)) => table.suffixes.entry(host.as_str().into()).or_default(),
                Some(HostPattern::Any) | None => &mut table.any,
            };
            match path {
                None => paths.all = Some(methods),
                // One that does not fit was refused when the settings were checked.
                Some(path) => _ = paths.router.insert(path, methods),
            }
        }
        Self { table: Some(table) }
    }

    /// What serves the request with this head: without routes the first component.
    pub(super) fn find(&self, origin: &Origin<'_>, head: &request::Parts) -> Result<Found<'_>, Refused> {
        let Some(table) = &self.table else { return Ok(Found { pattern: None, component: 0 }) };
        let path = head.uri.path();
        if config::has_dot_segment(path) {
            return Err(Refused::DotSegment);
        }
        let Target { pattern, component } = table.find(&host_of(origin, head), path, &head.method)?;
        Ok(Found { pattern: pattern.as_deref(), component: *component })
    }
}

impl Table {
    fn find(&self, host: &str, path: &str, method: &Method) -> Result<&Target, Refused> {
        let parents = host.match_indices('.').map(|(at, _)| &host[at + 1..]);
        let suffixes = parents.filter_map(|parent| self.suffixes.get(parent));
        let hosts = self.exact.get(host).into_iter().chain(suffixes).chain([&self.any]);
        let methods = hosts.filter_map(|paths| paths.find(path)).next().ok_or(Refused::NoRoute)?;
        methods.find(method).ok_or_else(|| Refused::Method(methods.allow()))
    }
}

impl Paths {
    fn find(&self, path: &str) -> Option<&Methods> {
        self.router.at(path).ok().map(|found| found.value).or(self.all.as_ref())
    }
}

impl Methods {
    fn find(&self, method: &Method) -> Option<&Target> {
        let of = |wanted: &Method| self.of.iter().find(|(of, _)| of == wanted).map(|(_, target)| target);
        let as_get = || of(&Method::GET).filter(|_| method == Method::HEAD);
        of(method).or(self.any.as_ref()).or_else(as_get)
    }

    /// What there is, for `Allow` (RFC 9110 §10.2.1).
    fn allow(&self) -> HeaderValue {
        let mut names: Vec<&str> = self.of.iter().map(|(method, _)| method.as_str()).collect();
        if names.contains(&"GET") && !names.contains(&"HEAD") {
            names.push("HEAD");
        }
        names.sort_unstable();
        HeaderValue::try_from(names.join(", ")).unwrap_or_else(|_| HeaderValue::from_static(""))
    }
}

/// Why a request is nobody's.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refused {
    NoRoute,
    /// The path has routes, for these methods.
    Method(HeaderValue),
    DotSegment,
}

impl Refused {
    pub(super) fn failure(&self) -> Failure {
        match self {
            Self::NoRoute => Failure::new(FailureKind::NoRoute, "no route is for this host and path"),
            Self::Method(allow) => {
                let message = format!("no route of this path is for this method, only for {allow:?}");
                Failure::new(FailureKind::MethodNotAllowed(allow.clone()), message)
            }
            Self::DotSegment => Failure::bad_request("the path has a segment of dots"),
        }
    }
}

/// The host that a request is for, in lower case and without its port.
fn host_of<'a>(origin: &'a Origin<'_>, head: &'a request::Parts) -> Cow<'a, str> {
    let of_head = || match head.uri.authority() {
        Some(authority) => authority.host(),
        None => head.headers.get(HOST).and_then(|host| host.to_str().ok()).map_or("", without_port),
    };
    let host = origin.peer().told_authority().map_or_else(of_head, Authority::host);
    let host = host.trim_start_matches('[').trim_end_matches([']', '.']);
    match host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        true => Cow::Owned(host.to_ascii_lowercase()),
        false => Cow::Borrowed(host),
    }
}

/// A host as `Host` has it, which is judged later on.
fn without_port(host: &str) -> &str {
    let end = match host.rfind(']') {
        Some(end) => end + 1,
        None => host.find(':').unwrap_or(host.len()),
    };
    &host[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(texts: &[&str]) -> Table {
        let routes: Vec<_> = texts.iter().map(|text| config::Route::parse(text).unwrap()).collect();
        Router::new(&routes, &["c".to_owned(), "d".to_owned()]).table.unwrap()
    }

    fn found(table: &Table, method: &str, host: &str, path: &str) -> String {
        match table.find(host, path, &method.parse().unwrap()) {
            Ok(target) => target.pattern.as_deref().unwrap_or("-").to_owned(),
            Err(Refused::Method(allow)) => format!("405 {}", allow.to_str().unwrap()),
            Err(_) => "404".to_owned(),
        }
    }

    #[test]
    fn the_most_specific_route_counts() {
        let table = table(&[
            "a.example/x=c",
            "*.example/{x}=c",
            "*.b.example/{*rest}=c",
            "/{y}=c",
            "/items/{id}=c",
            "/items/new=c",
            "GET /items/{name}/parts=c",
            "PUT /items/{id}/parts=c",
            "c.example=c",
        ]);
        for (host, path, wanted) in [
            ("a.example", "/x", "/x"),
            ("a.example", "/z", "/{x}"),
            ("z.example", "/x", "/{x}"),
            ("z.b.example", "/x", "/{*rest}"),
            ("b.example", "/x", "/{x}"),
            ("example", "/x", "/{y}"),
            ("", "/x", "/{y}"),
            ("a.example", "/items/1", "/items/{id}"),
            ("a.example", "/items/new", "/items/new"),
            ("h", "/items/1/parts", "/items/{name}/parts"),
            ("c.example", "/whatever", "-"),
            ("c.example", "/x", "-"),
            ("h", "/items/", "404"),
            ("h", "/", "404"),
            ("h", "/ITEMS/1", "404"),
            ("h", "*", "404"),
        ] {
            assert_eq!(found(&table, "GET", host, path), wanted, "{host} {path}");
        }
        assert_eq!(found(&table, "PUT", "h", "/items/1/parts"), "/items/{id}/parts");
    }

    #[test]
    fn each_route_leads_to_its_component() {
        let table = table(&["/a=c", "/a/{*rest}=d", "GET d.example/a=d", "d.example=c"]);
        for (method, host, path, component) in [
            ("GET", "h", "/a", 0),
            ("GET", "h", "/a/b", 1),
            ("GET", "d.example", "/a", 1),
            ("GET", "d.example", "/a/b", 0),
        ] {
            let target = table.find(host, path, &method.parse().unwrap()).unwrap();
            assert_eq!(target.component, component, "{method} {host} {path}");
        }
    }

    #[test]
    fn a_wrong_method_is_told_which_there_are() {
        let table = table(&["GET /a=c", "POST /a=c", "/{*rest}=c", "HEAD /b=c", "GET /b=c"]);
        assert_eq!(found(&table, "DELETE", "h", "/a"), "405 GET, HEAD, POST");
        assert_eq!(found(&table, "HEAD", "h", "/a"), "/a");
        assert_eq!(found(&table, "HEAD", "h", "/b"), "/b");
        assert_eq!(found(&table, "DELETE", "h", "/c"), "/{*rest}");
    }

    #[test]
    fn hosts_are_compared_without_case_and_port() {
        for (text, host) in
            [("a.example", "a.example"), ("a.example:80", "a.example"), ("[::1]:80", "[::1]"), ("", "")]
        {
            assert_eq!(without_port(text), host);
        }
    }
}
