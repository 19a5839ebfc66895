/* SPDX-License-Identifier: Apache-2.0 */
/* What clients learn from replies, and from those that never come. */
#include "sim/client.h"

#include <jansson.h>
#include <stdio.h>

#include "sim/run.h"

static bool is_one_of(struct str code, const char *words)
{
    struct str rest = str_from(words);
    struct str word;

    while (!str_empty(rest)) {
        (void)str_split(rest, '|', &word, &rest);
        if (str_eq(code, word))
            return true;
    }
    return false;
}

/* "Code":"…" of an error, found without a parser: errors are small and ours. */
static struct str code_of(struct str body)
{
    static const char key[] = "\"Code\":\"";
    const char *at = memmem(body.ptr, body.len, key, sizeof(key) - 1);
    const char *end;

    if (!at)
        return STR_NONE;
    at += sizeof(key) - 1;
    end = memchr(at, '"', body.len - (size_t)(at - body.ptr));
    return end ? str_slice(at, (size_t)(end - at)) : STR_NONE;
}

static void unexpected(struct flight *flight, int status, struct str code)
{
    run_broken(flight->run, "the API agrees with what callers were told", "%s was answered with %d %.*s",
               client_op_name(flight->op), status, STR_ARG(code));
}

/* ── accepted ── */

/* The note of the call's ClientToken; NULL: it has none. */
static struct repeat *repeat_of(struct flight *flight)
{
    struct repeat *repeats = flight->run->client.repeats;

    for (int i = 0; flight->number && i < REPEATS; i++)
        if (repeats[i].number == flight->number)
            return &repeats[i];
    return NULL;
}

/* The same token again gives what it gave before. */
static void check_repeat(struct flight *flight, struct repeat *repeat, const char *first_id)
{
    if (repeat->answered && strcmp(repeat->first_id, first_id) != 0)
        run_broken(flight->run, "a ClientToken gives one answer", "token-%lld gave %s, and then %s", (long long)flight->number,
                   repeat->first_id, first_id);
    (void)snprintf(repeat->first_id, sizeof(repeat->first_id), "%s", first_id);
}

static void learn_made(struct flight *flight, struct str id)
{
    struct model *model = &flight->run->model;
    int instance = model_find(model, id);

    if (instance == NOBODY && flight->number) /* perhaps an earlier call with the token made it */
        instance = model_add_late(model, id, &flight->launch);
    else if (instance == NOBODY)
        instance = model_add(model, id, &flight->launch);
    if (instance == NOBODY)
        run_broken(flight->run, "the simulation's own", "no room for another instance");
}

/* A list; the caller's reference. */
static json_t *ids_of(const struct flight *flight, json_t *root)
{
    if (flight->op == OP_CREATE)
        return json_pack("[O*]", json_object_get(root, "InstanceId"));
    return json_incref(json_object_get(json_object_get(root, "InstanceIdSets"), "InstanceIdSet"));
}

static void learn_run(struct flight *flight, json_t *root)
{
    struct run *run = flight->run;
    json_t *ids = ids_of(flight, root);
    struct repeat *repeat = repeat_of(flight);
    bool again = repeat && repeat->answered;

    if ((int)json_array_size(ids) != flight->launch.amount)
        run_broken(run, "a call is carried out as a whole", "%s of %d made %zu", client_op_name(flight->op),
                   flight->launch.amount, json_array_size(ids));
    if (repeat)
        check_repeat(flight, repeat, json_string_value(json_array_get(ids, 0)));
    for (size_t i = 0; i < json_array_size(ids) && !again; i++)
        learn_made(flight, str_from(json_string_value(json_array_get(ids, i))));
    json_decref(ids);
    if (repeat)
        repeat->answered = true;
    /* An earlier call with the token may have gone unheard: now it is known what became of it. */
    for (int i = 0; i < MODEL_RUNS; i++)
        if (run->model.runs[i].name == flight->launch.name)
            run->model.runs[i] = (struct model_run){0};
}

