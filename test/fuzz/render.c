/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replies. Input: a byte that chooses the action, then what its reply is filled with (shape_kit.h). Rendered as JSON and XML,
 * read by jansson and expat, and compared with what was filled in; and what a ClientToken keeps says the same once more.
 */
#include "fuzz/fuzz.h"

#include <jansson.h>

#include "fuzz/shape_kit.h"
#include "fuzz/xml_kit.h"
#include "gateway/render.h"

static void check_object(const struct shape *shape, const char *base, const json_t *object, size_t others);

static bool same_text(const json_t *value, struct str text)
{
    struct str read = str_slice(json_string_value(value), json_string_length(value));

    if (str_is_utf8(text))
        return str_eq(read, text);
    for (size_t i = 0; i < text.len && i < read.len; i++)
        if (read.ptr[i] != ((uint8_t)text.ptr[i] < 0x80 ? text.ptr[i] : '?'))
            return false;
    return read.len == text.len;
}

static void check_time(const struct shape_field *field, usec_t t, const json_t *value)
{
    usec_t unit = field->kind == SHAPE_TIME_MINUTE ? USEC_PER_MINUTE : USEC_PER_SEC;
    usec_t read;

    if (t == 0)
        assert(json_string_length(value) == 0);
    else
        assert(time_parse(str_from(json_string_value(value)), &read) == 0 && read == t - t % unit);
}

static void check_scalar(const struct shape_field *field, const char *place, const json_t *value)
{
    const void *at = place;
    int word;

    switch (field->kind) {
    case SHAPE_STR:
        assert(json_is_string(value) && same_text(value, *(const struct str *)at));
        break;
    case SHAPE_BOOL:
        assert(json_is_boolean(value) && json_is_true(value) == *(const bool *)at);
        break;
    case SHAPE_INT:
        assert(json_is_integer(value) && json_integer_value(value) == *(const int64_t *)at);
        break;
    case SHAPE_FLOAT:
        assert(json_is_number(value) && json_number_value(value) == *(const double *)at);
        break;
    case SHAPE_ENUM:
        word = *(const int *)at;
        assert(json_is_string(value) && strcmp(json_string_value(value), word >= 0 ? field->words[word] : "") == 0);
        break;
    case SHAPE_TIME_MINUTE:
    case SHAPE_TIME_SECOND:
        assert(json_is_string(value));
        check_time(field, *(const usec_t *)at, value);
        break;
    case SHAPE_OBJECT:
        assert(false);
    }
}

static void check_list(const struct shape_field *field, const struct list_any *list, const json_t *value)
{
    if (field->item) {
        assert(json_is_object(value) && json_object_size(value) == 1);
        value = json_object_get(value, field->item);
    }
    assert(json_is_array(value) && json_array_size(value) == list->count);
    for (size_t i = 0; i < list->count; i++) {
        const char *item = list->items + i * shape_item_size(field);

        if (field->kind == SHAPE_OBJECT)
            check_object(field->object, item, json_array_get(value, i), 0);
        else
            check_scalar(field, item, json_array_get(value, i));
    }
}

static bool is_absent(const struct shape_field *field, const char *place)
{
    const void *at = place;

    if (field->flags & SHAPE_LIST)
        return ((const struct list_any *)at)->count == 0;
    if (field->kind == SHAPE_STR)
        return !((const struct str *)at)->ptr;
    if (field->kind == SHAPE_ENUM)
        return *(const int *)at < 0;
    return (field->kind == SHAPE_TIME_MINUTE || field->kind == SHAPE_TIME_SECOND) && *(const usec_t *)at == 0;
}

