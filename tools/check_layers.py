#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reads every #include below src/ and fails where one points the wrong way.

    main -> http -> gateway -> actions -> engine -> { store, hypervisor } -> model -> base

An arrow means "may include". The table is exact: what is not in it is forbidden. Prints file:line of each offence.
"""

import argparse
import pathlib
import re
import sys

# Ring (folder below src/) -> rings it may include besides itself. The files directly in src/ are "main".
RINGS = {
    "base": [],
    "model": ["base"],
    "store": ["model", "base"],
    "hypervisor": ["model", "base"],
    "engine": ["store", "hypervisor", "model", "base"],
    "actions": ["engine", "store", "hypervisor", "model", "base"],
    "gateway": ["actions", "store", "model", "base"],
    "http": ["gateway", "base"],
    "cli": ["base"],
    "main": ["http", "gateway", "actions", "engine", "store", "hypervisor", "model", "base"],
}

# Ring -> the header through which other rings reach it; its other headers, and its implementations, are its own affair.
# Rings that are not listed are open to all who may include them at all. Only "main" names implementations.
INTERFACES = {
    "store": "store/store.h",
    "hypervisor": "hypervisor/hypervisor.h",
    "engine": "engine/engine.h",
    "gateway": "gateway/gateway.h",
}

# Generated header -> the innermost ring that may include it, and thus every ring outside of it.
GENERATED = {
    "gen/bug.h": "base",
    "gen/errors.h": "base",
    "gen/options.h": "base",
    "gen/metrics.h": "base",
    "gen/types.h": "base",
    "gen/catalog.h": "base",
    "gen/actions.h": "actions",
}
OUTSIDE_OF = {"base": set(RINGS), "actions": {"actions", "gateway", "main"}}

# Header of another project -> files that may include it.
FOREIGN = [
    (r"libpq-fe\.h", r"store/postgres[a-z_]*\.[ch]"),
    (r"sqlite3\.h", r"store/[a-z0-9_]+\.[ch]"),
    (r"libvirt/.*", r"hypervisor/libvirt[a-z0-9_]*\.[ch]"),
    (r"gnutls/.*", r"http/[a-z0-9_]+\.[ch]"),
    (r"openssl/.*", r"base/(hash|keygen)\.c|http/[a-z0-9_]*(cert|tls)[a-z0-9_]*\.c"),
    (r"jansson\.h", r"(gateway|cli)/[a-z0-9_]+\.[ch]|hypervisor/(agent_reply|libvirt_agent)\.c"),
    (r"ini\.h", r"base/option\.c"),
    (r"cmocka\.h", r"(?!)"),
]

INCLUDE = re.compile(r'^\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)')


def ring_of(path):
    """The ring of a path below src/, or of an include like "base/str.h"."""
    return path.split("/", 1)[0] if "/" in path else "main"


def check_ours(path, include):
    """What is wrong with `#include "include"` in `path`, or None."""
    ring = ring_of(path)
    if include in GENERATED:
        if ring not in OUTSIDE_OF[GENERATED[include]]:
            return f"{ring} may not include {include}"
        return None
    if "/" not in include:
        return f'write "{ring}/{include}": every include names its ring'
    target = ring_of(include)
    if target not in RINGS:
        return f"{include}: no such ring"
    if target == ring:
        return None
    if target not in RINGS[ring]:
        return f"{ring} may not include {target} ({include})"
    if target in INTERFACES and include != INTERFACES[target] and ring != "main":
        return f"{ring} may include {target} only through {INTERFACES[target]}, not {include}"
    return None


def check_foreign(path, include):
    """What is wrong with `#include <include>` in `path`, or None."""
    for header, allowed in FOREIGN:
        if re.fullmatch(header, include) and not re.fullmatch(allowed, path):
            return f"<{include}> may not be included here"
    return None


def check_tree(src):
    """Offences as (path, line, text)."""
    offences = []
    for file in sorted(src.rglob("*.[ch]")):
        path = file.relative_to(src).as_posix()
        if ring_of(path) not in RINGS:
            offences.append((path, 1, "this folder is no ring: add it to the table"))
            continue
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
            match = INCLUDE.match(line)
            if not match:
                continue
            ours, foreign = match.groups()
            # Quotes and angles both: neither spelling is a way around the rule.
            error = check_foreign(path, ours or foreign)
            if not error and ours:
                error = check_ours(path, ours)
            if not error and foreign and ring_of(foreign) in RINGS and "/" in foreign:
                error = f'write "{foreign}"'
            if error:
                offences.append((path, number, error))
    return offences


def main():
    """Exit 1 with a line per offence."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", nargs="?", default=pathlib.Path(__file__).resolve().parent.parent, type=pathlib.Path)
    root = parser.parse_args().root
    files = list((root / "src").rglob("*.[ch]"))
    if not files:
        sys.exit(f"{root}/src: no C files")
    offences = check_tree(root / "src")
    for path, number, text in offences:
        print(f"src/{path}:{number}: {text}")
    print(f"layers: {len(files)} files, {len(offences)} offences")
    sys.exit(1 if offences else 0)


if __name__ == "__main__":
    main()
