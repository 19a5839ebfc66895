/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/unit.h"

#include <stdio.h>

#include "gateway/params.h"
#include "gateway/target.h"

struct kit {
    struct arena arena;
    struct params params;
    struct fail fail;
};

static int set_up(void **state)
{
    static struct kit kit;

    kit = (struct kit){.params.count = 0};
    arena_init(&kit.arena, LIMIT_CALL_ARENA_BYTES);
    fail_init(&kit.fail, &kit.arena);
    *state = &kit;
    return 0;
}

static int tear_down(void **state)
{
    arena_done(&((struct kit *)*state)->arena);
    return 0;
}

static int add(struct kit *kit, const char *text, enum param_source source)
{
    return params_add(&kit->params, &kit->arena, str_from(text), source, &kit->fail);
}

static struct str get(struct kit *kit, const char *name)
{
    return params_get(&kit->params, str_from(name));
}

static void decodes_what_clients_write(void **state)
{
    struct kit *kit = *state;

    assert_int_equal(add(kit,
                         "Name=a%20b%2bC+d*!'()~&Empty=&Flag&x=1=2&&%E4%B8%AD=%e6%96%87&Bad=%zz%4",
                         PARAM_QUERY),
                     0);
    params_sort(&kit->params);
    assert_int_equal(kit->params.count, 6);
    assert_str(get(kit, "Name"), "a b+C d*!'()~");
    assert_str(get(kit, "Empty"), "");
    assert_str(get(kit, "Flag"), "");
    assert_str(get(kit, "x"), "1=2");
    assert_str(get(kit, "\xe4\xb8\xad"), "\xe6\x96\x87");
    assert_str(get(kit, "Bad"), "%zz%4");
    assert_str(get(kit, "None"), NULL);
}

static void looks_up_in_any_case_but_exactly_first(void **state)
{
    struct kit *kit = *state;

    assert_int_equal(add(kit, "regionId=lower&RegionId=exact&tag.1.KEY=k", PARAM_QUERY), 0);
    params_sort(&kit->params);
    assert_str(get(kit, "RegionId"), "exact");
    assert_str(get(kit, "regionId"), "lower");
    assert_str(get(kit, "Tag.1.Key"), "k");
}

static void form_beats_query_and_can_be_turned(void **state)
{
    struct kit *kit = *state;

    assert_int_equal(add(kit, "A=query&B=1&A=second", PARAM_QUERY), 0);
    assert_int_equal(add(kit, "A=form&C=2", PARAM_FORM), 0);
    params_sort(&kit->params);
    assert_str(get(kit, "A"), "form");
    assert_true(params_prefer_query(&kit->params, true));
    assert_str(get(kit, "A"), "query");
    assert_str(get(kit, "B"), "1");
    assert_true(params_prefer_query(&kit->params, false));
    assert_str(get(kit, "A"), "form");
}

static void within_one_source_the_first_wins(void **state)
{
    struct kit *kit = *state;

    assert_int_equal(add(kit, "A=1&A=2", PARAM_QUERY), 0);
    params_sort(&kit->params);
    assert_str(get(kit, "A"), "1");
    assert_false(params_prefer_query(&kit->params, true));
    assert_str(get(kit, "A"), "1");
}

static void refuses_what_is_no_text(void **state)
{
    static const char *const bad[] = {"A=%ff", "A=%00", "%C3=1", "A=%ed%a0%80"};

    for (size_t i = 0; i < countof(bad); i++) {
        struct kit *kit = *state;

        assert_int_equal(add(kit, bad[i], PARAM_QUERY), -E_INVALID_PARAMETER);
        assert_int_equal(kit->fail.code, E_INVALID_PARAMETER);
        assert_int_equal(kit->params.count, 0);
    }
}

static void is_bounded(void **state)
{
    struct kit *kit = *state;
    char name[LIMIT_NAME_BYTES + 8];

    memset(name, 'n', sizeof(name));
    assert_int_equal(params_add(&kit->params, &kit->arena, str_slice(name, LIMIT_NAME_BYTES + 1),
                                PARAM_QUERY, &kit->fail),
                     -E_INVALID_PARAMETER);
    assert_int_equal(params_add(&kit->params, &kit->arena, str_slice(name, LIMIT_NAME_BYTES),
                                PARAM_QUERY, &kit->fail),
                     0);
    for (size_t i = 1; i < LIMIT_PARAMS; i++)
        assert_int_equal(add(kit, "a=1", PARAM_QUERY), 0);
    assert_int_equal(add(kit, "a=1", PARAM_QUERY), -E_REQUEST_TOO_LARGE);
    assert_int_equal(kit->params.count, LIMIT_PARAMS);
}

static void sorts_many_as_few(void **state)
{
    struct kit *kit = *state;
    char pair[32];

    for (unsigned i = 0; i < 500; i++) {
        (void)snprintf(pair, sizeof(pair), "N%03u=%u", (i * 7919) % 500, i);
        assert_int_equal(params_add(&kit->params, &kit->arena,
                                    arena_str(&kit->arena, str_from(pair)), PARAM_QUERY,
                                    &kit->fail),
                         0);
    }
    params_sort(&kit->params);
    for (size_t i = 1; i < kit->params.count; i++)
        assert_true(str_cmp(kit->params.items[i - 1].name, kit->params.items[i].name) < 0);
}

