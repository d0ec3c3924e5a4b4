//! `wasi:sockets`: names are looked up that `guest.allow-lookup` lists, and nothing else is there; what is refused is told
//! to the operator.

use crate::support::client;
use crate::support::pounce::Pounce;
use crate::support::{Abi, for_both_abis, pounce};
use serde_json::{Value, json};

for_both_abis!(
    names_are_looked_up_by_rules_of_their_own,
    a_wildcard_opens_nothing_inside,
    without_rules_everything_is_refused_and_told,
    many_refusals_are_few_lines,
);

async fn ask(server: &Pounce, path: &str) -> Value {
    let answer = client::fetch_path(server.addr(), path).await;
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    serde_json::from_slice(&answer.body).unwrap()
}

/// The code of an error, as the versions write it.
fn is(answer: &Value, code: &str) -> bool {
    answer["error"].as_str().is_some_and(|error| {
        let error = error.to_lowercase().replace(['_', ' '], "-");
        error.contains(code) || error.replace('-', "").contains(&code.replace('-', ""))
    })
}

async fn names_are_looked_up_by_rules_of_their_own(abi: Abi) {
    let server = pounce()
        .guest(abi, "sockets")
        .flag("--allow-lookup", "localhost")
        .flag("--allow-lookup", "*.invalid")
        .start()
        .await;
    for name in ["localhost", "LOCALHOST", "localhost."] {
        let answer = ask(&server, &format!("/?name={name}")).await;
        let addresses: Vec<_> =
            answer["addresses"].as_array().unwrap_or_else(|| panic!("{name}: {answer}")).iter().collect();
        assert!(addresses.iter().any(|address| **address == "127.0.0.1" || **address == "::1"), "{answer}");
    }
    // Addresses are not looked up: they are their own.
    for (name, address) in
        [("127.0.0.1", "127.0.0.1"), ("10.0.0.1", "10.0.0.1"), ("::1", "::1"), ("[::1]", "::1")]
    {
        assert_eq!(
            ask(&server, &format!("/?name={name}")).await,
            json!({ "addresses": [address] }),
            "{name}"
        );
    }
    // A name that nobody has (RFC 6761), and one that is none.
    let nobody = ask(&server, "/?name=nobody.invalid").await;
    assert!(is(&nobody, "name-unresolvable"), "{nobody}");
    for name in ["", "a%20b", "a%00b"] {
        let answer = ask(&server, &format!("/?name={name}")).await;
        assert!(is(&answer, "invalid-argument"), "{name}: {answer}");
    }
    // What may be called is another matter.
    let denied = ask(&server, "/?name=example.com").await;
    assert!(is(&denied, "access-denied"), "{denied}");
    let exit = server.stop().await;
    exit.expect(0, &["look-up of `example.com` refused", "--allow-lookup example.com"]);
    assert!(!exit.stderr.contains("look-up of `nobody.invalid`"), "{exit}");
}

async fn a_wildcard_opens_nothing_inside(abi: Abi) {
    let server = pounce().guest(abi, "sockets").flag("--allow-lookup", "*").start().await;
    let denied = ask(&server, "/?name=localhost").await;
    assert!(is(&denied, "access-denied"), "{denied}");
    server
        .stop()
        .await
        .expect(0, &["look-up of `localhost` refused", "a loopback address", "--allow-lookup localhost"]);
}

async fn without_rules_everything_is_refused_and_told(abi: Abi) {
    let server = pounce().guest(abi, "sockets").flag("--allow-outbound", "http://localhost:*").start().await;
    for path in ["/?name=localhost", "/tcp", "/udp"] {
        let denied = ask(&server, path).await;
        assert!(is(&denied, "access-denied"), "{path}: {denied}");
    }
    let exit = server.stop().await;
    exit.expect(
        0,
        &[
            "look-up of `localhost` refused: not in guest.allow-lookup",
            "a TCP socket was refused",
            "a UDP socket was refused",
        ],
    );
    for line in exit.stderr.lines().filter(|line| line.contains(" refused")) {
        assert!(line.contains("WARN") && line.contains(&abi.stem("sockets")), "{line}");
    }
}

/// A guest that asks without end, and for ever new names, gets no more of the log than it is worth.
async fn many_refusals_are_few_lines(abi: Abi) {
    let server = pounce().guest(abi, "sockets").start().await;
    for n in 0..300 {
        ask(&server, &format!("/?name=n{n}.test")).await;
    }
    let exit = server.stop().await;
    let count = |part: &str| exit.stderr.lines().filter(|line| line.contains(part)).count();
    assert!((1..50).contains(&count("look-up of `")), "{exit}");
    assert_eq!(count("more lines like this were left out"), 1, "{exit}");
    assert_eq!(count("look-ups of more than 256 targets refused"), 1, "{exit}");
    let server = pounce().guest(abi, "sockets").start().await;
    for _ in 0..20 {
        ask(&server, "/tcp").await;
    }
    let exit = server.stop().await;
    let lines = exit.stderr.lines().filter(|line| line.contains("a TCP socket was refused"));
    assert_eq!(lines.count(), 2, "the first and the tenth: {exit}");
}

#[tokio::test]
async fn the_check_says_what_of_sockets_is_refused() {
    let check = |abi| pounce().command("check").guest(abi, "sockets");
    let lookups = |abi| match abi {
        Abi::P2 => "wasi:sockets/ip-name-lookup@0.2",
        Abi::P3 => "wasi:sockets/ip-name-lookup@0.3",
    };
    for abi in [Abi::P2, Abi::P3] {
        let exit = check(abi).run().await;
        exit.expect(0, &[]);
        let line = exit.stdout.lines().find(|line| line.contains(lookups(abi))).unwrap();
        assert!(line.contains("refused") && line.contains("guest.allow-lookup lists no name"), "{line}");
        let raw = match abi {
            Abi::P2 => &["wasi:sockets/tcp-create-socket@", "wasi:sockets/udp-create-socket@"][..],
            Abi::P3 => &["wasi:sockets/types@"],
        };
        for raw in raw {
            let line = exit.stdout.lines().find(|line| line.contains(raw)).unwrap();
            assert!(line.contains("refused") && line.contains("calls go through wasi:http"), "{line}");
        }
        let rules = ["db.example.com", "*.example.org"];
        let exit = check(abi).flag("--allow-lookup", rules[0]).flag("--allow-lookup", rules[1]).run().await;
        exit.expect(0, &[]);
        let line = exit.stdout.lines().find(|line| line.contains(lookups(abi))).unwrap();
        assert!(
            line.contains(" ok ") && line.contains("may look up db.example.com, *.example.org"),
            "{line}"
        );
    }
    let exit = check(Abi::P2).flag("--allow-lookup", "https://db.example.com").run().await;
    exit.expect(2, &["--allow-lookup", "is more than a host name", "db.example.com"]);
}
