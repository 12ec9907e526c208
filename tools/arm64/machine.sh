#!/usr/bin/env bash
# What an emulated machine boots from: Debian trixie's kernel for 64-bit ARM with a few of its modules, and a static busybox.
# Prints their folder, ${FLAGSTONE_ARM64:-${TMPDIR:-/tmp}/flagstone-arm64}/machine-VERSION, and fetches them (95 MB) where they are not there
# yet; `tools pi-vm` calls it. Nothing is installed but, by root, qemu-system-arm and e2fsprogs where they are missing.
set -euo pipefail
cache=${FLAGSTONE_ARM64:-${TMPDIR:-/tmp}/flagstone-arm64}
modules=(virtio_mmio failover net_failover virtio_net virtio_blk crc16 crc32c_generic libcrc32c mbcache jbd2 ext4)
say() { echo "machine: $*" >&2; }

PATH=$PATH:/usr/sbin
if ! command -v qemu-system-aarch64 mke2fs debugfs >/dev/null; then
  if [ "$(id -u)" != 0 ]; then
    say "install qemu-system-arm and e2fsprogs first"
    exit 1
  fi
  say "installing the emulator"
  apt-get update -qq >&2
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends qemu-system-arm e2fsprogs >/dev/null 2>&1
fi

mkdir -p "$cache"
have=$(find "$cache" -maxdepth 1 -name 'machine-*' | sort -V | tail -n 1)
if [ -n "$have" ]; then
  echo "$have"
  exit
fi

work=$(mktemp -d "$cache/fetching.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/lists/partial" "$work/archives/partial" "$work/out"
: >"$work/status"
awk '/^URIs:/ { print "deb [arch=arm64 signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] " $2 " trixie main"; exit }' \
  /etc/apt/sources.list.d/debian.sources >"$work/sources.list"
# Package lists of our own, of a machine that has nothing installed.
options=(-o "Dir::Etc::sourcelist=$work/sources.list" -o Dir::Etc::sourceparts=/dev/null -o "Dir::State::lists=$work/lists"
  -o "Dir::State::status=$work/status" -o "Dir::Cache=$work" -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o APT::Sandbox::User=root)
apt-get "${options[@]}" update -qq >&2
kernel=$(apt-cache "${options[@]}" depends linux-image-arm64 | awk '/Depends: linux-image/ { print $2; exit }')
say "fetching $kernel and busybox-static"
(cd "$work" && apt-get "${options[@]}" download -qq "$kernel" busybox-static) >&2

mkdir "$work/kernel" "$work/busybox" "$work/out/modules"
patterns=(./boot/vmlinuz-*)
for module in "${modules[@]}"; do patterns+=("*/$module.ko.xz"); done
dpkg-deb --fsys-tarfile "$work"/linux-image-*.deb | tar -x -C "$work/kernel" --wildcards "${patterns[@]}"
dpkg-deb --fsys-tarfile "$work"/busybox-static_*.deb | tar -x -C "$work/busybox"
mv "$work"/kernel/boot/vmlinuz-* "$work/out/vmlinuz"
cp "$(find "$work/busybox" -type f -path '*/bin/busybox')" "$work/out/busybox"
# Numbered, because each needs those before it.
number=10
for module in "${modules[@]}"; do
  xz --decompress --stdout "$(find "$work/kernel" -name "$module.ko.xz")" >"$work/out/modules/$number-$module.ko"
  number=$((number + 1))
done
folder=$cache/machine-${kernel#linux-image-}
mv -T "$work/out" "$folder" 2>/dev/null || [ -e "$folder/vmlinuz" ]
echo "$folder"
