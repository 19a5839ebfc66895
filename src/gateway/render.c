/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/render.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "gateway/encode.h"
#include "gateway/target.h"

#define FIRST_BYTES 512
#define NUMBER_MAX 40
static_assert(NUMBER_MAX >= I64_TEXT_MAX, "a number is printed into it");

/* Layout of every list in a request or reply struct (base/shape.h). */
struct list_any {
    const char *items;
    size_t count;
};

static void emit_object(struct encoder *encoder, const struct shape *shape, const char *base);

/*
 * The shortest text that reads back as the same number, without an exponent that clients trip
 * over.
 */
static size_t print_float(double value, char text[NUMBER_MAX])
{
    int len = 0;

    for (int digits = 1; digits <= 17; digits++) {
        len = snprintf(text, NUMBER_MAX, "%.*g", digits, value);
        if (!strchr(text, 'e') && strtod(text, NULL) == value)
            break; /* 160, not 1.6e+02 */
    }
    if (strchr(text, 'e') || strchr(text, 'n')) /* 1e+20, nan, inf */
        len = snprintf(text, NUMBER_MAX, "%.6f", value > -1e30 && value < 1e30 ? value : 0.0);
    return (size_t)len;
}

static struct str number_text(int64_t value, char text[NUMBER_MAX])
{
    return str_print_i64(value, text);
}

static struct str bool_text(bool value)
{
    return value ? STR("true") : STR("false");
}

/*
 * One value, its opt_ layer taken off, as text in *ret; false: absent. Numbers and times are
 * printed into `text`.
 */
static bool scalar_text(const struct shape_field *field, const char *place, char text[NUMBER_MAX],
                        struct str *ret)
{
    const void *at = place;
    int index;

    *ret = STR("");
    switch (field->kind) {
    case SHAPE_STR:
        if (!((const struct str *)at)->ptr)
            return false;
        *ret = *(const struct str *)at;
        return true;
    case SHAPE_BOOL:
        *ret = bool_text(*(const bool *)at);
        return true;
    case SHAPE_INT:
        *ret = number_text(*(const int64_t *)at, text);
        return true;
    case SHAPE_FLOAT:
        *ret = str_slice(text, print_float(*(const double *)at, text));
        return true;
    case SHAPE_ENUM:
        index = *(const int *)at;
        *ret = index >= 0 ? str_from(field->words[index]) : STR("");
        return index >= 0;
    case SHAPE_TIME_MINUTE:
    case SHAPE_TIME_SECOND:
        if (*(const usec_t *)at == 0)
            return false;
        *ret = str_slice(text, field->kind == SHAPE_TIME_MINUTE
                                   ? time_print_minute(*(const usec_t *)at, text)
                                   : time_print_second(*(const usec_t *)at, text));
        return true;
    case SHAPE_OBJECT:
        break;
    }
    assert(false);
    return false;
}

static bool is_bare(const struct shape_field *field)
{
    return field->kind == SHAPE_BOOL || field->kind == SHAPE_INT || field->kind == SHAPE_FLOAT;
}

/* Where the value of the opt_ form stands; NULL: it is not set. */
static const char *opt_value(const struct shape_field *field, const char *place)
{
    const void *at = place;

    switch (field->kind) {
    case SHAPE_BOOL:
        return ((const struct opt_bool *)at)->set
                   ? (const char *)&((const struct opt_bool *)at)->value
                   : NULL;
    case SHAPE_INT:
        return ((const struct opt_int *)at)->set
                   ? (const char *)&((const struct opt_int *)at)->value
                   : NULL;
    case SHAPE_FLOAT:
        return ((const struct opt_float *)at)->set
                   ? (const char *)&((const struct opt_float *)at)->value
                   : NULL;
    case SHAPE_STR:
    case SHAPE_ENUM:
    case SHAPE_TIME_MINUTE:
    case SHAPE_TIME_SECOND:
    case SHAPE_OBJECT:
        break;
    }
    return place;
}

static void emit_scalar(struct encoder *encoder, const struct shape_field *field, const char *place)
{
    char text[NUMBER_MAX];
    struct str value;
    bool present;

    if (field->flags & SHAPE_OPT) {
        place = opt_value(field, place);
        if (!place)
            return; /* a number or boolean that is not there has no text of its own */
    }
    present = scalar_text(field, place, text, &value);
    if (present || !(field->flags & SHAPE_OMIT))
        encoder->ops->value(encoder, field->name, false, value, is_bare(field));
}

