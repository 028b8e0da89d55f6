#!/bin/sh
# boot.sh ROOT CGROUP: starts the systemd of the Debian tree in ROOT as the first process of namespaces of its own: processes, mounts, network
# (loopback alone) and control groups, the last below the new group CGROUP. Ends when that systemd does.
set -e
mkdir "$2"
echo $$ >"$2/cgroup.procs"
# With the first process of a namespace all others in it end, so killing this one ends the whole machine.
exec unshare --mount --pid --cgroup --net --uts --ipc --fork --kill-child sh -ec '
root=$1
mount --make-rprivate /
mount --bind "$root" "$root"
cd "$root"
mount -t proc proc proc
mount -t sysfs -o ro sys sys
mount -t tmpfs -o mode=755 run run
mount -t tmpfs -o mode=755 dev dev
for name in null zero full random urandom tty; do mknod -m 666 dev/$name c $(stat -c "0x%t 0x%T" /dev/$name); done
ln -s /proc/self/fd dev/fd
ln -s fd/0 dev/stdin
ln -s fd/1 dev/stdout
ln -s fd/2 dev/stderr
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
mount -t tmpfs -o mode=1777 shm dev/shm
mount -t tmpfs -o mode=755 cgroup sys/fs/cgroup
mount -t cgroup2 cgroup sys/fs/cgroup
ip link set lo up
pivot_root . mnt
umount -l /mnt
exec env -i container=fleetd-test PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --show-status=no systemd.unit=multi-user.target
' sh "$1"
