#!/usr/bin/env bash
# Checks the unit with systemd's own tools: that they understand every line of it, and how much it leaves a process to do harm with.
set -euo pipefail
cd "$(dirname "$0")"

# The most exposure that systemd-analyze may find, in tenths.
THRESHOLD=15

if [ -z "$(command -v systemd-analyze)" ]; then
  echo "systemd-analyze is not installed: the unit is not checked"
  exit 0
fi

systemd-analyze security --offline=true --threshold="$THRESHOLD" --no-pager flagstone.service | tail -n 1

# The same with a program that is there: verify asks for it. It says what it finds wrong, and not by its exit code alone.
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT
cp flagstone.socket "$folder"
sed "s|^ExecStart=/usr/bin/flagstone |ExecStart=$(command -v true) |" flagstone.service >"$folder/flagstone.service"
said=$(systemd-analyze verify --man=no "$folder/flagstone.service" "$folder/flagstone.socket" 2>&1 | grep -F flagstone || true)
if [ -n "$said" ]; then
  echo "$said"
  exit 1
fi
echo "flagstone.service and flagstone.socket are understood"
