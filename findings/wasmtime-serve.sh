#!/usr/bin/env bash
# What `wasmtime serve` does where docs/comparison.md compares it with Pounce.
#
# Of the version that scripts/tools.sh pins: an outgoing call carries no trace context, and may go to loopback; a guest
# that traps in its stream leaves a response that looks whole; SIGTERM cuts the request in flight; HTTP/2 is not spoken.
source "$(dirname "$0")/common.sh"

guests=$repository/guests/build
[ -f "$guests/bodies.wasm" ] || "$repository/guests/build.sh"

# Says what it was asked.
cat >"$work/origin.py" <<'PYTHON'
import http.server, sys
class Origin(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        print("traceparent:", self.headers.get("traceparent", "none"), flush=True)
        self.send_response(204)
        self.end_headers()
    def log_message(self, *_): pass
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Origin).serve_forever()
PYTHON
free_ports 1
origin=http://127.0.0.1:${ports[0]}/
python3 "$work/origin.py" "${ports[0]}" >"$work/asked" &
children+=($!)

for version in bodies bodies-p3; do
  serve "$guests/$version.wasm" -Sp3,http -Wcomponent-model-async
  traceparent=00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01
  said=$(get "/?pass=$origin" -H "traceparent: $traceparent" --output /dev/null --write-out '%{http_code}')
  expect "$version: an outgoing call to loopback" "$said" 204
  expect "$version: its trace context" "$(tail -1 "$work/asked")" "traceparent: none"
done

for version in trap trap-p3; do
  serve "$guests/$version.wasm" -Sp3,http -Wcomponent-model-async
  status=0
  code=$(get /after-head --output /dev/null --write-out '%{http_code}') || status=$?
  expect "$version: a trap after the head, as curl sees it" "$code, exit status $status" "200, exit status 0"
done

serve "$guests/hello.wasm"
status=0
get / --http2-prior-knowledge >/dev/null 2>&1 || status=$?
[ "$status" = 0 ] && spoken=yes || spoken=no
expect "HTTP/2" "$spoken" no

serve "$guests/slow.wasm"
(
  status=0
  get '/?ms=3000' >/dev/null || status=$?
  echo "$status" >"$work/cut"
) &
asked=$!
sleep 1
kill -TERM "${children[-1]}"
wait "$asked"
expect "curl's exit status for a request that SIGTERM meets" "$(cat "$work/cut")" 52
