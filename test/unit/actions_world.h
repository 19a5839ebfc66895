/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Actions without a gateway: a request struct goes in, a reply struct comes out, over a real store,
 * a real engine and simulated hosts, in one thread on a seeded clock. Two accounts, so that each
 * test can be the wrong one.
 */
#pragma once

#include "actions/actions.h"
#include "actions/tenant.h"
#include "gen/catalog.h"
#include "unit/engine_world.h"

#define IMAGE "aliyun_3_x64_20G_alibase_20240528.vhd"
#define REGION "cn-hangzhou"
#define ZONE "cn-hangzhou-h"
#define TYPE "ecs.g6.large"

struct acts {
    struct world *world;
    struct account account; /* whose key signs the calls */
    struct access_key key;
    struct account other;
    struct tx *tx; /* of the latest read: its reply points into it */
    struct fail fail;
    struct arena arena;
};

/* ── requests as the decoder leaves them when nothing was sent ── */

static void request_defaults(const struct shape *shape, void *request);

static void field_default(const struct shape_field *field, void *member)
{
    int64_t number;
    bool flag;
    int word = -1;

    if (field->kind == SHAPE_OBJECT && !(field->flags & SHAPE_LIST)) {
        request_defaults(field->object, member);
        return;
    }
    if (field->flags & SHAPE_LIST)
        return;
    if (field->kind == SHAPE_ENUM) {
        if (field->default_text)
            word = words_find(field->words, str_from(field->default_text));
        memcpy(member, &word, sizeof(word));
    } else if (field->default_text && field->kind == SHAPE_BOOL) {
        assert_int_equal(str_to_bool(str_from(field->default_text), false, &flag), 0);
        memcpy(member, &flag, sizeof(flag));
    } else if (field->default_text && field->kind == SHAPE_INT) {
        assert_int_equal(str_to_i64(str_from(field->default_text), &number), 0);
        memcpy(member, &number, sizeof(number));
    } else if (field->default_text && field->kind == SHAPE_STR) {
        struct str text = str_from(field->default_text);
        memcpy(member, &text, sizeof(text));
    }
}

static void request_defaults(const struct shape *shape, void *request)
{
    for (size_t i = 0; i < shape->count; i++)
        field_default(&shape->fields[i], (char *)request + shape->fields[i].offset);
}

