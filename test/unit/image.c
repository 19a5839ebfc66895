/* SPDX-License-Identifier: Apache-2.0 */
/* The id of an image is the name of a folder: what could leave it is none. */
#include "unit.h"

#include "gen/types.h"
#include "model/image.h"

static void ids_are_names_of_folders(void **state)
{
    static const char *const good[] = {"m-bp1", "debian_12_6_x64_20G_alibase_20240711.vhd", "a1",
                                       "X.y-z_9", "partial"};
    static const char *const bad[] = {"",    "x",    ".",   "..",   ".x",        "-x",
                                      "a/b", "../a", "a b", "a\nb", "x.partial", "\xc3\xa4x"};
    char longest[IMAGE_ID_MAX + 1];

    (void)state;
    for (size_t i = 0; i < countof(good); i++)
        assert_true(image_id_valid(str_from(good[i])));
    for (size_t i = 0; i < countof(bad); i++)
        if (image_id_valid(str_from(bad[i])))
            fail_msg("\"%s\" is taken for an id", bad[i]);
    assert_false(image_id_valid(STR_NONE));
    memset(longest, 'a', sizeof(longest));
    assert_true(image_id_valid(str_slice(longest, IMAGE_ID_MAX)));
    assert_false(image_id_valid(str_slice(longest, IMAGE_ID_MAX + 1)));
}

static void what_leaves_never_comes_back(void **state)
{
    (void)state;
    assert_true(sm_may(&image_sm, IMAGE_STATE_ARRIVING, IMAGE_STATE_READY));
    assert_true(sm_may(&image_sm, IMAGE_STATE_ARRIVING, IMAGE_STATE_LEAVING));
    assert_true(sm_may(&image_sm, IMAGE_STATE_READY, IMAGE_STATE_LEAVING));
    assert_false(sm_may(&image_sm, IMAGE_STATE_READY, IMAGE_STATE_ARRIVING));
    assert_false(sm_may(&image_sm, IMAGE_STATE_LEAVING, IMAGE_STATE_READY));
    for (int i = 0; i < IMAGE_STATE_COUNT; i++)
        assert_string_equal(sm_name(&image_sm, i), image_state_words[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_names_of_folders),
        cmocka_unit_test(what_leaves_never_comes_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
