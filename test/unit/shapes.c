/* SPDX-License-Identifier: Apache-2.0 */
/* The generated tables describe the generated structs: every field lies inside, none overlaps another, laws of flags hold. */
#include "unit/unit.h"

#include "gen/actions.h"
#include "gen/catalog.h"
#include "gen/errors.h"

static size_t plain_size(const struct shape_field *field)
{
    static const size_t sizes[] = {
        [SHAPE_STR] = sizeof(struct str),     [SHAPE_BOOL] = sizeof(bool),
        [SHAPE_INT] = sizeof(int64_t),        [SHAPE_FLOAT] = sizeof(double),
        [SHAPE_ENUM] = sizeof(int),           [SHAPE_TIME_MINUTE] = sizeof(usec_t),
        [SHAPE_TIME_SECOND] = sizeof(usec_t), [SHAPE_OBJECT] = 0,
    };

    return field->kind == SHAPE_OBJECT ? field->object->size : sizes[field->kind];
}

static size_t size_of(const struct shape_field *field)
{
    if (field->flags & SHAPE_LIST)
        return sizeof(struct str_list);
    if (!(field->flags & SHAPE_OPT))
        return plain_size(field);
    switch (field->kind) {
    case SHAPE_BOOL:
        return sizeof(struct opt_bool);
    case SHAPE_INT:
        return sizeof(struct opt_int);
    case SHAPE_FLOAT:
        return sizeof(struct opt_float);
    case SHAPE_OBJECT:
        return sizeof(void *);
    case SHAPE_STR:
    case SHAPE_ENUM:
    case SHAPE_TIME_MINUTE:
    case SHAPE_TIME_SECOND:
        break;
    }
    fail_msg("%s has no opt_ form", field->name);
    return 0;
}

static void check_field(const struct shape *shape, const struct shape_field *field)
{
    assert_non_null(field->name);
    assert_true(field->offset + size_of(field) <= shape->size);
    assert_int_equal(field->kind == SHAPE_OBJECT, field->object != NULL);
    assert_int_equal(field->kind == SHAPE_ENUM, field->words != NULL);
    if (field->flags & SHAPE_REQUIRED)
        assert_null(field->default_text);
    if (field->flags & SHAPE_REFUSED)
        assert_int_not_equal(field->error, E_NONE);
    assert_true(field->min <= field->max);
    assert_in_range(field->error, 0, E_COUNT - 1);
    assert_in_range(field->too_many, 0, E_COUNT - 1);
    assert_in_range(field->missing, 0, E_COUNT - 1);
}

static void check_shape(const struct shape *shape, int depth)
{
    assert_non_null(shape);
    assert_in_range(depth, 0, 6);
    assert_int_not_equal(shape->size, 0);
    for (size_t i = 0; i < shape->count; i++) {
        const struct shape_field *field = &shape->fields[i];

        check_field(shape, field);
        for (size_t j = 0; j < i; j++) {
            const struct shape_field *other = &shape->fields[j];

            assert_true(field->offset >= other->offset + size_of(other) || other->offset >= field->offset + size_of(field));
            assert_string_not_equal(field->name, other->name);
        }
        if (field->object)
            check_shape(field->object, depth + 1);
    }
}

static void shapes_fit_their_structs(void **state)
{
    static const struct shape *const shapes[] = {
        &stop_instance_request_shape,      &stop_instance_reply_shape,         &stop_instances_request_shape,
        &stop_instances_reply_shape,       &run_instances_request_shape,       &run_instances_reply_shape,
        &create_instance_request_shape,    &describe_instances_request_shape,  &describe_instances_reply_shape,
        &describe_zones_reply_shape,       &describe_disks_request_shape,      &describe_disks_reply_shape,
        &describe_images_reply_shape,      &describe_instance_types_request_shape,
        &describe_instance_history_events_request_shape,                       &describe_instance_history_events_reply_shape,
        &sts_assume_role_reply_shape,      &location_describe_endpoints_reply_shape,
        &admin_show_instance_reply_shape,  &admin_list_events_reply_shape,     &admin_add_host_request_shape,
    };

    (void)state;
    for (size_t i = 0; i < countof(shapes); i++)
        check_shape(shapes[i], 0);
}

static const struct shape_field *field_of(const struct shape *shape, const char *name)
{
    for (size_t i = 0; i < shape->count; i++)
        if (strcmp(shape->fields[i].name, name) == 0)
            return &shape->fields[i];
    fail_msg("%s has no %s", shape->name, name);
    return NULL;
}

