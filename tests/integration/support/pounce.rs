//! The real binary behind a builder: starts it on port 0, waits until it is ready, reads what it prints, signals it,
//! and kills it when the test is over.

use super::exit::Exit;
use super::guest::{Abi, built, fixture};
use super::{Collector, PATIENCE, within};
use serde_json::Value as Json;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio::sync::watch;

/// `pounce serve`, nothing inherited from the environment of the test run that it could read as a setting. With
/// `POUNCE_TEST_COMMAND=dev` around the tests it is `pounce dev`: what serving promises, that keeps as well.
pub(crate) fn pounce() -> Builder {
    let is_dev = std::env::var_os("POUNCE_TEST_COMMAND").is_some_and(|command| command == "dev");
    Builder {
        command: if is_dev { DEV } else { "serve" },
        component: None,
        listen: true,
        launcher: Vec::new(),
        args: Vec::new(),
        env: Vec::new(),
        dir: None,
        patience: PATIENCE,
    }
}

/// The command of those who develop a guest.
const DEV: &str = "dev";

/// What will be started.
pub(crate) struct Builder {
    command: &'static str,
    component: Option<PathBuf>,
    listen: bool,
    launcher: Vec<OsString>,
    args: Vec<OsString>,
    env: Vec<(String, String)>,
    dir: Option<PathBuf>,
    patience: Duration,
}

impl Builder {
    /// Runs `pounce dev`.
    pub(crate) fn dev(mut self) -> Self {
        self.command = DEV;
        self
    }

    /// Runs `pounce serve`, whatever the tests are run with: for what only its defaults are.
    pub(crate) fn serve(mut self) -> Self {
        self.command = "serve";
        self
    }

    /// Runs in this directory.
    pub(crate) fn within(mut self, dir: impl Into<PathBuf>) -> Self {
        self.dir = Some(dir.into());
        self
    }

    /// Runs another command than `serve`, one that does not listen.
    pub(crate) fn command(mut self, name: &'static str) -> Self {
        self.command = name;
        self.without_listen()
    }

    /// Serves this file.
    pub(crate) fn component(mut self, path: impl AsRef<Path>) -> Self {
        self.component = Some(path.as_ref().to_owned());
        self
    }

    /// Serves a guest of `guests/`.
    pub(crate) fn guest(self, abi: Abi, name: &str) -> Self {
        self.component(abi.guest(name))
    }

    /// Serves a component of `tests/fixtures/`.
    pub(crate) fn fixture(self, name: &str) -> Self {
        self.component(fixture(name))
    }

    /// Adds `--name value`.
    pub(crate) fn flag(mut self, name: &str, value: impl ToString) -> Self {
        assert!(name.starts_with("--"), "a flag: {name}");
        self.args.push(name.into());
        self.args.push(value.to_string().into());
        self
    }

    /// Adds one argument as it is.
    pub(crate) fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Sets a variable of its environment.
    pub(crate) fn env(mut self, name: &str, value: impl ToString) -> Self {
        self.env.push((name.into(), value.to_string()));
        self
    }

    /// Waits this long for the ready line.
    pub(crate) fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Serves what an interpreter is part of: 12 to 22 MB take their time to compile on a loaded machine, and so does the
    /// interpreter's first request.
    pub(crate) fn interpreted(self, stem: &str) -> Self {
        self.component(built(stem)).flag("--request-timeout", "60s").patience(PATIENCE * 5)
    }

    /// Has an admin listener on a free port of loopback, so that [`Pounce::in_flight`] can look.
    pub(crate) fn with_admin(self) -> Self {
        self.flag("--admin-listen", "127.0.0.1:0")
    }

    /// Leaves `--listen` to the test.
    pub(crate) fn without_listen(mut self) -> Self {
        self.listen = false;
        self
    }

    /// Has this program start it, which gets the command line of the server as its last arguments.
    pub(crate) fn launched_by<S: Into<OsString>>(mut self, launcher: impl IntoIterator<Item = S>) -> Self {
        self.launcher = launcher.into_iter().map(Into::into).collect();
        self
    }

