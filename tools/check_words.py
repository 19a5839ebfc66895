#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Words that every source file must have, and words that none may have. Prints file:line of each offence.

Every source opens with the licence; nothing is left "to do"; functions that base/banned.h bans are not called, also where
it is not included; the system's clock, randomness and sleep are asked only where they belong; no path of a developer's
machine. What banned.h bans is read from banned.h.
"""

import argparse
import pathlib
import re
import sys

import cscan

LICENCE = "SPDX-License-Identifier: Apache-2.0"
SOURCES = {".c", ".h", ".py", ".sh", ".build", ".mjs", ".sql"}
SKIPPED = {".git", "node_modules", "__pycache__"}
TEXT_ONLY = {".md", ".json", ".txt", ".tsv", ".ini", ".service"}

# Put together so that this file does not contain what it looks for.
UNDONE = re.compile(r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "X" + "XX"]) + r")\b")
MACHINE = re.compile("|".join([r"(?<![\w.$}])/wo" + r"rk/", r"(?<![\w.$}])/ro" + r"ot/", r"(?<![\w.$}])/ho" + r"me/[a-z]",
                               r"/tmp/b" + r"-[A-Za-z]"]))

# Function -> (files below src/ that may call it, what else to use).
KEPT_IN = {
    "time": (r"(?!)", "env_now"),
    # Deadlines of sockets and of the disk run on the monotonic clock; what callers see comes from env.
    "clock_gettime": (r"base/(env|log|spawn)\.c|(http|store|cli)/.*|hypervisor/libvirt\w*\.c|main\.c", "env_now"),
    "gettimeofday": (r"(?!)", "env_now"),
    "getrandom": (r"base/env\.c", "env_random"),
    "sleep": (r"(?!)", "env_wait"),
    "usleep": (r"(?!)", "env_wait"),
    "nanosleep": (r"(?!)", "env_wait"),
    "system": (r"(?!)", "no shell"),
    "popen": (r"(?!)", "no shell"),
    "gets": (r"(?!)", "fgets"),
    "random": (r"(?!)", "env_random"),
}


def banned_functions(root):
    """name -> what to use instead, from the macros of banned.h."""
    text = (root / "src/base/banned.h").read_text(encoding="utf-8")
    found = dict(re.findall(r"^#define (\w+)\(\.\.\.\) banned_\w+?_use_(\w+)", text, re.MULTILINE))
    if len(found) < 20:
        sys.exit("src/base/banned.h: its macros could not be read")
    return found


def check_text(text):
    """(line, what) of forbidden words."""
    for number, line in enumerate(text.splitlines(), 1):
        if UNDONE.search(line):
            yield number, f"left undone: {UNDONE.search(line).group()}"
        if MACHINE.search(line):
            yield number, f"a path of somebody's machine: {MACHINE.search(line).group()}"


def check_licence(text):
    """The licence stands in the first line, or in the second behind #!."""
    lines = text.splitlines()[:2]
    if not lines or not (LICENCE in lines[0] or lines[0].startswith("#!") and LICENCE in lines[-1]):
        yield 1, f"the first line has to say {LICENCE}"


def check_calls(path, text, banned):
    """Calls of banned functions. A member, a declaration's attribute or a name of ours that only contains the word is none."""
    tokens = cscan.split(text, with_directives=True)
    for i, token in enumerate(tokens[:-1]):
        if token.kind != "name" or tokens[i + 1].text != "(":
            continue
        before = tokens[i - 1].text if i else ""
        if before in (".", ">") or tokens[i - 2].text == "#" and before in ("define", "undef"):
            continue
        if token.text in banned:
            yield token.line, f"{token.text} is banned: {banned[token.text].replace('_', ' ')}"
        elif path.startswith("src/") and token.text in KEPT_IN:
            allowed, instead = KEPT_IN[token.text]
            if not re.fullmatch(allowed, path[len("src/"):]):
                yield token.line, f"{token.text} does not belong here: {instead}"


def is_source(file):
    """Has to have the licence."""
    if file.suffix in SOURCES:
        return True
    if file.suffix or not file.is_file():
        return False
    with file.open("rb") as stream:
        return stream.read(2) == b"#!"


def check_file(root, file, banned):
    """Offences of one file as text."""
    path = file.relative_to(root).as_posix()
    if not is_source(file) and file.suffix not in TEXT_ONLY:
        return []
    text = file.read_text(encoding="utf-8", errors="replace")
    found = list(check_text(text))
    if is_source(file):
        found += check_licence(text)
    if file.suffix in (".c", ".h") and path != "src/base/banned.h" and path != "src/base/mem.c":
        found += check_calls(path, text, banned)
    return [f"{path}:{line}: {what}" for line, what in sorted(found)]


def project_files(root):
    """All files but those of version control and of builds (folders with a meson-private)."""
    for entry in sorted(root.iterdir()):
        if entry.is_symlink() or entry.name in SKIPPED:
            continue
        if entry.is_dir():
            if not (entry / "meson-private").exists():
                yield from project_files(entry)
        else:
            yield entry


def main():
    """Exit 1 with a line per offence."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", nargs="?", default=pathlib.Path(__file__).resolve().parent.parent, type=pathlib.Path)
    root = parser.parse_args().root
    banned = banned_functions(root)
    files = list(project_files(root))
    offences = [text for file in files for text in check_file(root, file, banned)]
    for text in offences:
        print(text)
    print(f"words: {len(files)} files, {len(offences)} offences")
    sys.exit(1 if offences else 0)


if __name__ == "__main__":
    main()