static void learn_modify(struct flight *flight, bool sure)
{
    struct model_instance *inst = &flight->run->model.instances[flight->targets[0]];

    if (flight->op == OP_RELEASE_AT)
        model_set(&inst->release, flight->number, sure);
    else if (flight->protect >= 0)
        model_set(&inst->guard, flight->protect, sure);
    else
        model_set(&inst->name, flight->number, sure);
}

static void learn_disk(struct flight *flight, json_t *root)
{
    struct run *run = flight->run;

    if (flight->op == OP_DISK_CREATE)
        (void)model_disk_add(&run->model, str_from(json_string_value(json_object_get(root, "DiskId"))), flight->account,
                             (int)flight->number); /* no room: it is not looked at */
    else if (flight->disk == NOBODY)
        unexpected(flight, 200, STR_NONE);
    else if (flight->op == OP_DISK_ATTACH)
        model_disk_attach(&run->model, flight->disk, flight->targets[0], true);
    else if (flight->op == OP_DISK_DETACH)
        model_disk_detach(&run->model, flight->disk, true);
    else
        model_disk_delete(&run->model, flight->disk, true);
}

/* One that was stopped ends: that shows later. */
static void learn_command(struct flight *flight, json_t *root)
{
    if (flight->op == OP_COMMAND)
        model_command_add(&flight->run->model, str_from(json_string_value(json_object_get(root, "InvokeId"))), flight->account);
}

static void learn_order(struct flight *flight, int instance)
{
    struct run *run = flight->run;

    if (instance == NOBODY || flight->stranger)
        run_broken(run, "a tenant reaches its own only", "%s of %s was accepted for account %d", client_op_name(flight->op),
                   instance == NOBODY ? "nobody" : run->model.instances[instance].id, flight->account + 1);
    if (flight->how.order == ORDER_DELETE)
        model_is(&run->model, &run->model.instances[instance].guard, 0, "deletion protection",
                 run->model.instances[instance].id);
    model_accepted(&run->model, instance, &flight->how);
}

static void learn_refusal(struct flight *flight, int instance, struct str code, int status);

/* SuccessFirst: each has its own answer. */
static void learn_items(struct flight *flight, json_t *root)
{
    json_t *items = json_object_get(json_object_get(root, "InstanceResponses"), "InstanceResponse");

    for (size_t i = 0; i < json_array_size(items); i++) {
        json_t *item = json_array_get(items, i);
        struct str id = str_from(json_string_value(json_object_get(item, "InstanceId")));
        struct str code = str_from(json_string_value(json_object_get(item, "Code")));
        int instance = model_find(&flight->run->model, id);

        if (str_eq(code, STR("200")))
            learn_order(flight, instance);
        else
            learn_refusal(flight, instance, code, 403);
    }
}

static void learn(struct flight *flight, struct str body)
{
    json_t *root = NULL;

    if (flight->op <= OP_CREATE || flight->op == OP_DISK_CREATE || flight->op == OP_COMMAND || flight->success_first) {
        root = json_loadb(body.ptr, body.len, 0, NULL);
        if (!root)
            run_broken(flight->run, "replies are JSON", "%.*s", STR_ARG(body));
    }
    if (flight->op <= OP_CREATE)
        learn_run(flight, root);
    else if (flight->success_first)
        learn_items(flight, root);
    else if (flight->op <= OP_DELETE_MANY)
        for (int i = 0; i < flight->target_count; i++)
            learn_order(flight, flight->targets[i]);
    else if (flight->op <= OP_RELEASE_AT && (flight->targets[0] == NOBODY || flight->stranger))
        unexpected(flight, 200, STR_NONE);
    else if (flight->op <= OP_RELEASE_AT)
        learn_modify(flight, true);
    else if (flight->op <= OP_DISK_DELETE)
        learn_disk(flight, root);
    else
        learn_command(flight, root);
    json_decref(root);
}

