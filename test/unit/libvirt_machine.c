/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is known of a machine's process, with real processes and a played libvirt: which one is held, whose end is believed, and
 * which of libvirt's notes are not left to it.
 */
#include "unit/unit.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "hypervisor/libvirt_impl.h"

#define MACHINE STR("i-1")

struct world {
    struct libvirt libvirt;
    struct lv_host host;
    struct lv_machine *machine;
    int inputs[8]; /* of the processes: closed, they end */
    size_t processes;
};

/* ── a played libvirt ── */

struct watch {
    virEventHandleCallback fn;
    virFreeCallback free_fn;
    void *arg;
    int fd;
    bool removed;
};

struct played_domain {
    const char *uuid;
    const char *live; /* metadata; NULL: it is off */
    const char *config;
};

static struct watch watches[16];
static size_t watch_count;
static bool dispatching; /* as libvirt's loop: what is removed meanwhile is freed afterwards */

static int add_handle(int fd, int events, virEventHandleCallback fn, void *arg, virFreeCallback free_fn)
{
    (void)events;
    assert_true(watch_count < countof(watches));
    watches[watch_count] = (struct watch){.fn = fn, .free_fn = free_fn, .arg = arg, .fd = fd};
    return (int)watch_count++;
}

static int remove_handle(int number)
{
    if (watches[number].removed)
        return -1;
    watches[number].removed = true;
    if (!dispatching)
        watches[number].free_fn(watches[number].arg);
    return 0;
}

static char *get_metadata(virDomainPtr dom, int type, const char *uri, unsigned flags)
{
    const struct played_domain *played = (const void *)dom;
    const char *text = flags == VIR_DOMAIN_AFFECT_LIVE ? played->live : played->config;

    (void)type;
    assert_string_equal(uri, DOMAIN_NAMESPACE);
    return text ? xstrdup(text) : NULL;
}

static int get_uuid(virDomainPtr dom, char *ret)
{
    memcpy(ret, ((const struct played_domain *)(const void *)dom)->uuid, VIR_UUID_STRING_BUFLEN);
    return 0;
}

static virDomainPtr domain(struct played_domain *played)
{
    return (virDomainPtr)(void *)played;
}

/* The event loop finds that the process has ended. */
static void tell_end(size_t number)
{
    assert_false(watches[number].removed);
    dispatching = true;
    watches[number].fn((int)number, watches[number].fd, VIR_EVENT_HANDLE_READABLE, watches[number].arg);
    dispatching = false;
    assert_true(watches[number].removed);
    watches[number].free_fn(watches[number].arg);
}

/* ── the world ── */

static int setup(void **state)
{
    struct world *w = test_calloc(1, sizeof(*w));
    struct domain_mark mark = {.incarnation = 3, .started = true};

    watch_count = 0;
    lv.virEventAddHandle = add_handle;
    lv.virEventRemoveHandle = remove_handle;
    lv.virDomainGetMetadata = get_metadata;
    lv.virDomainGetUUIDString = get_uuid;
    w->libvirt.settings.env = env_new_real();
    (void)pthread_mutex_init(&w->libvirt.lock, NULL);
    (void)pthread_cond_init(&w->libvirt.changed, NULL);
    (void)pthread_cond_init(&w->libvirt.quiet, NULL);
    w->host.libvirt = &w->libvirt;
    w->host.local = true;
    (void)snprintf(w->host.run_dir, sizeof(w->host.run_dir), "/tmp/machine-XXXXXX");
    assert_non_null(mkdtemp(w->host.run_dir));
    map_init(&w->host.machines, 1);
    w->machine = lv_machine_get(&w->host, MACHINE, &mark);
    *state = w;
    return 0;
}

static const char *file(struct world *w, const char *name)
{
    static char path[LIBVIRT_URI_MAX + 64];

    (void)snprintf(path, sizeof(path), "%s/%s", w->host.run_dir, name);
    return path;
}

