/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/unit.h"

#include "base/fail.h"

/* A row whose template takes `count` arguments in the default profile, found in the table rather
 * than named. */
static enum error_code row_with_args(size_t count, bool differs)
{
    for (int code = 1; code < E_COUNT; code++) {
        const char *p = error_rows[code].message;
        size_t found = 0;

        while ((p = strstr(p, "%s"))) {
            p += 2;
            found++;
        }
        if (found == count && differs == (error_rows[code].current_message != NULL))
            return (enum error_code)code;
    }
    return E_NONE;
}

static void returns_the_code(void **state)
{
    (void)state;
    assert_int_equal(fail(NULL, E_NOT_FOUND), -E_NOT_FOUND);
}

static void fills_the_template(void **state)
{
    enum error_code code = row_with_args(1, false);
    const char *hole;
    struct arena arena;
    struct fail f;

    (void)state;
    assert_int_not_equal(code, E_NONE);
    hole = strstr(error_rows[code].message, "%s");
    arena_init(&arena, 1 << 16);
    fail_init(&f, &arena);
    assert_int_equal(fail(&f, code, STR("Some%sName")), -(int)code);
    assert_int_equal(f.code, code);
    assert_true(str_starts(
        f.message, str_slice(error_rows[code].message, (size_t)(hole - error_rows[code].message))));
    assert_true(
        str_contains(f.message, STR("Some%sName"))); /* an argument is text, not a template */
    assert_true(str_ends(f.message, str_from(hole + 2)));
    assert_int_equal(f.message.len, strlen(error_rows[code].message) - 2 + 10);
    /* More than the template takes is ignored; an absent argument is empty. */
    (void)fail(&f, code, STR_NONE, STR("unused"));
    assert_int_equal(f.message.len, strlen(error_rows[code].message) - 2);
    /* The latest wins. */
    (void)fail(&f, E_INVALID);
    assert_int_equal(f.code, E_INVALID);
    assert_str(f.message, error_rows[E_INVALID].message);
    arena_done(&arena);
}

static void takes_free_text(void **state)
{
    struct arena arena;
    struct fail f;

    (void)state;
    arena_init(&arena, 1 << 16);
    fail_init(&f, &arena);
    assert_int_equal(fail_text(&f, E_IO, "%s line %d", "x.ini", 7), -E_IO);
    assert_int_equal(f.code, E_IO);
    assert_str(f.message, "x.ini line 7");
    assert_int_equal(fail_text(NULL, E_IO, "unread"), -E_IO);
    arena_done(&arena);
}

static void follows_the_profile(void **state)
{
    int changed = 0;

    (void)state;
    for (int i = 1; i < E_COUNT; i++) {
        enum error_code code = (enum error_code)i;
        const struct error_row *row = &error_rows[i];

        assert_string_equal(error_code_text(code), row->code);
        assert_ptr_equal(error_message(code), row->message);
        assert_int_equal(error_status(code), row->status);
        error_profile_set_current(true);
        assert_ptr_equal(error_message(code),
                         row->current_message ? row->current_message : row->message);
        assert_int_equal(error_status(code),
                         row->current_status ? row->current_status : row->status);
        changed += row->current_status != 0;
        error_profile_set_current(false);
    }
    assert_true(changed > 0);
}

static void too_few_arguments_are_a_bug(void **state)
{
    enum error_code code = row_with_args(1, false);
    struct arena arena;
    struct fail f;

    (void)state;
    arena_init(&arena, 1 << 16);
    fail_init(&f, &arena);
    assert_aborts((void)fail(&f, code));
    assert_aborts((void)fail(&f, E_NONE));
    arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(too_few_arguments_are_a_bug), cmocka_unit_test(returns_the_code),
        cmocka_unit_test(fills_the_template),          cmocka_unit_test(takes_free_text),
        cmocka_unit_test(follows_the_profile),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
