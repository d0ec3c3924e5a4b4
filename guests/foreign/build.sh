#!/usr/bin/env bash
# guests/foreign/build.sh: builds the applications of guests/foreign, each with its own language's tools and from code that
# knows nothing of Pounce → guests/foreign/build/NAME.wasm. Two minutes, and once the tools (make test-foreign installs
# them); nothing when nothing has changed.
set -euo pipefail

cd "$(dirname "$0")"
# shellcheck source=scripts/tools.sh
source ../../scripts/tools.sh

main() {
  mkdir -p build
  ../build.sh foreign
  build_unless_fresh hono build_fetch_event
  build_unless_fresh itty-router build_fetch_event
  build_unless_fresh hono-jco build_hono_jco
  build_unless_fresh c build_c
  build_unless_fresh go build_go
}

# build_unless_fresh NAME COMMAND: COMMAND NAME COMPONENT if anything that went into it is newer.
build_unless_fresh() {
  local component=build/$1.wasm changed
  if [ -f "$component" ]; then
    changed=$(find "$1" package.json ../../wit build.sh -newer "$component" -type f)
    [ -n "$changed" ] || return 0
  fi
  echo "guests: building foreign/$component"
  scratch=$(mktemp -d)
  "$2" "$1" "$component.new"
  rm -r "$scratch"
  mv "$component.new" "$component"
}

# bundle NAME: makes one file of an app and what it imports, $scratch/app.js. What starts with `wasi:` the host has.
bundle() {
  javascript_frameworks
  modules=$tool
  NODE_PATH=$modules "$modules/.bin/esbuild" "$1/app.js" --bundle --format=esm --external:wasi:* --log-level=warning \
    --outfile="$scratch/app.js"
}

build_fetch_event() {
  bundle "$1"
  "$modules/.bin/componentize-js" "$scratch/app.js" --wit "$repository/wit" --world-name wasi:http/proxy@0.2.10 --out "$2"
}

# Its world is of another patch version: the files of that come with jco.
build_hono_jco() {
  bundle "$1"
  mkdir -p "$scratch/wit/deps/wasi-config"
  cp -r "$modules"/@bytecodealliance/jco/lib/wit/builtin/0.2.12/* "$scratch/wit/deps/"
  cp "$repository/wit/deps/wasi-config.wit" "$scratch/wit/deps/wasi-config/"
  cp "$1/world.wit" "$scratch/wit/"
  "$modules/.bin/componentize-js" "$scratch/app.js" --wit "$scratch/wit" --world-name app --disable fetch-event --out "$2"
}

build_c() {
  wit_bindgen
  quietly "$tool" c "$repository/wit" --world wasi:http/proxy@0.2.10 --out-dir "$scratch"
  clang
  # Debian's C library has the name that the target had before there were several; its compiler has no library of its own.
  "$tool" --target=wasm32-wasi -Wno-deprecated -mexec-model=reactor -nodefaultlibs -O2 -Wall -Werror -I"$scratch" \
    -o "$scratch/app.core.wasm" "$scratch/proxy.c" "$scratch/proxy_component_type.o" "$1/app.c" -lc
  make_component "$scratch/app.core.wasm" "$2"
}

build_go() {
  wit_bindgen
  quietly "$tool" go "$repository/wit" --world wasi:http/proxy@0.2.10 --out-dir "$scratch"
  mkdir "$scratch/export_wasi_http_incoming_handler"
  cp "$1/handler.go" "$scratch/export_wasi_http_incoming_handler/"
  cp "$1/go.mod" "$1/go.sum" "$scratch/"
  go_compiler
  (
    cd "$scratch"
    GOOS=wasip1 GOARCH=wasm "$tool" build -mod=readonly -buildvcs=false -trimpath -buildmode=c-shared -ldflags='-checklinkname=0 -s -w' \
      -o app.core.wasm .
  )
  wasm_tools
  "$tool" component embed "$repository/wit" --world wasi:http/proxy@0.2.10 "$scratch/app.core.wasm" -o "$scratch/app.wasm"
  make_component "$scratch/app.wasm" "$2"
}

# quietly COMMAND…: what it says only counts if it fails.
quietly() {
  "$@" >"$scratch/said" 2>&1 || {
    cat "$scratch/said" >&2
    return 1
  }
}

# make_component MODULE COMPONENT
make_component() {
  local adapter
  wasi_adapter && adapter=$tool
  wasm_tools
  "$tool" component new "$1" --adapt "wasi_snapshot_preview1=$adapter" -o "$2"
}

main
