#!/usr/bin/env bash
# What a JavaScript component does at its top level is done once, when it is built.
#
# componentize-js 0.23.0 runs the module and keeps what it leaves: clocks have the time of the build. Random numbers and
# UUIDs at the top level fail the build. A fetch event fits `wasi:http/proxy@0.2.10` and no other version. The package
# imports @bytecodealliance/preview2-shim and does not depend on it.
source "$(dirname "$0")/common.sh"

componentize_js
componentize=$tool
modules=$(cd "$(dirname "$tool")/.." && pwd)

# built CODE: makes a component of a handler and code before it; by the WIT in $wit and the world $world.
wit=$repository/wit world=wasi:http/proxy@0.2.10
built() {
  echo "$1 addEventListener('fetch', (event) => event.respondWith(new Response(String(globalThis.kept))));" >"$work/app.js"
  (cd "$work" && "$componentize" app.js --wit "$wit" --world-name "$world" --out app.wasm)
}

built 'globalThis.kept = Date.now();'
serve "$work/app.wasm"
one=$(get /)
sleep 1
[ "$one" = "$(get /)" ] && same="the same" || same="another"
expect "Date.now() at the top level, a second later" "$same" "the same"

random="attempted to call an unknown imported function: 'wasi:random/random@0.2.10' 'get-random-u64'"
for call in 'Math.random()' 'crypto.randomUUID()' 'crypto.getRandomValues(new Uint8Array(4))'; do
  said=$(build_failure built "globalThis.kept = $call;")
  [[ $said == *"unknown imported function: 'wasi:random/random@0.2.10'"* ]] && said="$random"
  expect "$call at the top level" "$said" "$random"
done

# The WIT of another patch version comes with jco.
mkdir -p "$work/wit/deps"
cp -r "$modules"/@bytecodealliance/jco/lib/wit/builtin/0.2.12/* "$work/wit/deps/"
echo 'package a:b; world app { include wasi:http/proxy@0.2.12; }' >"$work/wit/world.wit"
wit=$work/wit world=app
said=$(build_failure built '')
[[ $said == *"failed to find export of interface"* ]] && said="no handler of 0.2.12"
expect "a fetch event for wasi:http 0.2.12" "$said" "no handler of 0.2.12"

package=$modules/@bytecodealliance/componentize-js
imports=$(grep -rq 'from .@bytecodealliance/preview2-shim' "$package/lib" && echo yes || echo no)
expect "componentize-js imports preview2-shim" "$imports" yes
expect "and depends on it" "$(node -p "'@bytecodealliance/preview2-shim' in require('$package/package.json').dependencies")" false
