/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/unit.h"

#include <pthread.h>

#include "base/hash.h"
#include "gen/errors.h"

static void check_hmac(enum hash_kind kind, struct str key, struct str data, const char *expected)
{
    uint8_t digest[SHA256_BYTES];
    char text[2 * SHA256_BYTES + 1];

    hex_encode(digest, hash_hmac(kind, key, data, digest), text);
    assert_string_equal(text, expected);
}

struct filled {
    char bytes[256];
};

static struct str repeat(struct filled *room, char c, size_t len)
{
    memset(room->bytes, c, len);
    return str_slice(room->bytes, len);
}

/* RFC 2202 §3 */
static void hmac_sha1_vectors(void **state)
{
    struct filled key;
    struct filled data;

    (void)state;
    check_hmac(HASH_SHA1, repeat(&key, 0x0b, 20), STR("Hi There"),
               "b617318655057264e28bc0b6fb378c8ef146be00");
    check_hmac(HASH_SHA1, STR("Jefe"), STR("what do ya want for nothing?"),
               "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
    check_hmac(HASH_SHA1, repeat(&key, (char)0xaa, 20), repeat(&data, (char)0xdd, 50),
               "125d7342b9ac11cd91a39af48aa17b4f63f175d3");
    check_hmac(HASH_SHA1, repeat(&key, (char)0xaa, 80),
               STR("Test Using Larger Than Block-Size Key - Hash Key First"),
               "aa4ae5e15272d00e95705637ce8a3b55ed402112");
    check_hmac(HASH_SHA1, repeat(&key, (char)0xaa, 80),
               STR("Test Using Larger Than Block-Size Key and Larger Than One Block-Size Data"),
               "e8e99d0f45237d786d6bbaa7965c7808bbff1a91");
    /* Empty key and text: also after another key was set. */
    check_hmac(HASH_SHA1, STR_NONE, STR_NONE, "fbdb1d1b18aa6c08324b7d64b71fb76370690e1d");
}

/* RFC 4231 §4 */
static void hmac_sha256_vectors(void **state)
{
    struct filled key;
    struct filled data;

    (void)state;
    check_hmac(HASH_SHA256, repeat(&key, 0x0b, 20), STR("Hi There"),
               "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    check_hmac(HASH_SHA256, STR("Jefe"), STR("what do ya want for nothing?"),
               "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    check_hmac(HASH_SHA256, repeat(&key, (char)0xaa, 20), repeat(&data, (char)0xdd, 50),
               "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe");
    check_hmac(HASH_SHA256, repeat(&key, (char)0xaa, 131),
               STR("Test Using Larger Than Block-Size Key - Hash Key First"),
               "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    check_hmac(HASH_SHA256, STR(""), STR(""),
               "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

/* FIPS 180-4, RFC 1321 §A.5 */
static void digests(void **state)
{
    uint8_t digest[SHA256_BYTES];
    char text[2 * SHA256_BYTES + 1];

    (void)state;
    hash_sha256(STR("abc"), digest);
    hex_encode(digest, 32, text);
    assert_string_equal(text, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    hash_sha256(STR_NONE, digest);
    hex_encode(digest, 32, text);
    assert_string_equal(text, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    hash_md5(STR("message digest"), digest);
    hex_encode(digest, 16, text);
    assert_string_equal(text, "f96b697d7cb7938d525a2f31aaf161d0");
}

/* RFC 4648 §10 */
static void base64_vectors(void **state)
{
    static const char *const rows[][2] = {{"", ""},
                                          {"f", "Zg=="},
                                          {"fo", "Zm8="},
                                          {"foo", "Zm9v"},
                                          {"foob", "Zm9vYg=="},
                                          {"fooba", "Zm9vYmE="},
                                          {"foobar", "Zm9vYmFy"}};
    uint8_t bytes[32];
    char text[32];
    size_t len;

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        assert_int_equal(base64_encode((const uint8_t *)rows[i][0], strlen(rows[i][0]), text),
                         strlen(rows[i][1]));
        assert_string_equal(text, rows[i][1]);
        assert_int_equal(base64_decode(str_from(rows[i][1]), bytes, &len), 0);
        assert_int_equal(len, strlen(rows[i][0]));
        assert_memory_equal(bytes, rows[i][0], len);
    }
}

static void base64_all_bytes(void **state)
{
    uint8_t bytes[256];
    uint8_t back[BASE64_MAX(256) / 4 * 3];
    char text[BASE64_MAX(256)];
    size_t len;

    (void)state;
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 151);
    for (size_t n = 0; n <= sizeof(bytes); n++) {
        size_t text_len = base64_encode(bytes, n, text);

        assert_int_equal(text_len + 1, BASE64_MAX(n));
        assert_int_equal(base64_decode(str_slice(text, text_len), back, &len), 0);
        assert_int_equal(len, n);
        assert_memory_equal(back, bytes, n);
    }
}

static void base64_refuses(void **state)
{
    static const char *const bad[] = {"Z",    "Zg",   "Zg=",  "Zg==Zg==", "Zh==",
                                      "Zm9=", "Z===", "====", "Zm9v\n",   "Zm 9v",
                                      "Zm-_", "=Zm9", "Z=9v", "Zm=v"};
    uint8_t bytes[32];
    size_t len = 42;

    (void)state;
    for (size_t i = 0; i < countof(bad); i++) {
        if (base64_decode(str_from(bad[i]), bytes, &len) != -E_INVALID)
            fail_msg("accepted: %s", bad[i]);
        assert_int_equal(len, 42);
    }
}

static void compares_in_constant_time(void **state)
{
    (void)state;
    assert_true(equal_constant_time(STR("secret"), STR("secret")));
    assert_false(equal_constant_time(STR("secret"), STR("secreT")));
    assert_false(equal_constant_time(STR("secret"), STR("secre")));
    assert_true(equal_constant_time(STR_NONE, STR("")));
}

static void *hash_in_thread(void *object)
{
    uint8_t *digest = object;

    for (int i = 0; i < 1000; i++)
        (void)hash_hmac(HASH_SHA256, STR("Jefe"), STR("what do ya want for nothing?"), digest);
    return NULL;
}

static void works_in_threads(void **state)
{
    pthread_t threads[4];
    uint8_t digests_of[4][SHA256_BYTES];
    char text[2 * SHA256_BYTES + 1];

    (void)state;
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, hash_in_thread, digests_of[i]), 0);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        hex_encode(digests_of[i], SHA256_BYTES, text);
        assert_string_equal(text,
                            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hmac_sha1_vectors),
        cmocka_unit_test(hmac_sha256_vectors),
        cmocka_unit_test(digests),
        cmocka_unit_test(base64_vectors),
        cmocka_unit_test(base64_all_bytes),
        cmocka_unit_test(base64_refuses),
        cmocka_unit_test(compares_in_constant_time),
        cmocka_unit_test(works_in_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
