/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/gateway_kit.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "gateway/auth_v1.h"
#include "gateway/auth_v3.h"
#include "gateway/target.h"

struct seen seen;

static void note(const struct action *act, const char *detail)
{
    struct str account = act->account ? act->account->id : STR("none");
    struct str key = act->key ? act->key->id : STR("none");

    seen.runs++;
    (void)snprintf(seen.action, sizeof(seen.action), "%s", act->row->action);
    (void)snprintf(seen.detail, sizeof(seen.detail), "%s", detail);
    (void)snprintf(seen.account, sizeof(seen.account), "%.*s", STR_ARG(account));
    (void)snprintf(seen.key, sizeof(seen.key), "%.*s", STR_ARG(key));
}

/* Writes a row first, so that a refusal has something to take back. */
static int run_stop(struct action *act, const void *req, void *reply)
{
    const struct stop_instance_request *stop = req;
    char detail[256];
    int r;

    (void)reply; /* has no members */
    (void)snprintf(detail, sizeof(detail), "%.*s force=%d mode=%d", STR_ARG(stop->instance_id),
                   stop->force_stop, stop->stopped_mode);
    note(act, detail);
    assert_true(tx_is_write(act->tx));
    r = store_number_set(act->tx, stop->instance_id, 1);
    if (r < 0)
        return r;
    if (str_eq(stop->instance_id, STR("i-refused")))
        return fail(act->fail, E_INSTANCE_STATUS, STR("Stopped"), STR("Running"));
    return str_eq(stop->instance_id, STR("i-broken")) ? -E_IO : 0;
}

static int run_stop_all(struct action *act, const void *req, void *reply)
{
    const struct stop_instances_request *stop = req;
    struct stop_instances_reply *answer = reply;
    char detail[256] = "";

    for (size_t i = 0; i < stop->instance_id.count; i++)
        (void)snprintf(detail + strlen(detail), sizeof(detail) - strlen(detail), "%.*s ",
                       STR_ARG(stop->instance_id.items[i]));
    note(act, detail);
    assert_int_equal(answer->instance_responses.count, 0);
    return 0;
}

static int run_run(struct action *act, const void *req, void *reply)
{
    const struct run_instances_request *run = req;
    struct run_instances_reply *answer = reply;
    struct str *id = arena_new(act->arena, struct str);
    char detail[256];

    (void)snprintf(detail, sizeof(detail), "%.*s disks=%zu", STR_ARG(run->region_id),
                   run->data_disk.count);
    note(act, detail);
    *id = env_id(act->env, act->arena, "i-");
    answer->instance_id_sets = (struct str_list){id, 1};
    return 0;
}

static int run_describe(struct action *act, const void *req, void *reply)
{
    const struct describe_instances_request *want = req;
    struct describe_instances_reply *answer = reply;
    char detail[256];

    (void)snprintf(detail, sizeof(detail), "%.*s tags=%zu", STR_ARG(want->region_id),
                   want->tag.count);
    note(act, detail);
    assert_false(tx_is_write(act->tx));
    answer->page_size = 10;
    return 0;
}

static int run_zones(struct action *act, const void *req, void *reply)
{
    (void)req; /* what it asks for is not looked at */
    (void)reply;
    note(act, "zones");
    return 0;
}