static void stop_instance_is_as_its_page_says(void **state)
{
    const struct shape *shape = &stop_instance_request_shape;

    (void)state;
    assert_int_equal(shape->count, 6);
    assert_int_equal(shape->size, sizeof(struct stop_instance_request));
    assert_string_equal(shape->fields[0].name, "InstanceId");
    assert_int_equal(shape->fields[0].flags, SHAPE_REQUIRED | SHAPE_INSTANCE);
    assert_int_equal(field_of(shape, "ForceStop")->offset, offsetof(struct stop_instance_request, force_stop));
    assert_string_equal(field_of(shape, "ForceStop")->default_text, "false");
    assert_null(field_of(shape, "StoppedMode")->default_text);
    assert_int_equal(words_find(field_of(shape, "StoppedMode")->words, STR("stopcharging")), STOPPED_MODE_STOP_CHARGING);
    assert_int_equal(words_find(field_of(shape, "StoppedMode")->words, STR("Not-applicable")), STOPPED_MODE_NOT_APPLICABLE);
    assert_int_equal(words_find(field_of(shape, "StoppedMode")->words, STR("Never")), -1);
    assert_int_equal(field_of(&stop_instances_request_shape, "InstanceId")->flags, SHAPE_LIST | SHAPE_REQUIRED | SHAPE_INSTANCE);
    assert_int_equal(field_of(&stop_instances_request_shape, "InstanceId")->missing, E_INSTANCE_IDS_NULL);
    assert_int_equal(field_of(&stop_instances_request_shape, "InstanceId")->too_many, E_TOO_MANY_INSTANCE_IDS);
}

/* A handler keeps the index that was decoded with the words of the request; the row has those of the noun. */
static void asked_words_are_the_nouns_own(void **state)
{
    (void)state;
    for (int i = 0; i < STOPPED_MODE_ASKED_COUNT; i++)
        assert_string_equal(stopped_mode_asked_words[i], stopped_mode_words[i]);
    for (int i = 0; i < DISK_TYPE_COUNT; i++)
        assert_string_equal(disk_type_asked_words[i], disk_type_words[i]);
    for (int i = 0; i < DISK_CATEGORY_COUNT; i++)
        assert_string_equal(disk_category_asked_words[i], disk_category_words[i]);
    for (int i = 0; i < DISK_STATUS_COUNT; i++)
        assert_string_equal(disk_status_asked_words[i], disk_status_words[i]);
    assert_string_equal(instance_state_text(INSTANCE_STATE_STOPPING), "Stopping");
    assert_null(instance_state_words[INSTANCE_STATE_COUNT]);
}

static void products_are_found(void **state)
{
    (void)state;
    assert_string_equal(product_by_version(STR("2014-05-26"))->product, "Ecs");
    assert_string_equal(product_by_label(STR("STS"))->version, "2015-04-01");
    assert_null(product_by_version(STR("2014-05-27")));
    assert_null(product_by_label(STR("oss")));
}

static void catalogue_is_found(void **state)
{
    const struct instance_type *type = instance_type_find(STR("ecs.i1.xlarge"));

    (void)state;
    assert_int_equal(instance_type_count, 517);
    for (size_t i = 0; i < instance_type_count; i++)
        assert_ptr_equal(instance_type_find(str_from(instance_types[i].id)), &instance_types[i]);
    assert_null(instance_type_find(STR("ecs.i1.xlargf")));
    assert_null(instance_type_find(STR("")));
    assert_int_equal(type->local_disk_count, 2);
    assert_int_equal(type->local_disk_gib, 104);
    assert_int_equal(type->local_disk_category, DISK_CATEGORY_LOCAL_SSD_PRO);
    assert_int_equal(instance_type_find(STR("ecs.g6.large"))->bandwidth_kbps, 1024000);
    assert_int_equal(instance_type_find(STR("ecs.g6.large"))->local_disk_category, -1);
    assert_int_equal(instance_type_find(STR("ecs.t5-lc2m1.nano"))->memory_mib, 512);
    assert_int_equal(instance_type_find(STR("ecs.re6p.large"))->persistent_memory_mib, 32256);
}

static void regions_and_images_are_found(void **state)
{
    const struct catalog_region *region = catalog_region_find(STR("cn-hangzhou"));
    const struct catalog_image *image = catalog_image_newest(STR("acs:ubuntu_22_04_x64"));

    (void)state;
    assert_non_null(catalog_zone_find(region, STR("cn-hangzhou-h")));
    assert_null(catalog_zone_find(region, STR("cn-shanghai-b")));
    assert_null(catalog_region_find(STR("cn-hangzhou-h")));
    assert_string_equal(region->local_name[ACCEPT_LANGUAGE_EN_US], "China (Hangzhou)");
    assert_ptr_equal(catalog_image_find(str_from(image->id)), image);
    assert_int_equal(image->created_us, INT64_C(1720677708000000));
    assert_null(catalog_image_newest(STR("acs:none")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shapes_fit_their_structs),      cmocka_unit_test(stop_instance_is_as_its_page_says),
        cmocka_unit_test(asked_words_are_the_nouns_own), cmocka_unit_test(products_are_found),
        cmocka_unit_test(catalogue_is_found),            cmocka_unit_test(regions_and_images_are_found),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
