//! The projects of `pounce new`, each built with its language's own tools, served, traced and tested: `scripts/kits.py`, with
//! the tools that `make setup` has installed.

use crate::support::guest::root;
use std::path::Path;
use std::process::Command;

fn play(language: &str) {
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let output = Command::new("python3")
        .arg(root().join("scripts/kits.py"))
        .args(["--cached", language])
        // With what all tests share.
        .arg("--home")
        .arg(kept.join("home"))
        .arg("--target")
        .arg(kept.join("kits"))
        .env("POUNCE", env!("CARGO_BIN_EXE_pounce"))
        .output()
        .expect("python3");
    let (said, wrong) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    println!("{said}");
    assert!(output.status.success(), "{}\n{said}{wrong}", output.status);
}

#[test]
fn rust_is_built_served_traced_and_tested() {
    play("rust");
}

#[test]
fn javascript_is_built_served_traced_and_tested() {
    play("js");
}

#[test]
fn python_is_built_served_traced_and_tested() {
    play("python");
}