/* ── refused ── */

/* Refusals that are right of an instance that is there and the caller's own; false: none of them. */
static bool refused_rightly(struct flight *flight, int instance, struct str code)
{
    struct model *model = &flight->run->model;
    struct model_instance *inst = &model->instances[instance];

    flight->run->counts.conflicts += is_one_of(code, "OperationConflict|InvalidOperation.Conflict");
    if (is_one_of(code, "IncorrectInstanceStatus|IncorrectInstanceStatus.Initializing"))
        model_was(model, instance, ~(model_accepting(model, &flight->how) | MICRO(GONE)), "the refusal for its status");
    else if (str_eq(code, STR("InvalidOperation.DeletionProtection")) && flight->how.order == ORDER_DELETE)
        model_is(model, &inst->guard, 1, "deletion protection", inst->id);
    else if (str_eq(code, STR("OperationDenied.NoStock")) && inst->was_lean)
        model_was(model, instance, MICRO(STOPPED), "that there is no room");
    else if (is_one_of(code, "OperationConflict|InvalidOperation.Conflict") && !flight->run->is_calm)
        model_was(model, instance, model_accepting(model, &flight->how) & MICRO(STOPPED), "that it is being moved");
    else if (str_eq(code, STR("InstanceType.ParameterMismatch")))
        return model_types[inst->type].local_disks && !flight->confirm;
    else
        return is_one_of(code, "DiskError|IncorrectDiskStatus") && model_disk_busy(model, instance);
    return true;
}

/* What a single order's refusal says of its instance. */
static void learn_refusal(struct flight *flight, int instance, struct str code, int status)
{
    bool own = instance != NOBODY && !flight->stranger;

    if (is_one_of(code, "InvalidInstanceId.NotFound|InvalidInstanceIds.NotFound|InvalidResourceId.NotFound|NoSuchResource")) {
        if (own)
            model_was(&flight->run->model, instance, MICRO(GONE), "that it was not found");
    } else if (!own || !refused_rightly(flight, instance, code)) {
        unexpected(flight, status, code);
    }
}

/* The whole call was refused for one of several: which of them isn't said, but it has to be possible of one. */
static void learn_refusal_of_all(struct flight *flight, struct str code, int status)
{
    struct model *model = &flight->run->model;
    bool possible = false;

    if (flight->target_count == 1) {
        learn_refusal(flight, flight->targets[0], code, status);
        return;
    }
    for (int i = 0; i < flight->target_count; i++) {
        int instance = flight->targets[i];

        if (is_one_of(code, "IncorrectInstanceStatus|IncorrectInstanceStatus.Initializing"))
            possible |= instance != NOBODY && (model_states(model, instance) & ~model_accepting(model, &flight->how));
        else if (is_one_of(code, "InvalidInstanceId.NotFound|InvalidInstanceIds.NotFound"))
            possible |= instance == NOBODY || (model_states(model, instance) & MICRO(GONE));
        else
            possible = true; /* the others are looked at where they hit one alone */
    }
    if (!possible)
        unexpected(flight, status, code);
}

/* Would the order have been right, whichever of the possible states it met? */
static bool disk_would_do(struct flight *flight)
{
    struct model *model = &flight->run->model;
    int instance = flight->target_count ? flight->targets[0] : NOBODY;
    unsigned disk = flight->disk == NOBODY ? DISK_MICRO(GONE) : model_disk_states(model, flight->disk);
    unsigned owner = instance == NOBODY ? MICRO(GONE) : model_states(model, instance);
    bool settled = (owner & ~(MICRO(RUNNING) | MICRO(STOPPED))) == 0;

    if (flight->op == OP_DISK_DELETE)
        return disk == DISK_MICRO(AVAILABLE);
    if (flight->op == OP_DISK_ATTACH)
        return disk == DISK_MICRO(AVAILABLE) && settled;
    return disk == DISK_MICRO(IN_USE) && settled && instance == model->disks[flight->disk].instance;
}

