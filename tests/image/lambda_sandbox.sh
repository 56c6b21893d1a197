#!/bin/sh
# Runs a command in an image's file system as Lambda does: read-only but for /tmp, no /dev/shm, an unprivileged user.
#   unshare --mount sh lambda_sandbox.sh ROOT COMMAND ...
set -eu
root=$1
shift
mount --make-rprivate /
mount --bind "$root" "$root"
mount -o remount,bind,ro "$root"
mount -t proc -o ro proc "$root/proc"
mount -t tmpfs -o mode=1777,size=512m tmpfs "$root/tmp"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for device in null zero urandom random; do
  : >"$root/dev/$device"
  mount --bind "/dev/$device" "$root/dev/$device"
done
exec chroot --userspec=993:990 "$root" "$@"
