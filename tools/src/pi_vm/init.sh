#!/bin/busybox sh
# The emulated machine's whole userland: busybox, this script and what is in /flagstone.tar.gz. The scenario is in /scenario:
# ARGUMENTS for the server. Lines that begin with "pi: " are for `tools pi-vm`; it answers with a line, "stop".
/bin/busybox mkdir -p /proc /sys /dev /tmp /data /opt /root
/bin/busybox --install -s /bin
export PATH=/bin HOME=/root STATE_DIRECTORY=/data/state
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for module in /modules/*.ko; do insmod "$module" || echo "pi: failed insmod $module"; done
ip link set lo up
ip link set eth0 up
ip addr add 10.0.2.15/24 dev eth0
if [ -b /dev/vda ]; then mount -t ext4 /dev/vda /data || echo "pi: failed mount"; fi
mkdir -p "$STATE_DIRECTORY"
tar -xzf /flagstone.tar.gz -C /opt || echo "pi: failed tar"
server=$(find /opt -type f -name flagstone -perm -100 | head -n 1)

echo "pi: memory $(awk '/^MemTotal/ { print $2 }' /proc/meminfo) kB"
echo "pi: cores $(grep -c '^CPU part.*0xd03' /proc/cpuinfo) of Cortex-A53"
echo "pi: psi $([ -e /proc/pressure/memory ] && echo on || echo off)"
echo "pi: memory-cgroup $(awk '$1 == "memory" { print $4 == 1 ? "on" : "off" }' /proc/cgroups)"
# The list of security modules: Landlock is on when it is in it.
mount -t securityfs security /sys/kernel/security
echo "pi: landlock $(grep -q landlock /sys/kernel/security/lsm && echo on || echo off)"
"$server" --budget | sed 's/^/pi: sheet /'
. /scenario
$server $ARGUMENTS &
pid=$!
while kill -0 $pid 2>/dev/null; do
  echo "pi: anon $(awk '/^RssAnon/ { print $2 }' /proc/$pid/status) kB"
  if read -r -t 1 order && [ "$order" = stop ]; then
    kill $pid
    wait $pid
    echo "pi: ended $?"
    umount /data 2>/dev/null
    echo "pi: off"
    poweroff -f
  fi
done
wait $pid
echo "pi: ended $? by itself"
poweroff -f
