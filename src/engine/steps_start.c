/* SPDX-License-Identifier: Apache-2.0 */
/* How a machine is brought up: start, and the second half of a reboot or a redeploy. Capacity and address were taken with the order. */
#include "engine/active.h"

/*
 * A redeploy leaves a host that may have been silent for long. The row says Starting once that is over: the boot has its
 * time from then on, through any crash.
 */
static usec_t starting_since(struct run *run)
{
    struct instance *inst;
    struct tx *tx;

    if (run->active->starting_us != 0)
        return run->active->starting_us;
    tx = store_read_begin(run->engine->store);
    if (store_instance_get_hot(tx, run->job->instance_id, &inst) == 0)
        run->active->starting_us = MIN_OF(inst->state_since_us, run->now); /* the clock may have been set back since */
    store_read_end(tx);
    return run->active->starting_us != 0 ? run->active->starting_us : run->job->created_us;
}

/* A reboot's guest may take until its deadline to go down; booting has its own time after that. */
static usec_t boot_deadline(struct run *run)
{
    usec_t patience = run->engine->options->start_timeout_s * USEC_PER_SEC;

    if (run->job->kind == JOB_KIND_REDEPLOY)
        return starting_since(run) + patience;
    return run->job->deadline_us + (run->job->kind == JOB_KIND_REBOOT ? patience : 0);
}

/* It didn't come up in time: Stopped, once it is certain that it is off. */
static enum step_result give_up(struct run *run)
{
    enum step_result result = run_cut_ladder(run);

    if (result != STEP_NEXT)
        return result;
    run->active->end = MACHINE_END_CUT;
    return run_record(run, record_start_failed, AFTER_END);
}

/* The rows of that type that are cloud disks; local ones follow from the instance's type. */
static size_t cloud_disks(struct run *run, const struct disk *rows, size_t count, enum disk_type type,
                          struct machine_disk *ret)
{
    size_t n = 0;

    for (size_t i = 0; i < count; i++)
        if (rows[i].type == (int)type && !disk_is_local(&rows[i]))
            ret[n++] = (struct machine_disk){
                .id = arena_str(run->arena, rows[i].id),
                .device = arena_str(run->arena, rows[i].device),
                .size_gib = rows[i].size_gib,
                .image_id = arena_str(run->arena, rows[i].image_id),
            };
    return n;
}

/* The system disk first, whatever is older than it; then the data disks, then the local ones. */
static void spec_disks(struct run *run, struct machine_spec *spec, const struct instance *inst, const struct disk *rows,
                       size_t count)
{
    const struct instance_type *type = instance_type_of(inst);
    struct machine_disk *disks = arena_array(run->arena, struct machine_disk, count + (size_t)type->local_disk_count + 1);
    size_t n = cloud_disks(run, rows, count, DISK_TYPE_SYSTEM, disks);

    n += cloud_disks(run, rows, count, DISK_TYPE_DATA, disks + n);
    for (int64_t i = 0; i < type->local_disk_count; i++)
        disks[n++] = (struct machine_disk){
            .id = local_disk_id(run->arena, inst->id, i),
            .device = arena_printf(run->arena, "/dev/local%d", (int)i),
            .size_gib = type->local_disk_gib,
            .local = true,
        };
    spec->disks = disks;
    spec->disk_count = n;
}

/* The public key of the instance's pair, as it is now: an instance takes another at its next start. */
static int spec_keys(struct run *run, struct tx *tx, const struct instance *inst, struct machine_spec *spec)
{
    struct key_pair *pair;
    int r;

    if (!inst->key_pair_name.ptr)
        return 0;
    r = store_key_pair_get(tx, inst->account_id, inst->region_id, inst->key_pair_name, &pair);
    if (r == 0)
        spec->public_keys = arena_printf(run->arena, "%.*s\n", STR_ARG(pair->public_key));
    return r == -E_NOT_FOUND ? 0 : r; /* a pair that is gone opens nothing any more */
}

