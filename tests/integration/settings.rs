//! `wasi:config/store`: what guests read of their settings, in both versions and under a name of the guest's own, and from
//! where.

use crate::support::client;
use crate::support::pounce::Pounce;
use crate::support::{Abi, for_both_abis, pounce};
use serde_json::{Value, json};

for_both_abis!(
    settings_are_what_the_option_says,
    without_the_option_settings_are_the_environment,
    nothing_set_is_nothing_read
);

/// What the guest says of a request, which must be the same by each of its imports.
async fn read(server: &Pounce, path: &str) -> Value {
    let answer = client::fetch_path(server.addr(), path).await;
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    let read: Value = serde_json::from_slice(&answer.body).unwrap();
    for import in ["0.2.0-draft", "mine"] {
        assert_eq!(read["0.2.0-rc.1"], read[import], "{path}: {read}");
    }
    read["0.2.0-rc.1"].clone()
}

async fn settings_are_what_the_option_says(abi: Abi) {
    let dir = tempfile::tempdir().unwrap();
    let secret = dir.path().join("secret");
    std::fs::write(&secret, "of the file\n").unwrap();
    let server = pounce()
        .guest(abi, "settings")
        .flag("--env", "ONLY_ENV=seen")
        .flag("--wasi-config", "greeting=hello=world")
        .flag("--wasi-config", "empty=")
        .flag("--wasi-config", format!("secret=@{}", secret.display()))
        .flag("--wasi-config", "twice=first")
        .flag("--wasi-config", "twice=last")
        .start()
        .await;
    let all =
        json!([["empty", ""], ["greeting", "hello=world"], ["secret", "of the file"], ["twice", "last"]]);
    assert_eq!(read(&server, "/").await, all);
    assert_eq!(read(&server, "/?key=greeting").await, "hello=world");
    assert_eq!(read(&server, "/?key=empty").await, "");
    assert_eq!(read(&server, "/?key=secret").await, "of the file");
    for absent in ["Greeting", "ONLY_ENV", "PATH"] {
        assert_eq!(read(&server, &format!("/?key={absent}")).await, Value::Null, "{absent}");
    }
    let exit = server.stop().await;
    exit.expect(0, &[]);
    for value in ["hello=world", "of the file"] {
        assert!(!exit.stderr.contains(value) && !exit.stdout.contains(value), "{exit}");
    }
}

async fn without_the_option_settings_are_the_environment(abi: Abi) {
    let server = pounce()
        .guest(abi, "settings")
        .env("NAMED", "of Pounce's environment")
        .env("UNNAMED", "of Pounce's environment")
        .flag("--env", "NAMED")
        .flag("--env", "GREETING=hello")
        .start()
        .await;
    let all = json!([["GREETING", "hello"], ["NAMED", "of Pounce's environment"]]);
    assert_eq!(read(&server, "/").await, all);
    assert_eq!(read(&server, "/?key=GREETING").await, "hello");
    assert_eq!(read(&server, "/?key=UNNAMED").await, Value::Null);
}

async fn nothing_set_is_nothing_read(abi: Abi) {
    let server = pounce().guest(abi, "settings").env("UNNAMED", "of Pounce's environment").start().await;
    assert_eq!(read(&server, "/").await, json!([]));
    for absent in ["UNNAMED", "PATH", ""] {
        assert_eq!(read(&server, &format!("/?key={absent}")).await, Value::Null, "{absent}");
    }
}

#[tokio::test]
async fn the_check_says_where_settings_come_from() {
    let check = || pounce().command("check").guest(Abi::P2, "settings");
    for (check, expected) in [
        (check(), "no setting: guest.wasi-config and guest.env are empty"),
        (check().flag("--env", "A=1"), "1 of guest.env, as guest.wasi-config is empty"),
        (check().flag("--env", "A=1").flag("--wasi-config", "b=hunter2"), "1 of guest.wasi-config"),
    ] {
        let exit = check.run().await;
        exit.expect(0, &[]);
        for import in ["wasi:config/store@0.2.0-rc.1", "wasi:config/store@0.2.0-draft", " mine "] {
            let line = exit.stdout.lines().find(|line| line.contains(import)).unwrap();
            assert!(line.contains("ok") && line.trim_end().ends_with(expected), "{line}");
        }
        assert!(!exit.stdout.contains("hunter2"), "{exit}");
    }
    // A key alone would be taken from Pounce's environment, as with --env.
    let exit = check().flag("--wasi-config", "HOME").run().await;
    exit.expect(2, &["--wasi-config", "has no `=`", "KEY=VALUE or KEY=@FILE"]);
}
