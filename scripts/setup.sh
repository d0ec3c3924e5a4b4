#!/usr/bin/env bash
# scripts/setup.sh (make setup): installs what building the guests and running the tests need and this machine lacks;
# says what it installs. Again it does nothing. System packages as root or by sudo, on Debian and its kin; everything
# else into the cache of scripts/tools.sh. `setup.sh foreign` adds what guests/foreign is built with (make test-foreign).
set -euo pipefail

# shellcheck source=scripts/tools.sh
source "$(dirname "$0")/tools.sh"

packages=()

main() {
  want_command cc gcc libc6-dev
  want_command openssl openssl
  want_wasm_toolchain
  want_python_environments
  want_command npm nodejs npm
  want_command curl curl
  want_command valgrind valgrind
  want_command systemd-analyze systemd
  want_command chromium chromium
  if [ "${1:-}" = foreign ]; then
    want_packages clang-22 lld-22 wasi-libc
  fi
  install_packages

  if ! has_wasip2_target; then
    wasm_tools
    wasi_adapter
    wasi_sysroot
  fi
  componentize_js
  componentize_py
  opentelemetry_python
  h2c
  jaeger
  collector
  rotel
  victoria
  h2spec
  prometheus
  kubernetes_validate
  envoy
  viewer_packages
  if [ "${1:-}" = foreign ]; then
    wit_bindgen
    javascript_frameworks
    go_compiler
  fi
  echo "setup: everything is there (cache: $cache)"
}

# want_command COMMAND PACKAGE…: the packages, unless the command is there.
want_command() {
  command -v "$1" >/dev/null || packages+=("${@:2}")
}

# The usual way is rustup's own target; where rustup must not or cannot fetch it, Debian's packages make one.
want_wasm_toolchain() {
  has_wasip2_target && return
  if command -v rustup >/dev/null && [ "${RUSTUP_AUTO_INSTALL:-1}" != 0 ]; then
    echo "setup: rustup target add wasm32-wasip2"
    rustup target add wasm32-wasip2 && return
  fi
  want_packages rustc-web rust-web-src libstd-rust-web-dev lld-22 wasi-libc
}

has_wasip2_target() {
  [ -d "$(cd "$repository" && rustc --print sysroot)/lib/rustlib/wasm32-wasip2/lib" ]
}

want_python_environments() {
  if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
    packages+=(python3 python3-venv)
  fi
}

want_packages() {
  local package
  for package in "$@"; do
    dpkg-query --show --showformat '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || packages+=("$package")
  done
}

install_packages() {
  [ ${#packages[@]} -gt 0 ] || return 0
  local as_root=()
  if [ "$(id -u)" != 0 ]; then
    as_root=(sudo)
  fi
  if ! command -v apt-get >/dev/null || ! command -v "${as_root[0]:-apt-get}" >/dev/null; then
    echo "setup: please install what these Debian packages hold, then run this again: ${packages[*]}" >&2
    exit 1
  fi
  echo "setup: installing the packages ${packages[*]}"
  "${as_root[@]}" apt-get update -qq
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}"
}

main "$@"