static size_t item_size(const struct shape_field *field)
{
    switch (field->kind) {
    case SHAPE_STR:
        return sizeof(struct str);
    case SHAPE_BOOL:
        return sizeof(bool);
    case SHAPE_INT:
        return sizeof(int64_t);
    case SHAPE_FLOAT:
        return sizeof(double);
    case SHAPE_ENUM:
        return sizeof(int);
    case SHAPE_TIME_MINUTE:
    case SHAPE_TIME_SECOND:
        return sizeof(usec_t);
    case SHAPE_OBJECT:
        return field->object->size;
    }
    assert(false);
    return 0;
}

static void emit_list(struct encoder *encoder, const struct shape_field *field, const char *place)
{
    const struct list_any *list = (const void *)place;
    const char *name = field->item ? field->item : field->name;
    const char *item = list->items;
    char text[NUMBER_MAX];
    struct str value;

    if (list->count == 0 && field->flags & SHAPE_OMIT)
        return;
    encoder->ops->list_open(encoder, field->name, field->item);
    for (size_t i = 0; i < list->count; i++, item += item_size(field)) {
        if (field->kind == SHAPE_OBJECT) {
            encoder->ops->object_open(encoder, name, true);
            emit_object(encoder, field->object, item);
            encoder->ops->object_close(encoder, name);
            continue;
        }
        (void)scalar_text(field, item, text, &value); /* an absent item is an empty text */
        encoder->ops->value(encoder, name, true, value, is_bare(field));
    }
    encoder->ops->list_close(encoder, field->name, field->item);
}

static void emit_embedded(struct encoder *encoder, const struct shape_field *field,
                          const char *place)
{
    if (field->flags & SHAPE_OPT)
        place = *(const char *const *)(const void *)place;
    if (!place)
        return;
    encoder->ops->object_open(encoder, field->name, false);
    emit_object(encoder, field->object, place);
    encoder->ops->object_close(encoder, field->name);
}

static void emit_object(struct encoder *encoder, const struct shape *shape, const char *base)
{
    for (size_t i = 0; i < shape->count; i++) {
        const struct shape_field *field = &shape->fields[i];

        if (field->flags & SHAPE_LIST)
            emit_list(encoder, field, base + field->offset);
        else if (field->kind == SHAPE_OBJECT)
            emit_embedded(encoder, field, base + field->offset);
        else
            emit_scalar(encoder, field, base + field->offset);
    }
}

static const struct encoder_ops *ops_of(enum reply_format format)
{
    return format == FORMAT_JSON ? &encode_json : &encode_xml;
}

static struct str finish(const struct out *out)
{
    return out->full ? STR_NONE : out_text(out);
}

static const char *root_of(const struct request *request)
{
    if (request->format == FORMAT_JSON)
        return ""; /* JSON documents have no name */
    return arena_printf(request->arena, "%sResponse", request->row->action).ptr; /* ends in NUL */
}

static void open_reply(struct encoder *encoder, const struct request *request, struct out *out,
                       const char *root)
{
    out_init(out, request->arena, FIRST_BYTES, LIMIT_REPLY_BYTES);
    *encoder = (struct encoder){.ops = ops_of(request->format), .out = out};
    encoder->ops->open(encoder, root);
    encoder->ops->value(encoder, "RequestId", false, str_slice(request->id, 36), false);
}

struct str render_reply(const struct request *request, const struct shape *shape, const void *reply)
{
    const char *root = root_of(request);
    struct encoder encoder;
    struct out out;

    open_reply(&encoder, request, &out, root);
    emit_object(&encoder, shape, reply);
    encoder.ops->close(&encoder, root);
    return finish(&out);
}

struct str render_members(struct arena *arena, const struct shape *shape, const void *reply)
{
    struct encoder encoder = {.ops = &encode_json};
    struct out out;

    out_init(&out, arena, FIRST_BYTES, LIMIT_REPLY_BYTES);
    encoder.out = &out;
    emit_object(&encoder, shape, reply);
    return finish(&out);
}

/* ── what was kept ── */

static void emit_json(struct encoder *encoder, const char *name, bool is_item, const json_t *value);

/* Our own replies only: an object with one list in it reads the same whether it is a wrapped list
 * or not. */
