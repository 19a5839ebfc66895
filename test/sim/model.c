/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/model.h"

#include <stdio.h>

#include "sim/run.h"

const struct model_type model_types[MODEL_TYPES] = {{"ecs.g6.large", 2, false}, {"ecs.i1.xlarge", 4, true}};

static const char *const micro_words[MICRO_COUNT] = {
    [MICRO_PENDING] = "Pending", [MICRO_STARTING] = "Starting", [MICRO_RUNNING] = "Running", [MICRO_STOPPING] = "Stopping",
    [MICRO_STOPPED] = "Stopped", [MICRO_LEAVING] = "Stopping",  [MICRO_MOVING] = "Stopping", [MICRO_GONE] = "gone",
};
static const char *const micro_names[MICRO_COUNT] = {
    [MICRO_PENDING] = "Pending", [MICRO_STARTING] = "Starting", [MICRO_RUNNING] = "Running", [MICRO_STOPPING] = "Stopping",
    [MICRO_STOPPED] = "Stopped", [MICRO_LEAVING] = "Leaving",   [MICRO_MOVING] = "Moving",   [MICRO_GONE] = "Gone",
};

void model_init(struct model *model, struct run *run)
{
    memset(model, 0, sizeof(*model));
    model->run = run;
}

static const char *states_text(unsigned states, char text[128])
{
    size_t len = 0;

    text[0] = '\0';
    for (int i = 0; i < MICRO_COUNT; i++)
        if (states & 1u << i)
            len += (size_t)snprintf(text + len, 128 - len, "%s%s", len ? "|" : "", micro_names[i]);
    return text;
}

/* ── who there is ── */

int model_find(const struct model *model, struct str id)
{
    for (int i = 0; i < model->instance_count; i++)
        if (str_eq(str_from(model->instances[i].id), id))
            return i;
    return NOBODY;
}

/* Disks and calls name instances by their place: one that is named keeps it. */
static bool is_named(const struct model *model, int instance)
{
    if (client_means(model->run, instance, NOBODY))
        return true;
    for (int i = 0; i < model->disk_count; i++)
        if (model->disks[i].instance == instance && model->disks[i].states != DISK_MICRO(GONE))
            return true;
    return false;
}

int model_add(struct model *model, struct str id, const struct model_run *from)
{
    struct model_instance *inst = NULL;

    if (model->instance_count < MODEL_INSTANCES)
        inst = &model->instances[model->instance_count++];
    for (int i = 0; !inst && i < MODEL_INSTANCES; i++)
        if (model->instances[i].states == MICRO(GONE) && !is_named(model, i))
            inst = &model->instances[i];
    if (!inst || id.len >= sizeof(inst->id))
        return NOBODY;
    *inst = (struct model_instance){
        .account = from->account,
        .type = from->type,
        .zone = from->zone,
        .states = from->stopped ? MICRO(STOPPED) : MICRO(PENDING),
        .may_fail = true,
        .guard = {.items = {0}, .count = 1},
        .release = {.items = {0}, .count = 1},
        .name = {.items = {from->name}, .count = 1},
    };
    memcpy(inst->id, id.ptr, id.len);
    return (int)(inst - model->instances);
}

int model_add_late(struct model *model, struct str id, const struct model_run *from)
{
    int instance = model_add(model, id, from);

    if (instance != NOBODY)
        model->instances[instance].may_off = true;
    return instance;
}

int model_count(struct model *model, int account)
{
    int count = 0;

    for (int i = 0; i < model->instance_count; i++)
        if ((account == NOBODY || model->instances[i].account == account) && model->instances[i].states != MICRO(GONE))
            count++;
    return count;
}

/* ── what is possible ── */

static bool release_may_be_due(const struct model *model, const struct model_instance *inst)
{
    usec_t now = world_now(&model->run->world);

    for (int i = 0; i < inst->release.count; i++)
        if (inst->release.items[i] != 0 && now >= inst->release.items[i] - 60 * USEC_PER_SEC)
            return true;
    return false;
}

