#!/usr/bin/env bash
# Runs the test suite of W3C Trace Context against the real binary, whose guest `relay` makes the calls that it asks for:
#
#     scripts/w3c.sh SUITE      make w3c SUITE=…
#
# SUITE is a checkout of https://github.com/w3c/trace-context. Once for each version of wasi:http; exit status 0 if no test
# failed in either, 2 if there is no suite. POUNCE names the binary (default: target/debug/pounce), COMMAND what serves the
# guest: serve (the default) or dev. The suite needs aiohttp,
# which is installed into target/w3c if Python does not have it; STRICT_LEVEL and SPEC_LEVEL are the suite's own variables.
set -euo pipefail

[ $# -eq 1 ] && [ -f "$1/test/test.py" ] || {
    echo "${1:-no suite}: no test/test.py; name a checkout of https://github.com/w3c/trace-context" >&2
    exit 2
}
suite=$(cd "$1/test" && pwd)
# The newest specification, and nothing of it left out.
export STRICT_LEVEL=${STRICT_LEVEL:-2} SPEC_LEVEL=${SPEC_LEVEL:-2}
cd "$(dirname "$0")/.."
pounce=${POUNCE:-target/debug/pounce}

python=python3
if ! python3 -c 'import aiohttp' 2>/dev/null; then
    python=$PWD/target/w3c/bin/python
    [ -x "$python" ] || python3 -m venv target/w3c
    "$python" -c 'import aiohttp' 2>/dev/null || "$python" -m pip install --quiet aiohttp
fi

said=$(mktemp -d)
trap 'kill "${server:-}" 2>/dev/null || true; rm -rf "$said"' EXIT

# Serves the guest and runs the suite against it.
run() {
    mkfifo "$said/address"
    # Traces go to standard error as trees: the suite only looks at what the guest's calls carry.
    "$pounce" "${COMMAND:-serve}" "guests/build/$1.wasm" --listen 127.0.0.1:0 --admin-listen 127.0.0.1:0 \
        --allow-outbound 'http://127.0.0.1:*' \
        --otel-exporter console >"$said/address" 2>"$said/log" &
    server=$!
    local line
    exec 3<"$said/address"
    read -r line <&3 || { cat "$said/log" >&2; return 1; }
    rm "$said/address"
    echo "== $1, pounce ${COMMAND:-serve}: ${line#listening on }"
    local failed=0
    (cd "$suite" && HARNESS_HOST=127.0.0.1 PYTHONDONTWRITEBYTECODE=1 "$python" test.py "${line#listening on }/") || failed=1
    kill "$server"
    wait "$server" || true
    return $failed
}

status=0
run relay || status=1
run relay-p3 || status=1
exit $status