    /// Sends spans to `collector`, soon rather than in batches of five seconds.
    pub(crate) fn traced(self, collector: &Collector) -> Self {
        self.env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint()).env("OTEL_BSP_SCHEDULE_DELAY", 50)
    }

    /// The command line, with its environment.
    pub(crate) fn into_command(self) -> Command {
        let has_admin = self.args.iter().any(|arg| arg == "--admin-listen");
        let mut words = self.launcher;
        words.push(env!("CARGO_BIN_EXE_pounce").into());
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).arg(self.command).args(self.component).args(self.args).env_clear();
        for name in ["PATH", "HOME", "TMPDIR"] {
            command.envs(std::env::var_os(name).map(|value| (name, value)));
        }
        // All tests share compiled components, and none of them those of the user who runs the tests.
        for name in ["XDG_CACHE_HOME", "XDG_DATA_HOME"] {
            command.env(name, Path::new(env!("CARGO_TARGET_TMPDIR")).join("home").join(name));
        }
        if self.listen {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        if self.command == DEV && !has_admin {
            // Its default is one address for all.
            command.args(["--admin-listen", "127.0.0.1:0"]);
        }
        command.envs(self.env);
        if let Some(dir) = self.dir {
            command.current_dir(dir);
        }
        command
    }

    fn spawn(self) -> Process {
        let mut command = self.into_command();
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the built binary starts");
        let stdout = Text::read(child.stdout.take().expect("piped"));
        let stderr = Text::read(child.stderr.take().expect("piped"));
        Process { child, stdout, stderr, exited: false }
    }

    /// Starts it and does not wait.
    pub(crate) fn begin(self) -> Pounce {
        Pounce { process: self.spawn(), addr: SocketAddr::from(([0, 0, 0, 0], 0)) }
    }

    /// Starts it and waits until it listens.
    pub(crate) async fn start(self) -> Pounce {
        let patience = self.patience;
        let mut process = self.spawn();
        let ready = |text: &Text| text.closed || text.whole.contains('\n');
        let wait = tokio::time::timeout(patience, process.stdout.wait_for(ready)).await;
        assert!(wait.is_ok(), "no ready line in {patience:?}");
        drop(wait);
        let line = process.stdout.borrow().whole.lines().next().unwrap_or_default().to_owned();
        let addr = ["http", "https"].iter().find_map(|scheme| {
            line.strip_prefix("listening on ")?.strip_prefix(scheme)?.strip_prefix("://")?.parse().ok()
        });
        let Some(addr) = addr else {
            let exit = process.exit().await;
            panic!("no ready line but {line:?}\n{exit}");
        };
        Pounce { process, addr }
    }

    /// Runs it to its end: for what it refuses.
    pub(crate) async fn run(self) -> Exit {
        self.spawn().exit().await
    }
}

/// A running server; killed when dropped.
pub(crate) struct Pounce {
    process: Process,
    addr: SocketAddr,
}

impl Pounce {
    /// Where it listens.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Where its admin listener is.
    pub(crate) async fn admin(&mut self) -> SocketAddr {
        let find = |text: &Text| {
            text.whole.lines().find_map(|line| line.strip_prefix("admin on http://")?.parse().ok())
        };
        let wait = self.process.stdout.wait_for(|text| text.closed || find(text).is_some());
        let text = super::within("the line of the admin listener", wait).await.expect("reader thread");
        find(&text).unwrap_or_else(|| panic!("no admin listener in {:?}", text.whole))
    }

    /// What `/status` of its admin listener says.
    pub(crate) async fn status(&mut self) -> Json {
        super::client::fetch_json(self.admin().await, "/status").await
    }

    /// Waits until so many requests are in flight, as its admin listener tells.
    pub(crate) async fn in_flight(&mut self, requests: u64) {
        super::eventually(&format!("{requests} requests to be in flight"), async || {
            self.status().await["limits"]["in_flight"]["used"] == requests
        })
        .await;
    }

    /// Sends SIGHUP, and waits until that reload is over; what `/status` says of reloads then.
    pub(crate) async fn reload(&mut self) -> Json {
        let over = |reload: &Json| reload["done"].as_u64().unwrap() + reload["failed"].as_u64().unwrap();
        let before = over(&self.status().await["reload"]);
        self.signal(rustix::process::Signal::HUP);
        let mut now = Json::Null;
        super::eventually("the reload", async || {
            now = self.status().await["reload"].clone();
            over(&now) > before
        })
        .await;
        now
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        self.process.signal(signal);
    }

    /// Asks it to drain, as a supervisor would.
    pub(crate) fn term(&self) {
        self.process.signal(rustix::process::Signal::TERM);
    }

    /// Asks it to drain, as Ctrl-C would.
    pub(crate) fn int(&self) {
        self.process.signal(rustix::process::Signal::INT);
    }

    /// Waits until one that has begun listens.
    pub(crate) async fn ready(&mut self) {
        let ready = |text: &Text| text.closed || text.whole.contains('\n');
        let wait = self.process.stdout.wait_for(ready);
        let text = within("the ready line", wait).await.expect("reader thread").whole.clone();
        let addr =
            text.lines().next().and_then(|line| line.strip_prefix("listening on http://")?.parse().ok());
        self.addr = addr.unwrap_or_else(|| panic!("no ready line in {text:?}"));
    }

    /// Waits until it has exited by itself.
    pub(crate) async fn wait(mut self) -> Exit {
        self.process.exit().await
    }

    /// Drains it and returns what it said.
    pub(crate) async fn stop(self) -> Exit {
        self.term();
        self.wait().await
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.process.child.id()
    }

