/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Several nodes write to one schema: in turns. The first statement of a writing transaction locks the one row of `turn`; what comes
 * after it sees all that was committed before. So writes are serial over all nodes, as with SQLite's one writer, and a batch is a turn.
 * The row carries what all nodes have to agree on (struct turn).
 *
 * A node that stands still with the row in its hand must not hold the others up: the server ends its session (`settings`). Then the
 * transaction is gone, whatever that node thinks of it when it goes on.
 *
 * It also says how much a program has to know to write (`oldest`): a node that runs on while a newer ecsd changes the tables finds
 * that in its next turn, and leaves it.
 *
 * As long as a session of a writer's lives, it holds the advisory lock of the node's name, so that no two processes have one name,
 * and, together with all nodes, that of the schema: an ecsd that knows nothing of turns takes this one alone.
 *
 * A COMMIT whose answer was lost has an outcome all the same. Each writing transaction leaves its token in its node's row of
 * commit_token. A new session that has got the node's lock and the turn knows that the old transaction is over, and reads there
 * how it ended.
 */
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>

#include "base/log.h"
#include "store/postgres_impl.h"

#define AGAIN_MIN_MS 50
#define AGAIN_MAX_MS 2000

/* Between two statements of a batch is but a little computing. Who lets this pass is paused or cut off, and others wait. */
#define IDLE_IN_TURN "5s"
/* A client that ended while its session waits for the turn: nobody would notice before the session's turn had come. */
#define CLIENT_CHECK "1s"
/* The session of a process that has just ended: its end is waited for. Longer than CLIENT_CHECK. */
#define LOCK_WAIT "3s"

/* The schema's key is two numbers: "ecsd" and the name; the node's is one. */
#define SCHEMA "COALESCE(current_schema(), '')"
#define SCHEMA_LOCK "1701016420, hashtext(" SCHEMA ")"
#define TABLES_LOCK "1701016421, hashtext(" SCHEMA ")"
#define NODE_LOCK "hashtextextended(quote_ident(" SCHEMA ") || '/' || current_setting('ecsd.node'), 1701016420)"

#define OF_NODE " WHERE node = current_setting('ecsd.node')"

/* ── a session ── */

/*
 * Every statement looks up keys: its plan does not depend on which, and is made once; also while a table is small, and reading all of it
 * would be as cheap, since it grows under that plan. So are the rows of a pile looked up, one key after the other.
 *
 * A machine that vanished sends no more than one that is idle: the server looks for it as the client looks for the server. What a
 * server doesn't know is left out.
 */
static const char settings[] =
    "SELECT set_config(s.name, wanted.value, false) FROM (VALUES ('idle_in_transaction_session_timeout', '" IDLE_IN_TURN "'),"
    " ('client_connection_check_interval', '" CLIENT_CHECK "'), ('tcp_keepalives_idle', '10'), ('tcp_keepalives_interval', '5'),"
    " ('tcp_keepalives_count', '2'), ('tcp_user_timeout', '20000'), ('plan_cache_mode', 'force_generic_plan'),"
    " ('enable_seqscan', 'off'), ('enable_hashjoin', 'off'), ('enable_mergejoin', 'off'), ('jit', 'off')) AS wanted (name, value)"
    " JOIN pg_settings s ON s.name = wanted.name";

/* A 200 is durable, whatever the server does for others. */
static const char flush_commits[] =
    "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'";

static const char take_locks[] = "SET LOCAL lock_timeout = '" LOCK_WAIT "'; SELECT pg_advisory_lock_shared(" SCHEMA_LOCK ");"
                                 "SELECT pg_advisory_lock(" NODE_LOCK ")";

/* The node's name comes from outside: it is bound, once, and the session's statements ask for it there. */
static int tell_name(struct postgres_db *p)
{
    const char *const values[] = {p->node};
    PGresult *result = pq.PQexecParams(p->conn, "SELECT set_config('ecsd.node', $1, false)", 1, NULL, values, NULL, NULL, 0);
    int r = postgres_error(p, result);

    pq.PQclear(result);
    return r;
}

int postgres_turn_session(struct postgres_db *p)
{
    int r = tell_name(p);

    if (r == 0)
        r = postgres_exec(&p->head, settings);
    if (r == 0)
        r = postgres_exec(&p->head, flush_commits);
    if (r == 0)
        r = postgres_exec(&p->head, take_locks);
    p->has_lock = r == 0;
    return r;
}

