/* SPDX-License-Identifier: Apache-2.0 */
#include "hypervisor/sim.h"

#include "base/mem.h"
#include "base/mutex.h"
#include "hypervisor/sim_impl.h"

#define SIM_ADVANCE_BATCH 256 /* ends of phases under one hold of the lock */
/* From one look to the next: guests that end by the thousand are told of in bunches. */
#define SIM_REST_US (1 * USEC_PER_MSEC)

struct sim *sim_of(struct hypervisor *hv)
{
    assert(hv->ops == &sim_ops);
    return container_of(hv, struct sim, base);
}

/* ── lock and time ── */

void sim_lock(struct sim *sim)
{
    int r = pthread_mutex_lock(&sim->lock);

    assert(r == 0);
}

static usec_t next_due(const struct sim *sim)
{
    const struct timer *first = timers_first(&sim->timers);

    if (!list_empty(&sim->ready))
        return sim->last_us;
    return first ? MAX_OF(first->due_us, sim->share.retry_us) : USEC_NEVER;
}

void sim_unlock(struct sim *sim)
{
    int r;

    if (sim->threaded && next_due(sim) < sim->wake_us) {
        sim->wake_us = 0;
        (void)pthread_cond_signal(&sim->wake); /* can't fail on a valid condition */
    }
    r = pthread_mutex_unlock(&sim->lock);
    assert(r == 0);
}

/* A clock that is set back must not stop guests: simulated time stands for a moment and then goes
 * on beside it. */
usec_t sim_now(struct sim *sim)
{
    usec_t now_us = env_now(sim->settings.env) + sim->offset_us;

    if (now_us < sim->last_us) {
        sim->offset_us += sim->last_us - now_us;
        now_us = sim->last_us;
    }
    sim->last_us = now_us;
    return now_us;
}

usec_t sim_env_time(const struct sim *sim, usec_t sim_us)
{
    return sim_us == USEC_NEVER ? USEC_NEVER : sim_us - sim->offset_us;
}

/* ── hosts and machines ── */

struct sim_host *sim_host_find(const struct sim *sim, struct str id)
{
    return map_get(&sim->host_ids, id);
}

struct sim_host *sim_host_new(struct sim *sim, struct str id)
{
    struct sim_host *host = xcalloc(1, sizeof(*host));

    assert(id.len > 0 && id.len <= SIM_ID_MAX);
    host->number = sim->host_count;
    host->id_len = id.len;
    memcpy(host->id, id.ptr, id.len);
    map_init(&host->machines, env_random_u64(sim->settings.env));
    sim->hosts = xrealloc(sim->hosts, (sim->host_count + 1) * sizeof(struct sim_host *));
    sim->hosts[sim->host_count++] = host;
    map_put(&sim->host_ids, host_id_of(host), host);
    return host;
}

static void host_free(struct sim_host *host)
{
    size_t cursor = 0;
    struct str id;
    void *value;

    while (map_next(&host->machines, &cursor, &id, &value)) {
        struct sim_machine *machine = value;

        sim_programs_free(machine);
        guest_done(&machine->guest);
        xfree(machine);
    }
    map_done(&host->machines);
    xfree(host);
}

struct sim_machine *sim_machine_find(const struct sim_host *host, struct str id)
{
    return map_get(&host->machines, id);
}

struct sim_machine *sim_machine_new(struct sim *sim, struct sim_host *host, struct str id)
{
    struct sim_machine *machine = xcalloc(1, sizeof(*machine) + id.len + 1);

    assert(id.len > 0 && id.len <= SIM_ID_MAX);
    machine->timer.kind = TIMER_MACHINE;
    machine->guest.due_us = USEC_NEVER;
    list_init(&machine->programs);
    machine->host = host;
    machine->id_len = (uint8_t)id.len;
    memcpy(machine->id, id.ptr, id.len);
    map_put(&host->machines, machine_id_of(machine), machine);
    sim->machine_count++;
    return machine;
}

