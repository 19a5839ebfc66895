/* SPDX-License-Identifier: Apache-2.0 */
/* GetInstanceConsoleOutput, GetInstanceScreenshot, DescribeInstanceVncUrl, ModifyInstanceVncPasswd. */
#include "unit/actions_world.h"

#include "actions/console.h"
#include "base/hash.h"

static void only_what_terminals_understand_goes(void **state)
{
    static const struct row {
        const char *from;
        const char *to;
    } rows[] = {
        {"", ""},
        {"plain\ttext\n", "plain\ttext\n"},
        {"a\r\nb\x7f\x08\x01", "a\nb"},
        {"[\x1b[0;32m  OK  \x1b[0m] up", "[  OK  ] up"},
        {"\x1b[2J\x1b[1;1Htop", "top"},
        {"\x1b]0;title\x07shell", "shell"},
        {"\x1b]0;title\x1b\\shell", "shell"},
        {"\x1bPq#0\x1b\\after", "after"},
        {"\x1b(Bcharset \x1b=keypad\x1b" "c", "charset keypad"},
        {"ends in one \x1b", "ends in one "},
        {"ends in one \x1b[", "ends in one "},
        {"ends in one \x1b[0;3", "ends in one "},
        {"ends in one \x1b]0;ti", "ends in one "},
        {"ends in one \x1b(", "ends in one "},
        {"\xc3\xa9t\xc3\xa9", "\xc3\xa9t\xc3\xa9"},
    };
    struct arena arena;

    (void)state;
    arena_init(&arena, 1u << 20);
    for (size_t i = 0; i < countof(rows); i++) {
        struct str plain = console_plain(&arena, str_from(rows[i].from));

        if (!str_eq(plain, str_from(rows[i].to)))
            fail_msg("row %d: \"%.*s\"", (int)i, STR_ARG(plain));
    }
    arena_done(&arena);
}

static int console(struct acts *acts, struct str id, bool remove_symbols, struct str *ret)
{
    struct get_instance_console_output_reply reply;
    uint8_t *bytes;
    size_t len;
    int r;

    REQUEST(get_instance_console_output, req);
    req.region_id = STR(REGION);
    req.instance_id = id;
    req.remove_symbols = remove_symbols;
    r = ACT(acts, GET_INSTANCE_CONSOLE_OUTPUT, &req, &reply);
    if (r < 0)
        return r;
    assert_true(str_eq(reply.instance_id, id));
    assert_true(reply.last_update_time > 0 && reply.last_update_time <= env_now(acts->world->env));
    bytes = arena_alloc(&acts->arena, reply.console_output.len / 4 * 3 + 1);
    assert_int_equal(base64_decode(reply.console_output, bytes, &len), 0);
    *ret = str_slice((const char *)bytes, len);
    return 0;
}

static int screenshot(struct acts *acts, struct str id)
{
    struct get_instance_screenshot_reply reply;
    int r;

    REQUEST(get_instance_screenshot, req);
    req.region_id = STR(REGION);
    req.instance_id = id;
    r = ACT(acts, GET_INSTANCE_SCREENSHOT, &req, &reply);
    if (r == 0)
        assert_true(str_starts(reply.screenshot, STR("iVBORw0KGgo"))); /* the sample of the page begins with it */
    return r;
}

static int vnc_url(struct acts *acts, struct str id, struct str *ret)
{
    struct describe_instance_vnc_url_reply reply;
    int r;

    REQUEST(describe_instance_vnc_url, req);
    req.region_id = STR(REGION);
    req.instance_id = id;
    r = ACT(acts, DESCRIBE_INSTANCE_VNC_URL, &req, &reply);
    if (r == 0)
        *ret = arena_str(&acts->arena, reply.vnc_url);
    return r;
}

