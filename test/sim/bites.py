#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Does the simulation find bugs? Builds it with each deliberate bug of src/base/bug.h and plays the fixed seeds.

One build folder serves all: another bug compiles again only the files that may have it. Prints a line per bug, with the law
that told it and after how long; ends with 1 where one went unnoticed.

    test/sim/bites.py [--build DIR] [--seeds 1-60] [NAME…]
"""

import argparse
import pathlib
import re
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def names():
    """Of all deliberate bugs, as the header has them."""
    text = (ROOT / "src/base/bug.h").read_text(encoding="utf-8")
    return [name for name in re.findall(r"^    BUG_(\w+),", text, re.MULTILINE) if name != "none"]


def run(*words):
    """A command that has to succeed."""
    done = subprocess.run(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(words)}\n{done.stdout}")


def build(folder, bug):
    """ecsd-sim with that bug."""
    if not (ROOT / folder / "build.ninja").exists():
        run("meson", "setup", folder, "-Dtests=true", "--buildtype=debugoptimized")
    run("meson", "configure", folder, f"-Dbug={bug}")
    run("ninja", "-C", folder, "ecsd-sim")


def play(folder, seeds):
    """(law, command) of the first failure; None: all seeds passed."""
    done = subprocess.run([ROOT / folder / "ecsd-sim", "--seeds", seeds], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          errors="replace", check=False)
    if done.returncode == 0:
        return None
    law = re.search(r"^broken: (.*)", done.stderr, re.MULTILINE)
    again = re.search(r"--seed \d+ --steps \d+", done.stderr)
    return (law.group(1) if law else f"ended with {done.returncode}", again.group(0) if again else "?")


def main():
    """Exit 1 when a bug was not found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build-bug")
    parser.add_argument("--seeds", default="1-90")
    parser.add_argument("name", nargs="*")
    arguments = parser.parse_args()
    missed = 0
    for bug in arguments.name or names():
        build(arguments.build, bug)
        start = time.monotonic()
        found = play(arguments.build, arguments.seeds)
        missed += found is None
        law, again = found or ("NOT FOUND", arguments.seeds)
        print(f"{bug:24} {time.monotonic() - start:5.1f} s  {law} ({again})", flush=True)
    build(arguments.build, "none")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
