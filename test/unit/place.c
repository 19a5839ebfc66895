/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/unit.h"

#include "model/place.h"

static struct host host(const char *id, const char *zone, int state, int64_t vcpus,
                        int64_t memory_mib)
{
    return (struct host){.id = str_from(id),
                         .region_id = STR("cn-hangzhou"),
                         .zone_id = str_from(zone),
                         .state = state,
                         .vcpus = vcpus,
                         .memory_mib = memory_mib};
}

static void most_memory_free_wins(void **state)
{
    struct host hosts[] = {
        host("host-3", "h", HOST_STATE_UP, 16, 4096),
        host("host-2", "h", HOST_STATE_UP, 16, 65536),
        host("host-1", "h", HOST_STATE_UP, 16, 65536),
        host("host-4", "i", HOST_STATE_UP, 16, 1 << 20),
        host("host-5", "h", HOST_STATE_DOWN, 16, 1 << 20),
        host("host-6", "h", HOST_STATE_DRAINING, 16, 1 << 20),
        host("host-7", "h", HOST_STATE_UP, 1, 1 << 20),
    };
    const struct instance_type type = {.id = "t", .vcpus = 2, .memory_mib = 8192};

    (void)state;
    assert_str(place_choose(hosts, countof(hosts), STR("cn-hangzhou"), STR("h"), &type)->id,
               "host-1");
    hosts[2].used_memory_mib = 1;
    assert_str(place_choose(hosts, countof(hosts), STR("cn-hangzhou"), STR("h"), &type)->id,
               "host-2");
    assert_str(place_choose(hosts, countof(hosts), STR("cn-hangzhou"), STR_NONE, &type)->id,
               "host-4");
    assert_null(place_choose(hosts, countof(hosts), STR("cn-hangzhou"), STR("k"), &type));
    assert_null(place_choose(hosts, countof(hosts), STR("cn-shanghai"), STR_NONE, &type));
    assert_null(place_choose(hosts, 0, STR("cn-hangzhou"), STR_NONE, &type));
}

static void a_full_host_is_passed_over(void **state)
{
    struct host hosts[] = {host("host-1", "h", HOST_STATE_UP, 4, 16384)};
    const struct instance_type type = {.id = "t", .vcpus = 2, .memory_mib = 8192};

    (void)state;
    hosts[0].used_vcpus = 2;
    hosts[0].used_memory_mib = 8192;
    assert_non_null(place_choose(hosts, 1, STR("cn-hangzhou"), STR("h"), &type));
    hosts[0].used_vcpus = 3;
    assert_null(place_choose(hosts, 1, STR("cn-hangzhou"), STR("h"), &type));
    hosts[0].used_vcpus = 2;
    hosts[0].used_memory_mib = 8193;
    assert_null(place_choose(hosts, 1, STR("cn-hangzhou"), STR("h"), &type));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(most_memory_free_wins),
        cmocka_unit_test(a_full_host_is_passed_over),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
