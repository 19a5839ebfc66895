/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Real machines under the laws of every hypervisor: QEMU behind the embedded libvirt, with the guest that guest/build.sh
 * makes. ECSD_GUEST names its folder; without it there is nothing to boot, and the program says so and is skipped.
 */
#include "unit/unit.h"

#include <sys/prctl.h>
#include <sys/stat.h>

#include "conform/hypervisor.c"

#include "base/log.h"
#include "base/mem.h"
#include "base/spawn.h"
#include "hypervisor/libvirt.h"

#define SKIPPED 77 /* what meson takes for it */
#define PATIENCE_US (5 * USEC_PER_SEC)    /* of the laws: what they await has ten times as long */
#define BOOT_GRACE_US (60 * USEC_PER_SEC) /* TCG on a busy machine */

static const char *guest_dir;
static struct env *shared_env;

struct opened {
    struct env *env;
    char dir[48];
};

static void run_shell(const char *script)
{
    const char *argv[] = {"sh", "-ec", script, NULL};
    struct spawn_result result;
    struct arena arena;

    arena_init(&arena, 1 << 20);
    assert_int_equal(spawn_wait(argv, 20 * USEC_PER_SEC, &arena, &result), 0);
    if (result.exit_code != 0)
        fail_msg("%s: %.*s", script, STR_ARG(result.output));
    arena_done(&arena);
}

/* The image that the laws' machine is made of: it writes to each of its disks when it comes up. */
static void make_image(const struct opened *o)
{
    char script[512];

    (void)snprintf(script, sizeof(script),
                   "mkdir -p %s/images/image && cd %s/images/image && ln -s %s/vmlinuz kernel && ln -s %s/initrd initrd && "
                   "cp %s/disk.qcow2 disk && echo \"$(cat %s/cmdline) ecsd.stamp\" >cmdline && touch agent",
                   o->dir, o->dir, guest_dir, guest_dir, guest_dir, guest_dir);
    run_shell(script);
}

/*
 * The embedded libvirt has one root folder for the life of a process, and can be opened some ten times in it: all laws share
 * the one that the first has opened.
 */
static char shared_dir[48];
static struct hypervisor *shared;

static void open_libvirt(struct conform_hv *c)
{
    struct opened *o = c->impl;
    struct libvirt_settings settings = {
        .env = o->env, .dir = shared_dir, .local_scale = 0.01, .memory_scale = 1, .accelerator = LIBVIRT_AUTO, .boot_grace_us = BOOT_GRACE_US};

    assert_int_equal(libvirt_open(&settings, NULL, &c->hv), 0);
    assert_int_equal(c->hv->ops->host_add(c->hv, STR("h-1"), STR("qemu:///embed"), NULL), 0);
}

static void open_shared(struct conform_hv *c)
{
    struct opened *o = xcalloc(1, sizeof(*o));

    c->impl = o;
    o->env = shared_env;
    memcpy(o->dir, shared_dir, sizeof(o->dir));
    c->hv = shared;
    if (!shared)
        open_libvirt(c);
}

static void end_machine(struct conform_hv *c)
{
    struct machine_status status;

    while (c->hv->ops->undefine(c->hv, STR("h-1"), STR("i-conform")) == -E_BUSY &&
           c->hv->ops->probe(c->hv, STR("h-1"), STR("i-conform"), &status) == 0) {
        (void)c->hv->ops->cut(c->hv, STR("h-1"), STR("i-conform"), status.incarnation, MACHINE_CUT_KILL);
        (void)usleep(20000); /* until it is gone */
    }
}

static void close_libvirt(struct conform_hv *c)
{
    struct opened *o = c->impl;

    end_machine(c);
    assert_int_equal(c->hv->ops->disk_delete(c->hv, STR("d-system")), 0);
    assert_int_equal(c->hv->ops->host_add(c->hv, STR("h-1"), STR("qemu:///embed"), NULL), 0);
    c->hv->ops->watch(c->hv, NULL, NULL);
    shared = c->hv;
    xfree(o);
}

static void reopen_libvirt(struct conform_hv *c)
{
    c->hv = hypervisor_close(c->hv);
    open_libvirt(c);
}

static void pass_real_time(struct conform_hv *c, usec_t us)
{
    (void)c;
    (void)usleep((unsigned)us); /* the threads of the hypervisor work meanwhile */
}

static bool is_installed(void)
{
    struct libvirt_settings settings = {.env = shared_env, .dir = shared_dir, .local_scale = 1, .memory_scale = 1, .boot_grace_us = BOOT_GRACE_US};
    struct hypervisor *hv = NULL;
    struct arena arena;
    struct fail fail;
    int r;

    arena_init(&arena, 1 << 20);
    fail_init(&fail, &arena);
    r = libvirt_open(&settings, &fail, &hv);
    if (r < 0)
        print_message("skipped: %.*s\n", STR_ARG(fail.message));
    (void)hypervisor_close(hv);
    arena_done(&arena);
    return r == 0;
}

/* QEMUs are nobody's children: their parent's reaper is this process's parent, as in the daemon (main/reaper.c). */
static int run_under_reaper(int (*laws)(void))
{
    pid_t child;
    int status = 1;

    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0);
    child = fork();
    if (child == 0)
        return laws();
    for (pid_t ended; (ended = waitpid(-1, &status, 0)) != child;)
        assert_true(ended > 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static int run_laws(void)
{
    static const struct conform_hv_kind real = {"libvirt", open_shared, close_libvirt, reopen_libvirt, pass_real_time, PATIENCE_US};
    struct opened o = {0};
    int failed;

    memcpy(o.dir, shared_dir, sizeof(o.dir));
    shared_env = env_new_real();
    if (!is_installed())
        return SKIPPED;
    make_image(&o);
    failed = conform_hypervisor(&real);
    (void)hypervisor_close(shared);
    env_free(shared_env);
    return failed != 0;
}

int main(void)
{
    char script[128];
    int result;

    cmocka_set_test_filter(getenv("ECSD_LAW")); /* a pattern of laws to run, for people */
    guest_dir = getenv("ECSD_GUEST");
    if (!guest_dir || access(guest_dir, R_OK) != 0) {
        print_message("skipped: ECSD_GUEST names no folder with a guest\n");
        return SKIPPED;
    }
    log_threshold = getenv("ECSD_DEBUG") ? LOG_DEBUG : LOG_WARNING;
    (void)snprintf(shared_dir, sizeof(shared_dir), "/tmp/ecsd-real-XXXXXX");
    if (!mkdtemp(shared_dir))
        return 1;
    result = run_under_reaper(run_laws);
    (void)snprintf(script, sizeof(script), "rm -rf %s", shared_dir);
    run_shell(script);
    return result;
}
