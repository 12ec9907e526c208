#!/usr/bin/env bash
# Installs, runs, removes and purges the Debian package of this machine, as root, and looks what is left: nothing.
# `cargo run -p tools -- package` makes it.
set -euo pipefail
cd "$(dirname "$0")/.."
fail() {
  echo "check-packages: $*" >&2
  exit 1
}
[ "$(id -u)" = 0 ] || fail "only root may install packages"
deb=$(ls "target/package/flagstone_"*"_$(dpkg --print-architecture).deb")
(cd target/package && sha256sum --quiet --check SHA256SUMS)

if dpkg-query --show flagstone 2>/dev/null; then fail "flagstone is installed here already"; fi
user_was_there=$(getent passwd flagstone || true)
purge() {
  dpkg --purge flagstone >/dev/null 2>&1 || true
  # A package leaves its user behind, as Debian's do; a check does not.
  if [ -z "$user_was_there" ]; then userdel flagstone 2>/dev/null || true; fi
}
trap purge EXIT

dpkg --install "$deb" >/dev/null
[ -z "$(dpkg --verify flagstone)" ] || fail "dpkg --verify: $(dpkg --verify flagstone)"
getent passwd flagstone >/dev/null || fail "there is no user flagstone"
[ -e /etc/systemd/system/multi-user.target.wants/flagstone.service ] && fail "the service is enabled, without a database"
installed=$(dpkg --listfiles flagstone | while read -r path; do [ -d "$path" ] || echo "$path"; done)
flagstone --version
work=$(mktemp -d)
flagstone --demo "$work/demo" --get / >/dev/null
flagstone -c /etc/flagstone/flagstone.toml --check "$work/demo/demo.db"
for page in $(grep 'share/man/' <<<"$installed"); do zcat "$page" | grep -q '^\.Sh NAME' || fail "$page is no manual page"; done

# A configuration that was edited survives a removal, and goes with a purge; a database of the user's stays.
echo "# edited" >>/etc/flagstone/flagstone.toml
mkdir -p /var/lib/flagstone
touch /var/lib/flagstone/{etag.key,config.audit,config.good.toml,data.db}
dpkg --remove flagstone >/dev/null
grep -q '^# edited' /etc/flagstone/flagstone.toml || fail "the configuration did not survive a removal"
[ -e /usr/bin/flagstone ] && fail "the binary is still there"
dpkg --purge flagstone >/dev/null
[ "$(ls /var/lib/flagstone)" = data.db ] || fail "of the state there is left: $(ls /var/lib/flagstone)"
rm -r /var/lib/flagstone "$work"
left=$(for path in $installed /etc/flagstone /usr/share/doc/flagstone /usr/share/flagstone; do [ -e "$path" ] && echo "$path" || true; done)
[ -z "$left" ] || fail "left behind: $left"
echo "installed, run, removed and purged: nothing is left"
