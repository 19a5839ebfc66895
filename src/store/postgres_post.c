/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Posts: changes whose answers nobody waits for. They are sent one behind the other (libpq's pipeline mode), and what the server said
 * is read at the next statement that has to be waited for: it settles what was posted before it.
 *
 * No COMMIT is sent before all answers are there. One of them may be no error and still not what was expected: a row was not met.
 */
#include <stdlib.h>

#include "store/postgres_impl.h"

/* So that the server works on some while the next are made. */
#define POSTS_HELD 16

/* ── an answer ── */

static int64_t rows_of(PGresult *result)
{
    return strtoll(pq.PQcmdTuples(result), NULL, 10);
}

/* Of a post that has failed nobody can say here which write it was: all are to be made anew, each awaited. */
static int judge(struct postgres_db *p, PGresult *result, int64_t expected)
{
    int r = postgres_error(p, result);

    if (r == 0 && expected != POST_ANY && rows_of(result) != expected)
        r = -E_CONFLICT;
    p->head.doubt |= r < 0 && r != -E_AGAIN && expected != POST_ANY && pq.PQstatus(p->conn) == CONNECTION_OK;
    return r;
}

/* A statement's answer, and the NULL behind it. NULL: the session is lost. */
static PGresult *take_answer(struct postgres_db *p)
{
    PGresult *result = pq.PQgetResult(p->conn);
    PGresult *more;

    while (result && (more = pq.PQgetResult(p->conn)))
        pq.PQclear(more); /* a lost session's farewell */
    return result;
}

/* ── settling ── */

/* *ret_last, if wanted, gets the answer to the last one. */
static int read_answers(struct postgres_db *p, PGresult **ret_last)
{
    int r = 0;

    for (size_t i = 0; i < p->posts; i++) {
        PGresult *result = take_answer(p);

        if (r == 0) /* what follows a failure was not tried */
            r = judge(p, result, p->expected[i]);
        if (r == 0 && ret_last && i + 1 == p->posts)
            *ret_last = steal(&result);
        pq.PQclear(result);
    }
    return r;
}

/* The server tries nothing behind a failure, up to the mark that the pipeline ends with. */
static int settle(struct postgres_db *p, PGresult **ret_last)
{
    bool sent = pq.PQpipelineSync(p->conn) == 1;
    int r = read_answers(p, ret_last);

    pq.PQclear(pq.PQgetResult(p->conn)); /* the mark's */
    p->posts = 0;
    p->posting = false;
    if (pq.PQexitPipelineMode(p->conn) != 1 || !sent) {
        p->certain = false;
        r = r < 0 ? r : -E_IO;
    }
    return r;
}

int postgres_settle(struct postgres_db *p)
{
    return p->posting ? settle(p, NULL) : 0;
}

/* ── posting ── */

static int send(struct postgres_db *p, const struct postgres_stmt *stmt, int64_t expected)
{
    if (!p->posting && pq.PQenterPipelineMode(p->conn) != 1)
        return postgres_error(p, NULL);
    p->posting = true;
    if (pq.PQsendQueryPrepared(p->conn, stmt->name, stmt->count, stmt->values, stmt->lengths, stmt->formats, 1) != 1)
        return postgres_error(p, NULL);
    p->expected[p->posts++] = expected;
    return 0;
}

int postgres_post(struct db *db, struct stmt *stmt, int64_t rows)
{
    struct postgres_db *p = postgres_of(db);
    int r = postgres_make_known(p, postgres_stmt_of(stmt));

    if (r == 0 && p->posts == POSTS_MAX)
        r = postgres_settle(p);
    if (r == 0)
        r = send(p, postgres_stmt_of(stmt), rows);
    if (r == 0 && p->posts % POSTS_HELD == 0)
        (void)pq.PQflush(p->conn); /* what fails here fails again when it is settled */
    return r;
}

int postgres_post_and_wait(struct postgres_db *p, struct postgres_stmt *stmt)
{
    int r = p->posts == POSTS_MAX ? postgres_settle(p) : 0;

    if (r == 0)
        r = send(p, stmt, POST_ANY);
    return r < 0 ? r : settle(p, &stmt->result);
}
