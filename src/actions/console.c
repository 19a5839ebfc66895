/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Console, screen, VNC: what a machine shows at its host. They ask the hypervisor, outside any write, on the caller's
 * thread; engine_look_begin bounds how many threads wait for hosts.
 */
#include "actions/console.h"

#include "actions/common.h"
#include "actions/tenant.h"
#include "base/hash.h"
#include "model/name.h"

#define CONSOLE_BYTES ((size_t)64 * 1024)          /* of the end of the console's text */
#define SCREENSHOT_BYTES ((size_t)4 * 1024 * 1024) /* a screen of 1920 by 1080 is under 1 MiB; base64 makes a third more of it */
#define SCREENSHOT_EVERY (10 * USEC_PER_SEC)       /* of one instance (the page of GetInstanceScreenshot) */
#define VNC_PASSWORD_LIFE (15 * USEC_PER_SEC)      /* a VncUrl is to be used within it (the page of DescribeInstanceVncUrl) */
#define VNC_PASSWORD_LETTERS 8                     /* the protocol looks at no more (RFC 6143 §7.2.2) */
#define VNC_PASSWD_LETTERS 6                       /* the page of ModifyInstanceVncPasswd */

/* How the page of an action words what all of them can meet. */
struct look_errors {
    enum error_code not_found;
    enum error_code region;
    enum error_code gone;        /* takes the state */
    enum error_code unreachable;
    enum error_code throttled;
};

static const struct look_errors console_errors = {E_CONSOLE_INSTANCE, E_CONSOLE_INSTANCE, E_CONSOLE_STATUS,
                                                  E_SERVICE_UNAVAILABLE, E_CONSOLE_THROTTLING};
static const struct look_errors vnc_errors = {E_INSTANCE_NOT_FOUND, E_VNC_REGION, E_VNC_NOT_READY, E_INTERNAL_ERROR,
                                              E_THROTTLING};

static struct str state_of(const struct instance *inst)
{
    return str_from(sm_name(&instance_sm, inst->state));
}

static int find(struct action *act, struct str region_id, struct str id, const struct look_errors *errors,
                struct instance **ret)
{
    const struct catalog_region *region;
    int r = action_region(act, region_id, &region);

    if (r < 0)
        return r;
    r = action_instance(act, id, ret);
    if (r == -E_INSTANCE_NOT_FOUND)
        return fail(act->fail, errors->not_found);
    if (r == 0 && !str_eq((*ret)->region_id, region_id))
        return fail(act->fail, errors->region);
    return r;
}

static int look_failed(struct action *act, const struct instance *inst, const struct look_errors *errors, int r)
{
    switch (-r) {
    case E_UNREACHABLE:
    case E_TIMEOUT:
        return fail(act->fail, errors->unreachable);
    case E_LIMIT:
        return fail(act->fail, errors->throttled);
    case E_UNSUPPORTED_OPERATION:
        return fail(act->fail, E_CONSOLE_NOT_SUPPORTED, inst->id);
    case E_GONE: /* it ended, or is about to begin, while the row was being read */
    case E_NOT_FOUND:
        return fail(act->fail, errors->gone, state_of(inst));
    default:
        return action_failed(act, r);
    }
}

/* One question to the host. The answer is bounded by who asks it. */
struct look {
    int (*ask)(struct action *act, const struct instance *inst, struct str *ret);
    const struct look_errors *errors;
    usec_t every_us; /* for each instance; 0: as often as it pleases */
};

static int look(struct action *act, const struct instance *inst, const struct look *look, struct str *ret)
{
    int r;

    if (str_empty(inst->host_id)) /* a stop in economical mode left nothing at any host */
        return look_failed(act, inst, look->errors, -E_GONE);
    r = engine_look_begin(act->engine, inst->host_id, inst->id, look->every_us);
    if (r == 0) {
        r = look->ask(act, inst, ret);
        engine_look_end(act->engine, inst->host_id, r);
    }
    return r < 0 ? look_failed(act, inst, look->errors, r) : 0;
}

static struct str base64_of(struct arena *arena, struct str bytes)
{
    char *text = arena_alloc(arena, BASE64_MAX(bytes.len));

    return str_slice(text, base64_encode((const uint8_t *)bytes.ptr, bytes.len, text));
}

/* ── console ── */

static int ask_console(struct action *act, const struct instance *inst, struct str *ret)
{
    struct hypervisor *hv = engine_hypervisor(act->engine);
    int r = hv->ops->console(hv, inst->host_id, inst->id, CONSOLE_BYTES, act->arena, ret);

    assert(r < 0 || ret->len <= CONSOLE_BYTES);
    return r;
}

