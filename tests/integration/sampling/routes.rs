//! `otel.sample-route`: shares by route.

use super::{CALLER, TRACE};
use crate::support::client::{self, WithHeader};
use crate::support::{Collector, Protocol, pounce};
use std::collections::BTreeMap;

/// How many spans of each path arrive.
async fn kept(rules: &[&str], requests: &[(&str, &str)]) -> BTreeMap<String, usize> {
    kept_of(&[], rules, requests).await
}

/// How many spans of each path arrive from a server with these routes.
async fn kept_of(routes: &[&str], rules: &[&str], requests: &[(&str, &str)]) -> BTreeMap<String, usize> {
    let collector = Collector::start().await;
    let builder = pounce().fixture("status.wat").arg("--otel-keep-errors");
    let builder = routes.iter().fold(builder, |builder, route| builder.flag("--route", route));
    let builder = rules.iter().fold(builder, |builder, rule| builder.flag("--otel-sample-route", rule));
    let server = builder.traced(&collector).start().await;
    let mut connection = client::Connection::open(server.addr(), Protocol::H2).await;
    for (method, path) in requests {
        let request = client::request(method.parse().unwrap(), path, client::empty());
        connection.fetch(request).await;
    }
    server.stop().await.expect(0, &[]);
    let mut kept = BTreeMap::new();
    for span in collector.received() {
        let key = format!("{} {}", span.text("http.request.method"), span.text("url.path"));
        *kept.entry(key).or_default() += 1;
    }
    kept
}

/// The route that the server has found decides before the guest runs, and before a rule that the path merely matches.
#[tokio::test]
async fn the_servers_own_routes_have_the_shares_of_their_patterns() {
    let rules = ["/200/{name}=0", "/200/new=1"];
    let requests = [("GET", "/200/new"), ("GET", "/200/old"), ("GET", "/201/new")];
    let of_path = kept(&rules, &requests).await;
    assert_eq!(of_path.keys().collect::<Vec<_>>(), ["GET /200/new", "GET /201/new"]);
    let of_route = kept_of(&["/200/{id}=status", "=status"], &rules, &requests).await;
    assert_eq!(of_route.keys().collect::<Vec<_>>(), ["GET /201/new"]);
}

#[tokio::test]
async fn a_route_has_a_share_of_its_own() {
    let requests = [
        ("GET", "/200/health"),
        ("GET", "/200/health?probe=1"),
        ("GET", "/200/users/7"),
        ("POST", "/200/users/7"),
        ("GET", "/200/users/7/orders"),
        ("GET", "/200/static/a/b.css"),
        ("GET", "/500/static"),
    ];
    let rules = ["/200/health=0", "GET /200/users/{id}=0", "/200/static/{*rest}=0", "/500/{*rest}=0"];
    let kept = kept(&rules, &requests).await;
    let expected = ["GET /200/users/7/orders", "GET /500/static", "POST /200/users/7"];
    assert_eq!(kept.keys().collect::<Vec<_>>(), expected, "and what fails is kept although its route is not");
}

#[tokio::test]
async fn a_route_keeps_about_its_share() {
    // 400 requests at a half: fewer than 130 or more than 270 come once in 10^12 runs.
    let requests: Vec<_> = (0..400).map(|n| ("GET", if n % 2 == 0 { "/200/a" } else { "/200/b" })).collect();
    let requests = [requests.clone(), requests].concat();
    let kept = kept(&["/200/a=0.5", "/200/b=1"], &requests).await;
    assert_eq!(kept["GET /200/b"], 400);
    assert!((130..=270).contains(&kept["GET /200/a"]), "{kept:?}");
}

#[tokio::test]
async fn the_sampler_of_the_caller_stands_above_routes() {
    let collector = Collector::start().await;
    let builder = pounce().fixture("status.wat").env("POUNCE_OTEL_SAMPLE_ROUTE", "/200/no=0,GET /200/yes=1");
    let server =
        builder.env("OTEL_TRACES_SAMPLER", "parentbased_always_off").traced(&collector).start().await;
    for (path, flags) in [("/200/no", "01"), ("/200/yes", "00"), ("/200/yes", ""), ("/200", "")] {
        let parent = format!("00-{TRACE}-{CALLER}-{flags}");
        let request = client::get(path).with("x-flags", flags);
        let request = if flags.is_empty() { request } else { request.with("traceparent", parent) };
        client::fetch(server.addr(), Protocol::H1, request).await;
    }
    server.stop().await.expect(0, &[]);
    let mut found: Vec<_> = collector
        .received()
        .iter()
        .map(|span| (span.text("url.path").to_owned(), span.trace_id == TRACE))
        .collect();
    found.sort();
    assert_eq!(found, [("/200/no".to_owned(), true), ("/200/yes".to_owned(), false)]);
}

#[tokio::test]
async fn what_is_no_rule_is_refused() {
    for (rules, expected) in [
        (&["/x=10%"][..], "has a ratio that is not a number"),
        (&["health=0"], "does not begin with `/`"),
        (&["/{=1"], "no pattern"),
        (&["/a/{x}=0", "/a/{y}=1"], "for the same requests"),
    ] {
        let builder = pounce().fixture("status.wat");
        let builder = rules.iter().fold(builder, |builder, rule| builder.flag("--otel-sample-route", rule));
        builder.run().await.expect(2, &["sample-route", expected]);
    }
}
