/* SPDX-License-Identifier: Apache-2.0 */
/* Deployment sets: which host one more member gets, for each strategy, and when there is none. */
#include "unit/unit.h"

#include "model/spread.h"

#define R STR("cn-hangzhou")
#define H STR("cn-hangzhou-h")
#define I STR("cn-hangzhou-i")
#define HOSTS 6

static const struct instance_type type = {.id = "t", .vcpus = 2, .memory_mib = 8192};
static const struct deployment_set availability = {.strategy = DEPLOYMENT_STRATEGY_AVAILABILITY};
static const struct deployment_set groups = {.strategy = DEPLOYMENT_STRATEGY_AVAILABILITY_GROUP, .group_count = 3};
static const struct deployment_set near = {.strategy = DEPLOYMENT_STRATEGY_LOW_LATENCY};

struct world {
    struct host hosts[HOSTS];
    struct deployment_member members[64];
    struct spread spread;
};

/* Four hosts in zone h, the first with most memory free, and two in zone i, with less than those. */
static struct world world_of(const struct deployment_set *set)
{
    struct world world = {.spread = {.set = set}};

    for (int i = 0; i < HOSTS; i++)
        world.hosts[i] = (struct host){
            .id = str_from((const char *[]){"h-1", "h-2", "h-3", "h-4", "i-1", "i-2"}[i]),
            .region_id = R,
            .zone_id = i < 4 ? H : I,
            .state = HOST_STATE_UP,
            .vcpus = 1000,
            .memory_mib = (100 - i) * INT64_C(8192),
        };
    return world;
}

static void join(struct world *world, struct str host_id, struct str zone_id, int64_t group_no)
{
    world->members[world->spread.count++] = (struct deployment_member){STR("m"), zone_id, host_id, group_no};
    world->spread.members = world->members;
}

static struct host *choose(struct world *world, struct str zone_id, int64_t *group_no)
{
    return spread_choose(&world->spread, world->hosts, HOSTS, R, zone_id, &type, group_no);
}

/* Places one more; it becomes a member. NULL: no host. */
static const char *place(struct world *world, struct str zone_id, int64_t *group_no)
{
    struct host *host = choose(world, zone_id, group_no);

    if (!host)
        return NULL;
    host->used_memory_mib += type.memory_mib;
    join(world, host->id, host->zone_id, *group_no);
    return host->id.ptr;
}

static void no_two_members_at_one_host(void **state)
{
    struct world world = world_of(&availability);
    int64_t none = 0;

    (void)state;
    assert_string_equal(place(&world, H, &none), "h-1");
    assert_string_equal(place(&world, H, &none), "h-2");
    assert_string_equal(place(&world, H, &none), "h-3");
    assert_string_equal(place(&world, H, &none), "h-4");
    assert_null(place(&world, H, &none));
    assert_string_equal(place(&world, STR_NONE, &none), "i-1"); /* the zone is its choice */
    assert_string_equal(place(&world, STR_NONE, &none), "i-2");
    assert_null(place(&world, STR_NONE, &none));
    assert_int_equal(spread_used(&world.spread, H), 4);
    assert_int_equal(spread_room(&world.spread, I, 0), 18);
}

/* Also where the only host that the set leaves is no good otherwise. */
static void a_host_needs_room_as_well(void **state)
{
    struct world world = world_of(&availability);
    int64_t none = 0;

    (void)state;
    join(&world, STR("h-1"), H, 0);
    world.hosts[1].state = HOST_STATE_DOWN;
    world.hosts[2].state = HOST_STATE_DRAINING;
    world.hosts[3].used_memory_mib = world.hosts[3].memory_mib;
    assert_null(place(&world, H, &none));
    world.hosts[0].used_memory_mib = 0;
    assert_null(place(&world, H, &none));
}

static void a_member_without_a_host_bars_none(void **state)
{
    struct world world = world_of(&availability);
    int64_t none = 0;

    (void)state;
    join(&world, STR_NONE, H, 0);
    assert_string_equal(place(&world, H, &none), "h-1");
    assert_int_equal(spread_used(&world.spread, H), 2);
}

/* Hosts without number do not help. */
static void a_zone_takes_twenty(void **state)
{
    struct world world = world_of(&availability);
    int64_t none = 0;

    (void)state;
    for (int i = 0; i < 19; i++)
        join(&world, STR_NONE, H, 0);
    assert_int_equal(spread_room(&world.spread, H, 0), 1);
    assert_string_equal(place(&world, H, &none), "h-1");
    assert_int_equal(spread_room(&world.spread, H, 0), 0);
    assert_null(place(&world, H, &none));
    assert_string_equal(place(&world, STR_NONE, &none), "i-1");
}

static void groups_keep_apart_and_fill_evenly(void **state)
{
    struct world world = world_of(&groups);
    const int64_t expected[] = {1, 2, 3, 1, 2, 3};

    (void)state;
    for (size_t i = 0; i < countof(expected); i++) {
        int64_t group_no = 0;

        assert_non_null(place(&world, H, &group_no));
        assert_int_equal(group_no, expected[i]);
    }
    for (size_t a = 0; a < world.spread.count; a++)
        for (size_t b = 0; b < a; b++)
            if (str_eq(world.members[a].host_id, world.members[b].host_id))
                assert_int_equal(world.members[a].group_no, world.members[b].group_no);
}

