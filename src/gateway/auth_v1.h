/* SPDX-License-Identifier: Apache-2.0 */
/* Signature V1 (SignatureVersion 1.0): HMAC over method and all parameters. Also used by clients of
 * ours. */
#pragma once

#include "base/hash.h"
#include "gateway/params.h"

/*
 * The string to sign: METHOD&%2F&enc(canonical). Takes sorted parameters of query and form; leaves
 * out Signature, and, with `skip_empty`, parameters without a value (as the PHP SDK does). Absent
 * when it would be longer than 4 MiB.
 */
struct str auth_v1_string(struct arena *arena, struct str method, const struct params *params,
                          bool skip_empty);
/* Base64 of the HMAC under `secret` and "&". */
struct str auth_v1_sign(struct arena *arena, enum hash_kind kind, struct str secret,
                        struct str string);
/*
 * Does `signature` fit under `secret`? Tries what real clients differ in: empty values left out
 * (they are then as if they had not come), query before form (the parameters then keep that
 * precedence). On a mismatch *ret_string is the
 * regular string to sign.
 */
bool auth_v1_matches(struct arena *arena, struct str method, struct params *params,
                     enum hash_kind kind, struct str secret, struct str signature,
                     struct str *ret_string);
