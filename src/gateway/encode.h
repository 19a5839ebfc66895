/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One way to say a reply, two ways to write it. The emitter walks; JSON and XML differ in these few
 * words only. Both make valid text of any bytes: what is not UTF-8 or not allowed in XML is
 * replaced.
 */
#pragma once

#include "gateway/out.h"

struct encoder;

struct encoder_ops {
    const char *name;
    void (*open)(struct encoder *encoder, const char *root); /* the document */
    void (*close)(struct encoder *encoder, const char *root);
    void (*object_open)(struct encoder *encoder, const char *name,
                        bool is_item); /* a member, or an item of a list */
    void (*object_close)(struct encoder *encoder, const char *name);
    /* `item` NULL: a plain array (repeated elements in XML); else wrapped:
     * {"Instances":{"Instance":[ */
    void (*list_open)(struct encoder *encoder, const char *name, const char *item);
    void (*list_close)(struct encoder *encoder, const char *name, const char *item);
    /* `bare`: a number or a boolean, which JSON does not quote. */
    void (*value)(struct encoder *encoder, const char *name, bool is_item, struct str text,
                  bool bare);
};

struct encoder {
    const struct encoder_ops *ops;
    struct out *out;
    bool comma; /* JSON: something stands before the next member */
};

extern const struct encoder_ops encode_json;
extern const struct encoder_ops encode_xml;

/* As a JSON string, with its quotes. */
void encode_json_text(struct out *out, struct str text);
