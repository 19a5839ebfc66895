/* SPDX-License-Identifier: Apache-2.0 */
/* Public keys as OpenSSH writes them in a line: type, base64, perhaps a comment. Pure. */
#pragma once

#include "base/arena.h"

#define PUBLIC_KEY_MAX_BYTES                                                                       \
    8192 /* RSA of 16384 bits, the most that OpenSSH takes, with a comment, is under 3 KiB */

struct public_key {
    struct str line; /* one line for certain: it ends up in a file that lists who may log in */
    struct str fingerprint; /* MD5 of the key itself (RFC 4716 §4), in hex; without colons, as the
                               service writes it */
};

/* -E_INVALID for anything but one key, well formed, of a type that SSH servers take. */
int public_key_parse(struct arena *arena, struct str text, struct public_key *ret) must_check;