#define ECS .product = "Ecs", .version = "2014-05-26"
#define INSTANCE "acs:ecs:{region}:{account}:instance/{InstanceId}"
static const struct action_row rows[] = {
    {.action = "StopInstance",
     ECS,
     .id = ACTION_STOP_INSTANCE,
     .kind = ACTION_WRITE,
     .request = &stop_instance_request_shape,
     .reply = &stop_instance_reply_shape,
     .run = run_stop,
     .permission = "ecs:StopInstance",
     .resource = INSTANCE},
    {.action = "StopInstances",
     ECS,
     .id = ACTION_STOP_INSTANCES,
     .kind = ACTION_WRITE,
     .request = &stop_instances_request_shape,
     .reply = &stop_instances_reply_shape,
     .run = run_stop_all,
     .permission = "ecs:StopInstance",
     .resource = INSTANCE},
    {.action = "RunInstances",
     ECS,
     .id = ACTION_RUN_INSTANCES,
     .kind = ACTION_WRITE,
     .request = &run_instances_request_shape,
     .reply = &run_instances_reply_shape,
     .run = run_run,
     .client_token = true},
    {.action = "DescribeInstances",
     ECS,
     .id = ACTION_DESCRIBE_INSTANCES,
     .kind = ACTION_READ,
     .request = &describe_instances_request_shape,
     .reply = &describe_instances_reply_shape,
     .run = run_describe},
    {.action = "DescribeZones",
     ECS,
     .id = ACTION_DESCRIBE_ZONES,
     .kind = ACTION_READ,
     .request = &describe_zones_request_shape,
     .reply = &describe_zones_reply_shape,
     .run = run_zones},
    {.action = "DescribeRegions",
     ECS,
     .id = ACTION_DESCRIBE_REGIONS,
     .kind = ACTION_READ,
     .request = &describe_regions_request_shape,
     .reply = &describe_regions_reply_shape,
     .run = run_zones},
    {.action = "CreateCommand", ECS, .id = ACTION_CREATE_COMMAND, .kind = ACTION_WRITE},
    {.action = "ShowClock",
     .id = ACTION_ADMIN_SHOW_CLOCK,
     .product = "Admin",
     .version = "admin",
     .kind = ACTION_READ,
     .request = &describe_zones_request_shape,
     .reply = &describe_zones_reply_shape,
     .run = run_zones},
};

static const struct action_row *find(struct str version, struct str action)
{
    for (size_t i = 0; i < countof(rows); i++)
        if (str_eq(version, str_from(rows[i].version)) && str_eq(action, str_from(rows[i].action)))
            return &rows[i];
    return NULL;
}

/* The table of the tests is the only one here. */
const struct action_row *action_find(struct str version, struct str action)
{
    return find(version, action);
}

static int insert_key(struct tx *tx, void *arg)
{
    return store_key_insert(tx, arg);
}

static int insert_account(struct tx *tx, void *arg)
{
    return store_account_insert(tx, arg);
}

void kit_add_key(struct kit *kit, const struct access_key *key)
{
    assert_int_equal(store_write(kit->store, insert_key, (void *)(uintptr_t)key), 0);
}

static void open_gateway(struct kit *kit)
{
    struct gateway_settings settings = {
        .store = kit->store, .env = kit->env, .options = &kit->options.values, .find = find};
    struct fail failure;

    fail_init(&failure, &kit->arena);
    kit->gateway = gateway_close(kit->gateway);
    assert_int_equal(gateway_open(&settings, &failure, &kit->gateway), 0);
}

void kit_option(struct kit *kit, const char *name, const char *value)
{
    struct fail failure;

    fail_init(&failure, &kit->arena);
    assert_int_equal(option_set_one(&kit->options, str_from(name), str_from(value),
                                    OPTION_COMMAND_LINE, &failure),
                     0);
    open_gateway(kit);
}

