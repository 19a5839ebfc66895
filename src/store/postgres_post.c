/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Posts: changes whose answers nobody waits for. They are collected in piles (postgres_pile.c), which are sent one behind the other
 * (libpq's pipeline mode), and what the server said is read at the next statement that has to be waited for: it settles what was posted
 * before it.
 *
 * So changes reach the server in another order than they were posted in. That of two tables is no matter: no posted statement looks at
 * a second table. Of one table, rows are inserted before any is changed, since a posted change is of one row, which somebody has to have
 * inserted before; and two changes of a row are sent in their order.
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

/* The server tries nothing behind a failure, up to the mark that is set here. */
static int collect(struct postgres_db *p, PGresult **ret_last)
{
    bool sent = pq.PQpipelineSync(p->conn) == 1;
    int r = read_answers(p, ret_last);

    pq.PQclear(pq.PQgetResult(p->conn)); /* the mark's */
    p->posts = 0;
    if (!sent)
        p->certain = false;
    return r < 0 || sent ? r : -E_IO;
}

/* ── sending ── */

static int send(struct postgres_db *p, const struct postgres_stmt *stmt, const char *name, int64_t expected)
{
    int r = p->posts == POSTS_MAX ? collect(p, NULL) : 0;

    if (r < 0)
        return r;
    if (pq.PQsendQueryPrepared(p->conn, name, stmt->count, stmt->values, stmt->lengths, stmt->formats, 1) != 1)
        return postgres_error(p, NULL);
    p->expected[p->posts++] = expected;
    return 0;
}

static int send_row(struct postgres_db *p, struct postgres_stmt *stmt, int64_t expected)
{
    int r;

    postgres_format(stmt);
    r = send(p, stmt, stmt->name, expected);
    if (r == 0 && p->posts % POSTS_HELD == 0)
        (void)pq.PQflush(p->conn); /* what fails here fails again when it is settled */
    return r;
}

static int send_pile(struct postgres_db *p, struct postgres_stmt *stmt)
{
    struct pile *pile = stmt->pile;
    bool one = pile->rows == 1; /* then the arrays cost more than they save */
    int r;

    (one ? pile_only_row : pile_parameters)(pile, stmt->values, stmt->lengths, stmt->formats);
    stmt->count = pile->count;
    r = send(p, stmt, one ? stmt->name : pile->name, pile->expected);
    pile_clear(pile);
    (void)pq.PQflush(p->conn); /* as above */
    return r;
}

static bool waits(const struct postgres_stmt *stmt, enum pile_kind kind, struct str table)
{
    const struct pile *pile = stmt->pile;

    return pile && pile->rows > 0 && pile->kind == kind && (!table.ptr || str_eq(table, pile->table));
}

static int send_piles(struct postgres_db *p, enum pile_kind kind, struct str table)
{
    int r = 0;

    for (struct postgres_stmt *stmt = p->statements; r == 0 && stmt; stmt = stmt->next)
        if (waits(stmt, kind, table))
            r = send_pile(p, stmt);
    return r;
}

/* What waits for a table, or for any. */
static int send_all(struct postgres_db *p, struct str table)
{
    int r = send_piles(p, PILE_INSERT, table);

    return r < 0 ? r : send_piles(p, PILE_UPDATE, table);
}

void postgres_drop_piles(struct postgres_db *p)
{
    for (struct postgres_stmt *stmt = p->statements; stmt; stmt = stmt->next)
        if (stmt->pile && stmt->pile->rows > 0)
            pile_clear(stmt->pile);
}

/* ── settling ── */

static int settle(struct postgres_db *p, PGresult **ret_last)
{
    int r = collect(p, ret_last);

    p->posting = false;
    if (pq.PQexitPipelineMode(p->conn) != 1) {
        p->certain = false;
        r = r < 0 ? r : -E_IO;
    }
    return r;
}

int postgres_settle(struct postgres_db *p)
{
    int sent;
    int settled;

    if (!p->posting)
        return 0;
    sent = send_all(p, STR_NONE);
    settled = settle(p, NULL);
    return sent < 0 ? sent : settled;
}

/* ── posting ── */

/* What the statement is like: asked once. */
static int learn(struct postgres_db *p, struct postgres_stmt *stmt)
{
    Oid types[PARAMETERS_MAX] = {0};
    PGresult *result;
    int r = postgres_settle(p);

    if (r < 0)
        return r;
    result = pq.PQdescribePrepared(p->conn, stmt->name);
    r = postgres_error(p, result);
    for (int i = 0; r == 0 && i < stmt->count; i++)
        types[i] = pq.PQparamtype(result, i);
    pq.PQclear(result);
    if (r == 0)
        stmt->pile = pile_new(stmt, types);
    return r;
}

/* The session can be sent it, and is in pipeline mode. */
static int make_ready(struct postgres_db *p, struct postgres_stmt *stmt)
{
    int r = postgres_make_known(p, stmt);

    if (r == 0 && !stmt->pile)
        r = learn(p, stmt);
    if (r == 0 && stmt->pile->kind != PILE_NONE)
        r = postgres_prepare_as(p, stmt->pile->name, stmt->pile->sql, &stmt->pile->session);
    if (r == 0 && !p->posting && pq.PQenterPipelineMode(p->conn) != 1)
        return postgres_error(p, NULL);
    p->posting |= r == 0;
    return r;
}

/* Two changes of a row are two statements. */
static bool has_to_wait_for(const struct postgres_stmt *other, const struct postgres_stmt *stmt)
{
    return waits(other, PILE_UPDATE, stmt->pile->table) && (other != stmt || pile_may_have(other->pile, stmt->bound));
}

static int send_before(struct postgres_db *p, const struct postgres_stmt *stmt)
{
    bool wait = stmt->pile->kind == PILE_NONE;

    for (const struct postgres_stmt *other = p->statements; other && stmt->pile->kind == PILE_UPDATE && !wait; other = other->next)
        wait = has_to_wait_for(other, stmt);
    return wait ? send_all(p, stmt->pile->table) : 0;
}

static int add_row(struct postgres_db *p, struct postgres_stmt *stmt, int64_t expected)
{
    if (stmt->pile->kind == PILE_NONE)
        return send_row(p, stmt, expected);
    pile_add(stmt->pile, stmt->bound, expected);
    return pile_is_full(stmt->pile) ? send_all(p, stmt->pile->table) : 0;
}

int postgres_post(struct db *db, struct stmt *stmt, int64_t rows)
{
    struct postgres_db *p = postgres_of(db);
    struct postgres_stmt *s = postgres_stmt_of(stmt);
    int r = make_ready(p, s);

    if (r == 0)
        r = send_before(p, s);
    return r < 0 ? r : add_row(p, s, rows);
}

int postgres_post_and_wait(struct postgres_db *p, struct postgres_stmt *stmt)
{
    int sent = send_all(p, STR_NONE);
    int settled;

    if (sent == 0)
        sent = send_row(p, stmt, POST_ANY);
    settled = settle(p, sent == 0 ? &stmt->result : NULL);
    return sent < 0 ? sent : settled;
}
