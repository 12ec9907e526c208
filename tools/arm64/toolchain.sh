#!/usr/bin/env bash
# The cross toolchain for 64-bit ARM on an x86-64 Debian: gcc, a static glibc, qemu-user and Rust's std for the installed compiler.
# It prints what to export, and says on stderr what it does:
#
#     environment=$(tools/arm64/toolchain.sh) && eval "$environment"
#     cargo build --release --locked --target aarch64-unknown-linux-gnu      # a static binary
#
# std comes by `rustup target add`; where that reaches no server, it is built from Debian's `rust-src` of the same version (about 40 s) into
# ${FLAGSTONE_ARM64:-${TMPDIR:-/tmp}/flagstone-arm64}/rust-VERSION and kept there. FLAGSTONE_ARM64_STD=build takes that way at once.
# Packages are installed where they are missing, which only root may. Run it as often as you like.
set -euo pipefail
target=aarch64-unknown-linux-gnu
cache=${FLAGSTONE_ARM64:-${TMPDIR:-/tmp}/flagstone-arm64}
say() { echo "arm64: $*" >&2; }
fail() {
  say "$*"
  exit 1
}

packages() {
  if command -v aarch64-linux-gnu-gcc qemu-aarch64 >/dev/null && [ -e /usr/aarch64-linux-gnu/lib/libc.a ]; then return; fi
  [ "$(id -u)" = 0 ] || fail "install gcc-aarch64-linux-gnu, libc6-dev-arm64-cross and qemu-user first"
  say "installing the cross compiler and the emulator"
  apt-get update -qq >&2
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user >/dev/null 2>&1 || fail "the packages cannot be installed"
}

# Whether the compiler in use can build for the target: a library and a program that need std.
has_std() {
  local probe
  probe=$(mktemp -d)
  echo 'fn main() { std::thread::yield_now() }' >"$probe/probe.rs"
  local done=0
  "${1:-rustc}" --target $target --emit=metadata --out-dir "$probe" "$probe/probe.rs" >/dev/null 2>&1 || done=1
  rm -rf "$probe"
  return $done
}

by_rustup() {
  [ "${FLAGSTONE_ARM64_STD:-}" != build ] && command -v rustup >/dev/null || return 1
  has_std && return
  say "rustup target add $target"
  timeout 120 rustup target add $target >/dev/null 2>&1 && has_std
}

# `rust-src` of the compiler's version, from the suites that carry newer compilers than the stable one, by package lists of our own.
library_source() {
  local version=$1 folder=$2 suite apt found
  for suite in trixie-backports trixie forky sid; do
    apt=$folder/apt-$suite
    mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial"
    awk -v suite=$suite '/^URIs:/ { print "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] " $2 " " suite " main"; exit }' \
      /etc/apt/sources.list.d/debian.sources >"$apt/sources.list"
    local options=(-o "Dir::Etc::sourcelist=$apt/sources.list" -o Dir::Etc::sourceparts=/dev/null -o "Dir::State::lists=$apt/lists"
      -o "Dir::Cache=$apt/cache" -o APT::Sandbox::User=root)
    apt-get "${options[@]}" update -qq >&2 || continue
    found=$(apt-cache "${options[@]}" madison rust-src | awk -v version="$version" -F' *[|] *' 'index($2, version "+") == 1 { print $2; exit }')
    [ -n "$found" ] || continue
    say "rust-src $found from $suite"
    (cd "$folder" && apt-get "${options[@]}" download -qq "rust-src=$found") >&2
    dpkg-deb --fsys-tarfile "$folder"/rust-src_*.deb | tar -x -C "$folder" --wildcards './usr/src/rustc-*/library/*'
    return
  done
  fail "no suite has rust-src $version"
}

# A copy of the toolchain with a std for the target, whole or not there at all.
by_building() {
  local version folder tool
  version=$(rustc --version | cut -d' ' -f2)
  folder=$cache/rust-$version
  if [ ! -x "$folder/bin/rustc" ]; then
    [ -r /etc/apt/sources.list.d/debian.sources ] || fail "std for $target can be built on Debian only"
    mkdir -p "$cache"
    work=$(mktemp -d "$cache/building.XXXXXX") # not local: the trap outlives this function
    trap 'rm -rf "$work"' EXIT
    library_source "$version" "$work"
    mkdir "$work/rust"
    cp -a "$(rustc --print sysroot)"/{bin,lib,libexec} "$work/rust/" 2>/dev/null || [ -x "$work/rust/bin/rustc" ]
    rm -rf "$work/rust/lib/rustlib/$target"
    mkdir -p "$work/rust/lib/rustlib/src/rust" "$work/seed/src"
    mv "$work"/usr/src/rustc-*/library "$work/rust/lib/rustlib/src/rust/library"
    printf '[package]\nname = "seed"\nversion = "0.0.0"\nedition = "2024"\n[workspace]\n' >"$work/seed/Cargo.toml"
    : >"$work/seed/src/lib.rs"
    say "building std $version for $target"
    # Panics name std's files: by the name that the usual std has for them, not by that of a temporary folder.
    # -Zbuild-std is for nightly compilers; this one is told that it may. Profiles and flags of the caller's stay out of it.
    tool=$work/rust/bin
    (cd "$work/seed" && env -u RUSTUP_TOOLCHAIN PATH="$tool:$PATH" RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR="$work/built" \
      RUSTFLAGS="-Cembed-bitcode=yes --remap-path-prefix=$work/rust/lib/rustlib/src/rust=/rustc/$(rustc -vV | sed -n 's/^commit-hash: //p')" \
      CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc \
      "$tool/cargo" build -q --release -Zbuild-std=std,panic_unwind,panic_abort,proc_macro,test --target $target) >&2
    mkdir -p "$work/rust/lib/rustlib/$target/lib"
    cp "$work/built/$target/release/deps"/*.rlib "$work/rust/lib/rustlib/$target/lib/"
    rm "$work/rust/lib/rustlib/$target/lib"/libseed*
    # Whoever is first puts it there; a folder that is there already is the same.
    mv -T "$work/rust" "$folder" 2>/dev/null || [ -x "$folder/bin/rustc" ]
  fi
  has_std "$folder/bin/rustc" || fail "the std in $folder does not work: remove it"
  echo "export PATH='$folder/bin':\"\$PATH\""
  echo "unset RUSTUP_TOOLCHAIN"
}

packages
by_rustup || by_building
# Static, for the oldest core that is meant. gcc adds --fix-cortex-a53-843419 when it links: leave the linking to it.
cat <<END
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER=qemu-aarch64
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUSTFLAGS="-Ctarget-feature=+crt-static -Ctarget-cpu=cortex-a53"
export CFLAGS_aarch64_unknown_linux_gnu="-mcpu=cortex-a53"
END
