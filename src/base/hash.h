/* SPDX-License-Identifier: Apache-2.0 */
/* Digests, HMAC, base64, hex and constant-time comparison, over OpenSSL's libcrypto; contexts are kept per thread. */
#pragma once

#include "base/buf.h"

#define SHA1_BYTES 20
#define SHA256_BYTES 32

enum hash_kind { HASH_SHA1, HASH_SHA256 };

void hash_sha256(struct str data, uint8_t digest[SHA256_BYTES]);
void hash_md5(struct str data, uint8_t digest[16]);
/* HMAC of `data` under `key`; returns the digest's length (20 or 32). */
size_t hash_hmac(enum hash_kind kind, struct str key, struct str data, uint8_t digest[SHA256_BYTES]);
/* Lower-case hex, NUL-terminated: `text` holds 2 * len + 1. */
void hex_encode(const uint8_t *bytes, size_t len, char *text);
/* Standard alphabet with padding, NUL-terminated; `text` holds BASE64_MAX(len). Returns the text's length. */
#define BASE64_MAX(len) (((len) + 2) / 3 * 4 + 1)
size_t base64_encode(const uint8_t *bytes, size_t len, char *text);
/* -E_INVALID for anything but strict base64; `bytes` holds text.len / 4 * 3. */
int base64_decode(struct str text, uint8_t *bytes, size_t *ret_len) must_check;
/* Time depends on the lengths only. */
bool equal_constant_time(struct str a, struct str b);
