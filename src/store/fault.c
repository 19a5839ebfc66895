/* SPDX-License-Identifier: Apache-2.0 */
/* A driver around the SQLite driver that fails the n-th call. The tests walk n upwards until
 * nothing fails any more. */
#include "base/mem.h"
#include "store/db.h"

struct fault_db {
    struct db head;
    struct db *inner;
};

static struct fault_plan plan;

void fault_set(int64_t at, int code, bool lose)
{
    plan = (struct fault_plan){.at = at, .code = code, .lose = lose};
}

struct fault_plan fault_get(void)
{
    return plan;
}

static struct db *inner_of(struct db *db)
{
    return container_of(db, struct fault_db, head)->inner;
}

/* 0: make the call. */
static int fault(struct db *db)
{
    plan.calls++;
    if (plan.at == 0 || plan.calls != plan.at)
        return 0;
    plan.hit = true;
    if (plan.lose)
        inner_of(db)->ops->rollback(inner_of(db));
    return -plan.code;
}

#define FAULTY(db, call)                                                                           \
    int r = fault(db);                                                                             \
    struct db *inner = inner_of(db);                                                               \
    return r < 0 ? r : inner->ops->call

static int fault_begin(struct db *db, bool write)
{
    FAULTY(db, begin(inner, write));
}

static int fault_commit(struct db *db)
{
    FAULTY(db, commit(inner));
}

static int fault_savepoint(struct db *db, size_t depth)
{
    FAULTY(db, savepoint(inner, depth));
}

static int fault_release(struct db *db, size_t depth)
{
    FAULTY(db, release(inner, depth));
}

static int fault_rollback_to(struct db *db, size_t depth)
{
    FAULTY(db, rollback_to(inner, depth));
}

static int fault_prepare(struct db *db, const char *sql, struct stmt **ret)
{
    FAULTY(db, prepare(inner, sql, ret));
}

static int fault_bind(struct db *db, struct stmt *stmt, const struct value *values, size_t count)
{
    FAULTY(db, bind(inner, stmt, values, count));
}

static int fault_step(struct db *db, struct stmt *stmt)
{
    FAULTY(db, step(inner, stmt));
}

static int fault_exec(struct db *db, const char *sql)
{
    FAULTY(db, exec(inner, sql));
}

static int fault_checkpoint(struct db *db, enum db_checkpoint mode)
{
    FAULTY(db, checkpoint(inner, mode));
}

static int fault_renew_log(struct db *db)
{
    FAULTY(db, renew_log(inner));
}

static void fault_rollback(struct db *db)
{
    inner_of(db)->ops->rollback(inner_of(db));
}

static bool fault_in_transaction(struct db *db)
{
    return inner_of(db)->ops->in_transaction(inner_of(db));
}

static void fault_reset(struct db *db, struct stmt *stmt)
{
    inner_of(db)->ops->reset(inner_of(db), stmt);
}

static int64_t fault_changed(struct db *db)
{
    return inner_of(db)->ops->changed(inner_of(db));
}

static int64_t fault_log_pages(struct db *db)
{
    return inner_of(db)->ops->log_pages(inner_of(db));
}

/* Statements of the outer cache are the inner driver's: it finalizes what it finds in its own
 * cache. */
static struct db *fault_close(struct db *db)
{
    struct fault_db *f = container_of(db, struct fault_db, head);

    for (size_t i = 0; i < DB_STATEMENTS; i++)
        if (db->cache[i].query)
            db_cache(f->inner, db->cache[i].query, db->cache[i].stmt);
    f->inner = f->inner->ops->close(f->inner);
    return xfree(f);
}

static void fault_column(struct db *db, struct stmt *stmt, size_t index, struct value *ret)
{
    inner_of(db)->ops->column(inner_of(db), stmt, index, ret);
}

static size_t fault_columns(struct db *db, struct stmt *stmt)
{
    return inner_of(db)->ops->columns(inner_of(db), stmt);
}

static const struct db_ops fault_ops = {
    .name = "fault",
    .close = fault_close,
    .begin = fault_begin,
    .commit = fault_commit,
    .rollback = fault_rollback,
    .savepoint = fault_savepoint,
    .release = fault_release,
    .rollback_to = fault_rollback_to,
    .in_transaction = fault_in_transaction,
    .exec = fault_exec,
    .prepare = fault_prepare,
    .bind = fault_bind,
    .step = fault_step,
    .reset = fault_reset,
    .column = fault_column,
    .columns = fault_columns,
    .changed = fault_changed,
    .checkpoint = fault_checkpoint,
    .log_pages = fault_log_pages,
    .renew_log = fault_renew_log,
};

static int fault_open(const char *path, int64_t cache_kib, struct fail *fail, struct db **ret)
{
    struct fault_db *f = xcalloc(1, sizeof(*f));
    int r = sqlite_driver.open(path, cache_kib, fail, &f->inner);

    if (r < 0) {
        xfree(f);
        return r;
    }
    f->head.ops = &fault_ops;
    *ret = &f->head;
    return 0;
}

const struct db_driver fault_driver = {
    .name = "fault",
    .key_type = "INTEGER",
    .bytes_type = "BLOB",
    .text_type = "TEXT",
    .compact = "WITHOUT ROWID",
    .open = fault_open,
};