/* What is to be at the host, from the store. `ret_blank`: the local disks are to be cleared first. */
static int read_spec(struct run *run, struct machine_spec *ret, bool *ret_blank)
{
    struct tx *tx = store_read_begin(run->engine->store);
    struct arena *arena = run->arena;
    struct instance *inst;
    struct disk *disks;
    size_t count;
    int r;

    r = store_instance_get(tx, run->job->instance_id, &inst);
    if (r >= 0)
        r = store_disk_of_instance(tx, run->job->instance_id, &disks, &count);
    if (r >= 0) {
        const struct instance_type *type = instance_type_of(inst);

        *ret = (struct machine_spec){
            .id = run->job->instance_id,
            .vcpus = type->vcpus,
            .memory_mib = type->memory_mib,
            .host_name = arena_str(arena, inst->host_name),
            .user_data = arena_str(arena, inst->user_data),
            .mac = arena_str(arena, inst->mac),
            .private_ip = arena_str(arena, inst->private_ip),
        };
        spec_disks(run, ret, inst, disks, count);
        r = spec_keys(run, tx, inst, ret);
        *ret_blank = inst->reinit_local;
        run->active->pending = inst->state == INSTANCE_STATE_PENDING;
    }
    store_read_end(tx);
    return r;
}

static bool blank_local_disks(struct run *run, const struct machine_spec *spec)
{
    for (size_t i = 0; i < spec->disk_count; i++) {
        const struct machine_disk *disk = &spec->disks[i];

        if (disk->local &&
            !run_did(run, run->hv->ops->disk_clear(run->hv, run->host_id, spec->id, disk->id), "clear a local disk"))
            return false;
    }
    return true;
}

enum step_result step_define(struct run *run)
{
    struct machine_spec spec;
    struct fail fail;
    bool blank;
    int r;

    r = read_spec(run, &spec, &blank);
    if (r < 0)
        return run_failed(run, r, "read the instance");
    if (!run_look(run))
        return STEP_RETRY;
    if (run->status.incarnation > run->job->incarnation)
        return run_raise(run);
    if (run->status.incarnation == run->job->incarnation)
        return STEP_NEXT; /* started before a crash of ours */
    if (!machine_is_dead(&run->status)) {
        enum step_result result = run_cut_ladder(run); /* law 6: the start before must be over */

        if (result != STEP_NEXT)
            return result;
    }
    if (run->now >= boot_deadline(run))
        return give_up(run);
    fail_init(&fail, run->arena);
    r = run->hv->ops->define(run->hv, run->host_id, &spec, &fail);
    if (!run_did_or_why(run, r, "make the machine at its host", &fail))
        return STEP_RETRY;
    return !blank || blank_local_disks(run, &spec) ? STEP_NEXT : STEP_RETRY;
}

enum step_result step_announce(struct run *run)
{
    if (!run->active->pending)
        return STEP_NEXT;
    return run_record(run, record_starting, AFTER_NEXT);
}

enum step_result step_start(struct run *run)
{
    struct fail fail;
    int r;

    if (!run_look(run))
        return STEP_RETRY;
    if (run->status.incarnation > run->job->incarnation)
        return run_raise(run);
    if (run->status.incarnation == run->job->incarnation)
        return STEP_NEXT;
    if (run->now >= boot_deadline(run))
        return give_up(run);
    if (run->status.state == MACHINE_ABSENT || !machine_is_dead(&run->status))
        return run_goto(run, job_kinds[run->job->kind].define);
    fail_init(&fail, run->arena);
    r = run->hv->ops->start(run->hv, run->host_id, run->job->instance_id, run->job->incarnation, &fail);
    return run_did_or_why(run, r, "start the machine", &fail) ? STEP_NEXT : STEP_RETRY;
}

enum step_result step_booted(struct run *run)
{
    if (!run_look(run))
        return STEP_RETRY;
    if (run->status.state == MACHINE_ABSENT || run->status.incarnation < run->job->incarnation)
        return run_goto(run, job_kinds[run->job->kind].define);
    if (run->status.incarnation > run->job->incarnation)
        return run_raise(run);
    if (run->status.state == MACHINE_OFF) {
        run->active->end = run->status.end;
        return run_record(run, record_start_failed, AFTER_END);
    }
    if (run->status.state == MACHINE_RUNNING)
        return STEP_NEXT;
    if (run->now >= boot_deadline(run))
        return give_up(run);
    if (run->status.state == MACHINE_PAUSED &&
        !run_did(run, run->hv->ops->resume(run->hv, run->host_id, run->job->instance_id, run->job->incarnation),
                 "resume the machine"))
        return STEP_RETRY;
    /* Its event may be lost: look again now and then. */
    run->wake_us = MIN_OF(boot_deadline(run), run->now + run->engine->options->stop_press_interval_s * USEC_PER_SEC);
    return STEP_WAIT;
}

enum step_result step_running(struct run *run)
{
    return run_record(run, record_running, AFTER_END);
}
