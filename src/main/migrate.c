/* SPDX-License-Identifier: Apache-2.0 */
#include "main/migrate.h"

#include <stdio.h>
#include <unistd.h>

#include "base/env.h"
#include "store/store.h"

#define MIGRATE_ARENA_BYTES ((size_t)4 << 20)
#define CACHE_MIB 64
#define CHECKPOINT_MS 200

static const char usage[] = "Usage: ecsd migrate --from URL --to URL\n\n"
                            "Copies all that a store has into an empty one, in one transaction, and compares both before it is kept. No ecsd may\n"
                            "be running on either. URL: sqlite:FILE or postgresql://…\n";

struct urls {
    const char *from;
    const char *to;
};

static bool read_words(int count, char **words, struct urls *ret)
{
    for (int i = 0; i + 1 < count; i += 2) {
        if (strcmp(words[i], "--from") == 0)
            ret->from = words[i + 1];
        else if (strcmp(words[i], "--to") == 0)
            ret->to = words[i + 1];
        else
            return false;
    }
    return count % 2 == 0 && ret->from && ret->to;
}

static void print_table(void *arg, const char *table, int64_t rows)
{
    int64_t *sum = arg;

    *sum += rows;
    printf("%-18s%12lld\n", table, (long long)rows);
}

/* Opening it would make an empty one, and a copy of that looks like success. */
static int check_there(const char *url, struct fail *fail)
{
    const struct str prefix = STR("sqlite:");

    if (str_starts(str_from(url), prefix) && access(url + prefix.len, F_OK) < 0)
        return fail_text(fail, E_NOT_FOUND, "there is no store %s", url);
    return 0;
}

static int copy(const struct urls *urls, struct env *env, struct fail *fail)
{
    struct store_settings settings = {.cache_mib = CACHE_MIB, .checkpoint_ms = CHECKPOINT_MS, .env = env};
    struct store *from = NULL;
    struct store *to = NULL;
    int64_t sum = 0;
    int r = check_there(urls->from, fail);

    if (r == 0)
        r = store_open(urls->from, &settings, fail, &from);
    if (r == 0)
        r = store_open(urls->to, &settings, fail, &to);
    if (r == 0 && store_start(to) < 0)
        r = fail_text(fail, E_LIMIT, "no thread can be made");
    if (r == 0)
        r = store_copy(from, to, print_table, &sum, fail);
    (void)store_close(to);   /* NULL */
    (void)store_close(from); /* NULL */
    if (r == 0)
        printf("%lld rows are there, the same as here.\n", (long long)sum);
    return r;
}

int migrate_main(int count, char **words)
{
    struct env *env = env_new_real();
    struct urls urls = {0};
    struct arena arena;
    struct fail fail;
    int status = 0;

    arena_init(&arena, MIGRATE_ARENA_BYTES);
    fail_init(&fail, &arena);
    if (!read_words(count, words, &urls)) {
        (void)fputs(usage, stderr);
        status = 2;
    } else if (copy(&urls, env, &fail) < 0) {
        (void)fprintf(stderr, "ecsd: %.*s\n", STR_ARG(fail.message));
        status = 1;
    }
    arena_done(&arena);
    (void)env_free(env);
    return status;
}
