#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the tests reach, measured by gcov: lines and branches of each ring, and the transitions of the state tables.

    tools/coverage.py                    build, run unit and conformance tests, report; fails below the floors
    tools/coverage.py --long             the black-box tests as well
    tools/coverage.py --show engine      no tests: lists what the last run did not reach in that ring (or file)

What is counted:
  * code below src/. Generated code is not: a generator has its own tests, and its output is tables;
  * every line that gcov calls executable, once, however many programs it was compiled into;
  * every way out of every condition, but for those in an assertion and in a line for the log: that an assertion fails
    means a fault of ours, which no input may cause, so the way into abort() is there to be never taken; and whether the
    log has that level decides nothing;
  * every move that a `struct sm` allows: test/coverage/moves.c notes which were made.
A process that is killed leaves no counts of gcov, so what only such a process reached counts as not reached.
"""

import argparse
import collections
import json
import os
import pathlib
import re
import subprocess
import sys

import cscan

ROOT = pathlib.Path(__file__).resolve().parent.parent
LINES_FLOOR, BRANCHES_FLOOR = 90.0, 85.0
RINGS_WITH_FLOOR = ("model", "engine", "store", "gateway")
ASSERTIONS = {"assert", "slow_assert", "static_assert", "log_debug", "log_info", "log_notice", "log_warning", "log_error"}
GCOV_BATCH = 40


class Counts:
    """What became of one ring or file: lines and branches, reached and in all."""

    def __init__(self):
        self.lines, self.lines_hit, self.branches, self.branches_hit = 0, 0, 0, 0

    def add(self, other):
        """Sums up."""
        for name in vars(self):
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def line_rate(self):
        """Per cent of lines."""
        return 100.0 * self.lines_hit / self.lines if self.lines else 100.0

    def branch_rate(self):
        """Per cent of branches."""
        return 100.0 * self.branches_hit / self.branches if self.branches else 100.0


def assertion_lines(source):
    """Numbers of the lines that belong to an assertion or a line for the log, from its name to its closing bracket."""
    tokens, found = cscan.split(source), set()
    for i, token in enumerate(tokens):
        if token.text not in ASSERTIONS or i + 1 >= len(tokens) or tokens[i + 1].text != "(":
            continue
        depth = 0
        for end in tokens[i + 1:]:
            depth += (end.text == "(") - (end.text == ")")
            if depth == 0:
                found.update(range(token.line, end.line + 1))
                break
    return found


def merge(documents):
    """Documents of `gcov --json-format` → {file: {(line, function): [count, [count of each branch]]}}."""
    files = collections.defaultdict(dict)
    for document in documents:
        folder = document["current_working_directory"]
        for entry in document["files"]:
            path = os.path.normpath(os.path.join(folder, entry["file"]))
            lines = files[path]
            for line in entry["lines"]:
                key = (line["line_number"], line.get("function_name", ""))
                branches = [branch["count"] for branch in line["branches"]]
                seen = lines.setdefault(key, [0, branches and [0] * len(branches)])
                seen[0] += line["count"]
                if len(seen[1]) == len(branches):
                    seen[1] = [a + b for a, b in zip(seen[1], branches)]
    return files


def judge(lines, source):
    """(Counts, lines never reached, {line: [reached or not, of each branch]}) of one file."""
    asserted, counts = assertion_lines(source), Counts()
    reached, ways = collections.defaultdict(int), collections.defaultdict(list)
    for (number, _), (count, branches) in lines.items():
        reached[number] += count
        if number not in asserted:
            ways[number] = [a + b for a, b in zip(ways[number], branches)] \
                if len(ways[number]) == len(branches) else ways[number] + branches
    counts.lines, counts.lines_hit = len(reached), sum(1 for count in reached.values() if count)
    counts.branches = sum(len(branches) for branches in ways.values())
    counts.branches_hit = sum(1 for branches in ways.values() for count in branches if count)
    return counts, sorted(n for n in reached if not reached[n]), {n: [bool(c) for c in b] for n, b in ways.items()}


def transitions(text, tables):
    """What moves.c noted → (number of moves that the tables allow, moves never made, tables never used)."""
    may, took = set(), set()
    for line in set(text.splitlines()):
        what, _, move = line.partition(" ")
        if move.split(" ")[0] in tables:
            (may if what == "may" else took).add(move)
    return len(may), sorted(may - took), sorted(set(tables) - {move.split(" ")[0] for move in may})


def state_tables():
    """Names of the state tables below src/."""
    names = set()
    for path in (ROOT / "src").rglob("*.c"):
        names.update(re.findall(r"^const struct sm \w+ = \{\"(\w+)\"", path.read_text(), re.MULTILINE))
    return names


def run(command, **more):
    """Runs a command; its failure is ours."""
    print("+", " ".join(str(word) for word in command), flush=True)
    subprocess.run([str(word) for word in command], check=True, **more)


def build_and_test(build, black_box):
    """Builds with counters, forgets old counts, runs the tests. Worlds of tests live in memory where they can."""
    options = ["-Db_coverage=true", "-Dtests=true", "-Dwerror=true", "-Doptimization=0"]
    run(["meson", "setup", *(["--reconfigure"] if (build / "build.ninja").exists() else []), build, *options],
        cwd=ROOT, stdout=subprocess.DEVNULL)
    run(["ninja", "-C", build], stdout=subprocess.DEVNULL)
    for old in build.rglob("*.gcda"):
        old.unlink()
    moves = build / "moves.txt"
    moves.unlink(missing_ok=True)
    environment = dict(os.environ, ECSD_MOVES=str(moves), ECSD_BUILD=str(build), PYTHONDONTWRITEBYTECODE="1")
    if os.access("/dev/shm", os.W_OK):
        environment["TMPDIR"] = "/dev/shm"
    run(["meson", "test", "-C", build, "--no-rebuild", "--print-errorlogs", "--num-processes", "2",
         "--timeout-multiplier", "4"], env=environment)
    if black_box:
        run([sys.executable, "-m", "unittest", "discover", "-s", "test/api", "-p", "test_*.py"], cwd=ROOT,
            env=dict(environment, ECSD_SLOW="4"))


def read_counts(build):
    """Asks gcov about all that was compiled, reached or not."""
    notes = sorted(path.with_suffix(".gcda") if path.with_suffix(".gcda").exists() else path
                   for path in build.rglob("*.gcno"))
    documents = []
    for start in range(0, len(notes), GCOV_BATCH):
        answer = subprocess.run(["gcov", "--json-format", "--stdout", "--branch-probabilities",
                                 *map(str, notes[start:start + GCOV_BATCH])],
                                check=True, capture_output=True, text=True, cwd=build)
        documents += [json.loads(line) for line in answer.stdout.splitlines() if line.startswith("{")]
    return {pathlib.Path(path).relative_to(ROOT / "src"): lines for path, lines in merge(documents).items()
            if pathlib.Path(path).is_relative_to(ROOT / "src")}


def show(files, word):
    """What was not reached in the files whose path has the word."""
    for path in sorted(files):
        if word not in path.parts and word not in str(path):
            continue
        source = (ROOT / "src" / path).read_text()
        counts, unreached, ways = judge(files[path], source)
        print(f"== src/{path}: {counts.line_rate():.1f} % of {counts.lines} lines, "
              f"{counts.branch_rate():.1f} % of {counts.branches} branches")
        for number, text in enumerate(source.splitlines(), 1):
            missed = [i for i, taken in enumerate(ways.get(number, [])) if not taken]
            if number in unreached:
                print(f"{number:5} never        {text}")
            elif missed:
                print(f"{number:5} {len(missed):2} of {len(ways[number]):2} ways {text}")


def report(files, moves):
    """Prints the table; returns what is below its floor."""
    rings, offences = collections.defaultdict(Counts), []
    for path, lines in files.items():
        rings[path.parts[0]].add(judge(lines, (ROOT / "src" / path).read_text())[0])
    print(f"{'ring':12} {'lines':>7} {'reached':>9} {'branches':>9} {'reached':>9}")
    for ring, counts in sorted(rings.items()):
        print(f"{ring:12} {counts.lines:7} {counts.line_rate():7.2f} % {counts.branches:9} {counts.branch_rate():7.2f} %")
        if ring in RINGS_WITH_FLOOR and counts.line_rate() < LINES_FLOOR:
            offences.append(f"{ring}: {counts.line_rate():.2f} % of lines, at least {LINES_FLOOR} %")
        if ring in RINGS_WITH_FLOOR and counts.branch_rate() < BRANCHES_FLOOR:
            offences.append(f"{ring}: {counts.branch_rate():.2f} % of branches, at least {BRANCHES_FLOOR} %")
    allowed, missed, unused = transitions(moves, state_tables())
    print(f"transitions: {allowed - len(missed)} of {allowed} taken")
    return offences + [f"never taken: {move}" for move in missed] + [f"state table never used: {name}" for name in unused]


def main():
    """Measures, or shows what was measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build-coverage")
    parser.add_argument("--long", action="store_true", help="run the black-box tests as well")
    parser.add_argument("--show", metavar="WORD", help="what the last run did not reach in files of that ring or name")
    parser.add_argument("--report", action="store_true", help="report what the last run has left, run nothing")
    options = parser.parse_args()
    build = options.build.resolve()
    if not options.show and not options.report:
        build_and_test(build, options.long)
    files = read_counts(build)
    if options.show:
        show(files, options.show)
        return 0
    moves = build / "moves.txt"
    offences = report(files, moves.read_text() if moves.exists() else "")
    for offence in offences:
        print(offence, file=sys.stderr)
    return 1 if offences else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except subprocess.CalledProcessError as failure:
        sys.exit(f"coverage: {failure.cmd[0]} failed with {failure.returncode}")