/* Who has the node's lock, or that of the schema alone. */
static int lock_refused(struct postgres_db *p, struct fail *fail)
{
    PGresult *result = pq.PQexec(
        p->conn,
        "SELECT COALESCE(a.application_name, '') || ', backend ' || l.pid || CASE l.objsubid WHEN 1 THEN '' ELSE ', of an older version' END"
        " FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid WHERE l.locktype = 'advisory' AND l.granted AND"
        " l.mode = 'ExclusiveLock' AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND"
        " ((l.objsubid = 1 AND (l.classid::bigint << 32 | l.objid::bigint) = " NODE_LOCK ") OR"
        " (l.objsubid = 2 AND l.classid = 1701016420::oid AND l.objid = (hashtext(" SCHEMA ")::bigint & 4294967295)::oid)) LIMIT 1");

    (void)fail_text(fail, E_BUSY, "the database is in use by another ecsd for the node \"%s\" (%s); stop it or use another database", p->node,
                    pq.PQntuples(result) == 1 ? pq.PQgetvalue(result, 0, 0) : "its session has just ended");
    pq.PQclear(result);
    return -E_BUSY;
}

/* ── tables ── */

static const char has_old_tokens[] =
    "SELECT EXISTS (SELECT 1 FROM pg_attribute WHERE attrelid = to_regclass('commit_token') AND attname = 'one' AND NOT attisdropped)";

/* There was one writer, and one row: the node goes on above its token. */
static const char keep_old_tokens[] = "ALTER TABLE commit_token RENAME COLUMN one TO node;"
                                      "ALTER TABLE commit_token ALTER COLUMN node TYPE TEXT;"
                                      "UPDATE commit_token SET node = current_setting('ecsd.node')";

/* Looked for first: to alter a table, even in vain, waits for whoever has the turn. */
static const char has_old_turn[] =
    "SELECT to_regclass('turn') IS NOT NULL AND NOT EXISTS (SELECT 1 FROM pg_attribute WHERE attrelid = to_regclass('turn') AND"
    " attname = 'oldest' AND NOT attisdropped)";

static const char add_oldest[] = "ALTER TABLE turn ADD COLUMN oldest BIGINT NOT NULL DEFAULT 0";

static const char make_rows[] =
    "CREATE TABLE IF NOT EXISTS turn (one INTEGER PRIMARY KEY, number BIGINT NOT NULL, sequence BIGINT NOT NULL, tenants BIGINT NOT NULL,"
    " oldest BIGINT NOT NULL DEFAULT 0);"
    "INSERT INTO turn (one, number, sequence, tenants) VALUES (1, 0, 0, 0) ON CONFLICT DO NOTHING;"
    "CREATE TABLE IF NOT EXISTS commit_token (node TEXT PRIMARY KEY, token BIGINT NOT NULL);"
    "INSERT INTO commit_token (node, token) VALUES (current_setting('ecsd.node'), 0) ON CONFLICT DO NOTHING;"
    "COMMIT";

/* "IF NOT EXISTS" fails where two try at once. */
static int make_tables(struct postgres_db *p)
{
    int r = postgres_exec(&p->head, "BEGIN ISOLATION LEVEL READ COMMITTED; SELECT pg_advisory_xact_lock(" TABLES_LOCK ")");

    if (r == 0 && postgres_answers(p, has_old_tokens, "t"))
        r = postgres_exec(&p->head, keep_old_tokens);
    if (r == 0 && postgres_answers(p, has_old_turn, "t"))
        r = postgres_exec(&p->head, add_oldest);
    return r == 0 ? postgres_exec(&p->head, make_rows) : r;
}

/* -E_NOT_FOUND: the row is gone. */
static int read_token(struct postgres_db *p, uint64_t *ret)
{
    PGresult *result = pq.PQexec(p->conn, "SELECT token FROM commit_token" OF_NODE);
    int r = postgres_error(p, result);

    if (r == 0 && pq.PQntuples(result) != 1)
        r = -E_NOT_FOUND;
    if (r == 0)
        *ret = strtoull(pq.PQgetvalue(result, 0, 0), NULL, 10);
    pq.PQclear(result);
    return r;
}

