/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happened without our doing: a guest switched itself off, crashed, lost its host; a machine runs that should not.
 * Events and lists of hosts are hints only: here the row is read first, then the host is asked, then what is written
 * depends on the row being unchanged. A machine is touched only if its incarnation is not later than the row that was
 * read: a start that was ordered in between has a later one (law 5).
 *
 * A machine that is later while its row has not changed means that the store is an older copy: every start is in the row
 * before it is at the host. Then the row follows the host: it takes over the number, and one that is Stopped while the
 * machine runs gets a start, which finds the machine alive. A machine where the row doesn't place it ends: two of one instance must
 * never live (law 6).
 */
#include "base/bug.h"
#include "base/mem.h"
#include "engine/errand.h"
#include "engine/lease.h"

#define HINTS_MAX 65536 /* more than this and the next reconciliation finds them, cheaper */

struct observation {
    struct engine *engine;
    struct str host_id;
    struct str id;
    struct machine_status status;
    int (*apply)(struct tx *tx, void *arg); /* the write that is under way */
    /* the row as it was read */
    bool exists;
    int state;
    int64_t job_id;
    int64_t incarnation;
    bool placed_here;
};

static int read_row(struct observation *seen)
{
    struct tx *tx = store_read_begin(seen->engine->store);
    struct instance *inst;
    int r;

    r = store_instance_get_hot(tx, seen->id, &inst);
    if (r >= 0) {
        seen->exists = true;
        seen->state = inst->state;
        seen->job_id = inst->job_id;
        seen->incarnation = inst->incarnation;
        seen->placed_here = str_eq(inst->host_id, seen->host_id);
    }
    store_read_end(tx);
    return r == -E_NOT_FOUND ? 0 : r;
}

/* Why it went off, and what DescribeInstanceHistoryEvents says of it. NULL: nothing, since the guest wanted it. */
struct cause {
    enum stop_reason reason;
    const char *type;
    const char *text;
};

static struct cause cause_of(const struct machine_status *status)
{
    static const struct cause by_end[] = {
        [MACHINE_END_UNKNOWN] = {STOP_REASON_CRASH, "InstanceFailure.Reboot", "The instance stopped for an unknown reason."},
        [MACHINE_END_GUEST] = {STOP_REASON_GUEST, NULL, NULL},
        [MACHINE_END_CUT] = {STOP_REASON_OPERATOR, NULL, NULL},
        [MACHINE_END_CRASH] = {STOP_REASON_CRASH, "InstanceFailure.Reboot",
                               "The operating system crashed; the instance is stopped."},
        [MACHINE_END_HOST] = {STOP_REASON_HOST, "SystemFailure.Reboot", "The host failed; the instance is stopped."},
    };

    if (status->state == MACHINE_ABSENT)
        return by_end[MACHINE_END_HOST];
    return by_end[status->end];
}

static int write_found_off(struct tx *tx, void *arg)
{
    const struct observation *seen = arg;
    struct cause cause = cause_of(&seen->status);
    struct change change = {STR("Running"), STR("Stopped"), str_from(stop_reason_text(cause.reason)), STR_NONE,
                            STR("engine")};
    struct instance *inst;
    int r;

    r = store_instance_get_hot(tx, seen->id, &inst);
    if (r < 0)
        return r == -E_NOT_FOUND ? 0 : r;
    if (inst->state != INSTANCE_STATE_RUNNING || inst->job_id != 0 || inst->incarnation != seen->incarnation)
        return 0;
    /* Not a stop of the API: everything is kept and billed, whatever the account's default says (§4). */
    inst->stopped_mode = STOPPED_MODE_KEEP_CHARGING;
    inst->incarnation = MAX_OF(inst->incarnation, seen->status.incarnation);
    instance_move(inst, INSTANCE_STATE_STOPPED, tx_now(tx));
    r = store_instance_save(tx, inst);
    if (r >= 0)
        r = store_segment_switch(tx, inst, BILLING_MODE_KEPT, tx_now(tx));
    if (r >= 0)
        r = record_event(tx, EVENT_KIND_STATE, inst->account_id, inst->id, &change);
    if (r >= 0 && cause.type)
        r = record_system_event(tx, inst, cause.type, cause.text);
    return r;
}

/* The row as it was read, to be changed; NULL: it is another by now. */
static int load_unchanged(struct tx *tx, const struct observation *seen, struct instance **ret)
{
    struct instance *inst;
    int r;

    r = store_instance_get_hot(tx, seen->id, &inst);
    if (r < 0 && r != -E_NOT_FOUND)
        return r;
    *ret = r >= 0 && inst->state == seen->state && inst->job_id == 0 && inst->incarnation == seen->incarnation ? inst : NULL;
    return 0;
}