/* What may follow by itself. */
static unsigned follow(const struct model *model, const struct model_instance *inst, unsigned states)
{
    bool mishap = inst->may_fail || inst->may_off;
    unsigned next = states;

    if (states & MICRO(PENDING))
        next |= MICRO(STARTING) | (mishap ? MICRO(STOPPED) : 0);
    if (states & MICRO(STARTING))
        next |= MICRO(RUNNING) | (mishap ? MICRO(STOPPED) : 0);
    if ((states & MICRO(RUNNING)) && inst->may_off)
        next |= MICRO(STOPPED);
    if (states & MICRO(STOPPING))
        next |= MICRO(STOPPED) | (model->run->profile.revert ? MICRO(RUNNING) : 0);
    if (states & MICRO(LEAVING))
        next |= MICRO(GONE);
    if (states & MICRO(MOVING))
        next |= MICRO(STARTING);
    if (release_may_be_due(model, inst)) {
        if (states & MICRO(RUNNING))
            next |= MICRO(LEAVING);
        if (states & MICRO(STOPPED))
            next |= MICRO(GONE);
    }
    return next;
}

unsigned model_states(struct model *model, int instance)
{
    struct model_instance *inst = &model->instances[instance];
    unsigned before;

    do {
        before = inst->states;
        inst->states = follow(model, inst, before);
    } while (inst->states != before);
    return inst->states;
}

void model_was(struct model *model, int instance, unsigned states, const char *why)
{
    struct model_instance *inst = &model->instances[instance];
    unsigned possible = model_states(model, instance);
    char was[128];
    char told[128];

    if ((possible & states) == 0)
        run_broken(model->run, "the API agrees with what callers were told", "%s: %s would mean %s, but it is %s", inst->id,
                   why, states_text(states, told), states_text(possible, was));
    inst->states = possible & states;
}

void model_shown(struct model *model, int instance, struct str status)
{
    unsigned states = 0;

    for (int i = 0; i < MICRO_COUNT; i++)
        if (status.ptr ? str_eq(status, str_from(micro_words[i])) : i == MICRO_GONE)
            states |= 1u << i;
    model_was(model, instance, states, status.ptr ? status.ptr : "that it is not listed");
    if (model->instances[instance].states == MICRO(STOPPED))
        model->instances[instance].may_off = false; /* whatever it was has been seen */
}

void model_fault(struct model *model, int instance, bool goes_off)
{
    for (int i = 0; i < model->instance_count; i++) {
        struct model_instance *inst = &model->instances[i];

        if (instance != NOBODY && instance != i)
            continue;
        inst->may_fail = true;
        inst->may_off |= goes_off;
    }
}

/* ── orders ── */

unsigned model_accepting(const struct model *model, const struct order_how *how)
{
    bool overtakes = how->force && model->run->profile.force_overtakes;

    switch (how->order) {
    case ORDER_STOP:
        return MICRO(RUNNING) | (overtakes ? MICRO(STOPPING) | MICRO(LEAVING) : 0);
    case ORDER_START:
        return MICRO(STOPPED);
    case ORDER_REBOOT:
        return MICRO(RUNNING);
    case ORDER_DELETE:
        return MICRO(STOPPED) | (how->force ? MICRO(RUNNING) : 0);
    case ORDER_REDEPLOY:
        return MICRO(RUNNING) | MICRO(STOPPED);
    }
    return 0;
}

static enum micro after(enum micro before, enum model_order order)
{
    switch (order) {
    case ORDER_STOP:
        return before == MICRO_RUNNING ? MICRO_STOPPING : before;
    case ORDER_START:
    case ORDER_REBOOT:
        return MICRO_STARTING;
    case ORDER_DELETE:
        return before == MICRO_RUNNING ? MICRO_LEAVING : MICRO_GONE;
    case ORDER_REDEPLOY:
        return before == MICRO_RUNNING ? MICRO_MOVING : MICRO_STARTING;
    }
    return before;
}

