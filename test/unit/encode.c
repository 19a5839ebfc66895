/* SPDX-License-Identifier: Apache-2.0 */
/* Golden bodies, JSON and XML: replies, kept replies, errors. */
#include "unit/unit.h"

#include "gateway/encode.h"
#include "gateway/render.h"

#define ID "7F75E7B4-4636-53B4-A8DE-5FC4A9E1F876"
#define XML "<?xml version=\"1.0\" encoding=\"UTF-8\"?>"

static const char *const words[] = {"KeepCharging", "Not-applicable", NULL};

struct label_view {
    struct str key;
    struct opt_int number;
};
struct view {
    struct str name;
    struct str omitted;
    bool yes;
    struct opt_bool unset;
    int64_t count;
    double price;
    int mode;
    int no_mode;
    usec_t created;
    usec_t never;
    struct str_list ids;
    struct str_list none;
    struct str_list plain;
    struct {
        int64_t *items;
        size_t count;
    } numbers;
    struct {
        struct label_view *items;
        size_t count;
    } tags;
    struct label_view eip;
    struct label_view *absent;
};
struct stop_view {
    char unused;
};

static const struct shape_field tag_fields[] = {
    {.name = "Key", .kind = SHAPE_STR, .offset = offsetof(struct label_view, key)},
    {.name = "Number",
     .kind = SHAPE_INT,
     .flags = SHAPE_OPT,
     .offset = offsetof(struct label_view, number)},
};
static const struct shape tag_shape = {
    .size = sizeof(struct label_view), .fields = tag_fields, .count = 2};
#define AT(member) .offset = offsetof(struct view, member)
static const struct shape_field fields[] = {
    {.name = "Name", .kind = SHAPE_STR, AT(name)},
    {.name = "Omitted", .kind = SHAPE_STR, .flags = SHAPE_OMIT, AT(omitted)},
    {.name = "Yes", .kind = SHAPE_BOOL, AT(yes)},
    {.name = "Unset", .kind = SHAPE_BOOL, .flags = SHAPE_OPT, AT(unset)},
    {.name = "Count", .kind = SHAPE_INT, AT(count)},
    {.name = "Price", .kind = SHAPE_FLOAT, AT(price)},
    {.name = "Mode", .kind = SHAPE_ENUM, .words = words, AT(mode)},
    {.name = "NoMode", .kind = SHAPE_ENUM, .words = words, AT(no_mode)},
    {.name = "Created", .kind = SHAPE_TIME_MINUTE, AT(created)},
    {.name = "Never", .kind = SHAPE_TIME_SECOND, AT(never)},
    {.name = "InstanceIdSets",
     .item = "InstanceIdSet",
     .kind = SHAPE_STR,
     .flags = SHAPE_LIST,
     AT(ids)},
    {.name = "None", .item = "Item", .kind = SHAPE_STR, .flags = SHAPE_LIST, AT(none)},
    {.name = "Plain", .kind = SHAPE_STR, .flags = SHAPE_LIST, AT(plain)},
    {.name = "Numbers", .item = "Number", .kind = SHAPE_INT, .flags = SHAPE_LIST, AT(numbers)},
    {.name = "Tags",
     .item = "Tag",
     .kind = SHAPE_OBJECT,
     .flags = SHAPE_LIST,
     AT(tags),
     .object = &tag_shape},
    {.name = "Eip", .kind = SHAPE_OBJECT, AT(eip), .object = &tag_shape},
    {.name = "Absent", .kind = SHAPE_OBJECT, .flags = SHAPE_OPT, AT(absent), .object = &tag_shape},
};
static const struct shape shape = {
    .size = sizeof(struct view), .fields = fields, .count = countof(fields)};
static const struct shape stop_shape = {.size = sizeof(struct stop_view)};
static const struct action_row row = {
    .action = "StopInstances", .product = "Ecs", .version = "2014-05-26"};

static struct arena arena;

static int set_up(void **state)
{
    (void)state; /* the arena is */
    arena_init(&arena, LIMIT_CALL_ARENA_BYTES);
    return 0;
}

static int tear_down(void **state)
{
    (void)state; /* as above */
    arena_done(&arena);
    return 0;
}

static struct request make(enum reply_format format)
{
    struct request request = {.arena = &arena, .format = format, .row = &row, .product = "Ecs"};

    memcpy(request.id, ID, sizeof(request.id));
    request.host = STR("ecs.example.com:8080");
    fail_init(&request.fail, &arena);
    return request;
}