static int later_event(struct tx *tx, const struct instance *inst, struct str reason)
{
    struct change change = {state_text(inst->state), state_text(inst->state), reason, STR_NONE, STR("engine")};

    return record_event(tx, EVENT_KIND_RECONCILE, inst->account_id, inst->id, &change);
}

static int write_later(struct tx *tx, void *arg)
{
    const struct observation *seen = arg;
    struct instance *inst;
    int r;

    r = load_unchanged(tx, seen, &inst);
    if (r < 0 || !inst)
        return r < 0 ? r : -E_CONFLICT;
    inst->incarnation = seen->status.incarnation;
    r = store_instance_save(tx, inst);
    if (r < 0)
        return r;
    return later_event(tx, inst,
                       STR("the host has a machine of a later start than the store knew: its number is taken over"));
}

static int write_later_start(struct tx *tx, void *arg)
{
    const struct observation *seen = arg;
    struct order order = {.actor = STR("engine"), .reason = STOP_REASON_HOST};
    struct instance *inst;
    struct fail fail;
    int r;

    r = load_unchanged(tx, seen, &inst);
    if (r < 0 || !inst)
        return r < 0 ? r : -E_CONFLICT;
    fail_init(&fail, tx_arena(tx));
    r = later_event(tx, inst, STR("the host has a running machine of a later start than the store knew: it is Running again"));
    return r < 0 ? r : engine_order_start(seen->engine, tx, inst, &order, &fail);
}

static int write_cut_stray(struct tx *tx, void *arg)
{
    const struct observation *seen = arg;
    struct change change = {state_text(seen->state), state_text(seen->state),
                            STR("a machine ran that should not; its power was cut"), STR_NONE, STR("engine")};
    struct instance *inst;
    int r;

    r = store_instance_get_hot(tx, seen->id, &inst);
    if (r < 0)
        return r == -E_NOT_FOUND ? 0 : r;
    return record_event(tx, EVENT_KIND_RECONCILE, inst->account_id, inst->id, &change);
}

static int apply_fenced(struct tx *tx, void *arg)
{
    struct observation *seen = arg;
    int r = lease_check(tx, seen->engine, seen->host_id);

    return r < 0 ? r : seen->apply(tx, seen);
}

/* True: it is written. A row that has changed meanwhile is somebody else's to put right; so is a host that was taken over. */
static bool write(struct observation *seen, int (*apply)(struct tx *tx, void *arg))
{
    int r;

    seen->apply = apply;
    r = store_write(seen->engine->store, apply_fenced, seen);
    if (r == -E_CONFLICT || r == -E_FENCED)
        return false;
    if (r < 0)
        log_warning("can't record what a host shows; the next comparison will", LOG_STR("instance", seen->id),
                    LOG_STR("host", seen->host_id), LOG_TEXT("error", error_rows[-r].name));
    else
        metric_add(METRIC_RECONCILE_REPAIRS, 1);
    return r >= 0;
}

/* Alive where the row says that nothing is: it ends at once, nobody waits for it. */
static void cut_stray(struct observation *seen)
{
    struct hypervisor *hv = seen->engine->hypervisor;

    if (machine_is_dead(&seen->status) || seen->status.incarnation > seen->incarnation)
        return;
    log_warning("a machine runs that should not; its power is cut", LOG_STR("instance", seen->id),
                LOG_STR("host", seen->host_id), LOG_NUM("incarnation", seen->status.incarnation));
    if (hv->ops->cut(hv, seen->host_id, seen->id, seen->status.incarnation, MACHINE_CUT_KILL) >= 0)
        (void)write(seen, write_cut_stray); /* the event only: the machine is off either way */
}

/* The store is an older copy. True: the row knows the machine's number now, and the machine may be acted on. */
static bool catch_up(struct observation *seen)
{
    bool starts = seen->placed_here && seen->state == INSTANCE_STATE_STOPPED && !machine_is_dead(&seen->status);

    if (!write(seen, starts ? write_later_start : write_later))
        return false;
    log_warning("a host has a machine of a later start than the store knows; has an older store been restored?",
                LOG_STR("instance", seen->id), LOG_STR("host", seen->host_id),
                LOG_NUM("incarnation", seen->status.incarnation), LOG_NUM("known", seen->incarnation));
    seen->incarnation = seen->status.incarnation;
    return !starts; /* the rest is the start's */
}

