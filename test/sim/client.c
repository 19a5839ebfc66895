/* SPDX-License-Identifier: Apache-2.0 */
/* Choosing calls and sending them. */
#include "sim/client.h"

#include <stdio.h>

#include "base/limits.h"
#include "sim/run.h"

#define CROWD 14 /* instances; with that many, fewer are made */
#define IMAGE "aliyun_3_x64_20G_alibase_20240528.vhd"

static const struct op_row {
    const char *action;
    int weight;
    bool reads;
} op_rows[OP_COUNT] = {
    [OP_RUN] = {"RunInstances", 60},
    [OP_CREATE] = {"CreateInstance", 20},
    [OP_STOP] = {"StopInstance", 110},
    [OP_START] = {"StartInstance", 110},
    [OP_REBOOT] = {"RebootInstance", 40},
    [OP_DELETE] = {"DeleteInstance", 45},
    [OP_REDEPLOY] = {"RedeployInstance", 30},
    [OP_STOP_MANY] = {"StopInstances", 35},
    [OP_START_MANY] = {"StartInstances", 35},
    [OP_REBOOT_MANY] = {"RebootInstances", 20},
    [OP_DELETE_MANY] = {"DeleteInstances", 10},
    [OP_MODIFY] = {"ModifyInstanceAttribute", 50},
    [OP_RELEASE_AT] = {"ModifyInstanceAutoReleaseTime", 10},
    [OP_DISK_CREATE] = {"CreateDisk", 20},
    [OP_DISK_ATTACH] = {"AttachDisk", 50},
    [OP_DISK_DETACH] = {"DetachDisk", 45},
    [OP_DISK_DELETE] = {"DeleteDisk", 15},
    [OP_COMMAND] = {"RunCommand", 20},
    [OP_COMMAND_STOP] = {"StopInvocation", 5},
    [OP_STATUS] = {"DescribeInstanceStatus", 150, true},
    [OP_GET] = {"DescribeInstances", 60, true},
    [OP_LIST] = {"DescribeInstances", 15, true},
    [OP_DISKS] = {"DescribeDisks", 30, true},
    [OP_COMMANDS] = {"DescribeInvocations", 15, true},
    [OP_EVACUATE] = {"EvacuateHost", 12},
    [OP_HOST_UP] = {"SetHost", 15},
    [OP_WRONG] = {"", 25},
    [OP_REPLAY] = {"", 50},
};

const char *client_op_name(enum op op)
{
    return op == OP_WRONG ? "wrong" : op == OP_REPLAY ? "replay" : op_rows[op].action;
}

void client_init(struct client *client, struct run *run)
{
    memset(client, 0, sizeof(*client));
    client->next_number = 1;
    arena_init(&client->scratch, 1u << 20);
    for (int i = 0; i < FLIGHTS; i++) {
        client->flights[i].run = run;
        arena_init(&client->flights[i].arena, LIMIT_CALL_ARENA_BYTES);
    }
}

void client_done(struct client *client)
{
    for (int i = 0; i < FLIGHTS; i++)
        arena_done(&client->flights[i].arena);
    arena_done(&client->scratch);
}

/* ── whom ── */

static int pick_account(struct run *run)
{
    return dice_below(&run->dice, 2); /* the third has no working key */
}

static int pick_instance(struct run *run, int account)
{
    int first = run->model.instance_count ? dice_below(&run->dice, run->model.instance_count) : 0;
    int gone = NOBODY;

    for (int i = 0; i < run->model.instance_count; i++) {
        int at = (first + i) % run->model.instance_count;

        if (run->model.instances[at].account != account)
            continue;
        if (run->model.instances[at].states != MICRO(GONE))
            return at;
        gone = at;
    }
    return dice_permille(&run->dice, 100) ? gone : NOBODY;
}

static int pick_disk(struct run *run, int account)
{
    int count = run->model.disk_count;
    int first = count ? dice_below(&run->dice, count) : 0;

    for (int i = 0; i < count; i++) {
        int at = (first + i) % count;

        if (run->model.disks[at].account == account &&
            (run->model.disks[at].states != DISK_MICRO(GONE) || dice_permille(&run->dice, 30)))
            return at;
    }
    return NOBODY;
}