static void emit_json_object(struct encoder *encoder, const json_t *object)
{
    const char *name;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)object, name, value)
        emit_json(encoder, name, false, value);
}

static void emit_json_scalar(struct encoder *encoder, const char *name, bool is_item,
                             const json_t *value)
{
    char text[NUMBER_MAX];

    if (json_is_string(value))
        encoder->ops->value(encoder, name, is_item,
                            str_slice(json_string_value(value), json_string_length(value)), false);
    else if (json_is_boolean(value))
        encoder->ops->value(encoder, name, is_item, bool_text(json_is_true(value)), true);
    else if (json_is_integer(value))
        encoder->ops->value(encoder, name, is_item, number_text(json_integer_value(value), text),
                            true);
    else
        encoder->ops->value(encoder, name, is_item,
                            str_slice(text, print_float(json_number_value(value), text)), true);
}

static void emit_json(struct encoder *encoder, const char *name, bool is_item, const json_t *value)
{
    size_t index;
    json_t *item;

    if (json_is_object(value)) {
        encoder->ops->object_open(encoder, name, is_item);
        emit_json_object(encoder, value);
        encoder->ops->object_close(encoder, name);
    } else if (json_is_array(value)) {
        encoder->ops->list_open(encoder, name, NULL);
        json_array_foreach(value, index, item) emit_json(encoder, name, true, item);
        encoder->ops->list_close(encoder, name, NULL);
    } else {
        emit_json_scalar(encoder, name, is_item, value);
    }
}

struct str render_kept(const struct request *request, struct str members)
{
    const char *root = root_of(request);
    struct encoder encoder;
    json_error_t error;
    struct out text;
    struct out out;
    json_t *object;

    out_init(&text, request->arena, members.len + 2, LIMIT_REPLY_BYTES + 2);
    out_char(&text, '{');
    out_str(&text, members);
    out_char(&text, '}');
    object = json_loadb(text.ptr, text.len, 0, &error);
    if (!object)
        return STR_NONE;
    open_reply(&encoder, request, &out, root);
    emit_json_object(&encoder, object);
    encoder.ops->close(&encoder, root);
    json_decref(object);
    return finish(&out);
}

/* ── errors ── */

static struct str recommend(const struct request *request, struct str url)
{
    if (str_empty(url))
        return STR("");
    return arena_printf(request->arena, "%.*s?q=%s&product=%s&requestId=%s", STR_ARG(url),
                        error_code_text(request->fail.code),
                        request->product ? request->product : "", request->id);
}

static void emit_denial(struct encoder *encoder, const struct denial *denial)
{
    const struct encoder_ops *ops = encoder->ops;

    ops->object_open(encoder, "AccessDeniedDetail", false);
    ops->value(encoder, "AuthAction", false, denial->action, false);
    ops->value(encoder, "AuthPrincipalType", false, denial->principal_type, false);
    ops->value(encoder, "AuthPrincipalOwnerId", false, denial->owner_id, false);
    ops->value(encoder, "AuthPrincipalDisplayName", false, denial->principal_name, false);
    ops->value(encoder, "PolicyType", false, denial->policy_type, false);
    ops->value(encoder, "NoPermissionType", false, str_from(denial->kind), false);
    ops->object_close(encoder, "AccessDeniedDetail");
}

struct str render_error(const struct request *request, struct str troubleshoot_url)
{
    const struct encoder_ops *ops = ops_of(request->format);
    struct encoder encoder = {.ops = ops};
    struct out out;

    /*
     * A string to sign comes back in the message: the limit holds for the worst that http lets
     * in.
     */
    out_init(&out, request->arena, FIRST_BYTES, LIMIT_REPLY_BYTES);
    encoder.out = &out;
    ops->open(&encoder, "Error");
    ops->value(&encoder, "RequestId", false, str_slice(request->id, 36), false);
    ops->value(&encoder, "HostId", false, host_without_port(request->host), false);
    ops->value(&encoder, "Code", false, str_from(error_code_text(request->fail.code)), false);
    ops->value(&encoder, "Message", false, request->fail.message, false);
    ops->value(&encoder, "Recommend", false, recommend(request, troubleshoot_url), false);
    if (request->denial)
        emit_denial(&encoder, request->denial);
    ops->close(&encoder, "Error");
    return finish(&out);
}