static void console_of_each_state(void **state)
{
    struct acts *acts = acts_open();
    struct str id = acts_launch(acts, TYPE);
    struct str text;

    (void)state;
    assert_ok(console(acts, id, false, &text));
    assert_true(str_contains(text, STR("\x1b[0;32m")) && str_contains(text, STR(" login: ")));
    assert_ok(console(acts, id, true, &text));
    assert_false(str_contains(text, STR("\x1b")) || str_contains(text, STR("\r")));
    assert_true(str_contains(text, STR("[  OK  ] Reached")));
    assert_ok(acts_stop(acts, id));
    assert_ok(console(acts, id, false, &text));
    world_await(acts->world, id, INSTANCE_STATE_STOPPED, SECONDS(10));
    assert_ok(console(acts, id, false, &text));
    assert_true(str_contains(text, STR("reboot: Power down")));
    acts_close(acts);
}

static void screen_of_the_running_only_and_not_too_often(void **state)
{
    struct acts *acts = acts_open();
    struct str id = acts_launch(acts, TYPE);
    struct str other = acts_launch(acts, TYPE);

    (void)state;
    assert_ok(screenshot(acts, id));
    assert_refused(screenshot(acts, id), E_CONSOLE_THROTTLING);
    assert_ok(screenshot(acts, other)); /* each for itself */
    world_pass(acts->world, SECONDS(9));
    assert_refused(screenshot(acts, id), E_CONSOLE_THROTTLING);
    world_pass(acts->world, SECONDS(1));
    assert_ok(screenshot(acts, id));
    assert_ok(acts_stop(acts, id));
    assert_refused(screenshot(acts, id), E_CONSOLE_STATUS);
    assert_true(str_contains(acts->fail.message, STR("“Stopping”")));
    world_await(acts->world, id, INSTANCE_STATE_STOPPED, SECONDS(10));
    assert_refused(screenshot(acts, id), E_CONSOLE_STATUS);
    acts_close(acts);
}

/* The row says Running, the machine has ended a moment ago. */
static void a_machine_that_has_just_gone(void **state)
{
    struct acts *acts = acts_open();
    struct str id = acts_launch(acts, TYPE);

    (void)state;
    assert_int_equal(acts->world->hv->ops->cut(acts->world->hv, STR("host-1"), id, 1, MACHINE_CUT_KILL), 0);
    env_advance(acts->world->env, SECONDS(1));
    assert_refused(screenshot(acts, id), E_CONSOLE_STATUS);
    acts_close(acts);
}

static void nothing_is_left_of_an_economical_stop(void **state)
{
    struct acts *acts = acts_open();
    struct str id = acts_launch(acts, TYPE);
    struct stop_instance_reply reply;
    struct str text;

    (void)state;
    REQUEST(stop_instance, req);
    req.instance_id = id;
    req.stopped_mode = STOPPED_MODE_STOP_CHARGING;
    assert_ok(ACT(acts, STOP_INSTANCE, &req, &reply));
    world_await(acts->world, id, INSTANCE_STATE_STOPPED, SECONDS(10));
    assert_refused(console(acts, id, false, &text), E_CONSOLE_STATUS);
    assert_true(str_contains(acts->fail.message, STR("“Stopped”")));
    acts_close(acts);
}

/* The first who asks finds out; after that nobody's thread waits for it until it is back. */
static void a_silent_host(void **state)
{
    struct acts *acts = acts_open();
    struct str id = acts_launch(acts, TYPE);
    int64_t calls;
    struct str text;

    (void)state;
    world_host(acts->world, "state", "down");
    assert_refused(console(acts, id, false, &text), E_SERVICE_UNAVAILABLE);
    calls = fault_calls(acts->world->hv);
    assert_refused(console(acts, id, false, &text), E_SERVICE_UNAVAILABLE);
    assert_refused(screenshot(acts, id), E_SERVICE_UNAVAILABLE);
    assert_refused(vnc_url(acts, id, &text), E_INTERNAL_ERROR);
    assert_int_equal(fault_calls(acts->world->hv), calls);
    world_host(acts->world, "state", "up");
    world_pass(acts->world, SECONDS(6));
    assert_ok(console(acts, id, false, &text));
    assert_ok(screenshot(acts, id));
    acts_close(acts);
}