int kit_set_up(void **state)
{
    static struct kit static_kit;
    struct account account = {.id = STR(KIT_ACCOUNT), .name = STR("test")};
    struct access_key plain = {
        .id = STR(KIT_AK), .secret = STR(KIT_SECRET), .account_id = account.id, .enabled = true};
    struct access_key sts = {.id = STR(KIT_STS),
                             .secret = STR(KIT_STS_SECRET),
                             .account_id = account.id,
                             .enabled = true,
                             .token = STR(KIT_STS_TOKEN),
                             .expires_us = KIT_NOW + USEC_PER_HOUR};
    struct access_key off = {.id = STR("off"), .secret = STR("s"), .account_id = account.id};
    struct store_settings settings = {.cache_mib = 2, .checkpoint_ms = 200};
    struct kit *kit = &static_kit;
    struct fail failure;

    *kit = (struct kit){.folder = "/tmp/gateway-test-XXXXXX"};
    seen = (struct seen){.runs = 0};
    assert_non_null(mkdtemp(kit->folder));
    arena_init(&kit->arena, 256u << 20);
    arena_init(&kit->options_arena, 1 << 20);
    fail_init(&failure, &kit->arena);
    option_set_init(&kit->options, &kit->options_arena);
    kit->options.values.log_calls = 0;
    kit->env = settings.env = env_new_seeded(7, KIT_NOW);
    assert_int_equal(store_open(arena_printf(&kit->arena, "sqlite:%s/ecsd.db", kit->folder).ptr,
                                &settings, &failure, &kit->store),
                     0);
    assert_int_equal(store_write(kit->store, insert_account, &account), 0);
    kit_add_key(kit, &plain);
    kit_add_key(kit, &sts);
    kit_add_key(kit, &off);
    open_gateway(kit);
    *state = kit;
    return 0;
}

int kit_tear_down(void **state)
{
    static const char *const files[] = {"ecsd.db", "ecsd.db-wal", "ecsd.db-shm", "lock"};
    struct kit *kit = *state;

    kit->gateway = gateway_close(kit->gateway);
    kit->store = store_close(kit->store);
    kit->env = env_free(kit->env);
    for (size_t i = 0; i < countof(files); i++)
        (void)unlink(arena_printf(&kit->arena, "%s/%s", kit->folder, files[i])
                         .ptr); /* some were never made */
    (void)rmdir(kit->folder);   /* what is left behind is in /tmp */
    arena_done(&kit->arena);
    arena_done(&kit->options_arena);
    return 0;
}

/* ── calls ── */

static void take_reply(void *arg, const struct reply *reply)
{
    struct kit *kit = arg;

    kit->done_count++;
    kit->reply = *reply;
    kit->reply.body = arena_str(&kit->arena, reply->body);
    for (size_t i = 0; i < reply->header_count; i++)
        kit->reply.headers[i].value = arena_str(&kit->arena, reply->headers[i].value);
}

static void take_suspend(void *arg)
{
    ((struct kit *)arg)->suspend_count++;
}

void kit_send(struct kit *kit, const struct call *call)
{
    struct call sent = *call;
    struct arena arena;
    int before = kit->done_count;

    arena_init(&arena, LIMIT_CALL_ARENA_BYTES);
    sent.arena = &arena;
    if (!sent.source_ip.ptr)
        sent.source_ip = STR("192.0.2.1");
    gateway_handle(kit->gateway, &sent, take_suspend, take_reply, kit);
    (void)store_run_once(kit->store); /* nothing is queued after a read */
    assert_int_equal(kit->done_count, before + 1);
    arena_done(&arena);
}

static struct str dechunk(struct kit *kit, struct str raw)
{
    char *text = arena_alloc(&kit->arena, raw.len);
    size_t len = 0;

    for (;;) {
        size_t size = strtoul(raw.ptr, NULL, 16);
        const char *start = memchr(raw.ptr, '\n', raw.len);

        assert_non_null(start);
        start++;
        if (size == 0)
            return str_slice(text, len);
        memcpy(text + len, start, size);
        len += size;
        raw.len -= (size_t)(start + size + 2 - raw.ptr);
        raw.ptr = start + size + 2;
    }
}

static struct str next_line(struct str *rest)
{
    struct str line;

    assert_true(str_split(*rest, '\n', &line, rest));
    if (line.len > 0 && line.ptr[line.len - 1] == '\r')
        line.len--;
    return line;
}

struct call kit_parse(struct kit *kit, struct str raw)
{
    struct header *headers = arena_array(&kit->arena, struct header, 64);
    struct call call = {.headers = headers};
    struct str line = next_line(&raw);
    struct str rest;
    bool chunked = false;

