/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/xml_kit.h"

#include <expat.h>

struct reader {
    struct buf *out;
    struct buf text; /* since the last tag: expat hands it out in pieces */
};

void xml_event_text(struct buf *out, struct str text)
{
    if (text.len == 0)
        return;
    buf_printf(out, "'%zu:", text.len);
    buf_add_str(out, text);
}

static void flush(struct reader *reader)
{
    xml_event_text(reader->out, buf_str(&reader->text));
    buf_reset(&reader->text);
}

static void on_open(void *arg, const char *name, const char **attributes)
{
    struct reader *reader = arg;

    flush(reader);
    buf_printf(reader->out, "(%s", name);
    for (; *attributes; attributes += 2)
        buf_printf(reader->out, "@%s=%s", attributes[0], attributes[1]);
}

static void on_close(void *arg, const char *name)
{
    struct reader *reader = arg;

    (void)name; /* expat has seen that it fits */
    flush(reader);
    buf_add_char(reader->out, ')');
}

static void on_text(void *arg, const char *text, int len)
{
    buf_add(&((struct reader *)arg)->text, text, (size_t)len);
}

static bool parse(struct str xml, void *arg, XML_StartElementHandler open, XML_EndElementHandler close,
                  XML_CharacterDataHandler text)
{
    XML_Parser parser = XML_ParserCreate(NULL);
    bool fine;

    assert(parser);
    XML_SetUserData(parser, arg);
    XML_SetElementHandler(parser, open, close);
    XML_SetCharacterDataHandler(parser, text);
    fine = XML_Parse(parser, xml.ptr, (int)xml.len, XML_TRUE) == XML_STATUS_OK;
    XML_ParserFree(parser);
    return fine;
}

bool xml_events(struct str xml, struct buf *out)
{
    struct reader reader = {.out = out};
    bool fine;

    buf_init(&reader.text, xml.len + 1);
    fine = parse(xml, &reader, on_open, on_close, on_text);
    buf_done(&reader.text);
    return fine;
}

/* ── libvirt's way ── */

static void add_escaped(struct buf *out, struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        switch (text.ptr[i]) {
        case '<':
            buf_add_cstr(out, "&lt;");
            break;
        case '>':
            buf_add_cstr(out, "&gt;");
            break;
        case '&':
            buf_add_cstr(out, "&amp;");
            break;
        case '"':
            buf_add_cstr(out, "&quot;");
            break;
        case '\'':
            buf_add_cstr(out, "&apos;");
            break;
        default:
            buf_add_char(out, text.ptr[i]);
        }
    }
}

static void echo_open(void *arg, const char *name, const char **attributes)
{
    struct buf *out = arg;

    buf_printf(out, "<%s", name);
    for (; *attributes; attributes += 2) {
        buf_printf(out, " %s='", attributes[0]);
        add_escaped(out, str_from(attributes[1]));
        buf_add_char(out, '\'');
    }
    buf_add_char(out, '>');
}

static void echo_close(void *arg, const char *name)
{
    buf_printf(arg, "</%s>", name);
}

static void echo_text(void *arg, const char *text, int len)
{
    add_escaped(arg, str_slice(text, (size_t)len));
}

bool xml_as_libvirt(struct str xml, struct buf *out)
{
    return parse(xml, out, echo_open, echo_close, echo_text);
}

void xml_replace(struct buf *out, struct str text)
{
    bool utf8 = str_is_utf8(text);

    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        bool wide = utf8 && text.len - i >= 3 && memcmp(text.ptr + i, "\xEF\xBF", 2) == 0 && (uint8_t)text.ptr[i + 2] >= 0xBE;

        if (wide || (c < ' ' && !memchr("\t\n\r", c, 3)) || (c >= 0x80 && !utf8))
            buf_add_char(out, '?');
        else
            buf_add_char(out, (char)c);
        i += wide ? 2 : 0;
    }
}
