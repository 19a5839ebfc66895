/* SPDX-License-Identifier: Apache-2.0 */
/* How the simulated world's file is opened, written and rewritten. */
#include "hypervisor/sim_record.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/mem.h"

/* ── writing ── */

int sim_commit(struct sim *sim, struct journal_record record, struct str tail)
{
    int answer = 0;
    int r = 0;

    assert(!sim->loading);
    record.time_us = sim_now(sim);
    sim->share.own_found = false;
    if (sim->journaled)
        r = journal_append(&sim->journal, record, tail);
    if (r < 0)
        return r;
    if (r > 0) {
        r = sim_catch_up(sim);
        return r < 0 || !sim->share.own_found ? -E_UNREACHABLE : sim->share.own_answer;
    }
    r = sim_apply(sim, &record, tail, &answer);
    assert(r == 0); /* what we write makes sense */
    return answer;
}

int sim_commit_order(struct sim *sim, const struct sim_machine *machine, enum guest_verb verb, int64_t arg)
{
    struct journal_record record = {.kind = RECORD_ORDER, .number = machine->number, .value = arg};

    record.what = (uint8_t)verb;
    return sim_commit(sim, record, STR_NONE);
}

int sim_commit_command(struct sim *sim, const struct sim_machine *machine, enum guest_verb verb, int64_t incarnation,
                       int64_t arg)
{
    struct journal_record record = {.kind = RECORD_COMMAND, .number = machine->number, .value = incarnation};

    record.what = (uint8_t)verb;
    if (verb == GUEST_CUT)
        record.detail = (uint16_t)arg;
    return sim_commit(sim, record, STR_NONE);
}

int sim_commit_define(struct sim *sim, const struct sim_host *host, const struct sim_spec *spec)
{
    struct buf tail;
    int r;

    buf_init(&tail, JOURNAL_TAIL_MAX);
    put_spec(&tail, spec);
    assert(!tail.full);
    r = sim_commit(sim, (struct journal_record){.kind = RECORD_DEFINE, .number = host->number}, buf_str(&tail));
    buf_done(&tail);
    return r;
}

int sim_commit_attach(struct sim *sim, const struct sim_machine *machine, int64_t incarnation, const struct sim_attach *attach)
{
    struct journal_record record = {.kind = RECORD_ATTACH, .number = machine->number, .value = incarnation};
    struct buf tail;
    int r;

    buf_init(&tail, JOURNAL_TAIL_MAX);
    put_attach(&tail, attach);
    assert(!tail.full);
    r = sim_commit(sim, record, buf_str(&tail));
    buf_done(&tail);
    return r;
}

/* ── rewriting ── */

static void rewrite_host(struct journal_rewrite *rewrite, const struct sim_host *host,
                         usec_t now_us)
{
    struct journal_record record = {.kind = RECORD_HOST, .number = host->number, .time_us = now_us};

    journal_rewrite_add(rewrite, record, host_id_of(host));
    record.kind = RECORD_HOST_KNOB;
    for (int knob = 0; knob < HOST_KNOB_COUNT; knob++) {
        record.what = (uint8_t)knob;
        record.value = host->knobs[knob];
        if (record.value != 0)
            journal_rewrite_add(rewrite, record, STR_NONE);
    }
}

static void rewrite_machine(struct journal_rewrite *rewrite, const struct sim_machine *machine,
                            uint32_t number, struct buf *tail, usec_t now_us)
{
    struct journal_record record = {.kind = RECORD_MACHINE, .number = number, .time_us = now_us};

    record.value = machine->host->number;
    buf_reset(tail);
    put_machine(tail, machine);
    assert(!tail->full);
    journal_rewrite_add(rewrite, record, buf_str(tail));
}

/* Walks all machines in an order that holds as long as none is added; numbers them (rewrite NULL),
 * or writes them so numbered. */
static uint32_t number_machines(struct sim *sim, struct journal_rewrite *rewrite, struct buf *tail)
{
    uint32_t number = 0;

    for (uint32_t i = 0; i < sim->host_count; i++) {
        size_t cursor = 0;
        struct str id;
        void *value;

        while (map_next(&sim->hosts[i]->machines, &cursor, &id, &value)) {
            struct sim_machine *machine = value;

            if (rewrite)
                rewrite_machine(rewrite, machine, number, tail, sim->last_us);
            else
                sim_number(sim, machine, number);
            number++;
        }
    }
    return number;
}