void sim_machine_drop(struct sim *sim, struct sim_machine *machine)
{
    assert(sim_numbered(sim, machine->number) == machine);
    sim->numbered[machine->number] = NULL;
    timers_set(&sim->timers, &machine->timer, USEC_NEVER);
    map_take(&machine->host->machines, machine_id_of(machine));
    sim->machine_count--;
    sim_programs_free(machine);
    guest_done(&machine->guest);
    xfree(machine);
}

void sim_settle(struct sim *sim, struct sim_machine *machine, usec_t now_us)
{
    if (sim->shared)
        now_us = MIN_OF(now_us, sim->file_us); /* invariant 5 */
    while (guest_settle(&machine->guest, now_us))
        sim_note(sim, machine);
    if (!sim->loading)
        timers_set(&sim->timers, &machine->timer, machine->guest.due_us);
}

void sim_carry_out(struct sim *sim, struct sim_machine *machine, enum guest_verb verb,
                          int64_t arg, usec_t now_us)
{
    enum machine_state before = guest_state(&machine->guest);

    /* A start has another incarnation, which its programs are told apart by; these keep it. */
    if (verb == GUEST_RESET || verb == GUEST_REBOOT)
        sim_programs_free(machine);
    guest_apply(&machine->guest, verb, arg, now_us);
    if (guest_state(&machine->guest) != before)
        sim_note(sim, machine);
    sim_settle(sim, machine, now_us);
}

int sim_order(struct sim *sim, struct sim_machine *machine, enum guest_verb verb, int64_t arg)
{
    usec_t now_us = sim_now(sim);
    int r;

    sim_settle(sim, machine, now_us);
    r = guest_check(&machine->guest, verb, arg);
    if (r <= 0)
        return r;
    return sim_commit_order(sim, machine, verb, arg);
}

void sim_host_fail(struct sim *sim, struct sim_host *host, usec_t now_us)
{
    size_t cursor = 0;
    struct str id;
    void *value;

    while (map_next(&host->machines, &cursor, &id, &value)) {
        struct sim_machine *machine = value;

        sim_settle(sim, machine, now_us);
        if (guest_check(&machine->guest, GUEST_HOST_FAIL, 0) > 0)
            sim_carry_out(sim, machine, GUEST_HOST_FAIL, 0, now_us);
    }
}

/* ── time ── */

bool sim_run_timers(struct sim *sim)
{
    usec_t now_us = sim_now(sim);
    int count = 0;

    while (count < SIM_ADVANCE_BATCH) {
        struct timer *first = timers_first(&sim->timers);

        if (!first || first->due_us > now_us)
            break;
        if (first->kind == TIMER_NOTE) {
            timers_set(&sim->timers, first, USEC_NEVER);
            sim_note_ready(sim, container_of(first, struct sim_note, timer));
        } else if (sim_time_is(sim, first->due_us)) {
            sim_settle(sim, container_of(first, struct sim_machine, timer), now_us);
        } else if (!sim_write_time(sim)) {
            break;
        }
        count++;
    }
    return count > 0;
}

static void run_due(struct sim *sim)
{
    bool more = true;

    while (more) {
        more = sim_run_timers(sim);
        if (!list_empty(&sim->ready)) {
            sim_deliver(sim);
            more = true;
        }
    }
}

usec_t sim_advance(struct hypervisor *hv)
{
    struct sim *sim = sim_of(hv);
    usec_t next_us;

    (void)sim_lock_now(sim); /* what can't be read can't be told; calls say so */
    run_due(sim);
    next_us = sim_env_time(sim, next_due(sim));
    sim_unlock(sim);
    return next_us;
}

static void *sim_thread(void *arg)
{
    struct sim *sim = arg;
    /* A clock that is moved by hand stands still between two moves: nothing may wait for a rest. */
    usec_t rest_us = env_is_virtual(sim->settings.env) ? 0 : SIM_REST_US;

    (void)pthread_setname_np(pthread_self(), "sim"); /* for people only */
    sim_lock(sim);
    while (!sim->stopping) {
        usec_t rested_us = sim_now(sim) + rest_us;
        usec_t next_us;

        sim->wake_us = 0;
        run_due(sim);
        next_us = next_due(sim);
        if (sim->stopping || MAX_OF(next_us, rested_us) <= sim_now(sim))
            continue;
        sim->wake_us = next_us;
        env_wait(sim->settings.env, &sim->wake, &sim->lock,
                 sim_env_time(sim, MAX_OF(next_us, rested_us)));
    }
    sim_unlock(sim);
    return NULL;
}