static int teardown(void **state)
{
    static const char *const names[] = {"i-1.pid", "i-1.xml", "i-2.pid", "i-2.xml", "driver.pid", "i-3.txt"};
    struct world *w = *state;

    lv_machine_untrack(&w->host, MACHINE);
    lv_machine_drop(w->machine);
    map_done(&w->host.machines);
    for (size_t i = 0; i < w->processes; i++)
        (void)close(w->inputs[i]);
    while (waitpid(-1, NULL, 0) > 0)
        ;
    for (size_t i = 0; i < countof(names); i++)
        (void)unlink(file(w, names[i]));
    assert_int_equal(rmdir(w->host.run_dir), 0);
    for (size_t i = 0; i < watch_count; i++)
        assert_true(watches[i].removed); /* no handle stays open */
    (void)env_free(w->libvirt.settings.env);
    test_free(w);
    return 0;
}

/* A process that lives until the world ends, with that word on its command line. */
static pid_t process(struct world *w, const char *word)
{
    int input[2];
    int started[2];
    char c;

    assert_int_equal(pipe2(input, O_CLOEXEC), 0);
    assert_int_equal(pipe2(started, O_CLOEXEC), 0);
    pid_t pid = fork();

    if (pid == 0) {
        (void)dup2(input[0], STDIN_FILENO);
        (void)execlp("sh", "sh", "-c", "read x", word, NULL);
        _exit(99);
    }
    assert_true(pid > 0);
    (void)close(started[1]);
    assert_int_equal(read(started[0], &c, 1), 0); /* closed by exec */
    (void)close(started[0]);
    (void)close(input[0]);
    assert_true(w->processes < countof(w->inputs));
    w->inputs[w->processes++] = input[1];
    return pid;
}

static const char *uuid_of(struct str id)
{
    static char uuid[DOMAIN_UUID_BYTES];

    domain_uuid(id, uuid);
    return uuid;
}

static void write_note(struct world *w, const char *name, const char *text)
{
    FILE *out = fopen(file(w, name), "we");

    assert_non_null(out);
    assert_true(fputs(text, out) >= 0);
    assert_int_equal(fclose(out), 0);
}

static pid_t start(struct world *w)
{
    pid_t pid = process(w, uuid_of(MACHINE));
    char text[32];

    (void)snprintf(text, sizeof(text), "%d", pid);
    write_note(w, "i-1.pid", text);
    return pid;
}

