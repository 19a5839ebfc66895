/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The instance and its laws: states, what each state and lock permits, what a stop releases. Pure: no I/O, no clock.
 *
 *            start                 booted                stop                 dead
 *   STOPPED ───────▶ STARTING ───────────▶ RUNNING ───────────▶ STOPPING ───────────▶ STOPPED
 *      ▲                │  ▲                  │ │ └── reboot ──▶ STARTING                (PENDING → STOPPED or STARTING)
 *      │                │  └──────────────────┘ └──────── guest switched itself off ──▶ STOPPED
 *      └── boot failed ─┘                        (a redeploy goes from STOPPING to STARTING, as soon as it is dead)
 *
 * Invariants: 1. state changes only through instance_move.  2. job_id is set exactly while state is PENDING, STARTING or STOPPING, and
 * in STOPPED while it is evacuated: only its host changes then, and nothing else may be ordered.  3. incarnation grows at each start,
 * by one, and never otherwise but past a machine that is ahead of a restored store.  4. host_id is set while capacity is reserved,
 * that is always but in StopCharging's Stopped.  5. stopped_mode is meaningful in STOPPED only.
 */
#pragma once

#include "base/fail.h"
#include "base/sm.h"
#include "gen/catalog.h"
#include "gen/types.h"

struct instance {
    /* hot: table `instance`, written at each change of state */
    struct str id;
    struct str account_id;
    struct str region_id;
    struct str zone_id;
    int state;              /* enum instance_state */
    int64_t version;        /* grows at every write of this row */
    int64_t incarnation;    /* law 5 */
    int64_t job_id;         /* 0: none */
    struct str host_id;     /* absent: nothing reserved */
    int stopped_mode;       /* enum stopped_mode: KEEP_CHARGING or STOP_CHARGING; see invariant 5 */
    int64_t locks;          /* bit (1 << enum lock_reason) */
    struct str type_id;
    int charge_type;        /* enum charge_type */
    bool deletion_protection;
    bool reinit_local;      /* local disks are to be blank before the next boot */
    struct str public_ip;   /* the system's own address, not an EIP; absent: none */
    usec_t state_since_us;
    usec_t started_us;      /* latest start; 0: never */
    usec_t expires_us;      /* PrePaid; 0: never */
    usec_t release_us;      /* AutoReleaseTime; 0: never */
    /* cold: table `instance_doc` */
    struct str name;
    struct str description;
    struct str host_name;
    struct str image_id;
    struct str os_name;
    struct str os_name_en;
    struct str os_type;
    struct str key_pair_name;
    struct str resource_group_id;
    struct str user_data;     /* base64 as it came */
    struct str password_hash; /* never the password */
    int network_type;         /* enum network_type */
    struct str vpc_id;
    struct str vswitch_id;
    struct str private_ip;
    struct str eni_id;
    struct str mac;
    struct str eip_id;
    struct str eip_address;
    int internet_charge_type; /* enum internet_charge_type */
    int64_t bandwidth_in_mbps;
    int64_t bandwidth_out_mbps;
    bool wants_public_ip;     /* had one: gets a new one at the next start */
    int spot_strategy;        /* enum spot_strategy */
    double spot_price_limit;
    struct str credit_specification;
    struct str serial_number;
    struct str metadata_options; /* "HttpEndpoint,HttpTokens,HttpPutResponseHopLimit" */
    bool hibernation;
    usec_t created_us;
    struct str deployment_set_id; /* absent: in none */
    int64_t deployment_group_no;  /* of its groups; 0: it has none */
};

/* What StopInstance asks for, after the account's default has been applied. */
struct stop_order {
    bool force;
    bool confirm;
    bool hibernate;
    int stopped_mode; /* KEEP_CHARGING or STOP_CHARGING */
};

/* What the rules depend on besides the instance; from options, never read by the model itself. */
struct stop_rules {
    bool confirm_ignored;  /* compat.confirm_stop = ignore */
    bool force_overtakes;  /* stop.force_overtakes */
    int local_disk_clear;  /* enum option_compat_local_disk_clear: i1, all, none */
};

extern const struct sm instance_sm;

/* state becomes `to`, state_since_us `now`; asserts the table and the invariants. */
void instance_move(struct instance *inst, enum instance_state to, usec_t now);

/* The catalogue's row of the instance's type; never NULL (checked when it was made). */
const struct instance_type *instance_type_of(const struct instance *inst);
bool instance_has_local_disks(const struct instance *inst);
/* May it stop in economical mode (stop-instance.md §8.2)? If not, StopCharging silently means KeepCharging. */
bool instance_may_stop_charging(const struct instance *inst);
/* `asked`: -1 when the call says nothing; then the account's default decides. */
int instance_stopped_mode_for(const struct instance *inst, int asked, int account_default);
/* Are local disks to be blank after this API stop (stop-instance.md §7)? */
bool instance_clears_local_disks(const struct instance *inst, const struct stop_rules *rules);
/* What Describe shows: Not-applicable unless Stopped and able to stop charging. */
enum stopped_mode instance_shown_stopped_mode(const struct instance *inst);
/* What Describe shows as ExpiredTime, and filters by: the end of the subscription, or the far day of those who pay as they go. */
usec_t instance_shown_expiry(const struct instance *inst);

/*
 * Checks of the API, in its order (stop-instance.md §5; lifecycle.md §3 for the others); the first that fails is the
 * answer. `disk_busy`: an attached cloud disk is not In_use. 0 or -E_…, with the text in `fail`.
 */
int instance_stop_check(const struct instance *inst, const struct stop_order *order, const struct stop_rules *rules,
                        bool disk_busy, struct fail *fail) must_check;
int instance_start_check(const struct instance *inst, bool disk_busy, struct fail *fail) must_check;
int instance_reboot_check(const struct instance *inst, bool disk_busy, struct fail *fail) must_check;
int instance_redeploy_check(const struct instance *inst, bool disk_busy, struct fail *fail) must_check;
/* `force`: Running is allowed. `now`: an expired subscription may go with `terminate_subscription`. */
int instance_delete_check(const struct instance *inst, bool force, bool terminate_subscription, usec_t now,
                          struct fail *fail) must_check;
