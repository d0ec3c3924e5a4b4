//! Artifacts: made here, served here; signed, served where the key is known; everything else refused.

use super::{Home, change, says_hello};
use crate::support::client;
use crate::support::exit::Exit;
use crate::support::{Abi, for_both_abis, pounce};
use std::path::{Path, PathBuf};
use std::process::Command;

for_both_abis!(an_artifact_serves_what_was_compiled);

impl Home {
    /// Runs `pounce compile` with what else is typed.
    pub(super) async fn compile(&self, component: impl AsRef<Path>, more: &[&str]) -> (PathBuf, Exit) {
        let to = self.path("app.cwasm");
        let builder = self.house(pounce().command("compile").component(component));
        let exit =
            more.iter().fold(builder, |builder, word| builder.arg(*word)).arg("-o").arg(&to).run().await;
        (to, exit)
    }

    /// An Ed25519 key as `openssl` makes it, and its public half.
    pub(super) fn key(&self, name: &str) -> (String, String) {
        let [key, public] = [format!("{name}.pem"), format!("{name}.pub.pem")]
            .map(|name| self.path(&name).display().to_string());
        let openssl = |arguments: &[&str]| {
            let done = Command::new("openssl").args(arguments).status().expect("openssl is installed");
            assert!(done.success());
        };
        openssl(&["genpkey", "-algorithm", "ed25519", "-out", &key]);
        openssl(&["pkey", "-in", &key, "-pubout", "-out", &public]);
        (key, public)
    }
}

async fn an_artifact_serves_what_was_compiled(abi: Abi) {
    let home = Home::new();
    let (artifact, exit) = home.compile(abi.guest("hello"), &[]).await;
    exit.expect(0, &[]);
    assert!(exit.stdout.contains("for this user on this machine"), "{exit}");
    // Once copied, once from the copy; and while the file is overwritten in place.
    for _ in 0..2 {
        let server = home.pounce().component(&artifact).start().await;
        says_hello(&server).await;
        std::fs::write(&artifact, vec![0xCC; std::fs::read(&artifact).unwrap().len()]).unwrap();
        for _ in 0..50 {
            says_hello(&server).await;
        }
        drop(server);
        home.compile(abi.guest("hello"), &[]).await.1.expect(0, &[]);
    }
    // Without a cache, from memory.
    let server = home.pounce().component(&artifact).flag("--cache", "none").start().await;
    says_hello(&server).await;
    drop(server);
    let checked = home.house(pounce().command("check").component(&artifact)).run().await;
    checked.expect(0, &[]);
    assert!(checked.stdout.contains("wasi:http"), "{checked}");
    // It fails alike, with the same backtrace.
    let (artifact, _) = home.compile(abi.guest("trap"), &[]).await;
    let mut server = home.pounce().component(&artifact).start().await;
    assert_eq!(client::fetch_path(server.addr(), "/").await.status, 500);
    server.logged(&["wasm_trap"]).await;
}

/// Whose word counts, and whose does not; each said in its own words.
#[tokio::test]
async fn only_those_vouch_who_may() {
    let (home, elsewhere) = (Home::new(), Home::new());
    let component = Abi::P2.guest("hello");
    let (bound, _) = home.compile(&component, &[]).await;
    elsewhere.pounce().component(&bound).run().await.expect(2, &["another machine", "--artifact-key"]);
    let ((key, public), (_, other)) = (home.key("mine"), home.key("other"));
    home.pounce()
        .component(&bound)
        .flag("--artifact-key", &public)
        .run()
        .await
        .expect(2, &["no signature", "pounce compile --key"]);
    let (signed, exit) = home.compile(&component, &["--key", &key]).await;
    exit.expect(0, &[]);
    home.pounce().component(&signed).run().await.expect(2, &["it is signed", "--artifact-key"]);
    home.pounce()
        .component(&signed)
        .flag("--artifact-key", &other)
        .run()
        .await
        .expect(2, &["signed by another key"]);
    says_hello(&elsewhere.pounce().component(&signed).flag("--artifact-key", &public).start().await).await;
    let length = std::fs::metadata(&signed).unwrap().len() as usize;
    change(&signed, length / 3);
    elsewhere
        .pounce()
        .component(&signed)
        .flag("--artifact-key", &public)
        .run()
        .await
        .expect(2, &["changed or damaged"]);
    // What is not a key.
    home.compile(&component, &["--key", &public]).await.1.expect(2, &["private key", "openssl genpkey"]);
    home.pounce()
        .component(&component)
        .flag("--artifact-key", &key)
        .run()
        .await
        .expect(2, &["no public key", "openssl pkey"]);
}

/// Older processors of this family.
#[tokio::test]
async fn a_target_is_a_level_of_processors() {
    let home = Home::new();
    let component = Abi::P3.guest("hello");
    let (_, exit) = home.compile(&component, &["--target", "z80"]).await;
    exit.expect(2, &["there is no target `z80`", "native"]);
    let names = exit.stderr.rsplit("name one of ").next().unwrap().trim().to_owned();
    let mut contents = Vec::new();
    for target in names.split(", ") {
        let (artifact, exit) = home.compile(&component, &["--target", target]).await;
        exit.expect(0, &[]);
        says_hello(&home.pounce().component(&artifact).start().await).await;
        contents.push(std::fs::read(&artifact).unwrap());
    }
    contents.dedup();
    assert!(contents.len() > 1, "all of {names} make the same");
}

/// What is no component, and what is compiled already.
#[tokio::test]
async fn what_cannot_be_compiled_is_said() {
    let home = Home::new();
    let text = home.path("notes.txt");
    std::fs::write(&text, "hello").unwrap();
    home.compile(&text, &[]).await.1.expect(2, &["this is not WebAssembly"]);
    let (artifact, _) = home.compile(Abi::P2.guest("hello"), &[]).await;
    let again = home.path("again.cwasm");
    std::fs::copy(&artifact, &again).unwrap();
    home.compile(&again, &[]).await.1.expect(2, &["compiled already"]);
    let elf = home.path("true.cwasm");
    std::fs::copy("/bin/true", &elf).unwrap();
    home.pounce().component(&elf).run().await.expect(2, &["ends too early", "pounce compile"]);
}
