#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# guest/build.sh OUTDIR   makes the guest from Debian packages: vmlinuz, initrd, cmdline, disk.qcow2, guest.json
#
# Needs the Debian packages: apt dpkg python3 e2fsprogs qemu-utils (tools/setup.sh installs them). Runs as any user.
# ECSD_GUEST_CACHE names the folder that keeps downloaded packages; without it they are kept nowhere.
# The same packages give the same bytes, wherever and by whomever it is built.
set -euo pipefail
export LC_ALL=C PATH=$PATH:/usr/sbin:/sbin
umask 022

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
disk_size=64M
disk_uuid=6563736d-6775-4573-8464-69736b000001 # any will do, but always the same
disk_time=1700000000                           # likewise

say() { printf 'guest: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

check_tools() {
  local tool
  for tool in apt-get apt-cache dpkg-deb python3 mke2fs qemu-img; do
    command -v "$tool" >/dev/null || die "$tool is missing, see the head of guest/build.sh"
  done
  [ "$(dpkg --print-architecture)" = amd64 ] || die "the guest is built on amd64"
}

depends_of() { # depends_of PACKAGE [--recurse]
  apt-cache depends --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces --no-enhances "$@"
}

# The packages that the guest is made of, by name. The kernel's name holds its version, so it is asked for.
resolve_packages() {
  local kernel
  kernel=$(depends_of linux-image-cloud-amd64 | sed -n 's/^ *|\{0,1\}Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1)
  [ -n "$kernel" ] || die "apt knows no linux-image-cloud-amd64; apt-get update first"
  printf '%s\n' "$kernel" busybox-static qemu-guest-agent
  depends_of --recurse qemu-guest-agent | grep -E '^(lib|zlib)' | grep -v -e perl -e '^libdb' -e '^libgdbm' | sort -u
}

# Prints the files of the named packages in the cache, having downloaded those that are not there as apt wants them.
fetch_packages() { # fetch_packages CACHE PACKAGE…
  local cache=$1 wanted file sum missing=()
  shift
  wanted=$(cd "$work/download" && apt-get download --print-uris "$@" | sed -n "s/^'[^']*' \([^ ]*\) [0-9]* SHA256:\(.*\)$/\2 \1/p")
  [ "$(wc -l <<<"$wanted")" -eq $# ] || die "apt can't say where all of these are: $*"
  while read -r sum file; do
    echo "$sum  $cache/$file" | sha256sum --check --status 2>/dev/null || missing+=("${file%%_*}")
  done <<<"$wanted"
  if [ ${#missing[@]} -gt 0 ]; then
    say "downloading ${missing[*]}"
    # As root apt would change to a user of its own, who may not write here.
    (cd "$work/download" && apt-get download -qq -o APT::Sandbox::User="$(id -un)" "${missing[@]}") ||
      die "the packages could not be downloaded; apt-get update first"
    mv "$work"/download/*.deb "$cache/"
  fi
  while read -r sum file; do echo "$cache/$file"; done <<<"$wanted"
}

unpack_packages() { # unpack_packages FILE…
  local file
  for file in "$@"; do dpkg-deb -x "$file" "$work/unpacked"; done
}

# The agent and the libraries that its own loader finds for it, of the unpacked packages only.
list_agent_files() {
  local root=$work/unpacked list
  list=$("$root/lib64/ld-linux-x86-64.so.2" --inhibit-cache --list \
    --library-path "$root/lib/x86_64-linux-gnu:$root/usr/lib/x86_64-linux-gnu" "$root/usr/sbin/qemu-ga")
  sed -n 's/^.* => \([^ ]*\) (.*$/\1/p' <<<"$list" | grep -v '/ld-linux' | while read -r file; do
    case $file in "$root"/*) echo "${file#"$root/"}" ;; *) die "the agent needs a library of no package: $file" ;; esac
  done
  ! grep -q 'not found' <<<"$list" || die "the agent lacks a library: $list"
  echo lib64/ld-linux-x86-64.so.2
  echo usr/sbin/qemu-ga
}

copy_modules() {
  local when name file number=10
  while read -r when name; do
    file=$(find "$work/unpacked/lib/modules" -name "$name.ko")
    [ -n "$file" ] || die "the kernel's package has no module $name"
    # The number keeps the order of loading.
    install -D -m 644 "$file" "$work/tree/lib/modules/$when/$number-$name.ko"
    number=$((number + 1))
  done < <(sed '/^#/d' "$here/modules")
}

make_tree() {
  local tree=$work/tree file applet
  mkdir -p "$tree"/{bin,sbin,usr/bin,usr/sbin,proc,sys,dev,run,tmp,data,seed,var}
  cp -R "$here/files/." "$tree/"
  install -m 755 "$work/unpacked/bin/busybox" "$tree/bin/busybox"
  ln -s ../run "$tree/var/run"
  for applet in $("$tree/bin/busybox" --list); do
    [ -e "$tree/bin/$applet" ] || ln -s busybox "$tree/bin/$applet"
  done
  list_agent_files >"$work/agent-files"
  while read -r file; do install -D -m 755 "$work/unpacked/$file" "$tree/$file"; done <"$work/agent-files"
  copy_modules
}

make_disk() { # make_disk FILE
  rm -f "$work/disk.raw"
  E2FSPROGS_FAKE_TIME=$disk_time mke2fs -q -t ext4 -b 4096 -m 0 -L ecsd-guest -U "$disk_uuid" \
    -E "hash_seed=$disk_uuid,root_owner=0:0,lazy_itable_init=0,lazy_journal_init=0" "$work/disk.raw" "$disk_size" >/dev/null
  qemu-img convert -f raw -O qcow2 "$work/disk.raw" "$1"
}

main() {
  [ $# -eq 1 ] || { echo "usage: guest/build.sh OUTDIR" >&2; exit 2; }
  local cache packages files
  check_tools
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  cache=${ECSD_GUEST_CACHE:-$work/cache}
  mkdir -p "$1" "$cache" "$work"/{download,unpacked,made}
  cache=$(cd "$cache" && pwd)
  resolve_packages >"$work/packages"
  mapfile -t packages <"$work/packages"
  fetch_packages "$cache" "${packages[@]}" >"$work/files"
  mapfile -t files <"$work/files"
  unpack_packages "${files[@]}"
  make_tree
  make_disk "$work/made/disk.qcow2"
  sed -e '/^#/d' "$here/cmdline" | paste -sd ' ' >"$work/made/cmdline"
  install -m 644 "$work"/unpacked/boot/vmlinuz-* "$work/made/vmlinuz"
  python3 "$here/pack.py" initrd "$work/tree" "$work/made/initrd"
  python3 "$here/pack.py" describe "$work/made" "$disk_size" "${files[@]}" >"$work/guest.json"
  mv "$work/guest.json" "$work"/made/* "$1/"
}

main "$@"
