#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Counts instructions per call under callgrind, and fails where one passes its budget. What else the computer does changes nothing.

    bench/count.py [--build DIR] [--only stop,status,page]

bench/instructions.c is the work: one thread, a seeded clock, calls parsed from HTTP's bytes, signatures checked, stops committed 64
at a time and carried on until Stopped. Neither sockets nor the kernel are in the figures. Two sizes of each work are counted, and
the difference is divided: what happens once is not a call's. Budgets are in bench/budget.json, with what was counted when they
were set (in the build of ./check, gcc 12 -O2); a change that costs more on purpose moves its budget and says why. The margin is for
other processors: libraries choose their code by what these can do.
"""

import argparse
import json
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
SIZES = {"stop": (192, 448), "status": (128, 384), "page": (8, 24)}


def count(program, work, calls, folder):
    done = subprocess.run(["valgrind", "--tool=callgrind", "--toggle-collect=measured*", f"--callgrind-out-file={folder}/out",
                           str(program), work, str(calls)], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{work}: {done.stderr}")
    collected = int(re.search(r"Collected : (\d+)", done.stderr).group(1))
    if collected == 0:
        sys.exit("callgrind found no function measured*")
    return collected


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build")
    parser.add_argument("--only", type=lambda text: text.split(","), default=list(SIZES))
    options = parser.parse_args()

    budgets = json.loads((ROOT / "bench/budget.json").read_text())["instructions"]
    subprocess.run(["ninja", "-C", str(options.build), "--quiet", "instructions"], check=True)
    program = options.build / "instructions"
    over = 0
    with tempfile.TemporaryDirectory(prefix="ecsd-count-") as folder:
        for work in options.only:
            small, large = SIZES[work]
            each = (count(program, work, large, folder) - count(program, work, small, folder)) / (large - small)
            budget = budgets[work]["budget"]
            over += each > budget
            print(f"{work:<8}{each:>12,.0f} instructions a call  budget {budget:>12,}  counted when it was set"
                  f" {budgets[work]['counted']:>12,}{'' if each <= budget else '  OVER'}", flush=True)
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
