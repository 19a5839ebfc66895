/* SPDX-License-Identifier: Apache-2.0 */
/* Signature V3. Input: a raw request; its Authorization header is read, and signed anew with the headers that it lists. */
#include "fuzz/raw_call.h"

#include "gateway/auth_v3.h"
#include "gateway/out.h"
#include "gateway/request.h"
#include "gateway/target.h"

#define SECRET STR("fuzz-secret")
#define CONTENT_HASH STR("x-acs-content-sha256")

/* Headers that we go by (auth_v3.h). */
static const struct str used[] = {STR_INIT("x-acs-action"), STR_INIT("x-acs-version"), STR_INIT("x-acs-date"),
                                  STR_INIT("x-acs-signature-nonce")};

static void add_field(struct buf *out, const char *name, struct str value)
{
    if (value.ptr)
        buf_printf(out, " , %s = %.*s", name, STR_ARG(value));
}

static void check_fields(struct arena *arena, struct str authorization, const struct auth_v3_fields *fields)
{
    struct auth_v3_fields again;
    struct buf out;

    assert(fuzz_inside(fields->algorithm, authorization) && fuzz_inside(fields->key_id, authorization));
    assert(fuzz_inside(fields->signed_headers, authorization) && fuzz_inside(fields->signature, authorization));
    buf_init(&out, 2 * authorization.len + 256);
    buf_add_str(&out, fields->algorithm);
    buf_add_char(&out, ' ');
    add_field(&out, "Signature", fields->signature);
    add_field(&out, "SignedHeaders", fields->signed_headers);
    add_field(&out, "Credential", fields->key_id);
    assert(!out.full);
    again = auth_v3_parse(fuzz_exact(arena, buf_str(&out)));
    assert(str_eq(again.algorithm, fields->algorithm) && fuzz_same(again.signature, fields->signature));
    assert(fuzz_same(again.signed_headers, fields->signed_headers));
    assert(str_eq(again.key_id, str_trim(fields->key_id)));
    buf_done(&out);
}

struct signing {
    struct arena *arena;
    struct call call;
    struct header *headers; /* of `call` */
    struct params params;
    struct auth_v3_fields fields;
};

static bool matches(struct signing *signing)
{
    struct str string = STR_NONE;
    struct str canonical = STR_NONE;
    bool fits = auth_v3_matches(signing->arena, &signing->call, &signing->params, &signing->fields, SECRET, &string,
                                &canonical);

    assert(string.ptr && canonical.ptr);
    return fits;
}

static bool is_listed(struct str list, struct str name)
{
    while (list.len > 0) {
        struct str item;

        (void)str_split(list, ';', &item, &list); /* false: the last one */
        if (str_eq_nocase(str_trim(item), name))
            return true;
    }
    return false;
}

static size_t count_header(const struct call *call, struct str name)
{
    size_t count = 0;

    for (size_t i = 0; i < call->header_count; i++)
        count += str_eq_nocase(call->headers[i].name, name);
    return count;
}

/* Whether a right signature may fit at all: all that we go by is under it. */
static bool is_covered(const struct signing *signing)
{
    for (size_t i = 0; i < countof(used); i++)
        if (count_header(&signing->call, used[i]) > 0 && !is_listed(signing->fields.signed_headers, used[i]))
            return false;
    return true;
}

static struct str percent(struct arena *arena, struct str text)
{
    struct out out;

    out_init(&out, arena, 64, FUZZ_ARENA_BYTES / 8);
    out_percent(&out, text, false);
    return out_text(&out);
}

/* No parameter can change under the signature: its value, its name, or its name to what that looks like encoded. */
static void check_param(struct signing *signing, struct param *param)
{
    struct param before = *param;
    struct str encoded = percent(signing->arena, before.name);

    param->value = arena_printf(signing->arena, "%.*sx", STR_ARG(before.value));
    assert(!matches(signing));
    param->value = before.value;
    param->name = arena_printf(signing->arena, "%.*s~", STR_ARG(before.name));
    assert(!matches(signing));
    param->name = encoded;
    assert(str_eq(encoded, before.name) || !matches(signing));
    *param = before;
}

