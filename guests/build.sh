#!/usr/bin/env bash
# guests/build.sh: builds every Rust guest from source: guests/NAME/p2 → guests/build/NAME.wasm, guests/NAME/p3 →
# guests/build/NAME-p3.wasm. Seconds when nothing has changed. (JavaScript and Python: foreign.sh.)
#
# Two ways; it takes the first that the machine allows:
#   rustup   the target wasm32-wasip2 makes components by itself
#   debian   wasm32-wasip1 with a sysroot made once from Debian's packages, then wasm-tools and wasi's adapter
# GUESTS_TOOLCHAIN=rustup|debian insists on one.
set -euo pipefail

cd "$(dirname "$0")"
# shellcheck source=scripts/cache.sh
source ../scripts/cache.sh

# The adapter that gives a module of wasi preview 1 the imports of 0.2.
adapter_crate=wasi-preview1-component-adapter-provider
adapter_version=48.0.8

main() {
  # Panic messages name a crate's file, not where cargo keeps it on this machine.
  export RUSTFLAGS="${RUSTFLAGS:-} --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=cargo"
  local toolchain=${GUESTS_TOOLCHAIN:-$(find_toolchain)}
  case $toolchain in
    rustup) build_with_rustup ;;
    debian) build_with_debian ;;
    *) explain_and_fail ;;
  esac
  echo "guests: $(find build -name '*.wasm' | wc -l) components in guests/build"
}

find_toolchain() {
  if [ -d "$(rustc --print sysroot)/lib/rustlib/wasm32-wasip2/lib" ]; then
    echo rustup
  elif [ -d /usr/lib/rustlib/src/rust/library ] && [ -f /usr/lib/wasm32-wasi/libc.a ] && [ -n "$(find_linker)" ] &&
    [ -n "$(find_wasm_tools)" ]; then
    echo debian
  else
    echo none
  fi
}

# Debian's, the newest.
find_linker() {
  find /usr/lib -maxdepth 3 -path '/usr/lib/llvm-*/bin/wasm-ld' 2>/dev/null | sort -V | tail -1
}

find_wasm_tools() {
  local own=$cache/venv/bin/wasm-tools
  if [ -x "$own" ]; then
    echo "$own"
  else
    command -v wasm-tools || true
  fi
}

explain_and_fail() {
  cat >&2 <<'EOF'
guests: no toolchain for WebAssembly on this machine. Either
  rustup target add wasm32-wasip2     (the usual way), or
  make setup                          (installs Debian's packages where rustup has no such target)
EOF
  exit 1
}

build_with_rustup() {
  echo "guests: building with rustup's wasm32-wasip2"
  cargo build --release --target wasm32-wasip2
  each_guest install_component target/wasm32-wasip2/release
}

build_with_debian() {
  local sysroot
  sysroot=$cache/wasi-sysroot-$(/usr/bin/rustc --version | cut -d' ' -f2)
  echo "guests: building with Debian's rustc for wasm32-wasip1, wasm-tools and the adapter"
  cached "$sysroot" "a sysroot for wasm32-wasip1 (about a minute, once)" ../scripts/wasi-sysroot.sh
  adapter=$cache/wasi-adapter-$adapter_version
  cached "$adapter" "wasi's preview 1 adapter $adapter_version" fetch_adapter
  wasm_tools=$(find_wasm_tools)
  RUSTC=$sysroot/bin/rustc CARGO_TARGET_WASM32_WASIP1_LINKER=$(find_linker) \
    cargo build --release --target wasm32-wasip1
  each_guest make_component target/wasm32-wasip1/release
}

# The adapter is a file of a crate: cargo brings it.
fetch_adapter() {
  mkdir -p "$1/src"
  touch "$1/src/lib.rs"
  cat >"$1/Cargo.toml" <<EOF
[package]
name = "adapter"
version = "0.1.0"
edition = "2024"
[dependencies]
$adapter_crate = "=$adapter_version"
[workspace]
EOF
  (cd "$1" && cargo vendor --quiet vendor >/dev/null)
  cp "$1/vendor/$adapter_crate/artefacts/wasi_snapshot_preview1.reactor.wasm" "$1/reactor.wasm"
  rm -r "$1/vendor" "$1/src"
}

# each_guest DO DIR: DO MODULE COMPONENT for every guest whose module in DIR is newer than its component.
each_guest() {
  local manifest folder version name module component
  mkdir -p build
  for manifest in */p[23]/Cargo.toml; do
    folder=${manifest%%/*}
    version=$(basename "$(dirname "$manifest")")
    name=$folder
    [ "$version" = p2 ] || name=$folder-$version
    module=$2/${name//-/_}.wasm
    component=build/$name.wasm
    if [ "$module" -nt "$component" ]; then
      "$1" "$module" "$component.new"
      mv "$component.new" "$component"
    fi
  done
}

install_component() {
  cp "$1" "$2"
}

make_component() {
  "$wasm_tools" component new "$1" --adapt "wasi_snapshot_preview1=$adapter/reactor.wasm" -o "$2"
}

main
