/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The PostgreSQL driver, over libpq: sessions and transactions. How several nodes write is in postgres_turn.c.
 *
 * Only a server that takes writes is spoken to: one that follows another would give yesterday's answers.
 */
#include <stdatomic.h>

#include "base/log.h"
#include "base/mem.h"
#include "store/postgres_impl.h"

#define AWAY "see that the database server runs and answers, and that nothing pauses this process; it is connected to again by itself"
#define LOG_EVERY_S 10 /* a server that is away is told of once, not at each call */

/* ── errors ── */

/* libpq ends its texts with a line feed, and may add advice on more lines. */
static struct str first_line(const char *text)
{
    return str_slice(text, strcspn(text, "\n"));
}

void postgres_tell(const char *error, const char *advice)
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

struct sqlstate {
    const char *state;
    enum error_code code;
    const char *advice; /* NULL: nothing for the log */
};

static const struct sqlstate *state_of(const PGresult *result)
{
    static const struct sqlstate states[] = {
        {"23505", E_EXISTS, NULL},
        {"53100", E_NO_SPACE, "make room on the disk of the database; writes go on by themselves then"},
        {"40001", E_AGAIN, NULL},
        {"40P01", E_AGAIN, NULL},
        {"55P03", E_BUSY, NULL},
        {"22021", E_INVALID, NULL},
    };
    const char *state = result ? pq.PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;

    for (size_t i = 0; state && i < countof(states); i++)
        if (strcmp(state, states[i].state) == 0)
            return &states[i];
    return NULL;
}

/* The error of what was posted stands in its result only. */
static const char *words_of(const struct postgres_db *p, const PGresult *result)
{
    const char *words = pq.PQerrorMessage(p->conn);

    return words[0] != '\0' || !result ? words : pq.PQresultErrorMessage(result);
}

/* A lost session's last words have no state any more; what the server ended for standing still in a turn is one of them. */
static int code_of(struct postgres_db *p, const PGresult *result)
{
    const struct sqlstate *known = state_of(result);
    const char *advice = known ? known->advice
                         : is_lost(p) ? AWAY
                                      : "look at the database server's log";

    if (advice)
        postgres_tell(words_of(p, result), advice);
    return known ? (int)known->code : E_IO;
}

/* The server said that it failed, and goes on: then it is certain. One that says goodbye may have committed before. */
static bool goes_on(const struct postgres_db *p, const PGresult *result)
{
    const char *severity = result ? pq.PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED) : NULL;

    return !is_lost(p) && severity && strcmp(severity, "ERROR") == 0;
}

int postgres_error(struct postgres_db *p, const PGresult *result)
{
    ExecStatusType status = pq.PQresultStatus(result);
    int code;

    p->certain = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || status == PGRES_EMPTY_QUERY;
    if (p->certain)
        return 0;
    p->certain = goes_on(p, result);
    code = code_of(p, result);
    return code == E_AGAIN && !p->writer ? -E_BUSY : -code; /* only the writer can begin again */
}

struct str postgres_said(const struct postgres_db *p)
{
    return first_line(pq.PQerrorMessage(p->conn));
}

int postgres_exec(struct db *db, const char *sql)
{
    struct postgres_db *p = postgres_of(db);
    PGresult *result;
    int r = postgres_settle(p);

    if (r < 0)
        return r;
    result = pq.PQexec(p->conn, sql);
    r = postgres_error(p, result);
    pq.PQclear(result);
    return r;
}

/* ── sessions ── */

bool postgres_answers(struct postgres_db *p, const char *sql, const char *expected)
{
    PGresult *result = pq.PQexec(p->conn, sql);
    bool is = pq.PQresultStatus(result) == PGRES_TUPLES_OK && pq.PQntuples(result) == 1 &&
              strcmp(pq.PQgetvalue(result, 0, 0), expected) == 0;

    pq.PQclear(result);
    return is;
}

int postgres_connect_again(struct postgres_db *p)
{
    int r;

    p->has_lock = false;
    pq.PQreset(p->conn);
    postgres_drop_piles(p);
    p->posting = false;
    p->posts = 0;
    p->session++; /* what was prepared is prepared again */
    if (pq.PQstatus(p->conn) != CONNECTION_OK) {
        postgres_tell(pq.PQerrorMessage(p->conn), AWAY);
        return -E_IO;
    }
    r = p->writer ? postgres_turn_session(p) : 0;
    if (r == -E_BUSY)
        postgres_tell("another session holds the lock", "the session before is not over yet, or another ecsd has taken this node's name");
    return r;
}

/* ── transactions ── */

/* Whether what was posted has ended it is known when it is settled. */
static bool postgres_in_transaction(struct db *db)
{
    struct postgres_db *p = postgres_of(db);

    if (db->doubt)
        return false;
    return p->posting ? p->certain && !is_lost(p) : pq.PQtransactionStatus(p->conn) == PQTRANS_INTRANS;
}

static int begin_once(struct postgres_db *p, bool write)
{
    if (write && p->writer) {
        int r = postgres_turn_take(p);

        return r == 0 && postgres_turn_outdated(p) ? -E_IO : r;
    }
    return postgres_exec(&p->head, write ? "BEGIN" : "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
}

static void postgres_rollback(struct db *db)
{
    struct postgres_db *p = postgres_of(db);
    PGTransactionStatusType status;

    postgres_drop_piles(p);
    (void)postgres_settle(p); /* it is all undone */
    db->doubt = false;
    status = pq.PQtransactionStatus(p->conn);
    if (status == PQTRANS_INTRANS || status == PQTRANS_INERROR)
        (void)postgres_exec(db, "ROLLBACK"); /* whatever it says, the transaction is gone */
}

static int postgres_begin(struct db *db, bool write)
{
    struct postgres_db *p = postgres_of(db);
    int r = is_lost(p) ? postgres_connect_again(p) : 0;

    if (r < 0)
        return r;
    p->writes = write;
    r = begin_once(p, write);
    if (r < 0 && !p->certain) { /* lost since the transaction before, whatever libpq thinks of it by now: nothing has been done on it */
        r = postgres_connect_again(p);
        if (r == 0)
            r = begin_once(p, write);
    }
    if (r < 0)
        postgres_rollback(db); /* the first of two statements may have worked */
    return r;
}

static int postgres_commit(struct db *db)
{
    struct postgres_db *p = postgres_of(db);
    int r = postgres_settle(p);

    if (r < 0)
        return r;
    return p->writes && p->writer ? postgres_turn_commit(p) : postgres_exec(db, "COMMIT");
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
    xfree(p->node);
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
    .post = postgres_post,
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
    if (!postgres_answers(p, "SELECT datcollate IN ('C', 'POSIX', 'C.UTF-8') AND pg_encoding_to_char(encoding) = 'UTF8' FROM pg_database WHERE "
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
    .shared = true,
    .open = postgres_open,
    .lock = postgres_lock,
    .require = postgres_require,
};
