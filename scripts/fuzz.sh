#!/usr/bin/env bash
# Fuzzes what parses headers of strangers, and settings, variables and case files of operators: scripts/fuzz.sh [SECONDS each, default 60] [TARGET...]
#
# On the pinned stable toolchain, so without sanitizers: our code has no `unsafe`, and what is looked for is a panic. What
# is found lies in fuzz/artifacts/TARGET; turn it into a unit test. The corpus in fuzz/corpus grows from run to run.
set -euo pipefail
cd "$(dirname "$0")/../fuzz"

seconds=${1:-60}
shift || true
targets=("$@")
[ ${#targets[@]} -gt 0 ] || mapfile -t targets < <(basename --suffix .rs --multiple fuzz_targets/*.rs)

# The same crates as the server's. A target of its own, so that build scripts do not get these flags.
cp ../Cargo.lock Cargo.lock
host=$(rustc -vV | sed -n 's/^host: //p')
export RUSTFLAGS="--cfg fuzzing -Cdebug-assertions -Ccodegen-units=1 -Cpasses=sancov-module \
-Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
-Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares"
export CARGO_TARGET_DIR=${FUZZ_TARGET_DIR:-$PWD/target}
cargo build --target "$host"

for target in "${targets[@]}"; do
    mkdir -p "corpus/$target" "artifacts/$target"
    echo "fuzzing $target for $seconds s"
    "$CARGO_TARGET_DIR/$host/debug/$target" "corpus/$target" "seeds/$target" \
        -max_total_time="$seconds" -max_len=16384 -artifact_prefix="artifacts/$target/" -print_final_stats=1
done
