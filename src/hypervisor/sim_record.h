/* SPDX-License-Identifier: Apache-2.0 */
/* Records of the simulated world and what is in them; only sim*.c include this. */
#pragma once

#include "hypervisor/sim_impl.h"

/*
 * Kinds of records. The journal holds these numbers: add at the end only, and raise the version of shared journals then.
 * Orders of the engine are judged where they stand in the file, the others were judged before they were written.
 */
enum record_kind {
    RECORD_HOST = 1,    /* number: host; tail: its id */
    RECORD_HOST_KNOB,   /* number: host; what: enum host_knob; value */
    RECORD_HOST_FAIL,   /* number: host. Of older programs; they wrote the knob before it */
    RECORD_MACHINE,     /* number: machine; value: host; tail: all of the machine. Makes or replaces it */
    RECORD_UNDEFINE,    /* number: machine */
    RECORD_ORDER,       /* number: machine; what: enum guest_verb; value: its argument. The operator's, or of older programs */
    RECORD_KEPT,        /* a cloud disk that no machine has. Tail: its id, what is on it */
    RECORD_DISK_DELETE, /* tail: its id */
    RECORD_DEFINE,      /* number: host; tail: the definition. A new machine gets the next number */
    RECORD_COMMAND,     /* number: machine; what: enum guest_verb; value: incarnation; detail: its argument */
    RECORD_ATTACH,      /* number: machine; value: incarnation; tail: the disk, who has to let go of it first */
    RECORD_DETACH,      /* number: machine; value: incarnation; tail: the disk's id */
    RECORD_CLEAR,       /* number: machine; tail: the disk's id */
    RECORD_HOST_CRASH,  /* number: host */
    RECORD_TIME,        /* it has come so far: somebody has seen it */
    RECORD_KIND_COUNT,
};

/* Integers of 8 bytes, texts after their length; in native order, since the file never leaves us. */
struct reader {
    struct str rest;
    bool bad;
};

int64_t take_int(struct reader *in);
int64_t take_bounded(struct reader *in, int64_t max);
struct str take_str(struct reader *in, int64_t max_bytes);
/* A definition; its texts are in the record, `disks` has room for SIM_DISKS_MAX. False: the bytes are bad. */
bool take_spec(struct str tail, struct machine_disk *disks, struct sim_spec *ret);
bool take_attach(struct str tail, struct sim_attach *ret);
/* All of a machine but its id, which comes first. The guest's disks from before belong to the caller; NULL with in->bad: none
 * have come. */
struct guest_disk *take_machine(struct reader *in, struct sim_machine *machine);
bool take_kept(struct str tail, struct str *ret_id, struct sim_disk *ret_data);

void put_machine(struct buf *out, const struct sim_machine *machine);
void put_kept(struct buf *out, struct str id, const struct sim_disk *data);
void put_spec(struct buf *out, const struct sim_spec *spec);
void put_attach(struct buf *out, const struct sim_attach *attach);
