//! A folder with the files that pages speak of, in which the commands of a page are run.

use std::fs::File;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tempfile::TempDir;

use crate::support::PATIENCE;
use crate::support::guest::{built, root};
use crate::support::tls::{Authority, write_key};

/// Components that pages name, and the guests that they are; `shop` may call others.
const COMPONENTS: [(&str, &str); 6] = [
    ("app", "hello"),
    ("a", "hello"),
    ("b", "hello"),
    ("shop", "bodies"),
    ("site", "hello"),
    ("hello", "hello"),
];

pub(super) struct Session {
    folder: TempDir,
    /// Nobody listens there: what pages call `localhost:4318`.
    endpoint: String,
    /// Commands of the fence at hand that change the shell: `cd`, `set`, `.`, `export`.
    state: Vec<String>,
}

impl Session {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        for below in ["bin", "home", "run", "var/lib/pounce"] {
            std::fs::create_dir_all(path.join(below)).unwrap();
        }
        symlink(env!("CARGO_BIN_EXE_pounce"), path.join("bin/pounce")).unwrap();
        symlink(root().join("examples"), path.join("examples")).unwrap();
        for (name, guest) in COMPONENTS {
            std::fs::copy(built(guest), path.join(format!("{name}.wasm"))).unwrap();
        }
        let pair = Authority::new("shop-ca").server(&["localhost"]);
        std::fs::write(path.join("cert.pem"), &pair.certificate).unwrap();
        write_key(&path.join("key.pem"), &pair.key);
        std::fs::copy(root().join("pounce.example.toml"), path.join("pounce.toml")).unwrap();
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = free.local_addr().unwrap().to_string();
        Self { folder, endpoint, state: Vec::new() }
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A fence begins: with a shell of its own.
    pub(super) fn begin(&mut self) {
        self.state.clear();
    }

    /// Runs a command; what went wrong, if anything. `expected` is what it prints, where the page says it.
    pub(super) fn run(&mut self, command: &str, expected: &[String]) -> Result<(), String> {
        let is_variable =
            |word: &&str| word.split_once('=').is_some_and(|(name, _)| name.starts_with("OTEL_"));
        let mut words = command.split(' ').skip_while(is_variable);
        let is_server = words.next() == Some("pounce") && matches!(words.next(), Some("serve" | "dev"));
        let printed = if is_server { self.serve(command)? } else { self.finish(command)? };
        if let Some(state) = change_of_state(command) {
            self.state.push(state.to_owned());
        }
        let actual: Vec<_> = printed.lines().map(str::trim_end).collect();
        let expected: Vec<_> = expected.iter().map(String::as_str).collect();
        if expected.is_empty() || fits(&expected, &actual) {
            Ok(())
        } else {
            Err(format!("it prints:\n{printed}"))
        }
    }

