/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/auth_v3.h"

#include <stdlib.h>

#include "gateway/out.h"
#include "gateway/request.h"

#define CANONICAL_MAX ((size_t)1024 * 1024) /* request line and headers, the former tripled */
#define SIGNED_HEADERS_MAX 128              /* SDKs list 7 to 12 */
#define SAME_HEADER_MAX 16                  /* values of one header that are joined */
#define EMPTY_SHA256 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

struct auth_v3_fields auth_v3_parse(struct str authorization)
{
    struct auth_v3_fields fields = {.algorithm = STR_NONE};
    struct str rest;

    (void)str_split(str_trim(authorization), ' ', &fields.algorithm, &rest);
    while (rest.len > 0) {
        struct str field;
        struct str name;
        struct str value;

        (void)str_split(rest, ',', &field, &rest);
        if (!str_split(str_trim(field), '=', &name, &value))
            continue;
        name = str_trim(name);
        if (str_eq_nocase(name, STR("Credential")))
            (void)str_split(str_trim(value), '/', &fields.key_id,
                            &value); /* ACS4 puts its scope behind it */
        else if (str_eq_nocase(name, STR("SignedHeaders")))
            fields.signed_headers = str_trim(value);
        else if (str_eq_nocase(name, STR("Signature")))
            fields.signature = str_trim(value);
    }
    return fields;
}

static void add_query(struct out *out, const struct params *params, bool raw_names)
{
    bool first = true;

    for (size_t i = 0; i < params->count; i++) {
        const struct param *param = &params->items[i];

        if (param->source != PARAM_QUERY)
            continue;
        if (!first)
            out_char(out, '&');
        first = false;
        if (raw_names)
            out_str(out, param->name);
        else
            out_percent(out, param->name, false);
        out_char(out, '=');
        out_percent(out, param->value, false);
    }
}

static int compare_values(const void *left, const void *right)
{
    return str_cmp(*(const struct str *)left, *(const struct str *)right);
}

/* A header that came more than once: its values sorted, joined with commas. */
static void add_header_value(struct out *out, const struct call *call, struct str name)
{
    struct str values[SAME_HEADER_MAX];
    size_t count = 0;

    for (size_t i = 0; i < call->header_count && count < countof(values); i++)
        if (call->headers[i].name.len == name.len && str_eq_nocase(call->headers[i].name, name))
            values[count++] = str_trim(call->headers[i].value);
    if (count > 1)
        qsort(values, count, sizeof(values[0]), compare_values);
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            out_char(out, ',');
        out_str(out, values[i]);
    }
}

