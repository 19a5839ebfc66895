/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/unit.h"

#include "gateway/decode.h"

static const char *const modes[] = {"KeepCharging", "StopCharging", NULL};

struct pair {
    struct str key;
    struct str value;
};
struct nic {
    struct str vswitch_id;
    struct str_list group_ids;
};
struct disk_spec {
    struct opt_int size;
    struct str category;
};
struct wanted {
    struct str id;
    bool force;
    struct opt_bool dry;
    int mode;
    int64_t amount;
    struct opt_float price;
    usec_t time;
    struct str_list ids;
    struct str_list json_ids;
    struct {
        struct pair *items;
        size_t count;
    } tags;
    struct {
        struct nic *items;
        size_t count;
    } nics;
    struct disk_spec system;
    struct disk_spec *maybe;
    struct str refused;
    struct str_list refused_ids;
    struct opt_int loose;
};

static const struct shape_field pair_fields[] = {
    {.name = "Key",
     .kind = SHAPE_STR,
     .flags = SHAPE_REQUIRED,
     .offset = offsetof(struct pair, key)},
    {.name = "Value",
     .kind = SHAPE_STR,
     .flags = SHAPE_FREE,
     .offset = offsetof(struct pair, value)},
};
static const struct shape pair_shape = {
    .size = sizeof(struct pair), .fields = pair_fields, .count = 2};
static const struct shape_field nic_fields[] = {
    {.name = "VSwitchId", .kind = SHAPE_STR, .offset = offsetof(struct nic, vswitch_id)},
    {.name = "SecurityGroupIds",
     .kind = SHAPE_STR,
     .flags = SHAPE_LIST,
     .offset = offsetof(struct nic, group_ids)},
};
static const struct shape nic_shape = {
    .size = sizeof(struct nic), .fields = nic_fields, .count = 2};
static const struct shape_field disk_fields[] = {
    {.name = "Size",
     .kind = SHAPE_INT,
     .flags = SHAPE_OPT,
     .offset = offsetof(struct disk_spec, size),
     .min = 20,
     .max = 500},
    {.name = "Category",
     .kind = SHAPE_STR,
     .offset = offsetof(struct disk_spec, category),
     .max = 8},
};
static const struct shape disk_shape = {
    .size = sizeof(struct disk_spec), .fields = disk_fields, .count = 2};

#define AT(member) .offset = offsetof(struct wanted, member)
static const struct shape_field fields[] = {
    {.name = "InstanceId", .kind = SHAPE_STR, .flags = SHAPE_REQUIRED, AT(id)},
    {.name = "ForceStop", .kind = SHAPE_BOOL, AT(force), .default_text = "false"},
    {.name = "DryRun", .kind = SHAPE_BOOL, .flags = SHAPE_OPT, AT(dry)},
    {.name = "StoppedMode", .kind = SHAPE_ENUM, AT(mode), .words = modes, .error = E_CHARGE_TYPE},
    {.name = "Amount", .kind = SHAPE_INT, AT(amount), .default_text = "1", .min = 1, .max = 100},
    {.name = "Price", .kind = SHAPE_FLOAT, .flags = SHAPE_OPT, AT(price)},
    {.name = "Time", .kind = SHAPE_TIME_MINUTE, AT(time)},
    {.name = "Id",
     .kind = SHAPE_STR,
     .flags = SHAPE_LIST,
     AT(ids),
     .max_items = 3,
     .too_many = E_TOO_MANY_INSTANCE_IDS},
    {.name = "JsonIds",
     .kind = SHAPE_STR,
     .flags = SHAPE_LIST | SHAPE_JSON,
     AT(json_ids),
     .max_items = 3},
    {.name = "Tag",
     .kind = SHAPE_OBJECT,
     .flags = SHAPE_LIST,
     AT(tags),
     .object = &pair_shape,
     .max_items = 20},
    {.name = "NetworkInterface",
     .kind = SHAPE_OBJECT,
     .flags = SHAPE_LIST,
     AT(nics),
     .object = &nic_shape},
    {.name = "SystemDisk", .kind = SHAPE_OBJECT, AT(system), .object = &disk_shape},
    {.name = "Maybe", .kind = SHAPE_OBJECT, .flags = SHAPE_OPT, AT(maybe), .object = &disk_shape},
    {.name = "Refused",
     .kind = SHAPE_STR,
     .flags = SHAPE_REFUSED,
     AT(refused),
     .default_text = "no"},
    {.name = "RefusedIds",
     .kind = SHAPE_STR,
     .flags = SHAPE_LIST | SHAPE_REFUSED,
     AT(refused_ids)},
    {.name = "Loose", .kind = SHAPE_INT, .flags = SHAPE_OPT | SHAPE_NUMTEXT, AT(loose)},
};
static const struct shape shape = {
    .size = sizeof(struct wanted), .fields = fields, .count = countof(fields)};

