//! What is refused at the start, with words that say what to do, and what `pounce check` shows.

use super::with;
use crate::support::pounce;
use crate::support::tls::{Authority, Files, write_key};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

#[tokio::test]
async fn certificates_that_cannot_be_used_are_mistakes() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new("test"));
    let folder = folder.path();
    let good = authority.server(&["localhost"]).write(folder, "good");
    let other = authority.server(&["localhost"]).write(folder, "other");
    let expired =
        authority.make(&["old.example"], |params| params.not_after = rcgen::date_time_ymd(2001, 1, 1));
    let early =
        authority.make(&["new.example"], |params| params.not_before = rcgen::date_time_ymd(2099, 1, 1));
    let encrypted = folder.join("encrypted.key");
    let done = Command::new("openssl")
        .args(["pkcs8", "-topk8", "-passout", "pass:secret", "-in"])
        .arg(&good.key)
        .arg("-out")
        .arg(&encrypted)
        .status();
    assert!(done.expect("openssl is installed").success());
    let no_key = folder.join("no.key");
    write_key(&no_key, &authority.pem());
    let with_key = |key| Files { certificate: good.certificate.clone(), key };
    for (files, words) in [
        (with_key(other.key), &["other.key", "not the key of the first certificate in `", "good.pem"][..]),
        (
            expired.write(folder, "expired"),
            &["expired.pem", "old.example", "has expired on Mon, 01 Jan 2001", "renew"],
        ),
        (
            early.write(folder, "early"),
            &["early.pem", "new.example", "not valid before Thu, 01 Jan 2099", "clock"],
        ),
        (with_key(encrypted), &["encrypted.key", "is encrypted", "openssl pkey -in"]),
        (with_key(no_key), &["no.key", "no private key in it"]),
        (with_key(folder.join("nowhere.key")), &["nowhere.key", "can't be read"]),
    ] {
        let exit = with(pounce().fixture("status.wat"), &files).run().await;
        exit.expect(2, words);
        exit.expect(2, &["tip: "]);
        assert!(!exit.stderr.contains("PRIVATE KEY-----\n"), "{exit}");
        assert_eq!(exit.stdout, "", "it was never ready");
    }
}

#[tokio::test]
async fn settings_that_do_not_go_together_are_mistakes() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new("test"));
    let files = authority.server(&["localhost"]).write(folder.path(), "server");
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, authority.pem()).unwrap();
    let server = || pounce().fixture("status.wat");
    let exit = server().flag("--tls-cert", files.certificate.display()).run().await;
    exit.expect(2, &["--tls-cert", "1 certificate and 0 keys", "http.tls-key"]);
    let exit = with(server(), &files).flag("--tls-key", files.key.display()).run().await;
    exit.expect(2, &["--tls-key", "1 certificate and 2 keys"]);
    let exit = with(server(), &files).flag("--tls-client-auth", "required").run().await;
    exit.expect(2, &["--tls-client-auth", "nobody to vouch", "http.tls-client-ca"]);
    let exit =
        server().flag("--tls-client-auth", "optional").flag("--tls-client-ca", ca.display()).run().await;
    exit.expect(2, &["--tls-client-auth", "over TLS only", "http.tls-cert"]);
    let exit = with(server(), &files).flag("--tls-client-auth", "maybe").run().await;
    exit.expect(2, &["`maybe`", "none, optional, required"]);
}

#[tokio::test]
async fn check_shows_names_and_expiry_and_warns_of_open_keys() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new("test"));
    let pair = authority.make(&["a.example", "*.b.example"], |params| {
        params.not_after = rcgen::date_time_ymd(2099, 2, 3);
    });
    let files = pair.write(folder.path(), "server");
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, authority.pem()).unwrap();
    std::fs::set_permissions(&files.key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let check = || {
        with(pounce().command("check"), &files)
            .flag("--tls-client-ca", ca.display())
            .flag("--listen", format!("unix:{}", folder.path().join("s").display()))
    };
    let exit = check().run().await;
    exit.expect(0, &[]);
    for part in [
        &format!("certificate {}\n", files.certificate.display()),
        "names    a.example, *.b.example\n",
        "expires  Tue, 03 Feb 2099 00:00:00 GMT\n",
        "everybody on this machine may read",
        "http.tls-client-ca is of no use",
        "Unix sockets do not speak TLS",
    ] {
        assert!(exit.stdout.contains(part), "no {part:?} in {exit}");
    }
    let exit = check().flag("--format", "json").run().await;
    let report: serde_json::Value = serde_json::from_str(&exit.stdout).unwrap();
    assert_eq!(report["certificates"][0]["names"][0], "a.example");
    assert_eq!(report["certificates"][0]["expires"], "Tue, 03 Feb 2099 00:00:00 GMT");
}
