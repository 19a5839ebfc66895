/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of jobs; what they mean is the engine's. */
#include "store/core.h"

static const struct column job_columns[] = {
    COLUMN(struct job, id),
    COLUMN(struct job, kind),
    COLUMN(struct job, state),
    COLUMN(struct job, instance_id),
    COLUMN(struct job, account_id),
    COLUMN(struct job, incarnation),
    COLUMN(struct job, step),
    COLUMN(struct job, attempts),
    COLUMN(struct job, force),
    COLUMN(struct job, clear_local),
    COLUMN(struct job, release_capacity),
    COLUMN(struct job, stopped_mode),
    COLUMN(struct job, reason),
    COLUMN(struct job, request_id),
    COLUMN(struct job, disks),
    COLUMN(struct job, error),
    COLUMN(struct job, holder),
    COLUMN(struct job, epoch),
    COLUMN(struct job, created_us),
    COLUMN(struct job, deadline_us),
    COLUMN(struct job, finished_us),
};
static const struct table job_table = TABLE(struct job, job_columns);

int store_job_get(struct tx *tx, int64_t id, struct job **ret)
{
    static const struct query query = {"SELECT {c} FROM job WHERE id = $1", &job_table};

    return rows_one(tx, &query, ARGS(V_I64(id)), ret);
}

int store_job_insert(struct tx *tx, const struct job *job)
{
    static const struct query query = {"INSERT INTO job ({c}) VALUES ({v}) ON CONFLICT DO NOTHING",
                                       &job_table};

    assert(job->id > 0);
    return rows_post_row(tx, &query, job, NO_ARGS, -E_EXISTS);
}

int store_job_save(struct tx *tx, const struct job *job)
{
    /* A forced order may have moved the row since the job was read: the deadline stays the earlier
     * and the step the later one (law 4). */
    static const struct query query = {
        "UPDATE job SET step = CASE WHEN step > $1 THEN step ELSE $1 END, attempts = $2, state = "
        "$3, error = $4,"
        " deadline_us = CASE WHEN deadline_us < $5 THEN deadline_us ELSE $5 END, finished_us = $6,"
        " force = $7, incarnation = $8 WHERE id = $9 AND holder IS NOT DISTINCT FROM $10 AND epoch = "
        "$11",
        NULL};

    return rows_post(tx, &query,
                     ARGS(V_I64(job->step), V_I64(job->attempts), V_I64(job->state), V_STR(job->error), V_I64(job->deadline_us),
                          V_I64(job->finished_us), V_I64(job->force ? 1 : 0), V_I64(job->incarnation), V_I64(job->id),
                          V_STR(job->holder), V_I64(job->epoch)),
                     -E_FENCED);
}

/* What was found is the holder's from now on. */
static int take_over(struct tx *tx, struct job_list *list, struct str holder, int64_t epoch)
{
    static const struct query take = {"UPDATE job SET holder = $2, epoch = $3, poked = 0 WHERE id = $1", NULL};
    int r = 0;

    for (size_t i = 0; r == 0 && i < list->count; i++) {
        list->items[i].holder = arena_str(&tx->arena, holder);
        list->items[i].epoch = epoch;
        r = rows_must_change(tx, &take, ARGS(V_I64(list->items[i].id), V_STR(holder), V_I64(epoch)));
    }
    return r;
}

int store_job_claim(struct tx *tx, struct str holder, int64_t epoch, usec_t now, int64_t after, int64_t limit,
                    struct job_list *ret)
{
    static const struct query find = {
        "SELECT {c} FROM job WHERE state = 0 AND id > $5 AND (holder IS NULL OR (holder = $1 AND epoch < $2)"
        " OR (holder <> $1 AND NOT EXISTS (SELECT 1 FROM node WHERE node.id = job.holder AND "
        "node.until_us > $3)))"
        " ORDER BY id LIMIT $4",
        &job_table};
    struct job_list list = {0};
    int r = rows_all(tx, &find, ARGS(V_STR(holder), V_I64(epoch), V_I64(now), V_I64(limit), V_I64(after)),
                     &list.items, &list.count);

    if (r == 0)
        r = take_over(tx, &list, holder, epoch);
    if (r == 0)
        *ret = list;
    return r;
}

/*
 * Jobs of the hosts that (holder, epoch) holds, when another has them or their rows were changed; and those that belong to no
 * host any more, when no living node has them.
 */