static const char *id_of(struct run *run, int instance)
{
    return instance == NOBODY ? "i-00000000000000000000" : run->model.instances[instance].id;
}

/* ── what: each adds the action's parameters ── */

static void add(struct buf *query, const char *format, ...) printf_like(2, 3);
static void add(struct buf *query, const char *format, ...)
{
    char text[256];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args); /* ids and numbers: it fits */
    va_end(args);
    if (query->len)
        buf_add_char(query, '&');
    buf_add_cstr(query, text);
}

/* A token is one action's. */
static struct repeat *pick_repeat(struct run *run, const struct model_run *launch)
{
    struct repeat *repeat = &run->client.repeats[dice_below(&run->dice, REPEATS)];
    bool same = repeat->launch.account == launch->account && repeat->launch.stopped == launch->stopped;

    return repeat->number && same ? repeat : NULL;
}

/* A slot that no call on its way means. */
static struct repeat *free_repeat(struct run *run)
{
    struct repeat *repeat = &run->client.repeats[dice_below(&run->dice, REPEATS)];

    for (int i = 0; i < FLIGHTS; i++) {
        const struct flight *flight = &run->client.flights[i];

        if (flight->busy && flight->op <= OP_CREATE && repeat->number && flight->number == repeat->number)
            return NULL;
    }
    return repeat;
}

/* One in three has a ClientToken; now and then it is a repetition. */
static void add_token(struct flight *flight, struct buf *query)
{
    struct run *run = flight->run;
    struct repeat *repeat = pick_repeat(run, &flight->launch);

    flight->number = 0;
    if (repeat && dice_permille(&run->dice, 300)) {
        flight->launch = repeat->launch;
        flight->number = repeat->number;
    } else if (dice_permille(&run->dice, 300) && (repeat = free_repeat(run))) {
        flight->number = run->client.next_number++;
        *repeat = (struct repeat){.number = flight->number, .launch = flight->launch};
    }
    if (flight->number)
        add(query, "ClientToken=token-%lld", (long long)flight->number);
}

static void ask_run(struct flight *flight, struct buf *query)
{
    struct run *run = flight->run;

    flight->launch = (struct model_run){
        .account = flight->account,
        .type = dice_permille(&run->dice, 850) ? 0 : 1,
        .zone = dice_below(&run->dice, 2),
        .amount = flight->op == OP_CREATE ? 1 : 1 + dice_below(&run->dice, 3),
        .stopped = flight->op == OP_CREATE,
        .name = run->client.next_number++,
    };
    add_token(flight, query);
    add(query, "RegionId=%s&ImageId=%s&InstanceType=%s&ZoneId=%s", WORLD_REGION, IMAGE, model_types[flight->launch.type].id,
        world_zones[flight->launch.zone]);
    add(query, "InstanceName=n-%lld", (long long)flight->launch.name);
    if (flight->op == OP_RUN)
        add(query, "Amount=%d", flight->launch.amount);
    if (flight->launch.name % 3 == 0)
        add(query, "DeploymentSetId=" WORLD_SET, flight->account + 1);
    if (flight->launch.name % 2)
        add(query, "InternetMaxBandwidthOut=5&DataDisk.1.Size=20&DataDisk.1.DeleteWithInstance=%s",
            flight->launch.name % 16 == 1 ? "false" : "true");
}

static void ask_one(struct flight *flight, struct buf *query)
{
    struct run *run = flight->run;

    flight->target_count = 1;
    flight->targets[0] = pick_instance(run, flight->account);
    if (flight->targets[0] != NOBODY && dice_permille(&run->dice, 20)) {
        flight->stranger = true;
        flight->account = 1 - flight->account;
    }
    add(query, "InstanceId=%s", id_of(run, flight->targets[0]));
}