/* The instance belongs to another host, or to none, by now. */
static void clear_leftover(struct observation *seen)
{
    struct hypervisor *hv = seen->engine->hypervisor;

    if (seen->status.state == MACHINE_ABSENT)
        return;
    cut_stray(seen);
    (void)hv->ops->undefine(hv, seen->host_id, seen->id); /* -E_BUSY while it dies: the next comparison does it */
}

static void act(struct observation *seen)
{
    if (!seen->exists) {
        /* Never destroyed: a lost or exchanged store must not take running machines with it. */
        if (seen->status.state != MACHINE_ABSENT)
            log_warning("a host has a machine that the store doesn't know", LOG_STR("instance", seen->id),
                        LOG_STR("host", seen->host_id));
        return;
    }
    if (seen->job_id != 0)
        return;
    if (seen->status.incarnation > seen->incarnation && !catch_up(seen))
        return;
    if (!seen->placed_here) {
        clear_leftover(seen);
    } else if (seen->state == INSTANCE_STATE_STOPPED) {
        cut_stray(seen);
    } else if (machine_is_dead(&seen->status)) {
        (void)write(seen, write_found_off); /* refused: the next comparison tries again */
    } else if (seen->status.incarnation < seen->incarnation) {
        cut_stray(seen);
    }
}

static bool drives(struct engine *engine, struct str host_id)
{
    const struct host_slot *host = engine->shared ? host_slot_get(engine, host_id, false) : NULL;

    return !engine->shared || (host && host->held);
}

/* BUG(old_event_applied) only: the machine that an event has called off. */
static char called_off[ID_TEXT_MAX];

void engine_observe(struct engine *engine, struct arena *arena, struct str host_id, struct str id)
{
    struct observation seen = {.engine = engine, .host_id = host_id, .id = arena_str(arena, id)};
    struct hypervisor *hv = engine->hypervisor;
    struct active *active;
    bool held;

    pthread_mutex_lock(&engine->mutex);
    held = drives(engine, host_id);
    active = map_get(&engine->jobs, seen.id);
    if (active)
        active_wake(engine, active);
    pthread_mutex_unlock(&engine->mutex);
    if (active || !held || read_row(&seen) < 0)
        return;
    if (hv->ops->probe(hv, seen.host_id, seen.id, &seen.status) < 0)
        return; /* nothing is known */
    if (BUG(old_event_applied) && str_eq(seen.id, str_from(called_off))) {
        seen.status.state = MACHINE_OFF;
        called_off[0] = '\0';
    }
    act(&seen);
}

void engine_hint(struct engine *engine, struct str host_id, struct str id)
{
    struct hint *hint;

    if (engine->hint_count >= HINTS_MAX) {
        metric_add(METRIC_HYPERVISOR_EVENTS_DROPPED, 1);
        chore_due(engine, CHORE_RECONCILE, env_now(engine->env));
        return;
    }
    hint = xcalloc(1, sizeof(*hint) + host_id.len + id.len);
    memcpy(hint->text, host_id.ptr, host_id.len);
    memcpy(hint->text + host_id.len, id.ptr, id.len);
    hint->host_id = str_slice(hint->text, host_id.len);
    hint->id = str_slice(hint->text + host_id.len, id.len);
    list_append(&engine->hints, &hint->link);
    engine->hint_count++;
    metric_add(METRIC_HYPERVISOR_EVENTS_APPLIED, 1);
    engine_call_worker(engine);
}

void engine_watch(void *arg, const struct machine_event *event)
{
    struct engine *engine = arg;
    struct active *active;

    pthread_mutex_lock(&engine->mutex);
    engine->more_comes = event->more;
    if (BUG(old_event_applied) && event->state == MACHINE_OFF)
        (void)snprintf(called_off, sizeof(called_off), "%.*s", STR_ARG(event->id));
    if (event->state == MACHINE_OFF || event->state == MACHINE_ABSENT)
        errand_wake_instance(engine, event->id);
    active = map_get(&engine->jobs, event->id);
    if (active) {
        /* One of an older start is a hint too: a start waits for the machine before it to be gone. */
        bool stale = event->incarnation + job_makes_next(&active->job) < active->job.incarnation;

        active_wake(engine, active);
        metric_add(stale ? METRIC_HYPERVISOR_EVENTS_STALE : METRIC_HYPERVISOR_EVENTS_APPLIED, 1);
    } else if (drives(engine, event->host_id) &&
               (event->state == MACHINE_OFF || event->state == MACHINE_ABSENT || event->state == MACHINE_RUNNING)) {
        engine_hint(engine, event->host_id, event->id);
    }
    engine->more_comes = false;
    if (!event->more && !list_empty(&engine->ready_hosts))
        engine_call_worker(engine); /* also for those that came before */
    pthread_mutex_unlock(&engine->mutex);
}
