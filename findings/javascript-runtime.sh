#!/usr/bin/env bash
# What the runtime of a JavaScript component lacks, or does otherwise than a browser or Node.
#
# componentize-js 0.23.0 (StarlingMonkey): the names below are not there; `fetch` follows no redirects, decodes no gzip,
# resolves relative URLs against the incoming request's, and tells no reasons; a stream of strings is an empty body; a timer
# that nothing waits for never fires once the response is done; a stream's `cancel` is not called when its client leaves;
# `performance.timeOrigin` is no Unix time; a variable of the environment is not to be seen.
source "$(dirname "$0")/common.sh"

componentize_js
cat >"$work/app.js" <<'JAVASCRIPT'
addEventListener("fetch", (event) => event.respondWith(answer(event)));

const globals = [
  "process", "Buffer", "require", "navigator", "URLPattern", "Intl", "WebAssembly", "WebSocket", "caches", "TextDecoderStream",
];

async function answer(event) {
  const url = new URL(event.request.url);
  const there = url.searchParams.get("there");
  const encoder = new TextEncoder();
  switch (url.pathname) {
    case "/globals":
      return new Response(globals.filter((name) => typeof globalThis[name] === "undefined").join(" "));
    case "/methods":
      return new Response(
        Object.entries({
          "Response.error": Response.error,
          "Response.prototype.clone": Response.prototype.clone,
          "Response.prototype.bytes": Response.prototype.bytes,
          "ReadableStream.from": ReadableStream.from,
          "for await": ReadableStream.prototype[Symbol.asyncIterator],
          "URL.canParse": URL.canParse,
        })
          .filter(([, method]) => method === undefined)
          .map(([name]) => name)
          .join(", "),
      );
    case "/redirect":
      return new Response(`${(await fetch(`${there}/redirect`)).status}`);
    case "/gzip": {
      const bytes = new Uint8Array(await (await fetch(`${there}/gzip`)).arrayBuffer());
      return new Response(bytes[0] === 0x1f && bytes[1] === 0x8b ? "as it came" : "decoded");
    }
    case "/relative":
      return new Response(await (await fetch("/elsewhere")).text());
    case "/refused":
      try {
        await fetch("http://127.0.0.1:1/");
      } catch (error) {
        return new Response(`${error.name}: ${error.message}; cause: ${error.cause}`);
      }
    case "/string":
      return new Response(
        new ReadableStream({
          start(controller) {
            controller.enqueue("text");
            controller.close();
          },
        }),
      );
    case "/timer":
      setTimeout(() => console.log("fired alone"), 300);
      return new Response("answered");
    case "/awaited":
      event.waitUntil(new Promise((resolve) => setTimeout(() => resolve(console.log("fired awaited")), 300)));
      return new Response("answered");
    case "/endless":
      return new Response(
        new ReadableStream({
          async pull(controller) {
            await new Promise((resolve) => setTimeout(resolve, 20));
            controller.enqueue(encoder.encode("more\n"));
          },
          cancel() {
            console.log("cancelled");
          },
        }),
      );
    case "/time-origin":
      return new Response(Math.abs(Date.now() - performance.timeOrigin) > 1e12 ? "no Unix time" : "Unix time");
  }
}
JAVASCRIPT
(cd "$work" && "$tool" app.js --wit "$repository/wit" --world-name wasi:http/proxy@0.2.10 --out app.wasm) >"$work/build" 2>&1

cat >"$work/there.py" <<'PYTHON'
import gzip, http.server, sys

class There(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        redirects = self.path == "/redirect"
        self.send_response(302 if redirects else 200)
        body = gzip.compress(b"text") if self.path == "/gzip" else f"{self.path} there".encode()
        if self.path == "/gzip":
            self.send_header("Content-Encoding", "gzip")
        if redirects:
            self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), There).serve_forever()
PYTHON
free_ports 1
# shellcheck disable=SC2154
there=127.0.0.1:${ports[0]}
python3 "$work/there.py" "${ports[0]}" &
children+=($!)

serve "$work/app.wasm" --env SECRET=seen
expect "globals that are not there" "$(get /globals)" \
  "process Buffer require navigator URLPattern Intl WebAssembly WebSocket caches TextDecoderStream"
expect "methods that are not there" "$(get /methods)" \
  "Response.error, Response.prototype.clone, Response.prototype.bytes, ReadableStream.from, for await, URL.canParse"
wasm_tools
has_environment=$("$tool" component wit "$work/app.wasm" | grep -q wasi:cli/environment && echo yes || echo no)
expect "imports the environment" "$has_environment" no
expect "fetch of what redirects" "$(get "/redirect?there=http://$there")" 302
expect "fetch of gzip" "$(get "/gzip?there=http://$there")" "as it came"
expect "fetch of a relative URL, by the incoming Host" "$(get /relative -H "host: $there")" "/elsewhere there"
expect "fetch that is refused" "$(get /refused)" \
  "TypeError: NetworkError when attempting to fetch resource; cause: undefined"
expect "a stream of a string" "$(get /string -w '%{http_code} %{size_download} bytes, exit %{exitcode}')" "200 0 bytes, exit 0"
get /timer >"$work/ignored"
get /awaited >"$work/ignored"
# Cut off by its client after some of it.
get /endless --max-time 0.3 >"$work/ignored" || true
sleep 2
expect "timers that fire after the response" "$(grep -o 'fired [a-z]*' "$printed" | xargs)" "fired awaited"
expect "a stream's cancel when its client leaves" "$(grep -c cancelled "$printed" || true) calls" "0 calls"
expect "performance.timeOrigin" "$(get /time-origin)" "no Unix time"
