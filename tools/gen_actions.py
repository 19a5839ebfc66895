#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""api/actions -> actions.h, actions_shapes.c (requests and replies), actions_table.c (rows; needs the handlers)."""

import apilib
import emit

ROW = """struct action; /* actions/actions.h */

enum action_kind {
    ACTION_READ,  /* over a read-only snapshot */
    ACTION_WRITE, /* in the writer's transaction */
};

struct action_row {
    const char *action;
    const char *product;
    const char *version;
    enum action_kind kind;
    const struct shape *request;
    const struct shape *reply;
    int (*run)(struct action *act, const void *req, void *reply); /* NULL: known to ECS, not built here */
    const char *permission; /* "ecs:StopInstance"; NULL: open to any signed caller */
    const char *resource;   /* ARN with {region}, {account} and {Parameter} */
    bool client_token;
    bool https_only;
    bool post_only;
    enum action_id id; /* its place in action_rows */
};

/* Sorted by version, then action, byte by byte. */
extern const struct action_row action_rows[ACTION_COUNT];
extern const size_t action_row_count;

/* The row of (version, action), case and all; NULL when there is none. */
const struct action_row *action_find(struct str version, struct str action);

struct product_row {
    const char *version;
    const char *product;
    const char *label; /* first label of the host names that clients use */
};
extern const struct product_row product_rows[];
extern const size_t product_row_count;
/* NULL when no product has that version (or label). */
const struct product_row *product_by_version(struct str version);
const struct product_row *product_by_label(struct str label);

"""

FIND = """
const size_t action_row_count = countof(action_rows);

const struct action_row *action_find(struct str version, struct str action)
{
    size_t low = 0, high = countof(action_rows);

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct action_row *row = &action_rows[middle];
        int order = str_cmp(version, str_from(row->version));

        if (order == 0)
            order = str_cmp(action, str_from(row->action));
        if (order == 0)
            return row;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}
"""

PRODUCT_FIND = """
const size_t product_row_count = countof(product_rows);

const struct product_row *product_by_version(struct str version)
{
    for (size_t i = 0; i < countof(product_rows); i++)
        if (str_eq(version, str_from(product_rows[i].version)))
            return &product_rows[i];
    return NULL;
}

const struct product_row *product_by_label(struct str label)
{
    for (size_t i = 0; i < countof(product_rows); i++)
        if (str_eq_nocase(label, str_from(product_rows[i].label)))
            return &product_rows[i];
    return NULL;
}
"""


def action_id(action):
    """ACTION_STOP_INSTANCE"""
    return f"ACTION_{action.symbol}".upper()


def handler(action):
    """What the ring `actions` defines."""
    return (f"int {action.symbol}(struct action *act, const struct {action.symbol}_request *req,\n"
            f"    struct {action.symbol}_reply *reply);\n")


def own_shapes(api):
    """Shapes of the actions that are not already those of types.json."""
    shared = emit.unique_shapes(api.types.objects.values())
    roots = [shape for action in api.actions if action.built for shape in (action.request, action.reply)]
    own = [shape for shape in emit.unique_shapes(roots) if shape not in shared]
    names = [shape.struct for shape in own + shared]
    for name in names:
        if names.count(name) > 1:
            raise apilib.ApiError(f"two objects are called {name} in C; give one a name in types.json")
    return own, roots


def header(api):
    """actions.h"""
    own, roots = own_shapes(api)
    text = apilib.MADE_BY.format(tool="gen_actions.py") + '#pragma once\n\n#include "gen/types.h"\n\nenum action_id {\n'
    text += "".join(f"    {action_id(action)},\n" for action in api.actions) + "    ACTION_COUNT,\n};\n\n" + ROW
    for shape in own:
        text += emit.struct_text(shape, with_list=shape not in roots)
    text += "".join(emit.shape_declaration(shape) for shape in own) + "\n"
    return text + "".join(handler(action) for action in api.actions if action.built)


def shapes_source(api):
    """actions_shapes.c"""
    text = apilib.MADE_BY.format(tool="gen_actions.py") + '#include "gen/actions.h"\n#include "gen/errors.h"\n'
    for shape in own_shapes(api)[0]:
        text += "\n" + emit.shape_definition(shape)
    text += "\nconst struct product_row product_rows[] = {\n"
    for row in api.products:
        text += (f"    {{{apilib.c_text(row['version'])}, {apilib.c_text(row['product'])}, "
                 f"{apilib.c_text(row['label'])}}},\n")
    return text + "};\n" + PRODUCT_FIND


def _row(action):
    cells = [f".action = {apilib.c_text(action.action)}", f".product = {apilib.c_text(action.product)}",
             f".version = {apilib.c_text(action.version)}", f".kind = ACTION_{action.kind.upper()}",
             f".id = {action_id(action)}"]
    if action.built:
        cells += [f".request = &{action.symbol}_request_shape", f".reply = &{action.symbol}_reply_shape",
                  f".run = run_{action.symbol}"]
    if action.permission:
        cells += [f".permission = {apilib.c_text(action.permission)}", f".resource = {apilib.c_text(action.resource)}"]
    cells += [f".{flag} = true" for flag in ("client_token", "https_only", "post_only") if getattr(action, flag)]
    return f"    [{action_id(action)}] = {{{', '.join(cells)}}},\n"


def table_source(api):
    """actions_table.c"""
    text = apilib.MADE_BY.format(tool="gen_actions.py") + '#include "gen/actions.h"\n'
    for action in api.actions:
        if action.built:
            text += (f"\nstatic int run_{action.symbol}(struct action *act, const void *req, void *reply)\n{{\n"
                     f"    return {action.symbol}(act, req, reply);\n}}\n")
    text += "\nconst struct action_row action_rows[ACTION_COUNT] = {\n"
    return text + "".join(_row(action) for action in api.actions) + "};\n" + FIND


def generate(api_folder, out):
    """Called by the command line and by the tests."""
    api = apilib.load_api(api_folder)
    apilib.write_text(out, "actions.h", header(api))
    apilib.write_text(out, "actions_shapes.c", shapes_source(api))
    apilib.write_text(out, "actions_table.c", table_source(api))


if __name__ == "__main__":
    apilib.run_generator(__doc__, generate)
