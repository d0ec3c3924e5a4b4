#!/usr/bin/env bash
# benches/serve.sh: requests per second of the hello guests, server and load on separate processors, interleaved rounds,
# medians, and each as a ratio to hyper alone and to `wasmtime serve` at equal reuse.
#
# Needs wrk (Debian: apt-get install wrk), taskset and at least two processors. WASMTIME names a wasmtime binary; without
# it, and without one on the PATH, that comparison is left out. ROUNDS (5) and SECONDS_EACH (4) set the length.
set -euo pipefail
cd "$(dirname "$0")/.."

rounds=${ROUNDS:-5}
seconds=${SECONDS_EACH:-4}
connections=${CONNECTIONS:-32}
work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$work"' EXIT

command -v wrk >/dev/null || { echo "bench: wrk is missing; apt-get install wrk" >&2; exit 1; }
cargo build --release --quiet --bin pounce --example bare_hyper
[ -f guests/build/hello-p3.wasm ] || guests/build.sh
wasmtime=${WASMTIME:-$(command -v wasmtime || true)}

pounce=target/release/pounce
p2=guests/build/hello.wasm
p3=guests/build/hello-p3.wasm
port=28100

# A receiver that takes everything at once: what is measured is the server's part.
sink_port=28099
python3 - "$sink_port" <<'PY' &
import http.server, socketserver, sys
class Sink(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.send_response(200); self.send_header("content-length", "0"); self.end_headers()
    def log_message(self, *_): pass
class Server(socketserver.ThreadingMixIn, http.server.HTTPServer): daemon_threads = True
Server(("127.0.0.1", int(sys.argv[1])), Sink).serve_forever()
PY
traced=(--otel-endpoint "http://127.0.0.1:$sink_port")

declare -A commands
names=()
add() { names+=("$1"); commands[$1]=$2; }
add hyper "target/release/examples/bare_hyper 127.0.0.1:PORT"
add p2-fresh "$pounce serve $p2 --listen 127.0.0.1:PORT --log-level error"
add p2-fresh-traced "$pounce serve $p2 --listen 127.0.0.1:PORT --log-level error ${traced[*]}"
add p2-reuse-traced "$pounce serve $p2 --listen 127.0.0.1:PORT --log-level error --isolation instance --reuse 1000 ${traced[*]}"
add p3 "$pounce serve $p3 --listen 127.0.0.1:PORT --log-level error"
add p3-traced "$pounce serve $p3 --listen 127.0.0.1:PORT --log-level error ${traced[*]}"
if [ -n "$wasmtime" ]; then
  add wasmtime-p2-fresh "$wasmtime serve -Scli --addr 127.0.0.1:PORT $p2"
  add wasmtime-p2-reuse "$wasmtime serve -Scli --max-instance-reuse-count 1000 --addr 127.0.0.1:PORT $p2"
  add wasmtime-p3 "$wasmtime serve -Scli -Sp3 -Wcomponent-model-async --addr 127.0.0.1:PORT $p3"
fi

run_one() { # name → requests per second
  local server
  port=$((port + 1))
  # shellcheck disable=SC2086
  taskset -c 0 ${commands[$1]//PORT/$port} >/dev/null 2>"$work/$1.err" &
  server=$!
  for _ in $(seq 200); do (: </dev/tcp/127.0.0.1/$port) 2>/dev/null && break; sleep 0.05; done
  taskset -c 1 wrk -t1 -c"$connections" -d1s "http://127.0.0.1:$port/" >/dev/null
  taskset -c 1 wrk -t1 -c"$connections" -d"${seconds}s" "http://127.0.0.1:$port/" >"$work/out"
  kill "$server" 2>/dev/null || true
  wait "$server" 2>/dev/null || true
  grep -q 'Non-2xx' "$work/out" && echo "bench: $1 failed some requests" >&2
  awk '/Requests\/sec/{print $2}' "$work/out"
}

for round in $(seq "$rounds"); do
  for name in "${names[@]}"; do
    run_one "$name" >>"$work/$name.rps"
  done
  echo "round $round of $rounds" >&2
done

median() { sort -n "$work/$1.rps" | awk '{v[NR]=$1} END{print (NR%2)?v[(NR+1)/2]:(v[NR/2]+v[NR/2+1])/2}'; }
hyper=$(median hyper)
printf '%-20s %10s %8s\n' server 'median/s' 'of hyper'
for name in "${names[@]}"; do
  m=$(median "$name")
  printf '%-20s %10.0f %8.2f\n' "$name" "$m" "$(awk "BEGIN{print $m/$hyper}")"
done
ratio() { printf '%s: %.2f\n' "$1" "$(awk "BEGIN{print $(median "$2")/$(median "$3")}")"; }
ratio 'cost of tracing, 0.2 fresh (traced / not)' p2-fresh-traced p2-fresh
ratio 'cost of tracing, 0.3 (traced / not)' p3-traced p3
if [ -n "$wasmtime" ]; then
  ratio '0.2 fresh, traced, to wasmtime serve' p2-fresh-traced wasmtime-p2-fresh
  ratio '0.2 reused, traced, to wasmtime serve' p2-reuse-traced wasmtime-p2-reuse
  ratio '0.3, traced, to wasmtime serve' p3-traced wasmtime-p3
fi