static void add_lower(struct out *out, struct str text)
{
    char *room = out_room(out, text.len);

    for (size_t i = 0; room && i < text.len; i++) {
        char c = text.ptr[i];

        room[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
}

static void add_headers(struct out *out, const struct call *call, struct str signed_headers)
{
    size_t count = 0;

    while (signed_headers.len > 0 && count++ < SIGNED_HEADERS_MAX) {
        struct str name;

        (void)str_split(signed_headers, ';', &name, &signed_headers);
        name = str_trim(name);
        add_lower(out, name);
        out_char(out, ':');
        add_header_value(out, call, name);
        out_char(out, '\n');
    }
}

struct str auth_v3_canonical(struct arena *arena, const struct call *call,
                             const struct params *query, struct str signed_headers,
                             struct str payload, bool raw_names)
{
    struct out out;

    out_init(&out, arena, 1024, CANONICAL_MAX);
    out_str(&out, call->method);
    out_cstr(&out, "\n/\n");
    add_query(&out, query, raw_names);
    out_char(&out, '\n');
    add_headers(&out, call, signed_headers);
    out_char(&out, '\n');
    out_str(&out, signed_headers);
    out_char(&out, '\n');
    out_str(&out, payload);
    return out_text(&out);
}

static struct str hex_digest(struct arena *arena, struct str data)
{
    uint8_t digest[SHA256_BYTES];
    char *text = arena_alloc(arena, 2 * SHA256_BYTES + 1);

    hash_sha256(data, digest);
    hex_encode(digest, sizeof(digest), text);
    return str_slice(text, 2 * SHA256_BYTES);
}

struct str auth_v3_string(struct arena *arena, struct str canonical)
{
    struct out out;

    out_init(&out, arena, 96, 96);
    out_cstr(&out, "ACS3-HMAC-SHA256\n");
    out_str(&out, hex_digest(arena, canonical));
    return out_text(&out);
}

struct str auth_v3_sign(struct arena *arena, struct str secret, struct str string)
{
    uint8_t digest[SHA256_BYTES];
    char *text = arena_alloc(arena, 2 * SHA256_BYTES + 1);
    size_t len = hash_hmac(HASH_SHA256, secret, string, digest);

    hex_encode(digest, len, text);
    return str_slice(text, 2 * len);
}

static bool lists(struct str signed_headers, struct str name)
{
    struct str item;

    while (signed_headers.len > 0) {
        (void)str_split(signed_headers, ';', &item, &signed_headers);
        if (str_eq_nocase(str_trim(item), name))
            return true;
    }
    return false;
}

static size_t count_headers(const struct call *call, struct str name)
{
    size_t count = 0;

    for (size_t i = 0; i < call->header_count; i++)
        count += str_eq_nocase(call->headers[i].name, name);
    return count;
}

static size_t count_names(struct str signed_headers)
{
    size_t count = 0;

    for (; signed_headers.len > 0; count++) {
        struct str name;

        (void)str_split(signed_headers, ';', &name, &signed_headers); /* false: the last one */
    }
    return count;
}

/*
 * Headers that decide what is done, and when, have to be under the signature when they are
 * there, and only once: of two, their order decides which we go by, and that nobody signs. A list
 * that is too long to be looked at whole signs nothing.
 */
static bool signs_what_we_use(const struct call *call, struct str signed_headers)
{
    static const struct str used[] = {STR_INIT("x-acs-action"), STR_INIT("x-acs-version"),
                                      STR_INIT("x-acs-date"), STR_INIT("x-acs-signature-nonce")};

    if (count_names(signed_headers) > SIGNED_HEADERS_MAX)
        return false;
    for (size_t i = 0; i < countof(used); i++) {
        size_t count = count_headers(call, used[i]);

        if (count > 1 || (count == 1 && !lists(signed_headers, used[i])))
            return false;
    }
    return true;
}

static bool needs_encoding(struct str name)
{
    return out_percent_length(name, false) != name.len;
}

/* With these left as they are, one name could stand for several parameters, or for another name. */
static bool is_ambiguous(struct str name)
{
    for (size_t i = 0; i < name.len; i++)
        if ((unsigned char)name.ptr[i] <= ' ' || strchr("&=%", name.ptr[i]))
            return true;
    return false;
}

/* Is there a name that raw is another text, and none whose raw text could be misread? */
static bool may_be_raw(const struct params *params)
{
    bool differs = false;

    for (size_t i = 0; i < params->count; i++) {
        const struct param *param = &params->items[i];

        if (param->source != PARAM_QUERY)
            continue;
        if (is_ambiguous(param->name))
            return false;
        differs |= needs_encoding(param->name);
    }
    return differs;
}

bool auth_v3_matches(struct arena *arena, const struct call *call, const struct params *params,
                     const struct auth_v3_fields *fields, struct str secret, struct str *ret_string,
                     struct str *ret_canonical)
{
    struct str claimed = str_trim(call_header(call, STR("x-acs-content-sha256")));
    struct str payload = call->body.len > 0 ? hex_digest(arena, call->body) : STR(EMPTY_SHA256);
    bool body_fits = !claimed.ptr || str_eq_nocase(claimed, payload);
    struct str canonical;
    struct str string;

    if (claimed.ptr)
        payload = claimed;
    canonical = auth_v3_canonical(arena, call, params, fields->signed_headers, payload, false);
    string = auth_v3_string(arena, canonical);
    *ret_string = string;
    *ret_canonical = canonical;
    if (!body_fits || !signs_what_we_use(call, fields->signed_headers))
        return false;
    if (equal_constant_time(auth_v3_sign(arena, secret, string), fields->signature))
        return true;
    if (!may_be_raw(params))
        return false;
    canonical = auth_v3_canonical(arena, call, params, fields->signed_headers, payload, true);
    return equal_constant_time(auth_v3_sign(arena, secret, auth_v3_string(arena, canonical)),
                               fields->signature);
}