static void few_wait_for_hosts(void **state)
{
    struct acts *acts = acts_open();
    struct str id = acts_launch(acts, TYPE);
    struct str text;

    (void)state;
    assert_int_equal(engine_look_begin(acts->world->engine, STR("host-1"), id, 0), 0); /* of two threads, one */
    assert_refused(console(acts, id, false, &text), E_CONSOLE_THROTTLING);
    assert_refused(vnc_url(acts, id, &text), E_THROTTLING);
    engine_look_end(acts->world->engine, STR("host-1"), 0);
    assert_ok(console(acts, id, false, &text));
    acts_close(acts);
}

static void who_and_where(void **state)
{
    struct acts *acts = acts_open();
    struct str id = acts_launch(acts, TYPE);
    struct modify_instance_vnc_passwd_reply changed;
    struct describe_instance_vnc_url_reply url;
    struct str text;

    (void)state;
    assert_refused(console(acts, STR("i-none"), false, &text), E_CONSOLE_INSTANCE);
    assert_refused(screenshot(acts, STR("i-none")), E_CONSOLE_INSTANCE);
    assert_refused(vnc_url(acts, STR("i-none"), &text), E_INSTANCE_NOT_FOUND);
    REQUEST(describe_instance_vnc_url, elsewhere);
    elsewhere.instance_id = id;
    elsewhere.region_id = STR("cn-beijing");
    assert_refused(ACT(acts, DESCRIBE_INSTANCE_VNC_URL, &elsewhere, &url), E_VNC_REGION);
    elsewhere.region_id = STR("mars");
    assert_refused(ACT(acts, DESCRIBE_INSTANCE_VNC_URL, &elsewhere, &url), E_REGION_NOT_FOUND);
    REQUEST(modify_instance_vnc_passwd, password);
    password.instance_id = id;
    password.region_id = STR("cn-beijing");
    password.vnc_password = STR("aZ09bY");
    assert_refused(ACT(acts, MODIFY_INSTANCE_VNC_PASSWD, &password, &changed), E_NO_SUCH_RESOURCE);
    acts_swap(acts);
    assert_refused(console(acts, id, false, &text), E_CONSOLE_INSTANCE);
    assert_refused(screenshot(acts, id), E_CONSOLE_INSTANCE);
    assert_refused(vnc_url(acts, id, &text), E_INSTANCE_NOT_FOUND);
    acts_close(acts);
}

/* ── VNC, where there is a server: simulated machines have none ── */

static char vnc_password[16];
static usec_t vnc_until_us;
static int64_t vnc_incarnation;
static int vnc_result;

static int some_vnc(struct hypervisor *hv, struct str host_id, struct str id, int64_t incarnation, struct str password,
                    usec_t until_us, struct arena *arena, struct str *ret_address)
{
    (void)hv;
    (void)host_id;
    (void)id;
    assert_true(password.len < sizeof(vnc_password));
    memcpy(vnc_password, password.ptr, password.len);
    vnc_password[password.len] = '\0';
    vnc_until_us = until_us;
    vnc_incarnation = incarnation;
    if (vnc_result == 0)
        *ret_address = arena_printf(arena, "127.0.0.1:%d", 5907);
    return vnc_result;
}

static int ask_some_vnc(struct acts *acts, struct str id, struct str *ret)
{
    const struct hypervisor_ops *before = acts->world->hv->ops;
    struct hypervisor_ops ops = *before;
    int r;

    ops.vnc = some_vnc;
    acts->world->hv->ops = &ops;
    r = vnc_url(acts, id, ret);
    acts->world->hv->ops = before;
    return r;
}

