/* SPDX-License-Identifier: Apache-2.0 */
/* The JSON encoder. Input: a document (plan.h). jansson reads what was written, and finds the same. */
#include "fuzz/fuzz.h"

#include <jansson.h>

#include "fuzz/plan.h"

/* As text comes back: the same, or with '?' for each byte that is not ASCII when it isn't UTF-8. */
static bool same_text(const json_t *value, struct str text)
{
    struct str read = str_slice(json_string_value(value), json_string_length(value));

    if (str_is_utf8(text))
        return str_eq(read, text);
    for (size_t i = 0; i < text.len; i++)
        if (i >= read.len || read.ptr[i] != ((uint8_t)text.ptr[i] < 0x80 ? text.ptr[i] : '?'))
            return false;
    return read.len == text.len;
}

static void check(const struct plan *part, const json_t *value);

static void check_list(const struct plan *part, const json_t *value)
{
    if (part->kind == PLAN_WRAPPED) {
        assert(json_is_object(value) && json_object_size(value) == 1);
        value = json_object_get(value, part->item);
    }
    assert(json_is_array(value) && json_array_size(value) == part->count);
    for (size_t i = 0; i < part->count; i++)
        check(part->parts[i], json_array_get(value, i));
}

static void check(const struct plan *part, const json_t *value)
{
    switch (part->kind) {
    case PLAN_TEXT:
        assert(json_is_string(value) && same_text(value, part->text));
        break;
    case PLAN_NUMBER:
        assert(json_is_integer(value) && json_integer_value(value) == part->number);
        break;
    case PLAN_TRUTH:
        assert(json_is_boolean(value) && json_is_true(value) == (part->number != 0));
        break;
    case PLAN_OBJECT:
        assert(json_is_object(value) && json_object_size(value) == part->count);
        for (size_t i = 0; i < part->count; i++)
            check(part->parts[i], json_object_get(value, part->parts[i]->name));
        break;
    case PLAN_LIST:
    case PLAN_WRAPPED:
        check_list(part, value);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct plan *root;
    struct str text;
    json_t *read;

    arena_init(&arena, FUZZ_ARENA_BYTES);
    root = plan_read(&arena, fuzz_input(data, size));
    text = plan_write(&arena, &encode_json, root);
    for (size_t i = 0; i < text.len; i++)
        assert((uint8_t)text.ptr[i] >= ' '); /* one line, whatever it holds */
    read = json_loadb(text.ptr, text.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
    check(root, read);
    json_decref(read);
    arena_done(&arena);
    return 0;
}