static struct view full(void)
{
    static struct str ids[] = {STR_INIT("i-1"), STR_INIT("i-2")};
    static int64_t numbers[] = {-1, 0};
    static struct label_view tags[] = {{.key = STR_INIT("a\"<&>\\\n")}, {.number = {true, 7}}};

    return (struct view){.name = STR("\xe4\xb8\xad/'"),
                         .yes = true,
                         .count = 16384,
                         .price = 0.98,
                         .mode = 1,
                         .no_mode = -1,
                         .created = (usec_t)1512878640 * USEC_PER_SEC,
                         .ids = {ids, 2},
                         .plain = {ids, 1},
                         .numbers = {numbers, 2},
                         .tags = {tags, 2}};
}

static const char json_members[] =
    "\"Name\":\"\xe4\xb8\xad/"
    "'\",\"Yes\":true,\"Count\":16384,\"Price\":0.98,\"Mode\":\"Not-applicable\",\"NoMode\":\"\","
    "\"Created\":\"2017-12-10T04:04Z\",\"Never\":\"\",\"InstanceIdSets\":{\"InstanceIdSet\":[\"i-"
    "1\",\"i-2\"]},"
    "\"None\":{\"Item\":[]},\"Plain\":[\"i-1\"],\"Numbers\":{\"Number\":[-1,0]},"
    "\"Tags\":{\"Tag\":[{\"Key\":\"a\\\"<&>\\\\\\n\"},{\"Key\":\"\",\"Number\":7}]},\"Eip\":{"
    "\"Key\":\"\"}";

static const char xml_reply[] =
    XML "<StopInstancesResponse><RequestId>" ID
        "</RequestId><Name>\xe4\xb8\xad/'</Name><Yes>true</Yes><Count>16384</Count>"
        "<Price>0.98</Price><Mode>Not-applicable</Mode><NoMode></"
        "NoMode><Created>2017-12-10T04:04Z</Created><Never></Never>"
        "<InstanceIdSets><InstanceIdSet>i-1</InstanceIdSet><InstanceIdSet>i-2</InstanceIdSet></"
        "InstanceIdSets><None></None>"
        "<Plain>i-1</Plain><Numbers><Number>-1</Number><Number>0</Number></Numbers>"
        "<Tags><Tag><Key>a\"&lt;&amp;&gt;\\\n</Key></Tag><Tag><Key></Key><Number>7</Number></Tag></"
        "Tags>"
        "<Eip><Key></Key></Eip></StopInstancesResponse>";

static void replies(void **state)
{
    struct request json = make(FORMAT_JSON);
    struct request xml = make(FORMAT_XML);
    struct view view = full();

    (void)state; /* the arena is */
    assert_str(render_reply(&json, &shape, &view),
               arena_printf(&arena, "{\"RequestId\":\"" ID "\",%s}", json_members).ptr);
    assert_str(render_reply(&xml, &shape, &view), xml_reply);
    assert_str(render_reply(&json, &stop_shape, &view), "{\"RequestId\":\"" ID "\"}");
    assert_str(render_reply(&xml, &stop_shape, &view),
               XML "<StopInstancesResponse><RequestId>" ID "</RequestId></StopInstancesResponse>");
}

static void kept_replies_read_as_the_first(void **state)
{
    struct request json = make(FORMAT_JSON);
    struct request xml = make(FORMAT_XML);
    struct view view = full();
    struct str members = render_members(&arena, &shape, &view);

    (void)state; /* the arena is */
    assert_str(members, json_members);
    assert_str(render_kept(&json, members), arena_cstr(&arena, render_reply(&json, &shape, &view)));
    assert_str(render_kept(&xml, members), xml_reply);
    assert_str(render_kept(&json, STR("")), "{\"RequestId\":\"" ID "\"}");
    assert_str(render_kept(&json, STR("nonsense")), NULL);
}

