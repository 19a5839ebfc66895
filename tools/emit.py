# SPDX-License-Identifier: Apache-2.0
"""Shapes as C text: the struct and its struct shape."""

import apilib


def unique_shapes(roots):
    """Every shape in and under `roots`, innermost first, each once."""
    found = []
    for root in roots:
        found += [shape for shape in root.nested() + [root] if shape not in found]
    return found


def struct_text(shape, with_list):
    """struct X { … }; and, where lists of it are used, struct X_list."""
    members = []
    for field in shape.fields:
        c_type = field.c_type()
        gap = "" if c_type.endswith("*") else " "
        members.append(f"    {c_type}{gap}{field.member};\n")
    body = "".join(members) or "    char unused; /* no members on the wire */\n"
    text = f"struct {shape.struct} {{\n{body}}};\n"
    if with_list:
        text += f"struct {shape.struct}_list {{\n    struct {shape.struct} *items;\n    size_t count;\n}};\n"
    return text + "\n"


def shape_declaration(shape):
    """For the header."""
    return f"extern const struct shape {shape.struct}_shape;\n"


def _field_row(shape, field):
    cells = [f".name = {apilib.c_text(field.name)}"]
    if field.item:
        cells.append(f".item = {apilib.c_text(field.item)}")
    cells.append(f".kind = SHAPE_{field.kind}")
    if field.flags:
        cells.append(".flags = " + " | ".join(f"SHAPE_{flag}" for flag in field.flags))
    cells.append(f".offset = offsetof(struct {shape.struct}, {field.member})")
    if field.shape is not None:
        cells.append(f".object = &{field.shape.struct}_shape")
    if field.enum:
        cells.append(f".words = {field.enum}_words")
    if field.default is not None:
        cells.append(f".default_text = {apilib.c_text(field.default)}")
    for name in ("min", "max", "max_items"):
        if getattr(field, name):
            cells.append(f".{name} = {getattr(field, name)}")
    for name in ("error", "too_many", "missing"):
        if getattr(field, name):
            cells.append(f".{name} = {getattr(field, name)}")
    return f"    {{{', '.join(cells)}}},\n"


def shape_definition(shape):
    """The table of fields and the shape over it."""
    name = shape.struct
    if not shape.fields:
        return (f"const struct shape {name}_shape = {{.name = {apilib.c_text(shape.name)}, "
                f".size = sizeof(struct {name})}};\n")
    rows = "".join(_field_row(shape, field) for field in shape.fields)
    return (f"static const struct shape_field {name}_fields[] = {{\n{rows}}};\n"
            f"const struct shape {name}_shape = {{.name = {apilib.c_text(shape.name)}, .size = sizeof(struct {name}),\n"
            f"    .fields = {name}_fields, .count = countof({name}_fields)}};\n")
