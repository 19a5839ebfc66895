#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# packaging/deb.sh [OUTDIR]   builds ecsd_VERSION_ARCH.deb in OUTDIR (default: build-deb) and prints its path
#
# The same tree gives the same file, wherever and whenever it is built by the same compiler: times are the commit's
# (SOURCE_DATE_EPOCH wins), owners are root, and no path of this machine is in the programs.
set -euo pipefail
umask 022
top=$(cd "$(dirname "$0")/.." && pwd)
out=$(mkdir -p "${1:-$top/build-deb}" && cd "${1:-$top/build-deb}" && pwd)
build=$top/build-deb/meson
export LC_ALL=C

for tool in dpkg-deb dpkg-shlibdeps meson ninja strip; do
  command -v "$tool" >/dev/null || { echo "deb: $tool is missing; apt-get install dpkg-dev and tools/setup.sh build" >&2; exit 1; }
done

# Of a tree without history: what was written last.
commit_time() {
  git -C "$top" log -1 --format=%ct 2>/dev/null ||
    find "$top" -path "$top/build*" -prune -o -type f -printf '%Ts\n' | sort -n | tail -n 1
}
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(commit_time)}
export SOURCE_DATE_EPOCH
arch=$(dpkg --print-architecture)
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT

compile() {
  # FORTIFY does not take a (void) for "ignored on purpose", as we do.
  local flags="-ffile-prefix-map=$top=. -D_FORTIFY_SOURCE=2 -Wno-unused-result"
  [ -f "$build/build.ninja" ] ||
    meson setup "$build" "$top" --prefix=/usr --buildtype=release -Dwerror=true -Dtests=false -Dc_args="$flags" \
      -Dc_link_args='-Wl,-z,relro -Wl,-z,now'
  ninja -C "$build" ${ECSD_JOBS:+-j "$ECSD_JOBS"} ecsd ecsctl
}

put() { # put MODE FILE TARGET: as it is
  install -D -m "$1" "$top/$2" "$tree/$3"
}

# What the tree has for a program in /usr/local is told of ours, and of the file with options.
put_unit() { # put_unit FILE TARGET
  put 644 "$1" "$2"
  sed -i -e 's|/usr/local/bin/ecsd --data|/usr/bin/ecsd --config /etc/ecsd/ecsd.conf --data|' -e 's|/usr/local/bin/|/usr/bin/|g' "$tree/$2"
}

changelog() {
  printf 'ecsd (%s) unstable; urgency=medium\n\n  * Built from the tree; its history says what has changed.\n\n' "$version"
  printf ' -- ecsd maintainers <ecsd@localhost>  %s\n' "$(date -u -R -d "@$SOURCE_DATE_EPOCH")"
}

# The documents lie as they do in the tree, so that what they say of each other is true here, too.
fill() {
  local doc=usr/share/doc/ecsd program file
  for program in ecsd ecsctl; do
    install -D -m 755 "$build/$program" "$tree/usr/bin/$program"
    strip --strip-unneeded --remove-section=.comment --remove-section=.note "$tree/usr/bin/$program"
  done
  put_unit packaging/ecsd.service lib/systemd/system/ecsd.service
  put 644 packaging/deb/ecsd.conf etc/ecsd/ecsd.conf
  put 644 packaging/deb/ecsd.default etc/default/ecsd
  put 644 packaging/deb/copyright $doc/copyright
  mkdir -p "$tree/$doc"
  changelog | gzip -9n >"$tree/$doc/changelog.gz"
  cd "$top"
  for file in README.md LICENSE docs/*.md deploy/*.md deploy/systemd/* deploy/patroni/* packaging/*.md packaging/*.conf; do
    case "$file" in
      *.conf) put_unit "$file" "$doc/$file" ;;
      *) put 644 "$file" "$doc/$file" ;;
    esac
  done
}

# Of the shared libraries that the programs name; libvirt and libpq are loaded when they are asked for.
dependencies() {
  printf 'Source: ecsd\n\nPackage: ecsd\nArchitecture: any\n' >"$root/debian/control"
  (cd "$root" && dpkg-shlibdeps -O -e"$tree/usr/bin/ecsd" -e"$tree/usr/bin/ecsctl") | sed -n 's/^shlibs:Depends=//p'
}

control() {
  local depends size
  mkdir -p "$tree/DEBIAN" # dpkg-shlibdeps tells by it that this is a package
  depends="$(dependencies), init-system-helpers (>= 1.52)"
  size=$(find "$tree" -path "$tree/DEBIAN" -prune -o -type f -printf '%s\n' | awk '{ kib += int(($1 + 1023) / 1024) } END { print kib }')
  sed -e "s|@VERSION@|$version|" -e "s|@ARCH@|$arch|" -e "s|@SIZE@|$size|" -e "s|@DEPENDS@|$depends|" \
    "$top/packaging/deb/control" >"$tree/DEBIAN/control"
  (cd "$tree" && find etc -type f -printf '/%p\n' | sort) >"$tree/DEBIAN/conffiles"
  (cd "$tree" && find usr lib -type f -print0 | sort -z | xargs -0 md5sum) >"$tree/DEBIAN/md5sums"
  install -m 755 "$top"/packaging/deb/{postinst,prerm,postrm} "$tree/DEBIAN/"
}

compile >&2
tree=$root/debian/ecsd
version=$(meson introspect --projectinfo "$build" | python3 -c 'import json, sys; print(json.load(sys.stdin)["version"])')
fill
control
find "$tree" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
deb=$out/ecsd_${version}_$arch.deb
dpkg-deb --root-owner-group --threads-max=1 -Zxz --build "$tree" "$deb" >&2
echo "$deb"
