/* SPDX-License-Identifier: Apache-2.0 */
/* The smaller nouns: plain rows with few laws of their own. Laws that they have stand beside them. */
#pragma once

#include "base/clock.h"
#include "gen/types.h"

struct account {
    struct str id;            /* 16 digits, like the real ones */
    struct str name;
    int stopped_mode;         /* enum stopped_mode: default of StopInstance (no API; ecsctl account set) */
    usec_t created_us;
};

struct access_key {
    struct str id;
    struct str secret;
    struct str account_id;
    bool enabled;
    struct str token;         /* STS: the security token that must come with it; absent: a long-lived key */
    usec_t expires_us;        /* STS; 0: never */
    struct str policy;        /* RAM policy document (JSON); absent: everything of the account is allowed */
    struct str role_arn;      /* STS: the assumed role's ARN with session name; absent: the account itself */
    struct str principal_id;  /* STS: role id ":" session name */
    usec_t created_us;
};

struct host {
    struct str id;            /* "host-1" */
    struct str url;           /* "sim:" or a libvirt URI */
    struct str region_id;
    struct str zone_id;
    int state;                /* enum host_state */
    int64_t vcpus;
    int64_t memory_mib;
    int64_t used_vcpus;       /* reserved by instances; never over vcpus when a reservation is made */
    int64_t used_memory_mib;
    struct str holder;        /* the node that drives it, where several share the store; absent: none does */
    int64_t epoch;            /* of the holder, when it took the host */
    usec_t created_us;
};

/* A process that shares the store with others. */
struct node {
    struct str id;
    int64_t epoch;            /* grows with each start */
    usec_t until_us;          /* it renews this; 0: it has said goodbye, or was found dead */
};

struct disk {
    struct str id;
    struct str account_id;
    struct str region_id;
    struct str zone_id;
    struct str instance_id;   /* absent: not attached */
    int type;                 /* enum disk_type */
    int category;             /* enum disk_category; local ones belong to the instance type */
    int status;               /* enum disk_status */
    int64_t size_gib;
    struct str device;        /* "/dev/xvda" */
    struct str name;
    struct str description;
    struct str image_id;      /* system disk */
    struct str performance_level;
    bool delete_with_instance;
    bool encrypted;
    usec_t created_us;
    usec_t attached_us;
    usec_t detached_us;       /* the latest time; 0: never */
};

struct vpc {
    struct str id;
    struct str account_id;
    struct str region_id;
    struct str name;
    struct str cidr;
    bool is_default;
    usec_t created_us;
};

struct vswitch {
    struct str id;
    struct str account_id;
    struct str vpc_id;
    struct str zone_id;
    struct str name;
    struct str cidr;
    bool is_default;
    int64_t next_address;     /* cursor of the address choice: host part */
    usec_t created_us;
};

struct security_group {
    struct str id;
    struct str account_id;
    struct str region_id;
    struct str vpc_id;
    struct str name;
    struct str description;
    bool is_default;
    usec_t created_us;
};

struct tag {
    struct str resource_id;
    struct str resource_type; /* "instance", "disk", … */
    struct str account_id;
    struct str key;
    struct str value;
};

/* What an instance costs over a stretch of time. Law 7: segments of an instance neither overlap nor leave a hole. */
struct segment {
    struct str instance_id;
    struct str account_id;
    usec_t start_us;
    usec_t end_us;            /* 0: open */
    int mode;                 /* enum billing_mode: running, kept (stopped, all billed), free (compute not billed) */
    struct str type_id;
    bool public_ip;           /* the static address is billed too */
};

/* The operator's log of what happened, append-only: who asked, what changed, why. */
struct event {
    int64_t id;               /* env_sequence */
    usec_t time_us;
    int kind;                 /* enum event_kind */
    struct str account_id;
    struct str instance_id;   /* absent: not about one */
    struct str from_state;    /* kind state: "Running" */
    struct str to_state;
    struct str reason;        /* enum stop_reason's word, or a sentence */
    struct str request_id;
    struct str actor;         /* access key id, "engine", "operator" */
};

/* What DescribeInstanceHistoryEvents shows: something happened to the instance that nobody asked for. */
struct system_event {
    struct str id;            /* "e-…" */
    struct str account_id;
    struct str region_id;
    struct str instance_id;
    struct str type;          /* "InstanceFailure.Reboot", "SystemFailure.Stop"… (API page) */
    struct str cycle_status;  /* "Executed" */
    struct str reason;
    usec_t published_us;
    usec_t not_before_us;
    usec_t finished_us;
};

