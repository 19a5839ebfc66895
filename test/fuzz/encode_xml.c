/* SPDX-License-Identifier: Apache-2.0 */
/* The XML encoder. Input: a document (plan.h). expat reads what was written, and finds the same. */
#include "fuzz/fuzz.h"

#include "fuzz/plan.h"
#include "fuzz/xml_kit.h"

static void expect(struct buf *out, const struct plan *part);

static void expect_value(struct buf *out, const struct plan *part)
{
    char digits[I64_TEXT_MAX];
    struct buf text;

    buf_init(&text, part->text.len + 1);
    xml_replace(&text, part->text);
    if (part->kind == PLAN_TEXT)
        xml_event_text(out, buf_str(&text));
    else if (part->kind == PLAN_NUMBER)
        xml_event_text(out, str_print_i64(part->number, digits));
    else
        xml_event_text(out, part->number ? STR("true") : STR("false"));
    buf_done(&text);
}

/* A list without a wrapping is its items, one after the other. */
static void expect(struct buf *out, const struct plan *part)
{
    if (part->kind != PLAN_LIST)
        buf_printf(out, "(%s", part->name);
    if (part->kind < PLAN_OBJECT)
        expect_value(out, part);
    for (size_t i = 0; i < part->count; i++)
        expect(out, part->parts[i]);
    if (part->kind != PLAN_LIST)
        buf_add_char(out, ')');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct buf expected;
    struct buf found;
    struct plan *root;
    struct str text;

    arena_init(&arena, FUZZ_ARENA_BYTES);
    buf_init(&expected, LIMIT_REPLY_BYTES);
    buf_init(&found, LIMIT_REPLY_BYTES);
    root = plan_read(&arena, fuzz_input(data, size));
    text = plan_write(&arena, &encode_xml, root);
    assert(xml_events(text, &found));
    expect(&expected, root);
    assert(!expected.full && str_eq(buf_str(&expected), buf_str(&found)));
    buf_done(&expected);
    buf_done(&found);
    arena_done(&arena);
    return 0;
}