static struct arena arena;
static struct fail failure;

static int set_up(void **state)
{
    (void)state; /* the arena is */
    arena_init(&arena, LIMIT_CALL_ARENA_BYTES);
    fail_init(&failure, &arena);
    return 0;
}

static int tear_down(void **state)
{
    (void)state; /* as above */
    arena_done(&arena);
    return 0;
}

static int decode(const char *query, struct wanted **ret)
{
    struct params params = {.count = 0};

    *ret = arena_new(&arena, struct wanted);
    assert_int_equal(params_add(&params, &arena, str_from(query), PARAM_QUERY, &failure), 0);
    params_sort(&params);
    return decode_request(&arena, &shape, &params, *ret, &failure);
}

static struct wanted *decoded(const char *query)
{
    struct wanted *wanted;

    if (decode(query, &wanted) < 0)
        fail_msg("%s: %.*s", query, STR_ARG(failure.message));
    return wanted;
}

/* The code and what its message names. */
static void refused(const char *query, enum error_code code, const char *named)
{
    struct wanted *wanted;

    assert_int_equal(decode(query, &wanted), -(int)code);
    assert_int_equal(failure.code, code);
    if (named && !str_contains(failure.message, str_from(named)))
        fail_msg("%.*s does not name %s", STR_ARG(failure.message), named);
}

static void scalars(void **state)
{
    struct wanted *w = decoded(
        "InstanceId=i-1&forcestop=True&DryRun=FALSE&StoppedMode=stopcharging&Amount=7&Price=0.5"
        "&Time=2017-12-10T04:04Z");

    (void)state; /* the arena is */
    assert_str(w->id, "i-1");
    assert_true(w->force);
    assert_true(w->dry.set);
    assert_false(w->dry.value);
    assert_int_equal(w->mode, 1);
    assert_int_equal(w->amount, 7);
    assert_true(w->price.set && w->price.value > 0.49 && w->price.value < 0.51);
    assert_true(w->time == (usec_t)1512878640 * USEC_PER_SEC);
}

static void absent_is_default_and_empty_is_absent(void **state)
{
    struct wanted *w = decoded("InstanceId=i-1&ForceStop=&DryRun=&StoppedMode=&Amount=&Price=&Time="
                               "&Id.1=&JsonIds=&Refused=&RefusedIds.1=&RefusedIds.2=");

    (void)state; /* the arena is */
    assert_false(w->force);
    assert_false(w->dry.set);
    assert_int_equal(w->mode, -1);
    assert_int_equal(w->amount, 1);
    assert_false(w->price.set);
    assert_true(w->time == 0);
    assert_int_equal(w->ids.count, 0);
    assert_int_equal(w->json_ids.count, 0);
    assert_int_equal(w->refused_ids.count, 0);
    assert_null(w->maybe);
    assert_str(w->refused, "no");
}