static void ask_many(struct flight *flight, struct buf *query)
{
    struct run *run = flight->run;
    int wanted = 1 + dice_below(&run->dice, FLIGHT_TARGETS);

    add(query, "RegionId=%s", WORLD_REGION);
    for (int i = 0; i < wanted; i++) {
        int target = pick_instance(run, flight->account);
        bool twice = target == NOBODY;

        for (int k = 0; k < flight->target_count; k++)
            twice |= flight->targets[k] == target;
        if (twice)
            continue;
        flight->targets[flight->target_count++] = target;
        add(query, "InstanceId.%d=%s", flight->target_count, id_of(run, target));
    }
    if (flight->target_count == 0) {
        flight->targets[flight->target_count++] = NOBODY;
        add(query, "InstanceId.1=%s", id_of(run, NOBODY));
    }
    flight->success_first = flight->op != OP_DELETE_MANY && dice_permille(&run->dice, 500);
    if (flight->success_first)
        add(query, "BatchOptimization=SuccessFirst");
}

static void ask_order(struct flight *flight, struct buf *query)
{
    struct run *run = flight->run;
    static const enum model_order orders[OP_COUNT] = {
        [OP_STOP] = ORDER_STOP,      [OP_STOP_MANY] = ORDER_STOP,     [OP_START] = ORDER_START,   [OP_START_MANY] = ORDER_START,
        [OP_REBOOT] = ORDER_REBOOT,  [OP_REBOOT_MANY] = ORDER_REBOOT, [OP_DELETE] = ORDER_DELETE, [OP_DELETE_MANY] = ORDER_DELETE,
        [OP_REDEPLOY] = ORDER_REDEPLOY,
    };

    if (flight->op >= OP_STOP_MANY && flight->op <= OP_DELETE_MANY)
        ask_many(flight, query);
    else
        ask_one(flight, query);
    flight->how = (struct order_how){.order = orders[flight->op], .force = dice_permille(&run->dice, 300)};
    if (flight->how.order == ORDER_DELETE && flight->how.force)
        add(query, "Force=true&ForceStop=%s", dice_permille(&run->dice, 500) ? "true" : "false");
    else if (flight->how.force && flight->op == OP_REBOOT_MANY)
        add(query, "ForceReboot=true");
    else if (flight->how.force && flight->how.order != ORDER_START)
        add(query, "ForceStop=true");
    if (flight->how.order == ORDER_STOP && dice_permille(&run->dice, 400))
        add(query, "StoppedMode=%s", dice_permille(&run->dice, 600) ? "StopCharging" : "KeepCharging");
    flight->confirm = flight->op == OP_STOP && dice_permille(&run->dice, 800);
    if (flight->confirm)
        add(query, "ConfirmStop=true");
}

static void ask_modify(struct flight *flight, struct buf *query)
{
    struct run *run = flight->run;

    ask_one(flight, query);
    flight->protect = -1;
    flight->number = 0;
    if (flight->op == OP_RELEASE_AT) {
        char stamp[TIME_TEXT_MAX];
        usec_t at = world_now(&run->world) + (31 + dice_below(&run->dice, 20)) * 60 * USEC_PER_SEC;

        if (dice_permille(&run->dice, 400))
            return;
        flight->number = at - at % (60 * USEC_PER_SEC);
        (void)time_print_second(flight->number, stamp);
        add(query, "AutoReleaseTime=%s", stamp);
        return;
    }
    if (dice_permille(&run->dice, 700)) {
        flight->number = run->client.next_number++;
        add(query, "InstanceName=n-%lld", (long long)flight->number);
    } else {
        flight->protect = dice_permille(&run->dice, 200);
        add(query, "DeletionProtection=%s", flight->protect ? "true" : "false");
    }
}

