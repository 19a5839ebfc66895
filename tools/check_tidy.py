#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs clang-tidy over src/ with the checks of .clang-tidy; fails on any finding.

    tools/check_tidy.py build-clang            all of src/
    tools/check_tidy.py build-clang engine     only files whose path has the word
    tools/check_tidy.py --deep build-clang     the analyzer follows each function as far as it would by itself

The folder needs a compile_commands.json of clang; generated code is left out. What was clean is not looked at again while
the file, all headers, the checks and the way it is compiled stay as they are: the folder remembers.
"""

import argparse
import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
NODES = 100000  # of the analyzer per function, 225,000 by itself: two thirds of the time, and it found the same
PROGRAM = os.environ.get("CLANG_TIDY", "clang-tidy-14")


def commands_below(build, folder):
    """{source: the way it is compiled} for the sources below the folder; the first way counts."""
    found = {}
    for entry in json.loads((build / "compile_commands.json").read_text()):
        source = pathlib.Path(os.path.normpath(os.path.join(entry["directory"], entry["file"])))
        if source.is_relative_to(folder):
            found.setdefault(source, entry["command"])
    return found


def headers_digest(build):
    """Of all that any source may include, and of the checks."""
    digest = hashlib.sha256((ROOT / ".clang-tidy").read_bytes())
    for folder in (ROOT / "src", build / "gen"):
        for path in sorted(folder.rglob("*.h")):
            digest.update(path.read_bytes())
    return digest.hexdigest()


def findings_of(text):
    """Findings of clang-tidy's output, each with its lines."""
    return re.findall(r"^.*: (?:warning|error): .*(?:\n(?!.*: (?:warning|error): ).*)*", text, re.MULTILINE)


def look(build, source, deep):
    """What clang-tidy says about one source: (source, findings)."""
    budget = [] if deep else [f"--extra-arg={word}" for word in ("-Xclang", "-analyzer-config", "-Xclang", f"max-nodes={NODES}")]
    result = subprocess.run([PROGRAM, "-p", str(build), "--quiet", *budget, str(source)], capture_output=True, text=True)
    found = findings_of(result.stdout)
    if result.returncode and not found:
        found = [f"{source}: {PROGRAM} failed with {result.returncode}: {result.stderr.strip()}"]
    return source, found


def main():
    """Prints the findings and the count."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("words", nargs="*")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--deep", action="store_true")
    options = parser.parse_intermixed_args()
    build = options.build.resolve()
    if not (build / "compile_commands.json").exists():
        sys.exit(f"check_tidy: {build} has no compile_commands.json; configure it with meson first")
    sources = {source: command for source, command in commands_below(build, ROOT / "src").items()
               if not options.words or any(word in str(source.relative_to(ROOT)) for word in options.words)}
    headers, memory = headers_digest(build), build / "tidy-clean.json"
    clean = json.loads(memory.read_text()) if memory.exists() else {}
    keys = {source: hashlib.sha256(f"{headers} {command} ".encode() + source.read_bytes()).hexdigest()
            for source, command in sources.items()}
    wanted = [source for source in sorted(sources) if options.deep or clean.get(str(source)) != keys[source]]
    all_found = set()
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for source, found in pool.map(lambda source: look(build, source, options.deep), wanted):
            for finding in found:
                if finding not in all_found:
                    print(finding.replace(str(ROOT) + "/", ""), flush=True)
            all_found.update(found)
            if not found:
                clean[str(source)] = keys[source]
                memory.write_text(json.dumps(clean))
    print(f"clang-tidy: {len(sources)} files, {len(wanted)} looked at, {len(all_found)} findings")
    return 1 if all_found or not sources else 0


if __name__ == "__main__":
    sys.exit(main())
