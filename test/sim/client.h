/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clients of several accounts. They choose calls by chance, sign them, hand them to the gateway as HTTP would, and tell the
 * model what they were told. A call whose reply they never heard they may repeat with another nonce; the very bytes of calls
 * that were answered they send again and again, which must be refused.
 */
#pragma once

#include "sim/model.h"
#include "sim/sign.h"

#define FLIGHTS 24
#define FLIGHT_TARGETS 4
#define REPLAYS 64
#define INVOCATIONS_LISTED 50

enum op {
    OP_RUN,
    OP_CREATE,
    OP_STOP,
    OP_START,
    OP_REBOOT,
    OP_DELETE,
    OP_REDEPLOY,
    OP_STOP_MANY,
    OP_START_MANY,
    OP_REBOOT_MANY,
    OP_DELETE_MANY,
    OP_MODIFY,
    OP_RELEASE_AT,
    OP_DISK_CREATE,
    OP_DISK_ATTACH,
    OP_DISK_DETACH,
    OP_DISK_DELETE,
    OP_COMMAND,
    OP_COMMAND_STOP,
    OP_STATUS,
    OP_GET,
    OP_LIST,
    OP_DISKS,
    OP_COMMANDS,
    OP_EVACUATE, /* these two are the operator's */
    OP_HOST_UP,
    OP_WRONG,
    OP_REPLAY,
    OP_COUNT,
};

/* A call on its way. */
struct flight {
    struct run *run;
    bool busy;
    bool writes; /* it was queued */
    bool given_up; /* its caller waits no more, its node may still answer: the place is not free yet */
    bool hangs_up; /* its caller will not hear the answer */
    int node;    /* that has it */
    enum op op;
    int account;
    int targets[FLIGHT_TARGETS]; /* of the model's instances; NOBODY: an id that nobody has */
    int target_count;
    struct order_how how;
    bool success_first;
    bool stranger;      /* the target is another account's */
    bool confirm;
    int disk;
    int64_t number;     /* of a name, a time, a token */
    int protect;        /* 0, 1; -1: not asked for */
    struct model_run launch;
    const char *wanted; /* code of the refusal that a wrong call must get */
    int replay;
    struct recipe recipe;
    struct call call;   /* the gateway has it until the reply */
    struct arena arena;
};

struct replay {
    bool there;
    struct recipe recipe;
};

/* A RunInstances or CreateInstance with a ClientToken: the same again has to give the same instances. */
struct repeat {
    int64_t number; /* 0: the slot is free */
    struct model_run launch;
    bool answered;
    char first_id[MODEL_ID_BYTES];
};
#define REPEATS 8

/*
 * Writes that were answered with 5xx. Nothing of them is stored; but where the flush at the end of their COMMIT failed, it
 * may be in the log all the same, and come to life when the daemon dies before it has written there again.
 */
#define DOUBTFUL 256

struct client {
    struct flight flights[FLIGHTS];
    struct flight doubtful[DOUBTFUL];
    int doubtful_count;
    struct replay replays[REPLAYS];
    struct repeat repeats[REPEATS];
    int64_t next_number;
    struct arena scratch;
};

void client_init(struct client *client, struct run *run);
void client_done(struct client *client);
/* Chooses a call and sends it. */
void client_call(struct run *run);
/* This one, for that account: when all is calm. */
void client_ask(struct run *run, enum op op, int account);
/* The daemon died: calls on their way are never answered. */
void client_lost(struct run *run);
/* One of several nodes died: the same for its calls. */
void client_lost_at(struct run *run, int node);
/* The answer was put off for so long that the caller has given up. */
void client_give_up(struct flight *flight);
/* Does a call that waits, or one that may come to life, mean that place of the model? */
bool client_means(const struct run *run, int instance, int disk);
/* How many calls wait for their reply. */
int client_waiting(const struct run *run);

/* client_reply.c: what a reply teaches. */
void client_reply(struct flight *flight, const struct reply *reply);
/* … and what it teaches that there was none. */
void client_unheard(struct flight *flight);
/* client_read.c: replies of Describe…, as JSON; `root` is json_t. */
void client_read(struct flight *flight, struct str body);
const char *client_op_name(enum op op);
