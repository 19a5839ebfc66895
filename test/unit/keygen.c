/* SPDX-License-Identifier: Apache-2.0 */
/* Keys that are made ahead: none is given to two, and stopping waits for nothing. */
#include "unit.h"

#include <sched.h>

#include "base/keygen.h"
#include "gen/errors.h"

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
    keygen_stop();
    arena_done(&arena);
    return 0;
}

static void check_key(const struct keygen_key *key)
{
    assert_true(str_starts(key->private_pem, STR("-----BEGIN RSA PRIVATE KEY-----\nMII")));
    assert_true(str_ends(key->private_pem, STR("-----END RSA PRIVATE KEY-----\n")));
    /* 4 + 7 of the word, 4 + 3 of 65537, 4 + 257 of a modulus whose first bit is set: 279 bytes in base64. */
    assert_true(str_starts(key->public_line, STR("ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQ")));
    assert_int_equal(key->public_line.len, 8 + 372);
}

static void without_a_maker_it_is_made_at_once(void **state)
{
    struct keygen_key key;

    (void)state;
    assert_int_equal(keygen_take(&arena, &key), 0);
    check_key(&key);
}

/* Taken as fast as can be: more than the stock that there may be. */
static void nobody_gets_anothers_key(void **state)
{
    struct keygen_key keys[3];
    size_t count = 0;
    int r;

    (void)state;
    assert_int_equal(keygen_start(), 0);
    while (count < countof(keys)) {
        r = keygen_take(&arena, &keys[count]);
        assert_true(r == 0 || r == -E_BUSY);
        if (r < 0)
            (void)sched_yield();
        else
            check_key(&keys[count++]);
    }
    for (size_t i = 1; i < countof(keys); i++)
        for (size_t k = 0; k < i; k++)
            assert_false(str_eq(keys[i].public_line, keys[k].public_line));
}

static void it_can_be_stopped_at_any_time(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        assert_int_equal(keygen_start(), 0);
        keygen_stop();
    }
    keygen_stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(without_a_maker_it_is_made_at_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nobody_gets_anothers_key, set_up, tear_down),
        cmocka_unit_test_setup_teardown(it_can_be_stopped_at_any_time, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
