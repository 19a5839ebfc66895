/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hash.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/mem.h"
#include "gen/errors.h"

/*
 * What libcrypto looks up by name is looked up once. Each thread keeps one HMAC context per digest,
 * which a call only gives another key: that is several times cheaper than making one.
 */
static struct {
    EVP_MAC *hmac;
    EVP_MD *sha256;
    EVP_MD *md5;
} fetched;

struct hash_thread {
    EVP_MAC_CTX *mac[2]; /* by enum hash_kind */
    EVP_MD_CTX *md;
};

static pthread_once_t fetch_once = PTHREAD_ONCE_INIT;
static pthread_key_t thread_key;
static __thread struct hash_thread *this_thread;

static void check(bool ok)
{
    /* Digests of memory fail only when libcrypto is broken or out of memory: no caller could go on.
     */
    if (!ok)
        abort();
}

static void thread_free(void *object)
{
    struct hash_thread *thread = object;

    for (size_t i = 0; i < countof(thread->mac); i++)
        EVP_MAC_CTX_free(thread->mac[i]);
    EVP_MD_CTX_free(thread->md);
    (void)xfree(thread);
}

static void fetch(void)
{
    fetched.hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    fetched.sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    fetched.md5 =
        EVP_MD_fetch(NULL, "MD5", NULL); /* absent in FIPS mode: hash_md5 is then refused */
    check(fetched.hmac && fetched.sha256);
    check(pthread_key_create(&thread_key, thread_free) == 0);
}

static EVP_MAC_CTX *mac_new(const char *digest)
{
    EVP_MAC_CTX *mac = EVP_MAC_CTX_new(fetched.hmac);
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)(uintptr_t)digest, 0),
        OSSL_PARAM_construct_end(),
    };

    check(mac && EVP_MAC_CTX_set_params(mac, params));
    return mac;
}

static struct hash_thread *thread_get(void)
{
    struct hash_thread *thread = this_thread;

    if (thread)
        return thread;
    check(pthread_once(&fetch_once, fetch) == 0);
    thread = xcalloc(1, sizeof(*thread));
    thread->mac[HASH_SHA1] = mac_new("SHA1");
    thread->mac[HASH_SHA256] = mac_new("SHA256");
    thread->md = EVP_MD_CTX_new();
    check(thread->md && pthread_setspecific(thread_key, thread) == 0);
    this_thread = thread;
    return thread;
}

static void digest_of(EVP_MD_CTX *ctx, const EVP_MD *md, struct str data, uint8_t *digest)
{
    check(md && EVP_DigestInit_ex2(ctx, md, NULL));
    check(EVP_DigestUpdate(ctx, data.ptr ? data.ptr : "", data.len));
    check(EVP_DigestFinal_ex(ctx, digest, NULL));
}

void hash_sha256(struct str data, uint8_t digest[SHA256_BYTES])
{
    EVP_MD_CTX *ctx = thread_get()->md;

    digest_of(ctx, fetched.sha256, data, digest);
}

void hash_md5(struct str data, uint8_t digest[16])
{
    EVP_MD_CTX *ctx = thread_get()->md;

    digest_of(ctx, fetched.md5, data, digest);
}

size_t hash_hmac(enum hash_kind kind, struct str key, struct str data, uint8_t digest[SHA256_BYTES])
{
    EVP_MAC_CTX *mac;
    size_t len = 0;

    assert(kind == HASH_SHA1 || kind == HASH_SHA256);
    mac = thread_get()->mac[kind];
    /* A NULL key would keep the last one. */
    check(EVP_MAC_init(mac, (const unsigned char *)(key.ptr ? key.ptr : ""), key.len, NULL));
    check(EVP_MAC_update(mac, (const unsigned char *)(data.ptr ? data.ptr : ""), data.len));
    check(EVP_MAC_final(mac, digest, &len, SHA256_BYTES));
    assert(len == (kind == HASH_SHA1 ? SHA1_BYTES : SHA256_BYTES));
    return len;
}

void hex_encode(const uint8_t *bytes, size_t len, char *text)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < len; i++) {
        *text++ = digits[bytes[i] >> 4];
        *text++ = digits[bytes[i] & 15];
    }
    *text = '\0';
}

static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

size_t base64_encode(const uint8_t *bytes, size_t len, char *text)
{
    char *out = text;

    for (size_t i = 0; i < len; i += 3) {
        size_t have = MIN_OF(len - i, (size_t)3);
        uint32_t group = (uint32_t)bytes[i] << 16;

        if (have > 1)
            group |= (uint32_t)bytes[i + 1] << 8;
        if (have > 2)
            group |= bytes[i + 2];
        *out++ = base64_digits[group >> 18];
        *out++ = base64_digits[group >> 12 & 63];
        *out++ = have > 1 ? base64_digits[group >> 6 & 63] : '=';
        *out++ = have > 2 ? base64_digits[group & 63] : '=';
    }
    *out = '\0';
    return (size_t)(out - text);
}

static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Strict (RFC 4648 §3.5): whole groups, padding at the end only, and no bits set that padding
 * drops. */
int base64_decode(struct str text, uint8_t *bytes, size_t *ret_len)
{
    size_t padding = 0;
    size_t out = 0;

    if (text.len % 4 != 0)
        return -E_INVALID;
    if (text.len > 0 && text.ptr[text.len - 1] == '=')
        padding = text.ptr[text.len - 2] == '=' ? 2 : 1;
    for (size_t i = 0; i < text.len; i += 4) {
        size_t digits = i + 4 == text.len ? 4 - padding : 4;
        uint32_t group = 0;

        for (size_t k = 0; k < 4; k++) {
            int value = k < digits ? base64_value(text.ptr[i + k]) : 0;

            if (value < 0)
                return -E_INVALID;
            group = group << 6 | (uint32_t)value;
        }
        if ((digits == 2 && (group & 0xFFFF) != 0) || (digits == 3 && (group & 0xFF) != 0))
            return -E_INVALID;
        for (size_t k = 0; k + 1 < digits; k++)
            bytes[out++] = (uint8_t)(group >> (16 - 8 * k));
    }
    *ret_len = out;
    return 0;
}

bool equal_constant_time(struct str a, struct str b)
{
    if (a.len != b.len)
        return false;
    return a.len == 0 || CRYPTO_memcmp(a.ptr, b.ptr, a.len) == 0;
}
