#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""api/config.json -> options.h (struct options, enums), options.c (option_rows)."""

import pathlib
import re

import apilib

C_TYPES = {"bool": "bool", "int": "int64_t", "float": "double", "text": "struct str", "enum": "int"}
NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*\.[a-z][a-z0-9]*(_[a-z0-9]+)*")
MEMBERS = {"name", "type", "default", "min", "max", "words", "help"}
# More than a double holds exactly, and bounds would be compared wrongly.
EXACT = 2 ** 53


class Option:
    """One row of config.json."""

    def __init__(self, facts, place):
        apilib.check_members(facts, MEMBERS, {"name", "type", "default", "help"}, place)
        self.name = apilib.check_type(facts["name"], str, place)
        if not NAME.fullmatch(self.name):
            raise apilib.ApiError(f"{place}: {self.name!r} is not section.name")
        place = f"config.json: {self.name}"
        self.member = self.name.replace(".", "_")
        self.type = facts["type"]
        if self.type not in C_TYPES:
            raise apilib.ApiError(f"{place}: type is one of {', '.join(C_TYPES)}")
        self.help = apilib.check_type(facts["help"], str, place)
        if "\n" in self.help or not self.help.endswith("."):
            raise apilib.ApiError(f"{place}: help is one line that ends in a period")
        self._read_bounds(facts, place)
        self._read_words(facts, place)
        self.default = self._read_default(facts["default"], place)

    def _read_bounds(self, facts, place):
        numeric = self.type in ("int", "float")
        if numeric != ("min" in facts) or numeric != ("max" in facts):
            raise apilib.ApiError(f"{place}: numbers, and only they, have min and max")
        self.min = facts.get("min", 0)
        self.max = facts.get("max", 0)
        if not -EXACT <= self.min <= self.max <= EXACT:
            raise apilib.ApiError(f"{place}: min {self.min} to max {self.max} is no range")

    def _read_words(self, facts, place):
        self.words = facts.get("words", [])
        if (self.type == "enum") != bool(self.words) or len(set(map(str.lower, self.words))) != len(self.words):
            raise apilib.ApiError(f"{place}: an enum, and nothing else, has words, each once")

    def _read_default(self, value, place):
        wanted = {"bool": bool, "int": int, "text": str, "enum": str}.get(self.type, (int, float))
        if not isinstance(value, wanted) or (self.type != "bool" and isinstance(value, bool)):
            raise apilib.ApiError(f"{place}: default {value!r} is not of type {self.type}")
        if self.type in ("int", "float") and not self.min <= value <= self.max:
            raise apilib.ApiError(f"{place}: default {value} is out of bounds")
        if self.type == "enum" and value not in self.words:
            raise apilib.ApiError(f"{place}: default {value!r} is not one of the words")
        return str(value).lower() if self.type == "bool" else str(value)


def load_options(api):
    """Rows of config.json in order; no name, and no name in C or in the environment, stands twice."""
    rows = apilib.check_type(apilib.load_json(pathlib.Path(api) / "config.json"), list, "config.json")
    options = [Option(row, f"config.json[{i}]") for i, row in enumerate(rows)]
    seen = set()
    for option in options:
        if option.member in seen:
            raise apilib.ApiError(f"config.json: {option.name} stands twice")
        seen.add(option.member)
    return options


def header(options):
    """One member per option, and an enum per option that has words."""
    lines = [apilib.MADE_BY.format(tool="gen_options.py"), "#pragma once\n\n", '#include "base/str.h"\n\n']
    for option in options:
        if option.words:
            lines.append(f"enum option_{option.member} {{\n")
            lines += [f"    {apilib.constant(option.member, word)},\n" for word in option.words]
            lines.append("};\n\n")
    lines.append(f"#define OPTION_COUNT {len(options)}\n\nstruct options {{\n")
    for option in options:
        note = f" /* enum option_{option.member} */" if option.words else ""
        lines.append(f"    {C_TYPES[option.type]} {option.member};{note}\n")
    lines.append("};\n")
    return "".join(lines)


def source(options):
    """The table that base/option.c interprets."""
    lines = [apilib.MADE_BY.format(tool="gen_options.py"), '#include "base/option.h"\n\n']
    for option in options:
        if option.words:
            words = ", ".join(apilib.c_text(word) for word in option.words)
            lines.append(f"static const char *const {option.member}_words[] = {{{words}, NULL}};\n")
    lines.append("\nconst struct option_row option_rows[] = {\n")
    for option in options:
        cells = [f".name = {apilib.c_text(option.name)}", f".kind = OPTION_{option.type.upper()}",
                 f".offset = offsetof(struct options, {option.member})"]
        if option.type in ("int", "float"):
            cells += [f".min = {float(option.min)!r}", f".max = {float(option.max)!r}"]
        if option.words:
            cells.append(f".words = {option.member}_words")
        cells += [f".default_text = {apilib.c_text(option.default)}", f".help = {apilib.c_text(option.help)}"]
        lines.append(f"    {{{', '.join(cells)}}},\n")
    lines.append("};\nconst size_t option_row_count = countof(option_rows);\n")
    return "".join(lines)


def generate(api, out):
    """Called by the command line and by the tests."""
    options = load_options(api)
    apilib.write_text(out, "options.h", header(options))
    apilib.write_text(out, "options.c", source(options))


if __name__ == "__main__":
    apilib.run_generator(__doc__, generate)
