#!/bin/sh
# Builds the tiny preset as it is released and lets it meet the memory proofs: it must stay within 8 MiB of RSS.
# About two minutes; `tests/presets.rs` checks that all presets compile. Text is resident memory too, so tiny is built for size.
set -eu
cd "$(dirname "$0")/.."
FLAGSTONE_PRESET=tiny cargo build --release --package flagstone --bin flagstone --target-dir target/presets \
    --config 'profile.release.opt-level="s"' --config 'profile.release.package.libsqlite3-sys.opt-level="s"'
FLAGSTONE_TEST_BINARY="$PWD/target/presets/release/flagstone" \
    cargo test --package flagstone --test memory_requests --test memory_sqlite -- --nocapture
