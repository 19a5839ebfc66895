/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/unit.h"

#include "model/name.h"

struct numbered {
    const char *text;
    bool unique;
    const char *names[3];
};

/* The vectors of the RunInstances page. */
static const struct numbered vectors[] = {
    {"k8s-node-[6,4]", false, {"k8s-node-0006", "k8s-node-0007", "k8s-node-0008"}},
    {"k8s-node-[]-ecshost",
     false,
     {"k8s-node-000000-ecshost", "k8s-node-000001-ecshost", "k8s-node-000002-ecshost"}},
    {"k8s-node-[,]-ecshost",
     false,
     {"k8s-node-000000-ecshost", "k8s-node-000001-ecshost", "k8s-node-000002-ecshost"}},
    {"k8s-node-[99]-ecshost",
     false,
     {"k8s-node-000099-ecshost", "k8s-node-000100-ecshost", "k8s-node-000101-ecshost"}},
    {"k8s-node-[99,1]", false, {"k8s-node-000099", "k8s-node-000100", "k8s-node-000101"}},
    {"k8s-node-[999998]", false, {"k8s-node-999998", "k8s-node-999999", "k8s-node-999999"}},
    {"ecs", false, {"ecs", "ecs", "ecs"}},
    {"ecs", true, {"ecs001", "ecs002", "ecs003"}},
    {"k8s-node-[]-ecshost",
     true,
     {"k8s-node-000000-ecshost001", "k8s-node-000001-ecshost002", "k8s-node-000002-ecshost003"}},
    {"k8s-node-[0,2]", true, {"k8s-node-00", "k8s-node-01", "k8s-node-02"}},
    /* No numbers: a blank inside, no prefix, seven digits. */
    {"node[1, 2]", false, {"node[1, 2]", "node[1, 2]", "node[1, 2]"}},
    {"[1,2]", false, {"[1,2]", "[1,2]", "[1,2]"}},
    {"node[1000000]", false, {"node[1000000]", "node[1000000]", "node[1000000]"}},
};

static void numbered_names(void **state)
{
    struct name_pattern pattern;
    struct arena arena;

    (void)state;
    arena_init(&arena, 1 << 20);
    for (size_t i = 0; i < countof(vectors); i++) {
        name_pattern_parse(str_from(vectors[i].text), &pattern);
        for (int64_t k = 0; k < 3; k++)
            assert_str(name_pattern_print(&arena, &pattern, k, vectors[i].unique),
                       vectors[i].names[k]);
    }
    arena_done(&arena);
}

static void names_and_descriptions(void **state)
{
    char long_name[130];

    (void)state;
    memset(long_name, 'a', sizeof(long_name));
    assert_true(name_valid(STR("ab")) && name_valid(STR("web:1_a.b-c")) &&
                name_valid(STR("服务器")));
    assert_false(name_valid(STR("a")) || name_valid(STR("1ab")) || name_valid(STR("a b")) ||
                 name_valid(STR("http://x")));
    assert_true(name_valid(str_slice(long_name, 128)));
    assert_false(name_valid(str_slice(long_name, 129)));
    assert_false(name_valid(STR("ab\xff")));
    assert_true(description_valid(STR("two words")));
    assert_false(description_valid(STR("x")) || description_valid(STR("https://x.y")));
}

static void host_names(void **state)
{
    (void)state;
    assert_true(host_name_valid(STR("web-1.example"), false) &&
                host_name_valid(STR("WIN-2022"), true));
    assert_false(host_name_valid(STR("-a"), false) || host_name_valid(STR("a-"), false) ||
                 host_name_valid(STR("a--b"), false));
    assert_false(host_name_valid(STR("a..b"), false) || host_name_valid(STR("a."), false) ||
                 host_name_valid(STR("a_b"), false));
    assert_false(host_name_valid(STR("a.b"), true) || host_name_valid(STR("12345"), true));
    assert_false(host_name_valid(STR("sixteen-letters1"), true));
}

static void passwords(void **state)
{
    (void)state;
    assert_true(password_valid(STR("Abcdefg1"), false) && password_valid(STR("abc123!!"), false));
    assert_false(password_valid(STR("abcdefg1"), false) || password_valid(STR("Abcde1"), false));
    assert_false(password_valid(STR("Abcdefg1 "), false));
    assert_true(password_valid(STR("/Abcdefg1"), false));
    assert_false(password_valid(STR("/Abcdefg1"), true));
}

static void tags(void **state)
{
    (void)state;
    assert_true(tag_key_valid(STR("owner")) && tag_value_valid(STR("")));
    assert_false(tag_key_valid(STR("")) || tag_key_valid(STR("aliyun-x")) ||
                 tag_key_valid(STR("acs:x")));
    assert_false(tag_key_valid(STR("see http://x")) || tag_value_valid(STR("https://x")));
}

static void the_id_is_filled_in(void **state)
{
    struct arena arena;

    (void)state;
    arena_init(&arena, 1 << 20);
    assert_str(name_fill_id(&arena, STR("a-${instance_id}-b-${instance_id}"), STR("i-1")),
               "a-i-1-b-i-1");
    assert_str(name_fill_id(&arena, STR("plain"), STR("i-1")), "plain");
    arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbered_names), cmocka_unit_test(names_and_descriptions),
        cmocka_unit_test(host_names),     cmocka_unit_test(passwords),
        cmocka_unit_test(tags),           cmocka_unit_test(the_id_is_filled_in),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
