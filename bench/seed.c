/* SPDX-License-Identifier: Apache-2.0 */
/*
 * seed: puts N stopped instances into the store of a data folder whose daemon is not running, so that pages can be
 * measured at sizes that would take long to launch. StopCharging: they hold no capacity, and no host knows them.
 *
 *   seed --data DIR --instances N
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/limits.h"
#include "store/store.h"

#define BATCH 2000

struct seed {
    struct env *env;
    int64_t left;
    int64_t made;
    struct arena arena; /* of what follows */
    struct str account_id, region_id, zone_id, vpc_id, vswitch_id, group_id;
};

static const char *const types[] = {"ecs.g6.large", "ecs.c6.large", "ecs.g7.xlarge", "ecs.t5-lc1m1.small"};

static void fill(struct seed *seed, struct tx *tx, struct instance *inst)
{
    struct arena *arena = tx_arena(tx);
    usec_t now = tx_now(tx);
    int64_t n = seed->made;

    inst->id = env_id(seed->env, arena, "i-");
    inst->account_id = seed->account_id;
    inst->region_id = seed->region_id;
    inst->zone_id = seed->zone_id;
    inst->state = INSTANCE_STATE_STOPPED;
    inst->stopped_mode = STOPPED_MODE_STOP_CHARGING;
    inst->type_id = str_from(types[n % (int64_t)countof(types)]);
    inst->incarnation = 1;
    inst->state_since_us = inst->started_us = inst->created_us = now;
    inst->name = arena_printf(arena, "seed-%07lld", (long long)n);
    inst->host_name = inst->name;
    inst->image_id = STR("debian_12_6_x64_20G_alibase_20240711.vhd");
    inst->os_name = inst->os_name_en = STR("Debian 12 64 bit");
    inst->os_type = STR("linux");
    inst->vpc_id = seed->vpc_id;
    inst->vswitch_id = seed->vswitch_id;
    inst->private_ip = arena_printf(arena, "10.%d.%d.%d", (int)(n >> 16 & 255), (int)(n >> 8 & 255), (int)(n & 255));
    inst->mac = STR("00:16:3e:00:00:01");
    inst->eni_id = env_id(seed->env, arena, "eni-");
    inst->serial_number = inst->id;
    inst->metadata_options = STR("enabled,optional,0");
}

static int put_batch(struct tx *tx, void *arg)
{
    struct seed *seed = arg;
    int r = 0;

    for (int n = 0; n < BATCH && seed->left > 0 && r == 0; n++, seed->left--, seed->made++) {
        struct instance *inst = arena_new(tx_arena(tx), struct instance);

        fill(seed, tx, inst);
        r = store_instance_insert(tx, inst);
        if (r == 0)
            r = store_group_join(tx, inst->id, seed->group_id);
    }
    return r;
}

/* The first account's default network, in its first region with one. */
static int find_network(struct seed *seed, struct tx *tx)
{
    struct account *accounts;
    size_t count;
    struct vpc *vpc;
    struct vswitch *vswitch;
    struct security_group *group;
    struct str region = STR("cn-hangzhou");
    int r;

    r = store_account_list(tx, &accounts, &count);
    if (r < 0 || count == 0)
        return -E_NOT_FOUND;
    r = store_vpc_default(tx, accounts[0].id, region, &vpc);
    if (r < 0)
        return r;
    r = store_vswitch_default(tx, accounts[0].id, region, STR_NONE, &vswitch);
    if (r < 0)
        return r;
    r = store_group_default(tx, accounts[0].id, region, &group);
    if (r < 0)
        return r;
    seed->account_id = arena_str(&seed->arena, accounts[0].id);
    seed->region_id = arena_str(&seed->arena, region);
    seed->zone_id = arena_str(&seed->arena, vswitch->zone_id);
    seed->vpc_id = arena_str(&seed->arena, vpc->id);
    seed->vswitch_id = arena_str(&seed->arena, vswitch->id);
    seed->group_id = arena_str(&seed->arena, group->id);
    return 0;
}

static int seed_all(struct seed *seed, const char *data)
{
    struct store_settings settings = {.cache_mib = 256, .checkpoint_ms = 200, .env = seed->env};
    struct arena arena;
    struct fail fail;
    struct store *store;
    struct tx *reader;
    char url[4096];
    int r;

    arena_init(&arena, LIMIT_STEP_ARENA_BYTES);
    arena_init(&seed->arena, 1 << 16);
    fail_init(&fail, &arena);
    snprintf(url, sizeof(url), "sqlite:%s/ecsd.db", data);
    r = store_open(url, &settings, &fail, &store);
    if (r < 0) {
        fprintf(stderr, "seed: %.*s\n", STR_ARG(fail.message));
        return r;
    }
    reader = store_read_begin(store);
    r = find_network(seed, reader);
    store_read_end(reader); /* an open snapshot would keep the log from starting over */
    while (r == 0 && seed->left > 0)
        r = store_write(store, put_batch, seed);
    store_close(store);
    arena_done(&seed->arena);
    arena_done(&arena);
    return r;
}

int main(int argc, char **argv)
{
    static const struct option flags[] = {
        {"data", required_argument, NULL, 'd'}, {"instances", required_argument, NULL, 'n'}, {NULL, 0, NULL, 0}};
    struct seed seed = {0};
    const char *data = NULL;
    int flag, r;

    while ((flag = getopt_long(argc, argv, "", flags, NULL)) != -1) {
        if (flag == 'd')
            data = optarg;
        else if (flag == 'n')
            seed.left = strtoll(optarg, NULL, 10);
        else
            return 2;
    }
    if (!data || seed.left <= 0) {
        fprintf(stderr, "usage: seed --data DIR --instances N\n");
        return 2;
    }
    seed.env = env_new_real();
    r = seed_all(&seed, data);
    if (r < 0)
        fprintf(stderr, "seed: error %d after %lld instances\n", -r, (long long)seed.made);
    env_free(seed.env);
    return r < 0;
}