int get_instance_console_output(struct action *act, const struct get_instance_console_output_request *req,
                                struct get_instance_console_output_reply *reply)
{
    static const struct look console = {ask_console, &console_errors, 0};
    struct instance *inst;
    struct str text;
    int r = find(act, req->region_id, req->instance_id, &console_errors, &inst);

    if (r < 0)
        return r;
    if (inst->state == INSTANCE_STATE_PENDING)
        return fail(act->fail, E_CONSOLE_STATUS, state_of(inst));
    if (str_eq(inst->os_type, str_from(os_type_text(OS_TYPE_WINDOWS))))
        return fail(act->fail, E_CONSOLE_NOT_SUPPORTED, inst->id);
    r = look(act, inst, &console, &text);
    if (r < 0)
        return r;
    reply->instance_id = inst->id;
    reply->console_output = base64_of(act->arena, req->remove_symbols ? console_plain(act->arena, text) : text);
    /* One that is off has written its last words when it went; another may have written this very moment. */
    reply->last_update_time = inst->state == INSTANCE_STATE_STOPPED ? inst->state_since_us : act->now;
    return 0;
}

/* ── screen ── */

static int ask_screenshot(struct action *act, const struct instance *inst, struct str *ret)
{
    struct hypervisor *hv = engine_hypervisor(act->engine);
    int r = hv->ops->screenshot(hv, inst->host_id, inst->id, inst->incarnation, act->arena, ret);

    return r == 0 && ret->len > SCREENSHOT_BYTES ? -E_UNSUPPORTED_OPERATION : r;
}

int get_instance_screenshot(struct action *act, const struct get_instance_screenshot_request *req,
                            struct get_instance_screenshot_reply *reply)
{
    static const struct look screen = {ask_screenshot, &console_errors, SCREENSHOT_EVERY};
    struct instance *inst;
    struct str png;
    int r = find(act, req->region_id, req->instance_id, &console_errors, &inst);

    if (r < 0)
        return r;
    if (inst->state != INSTANCE_STATE_RUNNING)
        return fail(act->fail, E_CONSOLE_STATUS, state_of(inst));
    r = look(act, inst, &screen, &png);
    if (r < 0)
        return r;
    reply->instance_id = inst->id;
    reply->screenshot = base64_of(act->arena, png);
    return 0;
}

/* ── VNC ── */

/* The password is made here and told to two: the host and the caller. */
static int ask_vnc(struct action *act, const struct instance *inst, struct str *ret)
{
    struct hypervisor *hv = engine_hypervisor(act->engine);
    struct str password = random_letters(act->env, act->arena, VNC_PASSWORD_LETTERS);
    struct str address;
    int r;

    r = hv->ops->vnc(hv, inst->host_id, inst->id, inst->incarnation, password, act->now + VNC_PASSWORD_LIFE, act->arena,
                     &address);
    if (r == 0) /* RFC 7869 */
        *ret = arena_printf(act->arena, "vnc://%.*s?VncPassword=%.*s", STR_ARG(address), STR_ARG(password));
    return r;
}

int describe_instance_vnc_url(struct action *act, const struct describe_instance_vnc_url_request *req,
                              struct describe_instance_vnc_url_reply *reply)
{
    static const struct look vnc = {ask_vnc, &vnc_errors, 0};
    struct instance *inst;
    int r = find(act, req->region_id, req->instance_id, &vnc_errors, &inst);

    if (r < 0)
        return r;
    if (inst->state == INSTANCE_STATE_PENDING)
        return fail(act->fail, E_VNC_NOT_READY);
    if (inst->state == INSTANCE_STATE_STOPPED)
        return fail(act->fail, E_INSTANCE_STATUS, state_of(inst), STR("Starting,Running,Stopping"));
    return look(act, inst, &vnc, &reply->vnc_url);
}

static bool is_letter_or_digit(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Nothing to keep: each VncUrl brings a password of its own. */
int modify_instance_vnc_passwd(struct action *act, const struct modify_instance_vnc_passwd_request *req,
                               struct modify_instance_vnc_passwd_reply *reply)
{
    struct instance *inst;
    int r = find(act, req->region_id, req->instance_id, &vnc_errors, &inst);

    (void)reply;
    if (r == -E_VNC_REGION)
        return fail(act->fail, E_NO_SUCH_RESOURCE);
    if (r < 0)
        return r;
    if (req->vnc_password.len != VNC_PASSWD_LETTERS)
        return fail(act->fail, E_VNC_PASSWORD);
    for (size_t i = 0; i < req->vnc_password.len; i++)
        if (!is_letter_or_digit(req->vnc_password.ptr[i]))
            return fail(act->fail, E_VNC_PASSWORD);
    if (inst->state == INSTANCE_STATE_PENDING)
        return fail(act->fail, E_INSTANCE_STATUS, state_of(inst), STR("Starting,Running,Stopping,Stopped"));
    return 0;
}
