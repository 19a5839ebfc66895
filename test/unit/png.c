/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/unit.h"

#include "hypervisor/png.h"

static struct arena arena;

static int setup(void **state)
{
    (void)state;
    arena_init(&arena, 8u << 20);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_done(&arena);
    return 0;
}

static uint32_t u32_at(struct str file, size_t at)
{
    const uint8_t *b = (const uint8_t *)file.ptr + at;

    assert_true(at + 4 <= file.len);
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

/* Byte for byte as another encoder's chunks have them: CRCs and Adler-32 are Python's zlib's. */
static void a_small_picture(void **state)
{
    static const uint8_t rows[] = {0xaa, 0x80, 0x55, 0x00, 0xff, 0x80};
    static const uint8_t want[] = {
        0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n',
        0x00, 0x00, 0x00, 0x0d, 0x49, 0x48, 0x44, 0x52, 0x00, 0x00, 0x00, 0x09, 0x00, 0x00, 0x00, 0x03,
        0x01, 0x03, 0x00, 0x00, 0x00, 0x7b, 0xc4, 0xb7, 0x35, 0x00, 0x00, 0x00, 0x06, 0x50, 0x4c, 0x54,
        0x45, 0x01, 0x02, 0x03, 0xfe, 0xfd, 0xfc, 0xac, 0x0d, 0xe9, 0xf9, 0x00, 0x00, 0x00, 0x14, 0x49,
        0x44, 0x41, 0x54, 0x78, 0x01, 0x01, 0x09, 0x00, 0xf6, 0xff, 0x00, 0xaa, 0x80, 0x00, 0x55, 0x00,
        0x00, 0xff, 0x80, 0x0d, 0x00, 0x02, 0xff, 0x98, 0x16, 0xc7, 0x07, 0x00, 0x00, 0x00, 0x00, 0x49,
        0x45, 0x4e, 0x44, 0xae, 0x42, 0x60, 0x82,
    };
    struct png_picture picture = {.width = 9, .height = 3, .rows = rows, .colours = {{1, 2, 3}, {254, 253, 252}}};
    struct str file = png_encode(&arena, &picture);

    (void)state;
    assert_int_equal(file.len, sizeof(want));
    assert_memory_equal(file.ptr, want, sizeof(want));
}

/* The blocks of the stream one after the other give the rows back, each after its filter's number. */
static size_t unpack(struct str file, size_t at, uint8_t *raw)
{
    const uint8_t *bytes = (const uint8_t *)file.ptr;
    size_t len = 0;
    bool last = false;

    while (!last) {
        size_t block = bytes[at + 1] | (size_t)bytes[at + 2] << 8;

        last = bytes[at] == 1;
        assert_int_equal(bytes[at] & ~1, 0);
        assert_int_equal(block ^ 0xffff, bytes[at + 3] | (size_t)bytes[at + 4] << 8);
        memcpy(raw + len, bytes + at + 5, block);
        len += block;
        at += 5 + block;
    }
    assert_int_equal(u32_at(file, at + 8), 0); /* after Adler-32 and CRC: IEND, without data */
    return len;
}

static void a_picture_of_many_blocks(void **state)
{
    enum { WIDTH = 4001, HEIGHT = 300 };
    size_t row_bytes = PNG_ROW_BYTES(WIDTH);
    uint8_t *rows = arena_alloc_array(&arena, HEIGHT, row_bytes);
    uint8_t *raw = arena_alloc_array(&arena, HEIGHT, row_bytes + 1);
    struct png_picture picture = {.width = WIDTH, .height = HEIGHT, .rows = rows};
    size_t idat = 8 + 25 + 18;
    struct str file;

    (void)state;
    for (size_t i = 0; i < HEIGHT * row_bytes; i++)
        rows[i] = (uint8_t)(i * 7 + i / 251);
    file = png_encode(&arena, &picture);
    assert_int_equal(u32_at(file, 16), WIDTH);
    assert_int_equal(u32_at(file, 20), HEIGHT);
    assert_memory_equal(file.ptr + idat + 4, "IDAT", 4);
    assert_int_equal(idat + 12 + u32_at(file, idat) + 12, file.len);
    assert_int_equal(unpack(file, idat + 10, raw), HEIGHT * (row_bytes + 1));
    for (size_t y = 0; y < HEIGHT; y++) {
        assert_int_equal(raw[y * (row_bytes + 1)], 0);
        assert_memory_equal(raw + y * (row_bytes + 1) + 1, rows + y * row_bytes, row_bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_small_picture, setup, teardown),
        cmocka_unit_test_setup_teardown(a_picture_of_many_blocks, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
