#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Fails where a function or a file is too big to be read at once. There is no white-list.

A function has at most 70 lines, 4 levels of nesting and a cyclomatic complexity of 15 (1, and 1 for each if, for, while,
case, &&, ||, ? and for_each macro); nine of ten have at most 50 lines; a file has at most 900. Prints file:line.
"""

import argparse
import pathlib
import sys

import cscan

FUNCTION_LINES = 70
FUNCTION_LINES_P90 = 50
NESTING = 4
COMPLEXITY = 15
FILE_LINES = 900
FOLDERS = ("src", "test", "bench")


def check_function(function):
    """What is too much about it."""
    limits = [("lines", function.lines, FUNCTION_LINES), ("levels of nesting", function.nesting, NESTING),
              ("complexity", function.complexity, COMPLEXITY)]
    return [f"{function.name}: {value} {what}, at most {limit}" for what, value, limit in limits if value > limit]


def check_source(name, source):
    """(offences, lengths of all functions) of one file."""
    offences, lengths = [], []
    count = source.count("\n") + (not source.endswith("\n"))
    if count > FILE_LINES:
        offences.append(f"{name}:{FILE_LINES + 1}: {count} lines, at most {FILE_LINES}")
    for function in cscan.functions(source):
        lengths.append(function.lines)
        offences += [f"{name}:{function.line}: {text}" for text in check_function(function)]
    return offences, lengths


def check_lengths(lengths):
    """The rule about nine of ten."""
    lengths = sorted(lengths)
    p90 = lengths[len(lengths) * 9 // 10] if lengths else 0
    return p90, [f"one function in ten is longer than {p90 - 1} lines, at most {FUNCTION_LINES_P90}"] * (p90 > FUNCTION_LINES_P90)


def main():
    """Exit 1 with a line per offence."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", nargs="?", default=pathlib.Path(__file__).resolve().parent.parent, type=pathlib.Path)
    root = parser.parse_args().root
    offences, lengths, files = [], [], 0
    for file in sorted(file for folder in FOLDERS for file in (root / folder).rglob("*.[ch]")):
        found, file_lengths = check_source(file.relative_to(root).as_posix(), file.read_text(encoding="utf-8"))
        offences += found
        lengths += file_lengths
        files += 1
    if not lengths:
        sys.exit(f"{root}: no functions found")
    p90, found = check_lengths(lengths)
    offences += found
    for text in offences:
        print(text)
    print(f"sizes: {files} files, {len(lengths)} functions, p90 {p90} lines, {len(offences)} offences")
    sys.exit(1 if offences else 0)


if __name__ == "__main__":
    main()