    /// Runs a command to its end.
    fn finish(&self, command: &str) -> Result<String, String> {
        let mut child = self.spawn(&self.here(command));
        let began = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if began.elapsed() > PATIENCE {
                end(child);
                return Err(format!("it does not end: {}", self.printed("stderr")));
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        let (stdout, stderr) = (self.printed("stdout"), self.printed("stderr"));
        if status.success() { Ok(stdout) } else { Err(format!("{status}\n{stdout}{stderr}")) }
    }

    /// Runs a server until it listens, and drains it.
    fn serve(&self, command: &str) -> Result<String, String> {
        let mut child = self.spawn(&format!("exec env {}", self.here(command)));
        let began = Instant::now();
        while !self.printed("stdout").contains("listening on ") {
            let ended = child.try_wait().unwrap();
            if ended.is_some() || began.elapsed() > PATIENCE {
                end(child);
                return Err(format!("it does not listen: {ended:?}\n{}", self.printed("stderr")));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
        let status = child.wait().unwrap();
        if !status.success() {
            return Err(format!("{status} after SIGTERM\n{}", self.printed("stderr")));
        }
        Ok(self.printed("stdout"))
    }

    fn spawn(&self, command: &str) -> Child {
        let folder = self.path();
        let file = |name: &str| File::create(folder.join(name)).unwrap();
        let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("home");
        let path = std::env::var("PATH").unwrap();
        // What changes the shell has been run before, and prints nothing that anybody expects.
        let script =
            [format!("{{ {}:; }} >/dev/null 2>&1", self.state.join("\n") + "\n"), command.to_owned()]
                .join("\n");
        Command::new("sh")
            .args(["-ec", &script])
            .current_dir(folder)
            .env_clear()
            .env("PATH", format!("{}:{path}", folder.join("bin").display()))
            .env("HOME", folder.join("home"))
            .env("XDG_CACHE_HOME", home.join("XDG_CACHE_HOME"))
            .env("XDG_DATA_HOME", home.join("XDG_DATA_HOME"))
            .env("POUNCE_LISTEN", "127.0.0.1:0")
            // With all that it starts it can be ended.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(file("stdout"))
            .stderr(file("stderr"))
            .spawn()
            .expect("a shell")
    }

    fn printed(&self, name: &str) -> String {
        std::fs::read_to_string(self.path().join(name)).unwrap_or_default()
    }

    /// A command of a page as it can be run here: on free ports, and below this folder.
    fn here(&self, command: &str) -> String {
        let folder = self.path().display();
        let command = command
            .replace("/var/lib/", &format!("{folder}/var/lib/"))
            .replace("unix:/run/", &format!("unix:{folder}/run/"))
            .replace("localhost:4318", &self.endpoint);
        let mut words: Vec<_> = command.split(' ').map(str::to_owned).collect();
        for at in 1..words.len() {
            if matches!(&*words[at - 1], "--listen" | "--admin-listen") && !words[at].starts_with("unix:") {
                words[at] = "127.0.0.1:0".to_owned();
            }
        }
        words.join(" ")
    }
}

/// Kills a command and all that it has started.
fn end(mut child: Child) {
    // It may have ended by itself.
    kill_process_group(Pid::from_child(&child), Signal::KILL).ok();
    child.wait().unwrap();
}

/// What of a command changes the shell that runs the next ones.
fn change_of_state(command: &str) -> Option<&str> {
    let last = command.rsplit("&& ").next().unwrap_or(command);
    let changes = |command: &str| {
        ["cd ", "set ", ". ", "export "].iter().any(|change| command.starts_with(change)).then_some(())
    };
    changes(command).map(|()| command).or_else(|| changes(last).map(|()| last))
}

/// Whether lines are as expected; `…` alone stands for any lines.
fn fits(expected: &[&str], actual: &[&str]) -> bool {
    match (expected, actual) {
        ([], []) => true,
        (["…", rest @ ..], _) => (0..=actual.len()).any(|skipped| fits(rest, &actual[skipped..])),
        ([line, rest @ ..], [first, others @ ..]) => {
            like(&timeless(line), &timeless(first)) && fits(rest, others)
        }
        _ => false,
    }
}

/// Whether a line is as expected; `…` stands for any text.
fn like(pattern: &str, text: &str) -> bool {
    match pattern.split_once('…') {
        None => pattern == text,
        Some((before, after)) => text.strip_prefix(before).is_some_and(|rest| {
            rest.char_indices().any(|(at, _)| like(after, &rest[at..])) || like(after, "")
        }),
    }
}

/// A line with `#` for each number that has a unit of time or size behind it.
fn timeless(line: &str) -> String {
    let words = line.split(' ').collect::<Vec<_>>();
    let mut out = words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    for at in 1..words.len() {
        let unit = words[at].trim_end_matches([')', ',', ';', ':']);
        let number = words[at - 1].trim_start_matches('(');
        if matches!(unit, "ms" | "s" | "KiB" | "MiB") && number.parse::<f64>().is_ok() {
            out[at - 1] = words[at - 1].replace(number, "#");
        }
    }
    // Columns are as wide as their numbers.
    out.retain(|word| !word.is_empty());
    out.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_stand_for_what_they_say() {
        assert!(fits(&["a", "…", "c"], &["a", "b", "b", "c"]));
        assert!(fits(&["ok   greets (line 1, 2.9 ms)"], &["ok   greets (line 1, 31.0 ms)"]));
        assert!(fits(&["key … default"], &["key    value default"]));
        assert!(!fits(&["a", "c"], &["a", "b", "c"]));
        assert!(!fits(&["ok   greets (line 1, 2.9 ms)"], &["ok   greets (line 2, 2.9 ms)"]));
        assert!(!fits(&["a"], &["a", "b"]));
    }
}
