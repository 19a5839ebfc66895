/* SPDX-License-Identifier: Apache-2.0 */
/* Public keys: real ones, as ssh-keygen made them, and what must not get into a list of who may log in. */
#include "unit.h"

#include "model/public_key.h"

#define ED25519 "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"

static struct arena arena;

static int set_up(void **state)
{
    (void)state;
    arena_init(&arena, 1u << 20);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_done(&arena);
    return 0;
}

/* The host key of github.com; the fingerprint is what ssh-keygen -E md5 says of it, without its colons. */
static void the_fingerprint_is_of_the_key_alone(void **state)
{
    struct public_key plain, commented;

    (void)state;
    assert_int_equal(public_key_parse(&arena, STR(ED25519), &plain), 0);
    assert_int_equal(public_key_parse(&arena, STR("  " ED25519 " me@home, \xc3\xa4ndert nichts\n"), &commented), 0);
    assert_str(plain.line, ED25519);
    assert_str(commented.line, ED25519 " me@home, \xc3\xa4ndert nichts");
    assert_str(plain.fingerprint, "65962dfce8d5a911640c0fea006e5bbd");
    assert_true(str_eq(commented.fingerprint, plain.fingerprint));
}

static void what_is_not_one_key_is_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "ssh-ed25519",
        "ssh-ed25519 ",
        "ssh-ed25519 AAAA",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5",                    /* the type alone */
        "ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl", /* of another type */
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJ", /* cut off */
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9", /* on a boundary of base64 */
        (ED25519 "\nssh-rsa AAAA"),
        (ED25519 "\rssh-rsa AAAA"),
        ("command=\"rm -rf /\" " ED25519),                        /* options are not a key */
        "ssh-none AAAACHNzaC1ub25lAAAAAXg=",
        "-----BEGIN PUBLIC KEY-----",
    };
    struct public_key key;
    char *longer = arena_alloc(&arena, PUBLIC_KEY_MAX_BYTES + 1);

    (void)state;
    for (size_t i = 0; i < countof(bad); i++)
        if (public_key_parse(&arena, str_from(bad[i]), &key) == 0)
            fail_msg("\"%s\" is taken for a key", bad[i]);
    memset(longer, 'x', PUBLIC_KEY_MAX_BYTES + 1);
    memcpy(longer, ED25519 " ", sizeof(ED25519));
    assert_int_equal(public_key_parse(&arena, str_slice(longer, PUBLIC_KEY_MAX_BYTES), &key), 0);
    assert_true(public_key_parse(&arena, str_slice(longer, PUBLIC_KEY_MAX_BYTES + 1), &key) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_fingerprint_is_of_the_key_alone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_not_one_key_is_refused, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
