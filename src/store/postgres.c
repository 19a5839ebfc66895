/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The PostgreSQL driver, over libpq. One process writes: the writer's connection holds an advisory lock of the database as long as
 * its session lives, so that a process that was cut off and comes back finds the door shut.
 *
 * A COMMIT whose answer was lost has an outcome all the same. Each writing transaction leaves its token in the one row of
 * commit_token; a new session that has got the lock knows that the old one is over, and reads there how it ended.
 *
 * Only a server that takes writes is spoken to: one that follows another would give yesterday's answers.
 */
#include <inttypes.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "store/postgres_impl.h"

#define LOCK_NUMBER 0x65637364 /* "ecsd" */
#define AGAIN_MIN_MS 50
#define AGAIN_MAX_MS 2000
#define LOG_EVERY_S 10 /* a server that is away is told of once, not at each call */

/* ── errors ── */

/* libpq ends its texts with a line feed, and may add advice on more lines. */
static struct str first_line(const char *text)
{
    return str_slice(text, strcspn(text, "\n"));
}

static void tell(const char *error, const char *advice)
{
    static atomic_int_fast64_t latest_s = -LOG_EVERY_S;
    struct timespec now;
    int_fast64_t before = atomic_load(&latest_s);

    /* Not env: with a virtual clock the server is away in real time. */
    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail with this clock */
    if (now.tv_sec - before >= LOG_EVERY_S && atomic_compare_exchange_strong(&latest_s, &before, now.tv_sec))
        log_error("the store failed", LOG_STR("error", first_line(error)), LOG_TEXT("do", advice));
}

/* A session of the writer's without the lock is none. */
static bool is_lost(const struct postgres_db *p)
{
    return pq.PQstatus(p->conn) != CONNECTION_OK || (p->writer && !p->has_lock);
}

static int code_of(const char *state)
{
    static const struct {
        const char *state; /* SQLSTATE */
        enum error_code code;
    } codes[] = {
        {"23505", E_EXISTS}, {"53100", E_NO_SPACE}, {"40001", E_BUSY}, {"40P01", E_BUSY}, {"55P03", E_BUSY}, {"22021", E_INVALID},
    };

    for (size_t i = 0; state && i < countof(codes); i++)
        if (strcmp(state, codes[i].state) == 0)
            return codes[i].code;
    return E_IO;
}

int postgres_error(struct postgres_db *p, const PGresult *result)
{
    ExecStatusType status = pq.PQresultStatus(result);
    int code;

    if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || status == PGRES_EMPTY_QUERY)
        return 0;
    code = code_of(result ? pq.PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL);
    if (code == E_NO_SPACE)
        tell(pq.PQerrorMessage(p->conn), "make room on the disk of the database; writes go on by themselves then");
    else if (code == E_IO)
        tell(pq.PQerrorMessage(p->conn), is_lost(p) ? "see that the database server runs and answers; it is connected to again by itself"
                                                    : "look at the database server's log");
    return -code;
}

static int postgres_exec(struct db *db, const char *sql)
{
    struct postgres_db *p = postgres_of(db);
    PGresult *result = pq.PQexec(p->conn, sql);
    int r = postgres_error(p, result);

    pq.PQclear(result);
    return r;
}

/* ── sessions ── */

static bool one_is(struct postgres_db *p, const char *sql, const char *expected)
{
    PGresult *result = pq.PQexec(p->conn, sql);
    bool is = pq.PQresultStatus(result) == PGRES_TUPLES_OK && pq.PQntuples(result) == 1 &&
              strcmp(pq.PQgetvalue(result, 0, 0), expected) == 0;

    pq.PQclear(result);
    return is;
}

/* One store is one schema. */
#define SCHEMA "hashtext(COALESCE(current_schema(), ''))"

static bool take_lock(struct postgres_db *p)
{
    char sql[128];

    (void)snprintf(sql, sizeof(sql), "SELECT pg_try_advisory_lock(%d, " SCHEMA ")", LOCK_NUMBER);
    p->has_lock = one_is(p, sql, "t");
    return p->has_lock;
}

/* A 200 is durable, whatever the server does for others. */
static int flush_commits(struct postgres_db *p)
{
    return postgres_exec(&p->head, "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'");
}

/* A new session instead of a lost one. For the writer's that means: the lock, too. */
static int connect_again(struct postgres_db *p)
{
    p->has_lock = false;
    pq.PQreset(p->conn);
    p->session++; /* what was prepared is prepared again */
    if (pq.PQstatus(p->conn) != CONNECTION_OK) {
        tell(pq.PQerrorMessage(p->conn), "see that the database server runs and answers; it is connected to again by itself");
        return -E_IO;
    }
    if (!p->writer)
        return 0;
    if (!take_lock(p)) {
        tell("another session holds the lock", "the session before is not over yet, or another ecsd has taken over this database");
        return -E_BUSY;
    }
    return flush_commits(p);
}

