/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/laws.h"

#include <stdio.h>

#include "hypervisor/sim_impl.h"
#include "model/disk.h"
#include "sim/run.h"

/* How long after its deadline a stop may take at a host that answers: the hardest cut comes after two waits, a step that
 * failed before is repeated after a third, and a silent host is asked again after a fourth (world.c: 5 s each). */
#define STOP_MARGIN_US (30 * USEC_PER_SEC)
#define ROWS_MAX 200

/* One look: rows and machines of the same moment. */
struct look {
    struct run *run;
    struct tx *tx;
    struct instance_list rows;
    struct job_list jobs;
    struct host *hosts;
    size_t host_count;
};

static int must_read(struct run *run, int r, const char *what)
{
    if (r < 0)
        run_broken(run, "the store can be read", "%s: %s", what, error_rows[-r].name);
    return r;
}

static const struct instance *row_of(const struct look *look, struct str id)
{
    for (size_t i = 0; i < look->rows.count; i++)
        if (str_eq(look->rows.items[i].id, id))
            return &look->rows.items[i];
    return NULL;
}

static const struct job *job_of(const struct look *look, int64_t id)
{
    for (size_t i = 0; i < look->jobs.count; i++)
        if (look->jobs.items[i].id == id)
            return &look->jobs.items[i];
    return NULL;
}

/* ── machines ── */

struct machines {
    struct sim_machine *items[ROWS_MAX];
    size_t count;
};

static void list_machines(struct run *run, struct machines *ret)
{
    struct sim *sim = sim_of(run->world.sim);

    ret->count = 0;
    for (uint32_t i = 0; i < sim->host_count; i++) {
        size_t cursor = 0;
        struct str id;
        void *value;

        while (map_next(&sim->hosts[i]->machines, &cursor, &id, &value) && ret->count < ROWS_MAX)
            ret->items[ret->count++] = value;
    }
}

static bool is_alive(const struct sim_machine *machine)
{
    return guest_state(&machine->guest) != MACHINE_OFF;
}

/* Laws 3, 5: what lives has a row that knows of this start, and no row that calls it dead. */
static void check_living(const struct look *look, const struct sim_machine *machine)
{
    struct str id = machine_id_of(machine);
    const struct instance *row = row_of(look, id);

    if (!row)
        run_broken(look->run, "law 3: gone only with proof", "%.*s lives at %.*s and has no row", STR_ARG(id),
                   STR_ARG(host_id_of(machine->host)));
    if (row->state == INSTANCE_STATE_STOPPED)
        run_broken(look->run, "law 3: Stopped only with proof", "%.*s is Stopped and lives at %.*s", STR_ARG(id),
                   STR_ARG(host_id_of(machine->host)));
    if (machine->guest.incarnation > row->incarnation)
        run_broken(look->run, "law 5: every start is in the row before it is at the host", "%.*s: start %lld, row %lld",
                   STR_ARG(id), (long long)machine->guest.incarnation, (long long)row->incarnation);
    if (row->state == INSTANCE_STATE_RUNNING && machine->guest.incarnation != row->incarnation)
        run_broken(look->run, "law 5: a Running one is the start that its row names", "%.*s: start %lld, row %lld", STR_ARG(id),
                   (long long)machine->guest.incarnation, (long long)row->incarnation);
}

/* Law 6. */
static void check_twins(const struct look *look, const struct machines *machines, size_t at)
{
    struct str id = machine_id_of(machines->items[at]);

    for (size_t i = 0; i < at; i++)
        if (is_alive(machines->items[i]) && str_eq(machine_id_of(machines->items[i]), id))
            run_broken(look->run, "law 6: at most one live machine per instance", "%.*s lives at %.*s and at %.*s", STR_ARG(id),
                       STR_ARG(host_id_of(machines->items[i]->host)), STR_ARG(host_id_of(machines->items[at]->host)));
}

static void check_machines(const struct look *look)
{
    struct machines machines;

    list_machines(look->run, &machines);
    for (size_t i = 0; i < machines.count; i++) {
        if (!is_alive(machines.items[i]))
            continue;
        check_living(look, machines.items[i]);
        check_twins(look, &machines, i);
    }
}

