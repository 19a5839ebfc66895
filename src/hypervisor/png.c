/* SPDX-License-Identifier: Apache-2.0 */
#include "hypervisor/png.h"

#include <string.h>

#define CHUNK_BYTES 12       /* around the data of a chunk: length, type, CRC */
#define STORED_MAX 65535     /* bytes in a stored block of deflate (RFC 1951 §3.2.4) */
#define STORED_HEADER 5
#define ADLER_MODULO 65521

/* The file as far as it is made. */
struct out {
    uint8_t *bytes;
    size_t len;
    size_t size;
    size_t chunk_at; /* where the type of the chunk begins */
};

static void put(struct out *out, const void *bytes, size_t len)
{
    assert(len <= out->size - out->len);
    memcpy(out->bytes + out->len, bytes, len);
    out->len += len;
}

static void put_u8(struct out *out, uint8_t value)
{
    put(out, &value, 1);
}

static void put_u32(struct out *out, uint32_t value)
{
    const uint8_t bytes[4] = {(uint8_t)(value >> 24), (uint8_t)(value >> 16), (uint8_t)(value >> 8), (uint8_t)value};

    put(out, bytes, sizeof(bytes));
}

/* Bit by bit: a picture has some tens of kilobytes, a table would be as long as this file. */
static uint32_t crc32_of(const uint8_t *bytes, size_t len)
{
    uint32_t crc = UINT32_MAX;

    for (size_t i = 0; i < len; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? UINT32_C(0xedb88320) : 0);
    }
    return ~crc;
}

static void chunk_begin(struct out *out, size_t data_bytes, const char type[4])
{
    put_u32(out, (uint32_t)data_bytes);
    out->chunk_at = out->len;
    put(out, type, 4);
}

static void chunk_end(struct out *out)
{
    put_u32(out, crc32_of(out->bytes + out->chunk_at, out->len - out->chunk_at));
}

/* What is compressed: each row after the number of its filter, 0 for none. */
static uint8_t *raw_rows(struct arena *arena, const struct png_picture *picture, size_t *ret_len)
{
    size_t row_bytes = PNG_ROW_BYTES(picture->width);
    uint8_t *raw = arena_alloc_array(arena, picture->height, row_bytes + 1); /* zeroed */

    for (size_t y = 0; y < picture->height; y++)
        memcpy(raw + y * (row_bytes + 1) + 1, picture->rows + y * row_bytes, row_bytes);
    *ret_len = picture->height * (row_bytes + 1);
    return raw;
}

static uint32_t adler32_of(const uint8_t *bytes, size_t len)
{
    uint32_t a = 1, b = 0;

    for (size_t i = 0; i < len; i++) {
        a = (a + bytes[i]) % ADLER_MODULO;
        b = (b + a) % ADLER_MODULO;
    }
    return b << 16 | a;
}

static size_t zlib_bytes(size_t len)
{
    return 2 + len + (len + STORED_MAX - 1) / STORED_MAX * STORED_HEADER + 4;
}

static void put_zlib(struct out *out, const uint8_t *bytes, size_t len)
{
    put_u8(out, 0x78); /* deflate, window of 32 KiB */
    put_u8(out, 0x01); /* no dictionary; the two together are a multiple of 31 */
    for (size_t at = 0; at < len;) {
        size_t block = MIN_OF(len - at, (size_t)STORED_MAX);

        put_u8(out, at + block == len); /* the last block? */
        put_u8(out, (uint8_t)block);
        put_u8(out, (uint8_t)(block >> 8));
        put_u8(out, (uint8_t)~block);
        put_u8(out, (uint8_t)(~block >> 8));
        put(out, bytes + at, block);
        at += block;
    }
    put_u32(out, adler32_of(bytes, len));
}

static void put_header(struct out *out, const struct png_picture *picture)
{
    static const uint8_t kind[5] = {1, 3, 0, 0, 0}; /* bits a pixel, palette; the only methods that there are; no interlace */

    chunk_begin(out, 8 + sizeof(kind), "IHDR");
    put_u32(out, picture->width);
    put_u32(out, picture->height);
    put(out, kind, sizeof(kind));
    chunk_end(out);
    chunk_begin(out, sizeof(picture->colours), "PLTE");
    put(out, picture->colours, sizeof(picture->colours));
    chunk_end(out);
}

struct str png_encode(struct arena *arena, const struct png_picture *picture)
{
    struct out out = {0};
    uint8_t *raw;
    size_t raw_len;

    assert(picture->width > 0 && picture->height > 0);
    raw = raw_rows(arena, picture, &raw_len);
    out.size = sizeof(PNG_SIGNATURE) - 1 + 4 * CHUNK_BYTES + 13 + sizeof(picture->colours) + zlib_bytes(raw_len);
    out.bytes = arena_alloc(arena, out.size);
    put(&out, PNG_SIGNATURE, sizeof(PNG_SIGNATURE) - 1);
    put_header(&out, picture);
    chunk_begin(&out, zlib_bytes(raw_len), "IDAT");
    put_zlib(&out, raw, raw_len);
    chunk_end(&out);
    chunk_begin(&out, 0, "IEND");
    chunk_end(&out);
    assert(out.len == out.size);
    return str_slice((const char *)out.bytes, out.len);
}
