/* SPDX-License-Identifier: Apache-2.0 */
/* The keyring answers from memory only what the store would answer. */
#include "gateway_kit.h"

#include "gateway/keyring.h"

struct change {
    int (*apply)(struct tx *tx, struct str id);
    struct str id;
    bool fail;
};

static int change_run(struct tx *tx, void *arg)
{
    const struct change *change = arg;
    int r = change->apply(tx, change->id);

    return r < 0 || !change->fail ? r : -E_CONFLICT;
}

static int commit(struct kit *kit, int (*apply)(struct tx *tx, struct str id), const char *id)
{
    struct change change = {apply, str_from(id), false};

    return store_write(kit->store, change_run, &change);
}

static int disable(struct tx *tx, struct str id)
{
    return store_key_set_enabled(tx, id, false);
}

static int remove_key(struct tx *tx, struct str id)
{
    return store_key_delete(tx, id);
}

static int economise(struct tx *tx, struct str id)
{
    struct account account = {
        .id = id, .name = STR("test"), .stopped_mode = STOPPED_MODE_STOP_CHARGING};

    return store_account_save(tx, &account);
}

static int look(struct kit *kit, struct keyring *ring, const char *id, struct access_key *ret_key,
                struct account *ret_account)
{
    const struct access_key *key;
    const struct account *account;
    int r = keyring_find(ring, str_from(id), &kit->arena, &key, &account);

    if (r == 0) {
        *ret_key = *key;
        *ret_account = *account;
    }
    return r;
}

static void commits_are_seen_at_once(void **state)
{
    struct kit *kit = *state;
    struct keyring *ring = keyring_new(kit->env, kit->store);
    struct access_key key;
    struct account account;

    for (int i = 0; i < 2; i++) { /* from the store, from memory */
        assert_int_equal(look(kit, ring, KIT_AK, &key, &account), 0);
        assert_true(str_eq(key.secret, STR(KIT_SECRET)));
        assert_true(key.enabled);
        assert_true(str_eq(account.id, STR(KIT_ACCOUNT)));
        assert_int_equal(account.stopped_mode, 0);
    }
    assert_int_equal(commit(kit, economise, KIT_ACCOUNT), 0);
    assert_int_equal(look(kit, ring, KIT_AK, &key, &account), 0);
    assert_int_equal(account.stopped_mode, STOPPED_MODE_STOP_CHARGING);
    assert_int_equal(commit(kit, disable, KIT_AK), 0);
    assert_int_equal(look(kit, ring, KIT_AK, &key, &account), 0);
    assert_false(key.enabled);
    assert_int_equal(look(kit, ring, KIT_STS, &key, &account), 0);
    assert_true(str_eq(key.token, STR(KIT_STS_TOKEN)));
    assert_int_equal(commit(kit, remove_key, KIT_STS), 0);
    assert_int_equal(look(kit, ring, KIT_STS, &key, &account), -E_NOT_FOUND);
    (void)keyring_free(ring);
}

static void what_was_undone_was_never_seen(void **state)
{
    struct kit *kit = *state;
    struct keyring *ring = keyring_new(kit->env, kit->store);
    struct change undone = {disable, STR(KIT_AK), true};
    struct access_key key;
    struct account account;

    assert_int_equal(look(kit, ring, KIT_AK, &key, &account), 0);
    assert_int_equal(store_write(kit->store, change_run, &undone), -E_CONFLICT);
    assert_int_equal(look(kit, ring, KIT_AK, &key, &account), 0);
    assert_true(key.enabled);
    (void)keyring_free(ring);
}

/* Unknown keys are asked for again: one may be made at any time. */
static void unknown_keys_are_not_remembered(void **state)
{
    struct kit *kit = *state;
    struct keyring *ring = keyring_new(kit->env, kit->store);
    struct access_key made = {.id = STR("made-later"),
                              .secret = STR("s"),
                              .account_id = STR(KIT_ACCOUNT),
                              .enabled = true};
    struct access_key key;
    struct account account;

    assert_int_equal(look(kit, ring, "made-later", &key, &account), -E_NOT_FOUND);
    kit_add_key(kit, &made);
    assert_int_equal(look(kit, ring, "made-later", &key, &account), 0);
    assert_true(str_eq(key.secret, STR("s")));
    (void)keyring_free(ring);
}

/* More keys than are remembered, and one with a policy that is too long for that. */
static void many_and_large_keys_are_found(void **state)
{
    struct kit *kit = *state;
    struct keyring *ring = keyring_new(kit->env, kit->store);
    struct access_key key;
    struct account account;
    char *policy = arena_alloc(&kit->arena, 20001);
    char id[32];

    memset(policy, 'p', 20000);
    for (int i = 0; i < 1500; i++) {
        struct access_key made = {.secret = STR("s"), .account_id = STR(KIT_ACCOUNT)};

        (void)snprintf(id, sizeof(id), "many-%d", i);
        made.id = str_from(id);
        if (i == 3)
            made.policy = str_slice(policy, 20000);
        kit_add_key(kit, &made);
    }
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 1500; i++) {
            (void)snprintf(id, sizeof(id), "many-%d", i);
            assert_int_equal(look(kit, ring, id, &key, &account), 0);
            assert_true(str_eq(key.id, str_from(id)));
            assert_int_equal(key.policy.len, i == 3 ? 20000 : 0);
        }
    }
    (void)keyring_free(ring);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, kit_set_up, kit_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(commits_are_seen_at_once),
        TEST(what_was_undone_was_never_seen),
        TEST(unknown_keys_are_not_remembered),
        TEST(many_and_large_keys_are_found),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
