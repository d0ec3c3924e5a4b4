#!/usr/bin/env bash
# JavaScript for wasi:http 0.3 by componentize-qjs: small, bare, and with the same random numbers in each instance.
#
# componentize-qjs 0.4.5 (QuickJS): a handler is under 2 MB. The world may import no asynchronous function, so that
# `include wasi:http/service@0.3.0` does not build. There is neither `fetch` nor `setTimeout`, `TextEncoder` nor `console`;
# `Math.random()` begins with the same number in each fresh instance.
source "$(dirname "$0")/common.sh"

componentize_qjs
componentize=$tool
cat >"$work/app.js" <<'JAVASCRIPT'
import types from "wasi:http/types@0.3.0";

const globals = ["fetch", "setTimeout", "TextEncoder", "console", "URL"];

async function* body(text) {
  yield new Uint8Array([...text].map((c) => c.charCodeAt(0)));
}

export const handler = {
  async handle(request) {
    const path = request.getPathWithQuery();
    const text = path === "/random" ? String(Math.random()) : globals.filter((name) => typeof globalThis[name] === "undefined").join(" ");
    return types.Response["new"](new types.Fields(), body(text), Promise.resolve({ tag: "ok", val: null }))[0];
  },
};
JAVASCRIPT
"$componentize" --wit "$repository/guests/wit-p3" --world handler --js "$work/app.js" --output "$work/app.wasm" >"$work/build"
size=$(stat --format %s "$work/app.wasm")
expect "a handler is smaller than 2 MB" "$([ "$size" -lt 2000000 ] && echo yes || echo "$size bytes")" yes
serve "$work/app.wasm" --max-instance-reuse-count 1
expect "globals that are not there" "$(get /globals)" "fetch setTimeout TextEncoder console URL"
[ "$(get /random)" = "$(get /random)" ] && same="the same" || same="another"
expect "Math.random() of a second instance" "$same" "the same"
said=$(build_failure "$componentize" --wit "$repository/guests/wit-p3" --world service --js "$work/app.js" --output "$work/service.wasm")
[[ $said == *"type mismatch with async"* ]] && said="type mismatch with async"
expect "a world that includes wasi:http/service" "$said" "type mismatch with async"
