/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/spy.h"

#include "base/mem.h"

struct spy {
    struct hypervisor base;
    struct hypervisor *inner;
    int node;
    spy_begun_fn begun;
    spy_fn told;
    void *arg;
    machine_watch_fn watch; /* the node's; NULL: it does not listen */
    void *watch_arg;
};

static struct spy *spy_of(struct hypervisor *hv)
{
    return container_of(hv, struct spy, base);
}

/* A question, or something that is no one host's. */
#define SPY_PASS(hv, op, ...)                        \
    struct hypervisor *inner = spy_of(hv)->inner;    \
    return inner->ops->op(inner, __VA_ARGS__)

/* The hosts and ids of commands have these names in all of them. */
#define SPY_COMMAND(hv, number, op, ...)                                                                              \
    struct spy *spy = spy_of(hv);                                                                                     \
    spy->begun(spy->arg);                                                                                             \
    int r = spy->inner->ops->op(spy->inner, __VA_ARGS__);                                                             \
    struct spy_command command = {.name = #op, .host_id = host_id, .id = id, .incarnation = (number), .result = r};   \
    spy->told(spy->arg, spy->node, &command);                                                                         \
    return r

static int spy_host_add(struct hypervisor *hv, struct str host_id, struct str url, struct fail *fail)
{
    SPY_PASS(hv, host_add, host_id, url, fail);
}

static int spy_host_remove(struct hypervisor *hv, struct str host_id)
{
    SPY_PASS(hv, host_remove, host_id);
}

static void spy_watch(struct hypervisor *hv, machine_watch_fn fn, void *arg)
{
    spy_of(hv)->watch = fn;
    spy_of(hv)->watch_arg = arg;
}

static int spy_define(struct hypervisor *hv, struct str host_id, const struct machine_spec *spec, struct fail *fail)
{
    struct str id = spec->id;

    SPY_COMMAND(hv, -1, define, host_id, spec, fail);
}

static int spy_undefine(struct hypervisor *hv, struct str host_id, struct str id)
{
    SPY_COMMAND(hv, -1, undefine, host_id, id);
}

static int spy_start(struct hypervisor *hv, struct str host_id, struct str id, int64_t incarnation, struct fail *fail)
{
    SPY_COMMAND(hv, incarnation, start, host_id, id, incarnation, fail);
}

static int spy_press(struct hypervisor *hv, struct str host_id, struct str id, int64_t incarnation)
{
    SPY_COMMAND(hv, incarnation, press, host_id, id, incarnation);
}

static int spy_resume(struct hypervisor *hv, struct str host_id, struct str id, int64_t incarnation)
{
    SPY_COMMAND(hv, incarnation, resume, host_id, id, incarnation);
}

static int spy_reset(struct hypervisor *hv, struct str host_id, struct str id, int64_t incarnation)
{
    SPY_COMMAND(hv, incarnation, reset, host_id, id, incarnation);
}

static int spy_cut(struct hypervisor *hv, struct str host_id, struct str id, int64_t incarnation, enum machine_cut how)
{
    SPY_COMMAND(hv, incarnation, cut, host_id, id, incarnation, how);
}

static int spy_probe(struct hypervisor *hv, struct str host_id, struct str id, struct machine_status *ret)
{
    SPY_PASS(hv, probe, host_id, id, ret);
}

static int spy_list(struct hypervisor *hv, struct str host_id,
                    void (*each)(void *arg, struct str id, const struct machine_status *st), void *arg)
{
    SPY_PASS(hv, list, host_id, each, arg);
}

static int spy_disk_clear(struct hypervisor *hv, struct str host_id, struct str id, struct str disk_id)
{
    SPY_COMMAND(hv, -1, disk_clear, host_id, id, disk_id);
}

static int spy_disk_delete(struct hypervisor *hv, struct str disk_id)
{
    SPY_PASS(hv, disk_delete, disk_id);
}

static int spy_disk_written(struct hypervisor *hv, struct str host_id, struct str id, struct str disk_id, bool *ret)
{
    SPY_PASS(hv, disk_written, host_id, id, disk_id, ret);
}

static int spy_disk_attach(struct hypervisor *hv, struct str host_id, struct str id, int64_t incarnation,
                           const struct machine_disk *disk, struct fail *fail)
{
    SPY_COMMAND(hv, incarnation, disk_attach, host_id, id, incarnation, disk, fail);
}

static int spy_disk_detach(struct hypervisor *hv, struct str host_id, struct str id, int64_t incarnation, struct str disk_id,
                           struct fail *fail)
{
    SPY_COMMAND(hv, incarnation, disk_detach, host_id, id, incarnation, disk_id, fail);
}

static int spy_console(struct hypervisor *hv, struct str host_id, struct str id, size_t limit_bytes, struct arena *arena,
                       struct str *ret)
{
    SPY_PASS(hv, console, host_id, id, limit_bytes, arena, ret);
}

static int spy_screenshot(struct hypervisor *hv, struct str host_id, struct str id, int64_t incarnation, struct arena *arena,
                          struct str *ret_png)
{
    SPY_PASS(hv, screenshot, host_id, id, incarnation, arena, ret_png);
}

static int spy_vnc(struct hypervisor *hv, struct str host_id, struct str id, int64_t incarnation, struct str password,
                   usec_t until_us, struct arena *arena, struct str *ret_address)
{
    SPY_PASS(hv, vnc, host_id, id, incarnation, password, until_us, arena, ret_address);
}

static int spy_exec_start(struct hypervisor *hv, struct str host_id, struct str id, int64_t incarnation,
                          const struct machine_exec *exec, int64_t *ret_pid)
{
    SPY_COMMAND(hv, incarnation, exec_start, host_id, id, incarnation, exec, ret_pid);
}

static int spy_exec_poll(struct hypervisor *hv, struct str host_id, struct str id, int64_t incarnation, int64_t pid,
                         struct arena *arena, struct machine_exec_status *ret)
{
    SPY_PASS(hv, exec_poll, host_id, id, incarnation, pid, arena, ret);
}

static int spy_exec_kill(struct hypervisor *hv, struct str host_id, struct str id, int64_t incarnation, int64_t pid)
{
    SPY_COMMAND(hv, incarnation, exec_kill, host_id, id, incarnation, pid);
}

static bool spy_has_image(struct hypervisor *hv, struct str image_id)
{
    SPY_PASS(hv, has_image, image_id);
}

static int spy_simulate(struct hypervisor *hv, struct str host_id, struct str machine_id, struct str name, struct str value,
                        struct fail *fail)
{
    SPY_PASS(hv, simulate, host_id, machine_id, name, value, fail);
}

static void spy_close(struct hypervisor *hv)
{
    (void)xfree(spy_of(hv));
}

static const struct hypervisor_ops spy_ops = {
    .name = "spy",
    .close = spy_close,
    .host_add = spy_host_add,
    .host_remove = spy_host_remove,
    .watch = spy_watch,
    .define = spy_define,
    .undefine = spy_undefine,
    .start = spy_start,
    .press = spy_press,
    .resume = spy_resume,
    .reset = spy_reset,
    .cut = spy_cut,
    .probe = spy_probe,
    .list = spy_list,
    .disk_clear = spy_disk_clear,
    .disk_delete = spy_disk_delete,
    .disk_written = spy_disk_written,
    .disk_attach = spy_disk_attach,
    .disk_detach = spy_disk_detach,
    .console = spy_console,
    .screenshot = spy_screenshot,
    .vnc = spy_vnc,
    .exec_start = spy_exec_start,
    .exec_poll = spy_exec_poll,
    .exec_kill = spy_exec_kill,
    .has_image = spy_has_image,
    .simulate = spy_simulate,
};

struct hypervisor *spy_new(struct hypervisor *inner, int node, spy_begun_fn begun, spy_fn told, void *arg)
{
    struct spy *spy = xcalloc(1, sizeof(*spy));

    *spy = (struct spy){.base = {.ops = &spy_ops}, .inner = inner, .node = node, .begun = begun, .told = told, .arg = arg};
    return &spy->base;
}

void spy_event(struct hypervisor *hv, const struct machine_event *event)
{
    const struct spy *spy = spy_of(hv);

    if (spy->watch)
        spy->watch(spy->watch_arg, event);
}
