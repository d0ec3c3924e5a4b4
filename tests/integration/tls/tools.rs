//! Clients that others have written: curl, and openssl.

use super::with;
use crate::support::pounce;
use crate::support::tls::Authority;
use std::io::Write as _;
use std::process::{Command, Output, Stdio};

fn run(program: &str, args: &[&str], stdin: &str) -> Output {
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program} is missing (make setup): {error}"));
    child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[tokio::test]
async fn curl_is_served_in_each_version_and_shows_its_certificate() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new("test"));
    let files = authority.server(&["localhost"]).write(folder.path(), "server");
    let client = authority.client("curl").write(folder.path(), "client");
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, authority.pem()).unwrap();
    let server = with(pounce().fixture("status.wat"), &files)
        .flag("--tls-client-ca", ca.display())
        .flag("--tls-client-auth", "required")
        .start()
        .await;
    let url = format!("https://localhost:{}/200", server.addr().port());
    let (ca, certificate, key) = (ca.display(), client.certificate.display(), client.key.display());
    let (ca, certificate, key) = (ca.to_string(), certificate.to_string(), key.to_string());
    let curl = |more: &[&str]| {
        let mut args = vec!["--silent", "--show-error", "--ipv4", "--max-time", "60", "--cacert", &ca];
        args.extend(["--write-out", "%{http_version} %{http_code}", "--output", "/dev/null", &url]);
        args.extend(more);
        run("curl", &args, "")
    };
    for (tls, http, said) in [
        ("--tls-max=1.2", "--http1.1", "1.1 200"),
        ("--tls-max=1.2", "--http2", "2 200"),
        ("--tlsv1.3", "--http1.1", "1.1 200"),
        ("--tlsv1.3", "--http2", "2 200"),
    ] {
        let tls: Vec<&str> = tls.split('=').collect();
        let output = curl(&[&tls[..], &[http, "--cert", &certificate, "--key", &key]].concat());
        let got = String::from_utf8_lossy(&output.stdout);
        assert_eq!(got, said, "{tls:?} {http}: {}", String::from_utf8_lossy(&output.stderr));
    }
    assert!(!curl(&["--http2"]).status.success(), "without a certificate");
}

#[tokio::test]
async fn openssl_sees_the_chain_versions_and_resumes() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new("test"));
    let files = authority.server(&["localhost"]).write(folder.path(), "server");
    let ca = folder.path().join("ca.pem").display().to_string();
    std::fs::write(&ca, authority.pem()).unwrap();
    let server = with(pounce().fixture("status.wat"), &files).start().await;
    let addr = server.addr().to_string();
    let request = "GET /200 HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    let session = folder.path().join("session").display().to_string();
    for (flag, name) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
        for (store, kind) in [("-sess_out", "New, "), ("-sess_in", "Reused, ")] {
            let args = [
                "s_client",
                "-connect",
                &addr,
                "-servername",
                "localhost",
                "-CAfile",
                &ca,
                "-verify_return_error",
                "-alpn",
                "http/1.1",
                "-ign_eof",
                flag,
                store,
                &session,
            ];
            let output = run("openssl", &args, request);
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(said.contains(kind) && said.contains(name), "{flag} {store}: {said}");
            assert!(said.contains("Verify return code: 0 (ok)"), "{said}");
            assert!(said.contains("ALPN protocol: http/1.1"), "{said}");
        }
    }
    for refused in ["-tls1_1", "-tls1"] {
        let args = ["s_client", "-connect", &addr, refused, "-cipher", "DEFAULT@SECLEVEL=0"];
        assert!(!run("openssl", &args, "").status.success(), "{refused}");
    }
}
