/* SPDX-License-Identifier: Apache-2.0 */
/* Open and close, the thread that libvirt's events come on, and what the watcher is told. */
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hypervisor/libvirt_impl.h"

#define ROOT_PATH_MAX 46 /* libvirt makes sockets below its folder; their paths have 107 bytes at most */

/* Output to files, without another daemon; times in QEMU's messages would make each one new. */
#define QEMU_CONF "stdio_handler = \"file\"\nlog_timestamp = 0\nremember_owner = 0\n"

static const struct hypervisor_ops libvirt_ops;

struct libvirt *libvirt_of(const struct hypervisor *hv)
{
    assert(hv->ops == &libvirt_ops);
    return container_of(hv, struct libvirt, base);
}

void libvirt_lock(struct libvirt *libvirt)
{
    int r = pthread_mutex_lock(&libvirt->lock);

    assert(r == 0);
}

void libvirt_unlock(struct libvirt *libvirt)
{
    int r = pthread_mutex_unlock(&libvirt->lock);

    assert(r == 0);
}

void libvirt_wait(struct libvirt *libvirt, usec_t until_us)
{
    env_wait(libvirt->settings.env, &libvirt->changed, &libvirt->lock, until_us);
}

/* ── failures ── */

static enum error_code code_of(const virError *error)
{
    static const struct {
        int theirs;
        enum error_code ours;
    } codes[] = {
        {VIR_ERR_NO_DOMAIN, E_NOT_FOUND},
        {VIR_ERR_OPERATION_INVALID, E_BUSY}, /* its state is another one by now */
        {VIR_ERR_OPERATION_TIMEOUT, E_BUSY}, /* another call holds the machine */
        {VIR_ERR_RESOURCE_BUSY, E_BUSY},
        {VIR_ERR_AGENT_UNRESPONSIVE, E_BUSY},
        {VIR_ERR_ARGUMENT_UNSUPPORTED, E_UNSUPPORTED_OPERATION},
        {VIR_ERR_OPERATION_UNSUPPORTED, E_UNSUPPORTED_OPERATION},
        {VIR_ERR_NO_SUPPORT, E_UNSUPPORTED_OPERATION},
        {VIR_ERR_NO_CONNECT, E_UNREACHABLE},
    };

    for (size_t i = 0; i < countof(codes); i++)
        if (error->code == codes[i].theirs)
            return codes[i].ours;
    /* QEMU's own lock on a disk: another machine has it. */
    return strstr(error->message, "Failed to get \"write\" lock") ? E_BUSY : E_IO;
}

int libvirt_failed(virConnectPtr conn, struct fail *fail)
{
    static const virError unknown = {.code = VIR_ERR_INTERNAL_ERROR, .message = (char *)"libvirt gave no reason"};
    const virError *error = lv.virGetLastError();
    enum error_code code;

    if (!error || !error->message)
        error = &unknown;
    code = code_of(error);
    (void)fail_text(fail, code, "%s", error->message);
    /* Whether a command that broke off was carried out is not known (law 3). */
    if (error->domain == VIR_FROM_RPC || (conn && lv.virConnectIsAlive(conn) != 1))
        code = E_UNREACHABLE;
    return -(int)code;
}

/* ── what the watcher is told ── */

void libvirt_tell(struct libvirt *libvirt, const struct lv_host *host, struct str id, int64_t incarnation,
                  enum machine_state state)
{
    struct machine_event event = {.host_id = lv_host_id(host), .id = id, .incarnation = incarnation, .state = state};
    machine_watch_fn watch;
    void *arg;

    libvirt_lock(libvirt);
    watch = libvirt->watch;
    arg = libvirt->watch_arg;
    libvirt->delivering++;
    libvirt_unlock(libvirt);
    if (watch)
        watch(arg, &event);
    libvirt_lock(libvirt);
    libvirt->delivering--;
    if (libvirt->delivering == 0)
        (void)pthread_cond_broadcast(&libvirt->quiet); /* can't fail on a valid condition */
    libvirt_unlock(libvirt);
}