#define PICK_WHERE                                                                                                                 \
    " WHERE job.state = 0 AND CASE WHEN EXISTS (SELECT 1 FROM instance WHERE instance.id = job.instance_id AND instance.host_id"  \
    " IS NOT NULL) THEN (job.poked = 1 OR job.holder IS NULL OR job.holder <> $1 OR job.epoch <> $2) AND EXISTS (SELECT 1 FROM"   \
    " instance JOIN host ON host.id = instance.host_id WHERE instance.id = job.instance_id AND host.holder = $1 AND host.epoch"   \
    " = $2) ELSE NOT EXISTS (SELECT 1 FROM node WHERE node.id = job.holder AND node.epoch = job.epoch AND node.until_us > 0) END"

int store_job_waits(struct tx *tx, struct str holder, int64_t epoch, bool *ret)
{
    static const struct query query = {"SELECT 1 FROM job" PICK_WHERE " LIMIT 1", NULL};
    int64_t found = 0;
    int r = rows_number(tx, &query, ARGS(V_STR(holder), V_I64(epoch)), 0, &found);

    *ret = found != 0;
    return r;
}

int store_job_pick(struct tx *tx, struct str holder, int64_t epoch, int64_t after, int64_t limit, struct job_list *ret)
{
    static const struct query find = {"SELECT {c} FROM job" PICK_WHERE " AND job.id > $4 ORDER BY id LIMIT $3", &job_table};
    struct job_list list = {0};
    int r = rows_all(tx, &find, ARGS(V_STR(holder), V_I64(epoch), V_I64(limit), V_I64(after)), &list.items, &list.count);

    if (r == 0)
        r = take_over(tx, &list, holder, epoch);
    if (r == 0)
        *ret = list;
    return r;
}

int store_job_poke_unheld(struct tx *tx, struct str holder, int64_t epoch)
{
    /* CASE: job by job, for they are fewer than the instances, which a join would read whole. */
    static const struct query query = {
        "UPDATE job SET poked = 1 WHERE state = 0 AND holder = $1 AND epoch = $2 AND CASE WHEN EXISTS (SELECT 1 FROM instance JOIN"
        " host ON host.id = instance.host_id WHERE instance.id = job.instance_id AND (host.holder IS NULL OR host.holder <> $1 OR"
        " host.epoch <> $2)) THEN 1 ELSE 0 END = 1",
        NULL};

    return rows_change(tx, &query, ARGS(V_STR(holder), V_I64(epoch)), NULL);
}

int store_job_poke(struct tx *tx, int64_t id)
{
    static const struct query query = {"UPDATE job SET poked = 1 WHERE id = $1", NULL};

    return rows_must_change(tx, &query, ARGS(V_I64(id)));
}

int store_job_find(struct tx *tx, int state, int64_t after, int64_t limit, struct job_list *ret)
{
    static const struct query active = {
        "SELECT {c} FROM job WHERE state = 0 AND id < $1 ORDER BY id DESC LIMIT $2", &job_table};
    static const struct query all = {"SELECT {c} FROM job WHERE id < $1 ORDER BY id DESC LIMIT $2",
                                     &job_table};
    static const struct query some = {
        "SELECT {c} FROM job WHERE id < $1 AND state = $3 ORDER BY id DESC LIMIT $2", &job_table};
    struct value before = V_I64(after > 0 ? after : INT64_MAX);

    if (state == JOB_STATE_ACTIVE)
        return rows_all(tx, &active, ARGS(before, V_I64(limit)), &ret->items, &ret->count);
    if (state < 0)
        return rows_all(tx, &all, ARGS(before, V_I64(limit)), &ret->items, &ret->count);
    return rows_all(tx, &some, ARGS(before, V_I64(limit), V_I64(state)), &ret->items, &ret->count);
}

int store_job_purge(struct tx *tx, usec_t before, int64_t limit)
{
    /* A job ends after it began, and its id is the time of that: the oldest rows are the ones to
     * look at. */
    static const struct query query = {"DELETE FROM job WHERE id IN (SELECT id FROM job WHERE id < "
                                       "$1 AND state <> 0 AND finished_us < $1"
                                       " ORDER BY id LIMIT $2)",
                                       NULL};

    return rows_change(tx, &query, ARGS(V_I64(before), V_I64(limit)), NULL);
}
