/* SPDX-License-Identifier: Apache-2.0 */
/*
 * instructions: a fixed amount of work in one thread, on a seeded clock, for counting its instructions under callgrind. The
 * same build executes the same instructions each time, whatever else the computer does. Only measured() counts:
 *
 *   valgrind --tool=callgrind --toggle-collect=measured build-bench/instructions stop 2000
 *
 *   stop      signed StopInstances, parsed from HTTP's bytes, committed 64 at a time, each carried on until it is Stopped
 *   status    DescribeInstanceStatus of one instance by id
 *   page      DescribeInstances, a page of 100
 * Prints how many calls it made.
 */
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "actions/tenant.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/option.h"
#include "engine/engine.h"
#include "gateway/auth_v3.h"
#include "gateway/gateway.h"
#include "gateway/params.h"
#include "http/parse.h"
#include "hypervisor/sim.h"

#define NOW ((usec_t)1795403920 * USEC_PER_SEC)
#define STAMP "2026-11-23T03:18:40Z"
#define KEY STR_INIT("LTAI5tBenchKey000001")
#define SECRET STR_INIT("BenchSecret0123456789abcdefghij")
#define EMPTY_SHA256 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define IMAGE "debian_12_6_x64_20G_alibase_20240711.vhd"
#define BATCH 64
#define LAUNCH_MAX 100 /* RunInstances takes no more */

struct bench {
    char dir[64];
    struct arena arena;
    struct fail fail;
    struct option_set options;
    struct env *env;
    struct store *store;
    struct hypervisor *sim;
    struct engine *engine;
    struct gateway *gateway;
    struct str *ids;
    size_t id_count;
    unsigned nonce;
    struct str reply; /* the latest, on `arena` when wanted */
    bool keep_reply;
    size_t answered;
    size_t refused;
};

static void die(const struct bench *bench, const char *what)
{
    (void)fprintf(stderr, "instructions: %s: %.*s\n", what, STR_ARG(bench->fail.message));
    exit(1);
}

/* ── the world ── */

static int bootstrap(struct tx *tx, void *arg)
{
    struct bench *bench = arg;
    struct tenant_order order = {.name = STR("default"), .access_key_id = KEY, .access_key_secret = SECRET};
    struct access_key *key;
    bool made;

    return tenant_bootstrap(tx, &bench->options.values, STR("sim:"), &order, &made, &key, &bench->fail);
}

