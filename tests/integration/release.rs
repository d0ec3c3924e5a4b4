//! What is released (`make dist`): the archive is whole, the same each time, and runs from where it is unpacked.

use crate::support::guest::root;
use crate::support::{Abi, pounce};
use std::path::Path;
use std::process::Command;

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = |bytes| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{command:?}: {}", said(&output.stderr));
    said(&output.stdout)
}

/// Packs the binary of the tests.
fn packed(out: &Path) -> String {
    let script = root().join("scripts/dist.py");
    run(Command::new(script).args(["--binary", env!("CARGO_BIN_EXE_pounce"), "--out"]).arg(out))
}

#[tokio::test]
async fn the_archive_is_the_same_each_time_and_runs_where_it_is_unpacked() {
    let folder = tempfile::tempdir().unwrap();
    let [out, again] = ["out", "again"].map(|name| folder.path().join(name));
    let said = packed(&out);
    packed(&again);
    let sums = std::fs::read_to_string(out.join("SHA256SUMS")).unwrap();
    assert_eq!(sums, std::fs::read_to_string(again.join("SHA256SUMS")).unwrap());
    for part in
        ["the binary is", "It needs glibc 2.", "are linked into it", "sha256sum --check", "tar --extract"]
    {
        assert!(said.contains(part), "{part:?} in {said}");
    }

    // As it says itself.
    run(Command::new("sha256sum").args(["--check", "SHA256SUMS"]).current_dir(&out));
    let target = env!("CARGO_PKG_VERSION");
    let archive = sums.split_whitespace().find(|word| word.ends_with(".tar.gz")).expect("an archive");
    assert!(archive.starts_with(&format!("pounce-{target}-")), "{archive}");
    let prefix = folder.path().join("prefix");
    std::fs::create_dir(&prefix).unwrap();
    run(Command::new("tar")
        .args(["--extract", "--strip-components", "1", "--no-same-owner", "--file"])
        .arg(out.join(archive))
        .arg("--directory")
        .arg(&prefix));
    let listed = run(Command::new("tar").args(["--list", "--verbose", "--file"]).arg(out.join(archive)));
    assert!(listed.lines().all(|line| line.contains("root/root")), "{listed}");

    let texts =
        std::fs::read_to_string(prefix.join("share/doc/pounce/LICENSES-OF-DEPENDENCIES.txt")).unwrap();
    for part in ["\ntokio ", "\nring ", "Redistribution and use in source and binary forms"] {
        assert!(texts.contains(part), "{part:?}");
    }
    let bill = std::fs::read(prefix.join("share/doc/pounce/pounce.cdx.json")).unwrap();
    let bill: serde_json::Value = serde_json::from_slice(&bill).unwrap();
    let has = |name: &str| bill["components"].as_array().unwrap().iter().any(|one| one["name"] == name);
    // What is in the binary, and neither what its tests nor what its build needs.
    assert!(has("wasmtime") && has("pounce-otlp") && !has("criterion") && !has("cc"));
    for name in [
        "man/man1/pounce-serve.1",
        "zsh/site-functions/_pounce",
        "doc/pounce/LICENSES-OF-RUST-STANDARD-LIBRARY.html",
        "doc/pounce/ops/systemd/pounce.service",
    ] {
        assert!(prefix.join("share").join(name).is_file(), "{name}");
    }

    let program = prefix.join("bin/pounce");
    assert_eq!(run(Command::new(&program).arg("--version")), format!("pounce {target}\n"));
    // It compiles by starting itself.
    let home = folder.path().join("home");
    let server = pounce()
        .serve()
        .launched_by(["sh", "-c", "shift; exec \"$0\" \"$@\"", &program.display().to_string()])
        .guest(Abi::P2, "hello")
        .env("XDG_CACHE_HOME", home.display())
        .env("XDG_DATA_HOME", home.display())
        .flag("--harden", "on")
        .start()
        .await;
    let running = std::fs::read_link(format!("/proc/{}/exe", server.id())).unwrap();
    assert_eq!(running, program.canonicalize().unwrap());
    assert_eq!(crate::support::client::fetch_path(server.addr(), "/").await.text(), "Hello, World!\n");
    server.stop().await.expect(0, &[]);
}