    assert_true(str_split(line, ' ', &call.method, &rest));
    assert_true(str_split(rest, ' ', &call.target, &line));
    while ((line = next_line(&raw)).len > 0) {
        struct header *header = &headers[call.header_count++];

        assert_true(str_split(line, ':', &header->name, &header->value));
        if (header->value.len > 0 && header->value.ptr[0] == ' ')
            header->value = str_slice(header->value.ptr + 1, header->value.len - 1);
        chunked |= str_eq_nocase(header->name, STR("transfer-encoding"));
    }
    call.body = chunked ? dechunk(kit, raw) : raw;
    return call;
}

struct call kit_v1_exact(struct kit *kit, const char *query, const char *secret)
{
    static const struct header headers[] = {{STR_INIT("Host"), STR_INIT("ecs.example.com:8080")}};
    struct call call = {.method = STR("GET"), .headers = headers, .header_count = 1};
    struct params params = {.count = 0};
    struct str signature;
    struct buf escaped;

    assert_int_equal(params_add(&params, &kit->arena, str_from(query), PARAM_QUERY, NULL), 0);
    params_sort(&params);
    signature = auth_v1_sign(&kit->arena, HASH_SHA1, str_from(secret),
                             auth_v1_string(&kit->arena, call.method, &params, false));
    buf_init(&escaped, 256);
    buf_add_percent(&escaped, signature);
    call.target =
        arena_printf(&kit->arena, "/?%s&Signature=%.*s", query, STR_ARG(buf_str(&escaped)));
    buf_done(&escaped);
    return call;
}

struct call kit_v1(struct kit *kit, const char *query)
{
    struct str full = arena_printf(&kit->arena,
                                   "Version=2014-05-26&AccessKeyId=" KIT_AK
                                   "&SignatureMethod=HMAC-SHA1&SignatureVersion=1.0"
                                   "&SignatureNonce=kit-%u&Timestamp=" KIT_STAMP "&%s",
                                   kit->nonce++, query);

    return kit_v1_exact(kit, full.ptr, KIT_SECRET);
}

struct call kit_v3(struct kit *kit, const char *action, const char *query)
{
    struct header *headers = arena_array(&kit->arena, struct header, 7);
    struct str list = STR("host;x-acs-action;x-acs-date;x-acs-signature-nonce;x-acs-version");
    struct call call = {.method = STR("POST"), .headers = headers};
    struct params params = {.count = 0};
    struct str canonical;

    headers[call.header_count++] = (struct header){STR("Host"), STR("ecs.example.com:8080")};
    headers[call.header_count++] = (struct header){STR("x-acs-action"), str_from(action)};
    headers[call.header_count++] = (struct header){STR("x-acs-version"), STR("2014-05-26")};
    headers[call.header_count++] = (struct header){STR("x-acs-date"), STR(KIT_STAMP)};
    headers[call.header_count++] = (struct header){
        STR("x-acs-signature-nonce"), arena_printf(&kit->arena, "kit-%u", kit->nonce++)};
    headers[call.header_count++] = (struct header){STR("accept"), STR("application/json")};
    assert_int_equal(params_add(&params, &kit->arena, str_from(query), PARAM_QUERY, NULL), 0);
    params_sort(&params);
    canonical = auth_v3_canonical(
        &kit->arena, &call, &params, list,
        STR("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"), false);
    headers[call.header_count].name = STR("Authorization");
    headers[call.header_count++].value = arena_printf(
        &kit->arena, "ACS3-HMAC-SHA256 Credential=" KIT_AK ",SignedHeaders=%.*s,Signature=%.*s",
        STR_ARG(list),
        STR_ARG(
            auth_v3_sign(&kit->arena, STR(KIT_SECRET), auth_v3_string(&kit->arena, canonical))));
    call.target = arena_printf(&kit->arena, "/?%s", query);
    return call;
}

struct str kit_header(const struct kit *kit, const char *name)
{
    for (size_t i = 0; i < kit->reply.header_count; i++)
        if (str_eq_nocase(kit->reply.headers[i].name, str_from(name)))
            return kit->reply.headers[i].value;
    return STR_NONE;
}
