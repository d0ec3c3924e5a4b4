//! The files that a deployment begins with (`ops/systemd`, `ops/container`, `ops/kubernetes`): what reads them takes them.

use crate::backend::tool;
use crate::support::guest::root;
use crate::support::{Abi, pounce};
use std::path::Path;
use std::process::{Command, Output};

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn ops(name: &str) -> std::path::PathBuf {
    root().join("ops").join(name)
}

fn read(name: &str) -> String {
    std::fs::read_to_string(ops(name)).expect("a file of ops/")
}

/// The unit with the binary where it is here, in a folder of its own: systemd looks whether it is there.
fn installed(folder: &Path) -> [std::path::PathBuf; 2] {
    ["pounce.service", "pounce.socket"].map(|name| {
        let text = read(&format!("systemd/{name}"));
        let path = folder.join(name);
        std::fs::write(&path, text.replace("/usr/local/bin/pounce", env!("CARGO_BIN_EXE_pounce"))).unwrap();
        path
    })
}

#[test]
fn systemd_finds_no_fault_with_the_units() {
    let folder = tempfile::tempdir().unwrap();
    let units = installed(folder.path());
    let output = Command::new("systemd-analyze").arg("verify").args(&units).output();
    let output = output.expect("systemd-analyze: run `make setup`");
    assert!(output.status.success() && said(&output).is_empty(), "{}", said(&output));
}

/// By systemd's own measure, 0 is no exposure and 10 all of it; what it calls ok ends at 4.
#[test]
fn the_unit_exposes_little() {
    let folder = tempfile::tempdir().unwrap();
    let [service, _] = installed(folder.path());
    let output = Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--threshold=20"])
        .arg(service)
        .output()
        .expect("systemd-analyze: run `make setup`");
    assert!(output.status.success(), "{}", said(&output));
}

/// What is said of a manifest that is right in all its fields, for a version of Kubernetes (the last that is known if none).
fn validated(file: &str, version: &[&str]) -> String {
    let output =
        Command::new(tool("KUBERNETES_VALIDATE", "kubernetes-validate-1.37.0/bin/kubernetes-validate"))
            .arg("--strict")
            .args(version)
            .arg(ops(file))
            .output()
            .expect("it starts");
    assert!(output.status.success(), "{}", said(&output));
    said(&output)
}

#[test]
fn kubernetes_takes_the_manifests() {
    // The first of the versions that these kinds are in, and the last that is known.
    for version in [&["-k", "1.27.0"][..], &[]] {
        let said = validated("kubernetes/pounce.yaml", version);
        for kind in [
            "configmap",
            "deployment",
            "service",
            "horizontalpodautoscaler",
            "poddisruptionbudget",
            "networkpolicy",
        ] {
            assert!(said.contains(&format!("passed for resource {kind}/pounce")), "{said}");
        }
    }
    let said = validated("kubernetes/monitoring.yaml", &[]);
    assert!(said.contains("service/pounce-admin"), "{said}");
}

/// The settings in a file of ops/, for a component and a key that are here.
async fn check(settings: &str, source: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pounce.toml");
    let component = Abi::P2.guest("hello");
    assert!(settings.contains(source), "{settings}");
    let settings = settings.replace(source, &component.display().to_string());
    // A component is needed no key for.
    let settings: String = settings
        .lines()
        .filter(|line| !line.starts_with("artifact-key"))
        .map(|line| format!("{line}\n"))
        .collect();
    std::fs::write(&path, settings).unwrap();
    pounce().command("check").arg("--config").arg(&path).run().await.expect(0, &[]);
}

#[tokio::test]
async fn the_settings_of_the_deployments_are_sound() {
    check(&read("systemd/pounce.toml"), "/var/lib/pounce/app.wasm").await;
    let manifest = read("kubernetes/pounce.yaml");
    let (_, rest) = manifest.split_once("pounce.toml: |\n").expect("the settings");
    let (settings, _) = rest.split_once("\n---").expect("another document");
    let settings: String = settings.lines().map(|line| format!("{}\n", line.trim_start())).collect();
    check(&settings, "/app.cwasm").await;
}

/// What the autoscaler goes by is told by a server, under this name.
#[tokio::test]
async fn the_autoscaler_goes_by_a_metric_that_there_is() {
    let name = "pounce_requests_in_flight";
    for file in ["kubernetes/pounce.yaml", "kubernetes/prometheus-adapter.yaml"] {
        assert!(read(file).contains(name), "{file}");
    }
    let mut server = pounce().guest(Abi::P2, "hello").with_admin().start().await;
    let admin = server.admin().await;
    let page = crate::support::client::fetch_path(admin, "/metrics").await;
    assert!(page.text().lines().any(|line| line.starts_with(name)), "{}", page.text());
    server.stop().await.expect(0, &[]);
}