static void lists_sort_by_number_and_skip_gaps(void **state)
{
    struct wanted *w = decoded(
        "InstanceId=i&Id.10=c&Id.2=a&id.9=b&Tag.3.value=&Tag.3.key=k3&Tag.1.Key=k1&Tag.1.Value=v1"
        "&Id.x=no&Id.-1=no&Tag.#3#abc=no");

    (void)state; /* the arena is */
    assert_int_equal(w->ids.count, 3);
    assert_str(w->ids.items[0], "a");
    assert_str(w->ids.items[1], "b");
    assert_str(w->ids.items[2], "c");
    assert_int_equal(w->tags.count, 2);
    assert_str(w->tags.items[0].key, "k1");
    assert_str(w->tags.items[0].value, "v1");
    assert_str(w->tags.items[1].key, "k3");
    assert_str(w->tags.items[1].value, "");
}

static void nested(void **state)
{
    struct wanted *w = decoded(
        "InstanceId=i&NetworkInterface.1.VSwitchId=vsw-1&NetworkInterface.1.SecurityGroupIds.2=sg-2"
        "&NetworkInterface.1.SecurityGroupIds.1=sg-1&SystemDisk.Size=40&Maybe.Category=cloud");

    (void)state; /* the arena is */
    assert_int_equal(w->nics.count, 1);
    assert_str(w->nics.items[0].vswitch_id, "vsw-1");
    assert_int_equal(w->nics.items[0].group_ids.count, 2);
    assert_str(w->nics.items[0].group_ids.items[1], "sg-2");
    assert_int_equal(w->system.size.value, 40);
    assert_non_null(w->maybe);
    assert_str(w->maybe->category, "cloud");
    assert_false(w->maybe->size.set);
}

static void json_arrays(void **state)
{
    struct wanted *w = decoded("InstanceId=i&JsonIds=[\"i-1\", \"i-2\"]");

    (void)state; /* the arena is */
    assert_int_equal(w->json_ids.count, 2);
    assert_str(w->json_ids.items[1], "i-2");
    assert_int_equal(decoded("InstanceId=i&JsonIds=[]")->json_ids.count, 0);
    assert_non_null(decoded("InstanceId=i&JsonIds=[]")->json_ids.items); /* given, and matches nothing */
    assert_null(decoded("InstanceId=i")->json_ids.items);
    assert_int_equal(decoded("InstanceId=i&JsonIds.1=a")->json_ids.count, 1);
    assert_str(decoded("InstanceId=i&JsonIds=[12]")->json_ids.items[0], "12");
    refused("InstanceId=i&RefusedIds.1=&RefusedIds.2=a", E_INVALID_PARAMETER, "\"RefusedIds\"");
    refused("InstanceId=i&JsonIds=i-1", E_INVALID_PARAMETER, "\"JsonIds\"");
    refused("InstanceId=i&JsonIds={}", E_INVALID_PARAMETER, "\"JsonIds\"");
    refused("InstanceId=i&JsonIds=[[1]]", E_INVALID_PARAMETER, "\"JsonIds\"");
    refused("InstanceId=i&JsonIds=[\"a\"", E_INVALID_PARAMETER, "\"JsonIds\"");
    refused("InstanceId=i&JsonIds=[1,2,3,4]", E_INVALID_PARAMETER, "\"JsonIds\"");
}

static void required_comes_before_types(void **state)
{
    (void)state; /* the arena is */
    refused("Amount=x", E_MISSING_PARAMETER, "\"InstanceId\"");
    refused("InstanceId=&Amount=x", E_MISSING_PARAMETER, "\"InstanceId\"");
    refused("InstanceId=i&Amount=x&Tag.2.Value=v", E_MISSING_PARAMETER, "\"Tag.2.Key\"");
}

