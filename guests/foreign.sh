#!/usr/bin/env bash
# guests/foreign.sh: builds the guests of other languages with those languages' own tools: guests/js/NAME/app.js →
# guests/build/NAME-js.wasm, guests/py/NAME/app.py → guests/build/NAME-py.wasm. About a minute; nothing when nothing
# has changed.
#
# js/sdk and py/sdk are made with the packages of guests/sdk.
#
# An app with a folder wit/ is made against the world `guest` there, any other against wasi:http alone: 0.2, or 0.3 for
# py/NAME-p3 and js/NAME-qjs (by componentize-qjs; of JavaScript componentize-js makes 0.2 only).
set -euo pipefail

cd "$(dirname "$0")"
# shellcheck source=scripts/tools.sh
source ../scripts/tools.sh

main() {
  mkdir -p build
  local app
  for app in js/*/app.js; do
    case $app in
      *-qjs/app.js) build_unless_fresh "$app" "build/$(basename "$(dirname "$app")")-js.wasm" build_qjs ;;
      *) build_unless_fresh "$app" "build/$(basename "$(dirname "$app")")-js.wasm" build_js ;;
    esac
  done
  for app in py/*/app.py; do
    build_unless_fresh "$app" "build/$(basename "$(dirname "$app")")-py.wasm" build_py
  done
}

# build_unless_fresh APP COMPONENT COMMAND: COMMAND APP COMPONENT if anything that went into it is newer.
build_unless_fresh() {
  local changed
  if [ -f "$2" ]; then
    changed=$(find "$(dirname "$1")" sdk/js sdk/py js/package.json py/requirements.txt ../wit wit wit-p3 foreign.sh -newer "$2" -type f)
    [ -n "$changed" ] || return 0
  fi
  echo "guests: building $2 from $1"
  "$3" "$1" "$2.new"
  mv "$2.new" "$2"
}

# find_world APP: leaves the WIT to read in $wit and the world in it in $world.
find_world() {
  wit=$PWD/$(dirname "$1")/wit world=guest
  [ -d "$wit" ] || case $1 in
    *-p3/*) wit=$PWD/wit-p3 world=service ;;
    *-qjs/*) wit=$PWD/wit-p3 world=handler ;;
    *) wit=$repository/wit world=wasi:http/proxy@0.2.10 ;;
  esac
}

build_js() {
  local app=$1
  find_world "$1"
  componentize_js
  if [[ $1 == js/sdk/* ]]; then
    app=build/sdk.bundle.js
    "$(dirname "$tool")/esbuild" "$1" --bundle --format=esm --external:pounce:* --alias:pounce-guest=./sdk/js/index.js \
      --log-level=warning --outfile="$app"
  fi
  "$tool" "$app" --wit "$wit" --world-name "$world" --out "$2"
}

build_qjs() {
  find_world "$1"
  componentize_qjs
  "$tool" --wit "$wit" --world "$world" --js "$1" --output "$2"
}

build_py() {
  find_world "$1"
  componentize_py
  # It reads the module app from the current folder.
  (cd "$(dirname "$1")" && "$tool" --quiet --wit-path "$wit" --world "$world" \
    componentize app --python-path . --python-path ../../sdk/py --output "$OLDPWD/$2")
}

main
