/* SPDX-License-Identifier: Apache-2.0 */
/* Public keys in OpenSSH's form. Input: what a client hands in. */
#include "fuzz/fuzz.h"

#include "base/hash.h"
#include "model/public_key.h"

/* The line ends up in authorized_keys: whatever follows a key there must not become a second one. */
static void check_line(struct str line)
{
    assert(line.len > 0 && line.len <= PUBLIC_KEY_MAX_BYTES && str_is_utf8(line));
    for (size_t i = 0; i < line.len; i++)
        assert((unsigned char)line.ptr[i] >= ' ' && line.ptr[i] != 0x7f);
    assert(str_starts(line, STR("ssh-")) || str_starts(line, STR("ecdsa-")) || str_starts(line, STR("sk-")));
}

/* The fingerprint is of the key, and of nothing else in the line. */
static void check_fingerprint(struct arena *arena, const struct public_key *key)
{
    struct public_key again;
    uint8_t digest[16];
    char hex[33];
    struct str type, rest, body, comment;
    uint8_t *blob;
    size_t len;
    char *text;

    assert(str_split(key->line, ' ', &type, &rest));
    rest = str_trim(rest);
    (void)str_split(rest, ' ', &body, &comment); /* false: no comment */
    blob = arena_alloc(arena, body.len + 1);
    text = arena_alloc(arena, BASE64_MAX(body.len));
    assert(base64_decode(body, blob, &len) == 0);
    assert(str_eq(str_slice(text, base64_encode(blob, len, text)), body));
    hash_md5(str_slice((const char *)blob, len), digest);
    hex_encode(digest, sizeof(digest), hex);
    assert(str_eq(key->fingerprint, str_from(hex)));
    rest = arena_printf(arena, "%.*s %.*s other@host\n", STR_ARG(type), STR_ARG(body));
    if (rest.len <= PUBLIC_KEY_MAX_BYTES)
        assert(public_key_parse(arena, rest, &again) == 0 && str_eq(again.fingerprint, key->fingerprint));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct public_key again;
    struct public_key key;
    struct arena arena;

    arena_init(&arena, FUZZ_ARENA_BYTES);
    if (public_key_parse(&arena, fuzz_input(data, size), &key) == 0) {
        check_line(key.line);
        assert(public_key_parse(&arena, fuzz_exact(&arena, key.line), &again) == 0);
        assert(str_eq(again.line, key.line) && str_eq(again.fingerprint, key.fingerprint));
        check_fingerprint(&arena, &key);
    }
    arena_done(&arena);
    return 0;
}
