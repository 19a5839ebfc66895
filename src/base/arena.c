/* SPDX-License-Identifier: Apache-2.0 */
#include "base/arena.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

#if defined(__SANITIZE_ADDRESS__) /* gcc */
#define SANITIZED 1
#elif defined(__has_feature) /* clang */
#define SANITIZED __has_feature(address_sanitizer)
#else
#define SANITIZED 0
#endif

#if SANITIZED
#include <sanitizer/asan_interface.h>
#define poison(ptr, len) ASAN_POISON_MEMORY_REGION((ptr), (len))
#define unpoison(ptr, len) ASAN_UNPOISON_MEMORY_REGION((ptr), (len))
#else
#define poison(ptr, len) ((void)(ptr), (void)(len))
#define unpoison(ptr, len) ((void)(ptr), (void)(len))
#endif

#define ALIGN_BYTES ((size_t)16)
#define BLOCK_MIN_BYTES ((size_t)4096)
#define BLOCK_MAX_BYTES ((size_t)256 * 1024)
#define KEEP_MAX_BYTES                                                                             \
    ((size_t)64 * 1024) /* a reset arena holds no more than this between two uses */

struct arena_block {
    struct arena_block *next;
    size_t room_bytes;
    _Alignas(16) char room[];
};

struct arena_cleanup {
    struct arena_cleanup *next;
    void (*fn)(void *object);
    void *object;
};

static_assert(sizeof(struct arena_block) % 16 == 0, "room has to start aligned");

static size_t round_up(size_t size_bytes)
{
    return (size_bytes + ALIGN_BYTES - 1) & ~(ALIGN_BYTES - 1);
}

void arena_init(struct arena *arena, size_t limit_bytes)
{
    assert(limit_bytes > 0);
    *arena = (struct arena){.limit_bytes = limit_bytes};
}

static void run_cleanups(struct arena *arena)
{
    /* A handler may register another: it runs too. */
    while (arena->cleanups) {
        struct arena_cleanup *cleanup = arena->cleanups;

        arena->cleanups = cleanup->next;
        cleanup->fn(cleanup->object);
    }
}

static void free_blocks(struct arena_block *block)
{
    while (block) {
        struct arena_block *next = block->next;

        unpoison(block->room, block->room_bytes);
        (void)xfree(block);
        block = next;
    }
}

void arena_done(struct arena *arena)
{
    run_cleanups(arena);
    free_blocks(arena->blocks);
    *arena = (struct arena){.limit_bytes = arena->limit_bytes};
}

static void use_block(struct arena *arena, struct arena_block *block)
{
    poison(block->room, block->room_bytes);
    block->next = arena->blocks;
    arena->blocks = block;
    arena->next = block->room;
    arena->end = block->room + block->room_bytes;
}

void arena_reset(struct arena *arena)
{
    struct arena_block *kept = NULL;
    struct arena_block **link;

    run_cleanups(arena);
    for (link = &arena->blocks; *link; link = &(*link)->next) {
        if ((*link)->room_bytes <= KEEP_MAX_BYTES) {
            kept = *link;
            *link = kept->next;
            break;
        }
    }
    free_blocks(arena->blocks);
    *arena = (struct arena){.limit_bytes = arena->limit_bytes};
    if (kept)
        use_block(arena, kept);
}

/* Blocks double, so that a big reply takes few of them and a small call one. */
static void add_block(struct arena *arena, size_t need_bytes)
{
    size_t room_bytes = BLOCK_MIN_BYTES - sizeof(struct arena_block);
    struct arena_block *block;

    if (arena->blocks)
        room_bytes = MIN_OF(arena->blocks->room_bytes * 2, BLOCK_MAX_BYTES);
    room_bytes = round_up(MAX_OF(room_bytes, need_bytes));
    block = xrealloc(NULL, sizeof(*block) + room_bytes);
    block->room_bytes = room_bytes;
    use_block(arena, block);
}

void *arena_alloc_raw(struct arena *arena, size_t size_bytes)
{
    size_t taken_bytes = round_up(MAX_OF(size_bytes, (size_t)1));
    void *memory;

    assert(arena->limit_bytes > 0);
    if (size_bytes > arena->limit_bytes ||
        taken_bytes > arena->limit_bytes - MIN_OF(arena->used_bytes, arena->limit_bytes)) {
        (void)fprintf(stderr, "<2>arena over its limit of %zu bytes\n", arena->limit_bytes);
        abort();
    }
    if ((size_t)(arena->end - arena->next) < taken_bytes)
        add_block(arena, taken_bytes);
    memory = arena->next;
    arena->next += taken_bytes;
    arena->used_bytes += taken_bytes;
    /* Only what was asked for: the padding stays poisoned and catches overruns. */
    unpoison(memory, size_bytes);
    return memory;
}

void *arena_alloc(struct arena *arena, size_t size_bytes)
{
    void *memory = arena_alloc_raw(arena, size_bytes);

    memset(memory, 0, size_bytes);
    return memory;
}

void *arena_alloc_array(struct arena *arena, size_t count, size_t item_bytes)
{
    size_t size_bytes;

    if (__builtin_mul_overflow(count, item_bytes, &size_bytes))
        size_bytes = PTRDIFF_MAX; /* over any limit */
    return arena_alloc(arena, size_bytes);
}

char *arena_cstr(struct arena *arena, struct str s)
{
    char *copy = arena_alloc_raw(arena, s.len + 1);

    if (s.len > 0)
        memcpy(copy, s.ptr, s.len);
    copy[s.len] = '\0';
    return copy;
}

struct str arena_str(struct arena *arena, struct str s)
{
    return s.ptr ? str_slice(arena_cstr(arena, s), s.len) : STR_NONE;
}

struct str arena_printf(struct arena *arena, const char *format, ...)
{
    struct str text;
    va_list args;

    va_start(args, format);
    text = arena_vprintf(arena, format, args);
    va_end(args);
    return text;
}

struct str arena_vprintf(struct arena *arena, const char *format, va_list args)
{
    va_list again;
    char *text;
    int len;

    assert(format);
    va_copy(again, args);
    len = vsnprintf(NULL, 0, format, again);
    va_end(again);
    assert(len >= 0);
    text = arena_alloc_raw(arena, (size_t)len + 1);
    (void)vsnprintf(text, (size_t)len + 1, format, args);
    return str_slice(text, (size_t)len);
}

void arena_cleanup(struct arena *arena, void (*fn)(void *object), void *object)
{
    struct arena_cleanup *cleanup = arena_new(arena, struct arena_cleanup);

    assert(fn);
    *cleanup = (struct arena_cleanup){.next = arena->cleanups, .fn = fn, .object = object};
    arena->cleanups = cleanup;
}

/* The capacity follows from the count, so that nobody has to keep it: 4 at first, doubled at each
 * power of two. */
void *arena_grow(struct arena *arena, void *items, size_t count, size_t item_bytes)
{
    void *bigger;

    if (count == 0)
        return arena_alloc_array(arena, 4, item_bytes);
    assert(items);
    if (count < 4 || (count & (count - 1)) != 0)
        return items;
    assert(count <= SIZE_MAX / 2);
    bigger = arena_alloc_array(arena, count * 2, item_bytes);
    memcpy(bigger, items, count * item_bytes);
    return bigger;
}