static void rewrite_kept(struct sim *sim, struct journal_rewrite *rewrite, struct buf *tail)
{
    struct journal_record record = {.kind = RECORD_KEPT, .time_us = sim->last_us};
    size_t cursor = 0;
    struct str id;
    void *value;

    while (map_next(&sim->kept, &cursor, &id, &value)) {
        buf_reset(tail);
        put_kept(tail, id, &((struct sim_kept *)value)->data);
        assert(!tail->full);
        journal_rewrite_add(rewrite, record, buf_str(tail));
    }
}

int sim_rewrite(struct sim *sim)
{
    struct journal_rewrite rewrite;
    struct buf tail;
    int r;

    journal_rewrite_begin(&sim->journal, sim->boot_id, &rewrite);
    buf_init(&tail, JOURNAL_TAIL_MAX);
    for (uint32_t i = 0; i < sim->host_count; i++)
        rewrite_host(&rewrite, sim->hosts[i], sim->last_us);
    (void)number_machines(sim, &rewrite,
                          &tail); /* the numbers hold only if the file takes its place */
    rewrite_kept(sim, &rewrite, &tail);
    r = journal_rewrite_end(&rewrite);
    if (r == 0) {
        for (uint32_t i = 0; i < sim->numbered_room; i++)
            sim->numbered[i] = NULL;
        sim->next_number = 0;
        (void)number_machines(sim, NULL, NULL); /* as the file has it now */
    }
    buf_done(&tail);
    return r;
}

void sim_file_maintain(struct sim *sim)
{
    if (sim->journaled && !sim->shared && journal_is_large(&sim->journal))
        (void)sim_rewrite(
            sim); /* when it fails, the old file goes on and it is tried again later */
}

/* ── reading ── */

/* A private file that makes no sense is refused. In a shared one everybody passes over what makes none, as those did who
 * read it while it was written. */
int sim_read_record(void *arg, const struct journal_record *record, struct str tail)
{
    struct sim *sim = arg;
    int answer;
    int r = sim_apply(sim, record, tail, &answer);

    if (!sim->shared)
        return r;
    if (!sim->share.own_found && sim->journal.size_bytes == sim->journal.own_bytes) {
        sim->share.own_found = true;
        sim->share.own_answer = r < 0 ? r : answer;
    }
    return 0;
}

/* What a guest was about to do when the real machine lost its power, it did not do: time ends at
 * the last record. */
void sim_power_failure(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->host_count; i++)
        sim_host_fail(sim, sim->hosts[i], sim->last_us);
}

static void settle_all(struct sim *sim)
{
    usec_t now_us = sim_now(sim);

    for (uint32_t i = 0; i < sim->host_count; i++) {
        size_t cursor = 0;
        struct str id;
        void *value;

        while (map_next(&sim->hosts[i]->machines, &cursor, &id, &value))
            sim_settle(sim, value, now_us);
    }
}

static char *boot_id_read(const char *given)
{
    char text[64] = "unknown";
    ssize_t n = -1;
    int fd;

    if (given)
        return xstrdup(given);
    fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        n = read(fd, text, sizeof(text) - 1);
        (void)close(fd); /* only read */
    }
    if (n > 0)
        text[n - 1] = '\0'; /* the line's end */
    return xstrdup(text);
}

static char *path_of(const char *dir)
{
    size_t path_bytes = strlen(dir) + sizeof("/sim.journal");
    char *path = xcalloc(1, path_bytes);

    (void)snprintf(path, path_bytes, "%s/sim.journal", dir); /* it fits */
    return path;
}

static int open_private(struct sim *sim, const char *path, struct fail *fail)
{
    int r = journal_open(path, sim->boot_id, sim_read_record, sim, fail, &sim->journal);

    if (r < 0 || sim->journal.same_boot)
        return r;
    sim_power_failure(sim);
    r = sim_rewrite(sim);
    if (r < 0)
        return fail_text(fail, (enum error_code) - r,
                         "the journal of simulated machines in %s can't be written", sim->settings.dir);
    return 0;
}

int sim_file_open(struct sim *sim, struct fail *fail)
{
    char *path = sim->settings.dir ? path_of(sim->settings.dir) : NULL;
    int r;

    sim->boot_id = boot_id_read(sim->settings.boot_id);
    sim->loading = true;
    r = sim->shared ? sim_share_open(sim, path, fail) : open_private(sim, path, fail);
    sim->loading = false;
    xfree(path);
    if (r < 0)
        return r;
    sim->journaled = sim->journal.fd >= 0;
    settle_all(sim);
    sim_file_maintain(sim);
    return 0;
}
