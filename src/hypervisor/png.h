/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A picture of two colours as a PNG file (ISO/IEC 15948): one bit a pixel, a palette, and its zlib stream (RFC 1950) in
 * stored blocks. Pure; nothing is compressed, so its size depends on the picture's only.
 */
#pragma once

#include "base/arena.h"

struct png_picture {
    uint32_t width, height;  /* neither is 0 */
    const uint8_t *rows;     /* height times PNG_ROW_BYTES(width), the leftmost pixel in the highest bit */
    uint8_t colours[2][3];   /* red, green, blue of 0 and of 1 */
};

#define PNG_ROW_BYTES(width) (((size_t)(width) + 7) / 8)
#define PNG_SIGNATURE "\x89PNG\r\n\x1a\n"

/* The file, on the arena. */
struct str png_encode(struct arena *arena, const struct png_picture *picture);
