/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/plan.h"

#include <stdio.h>

#include "fuzz/fuzz.h"

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static struct str unescape(struct arena *arena, struct str text)
{
    char *bytes = xcalloc(1, text.len + 1);
    size_t len = 0;

    for (size_t i = 0; i < text.len; i++) {
        bool escaped = text.ptr[i] == '\\' && i + 2 < text.len && digit(text.ptr[i + 1]) >= 0 && digit(text.ptr[i + 2]) >= 0;

        bytes[len] = text.ptr[i];
        if (escaped)
            bytes[len] = (char)(digit(text.ptr[i + 1]) << 4 | digit(text.ptr[i + 2]));
        len++;
        i += escaped ? 2 : 0;
    }
    text = fuzz_exact(arena, str_slice(bytes, len));
    (void)xfree(bytes);
    return text;
}

struct reading {
    struct arena *arena;
    struct plan *open[PLAN_DEPTH];
    size_t depth;
    unsigned names;
};

/* The part joins the innermost that is open. A list has no lists: shapes have none such. */
static void add(struct reading *reading, struct plan *part)
{
    struct plan *parent = reading->open[reading->depth - 1];
    bool in_list = parent->kind == PLAN_LIST || parent->kind == PLAN_WRAPPED;

    part->name = arena_printf(reading->arena, "m%u", reading->names++).ptr;
    if (in_list)
        part->name = parent->item ? parent->item : parent->name;
    if (part->kind == PLAN_WRAPPED)
        part->item = arena_printf(reading->arena, "i%u", reading->names++).ptr;
    if (in_list && (part->kind == PLAN_LIST || part->kind == PLAN_WRAPPED))
        part->kind = PLAN_OBJECT;
    arena_push(reading->arena, parent->parts, parent->count, part);
}

static void take_line(struct reading *reading, struct str line)
{
    static const char words[] = "=#?{[(";
    const char *word = line.len > 0 && line.ptr[0] ? strchr(words, line.ptr[0]) : NULL;
    struct plan *part;

    if (line.len > 0 && line.ptr[0] == '}' && reading->depth > 1)
        reading->depth--;
    if (!word)
        return;
    part = arena_new(reading->arena, struct plan);
    part->kind = (enum plan_kind)(word - words);
    part->text = unescape(reading->arena, str_slice(line.ptr + 1, line.len - 1));
    if (part->kind == PLAN_NUMBER && str_to_i64(part->text, &part->number) < 0)
        part->number = (int64_t)part->text.len;
    if (part->kind == PLAN_TRUTH)
        part->number = str_eq(part->text, STR("1"));
    add(reading, part);
    if (part->kind >= PLAN_OBJECT && reading->depth < PLAN_DEPTH)
        reading->open[reading->depth++] = part;
}

struct plan *plan_read(struct arena *arena, struct str text)
{
    struct reading reading = {.arena = arena, .depth = 1};
    struct plan *root = arena_new(arena, struct plan);

    root->kind = PLAN_OBJECT;
    root->name = "Root";
    reading.open[0] = root;
    while (text.len > 0) {
        struct str line;

        (void)str_split(text, '\n', &line, &text); /* false: the last one */
        take_line(&reading, line);
    }
    return root;
}

static void write_part(struct encoder *encoder, const struct plan *part, bool is_item)
{
    const struct encoder_ops *ops = encoder->ops;
    char digits[I64_TEXT_MAX];
    bool is_list = part->kind == PLAN_LIST || part->kind == PLAN_WRAPPED;

    if (part->kind == PLAN_TEXT)
        ops->value(encoder, part->name, is_item, part->text, false);
    else if (part->kind == PLAN_NUMBER)
        ops->value(encoder, part->name, is_item, str_print_i64(part->number, digits), true);
    else if (part->kind == PLAN_TRUTH)
        ops->value(encoder, part->name, is_item, part->number ? STR("true") : STR("false"), true);
    if (part->kind < PLAN_OBJECT)
        return;
    if (is_list)
        ops->list_open(encoder, part->name, part->item);
    else
        ops->object_open(encoder, part->name, is_item);
    for (size_t i = 0; i < part->count; i++)
        write_part(encoder, part->parts[i], is_list);
    if (is_list)
        ops->list_close(encoder, part->name, part->item);
    else
        ops->object_close(encoder, part->name);
}

struct str plan_write(struct arena *arena, const struct encoder_ops *ops, const struct plan *root)
{
    struct encoder encoder = {.ops = ops};
    struct out out;

    out_init(&out, arena, 16, LIMIT_REPLY_BYTES);
    encoder.out = &out;
    ops->open(&encoder, root->name);
    for (size_t i = 0; i < root->count; i++)
        write_part(&encoder, root->parts[i], false);
    ops->close(&encoder, root->name);
    assert(!out.full);
    return fuzz_exact(arena, out_text(&out));
}