/* Nor can two become one whose name looks like both. */
static void check_pair(struct signing *signing, size_t first)
{
    struct arena *arena = signing->arena;
    struct params before = signing->params;
    struct param *items = arena_array(arena, struct param, before.count);
    const struct param *a = &before.items[first];
    const struct param *b = &before.items[first + 1];

    memcpy(items, before.items, first * sizeof(*items));
    memcpy(items + first, b, (before.count - first - 1) * sizeof(*items));
    items[first].name = arena_printf(arena, "%.*s=%.*s&%.*s", STR_ARG(percent(arena, a->name)),
                                     STR_ARG(percent(arena, a->value)), STR_ARG(b->name));
    signing->params = (struct params){items, before.count - 1};
    assert(!matches(signing));
    signing->params = before;
}

static void check_params(struct signing *signing)
{
    for (size_t i = 0; i < signing->params.count && i < 16; i++)
        check_param(signing, &signing->params.items[i]);
    for (size_t i = 0; i + 1 < signing->params.count && i < 16; i++)
        check_pair(signing, i);
}

/* What the pipeline will read of a header that it goes by is what was signed: no change, no swap, no second one fits. */
static void check_used_headers(struct signing *signing)
{
    for (size_t i = 0; i < signing->call.header_count && i < 32; i++) {
        struct header *header = &signing->headers[i];
        struct header before = *header;
        bool is_used = false;

        for (size_t k = 0; k < countof(used); k++)
            is_used |= str_eq_nocase(header->name, used[k]);
        if (!is_used)
            continue;
        header->value = arena_printf(signing->arena, "%.*sx", STR_ARG(before.value));
        assert(!matches(signing));
        *header = before;
        for (size_t k = i + 1; k < signing->call.header_count; k++)
            assert(!str_eq_nocase(signing->headers[k].name, before.name)); /* the order of two is under no signature */
    }
}

static void check_body(struct signing *signing)
{
    struct str before = signing->call.body;

    signing->call.body = arena_printf(signing->arena, "%.*sx", STR_ARG(before));
    assert(!matches(signing));
    signing->call.body = before;
}

static struct str payload_of(struct signing *signing)
{
    uint8_t digest[SHA256_BYTES];
    char *hex = arena_alloc(signing->arena, 2 * SHA256_BYTES + 1);

    hash_sha256(signing->call.body, digest);
    hex_encode(digest, sizeof(digest), hex);
    for (size_t i = 0; i < signing->call.header_count; i++) /* a client that says it says it right */
        if (str_eq_nocase(signing->headers[i].name, CONTENT_HASH))
            signing->headers[i].value = str_from(hex);
    return str_from(hex);
}

static void check_signed(struct signing *signing)
{
    struct str payload = payload_of(signing);
    struct str canonical = auth_v3_canonical(signing->arena, &signing->call, &signing->params,
                                             signing->fields.signed_headers, payload, false);
    struct str right = auth_v3_sign(signing->arena, SECRET, auth_v3_string(signing->arena, canonical));

    signing->fields.signature = right;
    if (!is_covered(signing)) {
        assert(!matches(signing));
        return;
    }
    if (!matches(signing)) {
        bool doubled = false;

        for (size_t i = 0; i < countof(used); i++)
            doubled |= count_header(&signing->call, used[i]) > 1;
        /* Refused although signed: more headers than are looked at, or one of those that we go by twice. */
        assert(doubled || signing->fields.signed_headers.len >= 128);
        return;
    }
    signing->fields.signature = str_slice(right.ptr, right.len - 1);
    assert(!matches(signing));
    signing->fields.signature = auth_v3_sign(signing->arena, STR("other"), auth_v3_string(signing->arena, canonical));
    assert(!matches(signing));
    signing->fields.signature = right;
    check_body(signing);
    check_used_headers(signing);
    check_params(signing);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct signing signing = {.params = {NULL, 0}};
    struct arena arena;

    arena_init(&arena, FUZZ_ARENA_BYTES);
    signing.arena = &arena;
    if (raw_call_read(&arena, fuzz_input(data, size), &signing.call) &&
        params_add(&signing.params, &arena, target_split(signing.call.target).query, PARAM_QUERY, NULL) == 0) {
        struct str authorization = call_header(&signing.call, STR("authorization"));

        params_sort(&signing.params);
        signing.headers = arena_array(&arena, struct header, signing.call.header_count);
        for (size_t i = 0; i < signing.call.header_count; i++)
            signing.headers[i] = signing.call.headers[i];
        signing.call.headers = signing.headers;
        signing.fields = auth_v3_parse(authorization);
        check_fields(&arena, authorization, &signing.fields);
        check_signed(&signing);
    }
    arena_done(&arena);
    return 0;
}
