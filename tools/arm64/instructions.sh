#!/usr/bin/env bash
# Instructions of one request on 64-bit ARM, beside the committed ones: `tools/arm64/instructions.sh [--renew]`.
# Emulated, so they are exact for the code that the compiler made, and say nothing of a real machine's time.
set -euo pipefail
cd "$(dirname "$0")/../.."
environment=$(tools/arm64/toolchain.sh)
eval "$environment"
folder=${CARGO_TARGET_DIR:-target}
target=aarch64-unknown-linux-gnu
cargo build --release --locked --package bench --target $target
mkdir -p "$folder/$target"
cc -O2 -Wall -Wextra -shared -fPIC tools/arm64/icount.c -o "$folder/$target/icount.so"
cargo run --release --locked --package bench -- micro --emulated "$folder/$target/release/bench" \
  --plugin "$PWD/$folder/$target/icount.so" "$@"