static void open_world(struct bench *bench)
{
    struct store_settings store = {.cache_mib = 64, .checkpoint_ms = 200};
    struct sim_settings sim = {.boot_us = USEC_PER_MSEC, .shutdown_us = 50 * USEC_PER_MSEC, .seed = 1, .boot_id = "bench"};
    struct engine_settings engine = {.options = &bench->options.values, .node = STR("local")};
    struct gateway_settings gateway = {.options = &bench->options.values};

    (void)snprintf(bench->dir, sizeof(bench->dir), "/tmp/instructions-XXXXXX");
    if (!mkdtemp(bench->dir))
        die(bench, "no folder in /tmp");
    arena_init(&bench->arena, (size_t)1 << 30);
    fail_init(&bench->fail, &bench->arena);
    option_set_init(&bench->options, &bench->arena);
    bench->options.values.log_calls = 0;
    bench->env = store.env = sim.env = engine.env = gateway.env = env_new_seeded(1, NOW);
    if (store_open(arena_printf(&bench->arena, "sqlite:%s/ecsd.db", bench->dir).ptr, &store, &bench->fail, &bench->store) < 0 ||
        store_write(bench->store, bootstrap, bench) < 0 || sim_open(&sim, &bench->fail, &bench->sim) < 0)
        die(bench, "no world");
    engine.store = gateway.store = bench->store;
    engine.hypervisor = bench->sim;
    if (engine_open(&engine, &bench->fail, &bench->engine) < 0 || engine_recover(bench->engine, &bench->fail) < 0)
        die(bench, "no engine");
    gateway.engine = bench->engine;
    if (gateway_open(&gateway, &bench->fail, &bench->gateway) < 0)
        die(bench, "no gateway");
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static void close_world(struct bench *bench)
{
    bench->gateway = gateway_close(bench->gateway);
    bench->engine = engine_close(bench->engine);
    bench->sim = hypervisor_close(bench->sim);
    bench->store = store_close(bench->store);
    bench->env = env_free(bench->env);
    (void)nftw(bench->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS); /* what stays is in /tmp */
    arena_done(&bench->arena);
}

/* Runs what is due now. Returns when the next thing is. */
static usec_t settle(struct bench *bench)
{
    usec_t next;

    do {
        next = sim_advance(bench->sim);
        next = MIN_OF(next, engine_run_due(bench->engine));
    } while (store_run_once(bench->store) > 0);
    return next;
}

static void pass(struct bench *bench, usec_t by_us)
{
    usec_t end = env_now(bench->env) + by_us;

    while (env_now(bench->env) < end) {
        usec_t now = env_now(bench->env);
        usec_t next = MIN_OF(MAX_OF(settle(bench), now + 1), end);

        env_advance(bench->env, next - now);
    }
    (void)settle(bench);
}

/* ── calls ── */

static void take_reply(void *arg, const struct reply *reply)
{
    struct bench *bench = arg;

    bench->answered++;
    if (reply->status != 200) {
        bench->refused++;
        (void)fprintf(stderr, "instructions: %d %.*s\n", reply->status, STR_ARG(reply->body));
    }
    if (bench->keep_reply)
        bench->reply = arena_str(&bench->arena, reply->body);
}

/* The bytes that an SDK sends, signed by ACS3-HMAC-SHA256. The clock stands still meanwhile, or nearly: the stamp holds. */
static struct str sign(struct bench *bench, const char *action, struct str query)
{
    struct str list = STR("host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version");
    struct str nonce = arena_printf(&bench->arena, "%032x", bench->nonce++);
    struct header headers[] = {
        {STR("host"), STR("127.0.0.1:8080")},     {STR("x-acs-action"), str_from(action)},
        {STR("x-acs-content-sha256"), STR(EMPTY_SHA256)}, {STR("x-acs-date"), STR(STAMP)},
        {STR("x-acs-signature-nonce"), nonce},    {STR("x-acs-version"), STR("2014-05-26")},
    };
    struct call call = {.method = STR("POST"), .headers = headers, .header_count = countof(headers)};
    struct params params = {.count = 0};
    struct str canonical;
    struct str signature;

    if (params_add(&params, &bench->arena, query, PARAM_QUERY, NULL) < 0)
        die(bench, "bad query");
    params_sort(&params);
    canonical = auth_v3_canonical(&bench->arena, &call, &params, list, STR(EMPTY_SHA256), false);
    signature = auth_v3_sign(&bench->arena, (struct str)SECRET, auth_v3_string(&bench->arena, canonical));
    return arena_printf(&bench->arena,
                        "POST /?%.*s HTTP/1.1\r\nhost: 127.0.0.1:8080\r\nx-acs-action: %s\r\nx-acs-content-sha256: " EMPTY_SHA256
                        "\r\nx-acs-date: " STAMP "\r\nx-acs-signature-nonce: %.*s\r\nx-acs-version: 2014-05-26\r\n"
                        "authorization: ACS3-HMAC-SHA256 Credential=%.*s,SignedHeaders=%.*s,Signature=%.*s\r\n"
                        "accept: application/json\r\ncontent-length: 0\r\n\r\n",
                        STR_ARG(query), action, STR_ARG(nonce), STR_ARG((struct str)KEY), STR_ARG(list), STR_ARG(signature));
}

static void suspend(void *arg)
{
    (void)arg; /* there is no connection to park */
}

/* As a connection does: the head is scanned, parsed, handled. `arena` lives until the reply. */
static void send_call(struct bench *bench, struct str bytes, struct arena *arena)
{
    struct head_scan scan = {0};
    const char *reason;
    struct call call;
    struct head head;
    size_t len;

    arena_init(arena, LIMIT_CALL_ARENA_BYTES);
    if (head_scan(&scan, bytes, &len) != PARSE_OK || head_parse(str_slice(bytes.ptr, len), arena, &head, &reason) != PARSE_OK)
        die(bench, "not HTTP");
    call = (struct call){.method = head.method, .target = head.target, .headers = head.headers, .header_count = head.header_count,
                         .source_ip = STR("127.0.0.1"), .arena = arena};
    gateway_handle(bench->gateway, &call, suspend, take_reply, bench);
}

static void launch(struct bench *bench, size_t count)
{
    static const char query[] = "Amount=100&ImageId=" IMAGE "&InstanceType=ecs.t5-lc1m1.small&RegionId=cn-hangzhou";
    const char *cursor;
    struct arena arena;

    bench->ids = arena_array(&bench->arena, struct str, count + LAUNCH_MAX);
    bench->keep_reply = true;
    while (bench->id_count < count) {
        send_call(bench, sign(bench, "RunInstances", str_from(query)), &arena);
        (void)store_run_once(bench->store);
        arena_done(&arena);
        cursor = bench->reply.ptr;
        while ((cursor = memmem(cursor, (size_t)(bench->reply.ptr + bench->reply.len - cursor), "\"i-", 3)) != NULL) {
            bench->ids[bench->id_count++] = str_slice(cursor + 1, 22);
            cursor += 22;
        }
    }
    bench->keep_reply = false;
    pass(bench, USEC_PER_SEC);
}

/* ── the work ── */

/* Its instructions are counted; a name that callgrind finds. */
__attribute__((noinline)) static void measured(struct bench *bench, const struct str *calls, size_t count, bool writes)
{
    struct arena arenas[BATCH];

    for (size_t i = 0; i < count; i += BATCH) {
        size_t batch = MIN_OF(count - i, (size_t)BATCH);

        for (size_t n = 0; n < batch; n++)
            send_call(bench, calls[i + n], &arenas[n]);
        if (writes)
            (void)settle(bench);
        for (size_t n = 0; n < batch; n++)
            arena_done(&arenas[n]);
    }
    if (writes)
        pass(bench, USEC_PER_SEC); /* guests take 50 ms to shut down */
}

static struct str make_call(struct bench *bench, struct str work, size_t i)
{
    struct str id = bench->ids[i % bench->id_count];

    if (str_eq(work, STR("stop")))
        return sign(bench, "StopInstance", arena_printf(&bench->arena, "InstanceId=%.*s", STR_ARG(id)));
    if (str_eq(work, STR("status")))
        return sign(bench, "DescribeInstanceStatus",
                    arena_printf(&bench->arena, "InstanceId.1=%.*s&RegionId=cn-hangzhou", STR_ARG(id)));
    if (str_eq(work, STR("page")))
        return sign(bench, "DescribeInstances", STR("PageSize=100&RegionId=cn-hangzhou"));
    die(bench, "the work is stop, status or page");
    return STR_NONE;
}

static void check_stopped(struct bench *bench, size_t count)
{
    struct tx *tx = store_read_begin(bench->store);
    struct instance *inst;

    for (size_t i = 0; i < count; i++)
        if (store_instance_get_hot(tx, bench->ids[i], &inst) < 0 || inst->state != INSTANCE_STATE_STOPPED)
            die(bench, "one of them has not stopped");
    store_read_end(tx);
}

int main(int argc, char **argv)
{
    struct bench bench = {.id_count = 0};
    struct str work = str_from(argc == 3 ? argv[1] : "");
    size_t count = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;
    bool stop = str_eq(work, STR("stop"));
    struct str *calls;

    if (count == 0 || count > 100000) {
        (void)fprintf(stderr, "usage: instructions stop|status|page COUNT\n");
        return 2;
    }
    log_threshold = LOG_WARNING;
    open_world(&bench);
    launch(&bench, stop ? count : 1000);
    calls = arena_array(&bench.arena, struct str, count);
    for (size_t i = 0; i < count; i++)
        calls[i] = make_call(&bench, work, i);
    bench.answered = bench.refused = 0;
    measured(&bench, calls, count, stop);
    if (bench.answered != count || bench.refused > 0)
        die(&bench, "not every call was answered with 200");
    if (stop)
        check_stopped(&bench, count);
    close_world(&bench);
    (void)printf("%zu\n", count);
    return 0;
}