/* Law 6, of disks: Available means that no host has it, and no two machines ever have one. */
static void check_disk(const struct look *look, const struct machines *machines, const struct disk *disk)
{
    int holders = 0;

    for (size_t i = 0; i < machines->count; i++)
        holders += guest_find_disk(&machines->items[i]->guest, disk->id) >= 0;
    if (disk->status == DISK_STATUS_AVAILABLE && holders > 0)
        run_broken(look->run, "law 6: Available means that no host has it", "%.*s is at a machine", STR_ARG(disk->id));
    if (holders > 1)
        run_broken(look->run, "law 6: a cloud disk is at one machine", "%.*s is at %d", STR_ARG(disk->id), holders);
}

static void check_disks(const struct look *look)
{
    struct disk_filter filter = {.type = -1, .category = -1, .status = -1, .delete_with_instance = -1};
    struct page page = {.limit = ROWS_MAX};
    struct disk_list list;
    struct machines machines;

    must_read(look->run, store_disk_find(look->tx, &filter, &page, &list), "disks");
    list_machines(look->run, &machines);
    for (size_t i = 0; i < list.count; i++)
        if (!disk_is_local(&list.items[i]))
            check_disk(look, &machines, &list.items[i]);
}

/* ── rows ── */

/* Capacity that is reserved is the sum of what is placed. */
static void check_capacity(const struct look *look)
{
    for (size_t i = 0; i < look->host_count; i++) {
        const struct host *host = &look->hosts[i];
        int64_t vcpus = 0, memory = 0;

        for (size_t k = 0; k < look->rows.count; k++) {
            const struct instance_type *type = instance_type_of(&look->rows.items[k]);

            if (!str_eq(look->rows.items[k].host_id, host->id))
                continue;
            vcpus += type->vcpus;
            memory += type->memory_mib;
        }
        if (vcpus != host->used_vcpus || memory != host->used_memory_mib || vcpus > host->vcpus)
            run_broken(look->run, "what is reserved is what is placed", "%.*s: %lld vCPU placed, %lld reserved, %lld there",
                       STR_ARG(host->id), (long long)vcpus, (long long)host->used_vcpus, (long long)host->vcpus);
    }
}

/* Of a set nobody shares a host. */
static void check_set(const struct look *look, struct str set_id)
{
    struct deployment_member *members = NULL;
    size_t count = 0;

    must_read(look->run, store_deployment_set_members(look->tx, set_id, STR_NONE, &members, &count), "members");
    for (size_t a = 0; a < count; a++)
        for (size_t b = 0; b < a; b++)
            if (!str_empty(members[a].host_id) && str_eq(members[a].host_id, members[b].host_id))
                run_broken(look->run, "no two members of a deployment set are at one host", "%.*s and %.*s are at %.*s",
                           STR_ARG(members[a].instance_id), STR_ARG(members[b].instance_id), STR_ARG(members[a].host_id));
}

static void check_sets(const struct look *look)
{
    char id[16];

    for (int i = 0; i < WORLD_ACCOUNTS; i++) {
        (void)snprintf(id, sizeof(id), WORLD_SET, i + 1);
        check_set(look, str_from(id));
    }
}

/* Law 7. */
static void check_segments(const struct look *look, struct str id, const struct instance *row)
{
    struct segment *segments;
    size_t count;
    int mode = -1;

    must_read(look->run, store_segment_list(look->tx, id, &segments, &count), "segments");
    if (count == 0)
        run_broken(look->run, "law 7: the bill has no hole", "%.*s has no segment", STR_ARG(id));
    for (size_t i = 0; i + 1 < count; i++)
        if (segments[i].end_us != segments[i + 1].start_us)
            run_broken(look->run, "law 7: the bill has no hole and no overlap", "%.*s: %lld, then %lld", STR_ARG(id),
                       (long long)segments[i].end_us, (long long)segments[i + 1].start_us);
    if (row && row->state == INSTANCE_STATE_STOPPED)
        mode = str_empty(row->host_id) ? BILLING_MODE_FREE : BILLING_MODE_KEPT;
    else if (row)
        mode = BILLING_MODE_RUNNING;
    if ((segments[count - 1].end_us == 0) != (row != NULL) || (row && segments[count - 1].mode != mode))
        run_broken(look->run, "law 7: the bill says what is", "%.*s: the last segment has mode %d, %s", STR_ARG(id),
                   segments[count - 1].mode, segments[count - 1].end_us ? "closed" : "open");
}

