#!/usr/bin/env python3
"""Plays somebody who has never seen Pounce, from an empty folder to a mended guest, and reports how long each step took.

    scripts/newcomer.py [--screenshots DIR]      make newcomer

On a terminal of its own it writes a handler in Rust, starts `pounce dev --build …`, asks for a page, and finds its trace;
breaks the handler, and reads the cause; writes what does not compile, and is served on; mends it. Each step looks at what
a person would look at, and fails where that is not there. With --screenshots, Chromium takes pictures of the error page
and of the trace in light and dark.

Exit status: 0 all was as it should be, 1 something was not, 2 there is no toolchain for WebAssembly here. POUNCE names the
binary (default: target/debug/pounce). What guests/build.sh makes once for the machine is made before the time runs.
"""

import argparse
import http.client
import json
import os
import pathlib
import pty
import re
import select
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parent.parent
POUNCE = pathlib.Path(os.environ.get("POUNCE", ROOT / "target/debug/pounce")).resolve()
# Long enough that only a hang reaches it, on a loaded machine.
PATIENCE = 300

MANIFEST = """\
[package]
name = "shop"
version = "0.1.0"
edition = "2024"

[lib]
path = "src/lib.rs"
crate-type = ["cdylib"]

[dependencies]
wasip2 = "2.0.1"

[profile.dev]
panic = "abort"

[workspace]
"""

HANDLER = """\
use wasip2::http::types::{Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam};

struct Shop;

impl wasip2::exports::http::incoming_handler::Guest for Shop {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let path = request.path_with_query().unwrap_or_default();
        println!("asked for {path}");
        let price = price(&path);
        let response = OutgoingResponse::new(Fields::new());
        let body = response.body().expect("taken once");
        ResponseOutparam::set(out, Ok(response));
        let stream = body.write().expect("taken once");
        if stream.blocking_write_and_flush(price.as_bytes()).is_ok() {
            drop(stream);
            let _ = OutgoingBody::finish(body, None);
        }
    }
}

fn price(path: &str) -> String {
    let item = path.strip_prefix("/items/").unwrap_or("7");
    let number: u32 = BODY;
    format!("item {number} costs {} EUR\\n", number * 2)
}

wasip2::http::proxy::export!(Shop with_types_in wasip2);
"""
RIGHT = "item.parse().unwrap_or(7)"
BROKEN = 'item.parse().expect("an item is a number")'
UNFINISHED = "item.parse().unwrap_or(7"


def toolchain():
    """The command that builds the project into a component, with the tools that guests/build.sh uses."""
    sysroot = subprocess.run(["rustc", "--print", "sysroot"], capture_output=True, text=True, check=True).stdout.strip()
    if os.path.isdir(f"{sysroot}/lib/rustlib/wasm32-wasip2/lib"):
        return "cargo build --target wasm32-wasip2"
    linkers = sorted(pathlib.Path("/usr/lib").glob("llvm-*/bin/wasm-ld"))
    if not linkers or not os.path.isfile("/usr/lib/wasm32-wasi/libc.a"):
        print("no toolchain for WebAssembly on this machine: see `make setup`", file=sys.stderr)
        sys.exit(2)
    script = (
        "set -e; source scripts/tools.sh; wasm_tools >&2; echo $tool; wasi_adapter >&2; echo $tool; wasi_sysroot >&2; "
        "echo $tool"
    )
    found = subprocess.run(["bash", "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    tools, adapter, sysroot = found.stdout.split()
    module = "target/wasm32-wasip1/debug/shop.wasm"
    return (
        f"RUSTC={sysroot}/bin/rustc CARGO_TARGET_WASM32_WASIP1_LINKER={linkers[-1]} cargo build --target wasm32-wasip1 && "
        f"mkdir -p dist && {tools} component new {module} --adapt wasi_snapshot_preview1={adapter} -o dist/new && "
        "mv dist/new dist/shop.wasm"
    )


class Terminal:
    """Pounce on a terminal, and what it shows."""

    def __init__(self, command, folder):
        hands, line = pty.openpty()
        self.hands, self.screen = hands, ""
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "POUNCE_"))}
        environment["TERM"] = "xterm-256color"
        self.process = subprocess.Popen(
            command, cwd=folder, stdin=line, stdout=line, stderr=line, env=environment, start_new_session=True,
            preexec_fn=lambda: _take(0),
        )
        os.close(line)

    def read(self, seconds):
        """Takes what comes within this time."""
        if select.select([self.hands], [], [], seconds)[0]:
            try:
                self.screen += os.read(self.hands, 65536).decode(errors="replace")
            except OSError:
                pass

    def plain(self):
        """The screen without colours."""
        return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", self.screen).replace("\r", "")

    def wait(self, what, since=0):
        """Waits until the screen shows this, from a place on; what is found."""
        until = time.monotonic() + PATIENCE
        while True:
            found = re.search(what, self.plain()[since:])
            if found:
                return found
            if time.monotonic() > until or self.process.poll() is not None:
                fail(f"{what!r} is not on the terminal", self.plain())
            self.read(0.1)

    def type(self, keys):
        os.write(self.hands, keys.encode())


def _take(line):
    """Makes `line` the terminal of the new session."""
    import fcntl
    import termios

    fcntl.ioctl(line, termios.TIOCSCTTY, 0)


def fail(why, shown=""):
    print(f"FAILED: {why}\n{shown[-4000:]}", file=sys.stderr)
    sys.exit(1)