static void a_named_group_goes_where_no_other_is(void **state)
{
    struct world world = world_of(&groups);
    int64_t second = 2;

    (void)state;
    join(&world, STR("h-1"), H, 1);
    join(&world, STR("h-2"), H, 2);
    join(&world, STR("h-3"), H, 3);
    join(&world, STR("h-4"), H, 1);
    for (int i = 0; i < 3; i++)
        assert_string_equal(place(&world, H, &second), "h-2");
    assert_int_equal(second, 2);
    world.hosts[0].state = world.hosts[1].state = world.hosts[2].state = world.hosts[3].state = HOST_STATE_DOWN;
    assert_null(place(&world, H, &second));
}

/* The emptiest group has no host left, another has. */
static void a_group_without_a_host_is_passed_over(void **state)
{
    struct world world = world_of(&groups);
    int64_t group_no = 0;

    (void)state;
    for (int i = 0; i < 4; i++)
        join(&world, world.hosts[i].id, H, i % 2 + 1);
    assert_non_null(place(&world, H, &group_no));
    assert_int_equal(group_no, 1);
}

static void a_group_takes_twenty(void **state)
{
    struct world world = world_of(&groups);
    int64_t first = 1, any = 0;

    (void)state;
    for (int i = 0; i < 20; i++)
        join(&world, STR_NONE, H, 1);
    assert_int_equal(spread_limit(&groups), 60);
    assert_int_equal(spread_room(&world.spread, H, 1), 0);
    assert_int_equal(spread_room(&world.spread, H, 0), 40);
    assert_null(place(&world, H, &first));
    assert_non_null(place(&world, H, &any));
    assert_int_equal(any, 2);
}

static void low_latency_stays_in_its_zone(void **state)
{
    struct world world = world_of(&near);
    int64_t none = 0;

    (void)state;
    assert_string_equal(place(&world, I, &none), "i-1");
    assert_non_null(place(&world, STR_NONE, &none));
    assert_true(str_eq(world.members[1].zone_id, I));
    assert_null(place(&world, H, &none));
    for (int i = 0; i < 18; i++)
        assert_non_null(place(&world, I, &none));
    assert_null(place(&world, STR_NONE, &none)); /* twenty */
}

/* One that has its host already. */
static void who_may_join_where_it_is(void **state)
{
    struct world world = world_of(&availability), grouped = world_of(&groups), close = world_of(&near);
    int64_t none = 0, any = 0, third = 3;

    (void)state;
    join(&world, STR("h-1"), H, 0);
    assert_false(spread_joins(&world.spread, H, STR("h-1"), &none));
    assert_true(spread_joins(&world.spread, H, STR("h-2"), &none));
    assert_true(spread_joins(&world.spread, H, STR_NONE, &none));
    join(&grouped, STR("h-1"), H, 2);
    assert_false(spread_joins(&grouped.spread, H, STR("h-1"), &third));
    assert_true(spread_joins(&grouped.spread, H, STR("h-1"), &any)); /* not the emptiest, but the only one there */
    assert_int_equal(any, 2);
    any = 0;
    assert_true(spread_joins(&grouped.spread, H, STR("h-2"), &any));
    assert_int_equal(any, 1);
    join(&grouped, STR("h-1"), H, 3); /* as it never is */
    any = 0;
    assert_false(spread_joins(&grouped.spread, H, STR("h-1"), &any));
    assert_int_equal(any, 0);
    join(&close, STR("h-1"), H, 0);
    assert_true(spread_joins(&close.spread, H, STR("h-1"), &none));
    assert_false(spread_joins(&close.spread, I, STR("i-1"), &none));
}

/* Each host is there once, whatever was set aside. */
static void no_host_gets_lost(void **state)
{
    struct world world = world_of(&groups);
    int64_t group_no = 0;

    (void)state;
    for (int i = 0; i < 4; i++)
        join(&world, world.hosts[i].id, H, i % 3 + 1);
    assert_non_null(choose(&world, STR_NONE, &group_no));
    for (int i = 0; i < HOSTS; i++) {
        int seen = 0;

        for (int k = 0; k < HOSTS; k++)
            seen += str_eq(world.hosts[k].id, str_from((const char *[]){"h-1", "h-2", "h-3", "h-4", "i-1", "i-2"}[i]));
        assert_int_equal(seen, 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_two_members_at_one_host),
        cmocka_unit_test(a_host_needs_room_as_well),
        cmocka_unit_test(a_member_without_a_host_bars_none),
        cmocka_unit_test(a_zone_takes_twenty),
        cmocka_unit_test(groups_keep_apart_and_fill_evenly),
        cmocka_unit_test(a_named_group_goes_where_no_other_is),
        cmocka_unit_test(a_group_without_a_host_is_passed_over),
        cmocka_unit_test(a_group_takes_twenty),
        cmocka_unit_test(low_latency_stays_in_its_zone),
        cmocka_unit_test(who_may_join_where_it_is),
        cmocka_unit_test(no_host_gets_lost),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