/* A ClientToken that was used: the same call again gets the same reply. */
struct client_token {
    struct str account_id;
    struct str action;
    struct str token;
    struct str digest;        /* hex SHA-256 of the business parameters */
    struct str reply;         /* what was made: resource ids, comma-separated */
    usec_t expires_us;
};

/* What system disks are made of. Those of the catalogue (api/images.json) look the same, but have a row only when imported. */
struct image {
    struct str id;
    struct str account_id;    /* absent: public, of the system */
    struct str name;
    struct str family;
    struct str version;       /* of the catalogue's only */
    struct str description;
    struct str os_name;
    struct str os_name_en;
    struct str os_type;       /* "linux", "windows" */
    struct str platform;
    struct str architecture;
    struct str boot_mode;
    int state;                /* enum image_state; model/image.h */
    int format;               /* enum image_format; of the file */
    int64_t size_gib;         /* virtual: no system disk made of it is smaller */
    bool cloud_init;
    bool login_as_non_root;
    bool direct_boot;         /* a kernel beside the disk is booted, with its own initrd and command line */
    usec_t created_us;
};

/* A public key under a name, per account and region. The private half is nowhere here. */
struct key_pair {
    struct str id;            /* "ssh-…" */
    struct str account_id;
    struct str region_id;
    struct str name;
    struct str fingerprint;   /* MD5 in hex, without colons */
    struct str public_key;    /* one line, as OpenSSH has it */
    struct str resource_group_id;
    usec_t created_us;
};

/* Instances that are to be apart, or near each other; model/spread.h has the law. */
struct deployment_set {
    struct str id;            /* "ds-…" */
    struct str account_id;
    struct str region_id;
    struct str name;
    struct str description;
    int strategy;             /* enum deployment_strategy */
    int on_failure;           /* enum deployment_failure: of one that has to leave its host and finds none */
    int64_t group_count;      /* of AvailabilityGroup; else 0 */
    usec_t created_us;
};

/* An instance of a set, as placement sees it. */
struct deployment_member {
    struct str instance_id;
    struct str zone_id;
    struct str host_id;       /* absent: it holds no room anywhere */
    int64_t group_no;         /* 1 to the set's group_count; 0: the set has no groups */
};

/* A script that is kept to be invoked again and again. */
struct command {
    struct str id;            /* "c-…" */
    struct str account_id;
    struct str region_id;
    struct str name;
    struct str description;
    int type;                 /* enum command_type */
    struct str content;       /* as it runs, not Base64 */
    struct str working_dir;
    int64_t timeout_s;
    bool parametric;          /* {{name}} in it is a parameter */
    struct str resource_group_id;
    int64_t invoke_times;
    usec_t created_us;
};

/* A command that was sent to instances, with all of the command that it needs: that may be gone by now. */
struct invocation {
    struct str id;            /* "t-…" */
    struct str account_id;
    struct str region_id;
    struct str command_id;
    struct str command_name;
    struct str command_description;
    int command_type;
    struct str content;
    struct str parameters;    /* as they came: the text of a JSON object */
    struct str script;        /* the content with the parameters in it */
    struct str working_dir;
    struct str username;
    int64_t timeout_s;
    int termination_mode;     /* enum termination_mode */
    bool parametric;
    struct str resource_group_id;
    int status;               /* enum invocation_status: a fold of its tasks' */
    int invoke_status;        /* enum invoke_status: the same in older words */
    int64_t task_count;
    usec_t created_us;
    usec_t finished_us;       /* 0: a task is under way */
};

/* An invocation on one instance: what is to be done, and what came of it. The engine's work on it is durable in this row. */
struct invocation_task {
    struct str id;            /* "r-…"; clients never see it */
    struct str invocation_id;
    struct str command_id;
    struct str account_id;
    struct str region_id;
    struct str instance_id;
    int status;               /* enum task_status */
    int64_t incarnation;      /* of the machine that it was given to */
    int64_t pid;              /* the agent's number; 0: not known */
    bool exited;              /* exit_code is its own */
    int64_t exit_code;
    struct str output;        /* COMMAND_OUTPUT_BYTES at most */
    int64_t dropped_bytes;    /* of the output, beyond that */
    int error;                /* enum task_error; -1: none */
    struct str error_info;
    int64_t timeout_s;
    usec_t created_us;
    usec_t deliver_us;        /* an agent that hasn't answered by then gets it no more */
    usec_t started_us;        /* 0: not given to the agent; else perhaps, even without a pid */
    usec_t deadline_us;       /* started_us + timeout_s, absolute */
    usec_t stopped_us;        /* StopInvocation asked for its end */
    usec_t finished_us;       /* 0: under way */
    usec_t updated_us;
};