/* Is the member there, as it should be? */
static bool check_member(const struct shape_field *field, const char *place, const json_t *value)
{
    if (field->flags & SHAPE_OPT && !(field->flags & SHAPE_LIST)) {
        bool object = field->kind == SHAPE_OBJECT;

        place = object ? *(const char *const *)(const void *)place : shape_opt_value(field, place);
        if (!place)
            return false;
    }
    if (field->flags & SHAPE_OMIT && field->kind != SHAPE_OBJECT && is_absent(field, place))
        return false;
    if (field->flags & SHAPE_LIST && field->flags & SHAPE_OMIT && is_absent(field, place))
        return false;
    if (field->flags & SHAPE_LIST)
        check_list(field, (const void *)place, value);
    else if (field->kind == SHAPE_OBJECT)
        check_object(field->object, place, value, 0);
    else
        check_scalar(field, place, value);
    return true;
}

static void check_object(const struct shape *shape, const char *base, const json_t *object, size_t others)
{
    size_t count = others;

    assert(json_is_object(object));
    for (size_t i = 0; i < shape->count; i++) {
        const struct shape_field *field = &shape->fields[i];

        count += check_member(field, base + field->offset, json_object_get(object, field->name));
    }
    assert(json_object_size(object) == count);
}

/* ── the same in XML ── */

static void expect(struct buf *out, const char *name, const json_t *value)
{
    const char *member;
    json_t *part;
    size_t index;
    struct buf text;

    if (json_is_array(value)) {
        json_array_foreach(value, index, part) expect(out, name, part);
        return;
    }
    buf_printf(out, "(%s", name);
    buf_init(&text, LIMIT_REPLY_BYTES);
    if (json_is_string(value))
        xml_replace(&text, str_slice(json_string_value(value), json_string_length(value)));
    else if (json_is_boolean(value))
        buf_add_cstr(&text, json_is_true(value) ? "true" : "false");
    else if (json_is_integer(value))
        buf_add_i64(&text, json_integer_value(value));
    else if (json_is_real(value))
        buf_printf(&text, "%.15g", json_real_value(value));
    xml_event_text(out, buf_str(&text));
    buf_done(&text);
    json_object_foreach((json_t *)(uintptr_t)value, member, part) expect(out, member, part);
    buf_add_char(out, ')');
}

static void check_xml(struct str xml, const char *root, const json_t *object)
{
    struct buf expected;
    struct buf found;

    buf_init(&expected, LIMIT_REPLY_BYTES);
    buf_init(&found, LIMIT_REPLY_BYTES);
    assert(xml_events(xml, &found));
    expect(&expected, root, object);
    assert(!expected.full && str_eq(buf_str(&expected), buf_str(&found)));
    buf_done(&expected);
    buf_done(&found);
}

static void check_reply(struct request *request, const char *reply)
{
    struct arena *arena = request->arena;
    const struct shape *shape = request->row->reply;
    struct str members = render_members(arena, shape, reply);
    struct str json, xml;
    json_t *object;

    request->format = FORMAT_JSON;
    json = render_reply(request, shape, reply);
    assert(json.ptr && members.ptr && str_eq(render_kept(request, members), json));
    object = json_loadb(json.ptr, json.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
    check_object(shape, reply, object, 1);
    assert(strcmp(json_string_value(json_object_get(object, "RequestId")), request->id) == 0);
    request->format = FORMAT_XML;
    xml = render_reply(request, shape, reply);
    assert(xml.ptr && str_eq(render_kept(request, members), xml));
    check_xml(xml, arena_printf(arena, "%sResponse", request->row->action).ptr, object);
    json_decref(object);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct request request = {.id = "473469C7-AA6F-4DC5-B3DB-A3DC0DE3C83E"};
    struct shape_bytes bytes = {.arena = &arena, .rest = fuzz_input(data, size)};
    char *reply;

    if (size == 0 || !action_rows[data[0] % ACTION_COUNT].reply)
        return 0; /* an action that is not built has no reply */
    arena_init(&arena, FUZZ_ARENA_BYTES);
    request.arena = &arena;
    request.row = &action_rows[data[0] % ACTION_COUNT];
    bytes.rest = str_slice(bytes.rest.ptr + 1, bytes.rest.len - 1);
    reply = arena_alloc(&arena, request.row->reply->size);
    shape_fill(&bytes, request.row->reply, reply);
    check_reply(&request, reply);
    arena_done(&arena);
    return 0;
}
