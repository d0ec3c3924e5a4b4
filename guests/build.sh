#!/usr/bin/env bash
# guests/build.sh: builds every Rust guest from source: guests/NAME/p2 → guests/build/NAME.wasm, guests/NAME/p3 →
# guests/build/NAME-p3.wasm. A guest with a folder guests/NAME/back is two components made one: what the first imports
# the other exports. Under a second when nothing has changed. (JavaScript and Python: foreign.sh.)
#
# Two ways; it takes the first that the machine allows:
#   rustup   the target wasm32-wasip2 makes components by itself
#   debian   wasm32-wasip1 with a sysroot made once from Debian's packages, then wasm-tools and wasi's adapter
# GUESTS_TOOLCHAIN=rustup|debian insists on one. `build.sh --prebuilt` also renews guests/prebuilt/hello.wasm, which is
# committed for the first run. `build.sh foreign` builds those of guests/foreign instead, into guests/foreign/build.
set -euo pipefail

cd "$(dirname "$0")"
# shellcheck source=scripts/tools.sh
source ../scripts/tools.sh
[ "${1:-}" != foreign ] || cd foreign

main() {
  # Panic messages name a crate's file, not where cargo keeps it on this machine.
  export RUSTFLAGS="${RUSTFLAGS:-} --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=cargo"
  case ${GUESTS_TOOLCHAIN:-$(find_toolchain)} in
    rustup) build_with_rustup ;;
    debian) build_with_debian ;;
    *) explain_and_fail ;;
  esac
  if [ "${1:-}" = --prebuilt ]; then
    wasm_tools
    "$tool" strip --all build/hello.wasm -o prebuilt/hello.wasm
  fi
}

find_toolchain() {
  if [ -d "$(rustc --print sysroot)/lib/rustlib/wasm32-wasip2/lib" ]; then
    echo rustup
  elif [ -d /usr/lib/rustlib/src/rust/library ] && [ -f /usr/lib/wasm32-wasi/libc.a ] && [ -n "$(find_linker)" ]; then
    echo debian
  else
    echo none
  fi
}

# Debian's, the newest.
find_linker() {
  find /usr/lib -maxdepth 3 -path '/usr/lib/llvm-*/bin/wasm-ld' 2>/dev/null | sort -V | tail -1
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
  cargo build --release --locked --target wasm32-wasip2
  each_guest cp target/wasm32-wasip2/release
}

build_with_debian() {
  echo "guests: building with Debian's rustc for wasm32-wasip1, wasm-tools and the preview 1 adapter"
  wasm_tools && wasm_tools=$tool
  wasi_adapter && adapter=$tool
  wasi_sysroot
  RUSTC=$tool/bin/rustc CARGO_TARGET_WASM32_WASIP1_LINKER=$(find_linker) \
    cargo build --release --locked --target wasm32-wasip1
  each_guest make_component target/wasm32-wasip1/release
}

# each_guest COMMAND DIR: COMMAND MODULE COMPONENT for every guest whose module in DIR is newer than its component.
each_guest() {
  local manifest version name back module component all=0 new=0
  mkdir -p build
  for manifest in */p[23]/Cargo.toml; do
    name=${manifest%%/*}
    back=
    [ ! -d "$name/back" ] || back=$2/${name//-/_}_back.wasm
    version=$(basename "$(dirname "$manifest")")
    [ "$version" = p2 ] || name=$name-$version
    module=$2/${name//-/_}.wasm
    component=build/$name.wasm
    all=$((all + 1))
    if [ "$module" -nt "$component" ] || [ "$back" -nt "$component" ]; then
      "$1" "$module" "$component.new"
      [ -z "$back" ] || compose "$1" "$back" "$component.new"
      mv "$component.new" "$component"
      new=$((new + 1))
    fi
  done
  echo "guests: $all in ${PWD#"$repository"/}/build, $new of them new"
}

# compose COMMAND MODULE COMPONENT: gives COMPONENT what COMMAND makes of MODULE for its imports.
compose() {
  local said
  wasm_tools
  "$1" "$2" build/back.new
  # It says each time that it will be replaced by another tool.
  said=$("$tool" compose "$3" --definitions build/back.new --output "$3.whole" 2>&1) || {
    echo "$said" >&2
    return 1
  }
  mv "$3.whole" "$3"
  rm build/back.new
}

make_component() {
  "$wasm_tools" component new "$1" --adapt "wasi_snapshot_preview1=$adapter" -o "$2"
}

main "$@"
