#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""api/errors.txt -> errors.h (enum error_code), errors.c (error_rows)."""

import apilib


def header(rows):
    """The enum; a row's number is its place in the file."""
    lines = [apilib.MADE_BY.format(tool="gen_errors.py"), "#pragma once\n", "\nenum error_code {\n", "    E_NONE = 0,\n"]
    for row in rows:
        lines.append(f"    {row.name}, /* {row.status} {row.code} */\n")
    lines.append("    E_COUNT,\n};\n")
    return "".join(lines)


def source(rows):
    """The table, indexed by the enum."""
    first = {}
    for row in rows:
        first.setdefault(row.code, row.name)
    lines = [apilib.MADE_BY.format(tool="gen_errors.py"), '#include "base/fail.h"\n\n',
             "const struct error_row error_rows[E_COUNT] = {\n",
             '    [E_NONE] = {.name = "E_NONE", .code = "", .message = "", .status = 200, .first = E_NONE},\n']
    for row in rows:
        cells = [f".name = {apilib.c_text(row.name)}", f".code = {apilib.c_text(row.code)}",
                 f".status = {row.status}", f".first = {first[row.code]}", f".message = {apilib.c_text(row.message)}"]
        if row.current_message is not None:
            cells.append(f".current_message = {apilib.c_text(row.current_message)}")
        if row.current_status:
            cells.append(f".current_status = {row.current_status}")
        lines.append(f"    [{row.name}] = {{{', '.join(cells)}}},\n")
    lines.append("};\n")
    return "".join(lines)


def generate(api, out):
    """Called by the command line and by the tests."""
    rows = apilib.load_errors(api)
    apilib.write_text(out, "errors.h", header(rows))
    apilib.write_text(out, "errors.c", source(rows))


if __name__ == "__main__":
    apilib.run_generator(__doc__, generate)
