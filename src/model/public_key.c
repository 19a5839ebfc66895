/* SPDX-License-Identifier: Apache-2.0 */
#include "model/public_key.h"

#include "base/hash.h"
#include "gen/errors.h"
#include "gen/types.h"

#define BLOB_PARTS_MAX 8 /* DSA has five */

static const char *const types[] = {
    "ssh-rsa",
    "ssh-dss",
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    NULL,
};

/* The blob is strings one after the other, each with its length in front (RFC 4251 §5): the first
 * is the type again, what follows is the key, and the last ends where the blob does. */
static bool blob_valid(const uint8_t *blob, size_t len, struct str type)
{
    size_t at = 0, parts = 0;

    while (at < len) {
        size_t size;

        if (len - at < 4 || parts == BLOB_PARTS_MAX)
            return false;
        size = (size_t)blob[at] << 24 | (size_t)blob[at + 1] << 16 | (size_t)blob[at + 2] << 8 |
               blob[at + 3];
        at += 4;
        if (size == 0 || size > len - at)
            return false;
        if (parts++ == 0 && !str_eq(str_slice((const char *)blob + at, size), type))
            return false;
        at += size;
    }
    return parts >= 2;
}

static bool is_printable(struct str text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] < ' ' || text.ptr[i] == 0x7f)
            return false;
    return str_is_utf8(text);
}

/* A file's content often comes with the end of its line. */
static struct str without_end(struct str text)
{
    while (text.len > 0 && (text.ptr[text.len - 1] == '\n' || text.ptr[text.len - 1] == '\r'))
        text.len--;
    return str_trim(text);
}

int public_key_parse(struct arena *arena, struct str text, struct public_key *ret)
{
    struct str line = without_end(text), type, rest, body, comment;
    uint8_t digest[16];
    char hex[2 * sizeof(digest) + 1];
    uint8_t *blob;
    size_t len = 0;

    if (line.len == 0 || line.len > PUBLIC_KEY_MAX_BYTES || !is_printable(line))
        return -E_INVALID;
    if (!str_split(line, ' ', &type, &rest))
        return -E_INVALID;
    rest = str_trim(rest);
    (void)str_split(rest, ' ', &body, &comment);
    blob = arena_alloc(arena, body.len + 1);
    if (words_find(types, type) < 0 || base64_decode(body, blob, &len) < 0 ||
        !blob_valid(blob, len, type))
        return -E_INVALID;
    hash_md5(str_slice((const char *)blob, len), digest);
    hex_encode(digest, sizeof(digest), hex);
    *ret = (struct public_key){.line = arena_str(arena, line),
                               .fingerprint = arena_str(arena, str_from(hex))};
    return 0;
}