static void end(pid_t pid)
{
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static enum machine_state state_of(struct world *w)
{
    return lv_machine_status(w->machine, VIR_DOMAIN_RUNNING, 0).state;
}

/* ── whose end is believed ── */

static void the_end_of_its_process_is_off(void **state)
{
    struct world *w = *state;
    pid_t pid = start(w);

    lv_machine_track(&w->host, MACHINE);
    assert_true(w->machine->pidfd >= 0);
    assert_int_equal(state_of(w), MACHINE_RUNNING);
    end(pid);
    assert_int_equal(state_of(w), MACHINE_RUNNING); /* nobody has heard yet */
    tell_end(0);
    assert_int_equal(state_of(w), MACHINE_OFF); /* whatever libvirt still says */
    assert_int_equal(w->machine->pidfd, -1);
}

/* With a libvirt that others use as well: virsh start. An OFF would be a lie (law 5). */
static void one_that_others_start_again_lives(void **state)
{
    struct world *w = *state;
    pid_t first = start(w);

    lv_machine_track(&w->host, MACHINE);
    w->machine->heard = HEARD_GUEST;
    end(first);
    tell_end(0);
    assert_int_equal(state_of(w), MACHINE_OFF);
    (void)start(w);
    lv_machine_track(&w->host, MACHINE);
    assert_int_equal(state_of(w), MACHINE_RUNNING);
    assert_int_equal(w->machine->heard, 0);
}

/* The guest's shutdown comes late, the event of the next start not at all: libvirtd has died in between. */
static void a_start_that_went_unheard_is_a_start(void **state)
{
    struct world *w = *state;

    lv_machine_begin(w->machine);
    w->machine->heard |= HEARD_GUEST;
    assert_int_equal(state_of(w), MACHINE_DYING);
    lv_machine_found(w->machine, VIR_DOMAIN_SHUTDOWN);
    assert_int_equal(state_of(w), MACHINE_DYING); /* it is this life's, too */
    lv_machine_found(w->machine, VIR_DOMAIN_RUNNING);
    assert_int_equal(state_of(w), MACHINE_RUNNING);
    w->machine->heard |= HEARD_CUT;
    lv_machine_found(w->machine, VIR_DOMAIN_RUNNING);
    assert_int_equal(state_of(w), MACHINE_DYING);
}

static void an_end_that_is_told_late_is_not_the_next_ones(void **state)
{
    struct world *w = *state;
    pid_t first = start(w);
    pid_t second;

    lv_machine_track(&w->host, MACHINE);
    end(first);
    second = start(w); /* before the loop has looked at the first one's end */
    lv_machine_track(&w->host, MACHINE);
    assert_true(watches[0].removed);
    assert_int_equal(state_of(w), MACHINE_RUNNING);
    assert_int_equal(lv_machine_signal(w->machine, SIGKILL), 0); /* it holds the second */
    assert_int_equal(waitpid(second, NULL, 0), second);
    tell_end(1);
    assert_int_equal(state_of(w), MACHINE_OFF);
}

static void one_that_is_held_is_not_held_twice(void **state)
{
    struct world *w = *state;

    (void)start(w);
    lv_machine_track(&w->host, MACHINE);
    lv_machine_track(&w->host, MACHINE);
    assert_int_equal(watch_count, 1);
}

static void other_processes_are_not_held(void **state)
{
    static const char *const bad[] = {"", "\n", "x", "-5", "0", "99999999999999999999", "4294967297", "12 34"};
    struct world *w = *state;
    char text[32];

    lv_machine_track(&w->host, MACHINE); /* no note */
    for (size_t i = 0; i < countof(bad); i++) {
        write_note(w, "i-1.pid", bad[i]);
        lv_machine_track(&w->host, MACHINE);
    }
    (void)snprintf(text, sizeof(text), "%d\n", process(w, uuid_of(STR("i-2"))));
    write_note(w, "i-1.pid", text);
    lv_machine_track(&w->host, MACHINE); /* another machine's */
    assert_int_equal(w->machine->pidfd, -1);
    assert_int_equal(lv_machine_signal(w->machine, SIGKILL), -E_NOT_FOUND);
    assert_int_equal(watch_count, 0);
}

/* ── marks ── */

static void the_mark_of_one_that_has_just_ended_is_read(void **state)
{
    struct played_domain played = {.config = "<machine incarnation='4' started='1' agent='0'/>"};
    struct domain_mark mark = {0};

    (void)state;
    assert_int_equal(lv_mark_read(domain(&played), true, &mark), 0);
    assert_int_equal(mark.incarnation, 4);
    played.config = NULL;
    assert_int_equal(lv_mark_read(domain(&played), true, &mark), -E_INVALID);
}

static void a_clone_is_not_the_machine(void **state)
{
    struct played_domain played = {.uuid = uuid_of(MACHINE)};

    (void)state;
    assert_true(lv_is_domain_of(domain(&played), MACHINE));
    assert_false(lv_is_domain_of(domain(&played), STR("i-1-clone")));
}

/* ── libvirt's notes ── */

static void note(struct world *w, const char *name, long pid)
{
    char text[512];

    (void)snprintf(text, sizeof(text),
                   "<!--\nWARNING: THIS IS AN AUTO-GENERATED FILE.\n-->\n\n"
                   "<domstatus state='running' reason='booted' pid='%ld'>\n  <vcpus>\n    <vcpu id='0' pid='1'/>\n  </vcpus>\n</domstatus>\n",
                   pid);
    write_note(w, name, text);
}

static bool is_kept(struct world *w, const char *name)
{
    return access(file(w, name), F_OK) == 0;
}

/* libvirt would kill it. */
static void a_note_of_somebody_elses_process_is_removed(void **state)
{
    struct world *w = *state;
    pid_t stranger = process(w, "stranger");

    note(w, "i-1.xml", stranger);
    write_note(w, "i-1.pid", "1");
    write_note(w, "driver.pid", "1");
    lv_notes_clean(w->host.run_dir, false);
    assert_false(is_kept(w, "i-1.xml"));
    assert_false(is_kept(w, "i-1.pid"));
    assert_true(is_kept(w, "driver.pid"));
}

static void the_note_of_its_own_process_is_kept(void **state)
{
    struct world *w = *state;

    note(w, "i-1.xml", start(w));
    lv_notes_clean(w->host.run_dir, false);
    lv_notes_clean(w->host.run_dir, true); /* whoever thinks that there was a reboot: it lives */
    assert_true(is_kept(w, "i-1.xml"));
    assert_true(is_kept(w, "i-1.pid"));
}

/* Then libvirt says by itself that it has crashed; but after a reboot the number may be taken before libvirt looks. */
static void the_note_of_a_number_that_nobody_has_goes_with_a_reboot(void **state)
{
    struct world *w = *state;
    pid_t pid = start(w);

    end(pid);
    note(w, "i-1.xml", pid);
    lv_notes_clean(w->host.run_dir, false);
    assert_true(is_kept(w, "i-1.xml"));
    lv_notes_clean(w->host.run_dir, true);
    assert_false(is_kept(w, "i-1.xml"));
}

/* libvirt would take it for a machine that is starting up, for ever. */
static void a_note_of_a_process_that_was_never_made_is_removed(void **state)
{
    struct world *w = *state;

    note(w, "i-1.xml", 0);
    lv_notes_clean(w->host.run_dir, false);
    assert_false(is_kept(w, "i-1.xml"));
}

static void what_is_no_note_is_left_alone(void **state)
{
    static const char *const others[] = {"", "<domstatus", "<domstatus state='running'>\n<vcpu pid='1'/>", "<domstatus pid=''>",
                                         "<domstatus pid='-1'>", "<domstatus pid='99999999999'>"};
    struct world *w = *state;

    lv_notes_clean("/nonexistent/folder", true);
    for (size_t i = 0; i < countof(others); i++) {
        write_note(w, "i-1.xml", others[i]);
        lv_notes_clean(w->host.run_dir, true);
        assert_true(is_kept(w, "i-1.xml"));
    }
    note(w, "i-3.txt", getpid());
    lv_notes_clean(w->host.run_dir, true);
    assert_true(is_kept(w, "i-3.txt"));
}

/* ── QEMUs that were only to tell what they can do ── */

static pid_t probe(struct world *w, const char *folder, const char *word)
{
    char name[64];
    char text[32];
    pid_t pid = process(w, word);

    assert_int_equal(mkdir(file(w, folder), 0700), 0);
    (void)snprintf(name, sizeof(name), "%s/qmp.pid", folder);
    (void)snprintf(text, sizeof(text), "%d\n", pid);
    write_note(w, name, text);
    return pid;
}

static void remove_probe(struct world *w, const char *folder)
{
    char name[64];

    (void)snprintf(name, sizeof(name), "%s/qmp.pid", folder);
    assert_int_equal(unlink(file(w, name)), 0);
    assert_int_equal(rmdir(file(w, folder)), 0);
}

static void a_probe_that_was_left_behind_is_ended(void **state)
{
    struct world *w = *state;
    pid_t left = probe(w, "qmp-1", file(w, "qmp-1/qmp.pid"));
    pid_t stranger = probe(w, "qmp-2", "somebody else, with its number");
    int status;

    lv_probes_end("/nonexistent/folder");
    lv_probes_end(w->host.run_dir);
    assert_int_equal(waitpid(left, &status, 0), left);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    assert_int_equal(kill(stranger, 0), 0);
    lv_probes_end(w->host.run_dir); /* the number is free by now */
    remove_probe(w, "qmp-1");
    remove_probe(w, "qmp-2");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_end_of_its_process_is_off),
        TEST(one_that_others_start_again_lives),
        TEST(a_start_that_went_unheard_is_a_start),
        TEST(an_end_that_is_told_late_is_not_the_next_ones),
        TEST(one_that_is_held_is_not_held_twice),
        TEST(other_processes_are_not_held),
        TEST(the_mark_of_one_that_has_just_ended_is_read),
        TEST(a_clone_is_not_the_machine),
        TEST(a_note_of_somebody_elses_process_is_removed),
        TEST(the_note_of_its_own_process_is_kept),
        TEST(the_note_of_a_number_that_nobody_has_goes_with_a_reboot),
        TEST(a_note_of_a_process_that_was_never_made_is_removed),
        TEST(what_is_no_note_is_left_alone),
        TEST(a_probe_that_was_left_behind_is_ended),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