static void flattens_json(void **state)
{
    struct kit *kit = *state;
    struct str body =
        STR("{\"InstanceId\":[\"i-1\",\"i-2\"],\"ForceStop\":true,\"N\":-7,\"F\":0.5,\"Null\":null,"
            "\"Tag\":[{\"Key\":\"k\",\"Value\":\"\\u4e2d\"}],\"SystemDisk\":{\"Size\":40},\"E\":[],"
            "\"O\":{}}");

    assert_int_equal(params_add_json(&kit->params, &kit->arena, body, &kit->fail), 0);
    params_sort(&kit->params);
    assert_str(get(kit, "InstanceId.1"), "i-1");
    assert_str(get(kit, "InstanceId.2"), "i-2");
    assert_str(get(kit, "ForceStop"), "true");
    assert_str(get(kit, "N"), "-7");
    assert_str(get(kit, "F"), "0.500000");
    assert_str(get(kit, "Tag.1.Key"), "k");
    assert_str(get(kit, "Tag.1.Value"), "\xe4\xb8\xad");
    assert_str(get(kit, "SystemDisk.Size"), "40");
    assert_str(get(kit, "Null"), NULL);
    assert_int_equal(kit->params.count, 8);
}

static void refuses_bad_json(void **state)
{
    static const char *const bad[] = {
        "[1]", "\"x\"", "{", "{\"a\":1,\"a\":2}", "{\"a\":\"\\u0000\"}", "{\"a\":1} x", "nul"};

    for (size_t i = 0; i < countof(bad); i++) {
        struct kit *kit = *state;

        assert_int_equal(params_add_json(&kit->params, &kit->arena, str_from(bad[i]), &kit->fail),
                         -E_BAD_REQUEST);
        assert_int_equal(kit->params.count, 0);
    }
}

static void bounds_json_before_parsing(void **state)
{
    struct kit *kit = *state;
    char deep[128] = "{\"a\":";
    char *wide = arena_alloc(&kit->arena, 40000);
    size_t len = strlen(deep);

    memset(deep + len, '[', LIMIT_JSON_DEPTH);
    assert_int_equal(params_add_json(&kit->params, &kit->arena, str_from(deep), &kit->fail),
                     -E_REQUEST_TOO_LARGE);
    memset(wide, ',', 39999);
    assert_int_equal(params_add_json(&kit->params, &kit->arena, str_slice(wide, 39999), &kit->fail),
                     -E_REQUEST_TOO_LARGE);
    /* Brackets in strings do not count. */
    assert_int_equal(params_add_json(&kit->params, &kit->arena,
                                     STR("{\"a\":\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\"[[[[[[[[\"}"),
                                     &kit->fail),
                     0);
}

static void splits_targets(void **state)
{
    struct target target = target_split(STR("http://ecs.aliyuncs.com:80/?a=1&b=?"));

    (void)state; /* needs none */
    assert_str(target.authority, "ecs.aliyuncs.com:80");
    assert_str(target.path, "/");
    assert_str(target.query, "a=1&b=?");
    target = target_split(STR("HTTPS://h?x"));
    assert_str(target.authority, "h");
    assert_str(target.path, "/");
    assert_str(target.query, "x");
    target = target_split(STR("?q=1#frag"));
    assert_str(target.authority, NULL);
    assert_str(target.path, "/");
    assert_str(target.query, "q=1");
    target = target_split(STR("/foo"));
    assert_str(target.path, "/foo");
    assert_str(target.query, NULL);
    assert_str(host_without_port(STR("127.0.0.1:8080")), "127.0.0.1");
    assert_str(host_without_port(STR("[::1]:8080")), "[::1]");
    assert_str(host_without_port(STR("[::1]")), "[::1]");
    assert_str(host_without_port(STR("ecs.aliyuncs.com")), "ecs.aliyuncs.com");
}

/* Parameters of RunCommand: one text that holds an object of texts. */
static void reads_a_map(void **state)
{
    struct kit *kit = *state;
    static const char *const wrong[] = {"", "[]", "1", "{", "{\"a\":[1]}", "{\"a\":{}}", "{\"a\":null}", "{\"a\":\"\\u0000\"}", "{}x"};
    struct text_pair_list map = {0};

    assert_int_equal(params_read_map(&kit->arena, STR("{\"b\":\"x y\",\"a\":3,\"c\":true,\"d\":\"\"}"), &map), 0);
    assert_int_equal(map.count, 4);
    assert_str(map.items[0].name, "b");
    assert_str(map.items[0].value, "x y");
    assert_str(map.items[1].value, "3");
    assert_str(map.items[2].value, "true");
    assert_str(map.items[3].value, "");
    assert_int_equal(params_read_map(&kit->arena, STR("{}"), &map), 0);
    assert_int_equal(map.count, 0);
    assert_int_equal(params_read_map(&kit->arena, STR("{\"a\":1,\"a\":2}"), &map), -E_EXISTS);
    for (size_t i = 0; i < countof(wrong); i++)
        assert_int_equal(params_read_map(&kit->arena, str_from(wrong[i]), &map), -E_INVALID);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(decodes_what_clients_write),
        TEST(looks_up_in_any_case_but_exactly_first),
        TEST(form_beats_query_and_can_be_turned),
        TEST(within_one_source_the_first_wins),
        TEST(refuses_what_is_no_text),
        TEST(is_bounded),
        TEST(sorts_many_as_few),
        TEST(flattens_json),
        TEST(refuses_bad_json),
        TEST(bounds_json_before_parsing),
        TEST(splits_targets),
        TEST(reads_a_map),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