static void ask_disk(struct flight *flight, struct buf *query)
{
    struct run *run = flight->run;

    if (flight->op == OP_DISK_CREATE) {
        flight->number = dice_below(&run->dice, 2); /* its zone */
        add(query, "RegionId=%s&ZoneId=%s&Size=20&DiskCategory=cloud_essd", WORLD_REGION, world_zones[flight->number]);
        return;
    }
    flight->disk = pick_disk(run, flight->account);
    if (flight->op == OP_DISK_ATTACH || flight->op == OP_DISK_DETACH) {
        int at = flight->disk == NOBODY ? NOBODY : run->model.disks[flight->disk].instance;

        flight->target_count = 1;
        flight->targets[0] = flight->op == OP_DISK_DETACH && at != NOBODY ? at : pick_instance(run, flight->account);
        add(query, "InstanceId=%s", id_of(run, flight->targets[0]));
    }
    add(query, "DiskId=%s", flight->disk == NOBODY ? "d-00000000000000000000" : run->model.disks[flight->disk].id);
}

static void ask_command(struct flight *flight, struct buf *query)
{
    const struct model_command *command;

    if (flight->op == OP_COMMAND_STOP) {
        command = &flight->run->model.commands[dice_below(&flight->run->dice, MODEL_COMMANDS)];
        add(query, "RegionId=%s&InvokeId=%s", WORLD_REGION, command->id[0] ? command->id : "t-000000000000000");
        return;
    }
    flight->target_count = 1;
    flight->targets[0] = pick_instance(flight->run, flight->account);
    add(query, "RegionId=%s&Type=RunShellScript&CommandContent=c2xlZXAgMw%%3D%%3D&ContentEncoding=Base64", WORLD_REGION);
    add(query, "InstanceId.1=%s", id_of(flight->run, flight->targets[0]));
}

/* All of the account's that the model knows. */
static void ask_disks(struct flight *flight, struct buf *query)
{
    const struct model *model = &flight->run->model;
    const char *before = "&DiskIds=%5B%22";

    for (int i = 0; i < model->disk_count; i++) {
        if (model->disks[i].account != flight->account)
            continue;
        buf_add_cstr(query, before);
        buf_add_cstr(query, model->disks[i].id);
        before = "%22%2C%22";
    }
    buf_add_cstr(query, *before == '&' ? "&DiskIds=%5B%5D" : "%22%5D");
}

static void ask_read(struct flight *flight, struct buf *query)
{
    struct run *run = flight->run;

    add(query, "RegionId=%s", WORLD_REGION);
    if (flight->op == OP_LIST || flight->op == OP_DISKS)
        add(query, "PageSize=100");
    if (flight->op == OP_COMMANDS)
        add(query, "PageSize=%d", INVOCATIONS_LISTED);
    if (flight->op == OP_DISKS)
        ask_disks(flight, query);
    if (flight->op >= OP_LIST)
        return;
    flight->target_count = 1;
    flight->targets[0] = pick_instance(run, flight->account);
    if (flight->op == OP_STATUS)
        add(query, "InstanceId.1=%s", id_of(run, flight->targets[0]));
    else
        add(query, "InstanceIds=%%5B%%22%s%%22%%5D", id_of(run, flight->targets[0]));
}

static void ask(struct flight *flight, struct buf *query)
{
    if (flight->op <= OP_CREATE)
        ask_run(flight, query);
    else if (flight->op <= OP_DELETE_MANY)
        ask_order(flight, query);
    else if (flight->op <= OP_RELEASE_AT)
        ask_modify(flight, query);
    else if (flight->op <= OP_DISK_DELETE)
        ask_disk(flight, query);
    else if (flight->op <= OP_COMMAND_STOP)
        ask_command(flight, query);
    else
        ask_read(flight, query);
}

/* ── sending ── */

static void suspended(void *arg)
{
    ((struct flight *)arg)->writes = true;
}

static void done(void *arg, const struct reply *reply)
{
    client_reply(arg, reply);
}

static void send(struct flight *flight)
{
    struct run *run = flight->run;

    flight->call = recipe_call(&flight->recipe, &flight->arena);
    flight->call.operator_socket = flight->op == OP_EVACUATE || flight->op == OP_HOST_UP;
    flight->busy = true;
    run->counts.calls++;
    world_handle(&run->world, flight->node, &flight->call, suspended, done, flight);
    if (!flight->writes)
        run->counts.reads++;
}

