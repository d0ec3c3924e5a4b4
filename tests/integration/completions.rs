//! `pounce completions` and `pounce man`: shells complete commands, flags and values; man pages are whole.

use crate::support::pounce;
use std::process::Command;

/// What bash offers for the last of these words.
fn offered(script: &str, words: &[&str]) -> Vec<String> {
    let quoted: String = words.iter().map(|word| format!(" '{word}'")).collect();
    let [.., before, last] = words else { unreachable!("a command and what is typed") };
    let at = words.len() - 1;
    // As bash calls it: with the command, the word that is typed, and the one before.
    let program = format!(
        "{script}\nCOMP_WORDS=({quoted}); COMP_CWORD={at}; _pounce pounce '{last}' '{before}'\n\
         for word in \"${{COMPREPLY[@]}}\"; do echo \"$word\"; done"
    );
    let output = Command::new("bash").args(["--norc", "-c", &program]).output().expect("bash");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn bash_completes_commands_flags_and_values() {
    let exit = pounce().command("completions").arg("bash").run().await;
    exit.expect(0, &[]);
    let script = &exit.stdout;
    assert_eq!(offered(script, &["pounce", "ser"]), ["serve"]);
    assert_eq!(offered(script, &["pounce", "serve", "--otel-endp"]), ["--otel-endpoint"]);
    assert!(offered(script, &["pounce", "check", "--tls-cer"]).contains(&"--tls-cert".to_owned()));
    assert!(offered(script, &["pounce", "serve", "--admin-listen-"]).is_empty());
    assert!(offered(script, &["pounce", "completions", ""]).contains(&"fish".to_owned()));
}

#[tokio::test]
async fn other_shells_have_their_scripts() {
    for (shell, begin) in
        [("zsh", "#compdef pounce"), ("fish", "# Print an optspec"), ("powershell", "using namespace")]
    {
        let exit = pounce().command("completions").arg(shell).run().await;
        exit.expect(0, &[]);
        assert!(exit.stdout.trim_start().starts_with(begin), "{shell}: {}", &exit.stdout[..200]);
        assert!(exit.stdout.contains("otel-endpoint"), "{shell} knows the flags of serve");
    }
    let exit = pounce().command("completions").arg("csh").run().await;
    exit.expect(2, &["csh", "bash", "zsh", "fish"]);
}

#[tokio::test]
async fn each_command_has_its_man_page() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("man1");
    let exit = pounce().command("man").arg(&folder).run().await;
    exit.expect(0, &[]);
    let page = |name: &str| std::fs::read_to_string(folder.join(name)).expect(name);
    assert!(page("pounce.1").contains("pounce\\-serve(1)"));
    let serve = page("pounce-serve.1");
    assert!(serve.contains(".TH pounce-serve 1") && serve.contains("\\-\\-max\\-in\\-flight"), "{serve}");
    assert!(serve.contains("Exit status") || serve.contains("EXTRA"), "what comes after the options");
    for name in ["pounce-check.1", "pounce-compile.1", "pounce-doctor.1", "pounce-completions.1"] {
        page(name);
    }
    let mut names = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name());
    let of_help = names.find(|name| name.to_string_lossy().contains("help"));
    assert_eq!(of_help, None, "`pounce help check` is no command of its own");
    let exit = pounce().command("man").arg("/dev/null/man").run().await;
    exit.expect(1, &["cannot write the man pages", "/dev/null/man"]);
}
