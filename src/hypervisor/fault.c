/* SPDX-License-Identifier: Apache-2.0 */
#include "hypervisor/fault.h"

#include <pthread.h>

#include "base/mem.h"

struct fault {
    struct hypervisor base;
    struct hypervisor *inner;
    pthread_mutex_t lock;   /* guards what follows */
    pthread_cond_t changed; /* there is another plan */
    struct fault_plan plan;
    int64_t calls;
    int64_t failed;
    char *keys; /* of the latest define; NULL: none */
};

static const struct hypervisor_ops fault_ops;

static struct fault *fault_of(const struct hypervisor *hv)
{
    assert(hv->ops == &fault_ops);
    return container_of(hv, struct fault, base);
}

static void fault_lock(struct fault *fault)
{
    int r = pthread_mutex_lock(&fault->lock);

    assert(r == 0);
}

static void fault_unlock(struct fault *fault)
{
    int r = pthread_mutex_unlock(&fault->lock);

    assert(r == 0);
}

/* One call: what the plan has for it. */
struct turn {
    int error; /* 0: the call succeeds as the inner one does */
    bool skip; /* the inner call is not made */
};

static struct turn fault_turn(struct fault *fault)
{
    struct turn turn = {0};
    int64_t count;

    fault_lock(fault);
    fault->calls++;
    while (fault->plan.hold)
        (void)pthread_cond_wait(&fault->changed, &fault->lock);
    count = MAX_OF(1, fault->plan.count);
    if (fault->plan.nth > 0 && fault->calls >= fault->plan.nth &&
        fault->calls - fault->plan.nth < count) {
        turn.error = -(int)(fault->plan.error ? fault->plan.error : E_UNREACHABLE);
        turn.skip = !fault->plan.after;
        fault->failed++;
    }
    fault_unlock(fault);
    return turn;
}

/* Makes the inner call unless the turn skips it, and gives the answer that the turn asks for. */
#define FAULT_CALL(hv, op, ...)                                                                    \
    struct fault *fault = fault_of(hv);                                                            \
    struct turn turn = fault_turn(fault);                                                          \
    int r = turn.skip ? 0 : fault->inner->ops->op(fault->inner, __VA_ARGS__);                      \
    return turn.error ? turn.error : r

static int fault_host_add(struct hypervisor *hv, struct str host_id, struct str url,
                          struct fail *fail)
{
    FAULT_CALL(hv, host_add, host_id, url, fail);
}

static int fault_host_remove(struct hypervisor *hv, struct str host_id)
{
    FAULT_CALL(hv, host_remove, host_id);
}

static int fault_define(struct hypervisor *hv, struct str host_id, const struct machine_spec *spec,
                        struct fail *fail)
{
    struct fault *spy = fault_of(hv);

    fault_lock(spy);
    (void)xfree(spy->keys);
    spy->keys = spec->public_keys.ptr ? xstrdup(spec->public_keys.ptr) : NULL;
    fault_unlock(spy);
    FAULT_CALL(hv, define, host_id, spec, fail);
}

static int fault_undefine(struct hypervisor *hv, struct str host_id, struct str id)
{
    FAULT_CALL(hv, undefine, host_id, id);
}

static int fault_start(struct hypervisor *hv, struct str host_id, struct str id,
                       int64_t incarnation, struct fail *fail)
{
    FAULT_CALL(hv, start, host_id, id, incarnation, fail);
}

static int fault_press(struct hypervisor *hv, struct str host_id, struct str id,
                       int64_t incarnation)
{
    FAULT_CALL(hv, press, host_id, id, incarnation);
}

static int fault_resume(struct hypervisor *hv, struct str host_id, struct str id,
                        int64_t incarnation)
{
    FAULT_CALL(hv, resume, host_id, id, incarnation);
}

static int fault_reset(struct hypervisor *hv, struct str host_id, struct str id,
                       int64_t incarnation)
{
    FAULT_CALL(hv, reset, host_id, id, incarnation);
}

static int fault_cut(struct hypervisor *hv, struct str host_id, struct str id, int64_t incarnation,
                     enum machine_cut how)
{
    FAULT_CALL(hv, cut, host_id, id, incarnation, how);
}

/* Outputs of a call that failed stay untouched, also when it was carried out. */
static int fault_probe(struct hypervisor *hv, struct str host_id, struct str id,
                       struct machine_status *ret)
{
    struct machine_status status;
    struct fault *fault = fault_of(hv);
    struct turn turn = fault_turn(fault);
    int r = turn.error ? turn.error : fault->inner->ops->probe(fault->inner, host_id, id, &status);

    if (r == 0)
        *ret = status;
    return r;
}

static int fault_list(struct hypervisor *hv, struct str host_id,
                      void (*each)(void *arg, struct str id, const struct machine_status *st),
                      void *arg)
{
    FAULT_CALL(hv, list, host_id, each, arg);
}

static int fault_disk_clear(struct hypervisor *hv, struct str host_id, struct str id,
                            struct str disk_id)
{
    FAULT_CALL(hv, disk_clear, host_id, id, disk_id);
}

static int fault_disk_delete(struct hypervisor *hv, struct str disk_id)
{
    FAULT_CALL(hv, disk_delete, disk_id);
}

static int fault_disk_written(struct hypervisor *hv, struct str host_id, struct str id,
                              struct str disk_id, bool *ret)
{
    bool written;
    struct fault *fault = fault_of(hv);
    struct turn turn = fault_turn(fault);
    int r = turn.error
                ? turn.error
                : fault->inner->ops->disk_written(fault->inner, host_id, id, disk_id, &written);

    if (r == 0)
        *ret = written;
    return r;
}

