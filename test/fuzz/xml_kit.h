/* SPDX-License-Identifier: Apache-2.0 */
/* XML as an independent parser (expat) reads it: elements and text, flat. */
#pragma once

#include "base/buf.h"

/*
 * "(name" for an element, "@name=value" for each of its attributes, "'length:text" for text that isn't empty, ")" for its
 * end. False: not well-formed.
 */
bool xml_events(struct str xml, struct buf *out);
/* Adds a text as xml_events does. */
void xml_event_text(struct buf *out, struct str text);
/* The document as libvirt gives it back: attributes in single quotes, the same five escapes. False: not well-formed. */
bool xml_as_libvirt(struct str xml, struct buf *out);
/* `text` as it may stand in XML: what is not UTF-8, or no character of XML, is '?'. */
void xml_replace(struct buf *out, struct str text);
