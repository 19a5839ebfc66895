#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs what is needed, on Debian 12, as root or with sudo. Does nothing, quickly, where all is there.
#   tools/setup.sh build      to build and run
#   tools/setup.sh test       to run ./check as well
#   tools/setup.sh bench      to run bench/run.py as well
set -euo pipefail

build_packages="gcc libc6-dev meson ninja-build pkg-config python3 libsqlite3-dev libssl-dev
  libjansson-dev libinih-dev"
test_packages="$build_packages libcmocka-dev clang-14 libclang-rt-14-dev curl"
bench_packages="$build_packages nginx-light procps"

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
  test)
    wanted=$test_packages
    # The official clients: whatever Python and Node the machine already has will do.
    command -v pip3 >/dev/null || wanted="$wanted python3-pip"
    python3 -c 'import venv, ensurepip' 2>/dev/null || wanted="$wanted python3-venv"
    command -v node >/dev/null || wanted="$wanted nodejs"
    command -v npm >/dev/null || wanted="$wanted npm"
    ;;
  bench) wanted=$bench_packages ;;
  *) echo "usage: tools/setup.sh [build|test|bench]" >&2; exit 2 ;;
esac

missing=()
for package in $wanted; do
  has_package "$package" || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

echo "setup: installing ${missing[*]}" >&2
export DEBIAN_FRONTEND=noninteractive
as_root apt-get update -qq
# A freshly installed nginx would start as a service; the bench starts its own on a free port.
as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