int postgres_lock(struct db *db, struct str node, struct fail *fail)
{
    struct postgres_db *p = postgres_of(db);
    int r;

    assert(!p->node && node.len > 0);
    p->node = xcalloc(node.len + 1, 1);
    memcpy(p->node, node.ptr, node.len);
    r = postgres_turn_session(p);
    if (r == -E_BUSY)
        return lock_refused(p, fail);
    p->writer = r == 0;
    if (r == 0)
        r = make_tables(p);
    if (r == 0)
        r = read_token(p, &p->token); /* ours go on above it: none comes again */
    return r < 0 ? fail_text(fail, E_IO, "cannot write the database: %.*s", STR_ARG(postgres_said(p))) : 0;
}

/* ── a turn ── */

static int64_t number_of(const PGresult *result, int column)
{
    return strtoll(pq.PQgetvalue(result, 0, column), NULL, 10);
}

int postgres_turn_take(struct postgres_db *p)
{
    PGresult *result = pq.PQexec(p->conn, "BEGIN ISOLATION LEVEL READ COMMITTED;"
                                          "SELECT number, sequence, tenants, oldest FROM turn WHERE one = 1 FOR UPDATE");
    int r = postgres_error(p, result);

    if (r == 0 && pq.PQntuples(result) != 1) {
        postgres_tell("the table turn has lost its row", "bring the database back from a backup: somebody has changed it");
        r = -E_IO;
    }
    if (r == 0)
        p->head.turn = (struct turn){number_of(result, 0), number_of(result, 1), number_of(result, 2), number_of(result, 3)};
    pq.PQclear(result);
    return r;
}

bool postgres_turn_outdated(const struct postgres_db *p)
{
    bool outdated = p->known > 0 && p->head.turn.oldest > p->known;

    if (outdated)
        postgres_tell("a newer ecsd has changed the tables; this one writes no more", "install that version here, too");
    return outdated;
}

int postgres_require(struct db *db, int64_t oldest, int64_t known)
{
    struct postgres_db *p = postgres_of(db);
    char sql[128];

    (void)snprintf(sql, sizeof(sql), "UPDATE turn SET oldest = GREATEST(oldest, %" PRId64 ") WHERE one = 1", oldest);
    p->known = known;
    return postgres_exec(db, sql);
}

static void wait_ms(int ms)
{
    (void)poll(NULL, 0, ms); /* a server that is away tells nobody when it comes back */
}

/* The commit of this moment waits for the standby, if there is one, and with it for all before. */
static int make_durable(struct postgres_db *p)
{
    return postgres_exec(&p->head, "UPDATE commit_token SET token = token" OF_NODE "; COMMIT");
}

/* 0, with how the latest transaction ended. */
static int ask_outcome(struct postgres_db *p, bool *ret_committed)
{
    uint64_t token = 0;
    int r = postgres_connect_again(p);

    if (r == 0)
        r = postgres_turn_take(p);
    if (r == 0)
        r = read_token(p, &token);
    *ret_committed = token == p->token;
    if (r < 0)
        return r;
    return *ret_committed ? make_durable(p) : postgres_exec(&p->head, "ROLLBACK");
}

/* The answer to COMMIT was lost. There is one truth, and as long as nobody can be asked for it, nobody is told. */
static int find_outcome(struct postgres_db *p)
{
    bool committed;

    for (int ms = AGAIN_MIN_MS; ask_outcome(p, &committed) < 0; ms = MIN_OF(2 * ms, AGAIN_MAX_MS))
        wait_ms(ms);
    log_warning("the answer to a commit was lost; its outcome was found out", LOG_TEXT("outcome", committed ? "committed" : "rolled back"));
    return committed ? 0 : -E_IO;
}

int postgres_turn_commit(struct postgres_db *p)
{
    struct turn *turn = &p->head.turn;
    char sql[320];
    PGresult *result;
    int r;

    turn->number++;
    (void)snprintf(sql, sizeof(sql),
                   "UPDATE turn SET number = %" PRId64 ", sequence = %" PRId64 ", tenants = %" PRId64 " WHERE one = 1;"
                   "UPDATE commit_token SET token = %" PRId64 OF_NODE "; COMMIT",
                   turn->number, turn->sequence, turn->tenants, (int64_t)++p->token);
    result = pq.PQexec(p->conn, sql);
    r = postgres_error(p, result);
    if (r == 0 && strcmp(pq.PQcmdStatus(result), "COMMIT") != 0)
        r = -E_IO; /* it says ROLLBACK of a transaction that had failed before */
    pq.PQclear(result);
    return p->certain ? r : find_outcome(p);
}