static void errors(void **state)
{
    struct request json = make(FORMAT_JSON);
    struct request xml = make(FORMAT_XML);
    struct denial denial = {STR("ecs:StopInstance"),
                            STR("SubUser"),
                            STR("1234"),
                            STR("ak"),
                            STR("AccountLevelIdentityBasedPolicy"),
                            "ImplicitDeny"};

    (void)state; /* the arena is */
    (void)fail(&json.fail, E_MISSING_PARAMETER, STR("InstanceId"));
    assert_str(render_error(&json, STR("")),
               "{\"RequestId\":\"" ID
               "\",\"HostId\":\"ecs.example.com\",\"Code\":\"MissingParameter\","
               "\"Message\":\"The input parameter \\\"InstanceId\\\" that is mandatory for "
               "processing this request is not "
               "supplied.\",\"Recommend\":\"\"}");
    (void)fail(&xml.fail, E_FORBIDDEN_RAM);
    xml.denial = &denial;
    assert_str(render_error(&xml, STR("https://help")),
               XML "<Error><RequestId>" ID
                   "</RequestId><HostId>ecs.example.com</HostId><Code>Forbidden.RAM</Code>"
                   "<Message>User not authorized to operate on the specified resource, or this API "
                   "doesn't support RAM.</Message>"
                   "<Recommend>https://help?q=Forbidden.RAM&amp;product=Ecs&amp;requestId=" ID
                   "</Recommend>"
                   "<AccessDeniedDetail><AuthAction>ecs:StopInstance</"
                   "AuthAction><AuthPrincipalType>SubUser</AuthPrincipalType>"
                   "<AuthPrincipalOwnerId>1234</AuthPrincipalOwnerId><AuthPrincipalDisplayName>ak</"
                   "AuthPrincipalDisplayName>"
                   "<PolicyType>AccountLevelIdentityBasedPolicy</"
                   "PolicyType><NoPermissionType>ImplicitDeny</NoPermissionType>"
                   "</AccessDeniedDetail></Error>");
}

static struct str written(const struct encoder_ops *ops, struct str text)
{
    struct encoder encoder = {.ops = ops};
    struct out out;

    out_init(&out, &arena, 4, 1 << 20);
    encoder.out = &out;
    ops->value(&encoder, "V", false, text, false);
    return out_text(&out);
}

static void any_bytes_become_valid_text(void **state)
{
    (void)state; /* the arena is */
    assert_str(written(&encode_json, STR("a\x01\x1f\t\r\b\f\"\\/\x7f")),
               "\"V\":\"a\\u0001\\u001f\\t\\r\\b\\f\\\"\\\\/\x7f\"");
    assert_str(written(&encode_json, STR("x\xff\xc3y")), "\"V\":\"x??y\"");
    assert_str(written(&encode_json, STR("\xf0\x9f\x98\x80")), "\"V\":\"\xf0\x9f\x98\x80\"");
    assert_str(written(&encode_xml, STR("a\x01\t\n\r<\"'&>")),
               "<V>a?\t\n&#13;&lt;\"'&amp;&gt;</V>");
    assert_str(written(&encode_xml, STR("x\xff\xc3y")), "<V>x??y</V>");
    assert_str(written(&encode_xml, STR_NONE), "<V></V>");
    assert_str(written(&encode_json, STR_NONE), "\"V\":\"\"");
}

static void floats(void **state)
{
    static const struct {
        double value;
        const char *text;
    } rows[] = {{0, "0"},
                {0.1, "0.1"},
                {1.0 / 3, "0.3333333333333333"},
                {-2.5, "-2.5"},
                {1e20, "100000000000000000000.000000"},
                {123456789.25, "123456789.25"},
                {1e-7, "0.000000"},
                {0.0 / 0.0, "0.000000"}};
    static const struct shape_field field[] = {{.name = "F", .kind = SHAPE_FLOAT}};
    static const struct shape float_shape = {.size = sizeof(double), .fields = field, .count = 1};

    (void)state; /* the arena is */
    for (size_t i = 0; i < countof(rows); i++)
        assert_str(render_members(&arena, &float_shape, &rows[i].value),
                   arena_printf(&arena, "\"F\":%s", rows[i].text).ptr);
}

static void too_large_is_told(void **state)
{
    struct request json = make(FORMAT_JSON);
    struct str *ids = arena_array(&arena, struct str, 1000);
    struct view view = full();
    struct str text = str_slice(arena_alloc(&arena, 20000), 20000);

    (void)state; /* the arena is */
    for (size_t i = 0; i < 1000; i++)
        ids[i] = text;
    view.ids = (struct str_list){ids, 1000};
    arena.limit_bytes *= 2; /* both in one call never happens */
    assert_str(render_reply(&json, &shape, &view), NULL);
    assert_str(render_members(&arena, &shape, &view), NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(replies), TEST(kept_replies_read_as_the_first),
        TEST(errors),  TEST(any_bytes_become_valid_text),
        TEST(floats),  TEST(too_large_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
