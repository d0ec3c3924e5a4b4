#!/usr/bin/env python3
"""Plays somebody who writes a first guest, in each language, and reports how long each step took.

    scripts/kits.py [rust|js|python …]      make kits

From an empty folder: `pounce new`, the language's own tools, `pounce dev`, a request, its trace, `pounce test`; then the
trace is broken, and the test has to say where. Each step looks at what a person would look at, and fails where that is not
there.

    --cached     takes the tools from the cache of scripts/tools.sh in place of installing them, as CI does
    --target DIR where Cargo builds (an empty folder, unless given)
    --home DIR   where Pounce keeps compiled components (an empty folder, unless given)

Exit status: 0 all was as it should be, 1 something was not, 2 a toolchain is missing. POUNCE names the binary (default:
target/debug/pounce).
"""

import argparse
import http.client
import http.server
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parent.parent
POUNCE = pathlib.Path(os.environ.get("POUNCE", ROOT / "target/debug/pounce")).resolve()
# Long enough that only a hang reaches it, on a loaded machine.
PATIENCE = 600
NAME = "first-guest"
# What a slip makes of the attribute.
RIGHT, WRONG = "hello.name", "hello.nmae"


def fail(why, shown=""):
    print(f"FAILED: {why}\n{shown[-6000:]}", file=sys.stderr)
    sys.exit(1)


def tools(*functions):
    """Where functions of scripts/tools.sh leave their tools."""
    script = "set -e; source scripts/tools.sh; " + " ".join(f"{name} >&2; echo $tool;" for name in functions)
    found = subprocess.run(["bash", "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    if found.returncode != 0:
        print(f"{', '.join(functions)}: not on this machine; see `make setup`", file=sys.stderr)
        sys.exit(2)
    return found.stdout.split()


class Rust:
    source = "src/lib.rs"
    component = "target/wasm32-wasip2/release/first_guest.wasm"

    def __init__(self, options):
        self.environment = {}
        if options.target:
            self.environment["CARGO_TARGET_DIR"] = str(options.target)

    def install(self, folder, cached):
        pass

    def commands(self, folder):
        """What builds the component where the project says it is."""
        sysroot = subprocess.run(["rustc", "--print", "sysroot"], capture_output=True, text=True, check=True).stdout.strip()
        target = pathlib.Path(self.environment.get("CARGO_TARGET_DIR", folder / "target"))
        if os.path.isdir(f"{sysroot}/lib/rustlib/wasm32-wasip2/lib"):
            yield ["cargo", "build", "--release"]
            built = target / "wasm32-wasip2/release/first_guest.wasm"
        else:
            # The way round of guests/build.sh.
            linkers = sorted(pathlib.Path("/usr/lib").glob("llvm-*/bin/wasm-ld"))
            if not linkers or not os.path.isfile("/usr/lib/wasm32-wasi/libc.a"):
                print("no toolchain for WebAssembly on this machine: see `make setup`", file=sys.stderr)
                sys.exit(2)
            wasm_tools, adapter, sysroot = tools("wasm_tools", "wasi_adapter", "wasi_sysroot")
            flags = re.search(r"rustflags = (\[.*\])", (folder / ".cargo/config.toml").read_text()).group(1)
            self.environment |= {
                "RUSTC": f"{sysroot}/bin/rustc",
                "CARGO_TARGET_WASM32_WASIP1_LINKER": str(linkers[-1]),
                "CARGO_TARGET_WASM32_WASIP1_RUSTFLAGS": " ".join(json.loads(flags)),
            }
            yield ["cargo", "build", "--release", "--target", "wasm32-wasip1"]
            built = target / "component.wasm"
            module = target / "wasm32-wasip1/release/first_guest.wasm"
            yield [
                wasm_tools, "component", "new", str(module), "--adapt", f"wasi_snapshot_preview1={adapter}", "-o", str(built),
            ]
        expected = folder / self.component
        if built != expected:
            expected.parent.mkdir(parents=True, exist_ok=True)
            yield ["cp", str(built), str(expected)]


class JavaScript:
    source = "src/app.js"
    component = f"dist/{NAME}.wasm"

    def __init__(self, options):
        self.environment = {}

    def install(self, folder, cached):
        if not cached:
            return run(["npm", "install", "--no-fund", "--no-audit", "--loglevel=error"], folder, {})
        # What npm makes of a dependency that is a folder; everything else is in the cache.
        (folder / "node_modules").mkdir()
        (folder / "node_modules/pounce-guest").symlink_to("../pounce-guest")
        tool, viewer = tools("componentize_js", "viewer_packages")
        self.environment["PATH"] = f"{pathlib.Path(tool).parent}:{os.environ['PATH']}"
        # As the author of a guest in TypeScript sees the SDK.
        shutil.copy(ROOT / "guests/js/sdk/types.ts", folder / "src")
        options = "--noEmit --strict --lib es2022,dom --target es2022 --module esnext --moduleResolution bundler"
        run([f"{viewer}/.bin/tsc", *options.split(), "src/types.ts"], folder, {})
        (folder / "src/types.ts").unlink()

    def commands(self, folder):
        yield ["npm", "run", "--silent", "build"]


class Python:
    source = "app.py"
    component = f"{NAME}.wasm"

    def __init__(self, options):
        self.environment = {}

    def install(self, folder, cached):
        if cached:
            tool, = tools("componentize_py")
            programs = pathlib.Path(tool).parent
        else:
            run([sys.executable, "-m", "venv", ".venv"], folder, {})
            programs = folder / ".venv/bin"
            run([programs / "pip", "install", "--quiet", "-r", "requirements.txt"], folder, {})
        self.environment["PATH"] = f"{programs}:{os.environ['PATH']}"

    def commands(self, folder):
        # As the README has it.
        command = re.search(r"pounce dev --build '(componentize-py [^']+)'", (folder / "README.md").read_text())
        yield command.group(1).split()


LANGUAGES = {"rust": Rust, "js": JavaScript, "python": Python}


def run(command, folder, environment, status=0):
    """Runs a command to its end; all that it printed."""
    done = subprocess.run(
        command, cwd=folder, env=clean() | environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        timeout=PATIENCE,
    )
    if done.returncode != status:
        shown = " ".join(map(str, command))
        fail(f"`{shown}` ended with {done.returncode}, not {status}", done.stdout)
    return done.stdout


def clean():
    return {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "POUNCE_", "CARGO_TARGET_"))}


