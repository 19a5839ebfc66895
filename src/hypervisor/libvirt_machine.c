/* SPDX-License-Identifier: Apache-2.0 */
/* What is known of each machine: its mark, its process, what was heard of its end. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "hypervisor/libvirt_impl.h"

#define COMMAND_LINE_BYTES 65536 /* of a QEMU: one with 60 disks has 20 KiB */

struct lv_machine *lv_machine_find(const struct lv_host *host, struct str id)
{
    return map_get(&host->machines, id);
}

struct lv_machine *lv_machine_get(struct lv_host *host, struct str id, const struct domain_mark *mark)
{
    struct lv_machine *machine = map_get(&host->machines, id);

    if (machine)
        return machine;
    assert(id.len > 0 && id.len <= LIBVIRT_ID_MAX);
    machine = xcalloc(1, sizeof(*machine));
    machine->host = host;
    machine->mark = *mark;
    machine->pidfd = -1;
    machine->watch = -1;
    machine->booted_us = env_now(host->libvirt->settings.env);
    machine->since_us = machine->booted_us;
    machine->id_len = id.len;
    memcpy(machine->id, id.ptr, id.len);
    map_put(&host->machines, lv_machine_id(machine), machine);
    return machine;
}

void lv_machine_drop(struct lv_machine *machine)
{
    assert(machine->pidfd < 0);
    map_take(&machine->host->machines, lv_machine_id(machine));
    xfree(machine);
}

void lv_machine_begin(struct lv_machine *machine)
{
    machine->heard = 0;
    machine->dead = false;
    machine->begun = true;
    machine->agent_up = false;
    machine->agent_pressed = false;
    machine->booted_us = env_now(machine->host->libvirt->settings.env);
    machine->since_us = machine->booted_us;
}

void lv_machine_found(struct lv_machine *machine, int state)
{
    if (machine->begun && lv_is_alive(state) && state != VIR_DOMAIN_SHUTDOWN)
        machine->heard &= HEARD_CUT;
}

/* ── the mark ── */

bool lv_is_alive(int state)
{
    return state != VIR_DOMAIN_SHUTOFF && state != VIR_DOMAIN_NOSTATE && state != VIR_DOMAIN_CRASHED;
}

/* Who clones a machine clones its mark; the UUID is another one. */
bool lv_is_domain_of(virDomainPtr dom, struct str id)
{
    char theirs[VIR_UUID_STRING_BUFLEN];
    char ours[DOMAIN_UUID_BYTES];

    domain_uuid(id, ours);
    return lv.virDomainGetUUIDString(dom, theirs) == 0 && strcmp(theirs, ours) == 0;
}

int lv_mark_read(virDomainPtr dom, bool alive, struct domain_mark *ret)
{
    unsigned where = alive ? VIR_DOMAIN_AFFECT_LIVE : VIR_DOMAIN_AFFECT_CONFIG;
    char *xml = lv.virDomainGetMetadata(dom, VIR_DOMAIN_METADATA_ELEMENT, DOMAIN_NAMESPACE, where);
    int r;

    if (!xml && alive) /* it may have ended since: what is defined says the same */
        xml = lv.virDomainGetMetadata(dom, VIR_DOMAIN_METADATA_ELEMENT, DOMAIN_NAMESPACE, VIR_DOMAIN_AFFECT_CONFIG);
    if (!xml)
        return -E_INVALID;
    r = domain_mark_parse(str_from(xml), ret);
    free(xml);
    return r;
}

int lv_mark_write(virDomainPtr dom, bool alive, const struct domain_mark *mark)
{
    unsigned where = VIR_DOMAIN_AFFECT_CONFIG | (alive ? VIR_DOMAIN_AFFECT_LIVE : 0);
    struct buf xml;
    int r;

    buf_init(&xml, DOMAIN_XML_BYTES);
    domain_mark_xml(&xml, mark);
    r = lv.virDomainSetMetadata(dom, VIR_DOMAIN_METADATA_ELEMENT, buf_str(&xml).ptr, "ecsd", DOMAIN_NAMESPACE, where);
    buf_done(&xml);
    return r < 0 ? libvirt_failed(NULL, NULL) : 0;
}

/* ── the process ── */

/* The watch has to know which process it meant: machines may be gone, or live again, when it is called. */
struct watched {
    struct lv_host *host;
    int pidfd;
    size_t id_len;
    char id[LIBVIRT_ID_MAX + 1];
};

