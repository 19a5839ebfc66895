#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""api/types.json -> types.h, types.c: enums with their words, shared objects with their shapes."""

import apilib
import emit


def enum_header(name, words):
    """The enum, its words, its text."""
    rows = "".join(f"    {apilib.constant(name, word)}, /* {word} */\n" for word in words)
    count = f"{name}_COUNT".upper()
    return (f"enum {name} {{\n{rows}    {count},\n}};\n"
            f"extern const char *const {name}_words[{count} + 1]; /* NULL-terminated */\n"
            f"const char *{name}_text(enum {name} value);\n\n")


def enum_source(name, words):
    """The same in C."""
    rows = "".join(f"    {apilib.c_text(word)},\n" for word in words)
    count = f"{name}_COUNT".upper()
    return (f"const char *const {name}_words[{count} + 1] = {{\n{rows}    NULL,\n}};\n\n"
            f"const char *{name}_text(enum {name} value)\n{{\n"
            f"    assert((unsigned)value < {count});\n    return {name}_words[value];\n}}\n\n")


HEAD = """#pragma once

#include "base/shape.h"

struct int_list {
    int64_t *items;
    size_t count;
};

struct enum_list {
    int *items; /* indices of the enum's words */
    size_t count;
};

/* The index of `text` in `words` (NULL-terminated), compared without case; -1 when it isn't there. */
int words_find(const char *const *words, struct str text);

"""

TAIL = """int words_find(const char *const *words, struct str text)
{
    for (int i = 0; words[i]; i++)
        if (str_eq_nocase(str_from(words[i]), text))
            return i;
    return -1;
}
"""


def generate(api, out):
    """Called by the command line and by the tests."""
    types = apilib.load_types(api)
    made_by = apilib.MADE_BY.format(tool="gen_types.py")
    shapes = emit.unique_shapes(types.objects.values())
    header = made_by + HEAD + "".join(enum_header(*entry) for entry in types.enums.items())
    header += "".join(emit.struct_text(shape, with_list=True) for shape in shapes)
    header += "".join(emit.shape_declaration(shape) for shape in shapes)
    source = made_by + '#include "gen/errors.h"\n#include "gen/types.h"\n\n' + "".join(enum_source(*entry) for entry in types.enums.items()) + TAIL
    source += "".join("\n" + emit.shape_definition(shape) for shape in shapes)
    apilib.write_text(out, "types.h", header)
    apilib.write_text(out, "types.c", source)


if __name__ == "__main__":
    apilib.run_generator(__doc__, generate)
