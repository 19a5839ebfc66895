/* SPDX-License-Identifier: Apache-2.0 */
/* Texts and times that RunInstances and ModifyInstanceAttribute have in common. */
#include "actions/launch.h"
#include "base/hash.h"

#define PASSWORD_ROUNDS 1000
#define PASSWORD_SALT_BYTES 16
#define USER_DATA_MAX_BYTES (32 * 1024) /* before base64 (2026 page) */
#define RELEASE_MIN_US (30 * USEC_PER_MINUTE)
#define RELEASE_MAX_US (3 * 365 * 24 * USEC_PER_HOUR)

/* PBKDF2 of one block (RFC 8018 §5.2): the rows never hold what could be used to log in. */
struct str password_hash(struct env *env, struct arena *arena, struct str password)
{
    uint8_t salt[PASSWORD_SALT_BYTES + 4] = {0}, block[SHA256_BYTES], sum[SHA256_BYTES];
    char salt_hex[2 * PASSWORD_SALT_BYTES + 1], sum_hex[2 * SHA256_BYTES + 1];

    env_random(env, salt, PASSWORD_SALT_BYTES);
    salt[PASSWORD_SALT_BYTES + 3] = 1; /* block number 1, big endian */
    (void)hash_hmac(HASH_SHA256, password, str_slice((char *)salt, sizeof(salt)), block);
    memcpy(sum, block, sizeof(sum));
    for (int round = 1; round < PASSWORD_ROUNDS; round++) {
        (void)hash_hmac(HASH_SHA256, password, str_slice((char *)block, sizeof(block)), block);
        for (size_t i = 0; i < sizeof(sum); i++)
            sum[i] ^= block[i];
    }
    hex_encode(salt, PASSWORD_SALT_BYTES, salt_hex);
    hex_encode(sum, sizeof(sum), sum_hex);
    return arena_printf(arena, "pbkdf2-sha256$%d$%s$%s", PASSWORD_ROUNDS, salt_hex, sum_hex);
}

int user_data_check(struct action *act, struct str user_data)
{
    size_t len = 0;

    if (str_empty(user_data))
        return 0;
    if (user_data.len > BASE64_MAX(USER_DATA_MAX_BYTES))
        return fail(act->fail, E_USER_DATA_SIZE);
    if (base64_decode(user_data, arena_alloc(act->arena, user_data.len), &len) < 0)
        return fail(act->fail, E_USER_DATA);
    return len > USER_DATA_MAX_BYTES ? fail(act->fail, E_USER_DATA_SIZE) : 0;
}

int release_time_check(struct action *act, usec_t asked, enum error_code code, usec_t *ret)
{
    usec_t minute = asked - asked % USEC_PER_MINUTE;
    usec_t now = act->now - act->now % USEC_PER_MINUTE;

    if (minute < now + RELEASE_MIN_US || minute > now + RELEASE_MAX_US)
        return fail(act->fail, code);
    *ret = minute;
    return 0;
}