static void vnc_url_brings_a_password_of_its_own(void **state)
{
    struct acts *acts = acts_open();
    struct str id = acts_launch(acts, TYPE);
    struct str first, second;

    (void)state;
    assert_ok(ask_some_vnc(acts, id, &first));
    assert_true(str_eq(first, arena_printf(&acts->arena, "vnc://127.0.0.1:5907?VncPassword=%s", vnc_password)));
    assert_int_equal(strlen(vnc_password), 8);
    assert_int_equal(strspn(vnc_password, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"), 8);
    assert_int_equal(vnc_until_us, env_now(acts->world->env) + SECONDS(15));
    assert_int_equal(vnc_incarnation, 1);
    assert_ok(ask_some_vnc(acts, id, &second));
    assert_false(str_eq(first, second));
    vnc_result = -E_GONE;
    assert_refused(ask_some_vnc(acts, id, &second), E_VNC_NOT_READY);
    vnc_result = -E_TIMEOUT;
    assert_refused(ask_some_vnc(acts, id, &second), E_INTERNAL_ERROR);
    vnc_result = 0;
    assert_refused(vnc_url(acts, id, &second), E_CONSOLE_NOT_SUPPORTED); /* a simulated machine */
    assert_true(str_contains(acts->fail.message, id));
    assert_ok(acts_stop(acts, id));
    assert_ok(ask_some_vnc(acts, id, &second));
    world_await(acts->world, id, INSTANCE_STATE_STOPPED, SECONDS(10));
    assert_refused(ask_some_vnc(acts, id, &second), E_INSTANCE_STATUS);
    acts_close(acts);
}

static void a_new_instance_is_not_ready(void **state)
{
    struct acts *acts = acts_open();
    struct run_instances_request req = run_request();
    struct str id = acts_run_instances(acts, &req);
    struct modify_instance_vnc_passwd_reply changed;
    struct str text;

    (void)state;
    id = arena_str(&acts->arena, id);
    assert_refused(vnc_url(acts, id, &text), E_VNC_NOT_READY);
    assert_refused(console(acts, id, false, &text), E_CONSOLE_STATUS);
    assert_refused(screenshot(acts, id), E_CONSOLE_STATUS);
    REQUEST(modify_instance_vnc_passwd, password);
    password.instance_id = id;
    password.region_id = STR(REGION);
    password.vnc_password = STR("aZ09bY");
    assert_refused(ACT(acts, MODIFY_INSTANCE_VNC_PASSWD, &password, &changed), E_INSTANCE_STATUS);
    acts_close(acts);
}

static void six_letters_and_digits(void **state)
{
    static const char *const bad[] = {"aZ09b", "aZ09bYc", "aZ09b-", "aZ09b ", "aZ\xc3\xa9zY"};
    struct acts *acts = acts_open();
    struct str id = acts_launch(acts, TYPE);
    struct modify_instance_vnc_passwd_reply changed;

    (void)state;
    REQUEST(modify_instance_vnc_passwd, req);
    req.instance_id = id;
    req.region_id = STR(REGION);
    req.vnc_password = STR("aZ09bY");
    assert_ok(ACT(acts, MODIFY_INSTANCE_VNC_PASSWD, &req, &changed));
    for (size_t i = 0; i < countof(bad); i++) {
        req.vnc_password = str_from(bad[i]);
        assert_refused(ACT(acts, MODIFY_INSTANCE_VNC_PASSWD, &req, &changed), E_VNC_PASSWORD);
    }
    acts_close(acts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_what_terminals_understand_goes),
        cmocka_unit_test(console_of_each_state),
        cmocka_unit_test(screen_of_the_running_only_and_not_too_often),
        cmocka_unit_test(a_machine_that_has_just_gone),
        cmocka_unit_test(nothing_is_left_of_an_economical_stop),
        cmocka_unit_test(a_silent_host),
        cmocka_unit_test(few_wait_for_hosts),
        cmocka_unit_test(who_and_where),
        cmocka_unit_test(vnc_url_brings_a_password_of_its_own),
        cmocka_unit_test(a_new_instance_is_not_ready),
        cmocka_unit_test(six_letters_and_digits),
    };

    log_threshold = LOG_ERROR;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
