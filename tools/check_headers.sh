#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# tools/check_headers.sh [BUILD]   each header of ours and each generated one compiles alone
# BUILD (default: build) is a build folder in which the generated headers are made. CC picks the compiler.
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:-build}
cc=${CC:-cc}

[ -d "$build/gen" ] || { echo "$build/gen: not there; build first" >&2; exit 2; }
flags=(-std=gnu17 -D_GNU_SOURCE -fsyntax-only -Wall -Wextra -Wno-missing-field-initializers -Werror -I src -I "$build"
       -include base/banned.h)
# Headers of other projects may live in folders of their own.
for package in sqlite3 jansson libmicrohttpd libcrypto; do
  read -ra more < <(pkg-config --cflags "$package" 2>/dev/null || true) || true
  flags+=("${more[@]}")
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
done < <(cd src && find . -name '*.h' ! -name banned.h -printf '%P\n' | sort; cd "$OLDPWD/$build" 2>/dev/null || cd "../$build"; find gen -maxdepth 1 -name '*.h' | sort)
echo "headers: $count files, $failed offences"
[ "$count" -gt 0 ] && [ "$failed" -eq 0 ]