static void sign(struct flight *flight, const char *action, const char *query, const struct world_key *key, usec_t stamp)
{
    struct run *run = flight->run;
    char nonce[40];
    struct sign_order order = {
        .form = (enum sign_form)dice_below(&run->dice, SIGN_FORM_COUNT),
        .key_id = key->id,
        .secret = key->secret,
        .action = action,
        .query = query,
        .nonce = nonce,
        .stamp_us = stamp,
    };

    (void)snprintf(nonce, sizeof(nonce), "nonce-%lld", (long long)run->client.next_number++);
    sign_recipe(&order, &run->client.scratch, &flight->recipe);
    arena_reset(&run->client.scratch);
}

/* A host is emptied, or takes instances again. */
static void ask_operator(struct flight *flight)
{
    struct recipe *recipe = &flight->recipe;

    *recipe = (struct recipe){.form = SIGN_V1_POST};
    (void)snprintf(recipe->target, sizeof(recipe->target), "/?Version=admin&Action=%s&HostId=%s%s", op_rows[flight->op].action,
                   world_hosts[dice_below(&flight->run->dice, WORLD_HOSTS)], flight->op == OP_HOST_UP ? "&State=up" : "");
}

/* Calls that are wrong in one way, each with the code that it has to get. */
static void ask_wrong(struct flight *flight)
{
    static const struct wrong {
        const char *action;
        const char *query;
        const char *code;
        int key;
        bool bad_secret;
        int64_t stamp_s;
    } wrongs[] = {
        {"StopInstance", "", "MissingInstanceId|MissingParameter", 0, false, 0},
        {"StopInstance", "InstanceId=i-1&ForceStop=perhaps", "InvalidParameter", 0, false, 0},
        {"StopNobody", "", "InvalidAction.NotFound|InvalidApi.NotFound", 0, false, 0},
        {"StopInstance", "InstanceId=i-1", "InvalidInstanceId.NotFound", 0, false, 0},
        {"StopInstance", "InstanceId=i-1", "SignatureDoesNotMatch|IncompleteSignature", 0, true, 0},
        {"StopInstance", "InstanceId=i-1", "InvalidAccessKeyId.Inactive", 2, false, 0},
        {"StopInstance", "InstanceId=i-1", "InvalidTimeStamp.Expired", 0, false, -3600},
        {"StopInstance", "InstanceId=i-1", "InvalidTimeStamp.Expired", 0, false, 3600},
        {"RunInstances", "RegionId=nowhere&ImageId=" IMAGE "&InstanceType=ecs.g6.large", "InvalidRegionId.NotFound", 0, false, 0},
        {"RunInstances", "RegionId=" WORLD_REGION "&ImageId=" IMAGE "&InstanceType=ecs.none", "InvalidInstanceType.ValueNotSupported", 0, false, 0},
    };
    struct run *run = flight->run;
    const struct wrong *wrong = &wrongs[dice_below(&run->dice, (int)countof(wrongs))];
    struct world_key key = world_keys[wrong->key];

    if (wrong->bad_secret)
        key.secret = "NotTheSecretThatTheStoreKnows00";
    flight->wanted = wrong->code;
    sign(flight, wrong->action, wrong->query, &key, world_now(&run->world) + wrong->stamp_s * USEC_PER_SEC);
}

static bool ask_replay(struct flight *flight)
{
    flight->replay = dice_below(&flight->run->dice, REPLAYS);
    if (!flight->run->client.replays[flight->replay].there)
        return false;
    flight->recipe = flight->run->client.replays[flight->replay].recipe;
    flight->run->counts.replayed++;
    return true;
}

static struct flight *take_flight(struct run *run, enum op op, int account)
{
    int node = nodes_pick(run);

