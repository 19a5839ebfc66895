/* SPDX-License-Identifier: Apache-2.0 */
/* JSON that clients send: bodies, maps in a parameter, RAM policies. Input: the text. */
#include "fuzz/fuzz.h"

#include <jansson.h>

#include "gateway/encode.h"
#include "gateway/params.h"
#include "gateway/policy.h"

static bool same_params(const struct params *a, const struct params *b)
{
    bool same = a->count == b->count;

    for (size_t i = 0; same && i < a->count; i++)
        same = str_eq(a->items[i].name, b->items[i].name) && str_eq(a->items[i].value, b->items[i].value);
    return same;
}

/* Texts, numbers and truth values: each is a parameter. */
static size_t count_leaves(json_t *value)
{
    size_t count = 0;
    const char *name;
    json_t *member;
    size_t index;

    if (json_is_object(value))
        json_object_foreach(value, name, member) count += count_leaves(member);
    else if (json_is_array(value))
        json_array_foreach(value, index, member) count += count_leaves(member);
    else
        count = !json_is_null(value);
    return count;
}

/* Written again by somebody else, with other blanks and escapes, it says the same. */
static void check_rewritten(struct arena *arena, json_t *root, const struct params *params, size_t flags)
{
    struct params again = {NULL, 0};
    char *text = json_dumps(root, flags | JSON_REAL_PRECISION(17));

    assert(text);
    assert(params_add_json(&again, arena, str_from(text), NULL) == 0);
    assert(same_params(params, &again));
    free(text);
}

static void check_body(struct arena *arena, struct str text)
{
    struct params params = {NULL, 0};
    struct fail fail;
    json_t *root = json_loadb(text.ptr, text.len, JSON_REJECT_DUPLICATES, NULL);
    int r;

    fail_init(&fail, arena);
    r = params_add_json(&params, arena, text, &fail);
    assert(params.count <= LIMIT_PARAMS);
    for (size_t i = 0; i < params.count; i++) {
        const struct param *param = &params.items[i];

        assert(param->name.len <= LIMIT_NAME_BYTES && str_is_utf8(param->name) && str_is_utf8(param->value));
        assert(!memchr(param->value.ptr, '\0', param->value.len));
    }
    if (r < 0) {
        assert(r == -(int)fail.code);
        assert(r != -E_BAD_REQUEST || !json_is_object(root));
    } else if (str_trim(text).len > 0) {
        assert(json_is_object(root) && params.count == count_leaves(root));
        check_rewritten(arena, root, &params, JSON_COMPACT | JSON_ENSURE_ASCII);
        check_rewritten(arena, root, &params, JSON_INDENT(1) | JSON_ESCAPE_SLASH);
    }
    json_decref(root);
}

static void check_map(struct arena *arena, struct str text)
{
    struct text_pair_list list = {NULL, 7};
    struct text_pair_list again;
    struct out out;
    int r = params_read_map(arena, text, &list);

    if (r < 0) {
        assert((r == -E_INVALID || r == -E_EXISTS) && list.count == 7);
        return;
    }
    out_init(&out, arena, 64, FUZZ_ARENA_BYTES / 8);
    out_char(&out, '{');
    for (size_t i = 0; i < list.count; i++) {
        if (i > 0)
            out_char(&out, ',');
        encode_json_text(&out, list.items[i].name);
        out_char(&out, ':');
        encode_json_text(&out, list.items[i].value);
    }
    out_char(&out, '}');
    assert(!out.full && params_read_map(arena, out_text(&out), &again) == 0 && again.count == list.count);
    for (size_t i = 0; i < list.count; i++) {
        assert(str_eq(again.items[i].name, list.items[i].name));
        assert(str_eq(again.items[i].value, list.items[i].value));
    }
}

/* A document that was taken for a policy decides. */
static void check_policy(struct str text)
{
    static const struct str actions[] = {STR_INIT("ecs:StopInstance"), STR_INIT("ecs:RunInstances"), STR_INIT("sts:x")};

    for (size_t i = 0; i < countof(actions); i++) {
        enum policy_verdict verdict = POLICY_EXPLICIT_DENY;
        int r = policy_decide(text, actions[i], STR("acs:ecs:cn-hangzhou:1:instance/i-1"), &verdict);

        assert(r == 0 || r == -E_INVALID);
        assert(r == 0 || !policy_valid(text));
        assert(r == 0 || verdict == POLICY_EXPLICIT_DENY);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = fuzz_input(data, size);
    struct arena arena;

    arena_init(&arena, FUZZ_ARENA_BYTES);
    check_body(&arena, text);
    check_map(&arena, text);
    check_policy(text);
    arena_done(&arena);
    return 0;
}