/* A zeroed request with its defaults: REQUEST(stop_instance, req); */
#define REQUEST(name, variable)                                                                    \
    struct name##_request variable;                                                                \
    memset(&(variable), 0, sizeof(variable));                                                      \
    request_defaults(&name##_request_shape, &(variable))

/* ── calls ── */

struct acts_call {
    struct acts *acts;
    const struct action_row *row;
    const void *request;
    void *reply;
};

/* The grammar is the gateway's (test/unit/policy.c); here anything that could be an object is one. */
static bool acts_policy_valid(struct str document)
{
    return document.len >= 2 && document.ptr[0] == '{' && document.ptr[document.len - 1] == '}';
}

static int acts_run(struct tx *tx, void *arg)
{
    struct acts_call *call = arg;
    struct acts *acts = call->acts;
    bool admin = strcmp(call->row->product, "Admin") == 0;
    struct action act = {
        .row = call->row,
        .tx = tx,
        .engine = acts->world->engine,
        .env = acts->world->env,
        .options = &acts->world->options.values,
        .arena = &acts->arena,
        .account = admin ? NULL : &acts->account,
        .key = admin ? NULL : &acts->key,
        .request_id = STR("1C488B66-B819-4D14-8711-C4EAAA13AC01"),
        .endpoint = STR("127.0.0.1:8080"),
        .source_ip = STR("127.0.0.1"),
        .now = env_now(acts->world->env),
        .policy_valid = acts_policy_valid,
        .fail = &acts->fail,
    };

    fail_init(&acts->fail, &acts->arena);
    memset(call->reply, 0, call->row->reply->size);
    return call->row->run(&act, call->request, call->reply);
}

HELPER int acts_call(struct acts *acts, enum action_id id, const void *request, void *reply)
{
    struct acts_call call = {acts, &action_rows[id], request, reply};
    int r;

    if (acts->tx)
        store_read_end(acts->tx);
    acts->tx = NULL;
    if (call.row->kind == ACTION_WRITE) {
        r = store_write(acts->world->store, acts_run, &call);
    } else {
        acts->tx = store_read_begin(acts->world->store);
        r = acts_run(acts->tx, &call);
    }
    if (r < 0)
        assert_int_equal(-r, acts->fail.code); /* whoever fails says why */
    return r;
}

#define ACT(acts, ID, request, reply) acts_call((acts), ACTION_##ID, (request), (reply))
#define assert_ok(expression)                                                                      \
    do {                                                                                           \
        int r_ = (expression);                                                                     \
        if (r_ != 0)                                                                               \
            fail_msg("%s: %s", #expression, error_rows[-r_].name);                                 \
    } while (0)
#define assert_refused(expression, CODE)                                                           \
    do {                                                                                           \
        int r_ = (expression);                                                                     \
        if (r_ != -(CODE))                                                                         \
            fail_msg("%s: %s instead of " #CODE, #expression,                                      \
                     r_ == 0 ? "success" : error_rows[-r_].name);                                  \
    } while (0)

/* ── the world ── */

struct acts_boot {
    struct acts *acts;
    const char *name;
    struct account *account;
    struct access_key *key;
};

static struct account keep_account(struct arena *arena, const struct account *from)
{
    struct account account = *from;

    account.id = arena_str(arena, from->id);
    account.name = arena_str(arena, from->name);
    return account;
}

static int acts_bootstrap(struct tx *tx, void *arg)
{
    struct acts_boot *boot = arg;
    struct acts *acts = boot->acts;
    const struct tenant_order mine = {.name = STR("mine"),
                                      .access_key_id = STR("AKIDEXAMPLE"),
                                      .access_key_secret = STR("s3cret")};
    const struct tenant_order theirs = {.name = STR("theirs")};
    struct account *account;
    struct access_key *key;
    int r;

    fail_init(&acts->fail, &acts->arena);
    r = tenant_create(tx, &mine, &account, &key, &acts->fail);
    if (r < 0)
        return r;
    acts->account = keep_account(&acts->arena, account);
    acts->key = (struct access_key){
        .id = STR("AKIDEXAMPLE"), .account_id = acts->account.id, .enabled = true};
    r = tenant_create(tx, &theirs, &account, &key, &acts->fail);
    if (r == 0)
        acts->other = keep_account(&acts->arena, account);
    return r;
}

/* One host of 8000 vCPUs in one zone (engine_world.h), two accounts. */
HELPER struct acts *acts_open(void)
{
    struct acts *acts = xcalloc(1, sizeof(*acts));
    struct acts_boot boot = {.acts = acts};

    acts->world = world_open();
    arena_init(&acts->arena, 256u << 20);
    assert_ok(store_write(acts->world->store, acts_bootstrap, &boot));
    return acts;
}

HELPER void acts_close(struct acts *acts)
{
    if (acts->tx)
        store_read_end(acts->tx);
    world_close(acts->world);
    arena_done(&acts->arena);
    (void)xfree(acts);
}

/* From now on the other account calls. */
HELPER void acts_swap(struct acts *acts)
{
    struct account mine = acts->account;

    acts->account = acts->other;
    acts->other = mine;
    acts->key.account_id = acts->account.id;
}

HELPER struct run_instances_request run_request(void)
{
    REQUEST(run_instances, req);
    req.region_id = STR(REGION);
    req.image_id = STR(IMAGE);
    req.instance_type = STR(TYPE);
    return req;
}

/* Runs it and returns the first id. */
HELPER struct str acts_run_instances(struct acts *acts, const struct run_instances_request *req)
{
    struct run_instances_reply reply;

    assert_ok(ACT(acts, RUN_INSTANCES, req, &reply));
    assert_true(reply.instance_id_sets.count > 0);
    return reply.instance_id_sets.items[0];
}

/* A running instance of the type. */
HELPER struct str acts_launch(struct acts *acts, const char *type)
{
    struct run_instances_request req = run_request();
    struct str id;

    req.instance_type = str_from(type);
    id = acts_run_instances(acts, &req);
    world_await(acts->world, id, INSTANCE_STATE_RUNNING, SECONDS(60));
    return id;
}

HELPER int acts_stop(struct acts *acts, struct str id)
{
    struct stop_instance_reply reply;

    REQUEST(stop_instance, req);
    req.instance_id = id;
    return ACT(acts, STOP_INSTANCE, &req, &reply);
}

HELPER struct str acts_stopped(struct acts *acts)
{
    struct str id = acts_launch(acts, TYPE);

    assert_ok(acts_stop(acts, id));
    world_await(acts->world, id, INSTANCE_STATE_STOPPED, SECONDS(60));
    return id;
}

/* What DescribeInstances says of one instance; fails when it is not there. */
HELPER struct instance_view acts_view(struct acts *acts, struct str id)
{
    struct describe_instances_reply reply;

    REQUEST(describe_instances, req);
    req.region_id = STR(REGION);
    req.instance_ids = (struct str_list){&id, 1};
    assert_ok(ACT(acts, DESCRIBE_INSTANCES, &req, &reply));
    assert_int_equal(reply.instances.count, 1);
    return reply.instances.items[0];
}

/* The number of rows of the account. */
HELPER int64_t acts_total(struct acts *acts)
{
    struct describe_instances_reply reply;

    REQUEST(describe_instances, req);
    req.region_id = STR(REGION);
    assert_ok(ACT(acts, DESCRIBE_INSTANCES, &req, &reply));
    return reply.total_count;
}
