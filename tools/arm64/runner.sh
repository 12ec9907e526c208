#!/usr/bin/env bash
# What cargo calls with a test binary for 64-bit ARM: runs it without the tests that cannot run under emulation, and tells these.
# The kernel must know how (tools/arm64/emulated.sh), because tests start other programs and themselves.
set -euo pipefail
list=$(dirname "$0")/not-under-emulation.txt
test=$1
shift

# Lines of the list: the test binary's name, a test's name or * for all, and the reason.
binary=$(basename "$test")
binary=${binary%-*}
skip=()
while read -r where name reason; do
  [ "$where" = "$binary" ] || continue
  echo "not under emulation: $binary $name: $reason"
  if [ "$name" = "*" ]; then exit; fi
  if [ -z "${known+set}" ]; then known=$("$test" --list); fi
  if ! grep -qxF "$name: test" <<<"$known"; then
    echo "$list: $binary has no test $name" >&2
    exit 1
  fi
  skip+=(--skip "$name")
done < <(grep -v '^#' "$list")
exec "$test" "${skip[@]}" "$@"