    /// Waits until its stdout contains `part`.
    pub(crate) async fn said(&mut self, part: &str) {
        let wait = self.process.stdout.wait_for(|text| text.closed || text.whole.contains(part));
        let text = super::within("a line on stdout", wait).await.expect("reader thread");
        assert!(text.whole.contains(part), "{part:?} is not in {:?}", text.whole);
    }

    /// What it has written to stdout so far.
    pub(crate) fn stdout(&self) -> String {
        self.process.stdout.borrow().whole.clone()
    }

    /// Waits for a line on stderr that contains all of `parts`.
    pub(crate) async fn logged(&mut self, parts: &[&str]) -> String {
        let find = |text: &Text| {
            text.whole.lines().find(|line| parts.iter().all(|part| line.contains(part))).map(str::to_owned)
        };
        let wait = self.process.stderr.wait_for(|text| text.closed || find(text).is_some());
        let found = match tokio::time::timeout(PATIENCE, wait).await {
            Ok(text) => find(&text.expect("reader thread")),
            Err(_) => None,
        };
        found.unwrap_or_else(|| panic!("no line with {parts:?} on stderr"))
    }

    /// Resident memory in bytes.
    pub(crate) fn resident(&self) -> u64 {
        let status = self.proc("status");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a VmRSS line");
        let kib =
            line.split_whitespace().nth(1).and_then(|n| n.parse::<u64>().ok()).expect("a number of KiB");
        kib * 1024
    }

    /// What comes of a task, and the most memory in bytes that is resident meanwhile.
    pub(crate) async fn watched<T>(&self, mut task: tokio::task::JoinHandle<T>) -> (T, u64) {
        let mut peak = self.resident();
        loop {
            tokio::select! {
                done = &mut task => return (done.unwrap(), peak.max(self.resident())),
                () = tokio::time::sleep(Duration::from_millis(5)) => peak = peak.max(self.resident()),
            }
        }
    }

    /// Processor time that it has used.
    pub(crate) fn processor_time(&self) -> Duration {
        let stat = self.proc("stat");
        let fields = stat.rsplit(')').next().expect("the name in parentheses").split_whitespace();
        let ticks: u64 = fields.skip(11).take(2).map(|ticks| ticks.parse::<u64>().expect("a number")).sum();
        // The kernel reports in hundredths whatever its own tick is.
        Duration::from_millis(ticks * 10)
    }

    /// Names of its threads.
    pub(crate) fn threads(&self) -> Vec<String> {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.process.child.id())).expect("it runs");
        // A thread may end between the listing and the read.
        let name = |task: std::io::Result<std::fs::DirEntry>| {
            std::fs::read_to_string(task.ok()?.path().join("comm")).ok()
        };
        tasks.filter_map(name).map(|name| name.trim_end().to_owned()).collect()
    }

    /// Whether it still runs.
    pub(crate) fn is_alive(&mut self) -> bool {
        self.process.child.try_wait().expect("our child").is_none()
    }

    fn proc(&self, file: &str) -> String {
        std::fs::read_to_string(format!("/proc/{}/{file}", self.process.child.id())).expect("it runs")
    }
}

/// The child with what it prints.
struct Process {
    child: Child,
    stdout: watch::Receiver<Text>,
    stderr: watch::Receiver<Text>,
    exited: bool,
}

impl Process {
    fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).expect("it runs");
    }

    async fn exit(&mut self) -> Exit {
        // Both pipes close when the process ends, so that nothing has to poll for it.
        for pipe in [&mut self.stdout, &mut self.stderr] {
            within("waiting for pounce to exit", pipe.wait_for(|text| text.closed))
                .await
                .expect("reader thread");
        }
        let code = self.child.wait().expect("our child").code();
        self.exited = true;
        Exit { code, stdout: self.stdout.borrow().whole.clone(), stderr: self.stderr.borrow().whole.clone() }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.exited {
            self.child.kill().and_then(|()| self.child.wait()).expect("our child");
        }
        if std::thread::panicking() {
            println!("--- stderr of pounce\n{}---", self.stderr.borrow().whole);
        }
    }
}

/// What a pipe has given so far.
#[derive(Default)]
struct Text {
    whole: String,
    closed: bool,
}

impl Text {
    /// Reads `pipe` on a thread, so that the child never blocks on us.
    fn read(pipe: impl Read + Send + 'static) -> watch::Receiver<Text> {
        let (sender, receiver) = watch::channel(Text::default());
        std::thread::spawn(move || {
            let mut pipe = BufReader::new(pipe);
            let mut line = Vec::new();
            while pipe.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
                sender.send_modify(|text| text.whole.push_str(&String::from_utf8_lossy(&line)));
                line.clear();
            }
            sender.send_modify(|text| text.closed = true);
        });
        receiver
    }
}