int sim_start(struct hypervisor *hv)
{
    struct sim *sim = sim_of(hv);
    int r;

    sim_lock(sim);
    assert(!sim->threaded);
    r = pthread_create(&sim->thread, NULL, sim_thread, sim);
    sim->threaded = r == 0;
    sim_unlock(sim);
    if (r != 0)
        return -E_LIMIT;
    return sim->shared ? sim_share_start(sim) : 0;
}

/* ── life ── */

static void sim_stop(struct sim *sim)
{
    bool threaded;

    sim_lock(sim);
    sim->stopping = true;
    threaded = sim->threaded;
    (void)pthread_cond_broadcast(&sim->wake); /* can't fail on valid conditions */
    (void)pthread_cond_broadcast(&sim->delayed);
    sim_unlock(sim);
    sim_share_stop(sim);
    if (threaded)
        (void)pthread_join(sim->thread, NULL); /* it is ours and was not joined */
}

void sim_world_init(struct sim *sim)
{
    map_init(&sim->host_ids, env_random_u64(sim->settings.env));
    map_init(&sim->kept, env_random_u64(sim->settings.env));
    map_init(&sim->open, sim->shared ? env_random_u64(sim->settings.env) : 0);
}

void sim_world_done(struct sim *sim)
{
    timers_done(&sim->timers);
    for (uint32_t i = 0; i < sim->host_count; i++)
        host_free(sim->hosts[i]);
    sim_kept_free(sim);
    map_done(&sim->host_ids);
    sim->hosts = xfree(sim->hosts);
    sim->host_count = 0;
    sim->numbered = xfree(sim->numbered);
    sim->numbered_room = 0;
    sim->next_number = 0;
    sim->machine_count = 0;
    sim->file_us = 0;
}

/* Closing is no power cut: what the journal says goes on in time. */
void sim_close(struct hypervisor *hv)
{
    struct sim *sim = sim_of(hv);

    sim_stop(sim);
    sim_notes_free(sim);
    sim_world_done(sim);
    sim_share_close(sim);
    journal_close(&sim->journal);
    xfree(sim->boot_id);
    (void)pthread_cond_destroy(&sim->wake); /* nobody waits any more */
    (void)pthread_cond_destroy(&sim->quiet);
    (void)pthread_cond_destroy(&sim->delayed);
    (void)pthread_mutex_destroy(&sim->lock);
    xfree(sim);
}

int sim_open(const struct sim_settings *settings, struct fail *fail, struct hypervisor **ret)
{
    struct sim *sim = xcalloc(1, sizeof(*sim));
    int r;

    assert(settings->env);
    assert(settings->boot_us >= 0 && settings->shutdown_us >= 0);
    sim->base.ops = &sim_ops;
    sim->settings = *settings;
    sim->dice = settings->seed;
    sim->journal.fd = -1;
    sim->shared = settings->shared && settings->dir;
    sim_world_init(sim);
    sim->share = (struct sim_share){.lock_fd = -1, .notify_fd = -1, .stop_fd = -1};
    sim->last_pid = (int64_t)(env_random_u64(settings->env) >> 24);
    list_init(&sim->ready);
    mutex_init_brief(&sim->lock);
    r = pthread_cond_init(&sim->wake, NULL);
    r |= pthread_cond_init(&sim->quiet, NULL);
    r |= pthread_cond_init(&sim->delayed, NULL);
    assert(r == 0); /* Linux never refuses default ones */
    sim_lock(sim);
    r = sim_file_open(sim, fail);
    sim_unlock(sim);
    if (r < 0) {
        sim_close(&sim->base);
        return r;
    }
    *ret = &sim->base;
    return 0;
}
