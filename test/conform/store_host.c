/* SPDX-License-Identifier: Apache-2.0 */
/* A part of conform/store.c: hosts, and the search for one with room. */
#include "model/place.h"

static int host_body(struct tx *tx, struct fixture *f)
{
    struct host host = {.id = STR("host-1"),
                        .url = STR("sim:"),
                        .region_id = REGION,
                        .vcpus = 8,
                        .memory_mib = 100};
    struct host *got = NULL;
    size_t count = 0;

    (void)f;
    ok(store_host_insert(tx, &host));
    assert_int_equal(store_host_insert(tx, &host), -E_EXISTS);
    ok(store_host_reserve(tx, host.id, 6, 60));
    assert_int_equal(store_host_reserve(tx, host.id, 3, 1), -E_LIMIT);
    assert_int_equal(store_host_reserve(tx, host.id, 1, 41), -E_LIMIT);
    assert_int_equal(store_host_reserve(tx, host.id, -7, 0), -E_LIMIT);
    assert_int_equal(store_host_reserve(tx, STR("host-2"), 1, 1), -E_NOT_FOUND);
    host.vcpus = 4; /* less than what is reserved: giving back still works */
    host.state = HOST_STATE_DOWN;
    ok(store_host_save(tx, &host));
    ok(store_host_reserve(tx, host.id, -1, -10));
    ok(store_host_list(tx, &got, &count));
    assert_int_equal(count, 1);
    assert_int_equal(got->used_vcpus, 5);
    assert_int_equal(got->used_memory_mib, 50);
    assert_int_equal(got->vcpus, 4);
    assert_int_equal(got->state, HOST_STATE_DOWN);
    ok(store_host_delete(tx, host.id));
    assert_int_equal(store_host_get(tx, host.id, &got), -E_NOT_FOUND);
    assert_int_equal(store_host_delete(tx, host.id), -E_NOT_FOUND);
    return 0;
}

/* The law is model/place.c's, over all hosts; the index finds the same one. */
static void assert_same_choice(struct tx *tx, struct str zone_id, int64_t vcpus, int64_t memory_mib)
{
    const struct instance_type type = {.id = "t", .vcpus = vcpus, .memory_mib = memory_mib};
    struct host_room room = {REGION, zone_id, vcpus, memory_mib, 1};
    struct host *all, *some, *expected, *chosen;
    size_t all_count, some_count;

    ok(store_host_list(tx, &all, &all_count));
    ok(store_host_roomy(tx, &room, &some, &some_count));
    expected = place_choose(all, all_count, REGION, zone_id, &type);
    chosen = place_choose(some, some_count, REGION, zone_id, &type);
    assert_int_equal(!expected, !chosen);
    if (expected)
        assert_same(chosen->id, expected->id);
}

static int room_body(struct tx *tx, struct fixture *f)
{
    static const char *const zones[] = {"h", "i", "j"};
    struct host_room room = {REGION, STR("h"), 1, 1, 3};
    struct host *hosts;
    size_t count;

    (void)f;
    ok(store_host_roomy(tx, &room, &hosts, &count));
    assert_int_equal(count, 0);
    for (int i = 0; i < 90; i++) { /* few sizes, so that there are ties, and every state */
        struct host host = {.id = arena_printf(tx_arena(tx), "host-%d", i),
                            .url = STR("sim:"),
                            .region_id = i % 11 == 10 ? STR("cn-shanghai") : REGION,
                            .zone_id = str_from(zones[i % 3]),
                            .state = i % 7 == 6 ? i % HOST_STATE_COUNT : HOST_STATE_UP,
                            .vcpus = 4 + i % 5,
                            .memory_mib = 100 + i % 4};

        ok(store_host_insert(tx, &host));
    }
    ok(store_host_roomy(tx, &room, &hosts, &count));
    assert_int_equal(count, 3);
    for (size_t i = 1; i < count; i++)
        assert_true(hosts[i - 1].memory_mib > hosts[i].memory_mib ||
                    (hosts[i - 1].memory_mib == hosts[i].memory_mib && str_cmp(hosts[i - 1].id, hosts[i].id) < 0));
    room.zone_id = STR_NONE;
    ok(store_host_roomy(tx, &room, &hosts, &count));
    assert_int_equal(count, 9);
    for (int i = 0; i < 400; i++) { /* until everything is taken */
        struct str zone_id = i % 4 == 3 ? STR_NONE : str_from(zones[i % 4]);
        int64_t vcpus = 1 + i % 3;

        assert_same_choice(tx, zone_id, vcpus, 5 + i % 13);
        room = (struct host_room){REGION, zone_id, vcpus, 5 + i % 13, 1};
        ok(store_host_roomy(tx, &room, &hosts, &count));
        if (count > 0)
            ok(store_host_reserve(tx, hosts[0].id, vcpus, 5 + i % 13));
    }
    room = (struct host_room){REGION, STR_NONE, 3, 1, 1};
    ok(store_host_roomy(tx, &room, &hosts, &count));
    assert_int_equal(count, 0);
    return 0;
}

static void test_host(void **state)
{
    (void)state;
    in_write(host_body);
    in_write(room_body);
}
