/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/unit.h"

#include <stdio.h>

#include "base/map.h"
#include "base/mem.h"

#define KEYS 100000

struct entry {
    char name[16];
    size_t number;
};

static struct entry *make_entries(void)
{
    struct entry *entries = xcalloc(KEYS, sizeof(*entries));

    for (size_t i = 0; i < KEYS; i++) {
        (void)snprintf(entries[i].name, sizeof(entries[i].name), "key-%zu", i);
        entries[i].number = i;
    }
    return entries;
}

static void puts_gets_takes(void **state)
{
    struct map map;
    int one = 1;
    int two = 2;

    (void)state;
    map_init(&map, 7);
    assert_null(map_get(&map, STR("a")));
    assert_null(map_take(&map, STR("a")));
    assert_null(map_put(&map, STR("a"), &one));
    assert_ptr_equal(map_get(&map, STR("a")), &one);
    assert_ptr_equal(map_put(&map, STR("a"), &two), &one);
    assert_int_equal(map.count, 1);
    assert_null(map_get(&map, STR("A")));
    assert_null(map_put(&map, STR(""), &one)); /* the empty key is one like others */
    assert_ptr_equal(map_get(&map, STR("")), &one);
    assert_ptr_equal(map_take(&map, STR("a")), &two);
    assert_null(map_get(&map, STR("a")));
    assert_int_equal(map.count, 1);
    map_done(&map);
    map_done(&map);
}

/* Every third key goes while the others have to stay reachable over the closed gaps. */
static void holds_many(void **state)
{
    struct entry *entries = make_entries();
    struct map map;
    struct str key;
    void *value;
    size_t cursor = 0;
    size_t seen = 0;

    (void)state;
    map_init(&map, 1);
    for (size_t i = 0; i < KEYS; i++)
        assert_null(map_put(&map, str_from(entries[i].name), &entries[i]));
    assert_int_equal(map.count, KEYS);
    for (size_t i = 0; i < KEYS; i += 3)
        assert_ptr_equal(map_take(&map, str_from(entries[i].name)), &entries[i]);
    for (size_t i = 0; i < KEYS; i++)
        assert_ptr_equal(map_get(&map, str_from(entries[i].name)), i % 3 == 0 ? NULL : &entries[i]);
    while (map_next(&map, &cursor, &key, &value)) {
        const struct entry *entry = value;

        assert_str(key, entry->name);
        assert_int_not_equal(entry->number % 3, 0);
        seen++;
    }
    assert_int_equal(seen, map.count);
    for (size_t i = 0; i < KEYS; i++)
        assert_ptr_equal(map_take(&map, str_from(entries[i].name)),
                         i % 3 == 0 ? NULL : &entries[i]);
    assert_int_equal(map.count, 0);
    map_done(&map);
    (void)xfree(entries);
}

/* Two seeds place the same keys differently: who sends names can't know the order. */
static void depends_on_its_seed(void **state)
{
    struct entry *entries = make_entries();
    struct map maps[2];
    size_t cursors[2] = {0, 0};
    size_t same = 0;

    (void)state;
    for (size_t m = 0; m < 2; m++) {
        map_init(&maps[m], m);
        for (size_t i = 0; i < 100; i++)
            (void)map_put(&maps[m], str_from(entries[i].name), &entries[i]);
    }
    for (size_t i = 0; i < 100; i++) {
        struct str keys[2];
        void *values[2];

        assert_true(map_next(&maps[0], &cursors[0], &keys[0], &values[0]));
        assert_true(map_next(&maps[1], &cursors[1], &keys[1], &values[1]));
        same += str_eq(keys[0], keys[1]);
    }
    assert_true(same < 50);
    map_done(&maps[0]);
    map_done(&maps[1]);
    (void)xfree(entries);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(puts_gets_takes),
        cmocka_unit_test(holds_many),
        cmocka_unit_test(depends_on_its_seed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
