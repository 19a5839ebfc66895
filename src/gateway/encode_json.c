/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/encode.h"

static bool is_plain(unsigned char c)
{
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

/* Of most texts all of it. */
static size_t plain_end(struct str text, size_t n)
{
    while (n < text.len && is_plain((unsigned char)text.ptr[n]))
        n++;
    return n;
}

static void escape(struct out *out, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    static const char letters[] = "\"\"\\\\\bb\ff\nn\rr\tt";
    char text[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};

    for (size_t i = 0; i + 1 < sizeof(letters); i += 2) {
        if ((unsigned char)letters[i] == c) {
            text[1] = letters[i + 1];
            out_add(out, text, 2);
            return;
        }
    }
    out_add(out, text, sizeof(text));
}

void encode_json_text(struct out *out, struct str text)
{
    size_t start = 0;
    bool checked = false;
    bool utf8 = true;

    out_char(out, '"');
    for (size_t i = 0; (i = plain_end(text, i)) < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];

        if (c >= 0x80 && !checked) {
            utf8 = str_is_utf8(text);
            checked = true;
        }
        if (c >= 0x80 && utf8)
            continue;
        out_add(out, text.ptr + start, i - start);
        start = i + 1;
        if (c >= 0x80)
            out_char(out, '?');
        else
            escape(out, c);
    }
    out_add(out, text.ptr ? text.ptr + start : NULL, text.len - start);
    out_char(out, '"');
}

/* Names come from tables: they need no escapes. */
static void key(struct encoder *encoder, const char *name)
{
    if (encoder->comma)
        out_char(encoder->out, ',');
    if (!name)
        return;
    out_char(encoder->out, '"');
    out_cstr(encoder->out, name);
    out_add(encoder->out, "\":", 2);
}

static void json_open(struct encoder *encoder, const char *root)
{
    (void)root; /* JSON documents have no name */
    out_char(encoder->out, '{');
    encoder->comma = false;
}

static void json_close(struct encoder *encoder, const char *root)
{
    (void)root; /* as above */
    out_char(encoder->out, '}');
    encoder->comma = true;
}

static void json_object_open(struct encoder *encoder, const char *name, bool is_item)
{
    key(encoder, is_item ? NULL : name);
    out_char(encoder->out, '{');
    encoder->comma = false;
}

static void json_list_open(struct encoder *encoder, const char *name, const char *item)
{
    key(encoder, name);
    if (item) {
        out_char(encoder->out, '{');
        encoder->comma = false;
        key(encoder, item);
    }
    out_char(encoder->out, '[');
    encoder->comma = false;
}

static void json_list_close(struct encoder *encoder, const char *name, const char *item)
{
    (void)name; /* only XML repeats it */
    out_char(encoder->out, ']');
    if (item)
        out_char(encoder->out, '}');
    encoder->comma = true;
}

static void json_value(struct encoder *encoder, const char *name, bool is_item, struct str text,
                       bool bare)
{
    key(encoder, is_item ? NULL : name);
    if (bare)
        out_str(encoder->out, text);
    else
        encode_json_text(encoder->out, text);
    encoder->comma = true;
}

const struct encoder_ops encode_json = {
    .name = "json",
    .open = json_open,
    .close = json_close,
    .object_open = json_object_open,
    .object_close = json_close,
    .list_open = json_list_open,
    .list_close = json_list_close,
    .value = json_value,
};