def get(url, accept="*/*"):
    """Status and body of what a browser gets."""
    target = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(target.netloc, timeout=PATIENCE)
    path = (target.path or "/") + (f"?{target.query}" if target.query else "")
    connection.request("GET", path, headers={"accept": accept})
    response = connection.getresponse()
    return response.status, response.read().decode(errors="replace")


def until(what, condition, terminal):
    """Waits until a condition holds, while the terminal is read; its value."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        terminal.read(0.05)
    fail(what, terminal.plain())


def span_of(admin, trace_id):
    """The span of a request, as the viewer has it."""
    _, body = get(f"{admin}/api/traces?trace_id={trace_id}")
    spans = [
        span
        for resource in json.loads(body)["resourceSpans"]
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
    ]
    return next((span for span in spans if span["kind"] == 2), None)


def pictures(folder, name, url):
    """Pictures of a page in light and dark."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not chromium:
        fail("--screenshots needs Chromium")
    for scheme, number in [("light", 1), ("dark", 0)]:
        picture = folder / f"{name}-{scheme}.png"
        subprocess.run(
            [
                chromium, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=1200,900",
                "--virtual-time-budget=3000", f"--blink-settings=preferredColorScheme={number}",
                f"--screenshot={picture}", url,
            ],
            check=True, capture_output=True, timeout=PATIENCE,
        )
        print(f"  picture {picture}")


def main():
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("--screenshots", type=pathlib.Path)
    arguments = arguments.parse_args()
    if not POUNCE.exists():
        fail(f"there is no {POUNCE}: cargo build")
    command = toolchain()
    with tempfile.TemporaryDirectory() as folder:
        play(pathlib.Path(folder), command, arguments.screenshots)


def play(folder, command, screenshots):
    started = last = time.monotonic()
    times = []

    def done(what):
        nonlocal last
        now = time.monotonic()
        times.append((what, now - last))
        print(f"{now - last:7.1f} s  {what}", flush=True)
        last = now

    def write(body):
        (folder / "src").mkdir(exist_ok=True)
        (folder / "src/lib.rs").write_text(HANDLER.replace("BODY", body))

    (folder / "Cargo.toml").write_text(MANIFEST)
    write(RIGHT)
    terminal = Terminal(
        [POUNCE, "dev", "--build", command, "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"], folder
    )
    try:
        url = terminal.wait(r"listening on (http://\S+)\n").group(1)
        admin = terminal.wait(r"admin on (http://\S+)\n").group(1)
        terminal.wait(r"keys: r rebuild")
        done("an empty folder is served")

        status, body = get(f"{url}/items/21")
        if (status, body) != (200, "item 21 costs 42 EUR\n"):
            fail(f"the first answer is {status} {body}", terminal.plain())
        line = terminal.wait(r"GET  /items/21 +200 +\S+ \S+  ([0-9a-f]{32})")
        trace_id = line.group(1)
        terminal.wait(rf"{trace_id[:8]} │ asked for /items/21")
        span = span_of(admin, trace_id)
        if span is None or span["name"] != "GET /items/21":
            fail(f"no trace {trace_id} but {span}")
        status, page = get(f"{admin}/traces/{trace_id}", "text/html")
        if status != 200 or "<html" not in page:
            fail(f"the viewer answers {status}", page)
        done("the request is on the terminal and its trace in the viewer")
        if screenshots:
            screenshots.mkdir(parents=True, exist_ok=True)
            pictures(screenshots, "trace", f"{admin}/traces/{trace_id}")
            last = time.monotonic()

        write(BROKEN)
        broken = f"{url}/items/seven"
        until("the broken guest is not served", lambda: get(broken)[0] == 500, terminal)
        done("a mistake is built and served")
        status, page = get(broken, "text/html,*/*;q=0.8")
        lines = HANDLER.replace("BODY", BROKEN).splitlines()
        number = 1 + next(at for at, line in enumerate(lines) if BROKEN in line)
        for part in ["an item is a number", "Backtrace of the guest", "shop::price", f"src/lib.rs:{number}", "asked for /items/seven"]:
            if part not in page:
                fail(f"{part!r} is not on the error page", page)
        link = re.search(r'<a href="(http://[^"]+/traces/([0-9a-f]{32}))"', page)
        if not link or get(link.group(1), "text/html")[0] != 200:
            fail("the error page does not lead to the trace", page)
        span = span_of(admin, link.group(2))
        exceptions = [event for event in span["events"] if event["name"] == "exception"]
        if "an item is a number" not in json.dumps(exceptions):
            fail(f"the trace does not say why: {span}")
        terminal.wait(r"warning: .*\n +an item is a number")
        done("the error page, the trace and the terminal say why, and on which line")
        if screenshots:
            (folder / "error.html").write_text(page)
            pictures(screenshots, "error", broken)
            pictures(screenshots, "failed-trace", link.group(1))
            last = time.monotonic()

        seen = len(terminal.plain())
        write(UNFINISHED)
        terminal.wait(r"error: .*the build failed", seen)
        if get(broken)[0] != 500 or "A newer component is not served" not in get(broken)[1]:
            fail("the last good build is not served on", terminal.plain())
        done("what does not compile is said, and the last good build is served on")

        write(RIGHT)
        until("the mended guest is not served", lambda: get(broken)[0] == 200, terminal)
        done("it is mended and served")
        terminal.type("q")
        terminal.wait(r"stopped")
        status = terminal.process.wait(PATIENCE)
        if status != 0:
            fail(f"it ended with exit status {status}", terminal.plain())
    finally:
        if terminal.process.poll() is None:
            terminal.process.terminate()
            terminal.process.wait(PATIENCE)
    print(f"{time.monotonic() - started:7.1f} s  in all")


if __name__ == "__main__":
    main()