    if (node == NOBODY)
        return NULL;
    for (int i = 0; i < FLIGHTS; i++) {
        struct flight *flight = &run->client.flights[i];

        if (flight->busy || flight->given_up)
            continue;
        arena_reset(&flight->arena);
        flight->node = node;
        flight->hangs_up = run->profile.nodes > 1 && !run->is_calm && dice_permille(&run->dice, 5);
        flight->writes = flight->success_first = flight->stranger = flight->confirm = false;
        flight->op = op;
        flight->account = account;
        flight->target_count = 0;
        flight->disk = NOBODY;
        flight->number = 0;
        flight->wanted = NULL;
        return flight;
    }
    return NULL;
}

static void trace_call(struct flight *flight, const char *query)
{
    trace_add(&flight->run->trace, "%lld %d %s %s", (long long)flight->run->step, flight->account + 1,
              client_op_name(flight->op), query);
}

void client_ask(struct run *run, enum op op, int account)
{
    struct flight *flight = take_flight(run, op, account);
    struct buf query;

    if (!flight)
        return;
    if (op == OP_EVACUATE || op == OP_HOST_UP) {
        ask_operator(flight);
        trace_call(flight, flight->recipe.target);
    } else if (op == OP_WRONG) {
        ask_wrong(flight);
        trace_call(flight, flight->wanted);
    } else if (op == OP_REPLAY) {
        if (!ask_replay(flight))
            return;
        trace_call(flight, "");
    } else {
        buf_init(&query, RECIPE_TEXT_BYTES);
        ask(flight, &query);
        sign(flight, op_rows[op].action, buf_str(&query).ptr, &world_keys[flight->account], world_now(&run->world));
        trace_call(flight, buf_str(&query).ptr);
        buf_done(&query);
    }
    send(flight);
}

static enum op pick_op(struct run *run)
{
    int total = 0;
    int at;

    for (int i = 0; i < OP_COUNT; i++)
        total += op_rows[i].weight;
    at = dice_below(&run->dice, total);
    for (int i = 0; i < OP_COUNT; i++) {
        at -= op_rows[i].weight;
        if (at < 0)
            return (enum op)i;
    }
    return OP_STATUS;
}

void client_call(struct run *run)
{
    enum op op = pick_op(run);

    if (op <= OP_CREATE && model_count(&run->model, NOBODY) >= CROWD)
        op = dice_permille(&run->dice, 500) ? OP_DELETE : OP_STATUS;
    client_ask(run, op, pick_account(run));
}

static bool means(const struct flight *flight, int instance, int disk)
{
    for (int i = 0; i < flight->target_count; i++)
        if (flight->targets[i] == instance && instance != NOBODY)
            return true;
    return disk != NOBODY && flight->disk == disk;
}

bool client_means(const struct run *run, int instance, int disk)
{
    const struct client *client = &run->client;

    for (int i = 0; i < FLIGHTS; i++)
        if (client->flights[i].busy && means(&client->flights[i], instance, disk))
            return true;
    for (int i = 0; i < client->doubtful_count; i++)
        if (means(&client->doubtful[i], instance, disk))
            return true;
    return false;
}

int client_waiting(const struct run *run)
{
    int count = 0;

    for (int i = 0; i < FLIGHTS; i++)
        count += run->client.flights[i].busy || run->client.flights[i].given_up;
    return count;
}

void client_give_up(struct flight *flight)
{
    flight->given_up = true;
    if (flight->busy)
        client_unheard(flight);
}

void client_lost_at(struct run *run, int node)
{
    for (int i = 0; i < FLIGHTS; i++) {
        struct flight *flight = &run->client.flights[i];

        if (flight->node != node)
            continue;
        flight->given_up = false;
        if (flight->busy)
            client_unheard(flight);
    }
}

void client_lost(struct run *run)
{
    for (int i = 0; i < run->client.doubtful_count; i++)
        client_unheard(&run->client.doubtful[i]);
    run->client.doubtful_count = 0;
    for (int i = 0; i < FLIGHTS; i++) {
        run->client.flights[i].given_up = false;
        if (run->client.flights[i].busy)
            client_unheard(&run->client.flights[i]);
    }
}