static int fault_disk_attach(struct hypervisor *hv, struct str host_id, struct str id,
                             int64_t incarnation, const struct machine_disk *disk,
                             struct fail *fail)
{
    FAULT_CALL(hv, disk_attach, host_id, id, incarnation, disk, fail);
}

static int fault_disk_detach(struct hypervisor *hv, struct str host_id, struct str id,
                             int64_t incarnation, struct str disk_id, struct fail *fail)
{
    FAULT_CALL(hv, disk_detach, host_id, id, incarnation, disk_id, fail);
}

static int fault_console(struct hypervisor *hv, struct str host_id, struct str id,
                         size_t limit_bytes, struct arena *arena, struct str *ret)
{
    FAULT_CALL(hv, console, host_id, id, limit_bytes, arena, ret);
}

static int fault_screenshot(struct hypervisor *hv, struct str host_id, struct str id,
                            int64_t incarnation, struct arena *arena, struct str *ret_png)
{
    FAULT_CALL(hv, screenshot, host_id, id, incarnation, arena, ret_png);
}

static int fault_vnc(struct hypervisor *hv, struct str host_id, struct str id, int64_t incarnation,
                     struct str password, usec_t until_us, struct arena *arena,
                     struct str *ret_address)
{
    FAULT_CALL(hv, vnc, host_id, id, incarnation, password, until_us, arena, ret_address);
}

static int fault_exec_start(struct hypervisor *hv, struct str host_id, struct str id,
                            int64_t incarnation, const struct machine_exec *exec, int64_t *ret_pid)
{
    FAULT_CALL(hv, exec_start, host_id, id, incarnation, exec, ret_pid);
}

static int fault_exec_poll(struct hypervisor *hv, struct str host_id, struct str id,
                           int64_t incarnation, int64_t pid, struct arena *arena,
                           struct machine_exec_status *ret)
{
    FAULT_CALL(hv, exec_poll, host_id, id, incarnation, pid, arena, ret);
}

static int fault_exec_kill(struct hypervisor *hv, struct str host_id, struct str id,
                           int64_t incarnation, int64_t pid)
{
    FAULT_CALL(hv, exec_kill, host_id, id, incarnation, pid);
}

static int fault_simulate(struct hypervisor *hv, struct str host_id, struct str machine_id,
                          struct str name, struct str value, struct fail *fail)
{
    struct hypervisor *inner = fault_of(hv)->inner;

    return inner->ops->simulate(inner, host_id, machine_id, name, value, fail);
}

/* Not counted: it can't fail. */
static bool fault_has_image(struct hypervisor *hv, struct str image_id)
{
    struct fault *fault = fault_of(hv);
    bool lacks;

    fault_lock(fault);
    lacks = str_eq(fault->plan.no_image, image_id);
    fault_unlock(fault);
    return !lacks && fault->inner->ops->has_image(fault->inner, image_id);
}

static void fault_watch(struct hypervisor *hv, machine_watch_fn fn, void *arg)
{
    struct hypervisor *inner = fault_of(hv)->inner;

    inner->ops->watch(inner, fn, arg);
}

static void fault_close(struct hypervisor *hv)
{
    struct fault *fault = fault_of(hv);

    fault->inner = hypervisor_close(fault->inner);
    (void)pthread_cond_destroy(&fault->changed); /* nobody waits, and */
    (void)pthread_mutex_destroy(&fault->lock);   /* nobody calls any more */
    (void)xfree(fault->keys);
    xfree(fault);
}

static const struct hypervisor_ops fault_ops = {
    .name = "fault",
    .close = fault_close,
    .host_add = fault_host_add,
    .host_remove = fault_host_remove,
    .watch = fault_watch,
    .define = fault_define,
    .undefine = fault_undefine,
    .start = fault_start,
    .press = fault_press,
    .resume = fault_resume,
    .reset = fault_reset,
    .cut = fault_cut,
    .probe = fault_probe,
    .list = fault_list,
    .disk_clear = fault_disk_clear,
    .disk_delete = fault_disk_delete,
    .disk_written = fault_disk_written,
    .disk_attach = fault_disk_attach,
    .disk_detach = fault_disk_detach,
    .console = fault_console,
    .screenshot = fault_screenshot,
    .vnc = fault_vnc,
    .exec_start = fault_exec_start,
    .exec_poll = fault_exec_poll,
    .exec_kill = fault_exec_kill,
    .has_image = fault_has_image,
    .simulate = fault_simulate,
};

struct hypervisor *fault_new(struct hypervisor **inner)
{
    struct fault *fault = xcalloc(1, sizeof(*fault));
    int r = pthread_mutex_init(&fault->lock, NULL);

    r |= pthread_cond_init(&fault->changed, NULL);
    assert(r == 0);
    fault->base.ops = &fault_ops;
    fault->inner = steal(inner);
    assert(fault->inner);
    return &fault->base;
}

void fault_arm(struct hypervisor *hv, const struct fault_plan *plan)
{
    struct fault *fault = fault_of(hv);

    fault_lock(fault);
    fault->plan = plan ? *plan : (struct fault_plan){0};
    fault->calls = 0;
    fault->failed = 0;
    (void)pthread_cond_broadcast(&fault->changed); /* can't fail on a valid condition */
    fault_unlock(fault);
}

int64_t fault_calls(const struct hypervisor *hv)
{
    struct fault *fault = fault_of(hv);
    int64_t calls;

    fault_lock(fault);
    calls = fault->calls;
    fault_unlock(fault);
    return calls;
}

int64_t fault_failed(const struct hypervisor *hv)
{
    struct fault *fault = fault_of(hv);
    int64_t failed;

    fault_lock(fault);
    failed = fault->failed;
    fault_unlock(fault);
    return failed;
}

const char *fault_keys(const struct hypervisor *hv)
{
    return fault_of(hv)->keys;
}
