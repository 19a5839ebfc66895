/* SPDX-License-Identifier: Apache-2.0 */
#include "actions/tenant.h"

#include <unistd.h>

#include "gen/catalog.h"
#include "gen/options.h"
#include "model/network.h"

#define DEFAULT_VPC_CIDR STR("10.0.0.0/8")
#define DEFAULT_VSWITCH_PREFIX 12 /* a million instances in one zone */
#define KEY_ID_LETTERS 18
#define SECRET_LETTERS 30

/* Rejection keeps every one as likely as any other. */
struct str random_letters(struct env *env, struct arena *arena, size_t count)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    char *text = arena_alloc(arena, count + 1);
    size_t len = 0;
    uint8_t byte;

    while (len < count) {
        env_random(env, &byte, 1);
        if (byte < 4 * (sizeof(alphabet) - 1))
            text[len++] = alphabet[byte % (sizeof(alphabet) - 1)];
    }
    return str_slice(text, len);
}

static struct str random_account_id(struct env *env, struct arena *arena)
{
    /* The first digit is 1 as in real account ids, the other 15 are random. */
    return arena_printf(arena, "1%015llu",
                        (unsigned long long)(env_random_u64(env) % 1000000000000000u));
}

static int make_vswitches(struct tx *tx, const struct vpc *vpc, const struct catalog_region *region)
{
    struct arena *arena = tx_arena(tx);
    struct cidr outer;
    int r = cidr_parse(vpc->cidr, &outer);

    assert(r == 0);
    for (size_t i = 0; i < region->zone_count && r == 0; i++) {
        struct cidr part = cidr_part(&outer, DEFAULT_VSWITCH_PREFIX, (int64_t)i);
        struct vswitch vswitch = {
            .id = env_id(tx_env(tx), arena, "vsw-"),
            .account_id = vpc->account_id,
            .vpc_id = vpc->id,
            .zone_id = str_from(region->zones[i].id),
            .name = STR("default"),
            .cidr = cidr_print(arena, &part),
            .is_default = true,
            .created_us = tx_now(tx),
        };
        r = store_vswitch_insert(tx, &vswitch);
    }
    return r;
}

/* What makes RunInstances with an image and a type and nothing else work. */
static int make_network(struct tx *tx, struct str account_id, const struct catalog_region *region)
{
    struct arena *arena = tx_arena(tx);
    const struct vpc vpc = {
        .id = env_id(tx_env(tx), arena, "vpc-"),
        .account_id = account_id,
        .region_id = str_from(region->id),
        .name = STR("default"),
        .cidr = DEFAULT_VPC_CIDR,
        .is_default = true,
        .created_us = tx_now(tx),
    };
    const struct security_group group = {
        .id = env_id(tx_env(tx), arena, "sg-"),
        .account_id = account_id,
        .region_id = vpc.region_id,
        .vpc_id = vpc.id,
        .name = STR("default"),
        .description = STR("Made with the account."),
        .is_default = true,
        .created_us = tx_now(tx),
    };
    int r = store_vpc_insert(tx, &vpc);

    if (r == 0)
        r = store_group_insert(tx, &group);
    return r < 0 ? r : make_vswitches(tx, &vpc, region);
}

static int make_account(struct tx *tx, const struct tenant_order *order, struct account **ret,
                        struct fail *fail)
{
    struct account *account = arena_new(tx_arena(tx), struct account);
    struct account *others;
    size_t count;
    int r = store_account_list(tx, &others, &count);

    for (size_t i = 0; r == 0 && i < count; i++)
        if (str_eq(others[i].name, order->name))
            return fail(fail, E_ADMIN_ACCOUNT_EXISTS, order->name);
    if (r < 0)
        return r;
    *account = (struct account){
        .id = random_account_id(tx_env(tx), tx_arena(tx)),
        .name = order->name,
        .stopped_mode = order->stopped_mode,
        .created_us = tx_now(tx),
    };
    r = store_account_insert(tx, account);
    for (size_t i = 0; i < catalog_region_count && r == 0; i++)
        r = make_network(tx, account->id, &catalog_regions[i]);
    if (r >= 0)
        *ret = account;
    return r;
}

int tenant_key_create(struct tx *tx, struct str account_id, struct str id, struct str secret,
                      struct str policy, struct access_key **ret, struct fail *fail)
{
    struct arena *arena = tx_arena(tx);
    struct access_key *key = arena_new(arena, struct access_key);
    int r;

    *key = (struct access_key){
        .id = str_empty(id)
                  ? arena_printf(arena, "LTAI5t%.*s",
                                 STR_ARG(random_letters(tx_env(tx), arena, KEY_ID_LETTERS)))
                  : id,
        .secret = str_empty(secret) ? random_letters(tx_env(tx), arena, SECRET_LETTERS) : secret,
        .account_id = account_id,
        .enabled = true,
        .policy = policy,
        .created_us = tx_now(tx),
    };
    r = store_key_insert(tx, key);
    if (r == -E_EXISTS)
        return fail(fail, E_ADMIN_KEY_EXISTS, key->id);
    if (r == 0)
        *ret = key;
    return r;
}

