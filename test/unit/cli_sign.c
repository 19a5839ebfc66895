/* SPDX-License-Identifier: Apache-2.0 */
/* Requests as ecsctl signs them, against signatures that others have published or that official clients have sent. */
#include "unit.h"

#include "cli/sign.h"

#define P(name, value) {STR_INIT(name), STR_INIT(value)}

static struct arena arena;

static int set_up(void **state)
{
    (void)state;
    arena_init(&arena, (size_t)1 << 20);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_done(&arena);
    return 0;
}

static void queries_are_sorted_and_encoded(void **state)
{
    const struct pair params[] = {P("b", "sp ace*!'()~+"), P("Tag.1.Key", "\xc3\xa9"), P("a", "")};

    (void)state;
    assert_str(sign_query(&arena, params, countof(params)), "Tag.1.Key=%C3%A9&a=&b=sp%20ace%2A%21%27%28%29~%2B");
    assert_str(sign_query(&arena, NULL, 0), "");
}

/* The example of the V3 signature page. */
static void v3_as_documented(void **state)
{
    const struct pair params[] = {P("RegionId", "cn-shanghai"),
                                  P("ImageId", "win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd")};
    const struct sign_call call = {
        .host = STR("ecs.cn-shanghai.aliyuncs.com"), .action = STR("RunInstances"), .version = STR("2014-05-26"),
        .key_id = STR("YourAccessKeyId"), .secret = STR("YourAccessKeySecret"), .stamp = STR("2023-10-26T10:22:32Z"),
        .nonce = STR("3156853299f313e23d1673dc12e1703d"), .params = params, .param_count = countof(params),
    };
    struct str request = sign_v3(&arena, &call);

    (void)state;
    assert_true(str_starts(request, STR("POST /?ImageId=win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd&RegionId=cn-shanghai "
                                        "HTTP/1.1\r\nHost: ecs.cn-shanghai.aliyuncs.com\r\n")));
    assert_true(str_contains(request, STR("Credential=YourAccessKeyId,")));
    assert_true(str_contains(request, STR(",Signature=06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0\r\n")));
    assert_true(str_ends(request, STR("\r\n\r\n")));
}

/* A POST with everything in the form, as an official client has sent it. */
static void v1_as_sent_by_others(void **state)
{
    const struct pair params[] = {
        P("RegionId", "cn-hangzhou"), P("DataDisk.1.Category", "cloud_essd"), P("DataDisk.1.DeleteWithInstance", "true"),
        P("DataDisk.1.Size", "100"), P("DataDisk.2.Size", "20"), P("SecurityGroupIds.1", "sg-1"),
        P("SecurityGroupIds.2", "sg-2"), P("SystemDisk.Category", "cloud_essd"), P("SystemDisk.Size", "40"),
        P("UserData", "IyEvYmluL3NoCmVjaG8gaGkK"),
    };
    const struct sign_call call = {
        .host = STR("127.0.0.1:1"), .action = STR("RunInstances"), .version = STR("2014-05-26"),
        .key_id = STR("LTAI5tExampleTestKey0001"), .secret = STR("ExampleSecretForTests0123456789"),
        .stamp = STR("2026-11-23T03:18:34Z"), .nonce = STR("9d59a81b5afb82d4268fbc13fda93132"), .params = params,
        .param_count = countof(params),
    };
    struct str request = sign_v1(&arena, &call);
    struct str body = str_slice(memmem(request.ptr, request.len, "\r\n\r\n", 4), 0);

    (void)state;
    body = str_slice(body.ptr + 4, (size_t)(request.ptr + request.len - body.ptr) - 4);
    assert_true(str_contains(body, STR("Signature=gh6%2F3X54R37%2Fa%2BZ7WEMwgjhPoX4%3D&")));
    assert_true(str_contains(request, arena_printf(&arena, "Content-Length: %zu\r\n", body.len)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(queries_are_sorted_and_encoded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(v3_as_documented, set_up, tear_down),
        cmocka_unit_test_setup_teardown(v1_as_sent_by_others, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