static int lock_refused(struct postgres_db *p, struct fail *fail)
{
    PGresult *result = pq.PQexec(p->conn, "SELECT COALESCE(a.application_name, '') || ', backend ' || l.pid FROM pg_locks l LEFT JOIN "
                                          "pg_stat_activity a ON a.pid = l.pid WHERE l.locktype = 'advisory' AND l.granted AND "
                                          "l.objid = (" SCHEMA "::bigint & 4294967295)::oid LIMIT 1");

    (void)fail_text(fail, E_BUSY, "the database is in use by another ecsd (%s); stop it or use another database",
                    pq.PQntuples(result) == 1 ? pq.PQgetvalue(result, 0, 0) : "its session has just ended");
    pq.PQclear(result);
    return -E_BUSY;
}

/* -E_NOT_FOUND: the row is gone. */
static int read_token(struct postgres_db *p, uint64_t *ret)
{
    PGresult *result = pq.PQexec(p->conn, "SELECT token FROM commit_token WHERE one = 1");
    int r = postgres_error(p, result);

    if (r == 0 && pq.PQntuples(result) != 1)
        r = -E_NOT_FOUND;
    if (r == 0)
        *ret = strtoull(pq.PQgetvalue(result, 0, 0), NULL, 10);
    pq.PQclear(result);
    return r;
}

static int postgres_lock(struct db *db, struct fail *fail)
{
    struct postgres_db *p = postgres_of(db);
    int r;

    if (!take_lock(p))
        return lock_refused(p, fail);
    p->writer = true;
    r = flush_commits(p);
    if (r == 0)
        r = postgres_exec(db, "CREATE TABLE IF NOT EXISTS commit_token (one INTEGER PRIMARY KEY, token BIGINT NOT NULL);"
                              "INSERT INTO commit_token (one, token) VALUES (1, 0) ON CONFLICT DO NOTHING");
    if (r == 0)
        r = read_token(p, &p->token); /* ours go on above it: none comes again */
    return r < 0 ? fail_text(fail, E_IO, "cannot write the database: %.*s", STR_ARG(first_line(pq.PQerrorMessage(p->conn)))) : 0;
}

/* ── transactions ── */

static bool postgres_in_transaction(struct db *db)
{
    return pq.PQtransactionStatus(postgres_of(db)->conn) == PQTRANS_INTRANS;
}

static int postgres_begin(struct db *db, bool write)
{
    const char *begin = write ? "BEGIN" : "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
    struct postgres_db *p = postgres_of(db);
    int r = is_lost(p) ? connect_again(p) : 0;

    if (r < 0)
        return r;
    r = postgres_exec(db, begin);
    if (r < 0) { /* lost since the transaction before, whatever libpq thinks of it by now: nothing has been done on it */
        r = connect_again(p);
        if (r == 0)
            r = postgres_exec(db, begin);
    }
    p->writes = write;
    return r;
}

static void postgres_rollback(struct db *db)
{
    PGTransactionStatusType status = pq.PQtransactionStatus(postgres_of(db)->conn);

    if (status == PQTRANS_INTRANS || status == PQTRANS_INERROR)
        (void)postgres_exec(db, "ROLLBACK"); /* whatever it says, the transaction is gone */
}

static void wait_ms(int ms)
{
    (void)poll(NULL, 0, ms); /* a server that is away tells nobody when it comes back */
}

/* The commit of this moment waits for the standby, if there is one, and with it for all before. */
static int make_durable(struct postgres_db *p)
{
    return postgres_exec(&p->head, "UPDATE commit_token SET token = token WHERE one = 1");
}

/* 0, with how the latest transaction ended. */
static int ask_outcome(struct postgres_db *p, bool *ret_committed)
{
    uint64_t token = 0;
    int r = connect_again(p);

    if (r == 0)
        r = read_token(p, &token);
    *ret_committed = token == p->token;
    return r == 0 && *ret_committed ? make_durable(p) : r;
}

/*
 * The answer to COMMIT was lost. Whoever gets the lock knows that the session is over; the token says whether it had committed.
 * There is no other truth: as long as nobody can be asked, nobody is told.
 */
static int find_outcome(struct postgres_db *p)
{
    bool committed;

    for (int ms = AGAIN_MIN_MS; ask_outcome(p, &committed) < 0; ms = MIN_OF(2 * ms, AGAIN_MAX_MS))
        wait_ms(ms);
    log_warning("the answer to a commit was lost; its outcome was found out", LOG_TEXT("outcome", committed ? "committed" : "rolled back"));
    return committed ? 0 : -E_IO;
}

/* The server said that it failed, and goes on: then it is certain. One that says goodbye may have committed before. */
static bool is_certain(const struct postgres_db *p, const PGresult *result)
{
    const char *severity = result ? pq.PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED) : NULL;

    return !is_lost(p) && severity && strcmp(severity, "ERROR") == 0;
}