static void libvirt_watch(struct hypervisor *hv, machine_watch_fn fn, void *arg)
{
    struct libvirt *libvirt = libvirt_of(hv);

    libvirt_lock(libvirt);
    libvirt->watch = fn;
    libvirt->watch_arg = arg;
    while (libvirt->delivering > 0) /* so that the caller may free what the old watcher used */
        (void)pthread_cond_wait(&libvirt->quiet, &libvirt->lock);
    libvirt_unlock(libvirt);
}

/* ── the event thread ── */

static bool is_stopping(struct libvirt *libvirt)
{
    bool stopping;

    libvirt_lock(libvirt);
    stopping = libvirt->stopping;
    libvirt_unlock(libvirt);
    return stopping;
}

static void *run_events(void *arg)
{
    struct libvirt *libvirt = arg;

    (void)pthread_setname_np(pthread_self(), "libvirt"); /* for people only */
    while (!is_stopping(libvirt))
        if (lv.virEventRunDefaultImpl() < 0)
            lv.virResetLastError();
    return NULL;
}

static void on_wake(int timer, void *arg)
{
    (void)timer; /* one shot: it only has to end a wait of the loop */
    (void)arg;
}

/* ── life ── */

static int libvirt_simulate(struct hypervisor *hv, struct str host_id, struct str machine_id, struct str name, struct str value,
                            struct fail *fail)
{
    (void)hv;
    (void)host_id;
    (void)machine_id;
    (void)name;
    (void)value;
    (void)fail;
    return -E_UNSUPPORTED_OPERATION; /* real machines can't be told how to behave */
}

static bool libvirt_has_image(struct hypervisor *hv, struct str image_id)
{
    return pool_has_image(&libvirt_of(hv)->pool, image_id);
}

/* Calls that a stuck QEMU holds end with it, maybe never: then what they use stays. */
static bool threads_ended(struct libvirt *libvirt)
{
    usec_t until_us = env_now(libvirt->settings.env) + LIBVIRT_REPLY_US;
    bool ended;

    libvirt_lock(libvirt);
    while (libvirt->threads > 0 && env_now(libvirt->settings.env) < until_us)
        libvirt_wait(libvirt, until_us);
    ended = libvirt->threads == 0;
    libvirt_unlock(libvirt);
    return ended;
}

static void libvirt_close(struct hypervisor *hv)
{
    struct libvirt *libvirt = libvirt_of(hv);
    bool ended;

    libvirt_watch(hv, NULL, NULL);
    ended = threads_ended(libvirt);
    ended = libvirt_hosts_close(libvirt) && ended;
    libvirt_lock(libvirt);
    libvirt->stopping = true;
    libvirt_unlock(libvirt);
    libvirt->wake_timer = lv.virEventAddTimeout(0, on_wake, NULL, NULL);
    (void)pthread_join(libvirt->events, NULL); /* it is ours and was not joined */
    if (libvirt->wake_timer >= 0)
        (void)lv.virEventRemoveTimeout(libvirt->wake_timer); /* it is there */
    if (!ended)
        return;
    libvirt_hosts_free(libvirt);
    (void)pthread_cond_destroy(&libvirt->changed); /* nobody waits any more */
    (void)pthread_cond_destroy(&libvirt->quiet);
    (void)pthread_mutex_destroy(&libvirt->lock);
    xfree(libvirt);
}

static bool cpu_can_virtualise(void)
{
    FILE *file = fopen("/proc/cpuinfo", "re");
    char line[8192];
    bool can = false;

    while (file && !can && fgets(line, sizeof(line), file))
        can = strncmp(line, "flags", 5) == 0 && (strstr(line, " vmx") || strstr(line, " svm"));
    if (file)
        (void)fclose(file); /* read only */
    return can;
}