static unsigned all_after(unsigned states, enum model_order order)
{
    unsigned next = 0;

    for (int i = 0; i < MICRO_COUNT; i++)
        if (states & 1u << i)
            next |= 1u << after((enum micro)i, order);
    return next;
}

static void note_order(struct model *model, struct model_instance *inst, const struct order_how *how, bool sure)
{
    usec_t now = world_now(&model->run->world);
    usec_t by = now + (how->force ? 0 : model->run->profile.graceful_s * USEC_PER_SEC);

    if (how->order != ORDER_STOP || !sure)
        inst->stop_by_us = 0;
    else
        inst->stop_by_us = inst->stop_by_us && (inst->states & MICRO(RUNNING)) == 0 ? MIN_OF(inst->stop_by_us, by) : by;
    if (how->order == ORDER_STOP)
        inst->was_lean = true;
    /* A guest that did not go off in time has been asked to all the same: one that hung does so when it goes on. */
    inst->may_off |= how->order == ORDER_STOP && model->run->profile.revert;
    if (how->order == ORDER_START && sure)
        inst->may_off = false; /* another machine */
}

void model_accepted(struct model *model, int instance, const struct order_how *how)
{
    struct model_instance *inst = &model->instances[instance];
    unsigned accepting = model_accepting(model, how);

    model_was(model, instance, accepting, "the order that was accepted");
    note_order(model, inst, how, true);
    inst->states = all_after(inst->states, how->order);
}

void model_unheard(struct model *model, int instance, const struct order_how *how)
{
    struct model_instance *inst = &model->instances[instance];
    unsigned possible = model_states(model, instance);

    note_order(model, inst, how, false);
    inst->states = possible | all_after(possible & model_accepting(model, how), how->order);
}

/* ── attributes ── */

bool model_has(const struct choices *choices, int64_t value)
{
    for (int i = 0; i < choices->count; i++)
        if (choices->items[i] == value)
            return true;
    return false;
}

void model_set(struct choices *choices, int64_t value, bool sure)
{
    if (sure)
        choices->count = 0;
    if (model_has(choices, value))
        return;
    /* Calls without a reply are rare: the oldest of many is not asked for any more. */
    if (choices->count == MODEL_CHOICES)
        memmove(choices->items, choices->items + 1, sizeof(choices->items[0]) * (size_t)--choices->count);
    choices->items[choices->count++] = value;
}

void model_is(struct model *model, struct choices *choices, int64_t value, const char *what, const char *id)
{
    if (!model_has(choices, value))
        run_broken(model->run, "no acknowledged call is lost", "%s of %s is %lld, and callers were told %lld (of %d)", what, id,
                   (long long)value, (long long)choices->items[0], choices->count);
    choices->items[0] = value;
    choices->count = 1;
}

/* ── calls that nobody heard of ── */

void model_run_unheard(struct model *model, const struct model_run *run)
{
    for (int i = 0; i < MODEL_RUNS; i++) {
        if (model->runs[i].name == 0) {
            model->runs[i] = *run;
            return;
        }
    }
    run_broken(model->run, "the simulation's own", "more than %d calls without a reply", MODEL_RUNS);
}

int model_adopt(struct model *model, struct str id, int64_t name, int account)
{
    for (int i = 0; i < MODEL_RUNS; i++) {
        struct model_run *run = &model->runs[i];

        if (run->name != name || run->account != account || name == 0)
            continue;
        run->found++;
        return model_add_late(model, id, run);
    }
    return NOBODY;
}

void model_runs_settled(struct model *model, int account)
{
    for (int i = 0; i < MODEL_RUNS; i++) {
        struct model_run *run = &model->runs[i];

        if (run->name == 0 || run->account != account)
            continue;
        if (run->found != 0 && run->found != run->amount)
            run_broken(model->run, "a call is carried out as a whole", "RunInstances of %d made %d", run->amount, run->found);
        *run = (struct model_run){0};
    }
}
