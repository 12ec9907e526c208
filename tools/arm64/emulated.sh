#!/usr/bin/env bash
# Runs a command in namespaces of its own in which the kernel hands every program for 64-bit ARM to qemu, whoever starts it:
# `tools/arm64/emulated.sh COMMAND ...`. Root only, and since Linux 6.7, where a user namespace may have a binfmt_misc of its own;
# outside of it nothing changes. Users are the same within. Exits with 69 where the kernel lends none.
set -euo pipefail
emulator=$(command -v qemu-aarch64)
if ! unshare --user --mount true 2>/dev/null || [ "$(id -u)" != 0 ]; then
  echo "emulated: needs root and user namespaces" >&2
  exit 69
fi

# Who maps the users must be outside, and the command must stay this process: one in the background is deaf to SIGINT.
handshake=$(mktemp -d)
mkfifo "$handshake/ready" "$handshake/mapped"
(
  read -r _ <"$handshake/ready"
  for map in uid_map gid_map; do echo "0 0 4294967295" >"/proc/$$/$map"; done
  echo >"$handshake/mapped"
  rm -rf "$handshake"
) &

export handshake emulator
# shellcheck disable=SC2016
exec unshare --user --mount bash -c '
  set -eu
  echo >"$handshake/ready"
  read -r _ <"$handshake/mapped"
  unset handshake
  if ! mount -t binfmt_misc none /proc/sys/fs/binfmt_misc 2>/dev/null; then
    echo "emulated: this kernel has no binfmt_misc for a user namespace" >&2
    exit 69
  fi
  # ELF, 64 bit, little-endian, executable or position-independent, machine 183. O, C, F: the program is handed over open, with its
  # rights, by an emulator that is opened now.
  magic="\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00"
  mask="\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff"
  printf %s ":aarch64:M::$magic:$mask:$emulator:POCF" >/proc/sys/fs/binfmt_misc/register
  unset emulator
  exec "$@"
' emulated "$@"