/* /dev/kvm alone says little: there are machines where it opens and stock guests hang (decisions.md). */
static void choose_accelerator(struct libvirt *libvirt)
{
    enum libvirt_accelerator asked = libvirt->settings.accelerator;
    bool cpu = cpu_can_virtualise();
    bool device = access("/dev/kvm", R_OK | W_OK) == 0;

    libvirt->kvm = asked == LIBVIRT_KVM || (asked == LIBVIRT_AUTO && cpu && device);
    if (asked != LIBVIRT_AUTO)
        libvirt->why = asked == LIBVIRT_KVM ? "KVM (libvirt.accelerator says so)" : "TCG (libvirt.accelerator says so)";
    else if (libvirt->kvm)
        libvirt->why = "KVM (the processor can, and /dev/kvm opens)";
    else
        libvirt->why = cpu ? "TCG, which is slow (the processor could do KVM, but /dev/kvm doesn't open)"
                           : "TCG, which is slow (the processor shows neither vmx nor svm)";
}

const char *libvirt_accelerator_why(const struct hypervisor *hv)
{
    return libvirt_of(hv)->why;
}

static void write_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (fd < 0 || write(fd, text, strlen(text)) < 0)
        log_warning("can't write a file", LOG_TEXT("path", path), LOG_TEXT("error", strerror(errno)));
    if (fd >= 0)
        (void)close(fd); /* a configuration: made anew at each start */
}

static void read_text(const char *path, char *text, size_t room)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, text, room - 1);

    text[n > 0 ? n : 0] = '\0';
    if (fd >= 0)
        (void)close(fd); /* read only */
}

/*
 * Which life of this computer it is, or of this container: processes end with the first one of theirs. Its start, in ticks since
 * the computer's, is the 22nd field of its stat, the 20th behind its name.
 */
static void read_boot_id(char *text, size_t room)
{
    char stat[1024];
    const char *at;

    read_text("/proc/sys/kernel/random/boot_id", text, room);
    read_text("/proc/1/stat", stat, sizeof(stat));
    at = strrchr(stat, ')');
    for (int field = 0; at && field < 20; field++)
        at = strchr(at + 1, ' ');
    if (at)
        (void)snprintf(text + strlen(text), room - strlen(text), "%.*s\n", (int)strcspn(at + 1, " "), at + 1);
}

/* After a reboot of this computer no machine of ours lives: libvirt's notes of processes are of another time. */
static void notice_reboot(struct libvirt *libvirt)
{
    char path[LIBVIRT_URI_MAX];
    char now[128];
    char then[128];

    (void)snprintf(path, sizeof(path), "%s/libvirt/boot-id", libvirt->settings.dir);
    read_boot_id(now, sizeof(now));
    read_text(path, then, sizeof(then));
    /* Older releases wrote the first line alone. */
    libvirt->rebooted = then[0] != '\0' && strncmp(now, then, strlen(then)) != 0;
    write_text(path, now);
}

/* Of the process before, which may have been killed at any moment. */
static void clean_up(const struct libvirt *libvirt)
{
    char path[LIBVIRT_URI_MAX];

    (void)snprintf(path, sizeof(path), "%s/libvirt/run/qemu", libvirt->settings.dir);
    lv_notes_clean(path, libvirt->rebooted);
    (void)snprintf(path, sizeof(path), "%s/libvirt/lib/qemu", libvirt->settings.dir);
    lv_probes_end(path);
}

static int make_folders(const char *dir, struct fail *fail)
{
    static const char *const names[] = {"libvirt", "libvirt/etc"};
    char path[LIBVIRT_URI_MAX];

    for (size_t i = 0; i < countof(names); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
        if (mkdir(path, 0700) < 0 && errno != EEXIST)
            return fail_text(fail, E_IO, "can't make the folder %s: %s", path, strerror(errno));
    }
    return 0;
}

