/* SPDX-License-Identifier: Apache-2.0 */
/* A store in a folder of its own, for tests of the store's ring. */
#pragma once

#include <unistd.h>

#include "unit/unit.h"

#include "store/core.h"

#define ACCOUNT STR("1234567890123456")
#define REGION STR("cn-hangzhou")

struct fixture {
    char folder[64];
    char path[96];
    struct env *env;
    struct arena arena;
    struct store *store;
};

static inline void fixture_open_with(struct fixture *f, const struct db_driver *driver)
{
    struct store_settings settings = {.cache_mib = 8, .checkpoint_ms = 100, .env = f->env};
    struct fail fail;

    fail_init(&fail, &f->arena);
    int r = store_open_with(driver, f->path, &settings, &fail, &f->store);
    if (r < 0)
        print_error("store_open: %.*s\n", STR_ARG(fail.message));
    assert_int_equal(r, 0);
}

static inline void fixture_open(struct fixture *f)
{
    fixture_open_with(f, &sqlite_driver);
}

/* A folder and an environment; no store yet. */
static inline void fixture_init(struct fixture *f)
{
    *f = (struct fixture){.folder = "/tmp/ecsd-store-XXXXXX"};
    assert_non_null(mkdtemp(f->folder));
    (void)snprintf(f->path, sizeof(f->path), "%s/ecsd.db", f->folder);
    f->env = env_new_real();
    arena_init(&f->arena, (size_t)512 << 20);
}

static inline void fixture_done(struct fixture *f)
{
    static const char *const names[] = {"ecsd.db", "ecsd.db-wal", "ecsd.db-shm", "lock"};
    char path[128];

    f->store = store_close(f->store);
    for (size_t i = 0; i < countof(names); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", f->folder, names[i]);
        (void)unlink(path); /* some are there only at times */
    }
    assert_int_equal(rmdir(f->folder), 0);
    f->env = env_free(f->env);
    arena_done(&f->arena);
}

/* A plausible instance; texts live on the fixture's arena. */
static inline struct instance fixture_instance(struct fixture *f)
{
    struct instance inst = {
        .id = env_id(f->env, &f->arena, "i-"),
        .account_id = ACCOUNT,
        .region_id = REGION,
        .zone_id = STR("cn-hangzhou-b"),
        .state = INSTANCE_STATE_RUNNING,
        .version = 1,
        .incarnation = 1,
        .host_id = STR("host-1"),
        .stopped_mode = STOPPED_MODE_KEEP_CHARGING,
        .type_id = STR("ecs.g6.large"),
        .charge_type = CHARGE_TYPE_POST_PAID,
        .state_since_us = env_now(f->env),
        .started_us = env_now(f->env),
        .image_id = STR("debian_12_x64"),
        .name = STR("web"),
        .host_name = STR("web"),
        .vpc_id = STR("vpc-1"),
        .vswitch_id = STR("vsw-1"),
        .private_ip = STR("10.0.0.1"),
        .created_us = env_now(f->env),
    };

    inst.host_name = inst.id;
    return inst;
}
