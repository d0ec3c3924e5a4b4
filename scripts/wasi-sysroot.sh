#!/usr/bin/env bash
# scripts/wasi-sysroot.sh DIR: a Rust sysroot for wasm32-wasip1 out of Debian's packages, for machines where rustup has
# no wasm target to give. DIR/bin/rustc is Debian's rustc with that sysroot. About a minute, 76 MB; DIR stays where it
# is made (the wrapper holds its path).
#
# Needs the packages that scripts/setup.sh names under "wasm toolchain".
set -euo pipefail

if [ $# -ne 1 ]; then
  echo "usage: $0 DIR" >&2
  exit 2
fi
sysroot=$(realpath -m "$1")
debian=/usr/lib/rustlib
target=wasm32-wasip1
host=$(/usr/bin/rustc -vV | sed -n 's/^host: //p')

mkdir -p "$sysroot/bin" "$sysroot/lib/rustlib/src" "$sysroot/lib/rustlib/$target/lib/self-contained"
ln -sfn "$debian/src/rust" "$sysroot/lib/rustlib/src/rust"
ln -sfn "$debian/$host" "$sysroot/lib/rustlib/$host"
cp /usr/lib/wasm32-wasi/{libc.a,crt1-command.o,crt1-reactor.o} "$sysroot/lib/rustlib/$target/lib/self-contained/"
# RUSTC_BOOTSTRAP: Debian's std counts as unstable when built by hand.
printf '#!/bin/sh\nexport RUSTC_BOOTSTRAP=1\nexec /usr/bin/rustc --sysroot="%s" "$@"\n' "$sysroot" >"$sysroot/bin/rustc"
chmod +x "$sysroot/bin/rustc"

# std is built once, as a dependency of nothing, and its libraries moved to where rustc looks for them.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/src"
touch "$work/src/lib.rs"
printf '[package]\nname = "stdseed"\nversion = "0.1.0"\nedition = "2024"\n[workspace]\n' >"$work/Cargo.toml"
(
  cd "$work"
  export RUSTC="$sysroot/bin/rustc" RUSTC_BOOTSTRAP=1
  export RUSTFLAGS="--remap-path-prefix=$sysroot/lib/rustlib/src/rust=rust"
  cargo build --quiet --release -Zbuild-std=std,panic_abort --target "$target" --target-dir "$work/target"
)
for library in "$work/target/$target/release/deps/"*.rlib; do
  case $library in
    *stdseed*) ;;
    *) cp "$library" "$sysroot/lib/rustlib/$target/lib/" ;;
  esac
done
