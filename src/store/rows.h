/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Model struct ↔ columns, by tables; and the few ways in which the rest of this ring talks to the
 * database.
 *
 * Invariants
 * 1. A struct's columns are listed once, in one order; SQL texts are made of that list when a query
 * is prepared.
 * 2. Everything that changes rows goes through rows_change or rows_save, so that savepoints can be
 * opened at the first change.
 * 3. NULL in the database is an absent text; numbers and booleans are never NULL.
 */
#pragma once

#include "store/db.h"

enum column_kind { COLUMN_STR, COLUMN_INT, COLUMN_I64, COLUMN_BOOL, COLUMN_DOUBLE };

struct column {
    const char *name;
    enum column_kind kind;
    size_t offset;
};

struct table {
    const struct column *columns;
    size_t count;
    size_t size; /* of the struct */
};

#define COLUMN_KIND(x)                                                                             \
    _Generic((x), struct str                                                                       \
             : COLUMN_STR, int                                                                     \
             : COLUMN_INT, int64_t                                                                 \
             : COLUMN_I64, bool                                                                    \
             : COLUMN_BOOL, double                                                                 \
             : COLUMN_DOUBLE)
#define COLUMN(type, member)                                                                       \
    {                                                                                              \
#member, COLUMN_KIND(((type *)0)->member), offsetof(type, member)                          \
    }
#define TABLE(type, list)                                                                          \
    {                                                                                              \
        .columns = (list), .count = countof(list), .size = sizeof(type)                            \
    }
#define COLUMNS_MAX 64 /* columns and further parameters of one statement */

#define ARGS(...)                                                                                  \
    (const struct value[]){__VA_ARGS__}, countof(((const struct value[]){__VA_ARGS__}))
#define NO_ARGS NULL, 0

/* Prepared on this connection if it isn't yet. */
int rows_statement(struct tx *tx, const struct query *query, struct stmt **ret) must_check;

/* Runs a change; *ret_changed (may be NULL) gets the number of rows. */
int rows_change(struct tx *tx, const struct query *query, const struct value *args, size_t count,
                int64_t *ret_changed) must_check;
/* As rows_change, with the columns of `object` as the first parameters. */
int rows_save(struct tx *tx, const struct query *query, const void *object,
              const struct value *args, size_t count, int64_t *ret_changed) must_check;
/* rows_save of "INSERT … ON CONFLICT DO NOTHING": -E_EXISTS when no row came. */
int rows_insert(struct tx *tx, const struct query *query, const void *object) must_check;
/* rows_change that has to meet a row: -E_NOT_FOUND when it doesn't. */
int rows_must_change(struct tx *tx, const struct query *query, const struct value *args,
                     size_t count) must_check;

/*
 * A change of one row that fails only when something has gone wrong. Where waiting for the answer costs much and the batch can be run
 * again, nobody does: 0 now, and when a row was not met after all, the batch is run again with rows_change. `otherwise` is what the
 * caller gets then. Not for what callers may try in vain.
 */
int rows_post(struct tx *tx, const struct query *query, const struct value *args, size_t count, int otherwise) must_check;
/* So it is in this batch. */
bool rows_are_posted(const struct tx *tx);
/* With the columns of `object` as the first parameters. */
int rows_post_row(struct tx *tx, const struct query *query, const void *object, const struct value *args, size_t count,
                  int otherwise) must_check;

/* The first row as a struct on the arena; -E_NOT_FOUND. */
int rows_one(struct tx *tx, const struct query *query, const struct value *args, size_t count,
             void *ret) must_check;
/* All rows as an array on the arena; no rows: NULL and 0. `ret` is the address of a pointer. */
int rows_all(struct tx *tx, const struct query *query, const struct value *args, size_t count,
             void *ret, size_t *ret_count) must_check;
/* All rows of one text column. */
int rows_texts(struct tx *tx, const struct query *query, const struct value *args, size_t count,
               struct str_list *ret) must_check;
/* The number in the first column of the first row; `otherwise` when there is none or it is NULL. */
int rows_number(struct tx *tx, const struct query *query, const struct value *args, size_t count,
                int64_t otherwise, int64_t *ret) must_check;

/*
 * Row by row, without copies: while (rows_next(…) > 0) …; then rows_end. `rows_start` of a query
 * that is running on this connection is an assertion.
 */
struct rows {
    struct tx *tx;
    struct stmt *stmt;
};
int rows_start(struct tx *tx, const struct query *query, const struct value *args, size_t count,
               struct rows *ret) must_check;
int rows_next(struct rows *rows) must_check; /* 1, 0 or -E_… */
void rows_end(struct rows *rows);
int64_t rows_i64(const struct rows *rows, size_t index);
struct str rows_text(const struct rows *rows, size_t index); /* borrowed until the next step */
/* The row as a struct whose texts are borrowed until the next step; rows_keep moves them to the
 * arena. */
void rows_peek(const struct rows *rows, const struct table *table, void *object);
void rows_keep(struct tx *tx, const struct table *table, void *object);