static int commit_write(struct postgres_db *p)
{
    char sql[96];
    PGresult *result;
    bool certain;
    int r;

    (void)snprintf(sql, sizeof(sql), "UPDATE commit_token SET token = %" PRId64 " WHERE one = 1; COMMIT", (int64_t)++p->token);
    result = pq.PQexec(p->conn, sql);
    r = postgres_error(p, result);
    certain = r == 0 || is_certain(p, result);
    if (r == 0 && strcmp(pq.PQcmdStatus(result), "COMMIT") != 0)
        r = -E_IO; /* it says ROLLBACK of a transaction that had failed before */
    pq.PQclear(result);
    return certain ? r : find_outcome(p);
}

static int postgres_commit(struct db *db)
{
    struct postgres_db *p = postgres_of(db);

    return p->writes && p->writer ? commit_write(p) : postgres_exec(db, "COMMIT");
}

static int at_savepoint(struct db *db, const char *words, size_t depth)
{
    char sql[64];

    (void)snprintf(sql, sizeof(sql), "%s s%zu", words, depth);
    return postgres_exec(db, sql);
}

static int postgres_savepoint(struct db *db, size_t depth)
{
    return at_savepoint(db, "SAVEPOINT", depth);
}

static int postgres_release(struct db *db, size_t depth)
{
    return at_savepoint(db, "RELEASE", depth);
}

static int postgres_rollback_to(struct db *db, size_t depth)
{
    int r = at_savepoint(db, "ROLLBACK TO", depth);

    return r < 0 ? r : at_savepoint(db, "RELEASE", depth);
}

/* ── the log is the server's ── */

static int postgres_checkpoint(struct db *db, enum db_checkpoint mode)
{
    (void)db;
    (void)mode;
    return 0;
}

static int64_t postgres_log_pages(struct db *db)
{
    (void)db;
    return 0;
}

static int postgres_renew_log(struct db *db)
{
    (void)db;
    return 0;
}

/* ── open, close ── */

static struct db *postgres_close(struct db *db)
{
    struct postgres_db *p = postgres_of(db);

    postgres_forget(p);
    pq.PQfinish(p->conn);
    return xfree(p);
}

static const struct db_ops postgres_ops = {
    .name = "postgresql",
    .close = postgres_close,
    .begin = postgres_begin,
    .commit = postgres_commit,
    .rollback = postgres_rollback,
    .savepoint = postgres_savepoint,
    .release = postgres_release,
    .rollback_to = postgres_rollback_to,
    .in_transaction = postgres_in_transaction,
    .exec = postgres_exec,
    .prepare = postgres_prepare,
    .bind = postgres_bind,
    .step = postgres_step,
    .reset = postgres_reset,
    .column = postgres_column,
    .columns = postgres_columns,
    .changed = postgres_changed,
    .checkpoint = postgres_checkpoint,
    .log_pages = postgres_log_pages,
    .renew_log = postgres_renew_log,
};

static void on_notice(void *arg, const char *message)
{
    (void)arg;
    log_debug("the database says", LOG_STR("text", first_line(message)));
}

/* Ids are compared byte by byte, here and there. */
static int check_database(struct postgres_db *p, struct fail *fail)
{
    if (!one_is(p, "SELECT datcollate IN ('C', 'POSIX', 'C.UTF-8') AND pg_encoding_to_char(encoding) = 'UTF8' FROM pg_database WHERE "
                   "datname = current_database()",
                "t"))
        return fail_text(fail, E_INVALID,
                         "the database sorts texts by the rules of a language; make one with: CREATE DATABASE ecsd TEMPLATE template0 "
                         "ENCODING 'UTF8' LC_COLLATE 'C'");
    return 0;
}

/* Of several words the last one counts: what stands before the URL is a default. A server that vanishes is noticed in 20 s. */
static PGconn *connect(const char *url)
{
    const char *const names[] = {"connect_timeout", "keepalives_idle", "keepalives_interval", "tcp_user_timeout",
                                 "fallback_application_name", "dbname", "target_session_attrs", NULL};
    const char *const values[] = {"5", "10", "5", "20000", "ecsd", url, "read-write", NULL};

    return pq.PQconnectdbParams(names, values, 1);
}

static int postgres_open(const char *path, int64_t cache_kib, struct fail *fail, struct db **ret)
{
    struct postgres_db *p;
    int r = postgres_api_load(fail);

    (void)cache_kib; /* the server's matter */
    if (r < 0)
        return r;
    p = xcalloc(1, sizeof(*p));
    p->head.ops = &postgres_ops;
    p->session = 1;
    p->conn = connect(path);
    if (pq.PQstatus(p->conn) != CONNECTION_OK)
        r = fail_text(fail, E_IO, "can't connect to the database: %.*s", STR_ARG(first_line(pq.PQerrorMessage(p->conn))));
    if (r == 0) {
        (void)pq.PQsetNoticeProcessor(p->conn, on_notice, NULL);
        r = check_database(p, fail);
    }
    if (r < 0) {
        (void)postgres_close(&p->head); /* NULL */
        return r;
    }
    *ret = &p->head;
    return 0;
}

const struct db_driver postgres_driver = {
    .name = "postgresql",
    .key_type = "BIGINT",
    .bytes_type = "BYTEA",
    .text_type = "BYTEA",
    .compact = "",
    .open = postgres_open,
    .lock = postgres_lock,
};