/* What only looks like a member of a required list does not stand for one. */
static void required_lists_have_members(void **state)
{
    static const struct shape_field lists[] = {
        {.name = "Id", .kind = SHAPE_STR, .flags = SHAPE_LIST | SHAPE_REQUIRED, AT(ids)},
        {.name = "Tag",
         .kind = SHAPE_OBJECT,
         .flags = SHAPE_LIST | SHAPE_REQUIRED,
         AT(tags),
         .object = &pair_shape},
    };
    static const struct shape listed = {
        .size = sizeof(struct wanted), .fields = lists, .count = countof(lists)};
    static const struct {
        const char *query;
        int result;
    } cases[] = {
        {"Id.1=a&Tag.1.Key=k", 0},
        {"Id.x=a&Tag.1.Key=k", -E_MISSING_PARAMETER},
        {"Id.1.x=a&Tag.1.Key=k", -E_MISSING_PARAMETER},
        {"Id.1=&Tag.1.Key=k", -E_MISSING_PARAMETER},
        {"Id.1=a&Tag.1x.Key=k", -E_MISSING_PARAMETER},
        {"Id.1=a&Tag.Key=k", -E_MISSING_PARAMETER},
    };

    (void)state; /* the arena is */
    for (size_t i = 0; i < countof(cases); i++) {
        struct params params = {.count = 0};
        struct wanted wanted = {.ids = {NULL, 0}};

        assert_int_equal(params_add(&params, &arena, str_from(cases[i].query), PARAM_QUERY, &failure), 0);
        params_sort(&params);
        assert_int_equal(decode_request(&arena, &listed, &params, &wanted, &failure), cases[i].result);
    }
}

static void bad_values(void **state)
{
    (void)state; /* the arena is */
    refused("InstanceId=i&ForceStop=yes", E_INVALID_PARAMETER, "\"ForceStop\"");
    refused("InstanceId=i&ForceStop=1", E_INVALID_PARAMETER, "\"ForceStop\"");
    refused("InstanceId=i&Amount=0", E_INVALID_PARAMETER, "\"Amount\"");
    refused("InstanceId=i&Amount=101", E_INVALID_PARAMETER, "\"Amount\"");
    refused("InstanceId=i&Amount=99999999999999999999", E_INVALID_PARAMETER, "\"Amount\"");
    refused("InstanceId=i&Amount=1.0", E_INVALID_PARAMETER, "\"Amount\"");
    refused("InstanceId=i&Price=1e3", E_INVALID_PARAMETER, "\"Price\"");
    refused("InstanceId=i&Time=yesterday", E_INVALID_PARAMETER, "\"Time\"");
    refused("InstanceId=i&StoppedMode=Never", E_CHARGE_TYPE, NULL);
    refused("InstanceId=i&SystemDisk.Size=19", E_INVALID_PARAMETER, "\"SystemDisk.Size\"");
    refused("InstanceId=i&SystemDisk.Category=123456789", E_INVALID_PARAMETER,
            "\"SystemDisk.Category\"");
    refused("InstanceId=i&Id.1=a&Id.2=b&Id.3=c&Id.4=d", E_TOO_MANY_INSTANCE_IDS, NULL);
    refused("InstanceId=i&Refused=yes", E_INVALID_PARAMETER, "\"Refused\"");
    assert_str(decoded("InstanceId=i&Refused=NO")->refused, "NO");
}

static void loose_numbers(void **state)
{
    (void)state; /* the arena is */
    assert_int_equal(decoded("InstanceId=i&Loose=20.0")->loose.value, 20);
    assert_int_equal(decoded("InstanceId=i&Loose=%2220%22")->loose.value, 20);
    refused("InstanceId=i&Loose=20.5", E_INVALID_PARAMETER, "\"Loose\"");
    refused("InstanceId=i&Loose=99999999999999999999", E_INVALID_PARAMETER, "\"Loose\"");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(scalars),
        TEST(absent_is_default_and_empty_is_absent),
        TEST(lists_sort_by_number_and_skip_gaps),
        TEST(nested),
        TEST(json_arrays),
        TEST(required_comes_before_types),
        TEST(required_lists_have_members),
        TEST(bad_values),
        TEST(loose_numbers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
