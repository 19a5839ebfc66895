#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# tools/check_headers.sh [BUILD]   each header of ours and each generated one compiles alone
# BUILD (default: build) is a build folder in which the generated headers are made. CC picks the compiler.
set -euo pipefail
build=$(realpath "${1:-$(dirname "$0")/../build}")
cd "$(dirname "$0")/.."
cc=${CC:-cc}

[ -d "$build/gen" ] || { echo "$build/gen: not there; build first" >&2; exit 2; }
flags=(-std=gnu17 -D_GNU_SOURCE -fsyntax-only -Wall -Wextra -Wno-missing-field-initializers -Werror -I src -I "$build"
       -include base/banned.h)
# Headers of other projects may live in folders of their own.
for package in sqlite3 jansson libcrypto libpq; do
  read -ra more < <(pkg-config --cflags "$package" 2>/dev/null; echo)
  flags+=(${more[@]+"${more[@]}"})
done

count=0
failed=0
while IFS= read -r header; do
  count=$((count + 1))
  # Twice: it has to guard itself, too.
  if ! printf '#include "%s"\n#include "%s"\n' "$header" "$header" | "$cc" "${flags[@]}" -x c - ; then
    echo "$header:1: does not compile alone"
    failed=$((failed + 1))
  fi
done < <(find src "$build/gen" -name '*.h' ! -name banned.h | sed -e 's|^src/||' -e "s|^$build/||" | sort)
echo "headers: $count files, $failed offences"
[ "$count" -gt 0 ] && [ "$failed" -eq 0 ]
