/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the API must show, from what callers were told alone. It knows no store and no host: only replies, calls without a
 * reply, and whom a fault was done to (what an operator beside the hosts would know, too).
 *
 * An instance is in one of several states, of which the model keeps those that are possible. A reply narrows them: a call
 * that was accepted was in a state that accepts it, one that was refused was not, what is shown is. An empty set is a broken
 * promise. What happens by itself (Starting becomes Running) is added at each look.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/str.h"

struct run;

/* As the API's states, but Stopping by what it ends in. */
enum micro {
    MICRO_PENDING,
    MICRO_STARTING,
    MICRO_RUNNING,
    MICRO_STOPPING, /* → Stopped */
    MICRO_STOPPED,
    MICRO_LEAVING, /* Stopping → gone */
    MICRO_MOVING,  /* Stopping → Starting */
    MICRO_GONE,
    MICRO_COUNT,
};
#define MICRO(state) (1u << MICRO_##state)

enum disk_micro { DISK_MICRO_AVAILABLE, DISK_MICRO_ATTACHING, DISK_MICRO_IN_USE, DISK_MICRO_DETACHING, DISK_MICRO_GONE };
#define DISK_MICRO(state) (1u << DISK_MICRO_##state)

#define MODEL_INSTANCES 96
#define MODEL_DISKS 48
#define MODEL_RUNS 64
#define MODEL_COMMANDS 32 /* the latest; a listing has 50 */
#define MODEL_CHOICES 6 /* values that an attribute may have */
#define MODEL_ID_BYTES 32
#define NOBODY -1

/* One value of several, none of which is known to be the one. */
struct choices {
    int64_t items[MODEL_CHOICES];
    int count;
};

struct model_instance {
    char id[MODEL_ID_BYTES];
    int account;
    int type; /* of model_types */
    int zone;
    unsigned states;       /* MICRO bits */
    struct choices name;   /* "n-NUMBER" */
    struct choices guard;  /* deletion protection: 0, 1 */
    struct choices release;/* time of its automatic release, 0: none */
    bool may_off;          /* something made it go off */
    bool may_fail;         /* something may keep it from coming up */
    bool was_lean;         /* may be Stopped without a place on a host */
    usec_t stop_by_us;     /* the deadline of the stop that was acknowledged; 0: not known */
};

struct model_disk {
    char id[MODEL_ID_BYTES];
    int account;
    int zone;
    unsigned states;  /* DISK_MICRO bits */
    int instance;     /* that it is at or comes to; NOBODY: none, or not known */
    bool unsure;      /* which instance */
};

/* A RunInstances whose reply nobody heard. All of it is there or none; its instances carry its name. */
struct model_run {
    int64_t name; /* 0: the slot is free */
    int account;
    int type;
    int zone;
    int amount;
    bool stopped; /* by CreateInstance: it waits for StartInstance */
    int found;
};

/* A command that guests were given. */
struct model_command {
    char id[MODEL_ID_BYTES]; /* of its invocation; "": the slot is free */
    int account;
    char status[MODEL_ID_BYTES]; /* when it has ended */
};

struct model {
    struct run *run;
    struct model_instance instances[MODEL_INSTANCES];
    int instance_count;
    struct model_disk disks[MODEL_DISKS];
    int disk_count;
    struct model_run runs[MODEL_RUNS];
    struct model_command commands[MODEL_COMMANDS];
    unsigned command_next;
};

struct model_type {
    const char *id;
    int vcpus;
    bool local_disks;
};
#define MODEL_TYPES 2
extern const struct model_type model_types[MODEL_TYPES];

enum model_order {
    ORDER_STOP,
    ORDER_START,
    ORDER_REBOOT,
    ORDER_DELETE,
    ORDER_REDEPLOY,
};

struct order_how {
    enum model_order order;
    bool force; /* stop: overtakes where that is allowed; delete: also one that runs */
};

void model_init(struct model *model, struct run *run);

/* ── instances ── */

/* NOBODY: full; instances that are certainly gone make room. */
int model_add(struct model *model, struct str id, const struct model_run *from);
/* It may have been there for a while: what was done to it then is not known. */
int model_add_late(struct model *model, struct str id, const struct model_run *from);
int model_find(const struct model *model, struct str id);
/* What is possible now, what happens by itself included. */
unsigned model_states(struct model *model, int instance);
unsigned model_accepting(const struct model *model, const struct order_how *how);
void model_accepted(struct model *model, int instance, const struct order_how *how);
/* Nobody knows whether it was. */
void model_unheard(struct model *model, int instance, const struct order_how *how);
/* It was in one of these states when the call was carried out. */
void model_was(struct model *model, int instance, unsigned states, const char *why);
/* Describe shows it so; absent: it is not there. */
void model_shown(struct model *model, int instance, struct str status);
/* An attribute was set (`sure`), or perhaps. */
void model_set(struct choices *choices, int64_t value, bool sure);
bool model_has(const struct choices *choices, int64_t value);
/* It has this value: the others are forgotten. A value that it can't have is a broken promise. */
void model_is(struct model *model, struct choices *choices, int64_t value, const char *what, const char *id);
/* A fault was done: to that instance, or (NOBODY) to any. */
void model_fault(struct model *model, int instance, bool goes_off);
/* How many of the account's are not gone, or NOBODY: of all. */
int model_count(struct model *model, int account);

/* ── calls that nobody heard of ── */

void model_run_unheard(struct model *model, const struct model_run *run);
/* A listing shows an instance that no reply named: whose it is. NOBODY: no call can have made it. */
int model_adopt(struct model *model, struct str id, int64_t name, int account);
/* The whole of the account was listed: what is not there by now was never made, and what is half there is a fault. */
void model_runs_settled(struct model *model, int account);

/* ── commands (model_command.c) ── */

void model_command_add(struct model *model, struct str id, int account);
struct model_command *model_command_find(struct model *model, struct str id);
void model_command_shown(struct model *model, struct model_command *command, struct str status);

/* ── disks (model_disk.c) ── */

int model_disk_add(struct model *model, struct str id, int account, int zone);
int model_disk_find(const struct model *model, struct str id);
unsigned model_disk_states(struct model *model, int disk);
void model_disk_attach(struct model *model, int disk, int instance, bool sure);
void model_disk_detach(struct model *model, int disk, bool sure);
void model_disk_delete(struct model *model, int disk, bool sure);
void model_disk_was(struct model *model, int disk, unsigned states, const char *why);
void model_disk_shown(struct model *model, int disk, struct str status, struct str instance_id);
/* May one of the instance's disks be on its way? */
bool model_disk_busy(struct model *model, int instance);