/* Law 2: who is between two states has the job that carries it on, and nobody else has one, but who leaves its host Stopped. */
static void check_job(const struct look *look, const struct instance *row)
{
    bool between = row->state != INSTANCE_STATE_RUNNING && row->state != INSTANCE_STATE_STOPPED;
    const struct job *job = job_of(look, row->job_id);

    if (row->state == INSTANCE_STATE_STOPPED && job && job->kind == JOB_KIND_EVACUATE && str_eq(job->instance_id, row->id))
        return;
    if (between != (row->job_id != 0) || (between && (!job || !str_eq(job->instance_id, row->id))))
        run_broken(look->run, "law 2: a transition and its job are one", "%.*s is %s with job %lld", STR_ARG(row->id),
                   instance_state_text((enum instance_state)row->state), (long long)row->job_id);
}

static struct seen_instance *seen_of(struct laws *laws, struct str id)
{
    for (int i = 0; i < laws->instance_count; i++)
        if (str_eq(str_from(laws->instances[i].id), id))
            return &laws->instances[i];
    return NULL;
}

static struct seen_instance *see(struct look *look, struct str id)
{
    struct laws *laws = &look->run->laws;
    struct seen_instance *seen = seen_of(laws, id);

    if (seen)
        return seen;
    if (laws->instance_count == LAWS_INSTANCES || id.len >= sizeof(seen->id))
        run_broken(look->run, "the simulation's own", "too many instances");
    seen = &laws->instances[laws->instance_count++];
    *seen = (struct seen_instance){.version = -1};
    memcpy(seen->id, id.ptr, id.len);
    return seen;
}

static void check_row(struct look *look, const struct instance *row)
{
    struct seen_instance *seen = see(look, row->id);

    seen->here = true;
    if (seen->version == row->version)
        return;
    if (row->version < seen->version || row->incarnation < seen->incarnation)
        run_broken(look->run, "law 5: starts only grow", "%.*s: start %lld after %lld, version %lld after %lld", STR_ARG(row->id),
                   (long long)row->incarnation, (long long)seen->incarnation, (long long)row->version,
                   (long long)seen->version);
    check_job(look, row);
    check_segments(look, row->id, row);
    seen->version = row->version;
    seen->incarnation = row->incarnation;
    seen->state = row->state;
}

static void check_rows(struct look *look)
{
    struct laws *laws = &look->run->laws;

    for (int i = 0; i < laws->instance_count; i++)
        laws->instances[i].here = false;
    for (size_t i = 0; i < look->rows.count; i++)
        check_row(look, &look->rows.items[i]);
    for (int i = 0; i < laws->instance_count; i++) {
        if (laws->instances[i].here)
            continue;
        check_segments(look, str_from(laws->instances[i].id), NULL);
        laws->instances[i--] = laws->instances[--laws->instance_count];
    }
}

/* ── jobs ── */

/* Law 4, and the promise behind it: at a host that answers each stop ends. */
static void check_deadline(const struct look *look, const struct job *job, struct seen_job *seen)
{
    struct run *run = look->run;
    const struct instance *row = row_of(look, job->instance_id);
    int instance = model_find(&run->model, job->instance_id);
    usec_t promised = instance == NOBODY ? 0 : run->model.instances[instance].stop_by_us;
    usec_t margin = STOP_MARGIN_US + nodes_patience(run);
    usec_t late = world_now(&run->world) - job->deadline_us;

    if (seen->id == job->id && job->deadline_us > seen->deadline_us)
        run_broken(run, "law 4: a deadline never moves later", "job %lld of %.*s: by %lld µs", (long long)job->id,
                   STR_ARG(job->instance_id), (long long)(job->deadline_us - seen->deadline_us));
    seen->id = job->id;
    seen->deadline_us = job->deadline_us;
    if (job->kind == JOB_KIND_STOP && promised && job->deadline_us > promised)
        run_broken(run, "law 4: a deadline never moves later", "%.*s: %lld µs after what was promised", STR_ARG(job->instance_id),
                   (long long)(job->deadline_us - promised));
    if (row && row->state == INSTANCE_STATE_STOPPING && job->deadline_us != USEC_NEVER && late > margin &&
        world_now(&run->world) - faults_quiet_since(run) > STOP_MARGIN_US && world_now(&run->world) - nodes_quiet_since(run) > margin)
        run_broken(run, "law 4: a stop ends by its deadline", "%.*s is Stopping %lld s after it", STR_ARG(job->instance_id),
                   (long long)(late / USEC_PER_SEC));
}

