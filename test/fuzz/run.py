#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the fuzz targets, two at a time, and prints what each did. A finding is printed with the way to replay it.

    test/fuzz/run.py --seconds 600 http_parse gateway     # minutes instead of the 30 s of ./check; no name: all
    test/fuzz/run.py --keep                               # what was found new joins the corpus in the tree, made small

What is found goes to BUILD/corpus/TARGET and is where the next run begins.
"""

import argparse
import base64
import concurrent.futures
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
KEEP_BYTES = 2048    # larger inputs don't join the tree
KEEP_TOTAL = 48 * 1024  # of new inputs per target
# libFuzzer looks at the clock on the wall. A target that others leave no processor isn't stuck: its input is judged again by what it computes.
WALL_S = 60
COMPUTING_S = 20
ENVIRONMENT = {"ASAN_OPTIONS": "detect_leaks=1:allocator_may_return_null=0",
               "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1"}


class Run:
    """One target in one build folder."""

    def __init__(self, args, target):
        self.build = pathlib.Path(args.build).resolve()
        self.target = target
        self.seconds = args.seconds
        self.seed = args.seed
        self.program = self.build / "test/fuzz" / f"fuzz_{target}"
        self.tree = HERE / "corpus" / target
        self.found = self.build / "corpus" / target
        self.crashes = self.build / "crashes"
        self.text = ""
        self.starved = False

    def command(self):
        """libFuzzer's; what is new lands in the first folder."""
        words = "option.dict" if self.target == "option" else "api.dict"
        return [str(self.program), f"-max_total_time={self.seconds}", f"-timeout={WALL_S}", "-rss_limit_mb=2048",
                f"-seed={self.seed}", "-print_final_stats=1", "-reload=0", f"-dict={self.program.parent / words}",
                f"-artifact_prefix={self.crashes}/{self.target}-", str(self.found), str(self.tree)]

    def run(self):
        """True when nothing was found."""
        self.found.mkdir(parents=True, exist_ok=True)
        self.crashes.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(self.command(), env={**os.environ, **ENVIRONMENT}, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=self.seconds + 300, check=False)
        self.text = done.stdout.decode("utf-8", "replace")
        self.starved = done.returncode != 0 and self.ends_alone()
        return done.returncode == 0 or self.starved

    def artifact(self):
        """The input that the run ended with, or None."""
        match = re.search(r"Test unit written to (\S+)", self.text)
        return pathlib.Path(match.group(1)) if match else None

    def ends_alone(self):
        """Whether an input that was given up by the clock is done within COMPUTING_S of a processor."""
        path = self.artifact()
        if not path or "libFuzzer: timeout" not in self.text:
            return False
        done = subprocess.run(["prlimit", f"--cpu={COMPUTING_S}", str(self.program), "-timeout=0", str(path)],
                              env={**os.environ, **ENVIRONMENT}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        return done.returncode == 0

    def summary(self):
        """Executions, their rate, and how coverage grew."""
        def last(pattern):
            found = re.findall(pattern, self.text)
            return found[-1] if found else "?"
        covered = re.findall(r"cov: (\d+)", self.text)
        ended = f"; over early: no processor for {WALL_S} s" if self.starved else ""
        return (f"{self.target:12} seed {self.seed}: {last(r'number_of_executed_units: ([0-9]+)'):>9} runs, "
                f"{last(r'average_exec_per_sec: +([0-9]+)'):>6}/s, edges {covered[0] if covered else '?'} to "
                f"{covered[-1] if covered else '?'}, {last(r'new_units_added: +([0-9]+)')} new inputs{ended}")

    def finding(self):
        """What went wrong, the input, and how to see it again."""
        lines = [self.text[-6000:]]
        path = self.artifact()
        if path:
            lines += [f"input (base64): {base64.b64encode(path.read_bytes()).decode()}", f"replay: {self.program} {path}"]
        return "\n".join(lines + [f"again from the start: {' '.join(self.command())}"])

    def keep(self):
        """Adds to the corpus in the tree what reaches something that it does not reach yet."""
        small = self.build / "small" / self.target
        shutil.rmtree(small, ignore_errors=True)
        small.mkdir(parents=True)
        for file in self.found.iterdir():
            if file.stat().st_size <= KEEP_BYTES:
                shutil.copy(file, small)
        merged = self.build / "merged" / self.target
        shutil.rmtree(merged, ignore_errors=True)
        shutil.copytree(self.tree, merged)
        subprocess.run([str(self.program), "-set_cover_merge=1", "-use_counters=0", "-timeout=20", str(merged), str(small)],
                       env={**os.environ, **ENVIRONMENT}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
        total = 0
        for file in sorted(merged.iterdir(), key=lambda file: file.stat().st_size):
            if (self.tree / file.name).exists():
                continue
            total += file.stat().st_size
            if total > KEEP_TOTAL:
                break
            shutil.copy(file, self.tree)


def arguments():
    """The command line; --help says it all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=30, help="for each target (default 30)")
    parser.add_argument("--jobs", type=int, default=2, help="targets at a time (default 2)")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1, 2 ** 31), help="to repeat a run")
    parser.add_argument("--build", default=HERE.parents[1] / "build-clang", help="made with -Dfuzz=true (default build-clang)")
    parser.add_argument("--keep", action="store_true", help="add what earlier runs found to the corpus in the tree; runs nothing")
    parser.add_argument("targets", nargs="*", metavar="TARGET")
    return parser.parse_args()


def main():
    """Exit 1 when anything was found."""
    args = arguments()
    known = sorted(folder.name for folder in (HERE / "corpus").iterdir())
    unknown = set(args.targets) - set(known)
    if unknown:
        sys.exit(f"no such target: {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    runs = [Run(args, target) for target in args.targets or known]
    if args.keep:
        for run in runs:
            run.keep()
        return
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        futures = {pool.submit(run.run): run for run in runs}
        for future in concurrent.futures.as_completed(futures):
            run = futures[future]
            fine = future.result()
            failed += not fine
            print(run.summary(), flush=True)
            if not fine:
                print(run.finding(), flush=True)
    # As meson's tests end: ./check counts these.
    print(f"Ok:   {len(runs) - failed}\nFail: {failed}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
