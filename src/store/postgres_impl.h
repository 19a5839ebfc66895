/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the PostgreSQL driver share. */
#pragma once

#include "base/buf.h"
#include "base/mem.h"
#include "store/postgres.h"
#include "store/postgres_api.h"

#define TEXT_OF_NUMBER 32
#define PARAMETERS_MAX 64 /* COLUMNS_MAX of rows.h */
/* Unanswered ones. Each answer is some 40 bytes: all of them fit into a socket's buffer, so that the server never waits for us to read. */
#define POSTS_MAX 512
#define POST_ANY (-1) /* not one that changes: the number of its rows says nothing */

/* pg_type.dat */
enum { TYPE_BYTES = 17, TYPE_I64 = 20, TYPE_I16 = 21, TYPE_I32 = 23, TYPE_TEXT = 25, TYPE_DOUBLE = 701 };

/* What may be collected of a statement's changes: see postgres_pile.c. */
enum pile_kind {
    PILE_NONE, /* nothing: they are sent one by one */
    PILE_INSERT,
    PILE_UPDATE,
};

#define PILE_SEEN_WORDS 64

struct pile {
    enum pile_kind kind;
    struct str table; /* points into the statement's SQL */
    char *sql;        /* with arrays */
    char name[28];    /* that it is prepared under, in this session */
    unsigned session;
    int key;          /* PILE_UPDATE: the parameter that names the row */
    int count;        /* parameters */
    Oid types[PARAMETERS_MAX];
    struct buf columns[PARAMETERS_MAX]; /* an array for each, as the server reads it */
    size_t rows;
    int64_t expected; /* how many rows of the table they change */
    uint64_t seen[PILE_SEEN_WORDS]; /* bits of the keys */
};

struct postgres_stmt {
    struct postgres_stmt *next;
    char *sql;
    char name[24];
    unsigned session; /* the one that it is prepared in */
    struct pile *pile; /* NULL: it has not been posted yet */
    int count;
    struct value bound[PARAMETERS_MAX];
    const char *values[PARAMETERS_MAX];
    int lengths[PARAMETERS_MAX];
    int formats[PARAMETERS_MAX]; /* 1: as it is; 0: a number, as text */
    char numbers[PARAMETERS_MAX][TEXT_OF_NUMBER];
    PGresult *result; /* of the step under way */
    int row;
};

struct postgres_db {
    struct db head;
    PGconn *conn;
    unsigned session;
    unsigned named;
    bool writer;   /* each session of it has to take the locks */
    bool has_lock; /* this session has them */
    bool writes;
    bool certain;   /* the latest statement has an outcome: the server said it, and goes on */
    char *node;     /* the writer's */
    int64_t known;  /* migrations; 0: not told yet */
    uint64_t token; /* of the latest writing transaction */
    int64_t changed;
    bool posting; /* libpq is in pipeline mode, or something waits in a pile */
    size_t posts; /* unanswered */
    int64_t expected[POSTS_MAX]; /* how many rows each of them has to change; POST_ANY */
    struct postgres_stmt *statements;
};

static inline struct postgres_db *postgres_of(struct db *db)
{
    return container_of(db, struct postgres_db, head);
}

static inline struct postgres_stmt *postgres_stmt_of(struct stmt *stmt)
{
    return (struct postgres_stmt *)(void *)stmt;
}

/* 0 when the result is one of success; else -E_…, and the log has what to do. */
int postgres_error(struct postgres_db *p, const PGresult *result);

/* What the server said last, in a line. */
struct str postgres_said(const struct postgres_db *p);
/* To the log, but not each time. */
void postgres_tell(const char *error, const char *advice);
int postgres_exec(struct db *db, const char *sql);
/* Is its one value this one? */
bool postgres_answers(struct postgres_db *p, const char *sql, const char *expected);
/* A new session instead of a lost one; the writer's with all that it needs. -E_BUSY: the session before still has the lock. */
int postgres_connect_again(struct postgres_db *p);

/* postgres_turn.c. Of struct db_driver: makes `db` the writer of `node`. */
int postgres_lock(struct db *db, struct str node, struct fail *fail);
/* Of struct db_driver: who may write from now on. */
int postgres_require(struct db *db, int64_t oldest, int64_t known);
/* A new session becomes a writer's: its settings and locks. -E_BUSY: another session has the lock. */
int postgres_turn_session(struct postgres_db *p);
/* Begins a transaction, waits for the turn and reads it. */
int postgres_turn_take(struct postgres_db *p);
/* In a turn: whether a newer ecsd has changed the tables, so that this one must not write. */
bool postgres_turn_outdated(const struct postgres_db *p);
/* Writes the turn and commits. A lost answer is looked for until it is found. */
int postgres_turn_commit(struct postgres_db *p);

/* postgres_post.c. Waits for the answers to all that was posted; before anything is said to the session in another way. */
int postgres_settle(struct postgres_db *p);
/* A statement whose rows are wanted, behind those that were posted: one round trip for all. */
int postgres_post_and_wait(struct postgres_db *p, struct postgres_stmt *stmt);
int postgres_post(struct db *db, struct stmt *stmt, int64_t rows);

/* Nothing that was posted and not sent yet will be. */
void postgres_drop_piles(struct postgres_db *p);

/* postgres_pile.c. How a statement's changes are collected, by its text and what the server takes its parameters for; pile_free's. */
struct pile *pile_new(const struct postgres_stmt *stmt, const Oid oids[]);
/* Returns NULL; NULL is fine. */
struct pile *pile_free(struct pile *pile);
/* Whether a change of that row may be in it; rarely true when it isn't. */
bool pile_may_have(const struct pile *pile, const struct value *values);
void pile_add(struct pile *pile, const struct value *values, int64_t expected);
bool pile_is_full(const struct pile *pile);
/* The arrays, or the values of the only row; borrowed until the next change of the pile. */
void pile_only_row(const struct pile *pile, const char *values[], int lengths[], int formats[]);
void pile_parameters(const struct pile *pile, const char *values[], int lengths[], int formats[]);
void pile_clear(struct pile *pile);

/* The session has it prepared. */
int postgres_make_known(struct postgres_db *p, struct postgres_stmt *stmt);
/* The session has `sql` prepared under that name, when *session is the session's number. */
int postgres_prepare_as(struct postgres_db *p, const char *name, const char *sql, unsigned *session);
/* Its parameters as libpq takes them. */
void postgres_format(struct postgres_stmt *stmt);

/* Of struct db_ops. */
int postgres_prepare(struct db *db, const char *sql, struct stmt **ret);
int postgres_bind(struct db *db, struct stmt *stmt, const struct value *values, size_t count);
int postgres_step(struct db *db, struct stmt *stmt);
void postgres_reset(struct db *db, struct stmt *stmt);
void postgres_column(struct db *db, struct stmt *stmt, size_t index, struct value *ret);
size_t postgres_columns(struct db *db, struct stmt *stmt);
int64_t postgres_changed(struct db *db);
/* Frees all statements of the connection. */
void postgres_forget(struct postgres_db *p);
