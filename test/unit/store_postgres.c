/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The conformance suite on PostgreSQL: test/postgres/server.py starts a server and says in ECSD_POSTGRES where it is. Each store gets a
 * schema of its own, named after the path that it would have as a file.
 */
#include "conform/store.c"

#include <libpq-fe.h>
#include <stdlib.h>

#include "base/hash.h"
#include "store/postgres.h"

static void make_schema(const char *server, const char *name)
{
    char sql[256];
    PGconn *conn = PQconnectdb(server);

    (void)snprintf(sql, sizeof(sql), "SET client_min_messages = warning; CREATE SCHEMA IF NOT EXISTS %s", name);
    PQclear(PQexec(conn, sql));
    PQfinish(conn);
}

static int open_schema(const char *path, int64_t cache_kib, struct fail *fail, struct db **ret)
{
    const char *server = getenv("ECSD_POSTGRES");
    uint8_t digest[SHA256_BYTES];
    char name[2 * SHA256_BYTES + 2] = "s";
    char url[1024];

    hash_sha256(str_from(path), digest);
    hex_encode(digest, 8, name + 1);
    make_schema(server, name);
    (void)snprintf(url, sizeof(url), "%s options='-c search_path=%s' application_name='ecsd %ld'", server, name, (long)getpid());
    return postgres_driver.open(url, cache_kib, fail, ret);
}

int main(void)
{
    struct db_driver driver = postgres_driver;

    if (!getenv("ECSD_POSTGRES")) {
        (void)puts("skipped: run it by test/postgres/server.py");
        return 77;
    }
    driver.open = open_schema;
    return conform_store("store on postgresql", &driver);
}
