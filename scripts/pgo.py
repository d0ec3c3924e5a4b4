#!/usr/bin/env python3
"""Makes the profile by which a release is optimised (PGO): how often each branch of Pounce is gone while it serves.

    scripts/pgo.py [--binary FILE] [--out FILE]      make profile

Builds Pounce as it is released, but so that it counts (a quarter of an hour of two processors), puts load on it, and merges
the counts into target/profile/pounce.profdata. `make dist` takes that file, and makes it first where it is missing. With one and the same file
a build is reproducible, so it is kept with what is released.

The load is what servers do: both versions of wasi:http, fresh and reused instances, bodies, guests in JavaScript, calls to
another server, guests' own spans, HTTP/1.1, HTTP/2 and TLS; with telemetry mostly, and without. Compiling the components
is counted as well.

    --binary FILE  counts in this binary in place of building one
    --out FILE     where the profile goes

Needs wrk, h2load and openssl (Debian: apt-get install wrk nghttp2-client openssl), guests/build (make guests,
guests/foreign.sh), and llvm-profdata of the compiler's own version (rustup component add llvm-tools).
"""

import argparse
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

from release_build import PROFILE, ROOT, build, host, said

GUESTS = ROOT / "guests/build"
SECONDS = 4
PARENT = "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

TRACED = ["--otel-endpoint", "http://127.0.0.1:SINK"]
REUSED = ["--isolation", "instance", "--reuse", "1000"]
ADMIN = ["--admin-listen", "127.0.0.1:0"]
TLS = ["--tls-cert", "WORK/cert.pem", "--tls-key", "WORK/key.pem"]
CALLS = ["--allow-outbound", "127.0.0.1:ORIGIN"]

# Component, its options, and the loads on it: a path, and bytes to POST.
SERVERS = [
    ("hello", TRACED, [("wrk", "/", 0), ("h2", "/a/path?with=query", 0)]),
    ("hello", [*TRACED, *REUSED], [("wrk", "/a/path?with=query", 0)]),
    ("hello", [*TRACED, "--otel-sample", "0.01"], [("wrk", "/", 0)]),
    ("hello", [], [("wrk", "/", 0)]),
    ("hello-p3", TRACED, [("wrk", "/", 0), ("h2", "/a/path?with=query", 0)]),
    ("hello-p3", [*TRACED, *ADMIN], [("wrk", "/a/path?with=query", 0)]),
    ("hello-p3", [], [("wrk", "/", 0)]),
    ("echo", TRACED, [("wrk", "/", 16 << 10), ("wrk", "/", 1 << 20), ("h2", "/", 16 << 10)]),
    ("echo-p3", TRACED, [("wrk", "/", 16 << 10), ("wrk", "/", 1 << 20), ("h2", "/", 16 << 10)]),
    ("hello-js", TRACED, [("wrk", "/", 0)]),
    ("hello-small", [*TRACED, *TLS], [("tls", "/", 0)]),
    ("calls", [*TRACED, *CALLS], [("wrk", "/?url=http://127.0.0.1:ORIGIN/", 0)]),
    ("calls-p3", [*TRACED, *CALLS], [("wrk", "/?url=http://127.0.0.1:ORIGIN/", 0)]),
    ("traced", TRACED, [("wrk", "/layer", 0)]),
    ("traced-p3", [*TRACED, *ADMIN], [("wrk", "/layer", 0)]),
]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", type=pathlib.Path)
    parser.add_argument("--out", type=pathlib.Path, default=PROFILE)
    arguments = parser.parse_args()
    for tool, package in (("wrk", "wrk"), ("h2load", "nghttp2-client"), ("openssl", "openssl")):
        if not shutil.which(tool):
            sys.exit(f"pgo: {tool} is missing (Debian: apt-get install {package})")
    merge = llvm_profdata()
    missing = [guest for guest, *_ in SERVERS if not (GUESTS / f"{guest}.wasm").is_file()]
    if missing:
        sys.exit(f"pgo: there is no {missing[0]}.wasm in guests/build: make guests, then guests/foreign.sh")
    # Where it is told nothing else it writes its counts there, and not where it is started.
    folder = ROOT / "target/profile/build"
    binary = arguments.binary or build(f"-Cprofile-generate={folder}", folder)
    with tempfile.TemporaryDirectory(prefix="pounce-profile.") as folder:
        work = pathlib.Path(folder)
        Load(binary, work).run()
        counts = sorted((work / "counts").glob("*.profraw"))
        if not counts:
            sys.exit(f"pgo: {binary} has written no counts: it is not built with -Cprofile-generate, or did not end by itself")
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run([merge, "merge", "--sparse", f"--output={arguments.out}", *counts], check=True)
    print(f"{arguments.out}: {arguments.out.stat().st_size / 2**20:.1f} MiB")


