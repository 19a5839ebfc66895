#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# tools/guest.sh DIR: sees to it that the guest image is in DIR, made from what is in guest/ now. Quick when it is.
set -euo pipefail
cd "$(dirname "$0")/.."

dir=$1
stamp=$(cat guest/build.sh guest/pack.py guest/modules guest/cmdline $(find guest/files -type f | LC_ALL=C sort) | sha256sum | cut -d' ' -f1)
[ "$(cat "$dir/made-from" 2>/dev/null)" = "$stamp" ] && exit 0

mkdir -p "$dir"
rm -f "$dir/made-from"
export ECSD_GUEST_CACHE=${ECSD_GUEST_CACHE:-$(dirname "$dir")/guest-cache}
mkdir -p "$ECSD_GUEST_CACHE"
if ! guest/build.sh "$dir" >"$dir/build.log" 2>&1; then
  # Most often apt has no lists of packages yet, or old ones.
  if [ "$(id -u)" = 0 ]; then apt-get update -qq; else sudo apt-get update -qq; fi
  guest/build.sh "$dir" >"$dir/build.log" 2>&1 || { tail -n 20 "$dir/build.log" >&2; exit 1; }
fi
echo "$stamp" >"$dir/made-from"
