/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "cli/print.h"

enum how { TABLE, LINES, THING, AS_JSON };

static void check(enum how how, const char *json, const char *path, const char *columns, const char *expected)
{
    json_t *root = json_loads(json, 0, NULL);
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    assert_non_null(root);
    if (how == TABLE || how == LINES)
        print_table(print_find(root, path), columns, how == TABLE, out);
    else if (how == THING)
        print_thing(root, print_find(root, path), out);
    else
        print_json(root, print_find(root, path), out);
    (void)fclose(out);
    assert_string_equal(text, expected);
    free(text);
    json_decref(root);
}

static void tables_are_aligned(void **state)
{
    static const char json[] = "{\"L\":{\"I\":[{\"Id\":\"i-1\",\"N\":7,\"Locks\":{\"Lock\":[\"a\",\"b\"]},\"TimeUs\":0},"
                               "{\"Id\":\"\xc3\xa9\",\"N\":1.5,\"Locks\":{\"Lock\":[]},\"TimeUs\":1500000}]}}";

    (void)state;
    check(TABLE, json, "L.I", "Id N Locks TimeUs",
          "Id   N    Locks  Time\n"
          "i-1  7    a,b    1970-01-01T00:00:00.000000Z\n"
          "\xc3\xa9    1.5  -      1970-01-01T00:00:01.500000Z\n");
    check(LINES, json, "L.I", "Id Nothing", "i-1  -\n\xc3\xa9    -\n");
    check(TABLE, "{}", "L.I", "Id N", "Id  N\n");
}

static void things_are_lines(void **state)
{
    (void)state;
    check(THING, "{\"RequestId\":\"r\",\"T\":{\"A\":\"x\",\"B\":true,\"Secret\":\"s\"},\"Disks\":{\"Disk\":[{\"D\":1},{\"D\":2}]}}", "T",
          NULL, "A: x\nB: true\nAccessKeySecret: s\nDisks.1.D: 1\nDisks.2.D: 2\n");
}

/* Members of the thing stand at the top, and take the place of none. */
static void json_is_lifted(void **state)
{
    (void)state;
    check(AS_JSON, "{\"RequestId\":\"r\",\"Key\":{\"Id\":\"k\",\"Secret\":\"s\",\"RequestId\":\"other\"}}", "Key", NULL,
          "{\"RequestId\":\"r\",\"Key\":{\"Id\":\"k\",\"Secret\":\"s\",\"RequestId\":\"other\"},\"Id\":\"k\",\"AccessKeySecret\":\"s\"}\n");
    check(AS_JSON, "{\"A\":[1,2]}", "B", NULL, "{\"A\":[1,2]}\n");
    check(AS_JSON, "{\"A\":1}", "", NULL, "{\"A\":1}\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tables_are_aligned),
        cmocka_unit_test(things_are_lines),
        cmocka_unit_test(json_is_lifted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