def llvm_profdata():
    tool = pathlib.Path(said("rustc", "--print", "sysroot").strip()) / "lib/rustlib" / host() / "bin/llvm-profdata"
    if not tool.is_file():
        sys.exit("pgo: llvm-profdata is missing: rustup component add llvm-tools")
    return tool


class Load:
    """Serves each component in turn, and loads it."""

    def __init__(self, binary, work):
        self.binary, self.work = binary, work
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "POUNCE_", "RUST_"))}
        folders = {name: str(work / name) for name in ("XDG_CACHE_HOME", "XDG_DATA_HOME")}
        self.env = {**kept, **folders, "LLVM_PROFILE_FILE": str(work / "counts/%p-%m.profraw")}
        self.ports = {"SINK": free_port(), "ORIGIN": free_port()}
        # What is thrown away is what the receiver and the origin are for.
        self.elsewhere = {**self.env, "LLVM_PROFILE_FILE": str(work / "elsewhere/%p.profraw")}

    def run(self):
        subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", self.work / "key.pem"]
        request = ["openssl", "req", "-x509", *key, *subject, "-days", "2", "-out", self.work / "cert.pem"]
        subprocess.run(request, check=True, stderr=subprocess.DEVNULL)
        sink = subprocess.Popen([sys.executable, ROOT / "benches/serve.py", "--sink", str(self.ports["SINK"])])
        origin = self.serve("hello", [], self.ports["ORIGIN"], self.elsewhere)
        try:
            for guest, options, loads in SERVERS:
                port = free_port()
                server = self.serve(guest, options, port, self.env)
                for kind, path, size in loads:
                    print(f"{guest} {' '.join(options)}: {kind} {path} {size or ''}", flush=True)
                    self.load(kind, port, self.name(path), size)
                # Counts are written at a server's end.
                server.send_signal(signal.SIGTERM)
                if server.wait(60) != 0:
                    sys.exit(f"pgo: the server of {guest} ended with {server.returncode}")
        finally:
            for process in (sink, origin):
                process.kill()
                process.wait()

    def name(self, text):
        return re.sub(r"\b(SINK|ORIGIN)\b", lambda found: str(self.ports[found[0]]), text).replace("WORK", str(self.work))

    def serve(self, guest, options, port, env):
        command = [self.binary, "serve", GUESTS / f"{guest}.wasm", "--listen", f"127.0.0.1:{port}", "--log-level", "error"]
        process = subprocess.Popen([*command, *map(self.name, options)], env=env, stdout=subprocess.DEVNULL)
        while process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return process
            time.sleep(0.05)
        sys.exit(f"pgo: the server of {guest} ended with {process.returncode}")

    def load(self, kind, port, path, size):
        url = f"{'https' if kind == 'tls' else 'http'}://127.0.0.1:{port}{path}"
        if kind == "wrk":
            script = self.work / "load.lua"
            script.write_text(f'wrk.method = "POST"\nwrk.body = string.rep("x", {size})\n' if size else "")
            command = ["wrk", "-t1", "-c16", f"-d{SECONDS}s", "-s", script, "-H", PARENT, url]
        else:
            body = self.work / "body"
            body.write_bytes(b"x" * size)
            posted = ["-d", body] if size else []
            command = ["h2load", "-t1", "-c4", "-m8", f"--duration={SECONDS}", "-H", PARENT, *posted, url]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode != 0 or "Non-2xx" in done.stdout or " 0 2xx" in done.stdout:
            sys.exit(f"pgo: the load failed: {done.stdout}")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


main()
