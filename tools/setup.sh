#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs what is needed, on Debian 12, as root or with sudo. Does nothing, quickly, where all is there.
#   tools/setup.sh build      to build, and to run with simulated machines
#   tools/setup.sh real       to run with real machines as well: libvirt, QEMU, what the guest image is made with
#   tools/setup.sh test       to run ./check as well
#   tools/setup.sh bench      to run bench/run.py as well
set -euo pipefail

build_packages="gcc libc6-dev meson ninja-build pkg-config python3 libsqlite3-dev libssl-dev
  libjansson-dev libinih-dev libvirt-dev libpq-dev"
real_packages="$build_packages libvirt0 libvirt-daemon-driver-qemu qemu-system-x86 qemu-utils genisoimage e2fsprogs passwd"
test_packages="$real_packages libcmocka-dev libexpat1-dev clang-14 libclang-rt-14-dev clang-tidy-14 systemd libseccomp2 curl openssl libvirt-daemon libvirt-clients util-linux
  valgrind postgresql-15 dpkg-dev python3-yaml"
bench_packages="$real_packages nginx-light procps libvirt-clients"

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; elif command -v sudo >/dev/null; then sudo "$@"; else
    echo "setup: root or sudo is needed to install: ${missing[*]}" >&2
    exit 1
  fi
}

has_package() {
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

case "${1:-build}" in
  build) wanted=$build_packages ;;
  real) wanted=$real_packages ;;
  test)
    wanted=$test_packages
    # The official clients: whatever Python and Node the machine already has will do.
    command -v pip3 >/dev/null || wanted="$wanted python3-pip"
    python3 -c 'import venv, ensurepip' 2>/dev/null || wanted="$wanted python3-venv"
    command -v node >/dev/null || wanted="$wanted nodejs"
    command -v npm >/dev/null || wanted="$wanted npm"
    ;;
  bench) wanted=$bench_packages ;;
  *) echo "usage: tools/setup.sh [build|real|test|bench]" >&2; exit 2 ;;
esac

# libvirt runs as root only where this user is; its daemon's package would make it, which is not needed otherwise.
make_libvirt_user() {
  [ "$(id -u)" = 0 ] && ! getent passwd libvirt-qemu >/dev/null || return 0
  getent group libvirt-qemu >/dev/null || groupadd --system libvirt-qemu
  useradd --system -g libvirt-qemu -d /var/lib/libvirt -s /usr/sbin/nologin libvirt-qemu
}

missing=()
for package in $wanted; do
  has_package "$package" || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then
  [ "${1:-build}" = build ] || make_libvirt_user
  exit 0
fi

echo "setup: installing ${missing[*]}" >&2
export DEBIAN_FRONTEND=noninteractive
as_root apt-get update -qq
# PostgreSQL's package would make a cluster and start it; the tests make their own.
if [[ " ${missing[*]} " = *" postgresql-15 "* ]] && [ ! -e /etc/postgresql-common/createcluster.conf ]; then
  as_root mkdir -p /etc/postgresql-common
  echo "create_main_cluster = false" | as_root tee /etc/postgresql-common/createcluster.conf >/dev/null
fi
# A freshly installed nginx would start as a service; the bench starts its own on a free port.
as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
[ "${1:-build}" = build ] || make_libvirt_user
