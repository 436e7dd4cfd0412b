#!/bin/sh
# Install what is needed to build runsc-c (with --tests, to test it; with --vm, for the virtual machine of test/vm/run) from Debian 12's packages.
# Run as root.
set -eu

build="gcc meson ninja-build pkg-config python3 libc6-dev linux-libc-dev libseccomp-dev libcap-dev liburing-dev libjson-c-dev libprotobuf-c-dev protobuf-c-compiler"
tests="libcmocka-dev binutils busybox-static dash bash gawk sed findutils tar gzip perl git sqlite3 openssl stress-ng
	musl-tools python3 procps nodejs gdb strace iproute2 debhelper dpkg-dev"

vm="qemu-system-x86 cpio busybox-static kmod binutils python3"

want=$build
for option; do
	case $option in
	--tests) want="$want $tests" ;;
	--vm) want="$want $vm" ;;
	esac
done
missing=
for p in $want; do
	dpkg-query -W -f='${Status}\n' "$p" 2>/dev/null | grep -q 'install ok installed' || missing="$missing $p"
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" != 0 ]; then
	echo "tools/setup.sh: needs root to install:$missing" >&2
	exit 1
fi
echo "installing:$missing"
apt-get update -qq
# shellcheck disable=SC2086
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
