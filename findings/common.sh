# shellcheck shell=bash
# What the scripts in findings/ share; sourced by them.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/tools.sh
source "$here/../scripts/tools.sh"

work=$(mktemp -d)
children=()

end() {
  for child in "${children[@]}"; do kill "$child" 2>/dev/null || true; done
  rm -rf "$work"
}
trap end EXIT

# expect WHAT SEEN EXPECTED: says what was seen, and fails where that has changed.
expect() {
  if [ "$2" = "$3" ]; then
    echo "as found  $1: $2"
  else
    echo "CHANGED   $1: $2"
    echo "          before: $3"
    exit 1
  fi
}

# build_go FOLDER: builds the program in findings/FOLDER, whose modules its go.sum pins; its place is in $program.
build_go() {
  go_program "$here/$1" "$1" . "$work"
  program=$work/$1
}

# python_with PIP-ARGUMENT…: a Python with these packages; its place is in $python.
python_with() {
  python_environment "$@" "$work/python"
  python=$work/python/bin/python
}

# free_ports N: so many ports that were free a moment ago, in $ports.
free_ports() {
  read -r -a ports < <(python3 - "$1" <<'PYTHON'
import socket, sys
held = [socket.create_server(("127.0.0.1", 0)) for _ in range(int(sys.argv[1]))]
print(*(one.getsockname()[1] for one in held))
PYTHON
  )
}

# build_rust FOLDER: builds the programs in findings/FOLDER, whose crates its Cargo.lock pins; they are in $programs.
build_rust() {
  CARGO_TARGET_DIR=$work/target cargo build --quiet --locked --manifest-path "$here/$1/Cargo.toml"
  programs=$work/target/debug
}

# serve COMPONENT ARGUMENT…: serves it by `wasmtime serve`, a fresh instance for each request; where is in $url, and what it
# prints in the file $printed.
serve() {
  local second
  wasmtime
  free_ports 1
  # shellcheck disable=SC2154
  url=http://127.0.0.1:${ports[0]} printed=$work/printed.${ports[0]}
  touch "$printed"
  "$tool" serve -Scli "${@:2}" --addr "127.0.0.1:${ports[0]}" "$1" >"$printed" 2>&1 &
  children+=($!)
  # It compiles first, which takes half a minute for a large component.
  for second in {1..180}; do
    grep -q 'Serving HTTP' "$printed" && return
    [ "$second" != 180 ] && sleep 1
  done
  echo "wasmtime serve does not serve $1:" >&2
  cat "$printed" >&2
  exit 1
}

# get PATH ARGUMENT-OF-CURL…: what the server at $url answers.
get() {
  curl --silent --max-time 30 "${@:2}" "$url$1"
}

# build_failure COMMAND…: the end of what a command says that must fail; `it builds` if it does not.
build_failure() {
  local said
  if said=$("$@" 2>&1); then echo "it builds"; else echo "$said"; fi
}