static void on_process_end(int watch, int fd, int events, void *arg)
{
    struct watched *watched = arg;
    struct libvirt *libvirt = watched->host->libvirt;
    struct str id = str_slice(watched->id, watched->id_len);
    struct lv_machine *machine;
    int64_t incarnation = 0;
    bool ours;

    (void)events;
    libvirt_lock(libvirt);
    machine = lv_machine_find(watched->host, id);
    ours = machine && machine->pidfd == fd && machine->watch == watch;
    if (ours) {
        machine->dead = true;
        machine->since_us = env_now(libvirt->settings.env);
        machine->pidfd = -1; /* free_watched closes it */
        machine->watch = -1;
        incarnation = machine->mark.incarnation;
        (void)pthread_cond_broadcast(&libvirt->changed); /* can't fail on a valid condition */
    }
    libvirt_unlock(libvirt);
    (void)lv.virEventRemoveHandle(watch); /* it is the one that is being called */
    if (ours)
        libvirt_tell(libvirt, watched->host, id, incarnation, MACHINE_OFF);
}

static void free_watched(void *arg)
{
    struct watched *watched = arg;

    (void)close(watched->pidfd); /* a handle of the process, nothing else */
    xfree(watched);
}

bool lv_process_has(int pid, const char *word)
{
    char path[64];
    char *text;
    ssize_t n;
    bool is;
    int fd;

    (void)snprintf(path, sizeof(path), "/proc/%d/cmdline", pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    text = xcalloc(1, COMMAND_LINE_BYTES);
    n = read(fd, text, COMMAND_LINE_BYTES);
    (void)close(fd); /* read only */
    is = n > 0 && memmem(text, (size_t)n, word, strlen(word)) != NULL;
    xfree(text);
    return is;
}

bool lv_process_is(int pid, struct str id)
{
    char uuid[DOMAIN_UUID_BYTES];

    domain_uuid(id, uuid);
    return lv_process_has(pid, uuid);
}

static int read_pid(const struct lv_host *host, struct str id)
{
    char path[LIBVIRT_URI_MAX + LIBVIRT_ID_MAX + 8];
    char text[32];
    int64_t pid;
    ssize_t n;
    int fd;

    (void)snprintf(path, sizeof(path), "%s/%.*s.pid", host->run_dir, STR_ARG(id));
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    n = read(fd, text, sizeof(text));
    (void)close(fd); /* read only */
    if (n <= 0 || str_to_i64(str_trim(str_slice(text, (size_t)n - (text[n - 1] == '\n'))), &pid) < 0 || pid <= 0 || pid > INT32_MAX)
        return -1;
    return (int)pid;
}

/* The handle first, then who it is: whatever the number means later, the handle means this process. */
static int open_process(const struct lv_host *host, struct str id)
{
    int pid = host->local ? read_pid(host, id) : -1;
    int pidfd;

    if (pid < 0)
        return -1;
    pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (pidfd >= 0 && !lv_process_is(pid, id)) {
        (void)close(pidfd); /* somebody else's */
        pidfd = -1;
    }
    return pidfd;
}

static bool has_ended(int pidfd)
{
    struct pollfd process = {.fd = pidfd, .events = POLLIN};

    return poll(&process, 1, 0) == 1;
}

/* The process that is to be held lives: should the one before it have been seen dead, somebody else has started another. */
static void revive(struct lv_machine *machine)
{
    if (!machine->dead)
        return;
    machine->dead = false;
    machine->heard = 0;
    machine->booted_us = env_now(machine->host->libvirt->settings.env);
    machine->since_us = machine->booted_us;
}

void lv_machine_track(struct lv_host *host, struct str id)
{
    int pidfd = open_process(host, id);
    struct lv_machine *machine;
    struct watched *watched;
    int old = -1;

    if (pidfd < 0)
        return;
    watched = xcalloc(1, sizeof(*watched));
    *watched = (struct watched){.host = host, .pidfd = pidfd, .id_len = id.len};
    memcpy(watched->id, id.ptr, id.len);
    libvirt_lock(host->libvirt);
    machine = lv_machine_find(host, id);
    if (machine && machine->pidfd >= 0 && has_ended(machine->pidfd)) {
        old = machine->watch; /* its end has not been told yet, and is of no interest any more */
        machine->pidfd = -1;
    }
    if (machine && machine->pidfd < 0) {
        revive(machine);
        machine->pidfd = pidfd;
        machine->watch = lv.virEventAddHandle(pidfd, VIR_EVENT_HANDLE_READABLE, on_process_end, watched, free_watched);
        watched = machine->watch < 0 ? watched : NULL;
        if (machine->watch < 0)
            machine->pidfd = -1; /* then libvirt's word has to do */
    }
    libvirt_unlock(host->libvirt);
    if (old >= 0)
        (void)lv.virEventRemoveHandle(old); /* free_watched closes what it held */
    if (watched)
        free_watched(watched);
}

void lv_machine_untrack(struct lv_host *host, struct str id)
{
    struct lv_machine *machine;
    int watch = -1;

    libvirt_lock(host->libvirt);
    machine = lv_machine_find(host, id);
    if (machine) {
        watch = machine->watch;
        machine->watch = -1;
        machine->pidfd = -1; /* free_watched closes it */
    }
    libvirt_unlock(host->libvirt);
    if (watch >= 0)
        (void)lv.virEventRemoveHandle(watch); /* one that has just been called is gone already */
}

int lv_machine_signal(struct lv_machine *machine, int number)
{
    if (machine->pidfd < 0)
        return -E_NOT_FOUND;
    if (syscall(SYS_pidfd_send_signal, machine->pidfd, number, NULL, 0) < 0)
        log_debug("a machine's process is gone already", LOG_STR("instance", lv_machine_id(machine)));
    return 0;
}

/* ── the state ── */

/* What libvirt says of a machine that is off; it forgets when it is restarted itself. */
static enum machine_end told_end(int state, int reason)
{
    static const enum machine_end ends[] = {
        [VIR_DOMAIN_SHUTOFF_SHUTDOWN] = MACHINE_END_GUEST,
        [VIR_DOMAIN_SHUTOFF_DESTROYED] = MACHINE_END_CUT,
        [VIR_DOMAIN_SHUTOFF_CRASHED] = MACHINE_END_CRASH,
        [VIR_DOMAIN_SHUTOFF_FAILED] = MACHINE_END_CRASH,
    };

    if (state == VIR_DOMAIN_SHUTDOWN)
        return MACHINE_END_GUEST; /* its guest is through, QEMU is about to be ended */
    return state == VIR_DOMAIN_SHUTOFF && reason >= 0 && reason < (int)countof(ends) ? ends[reason] : MACHINE_END_UNKNOWN;
}

/* What was heard comes first, strongest first; then what libvirt says; a process that ended without a word has crashed. */
static enum machine_end end_of(const struct lv_machine *machine, int state, int reason)
{
    static const enum machine_end heard[] = {MACHINE_END_CUT, MACHINE_END_CRASH, MACHINE_END_GUEST, MACHINE_END_CUT};
    enum machine_end told = told_end(state, reason);

    for (size_t i = 0; i < countof(heard); i++)
        if (machine->heard & 1 << i)
            return heard[i];
    if (machine->dead)
        return told == MACHINE_END_UNKNOWN ? MACHINE_END_CRASH : told;
    return machine->host->libvirt->rebooted && machine->host->embedded ? MACHINE_END_HOST : told;
}

/* Up, as far as it can be known: an image with an agent is up when that answers, any other at once. */
static bool is_booting(const struct lv_machine *machine)
{
    const struct libvirt_settings *settings = &machine->host->libvirt->settings;

    return machine->mark.agent && !machine->agent_up && env_now(settings->env) < machine->booted_us + settings->boot_grace_us;
}

static enum machine_state alive_state(const struct lv_machine *machine, int state, int reason)
{
    if ((machine->heard & (HEARD_CUT | HEARD_GUEST | HEARD_PANIC)) || state == VIR_DOMAIN_SHUTDOWN)
        return MACHINE_DYING;
    if (state == VIR_DOMAIN_PAUSED && reason == VIR_DOMAIN_PAUSED_STARTING_UP)
        return MACHINE_BOOTING;
    if (state == VIR_DOMAIN_PAUSED || state == VIR_DOMAIN_PMSUSPENDED)
        return MACHINE_PAUSED;
    return is_booting(machine) ? MACHINE_BOOTING : MACHINE_RUNNING;
}

#define STARTING_US (30 * USEC_PER_SEC) /* as long as libvirt waits for a QEMU to answer */

void lv_machine_starting(struct lv_machine *machine, int state, int reason)
{
    usec_t now = env_now(machine->host->libvirt->settings.env);

    if (state != VIR_DOMAIN_PAUSED || reason != VIR_DOMAIN_PAUSED_STARTING_UP) {
        machine->starting_us = 0;
        machine->told_starting = false;
    } else if (machine->starting_us == 0) {
        machine->starting_us = now;
    } else if (!machine->told_starting && now >= machine->starting_us + STARTING_US) {
        machine->told_starting = true;
        log_warning("libvirt has been starting a machine for long; if it was killed meanwhile, it may never go on",
                    LOG_STR("instance", lv_machine_id(machine)), LOG_STR("host", lv_host_id(machine->host)),
                    LOG_TEXT("do", "see OPERATIONS.md, a machine that libvirt starts for ever"));
    }
}

struct machine_status lv_machine_status(const struct lv_machine *machine, int state, int reason)
{
    const struct domain_mark *mark = &machine->mark;
    struct machine_status status = {.since_us = machine->since_us};

    if (lv_is_alive(state) && !machine->dead) {
        status.state = alive_state(machine, state, reason);
        status.incarnation = mark->incarnation;
        return status;
    }
    status.state = MACHINE_OFF;
    /* One that was only tried has not been lived (law 5); nobody knows an older number than the one before it. */
    status.incarnation = mark->started || mark->incarnation == 0 ? mark->incarnation : mark->incarnation - 1;
    if (status.incarnation > 0)
        status.end = end_of(machine, state, reason);
    return status;
}