static void check_jobs(struct look *look)
{
    struct laws *laws = &look->run->laws;

    for (int i = 0; i < laws->job_count; i++)
        laws->jobs[i].here = false;
    for (size_t i = 0; i < look->jobs.count; i++) {
        struct seen_job *seen = NULL;

        for (int k = 0; k < laws->job_count && !seen; k++)
            if (laws->jobs[k].id == look->jobs.items[i].id)
                seen = &laws->jobs[k];
        if (!seen && laws->job_count == LAWS_JOBS)
            run_broken(look->run, "the simulation's own", "too many jobs");
        if (!seen) {
            seen = &laws->jobs[laws->job_count++];
            *seen = (struct seen_job){0};
        }
        seen->here = true;
        check_deadline(look, &look->jobs.items[i], seen);
    }
    for (int i = 0; i < laws->job_count; i++)
        if (!laws->jobs[i].here)
            laws->jobs[i--] = laws->jobs[--laws->job_count];
}

/* ── looks ── */

static void look_begin(struct run *run, struct look *ret)
{
    struct instance_filter filter;
    struct page page = {.limit = ROWS_MAX};

    *ret = (struct look){.run = run, .tx = store_read_begin(run->world.store)};
    instance_filter_init(&filter);
    must_read(run, store_instance_find(ret->tx, &filter, &page, true, &ret->rows), "instances");
    must_read(run, store_job_find(ret->tx, JOB_STATE_ACTIVE, 0, ROWS_MAX, &ret->jobs), "jobs");
    must_read(run, store_host_list(ret->tx, &ret->hosts, &ret->host_count), "hosts");
}

void laws_check(struct run *run)
{
    struct look look;

    faults_look_away(run, true);
    look_begin(run, &look);
    check_machines(&look);
    check_rows(&look);
    check_capacity(&look);
    check_sets(&look);
    check_jobs(&look);
    if (run->counts.laws++ % 8 == 0)
        check_disks(&look);
    store_read_end(look.tx);
    faults_look_away(run, false);
    if (world_is_shared(&run->world))
        laws_check_nodes(run);
}

bool laws_busy(struct run *run, char ret_text[256])
{
    struct tx *tx = store_read_begin(run->world.store);
    struct job_list jobs;
    bool busy;

    must_read(run, store_job_find(tx, JOB_STATE_ACTIVE, 0, 1, &jobs), "jobs");
    busy = jobs.count > 0;
    if (busy && ret_text)
        (void)snprintf(ret_text, 256, "job %s of %.*s (%.*s), step %s: %.*s", job_kind_text((enum job_kind)jobs.items[0].kind),
                       STR_ARG(jobs.items[0].instance_id), STR_ARG(jobs.items[0].disks),
                       engine_step_name(jobs.items[0].kind, jobs.items[0].step), STR_ARG(jobs.items[0].error));
    store_read_end(tx);
    return busy;
}

/* Row and machine say the same of an instance that nothing is done to. */
static void check_agreement(const struct look *look, const struct instance *row)
{
    struct machines machines;
    const struct sim_machine *machine = NULL;
    bool lives = false;

    list_machines(look->run, &machines);
    for (size_t i = 0; i < machines.count; i++)
        if (str_eq(machine_id_of(machines.items[i]), row->id) && str_eq(host_id_of(machines.items[i]->host), row->host_id))
            machine = machines.items[i];
        else if (str_eq(machine_id_of(machines.items[i]), row->id))
            run_broken(look->run, "nothing is left behind at a host", "%.*s is at %.*s, too", STR_ARG(row->id),
                       STR_ARG(host_id_of(machines.items[i]->host)));
    lives = machine && is_alive(machine);
    if ((row->state == INSTANCE_STATE_RUNNING) != lives ||
        (row->state != INSTANCE_STATE_RUNNING && row->state != INSTANCE_STATE_STOPPED))
        run_broken(look->run, "in the end rows and machines agree", "%.*s is %s, its machine %s", STR_ARG(row->id),
                   instance_state_text((enum instance_state)row->state), lives ? "lives" : "is off");
}

/* No machine is left whose row has gone. */
static void check_leftovers(const struct look *look)
{
    struct machines machines;

    list_machines(look->run, &machines);
    for (size_t i = 0; i < machines.count; i++)
        if (!row_of(look, machine_id_of(machines.items[i])))
            run_broken(look->run, "nothing is left behind at a host", "%.*s is at %.*s and has no row",
                       STR_ARG(machine_id_of(machines.items[i])), STR_ARG(host_id_of(machines.items[i]->host)));
}

void laws_check_calm(struct run *run)
{
    struct look look;

    laws_check(run);
    look_begin(run, &look);
    for (size_t i = 0; i < look.rows.count; i++)
        check_agreement(&look, &look.rows.items[i]);
    check_leftovers(&look);
    check_disks(&look);
    store_read_end(look.tx);
}
