/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection to a database, as the store's ring sees it: what differs between drivers and nothing
 * else.
 *
 * Invariants
 * 1. SQL is written once, in the dialect that SQLite and PostgreSQL share, with $1-style
 * parameters; a driver that wants another style translates in its `prepare`, nowhere else.
 * 2. Queries are constants of the program; the text they are prepared from never holds anything
 * that a client sent.
 * 3. A connection is used by one thread at a time. A prepared statement lives as long as its
 * connection.
 * 4. Text that `column` gives is the driver's and lives until the next step or reset of that
 * statement.
 */
#pragma once

#include "base/fail.h"
#include "store/store.h"

enum value_kind { VALUE_NULL, VALUE_I64, VALUE_DOUBLE, VALUE_TEXT, VALUE_BLOB };

struct value {
    enum value_kind kind;
    union {
        int64_t i64;
        double number;
        struct str text; /* VALUE_TEXT, VALUE_BLOB */
    };
};

/* An absent text is NULL. */
static inline struct value value_of_str(struct str s)
{
    return (struct value){.kind = s.ptr ? VALUE_TEXT : VALUE_NULL, .text = s};
}
#define V_STR(s) value_of_str(s)
#define V_I64(n) ((struct value){.kind = VALUE_I64, .i64 = (n)})
#define V_BLOB(s) ((struct value){.kind = VALUE_BLOB, .text = (s)})

struct table;
struct stmt;

/*
 * A statement of the program. In `text`: {c} the table's columns, {v} a parameter for each, {s}
 * column = parameter for each, {1} the first parameter after those. A query is prepared once per
 * connection, found by its address.
 */
struct query {
    const char *text;
    const struct table *table;
};

#define DB_STATEMENTS                                                                              \
    256 /* slots of the statement cache; the program has about half as many queries */

/*
 * What the nodes on a shared store agree on, in the order of their writing transactions: begin reads it, what is here at commit
 * is stored with the rest.
 */
struct turn {
    int64_t number;   /* counts them: the driver's */
    int64_t sequence; /* the largest that env_sequence has given to any of them */
    int64_t tenants;  /* grows when an account or a key has changed */
    int64_t oldest;   /* who knows fewer migrations may not write: the driver's, see `require` */
};

struct db {
    const struct db_ops *ops;
    struct turn turn; /* all 0 where nobody shares */
    bool doubt;       /* a posted change has failed: the transaction is over, and which write's it was is not known */
    struct {
        const struct query *query;
        struct stmt *stmt;
    } cache[DB_STATEMENTS];
};

enum db_checkpoint {
    DB_CHECKPOINT_PASSIVE,  /* what can be moved without disturbing anybody */
    DB_CHECKPOINT_RESTART,  /* all, then the log is overwritten from its start */
    DB_CHECKPOINT_TRUNCATE, /* all, then the log's file is emptied */
};

struct db_ops {
    const char *name;
    struct db *(*close)(struct db *db);              /* NULL; finalizes the cache */
    int (*begin)(struct db *db, bool write);         /* 0, -E_BUSY, -E_IO … and so on */
    int (*commit)(struct db *db);                    /* durable when it returns 0 */
    void (*rollback)(struct db *db);                 /* harmless without a transaction */
    int (*savepoint)(struct db *db, size_t depth);   /* opens number `depth` */
    int (*release)(struct db *db, size_t depth);     /* keeps what came after it */
    int (*rollback_to)(struct db *db, size_t depth); /* undoes and closes it */
    bool (*in_transaction)(struct db *db);           /* false: an error ended it */
    int (*exec)(struct db *db, const char *sql);     /* several statements, no rows */
    int (*prepare)(struct db *db, const char *sql, struct stmt **ret); /* once per query */
    int (*bind)(struct db *db, struct stmt *stmt, const struct value *values, size_t count);
    int (*step)(struct db *db, struct stmt *stmt);   /* 1: a row, 0: the end, or -E_… */
    /* A change of that many rows, as a step whose outcome a later call may tell: `doubt`. NULL: waiting costs nothing. */
    int (*post)(struct db *db, struct stmt *stmt, int64_t rows);
    void (*reset)(struct db *db, struct stmt *stmt); /* ready for the next bind */
    void (*column)(struct db *db, struct stmt *stmt, size_t index, struct value *ret);
    size_t (*columns)(struct db *db, struct stmt *stmt); /* of the row that it stands at */
    int64_t (*changed)(struct db *db); /* rows of the latest change */
    int (*checkpoint)(struct db *db,
                      enum db_checkpoint mode); /* 0 when all was moved, -E_BUSY, … */
    int64_t (*log_pages)(struct db *db);        /* length of the log after a commit */
    int (*renew_log)(struct db *db); /* what a process before us wrote to the log is on the disk: 0 */
};

struct db_driver {
    const char *name;
    const char *key_type;   /* a 64-bit integer that is a primary key: {key} in the schema */
    const char *bytes_type; /* {bytes} */
    const char *text_type;  /* {text}: whatever a guest or a script says, which may be no UTF-8 */
    const char
        *compact; /* clause of a table that is its own primary index: {compact} in the schema */
    bool shared; /* several processes write, each as a node of its own: struct turn */
    int (*open)(const char *path, int64_t cache_kib, struct fail *fail, struct db **ret);
    /* Nobody else writes as this node as long as this connection lives. NULL: `path` is a file, whose folder has a lock. */
    int (*lock)(struct db *db, struct str node, struct fail *fail);
    /*
     * From this transaction's commit on, no node whose program knows fewer than `oldest` migrations can write; `db` knows `known`.
     * NULL: nobody else has the database open.
     */
    int (*require)(struct db *db, int64_t oldest, int64_t known);
};

extern const struct db_driver sqlite_driver;

/* The connection's statement of `query`, or NULL when it was not prepared yet; db_cache remembers
 * it. */
struct stmt *db_cached(const struct db *db, const struct query *query);
void db_cache(struct db *db, const struct query *query, struct stmt *stmt);

/* As store_open, with a driver of one's choice (tests). `path` is the driver's. */
int store_open_with(const struct db_driver *driver, const char *path,
                    const struct store_settings *settings, struct fail *fail, struct store **ret)
    must_check;

/*
 * fault.c wraps the SQLite driver: the call number `at` (1: the next) of those that can fail
 * returns -code without being made; `lose` also ends the transaction, as a real full disk may. One
 * plan for the process; tests only.
 */
struct fault_plan {
    int64_t at; /* 0: never */
    int code;   /* E_IO, E_NO_SPACE, E_BUSY */
    bool lose;
    int64_t calls; /* counted since the plan was set */
    bool hit;
};
extern const struct db_driver fault_driver;
void fault_set(int64_t at, int code, bool lose);
struct fault_plan fault_get(void);