class Backend(http.server.ThreadingHTTPServer):
    """What the guest calls; keeps the trace context that it is given."""

    def __init__(self):
        parents = self.parents = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                parents.append(self.headers.get("traceparent"))
                self.send_response(203)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *arguments):
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}/"
        threading.Thread(target=self.serve_forever, daemon=True).start()


def get(url):
    target = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(target.netloc, timeout=PATIENCE)
    connection.request("GET", target.path + (f"?{target.query}" if target.query else ""))
    response = connection.getresponse()
    return response.status, response.read().decode(errors="replace")


class Server:
    """`pounce dev` in the project, which finds the component by itself."""

    def __init__(self, folder, home, backend):
        self.said = ""
        command = [POUNCE, "dev", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--env", f"BACKEND_URL={backend}"]
        self.process = subprocess.Popen(
            command, cwd=folder, env=clean() | home, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True,
        )
        self.lines = threading.Thread(target=self.read, daemon=True)
        self.lines.start()

    def read(self):
        for line in self.process.stdout:
            self.said += line

    def wait(self, pattern):
        until = time.monotonic() + PATIENCE
        while True:
            if found := re.search(pattern, self.said):
                return found.group(1)
            if time.monotonic() > until or self.process.poll() is not None:
                fail(f"{pattern!r} is not said by pounce dev", self.said)
            time.sleep(0.05)

    def stop(self):
        self.process.terminate()
        if self.process.wait(PATIENCE) != 0:
            fail(f"pounce dev ended with {self.process.returncode}", self.said)
        self.lines.join()


def tree(admin):
    """The spans of the only trace, by name: kind, name of the parent, attributes."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        status, body = get(f"{admin}/api/traces")
        spans = [
            span
            for resource in json.loads(body)["resourceSpans"]
            for scope in resource["scopeSpans"]
            for span in scope["spans"]
        ]
        if len(spans) >= 3:
            names = {span["spanId"]: span["name"] for span in spans}
            return {
                span["name"]: {
                    "kind": span["kind"],
                    "parent": names.get(span.get("parentSpanId")),
                    "id": span["spanId"],
                    "attributes": {one["key"]: next(iter(one["value"].values())) for one in span["attributes"]},
                    "events": [event["name"] for event in span.get("events", [])],
                }
                for span in spans
            }
        time.sleep(0.05)
    fail("the trace has fewer than three spans", body)


def look(admin, backend):
    """The trace has everything that the kit promises."""
    spans = tree(admin)
    shape = {name: (span["kind"], span["parent"]) for name, span in spans.items()}
    expected = {
        "GET /hello/{name}": (2, None),
        "ask the backend": (1, "GET /hello/{name}"),
        "GET": (3, "ask the backend"),
    }
    if shape != expected:
        fail(f"the trace is {shape}, not {expected}")
    server = spans["GET /hello/{name}"]["attributes"]
    if (server.get("hello.name"), server.get("http.route")) != ("world", "/hello/{name}"):
        fail(f"the request's span has {server}")
    if spans["ask the backend"]["events"] != ["answered"]:
        fail(f"the guest's own span has {spans['ask the backend']}")
    [parent] = backend.parents
    if spans["GET"]["id"] not in (parent or ""):
        fail(f"the backend was given {parent}, not a child of {spans['GET']['id']}")


def play(language, folder, options, home):
    print(f"{language}", flush=True)
    started = last = time.monotonic()

    def done(what):
        nonlocal last
        now = time.monotonic()
        print(f"{now - last:7.1f} s  {what}", flush=True)
        last = now

    run([POUNCE, "new", NAME, "--lang", language], folder, home)
    project = folder / NAME
    kit = LANGUAGES[language](options)
    done("pounce new")
    kit.install(project, options.cached)
    done("its tools are there")

    def build():
        for command in kit.commands(project):
            run(command, project, kit.environment)

    build()
    done("it is built")

    backend = Backend()
    server = Server(project, home, backend.url)
    try:
        url = server.wait(r"listening on (http://[^\s\"]+)")
        admin = server.wait(r"admin on (http://[^\s\"]+)")
        done("it is served (once: compiled)")
        answer = get(f"{url}/hello/world")
        if answer != (200, "Hello, world! The backend says 203.\n"):
            fail(f"the answer is {answer}", server.said)
        look(admin, backend)
        done("its trace has the route, the attribute, the span and the call")
    finally:
        server.stop()
        backend.shutdown()

    # As the README has it.
    command = re.search(r"^pounce (test .*)$", (project / "README.md").read_text(), re.MULTILINE).group(1).split()
    said = run([POUNCE, *command], project, home)
    if "3 cases passed" not in said:
        fail("the test does not say that all cases passed", said)
    done("its test passes")

    source = project / kit.source
    source.write_text(source.read_text().replace(RIGHT, WRONG))
    build()
    done("its trace is broken, and built")
    said = run([POUNCE, *command], project, home, status=1)
    # In the tree, below the span that lacks it.
    if not re.search(rf'FAIL greets.*\n(.*\n)*? +- +"{RIGHT}" = "world"', said) or "1 of 3 cases failed" not in said:
        fail("the test does not say where", said)
    done("its test says where")
    print(f"{time.monotonic() - started:7.1f} s  in all", flush=True)


def main():
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("languages", nargs="*", choices=[[], *LANGUAGES], metavar="LANG")
    arguments.add_argument("--cached", action="store_true")
    arguments.add_argument("--target", type=pathlib.Path)
    arguments.add_argument("--home", type=pathlib.Path)
    options = arguments.parse_args()
    if not POUNCE.exists():
        fail(f"there is no {POUNCE}: cargo build")
    for language in options.languages or LANGUAGES:
        with tempfile.TemporaryDirectory() as folder:
            kept = options.home or pathlib.Path(folder) / "home"
            home = {name: str(kept / name) for name in ["XDG_CACHE_HOME", "XDG_DATA_HOME"]}
            (pathlib.Path(folder) / "work").mkdir()
            play(language, pathlib.Path(folder) / "work", options, home)


if __name__ == "__main__":
    main()