static void learn_disk_refusal(struct flight *flight, struct str code, int status)
{
    if (is_one_of(code, "InstanceDiskLimitExceeded|ResourcesNotInSameZone"))
        return;
    if (flight->op == OP_DISK_CREATE || disk_would_do(flight))
        unexpected(flight, status, code);
    if (str_eq(code, STR("InvalidDiskId.NotFound")) && flight->disk != NOBODY)
        model_disk_was(&flight->run->model, flight->disk, DISK_MICRO(GONE), "that it was not found");
}

static void learn_no(struct flight *flight, struct str code, int status)
{
    if (flight->op <= OP_CREATE && is_one_of(code, "OperationDenied.NoStock|IdempotentParameterMismatch"))
        return;
    if (flight->op == OP_COMMAND || flight->op == OP_COMMAND_STOP)
        return; /* whether the guest takes it is the engine's errand */
    if (flight->op <= OP_CREATE || flight->op >= OP_STATUS)
        unexpected(flight, status, code);
    if (flight->op <= OP_DELETE_MANY)
        learn_refusal_of_all(flight, code, status);
    else if (flight->op <= OP_RELEASE_AT)
        learn_refusal(flight, flight->targets[0], code, status);
    else
        learn_disk_refusal(flight, code, status);
}

/* Who is moved is Stopped, and stays it; who is not, is as it is said. */
static void learn_evacuation(struct flight *flight, struct str body)
{
    struct model *model = &flight->run->model;
    json_t *root = json_loadb(body.ptr, body.len, 0, NULL);
    json_t *items = json_object_get(json_object_get(root, "Instances"), "Instance");

    if (!json_is_array(items))
        run_broken(flight->run, "replies are JSON", "%.*s", STR_ARG(body));
    for (size_t i = 0; i < json_array_size(items); i++) {
        json_t *item = json_array_get(items, i);
        int instance = model_find(model, str_from(json_string_value(json_object_get(item, "InstanceId"))));

        if (instance == NOBODY) /* made by a call that nobody heard of */
            continue;
        model_shown(model, instance, str_from(json_string_value(json_object_get(item, "State"))));
        if (json_integer_value(json_object_get(item, "JobId")) == 0)
            continue;
        model_was(model, instance, MICRO(STOPPED), "that it is moved");
        flight->run->counts.moves++;
        if (model_types[model->instances[instance].type].local_disks)
            run_broken(flight->run, "what is on local disks is not thrown away", "%s is moved", model->instances[instance].id);
    }
    json_decref(root);
}

/* ── the reply ── */

static void check_wrong(struct flight *flight, struct str code, int status)
{
    if (!is_one_of(code, flight->wanted) || status == 200)
        run_broken(flight->run, "a wrong call is refused", "it was answered with %d %.*s instead of %s", status, STR_ARG(code),
                   flight->wanted);
}

static void check_replay(struct flight *flight, struct str code, int status)
{
    if (status == 200 || !is_one_of(code, "SignatureNonceUsed|InvalidTimeStamp.Expired"))
        run_broken(flight->run, "a nonce is good for one call", "the same bytes again were answered with %d %.*s", status,
                   STR_ARG(code));
}

/* Its bytes will come again. */
static void keep_bytes(struct flight *flight)
{
    struct replay *replay = &flight->run->client.replays[dice_below(&flight->run->dice, REPLAYS)];

    replay->there = true;
    replay->recipe = flight->recipe;
}

static void doubt(struct flight *flight)
{
    struct client *client = &flight->run->client;

    if (!flight->writes || flight->op >= OP_STATUS)
        return;
    if (client->doubtful_count == DOUBTFUL)
        run_broken(flight->run, "the simulation's own", "more than %d calls failed in a row", DOUBTFUL);
    client->doubtful[client->doubtful_count++] = *flight;
}