/* What the embedded libvirt needs: QEMU's output to files without another daemon, its processes as ours. */
static int prepare(struct libvirt *libvirt, struct fail *fail)
{
    const char *dir = libvirt->settings.dir;
    char path[LIBVIRT_URI_MAX];
    int r;

    if (strlen(dir) > ROOT_PATH_MAX)
        return fail_text(fail, E_INVALID,
                         "the data folder's path is too long for real machines: %s has %zu bytes, at most %d fit (sockets are "
                         "made below it)",
                         dir, strlen(dir), ROOT_PATH_MAX);
    if (geteuid() == 0 && !getpwnam("libvirt-qemu"))
        return fail_text(fail, E_NOT_FOUND,
                         "libvirt wants the user libvirt-qemu when it runs as root; make it: groupadd --system libvirt-qemu && "
                         "useradd --system -g libvirt-qemu -s /usr/sbin/nologin libvirt-qemu");
    r = make_folders(dir, fail);
    if (r < 0)
        return r;
    (void)snprintf(path, sizeof(path), "%s/libvirt/etc/qemu.conf", dir);
    write_text(path, geteuid() == 0 ? QEMU_CONF "user = \"root\"\ngroup = \"root\"\n" : QEMU_CONF);
    (void)snprintf(path, sizeof(path), "3:file:%s/libvirt/libvirt.log", dir);
    (void)setenv("LIBVIRT_LOG_OUTPUTS", path, 0); /* else libvirt writes to our stderr, in another form */
    notice_reboot(libvirt);
    clean_up(libvirt);
    return 0;
}

int libvirt_open(const struct libvirt_settings *settings, struct fail *fail, struct hypervisor **ret)
{
    struct libvirt *libvirt = xcalloc(1, sizeof(*libvirt));
    int r;

    assert(settings->env && settings->dir && settings->local_scale > 0 && settings->memory_scale > 0);
    libvirt->base.ops = &libvirt_ops;
    libvirt->settings = *settings;
    libvirt->pool = (struct pool){.dir = settings->dir, .local_scale = settings->local_scale};
    r = prepare(libvirt, fail);
    if (r == 0)
        r = pool_make(&libvirt->pool, fail);
    if (r == 0)
        r = libvirt_api_load(fail);
    if (r < 0) {
        xfree(libvirt);
        return r;
    }
    choose_accelerator(libvirt);
    map_init(&libvirt->hosts, env_random_u64(settings->env));
    r = pthread_mutex_init(&libvirt->lock, NULL);
    r |= pthread_cond_init(&libvirt->changed, NULL);
    r |= pthread_cond_init(&libvirt->quiet, NULL);
    assert(r == 0); /* Linux never refuses default ones */
    r = pthread_create(&libvirt->events, NULL, run_events, libvirt);
    assert(r == 0); /* the first thread of this ring */
    *ret = &libvirt->base;
    return 0;
}

static const struct hypervisor_ops libvirt_ops = {
    .name = "libvirt",
    .close = libvirt_close,
    .host_add = libvirt_host_add,
    .host_remove = libvirt_host_remove,
    .watch = libvirt_watch,
    .define = libvirt_define,
    .undefine = libvirt_undefine,
    .start = libvirt_start,
    .press = libvirt_press,
    .resume = libvirt_resume,
    .reset = libvirt_reset,
    .cut = libvirt_cut,
    .probe = libvirt_probe,
    .list = libvirt_list,
    .disk_clear = libvirt_disk_clear,
    .disk_delete = libvirt_disk_delete,
    .disk_written = libvirt_disk_written,
    .disk_attach = libvirt_disk_attach,
    .disk_detach = libvirt_disk_detach,
    .console = libvirt_console,
    .screenshot = libvirt_screenshot,
    .vnc = libvirt_vnc,
    .exec_start = libvirt_exec_start,
    .exec_poll = libvirt_exec_poll,
    .exec_kill = libvirt_exec_kill,
    .has_image = libvirt_has_image,
    .simulate = libvirt_simulate,
};
