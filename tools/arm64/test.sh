#!/usr/bin/env bash
# The whole test suite built for 64-bit ARM and run under emulation: `tools/arm64/test.sh [arguments of cargo test]`.
# What cannot run there is left out by name, and told with its reason: tools/arm64/not-under-emulation.txt.
# Where the kernel cannot lend the emulator to every program, nothing is run and that is told; with CI=true it fails.
set -euo pipefail
cd "$(dirname "$0")/../.."
environment=$(tools/arm64/toolchain.sh)
eval "$environment"
if ! tools/arm64/emulated.sh true; then
  echo "the suite is not run on ARM64: this kernel does not lend the emulator to every program (Linux 6.7, root)"
  [ "${CI:-}" != true ]
  exit
fi
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER=$PWD/tools/arm64/runner.sh
export QEMU_CPU=cortex-a53
# Emulated code takes about ten times as long: what a test waits for may too.
export FLAGSTONE_TEST_PATIENCE=${FLAGSTONE_TEST_PATIENCE:-8}
exec tools/arm64/emulated.sh cargo test --workspace --locked --no-fail-fast --profile emulated --target aarch64-unknown-linux-gnu "$@"