/* Is there nobody who hears it? */
static bool is_lost(struct flight *flight)
{
    return faults_swallow_reply(flight->run) || flight->hangs_up || nodes_swallow_reply(flight->run, flight->node);
}

static void learn_failure(struct flight *flight, struct str code, int status)
{
    struct run *run = flight->run;

    run->counts.failed++;
    if (!faults_may_fail_calls(run) && !nodes_may_fail_calls(run, flight->node))
        unexpected(flight, status, code);
    doubt(flight);
}

void client_reply(struct flight *flight, const struct reply *reply)
{
    struct run *run = flight->run;
    struct str code = reply->status == 200 ? STR("200") : code_of(reply->body);

    if (flight->given_up) {
        flight->given_up = false;
        return;
    }
    if (is_lost(flight)) {
        client_unheard(flight);
        return;
    }
    flight->busy = false;
    trace_bytes(&run->trace, reply->body);
    trace_add(&run->trace, "%lld %d %s → %d %.*s", (long long)run->step, flight->account + 1, client_op_name(flight->op),
              reply->status, STR_ARG(code));
    if (reply->status >= 500) {
        learn_failure(flight, code, reply->status);
        return;
    }
    if (flight->writes)
        run->client.doubtful_count = 0; /* that COMMIT stands where theirs had been */
    if (reply->status == 200)
        run->counts.acknowledged++;
    else
        run->counts.refused++;
    if (flight->op == OP_WRONG)
        check_wrong(flight, code, reply->status);
    else if (flight->op == OP_REPLAY)
        check_replay(flight, code, reply->status);
    else if (reply->status != 200)
        learn_no(flight, code, reply->status);
    else if (flight->op == OP_EVACUATE)
        learn_evacuation(flight, reply->body);
    else if (flight->op == OP_HOST_UP)
        return;
    else if (flight->op >= OP_STATUS)
        client_read(flight, reply->body);
    else
        learn(flight, reply->body);
    if (flight->writes && flight->op < OP_STATUS)
        keep_bytes(flight);
}

static void doubt_run(struct flight *flight)
{
    struct model *model = &flight->run->model;
    const struct repeat *repeat = repeat_of(flight);
    bool known = repeat && repeat->answered;

    for (int i = 0; i < MODEL_RUNS; i++)
        known |= model->runs[i].name == flight->launch.name;
    if (!known)
        model_run_unheard(model, &flight->launch);
}

static void doubt_disk(struct flight *flight)
{
    struct model *model = &flight->run->model;

    if (flight->disk == NOBODY)
        return;
    if (flight->op == OP_DISK_ATTACH && flight->targets[0] != NOBODY)
        model_disk_attach(model, flight->disk, flight->targets[0], false);
    else if (flight->op == OP_DISK_DETACH)
        model_disk_detach(model, flight->disk, false);
    else if (flight->op == OP_DISK_DELETE)
        model_disk_delete(model, flight->disk, false);
}

void client_unheard(struct flight *flight)
{
    struct run *run = flight->run;
    bool own = flight->target_count > 0 && !flight->stranger;

    flight->busy = false;
    run->counts.unheard++;
    trace_add(&run->trace, "%lld %d %s → nothing", (long long)run->step, flight->account + 1, client_op_name(flight->op));
    if (!flight->writes || flight->op >= OP_STATUS)
        return;
    if (flight->op <= OP_CREATE)
        doubt_run(flight);
    else if (flight->op > OP_RELEASE_AT)
        doubt_disk(flight);
    else if (flight->op > OP_DELETE_MANY && own && flight->targets[0] != NOBODY)
        learn_modify(flight, false);
    for (int i = 0; i < flight->target_count && own && flight->op <= OP_DELETE_MANY; i++)
        if (flight->targets[i] != NOBODY)
            model_unheard(&run->model, flight->targets[i], &flight->how);
}
