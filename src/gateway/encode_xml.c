/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/encode.h"

static void element_open(struct encoder *encoder, const char *name)
{
    out_char(encoder->out, '<');
    out_cstr(encoder->out, name);
    out_char(encoder->out, '>');
}

static void element_close(struct encoder *encoder, const char *name)
{
    out_add(encoder->out, "</", 2);
    out_cstr(encoder->out, name);
    out_char(encoder->out, '>');
}

/* XML 1.0 has no way to write most control characters; a carriage return would be read back as a
 * line feed. */
static const char *entity_of(unsigned char c)
{
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '\r':
        return "&#13;";
    case '\t':
    case '\n':
        return NULL;
    default:
        return c < 0x20 ? "?" : NULL;
    }
}

/* U+FFFE and U+FFFF are valid UTF-8, but no characters of XML. */
static bool is_noncharacter(struct str text, size_t at)
{
    const unsigned char *c = (const unsigned char *)text.ptr + at;

    return text.len - at >= 3 && c[0] == 0xEF && c[1] == 0xBF && c[2] >= 0xBE;
}

static void add_text(struct out *out, struct str text)
{
    bool utf8 = str_is_utf8(text);
    size_t start = 0;

    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        const char *entity = entity_of(c);
        bool wide = utf8 && is_noncharacter(text, i);

        if (wide || (c >= 0x80 && !utf8))
            entity = "?";
        if (!entity)
            continue;
        out_add(out, text.ptr + start, i - start);
        out_cstr(out, entity);
        i += wide ? 2 : 0;
        start = i + 1;
    }
    out_add(out, text.ptr ? text.ptr + start : NULL, text.len - start);
}

static void xml_open(struct encoder *encoder, const char *root)
{
    out_cstr(encoder->out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>");
    element_open(encoder, root);
}

static void xml_object_open(struct encoder *encoder, const char *name, bool is_item)
{
    (void)is_item; /* an item of a list has a name, too */
    element_open(encoder, name);
}

static void xml_list_open(struct encoder *encoder, const char *name, const char *item)
{
    if (item)
        element_open(encoder, name);
}

static void xml_list_close(struct encoder *encoder, const char *name, const char *item)
{
    if (item)
        element_close(encoder, name);
}

static void xml_value(struct encoder *encoder, const char *name, bool is_item, struct str text,
                      bool bare)
{
    (void)is_item; /* as above */
    (void)bare;    /* all is text */
    element_open(encoder, name);
    add_text(encoder->out, text);
    element_close(encoder, name);
}

const struct encoder_ops encode_xml = {
    .name = "xml",
    .open = xml_open,
    .close = element_close,
    .object_open = xml_object_open,
    .object_close = element_close,
    .list_open = xml_list_open,
    .list_close = xml_list_close,
    .value = xml_value,
};
