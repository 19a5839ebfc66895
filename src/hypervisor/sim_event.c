/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "hypervisor/sim_impl.h"

/* SplitMix64: the run is replayed by its seed, nothing hangs on its quality. */
static uint64_t dice_roll(struct sim *sim)
{
    uint64_t x = sim->dice += 0x9e3779b97f4a7c15u;

    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static bool dice_says(struct sim *sim, int64_t ppm)
{
    return ppm > 0 && (int64_t)(dice_roll(sim) % SIM_PPM) < ppm;
}

void sim_note_ready(struct sim *sim, struct sim_note *note)
{
    list_append(&sim->ready, &note->node);
}

static void note_send(struct sim *sim, const struct sim_machine *machine, usec_t now_us)
{
    struct sim_note *note = xcalloc(1, sizeof(*note));
    int64_t late_us = machine->host->knobs[HOST_LATE_US];

    note->timer.kind = TIMER_NOTE;
    note->host = machine->host;
    note->incarnation = machine->guest.incarnation;
    note->state = guest_state(&machine->guest);
    note->id_len = machine->id_len;
    memcpy(note->id, machine->id, machine->id_len);
    if (late_us > 0) /* anywhere in that time: so they overtake each other */
        timers_set(&sim->timers, &note->timer,
                   now_us + (usec_t)(dice_roll(sim) % (uint64_t)(late_us + 1)));
    else
        sim_note_ready(sim, note);
}

void sim_note(struct sim *sim, struct sim_machine *machine)
{
    const int64_t *knobs = machine->host->knobs;

    if (!machine->host->attached)
        return;
    if (knobs[HOST_DOWN]) {
        machine->unseen = true;
        return;
    }
    if (!sim->watch || dice_says(sim, knobs[HOST_DROP_PPM]))
        return;
    note_send(sim, machine, sim->last_us);
    if (dice_says(sim, knobs[HOST_DUPLICATE_PPM]))
        note_send(sim, machine, sim->last_us);
}

void sim_note_unseen(struct sim *sim, struct sim_host *host)
{
    size_t cursor = 0;
    struct str id;
    void *value;

    while (map_next(&host->machines, &cursor, &id, &value)) {
        struct sim_machine *machine = value;

        if (machine->unseen) {
            machine->unseen = false;
            sim_note(sim, machine);
        }
    }
}

static void note_tell(const struct sim_note *note, bool more, machine_watch_fn watch, void *arg)
{
    struct machine_event event = {
        .host_id = host_id_of(note->host),
        .id = str_slice(note->id, note->id_len),
        .incarnation = note->incarnation,
        .state = note->state,
        .more = more,
    };

    watch(arg, &event);
}

/* Takes from `ready` what may still be told: the host may have gone out of reach since. */
static void notes_take(struct sim *sim, struct list *ret_taken)
{
    list_init(ret_taken);
    list_for_each_safe (node, &sim->ready) {
        struct sim_note *note = list_item(node, struct sim_note, node);

        list_remove(node);
        if (note->host->attached && !note->host->knobs[HOST_DOWN])
            list_append(ret_taken, node);
        else
            xfree(note);
    }
}

void sim_deliver(struct sim *sim)
{
    machine_watch_fn watch = sim->watch;
    void *arg = sim->watch_arg;
    struct list taken;

    notes_take(sim, &taken);
    sim->delivering++;
    sim_unlock(sim);
    list_for_each_safe (node, &taken) {
        struct sim_note *note = list_item(node, struct sim_note, node);

        if (watch)
            note_tell(note, node->next != &taken, watch, arg);
        xfree(note);
    }
    sim_lock(sim);
    if (--sim->delivering == 0)
        (void)pthread_cond_broadcast(&sim->quiet); /* can't fail on a valid condition */
}

void sim_notes_free(struct sim *sim)
{
    list_for_each_safe (node, &sim->ready) {
        list_remove(node);
        xfree(list_item(node, struct sim_note, node));
    }
    for (uint32_t i = 1; i <= sim->timers.count; i++)
        if (sim->timers.heap[i]->kind == TIMER_NOTE)
            xfree(container_of(sim->timers.heap[i], struct sim_note, timer));
}
