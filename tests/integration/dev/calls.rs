//! Whom guests call under `pounce dev`: everybody but the server itself, and all of it is listed as flags at the end.

use crate::support::client;
use crate::support::origin::Origin;
use crate::support::{Abi, for_both_abis, pounce};

for_both_abis!(what_was_called_is_listed_as_flags_that_allow_it, some_calls_are_refused_all_the_same);

/// The flags that the last words list.
fn flags(stderr: &str) -> Vec<String> {
    let line = stderr
        .lines()
        .find(|line| line.contains("pounce serve needs this for what the guest called"))
        .expect("a list");
    let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
    let (_, flags) = line["message"].as_str().expect("text").split_once(": ").expect("flags");
    flags.split(' ').map(str::to_owned).collect()
}

async fn what_was_called_is_listed_as_flags_that_allow_it(abi: Abi) {
    let (one, two) = (Origin::answering(200).await, Origin::answering(201).await);
    let path = format!("/?url={}&url={}&url={}", one.url("/a"), two.url("/b"), one.url("/c"));
    let server = pounce().dev().guest(abi, "calls").start().await;
    let answer = client::fetch_path(server.addr(), &path).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(one.arrived().len() + two.arrived().len(), 3);
    let flags = flags(&server.stop().await.stderr);
    let mut expected = [format!("http://{}", one.addr()), format!("http://{}", two.addr())];
    expected.sort();
    let expected: Vec<_> =
        expected.iter().flat_map(|origin| ["--allow-outbound".to_owned(), origin.clone()]).collect();
    assert_eq!(flags, expected);
    // As they are, they are what serving needs.
    let server = pounce().command("serve").flag("--listen", "127.0.0.1:0").guest(abi, "calls");
    let server = flags.iter().fold(server, |server, flag| server.arg(flag)).start().await;
    client::fetch_path(server.addr(), &path).await;
    assert_eq!(one.arrived().len() + two.arrived().len(), 6);
}

async fn some_calls_are_refused_all_the_same(abi: Abi) {
    let mut server = pounce().dev().guest(abi, "calls").start().await;
    let admin = server.admin().await;
    for (url, why) in [
        (format!("http://{}/", server.addr()), "leads back to this server"),
        (format!("http://{admin}/status"), "admin listener"),
        ("http://169.254.169.254/latest/meta-data".to_owned(), "a link-local address"),
    ] {
        client::fetch_path(server.addr(), &format!("/?url={url}")).await;
        server.logged(&["refused", why]).await;
    }
    let exit = server.stop().await;
    exit.expect(0, &["3 outgoing requests refused|\"count\":3"]);
    assert!(!exit.stderr.contains("pounce serve needs this"), "nobody is told to allow it: {exit}");
}

/// What is set is in force: a developer tries what production will allow.
#[tokio::test]
async fn rules_that_are_set_are_in_force() {
    let origin = Origin::answering(200).await;
    let server = pounce().dev().guest(Abi::P2, "calls").flag("--allow-outbound", "https://api.example.com");
    let mut server = server.start().await;
    client::fetch_path(server.addr(), &format!("/?url={}", origin.url("/a"))).await;
    server.logged(&["refused", "not in guest.allow-outbound"]).await;
    assert!(origin.arrived().is_empty());
    let exit = server.stop().await;
    assert!(!exit.stderr.contains("pounce serve needs this for what the guest called"), "{exit}");
}

#[tokio::test]
async fn names_that_are_looked_up_are_listed_as_well() {
    let server = pounce().dev().guest(Abi::P2, "sockets").start().await;
    let answer = client::fetch_path(server.addr(), "/?name=localhost").await;
    assert!(answer.text().contains("addresses"), "{}", answer.text());
    assert_eq!(flags(&server.stop().await.stderr), ["--allow-lookup", "localhost"]);
}
