//! What is published: the kits in Pounce's package, and SDKs that have all of `pounce:telemetry`.

use super::{files, read};
use crate::support::guest::root;
use std::collections::BTreeSet;
use std::process::Command;

/// Links to the SDKs and to the interface among them, of which Cargo leaves out what looks like a package of its own.
#[test]
fn the_package_has_every_file_of_every_kit() {
    let output = Command::new(env!("CARGO"))
        .args(["package", "--list", "--allow-dirty", "--offline", "--package", "pounce"])
        .current_dir(root())
        .output()
        .expect("cargo");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let listed = String::from_utf8(output.stdout).unwrap();
    let packed: BTreeSet<_> = listed.lines().filter_map(|line| line.strip_prefix("kits/")).collect();
    let there = files(&root().join("kits"));
    // What Python leaves behind.
    let there: BTreeSet<_> =
        there.iter().map(String::as_str).filter(|path| !path.contains("__pycache__")).collect();
    assert!(there.len() > 50, "{there:?}");
    assert_eq!(packed, there);
}

/// The functions of an interface of `wit/telemetry.wit`: names before `: func` and `: static func`.
fn functions(wit: &str, interface: &str) -> Vec<String> {
    let (_, rest) = wit.split_once(&format!("interface {interface} {{")).expect(interface);
    let (body, _) = rest.split_once("\n}").expect("its end");
    body.lines()
        .filter_map(|line| line.split_once(": func(").or(line.split_once(": static func(")))
        .map(|(name, _)| name.trim().to_owned())
        .collect()
}

#[test]
fn each_sdk_calls_every_function_of_the_interface() {
    let wit = read(root(), "wit/telemetry.wit");
    let text = |folder: &str, ending: &str| -> String {
        let paths = files(&root().join(folder));
        let sources = paths.iter().filter(|path| path.ends_with(ending) && !path.ends_with(".d.ts"));
        sources.map(|path| read(root(), &format!("{folder}/{path}"))).collect()
    };
    let sdks = [
        ("Rust", text("guests/sdk/rust/src", ".rs"), '_'),
        ("JavaScript", text("guests/sdk/js", ".js"), '-'),
        ("Python", text("guests/sdk/py", ".py"), '_'),
    ];
    let mut called = 0;
    for (language, sdk, joint) in &sdks {
        for interface in ["tracing", "propagation", "metrics", "logs"] {
            for function in functions(&wit, interface) {
                let name = match joint {
                    '_' => function.replace('-', "_"),
                    _ => camel(&function),
                };
                // Attributes go in lists, since componentize-js ends a guest that sets a negative number by itself.
                if *language == "JavaScript" && function == "set-attribute" {
                    continue;
                }
                assert!(
                    sdk.contains(&format!(".{name}(")) || sdk.contains(&format!("::{name}(")),
                    "{language}: {name}"
                );
                called += 1;
            }
        }
    }
    assert!(called > 70, "{called}");
    // Where scopes cannot be given back.
    for function in functions(&wit, "scopes") {
        assert!(sdks[1].1.contains(&format!("hostScopes.{function}(")), "{function}");
    }
}

fn camel(name: &str) -> String {
    let mut words = name.split('-');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |name, word| name + &word[..1].to_uppercase() + &word[1..])
}