int tenant_create(struct tx *tx, const struct tenant_order *order, struct account **ret_account,
                  struct access_key **ret_key, struct fail *fail)
{
    struct access_key *key = NULL;
    struct account *account = NULL;
    int r = make_account(tx, order, &account, fail);

    if (r >= 0)
        r = tenant_key_create(tx, account->id, order->access_key_id, order->access_key_secret,
                              STR_NONE, &key, fail);
    if (r < 0)
        return r;
    *ret_account = account;
    *ret_key = key;
    return 0;
}

/* A simulated host in every zone, so that every region of the catalogue has stock. */
static int make_simulated_hosts(struct tx *tx, const struct options *options, struct str url)
{
    int64_t number = 0;
    int r = 0;

    for (size_t i = 0; i < catalog_region_count; i++) {
        const struct catalog_region *region = &catalog_regions[i];
        for (size_t z = 0; z < region->zone_count && r == 0; z++) {
            struct host host = {
                .id = arena_printf(tx_arena(tx), "host-%lld", (long long)++number),
                .url = url,
                .region_id = str_from(region->id),
                .zone_id = str_from(region->zones[z].id),
                .state = HOST_STATE_UP,
                .vcpus = options->sim_vcpus,
                .memory_mib = options->sim_memory_gib * 1024,
                .created_us = tx_now(tx),
            };
            r = store_host_insert(tx, &host);
        }
    }
    return r;
}

#define VCPUS_PER_PROCESSOR 8 /* guests rarely want theirs all at once; memory is what runs out */

/* Real machines: this computer, in the first zone of the daemon's region, with what it has. */
static int make_real_host(struct tx *tx, const struct options *options, struct str url,
                          struct fail *fail)
{
    const struct catalog_region *region = catalog_region_find(options->node_region);
    int64_t pages = sysconf(_SC_PHYS_PAGES), page_bytes = sysconf(_SC_PAGESIZE),
            processors = sysconf(_SC_NPROCESSORS_ONLN);
    int64_t memory_mib = MAX_OF(pages, (int64_t)1) * page_bytes / (1024 * 1024);

    if (!region)
        return fail_text(fail, E_INVALID, "node.region = %.*s is not a region of the catalogue",
                         STR_ARG(options->node_region));
    const struct host host = {
        .id = STR("host-1"),
        .url = url,
        .region_id = str_from(region->id),
        .zone_id = str_from(region->zones[0].id),
        .state = HOST_STATE_UP,
        .vcpus = options->libvirt_vcpus ? options->libvirt_vcpus
                                        : MAX_OF(processors, (int64_t)1) * VCPUS_PER_PROCESSOR,
        .memory_mib = options->libvirt_memory_gib ? options->libvirt_memory_gib * 1024 : (int64_t)((double)memory_mib / options->libvirt_memory_scale),
        .created_us = tx_now(tx),
    };
    return store_host_insert(tx, &host);
}

int tenant_bootstrap(struct tx *tx, const struct options *options, struct str hypervisor_url,
                     const struct tenant_order *order, bool *ret_made, struct access_key **ret_key,
                     struct fail *fail)
{
    struct account *accounts, *account;
    struct host *hosts;
    size_t account_count, host_count;
    int r = store_account_list(tx, &accounts, &account_count);

    if (r == 0)
        r = store_host_list(tx, &hosts, &host_count);
    if (r == 0 && account_count == 0)
        r = tenant_create(tx, order, &account, ret_key, fail);
    if (r < 0)
        return r;
    /* Hosts of the other kind would be refused one by one, and their instances would wait for ever. */
    if (host_count > 0 && str_starts(hosts[0].url, STR("sim")) != str_starts(hypervisor_url, STR("sim")))
        return fail_text(fail, E_INVALID,
                         "the data folder's hosts are %s; start with --hypervisor %s, or with another folder",
                         str_starts(hosts[0].url, STR("sim")) ? "simulated" : "real",
                         str_starts(hosts[0].url, STR("sim")) ? "sim" : "libvirt");
    if (host_count == 0 && str_eq(hypervisor_url, STR("sim")))
        r = make_simulated_hosts(tx, options, STR("sim:"));
    else if (host_count == 0 && str_starts(hypervisor_url, STR("sim:")))
        r = make_simulated_hosts(tx, options, hypervisor_url);
    else if (host_count == 0)
        r = make_real_host(tx, options, hypervisor_url, fail);
    if (r == 0)
        *ret_made = account_count == 0;
    return r;
}
