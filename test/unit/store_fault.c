/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The n-th call of the driver fails, for n = 1, 2, … until nothing fails any more, while rows of all kinds are written, found and
 * removed: the write fails as a whole and goes through afterwards as if it had never been tried; a read says so. And what
 * the filters of the finders let through.
 */
#include <stdio.h>
#include <stdlib.h>

#include "store_fixture.h"

#include "base/log.h"
#include "model/command.h"

#define TIMES_MAX 1000
#define DISKS 3
#define TASKS 2

struct story {
    struct fixture f;
    struct instance inst;
    int64_t tasks_before;
};

static void story_open(struct story *story)
{
    fixture_init(&story->f);
    fixture_open_with(&story->f, &fault_driver);
    story->inst = fixture_instance(&story->f);
}

/* True: it went through without meeting the failure. */
static bool passes(struct story *story, int (*run)(struct tx *tx, void *arg), int64_t at, int code)
{
    int r;

    fault_set(at, code, false);
    r = store_write(story->f.store, run, story);
    if (fault_get().hit) {
        fault_set(0, 0, false);
        assert_int_equal(r, -code);
        return false;
    }
    fault_set(0, 0, false);
    if (r < 0)
        print_error("call %d: %s\n", (int)at, error_rows[-r].name);
    assert_int_equal(r, 0);
    return true;
}

/* A row that a failed try had left would be in the way of the next one. */
static void fails_everywhere(struct story *story, int (*run)(struct tx *tx, void *arg), int64_t least)
{
    int64_t at = 1;

    while (!passes(story, run, at, at % 3 == 0 ? E_NO_SPACE : E_IO))
        assert_true(at++ < TIMES_MAX);
    print_message("%d failures\n", (int)at - 1);
    assert_true(at > least);
}

/* ── written ── */

#define STEP(call)                                                                                 \
    do {                                                                                           \
        int r_ = (call);                                                                           \
        if (r_ < 0)                                                                                \
            return r_;                                                                             \
    } while (0)

static int write_tenants(struct tx *tx)
{
    const struct account account = {.id = ACCOUNT, .name = STR("one"), .created_us = 1};
    const struct access_key key = {.id = STR("LTAI1"), .account_id = ACCOUNT, .secret = STR("s"), .enabled = true, .created_us = 1};
    const struct access_key role = {.id = STR("STS.1"), .account_id = ACCOUNT, .secret = STR("s"), .token = STR("t"),
                                    .enabled = true, .created_us = 1, .expires_us = 5};

    STEP(store_account_insert(tx, &account));
    STEP(store_account_save(tx, &account));
    STEP(store_key_insert(tx, &key));
    STEP(store_key_insert(tx, &role));
    STEP(store_key_set_enabled(tx, key.id, false));
    return 0;
}

static int write_places(struct tx *tx, const struct instance *inst)
{
    const struct host host = {.id = STR("host-1"), .url = STR("sim:"), .region_id = REGION, .zone_id = inst->zone_id,
                              .state = HOST_STATE_UP, .vcpus = 8, .memory_mib = 8192, .created_us = 1};
    const struct vpc vpc = {.id = STR("vpc-1"), .account_id = ACCOUNT, .region_id = REGION, .is_default = true};
    const struct vswitch vswitch = {.id = STR("vsw-1"), .account_id = ACCOUNT, .vpc_id = vpc.id, .zone_id = inst->zone_id,
                                    .is_default = true};
    const struct security_group group = {.id = STR("sg-1"), .account_id = ACCOUNT, .region_id = REGION, .vpc_id = vpc.id,
                                         .is_default = true};

    STEP(store_host_insert(tx, &host));
    STEP(store_host_reserve(tx, host.id, 2, 8192));
    STEP(store_host_save(tx, &host));
    STEP(store_vpc_insert(tx, &vpc));
    STEP(store_vswitch_insert(tx, &vswitch));
    STEP(store_vswitch_save_cursor(tx, vswitch.id, 9));
    STEP(store_group_insert(tx, &group));
    STEP(store_group_join(tx, inst->id, group.id));
    STEP(store_address_take(tx, vswitch.id, inst->private_ip, inst->id));
    return store_number_set(tx, STR("cursor"), 9);
}

static int write_disks(struct tx *tx, const struct instance *inst)
{
    for (int64_t i = 0; i < DISKS; i++) {
        struct disk disk = {
            .id = arena_printf(tx_arena(tx), "d-%d", (int)i),
            .account_id = ACCOUNT,
            .region_id = REGION,
            .zone_id = inst->zone_id,
            .type = i == 0 ? DISK_TYPE_SYSTEM : DISK_TYPE_DATA,
            .category = i == 2 ? DISK_CATEGORY_CLOUD_SSD : DISK_CATEGORY_CLOUD_ESSD,
            .status = i == 2 ? DISK_STATUS_AVAILABLE : DISK_STATUS_IN_USE,
            .name = i == 2 ? STR("spare") : STR(""),
            .size_gib = 20 + i,
            .delete_with_instance = i == 0,
            .created_us = 100 + i,
        };
        struct tag tag = {disk.id, STR("disk"), ACCOUNT, STR("use"), i == 2 ? STR("spare") : STR("data")};

        if (i < 2)
            disk.instance_id = inst->id;
        STEP(store_disk_insert(tx, &disk));
        STEP(store_disk_save(tx, &disk));
        STEP(store_tag_put(tx, &tag));
    }
    return 0;
}

static int write_instance(struct tx *tx, struct instance *inst)
{
    const struct job job = {.id = 7, .kind = JOB_KIND_STOP, .state = JOB_STATE_ACTIVE, .instance_id = inst->id,
                            .account_id = ACCOUNT, .holder = STR("n1"), .epoch = 1, .deadline_us = 50};
    const struct event event = {.time_us = 5, .account_id = ACCOUNT, .instance_id = inst->id, .reason = STR("api")};
    int64_t epoch;

    STEP(store_node_take(tx, STR("n1"), tx_now(tx) + 1, &epoch));
    STEP(store_instance_insert(tx, inst));
    STEP(store_instance_save(tx, inst));
    STEP(store_instance_save_doc(tx, inst));
    STEP(store_segment_switch(tx, inst, BILLING_MODE_RUNNING, 100));
    STEP(store_segment_switch(tx, inst, BILLING_MODE_KEPT, 200));
    STEP(store_job_insert(tx, &job));
    STEP(store_job_save(tx, &job));
    STEP(store_node_renew(tx, STR("n1"), epoch, tx_now(tx) + 2));
    return store_event_add(tx, &event);
}

static int write_system_events(struct tx *tx, const struct instance *inst)
{
    for (int i = 0; i < 3; i++) {
        struct system_event event = {
            .id = arena_printf(tx_arena(tx), "e-%d", i),
            .account_id = ACCOUNT,
            .region_id = REGION,
            .instance_id = inst->id,
            .type = i == 0 ? STR("SystemFailure.Stop") : STR("InstanceFailure.Reboot"),
            .cycle_status = STR("Executed"),
            .published_us = 100 * (i + 1),
            .not_before_us = 100 * (i + 1),
        };

        STEP(store_system_event_add(tx, &event));
    }
    return 0;
}

static int write_commands(struct tx *tx, struct story *story)
{
    const struct command command = {.id = STR("c-1"), .account_id = ACCOUNT, .region_id = REGION, .name = STR("hello"),
                                    .description = STR("says it"), .content = STR("echo"), .timeout_s = 60, .created_us = 1};
    const struct invocation inv = {.id = STR("t-1"), .account_id = ACCOUNT, .region_id = REGION, .command_id = command.id,
                                   .command_name = STR("hello"), .content = STR("echo"), .script = STR("echo"),
                                   .task_count = TASKS, .timeout_s = 60, .created_us = 1};
    const struct tag command_tag = {command.id, STR("command"), ACCOUNT, STR("k"), STR("v")};
    const struct tag inv_tag = {inv.id, STR("invocation"), ACCOUNT, STR("k"), STR("v")};
    struct invocation_task tasks[TASKS];

    for (int i = 0; i < TASKS; i++) {
        tasks[i] = (struct invocation_task){.id = i == 0 ? STR("r-1") : STR("r-2"), .invocation_id = inv.id,
                                            .command_id = command.id, .account_id = ACCOUNT, .region_id = REGION,
                                            .instance_id = i == 0 ? story->inst.id : STR("i-other"),
                                            .status = TASK_STATUS_PENDING, .error = -1, .created_us = 1};
    }
    STEP(store_task_count(tx, ACCOUNT, &story->tasks_before));
    STEP(store_command_insert(tx, &command));
    STEP(store_command_invoked(tx, command.id));
    STEP(store_tag_put(tx, &command_tag));
    STEP(store_invocation_insert(tx, &inv, tasks));
    STEP(store_tag_put(tx, &inv_tag));
    tasks[0].status = TASK_STATUS_SUCCESS;
    tasks[0].output = STR("hello\n");
    tasks[0].finished_us = 9;
    STEP(store_task_save(tx, &tasks[0]));
    return store_invocation_fold(tx, inv.id);
}

static int write_rest(struct tx *tx)
{
    const struct client_token token = {ACCOUNT, STR("RunInstances"), STR("t"), STR("d"), STR("i-1"),
                                       tx_now(tx) + USEC_PER_SEC * 3600};
    const struct image image = {.id = STR("m-1"), .name = STR("one"), .created_us = 1};
    const struct key_pair pair = {.id = STR("kp-1"), .account_id = ACCOUNT, .region_id = REGION, .name = STR("k"), .created_us = 1};
    const struct deployment_set set = {.id = STR("ds-1"), .account_id = ACCOUNT, .region_id = REGION, .created_us = 1};

    STEP(store_token_put(tx, &token));
    STEP(store_image_insert(tx, &image));
    STEP(store_image_save(tx, &image));
    STEP(store_key_pair_insert(tx, &pair));
    STEP(store_deployment_set_insert(tx, &set));
    STEP(store_deployment_set_save(tx, &set));
    return store_nonce_put(tx, STR("LTAI1"), STR("n"), tx_now(tx), tx_now(tx) + 10 * USEC_PER_SEC);
}

static int write_all(struct tx *tx, void *arg)
{
    struct story *story = arg;
    struct instance inst = story->inst; /* the store counts its version; a try that failed must not */

    STEP(write_tenants(tx));
    STEP(write_places(tx, &inst));
    STEP(write_disks(tx, &inst));
    STEP(write_instance(tx, &inst));
    STEP(write_system_events(tx, &inst));
    STEP(write_commands(tx, story));
    return write_rest(tx);
}

/* ── found ── */

static int find_disks(struct tx *tx, const struct disk_filter *filter, size_t expected)
{
    struct page page = {.limit = 10, .count = true};
    struct disk_list list;

    STEP(store_disk_find(tx, filter, &page, &list));
    assert_int_equal(list.count, expected);
    assert_int_equal(list.total, expected);
    return 0;
}

#define DISKS_OF(expected, ...)                                                                   \
    STEP(find_disks(tx, &(struct disk_filter){.type = -1, .category = -1, .status = -1,            \
                                              .delete_with_instance = -1, __VA_ARGS__},            \
                    (expected)))

/* By what is not a text: -1 is any. */
static int find_disks_by(struct tx *tx, int type, int category, int status, int goes, size_t expected)
{
    struct disk_filter filter = {.account_id = ACCOUNT, .region_id = REGION, .type = type, .category = category,
                                 .status = status, .delete_with_instance = goes};

    return find_disks(tx, &filter, expected);
}

static int find_all_disks(struct tx *tx, const struct instance *inst)
{
    struct str ids[] = {STR("d-0"), STR("d-2"), STR("d-none")};
    const struct str_list two = {ids, countof(ids)};
    const struct tag spare = {.key = STR("use"), .value = STR("spare")};

    DISKS_OF(3, .account_id = ACCOUNT, .region_id = REGION);
    DISKS_OF(3, .account_id = ACCOUNT);
    DISKS_OF(3, .region_id = REGION);
    DISKS_OF(0, .account_id = STR("another"), .region_id = REGION);
    DISKS_OF(0, .account_id = ACCOUNT, .region_id = STR("elsewhere"));
    DISKS_OF(2, .account_id = ACCOUNT, .instance_id = inst->id);
    DISKS_OF(0, .account_id = STR("another"), .instance_id = inst->id);
    DISKS_OF(0, .account_id = ACCOUNT, .region_id = STR("elsewhere"), .instance_id = inst->id);
    DISKS_OF(2, .account_id = ACCOUNT, .region_id = REGION, .ids = &two);
    DISKS_OF(1, .account_id = ACCOUNT, .instance_id = inst->id, .ids = &two);
    DISKS_OF(1, .account_id = ACCOUNT, .region_id = REGION, .tags = &spare, .tag_count = 1);
    DISKS_OF(0, .account_id = ACCOUNT, .ids = &(struct str_list){ids, 1}, .tags = &spare, .tag_count = 1);
    DISKS_OF(3, .account_id = ACCOUNT, .region_id = REGION, .zone_id = inst->zone_id);
    DISKS_OF(0, .account_id = ACCOUNT, .region_id = REGION, .zone_id = STR("z"));
    DISKS_OF(1, .account_id = ACCOUNT, .region_id = REGION, .name = STR("spare"));
    STEP(find_disks_by(tx, DISK_TYPE_SYSTEM, -1, -1, -1, 1));
    STEP(find_disks_by(tx, -1, DISK_CATEGORY_CLOUD_SSD, -1, -1, 1));
    STEP(find_disks_by(tx, -1, -1, DISK_STATUS_IN_USE, -1, 2));
    STEP(find_disks_by(tx, -1, -1, -1, 1, 1));
    DISKS_OF(1, .account_id = ACCOUNT, .region_id = REGION, .created_from_us = 102);
    DISKS_OF(2, .account_id = ACCOUNT, .region_id = REGION, .created_until_us = 101);
    return 0;
}

static int find_events(struct tx *tx, const struct system_event_filter *filter, size_t expected)
{
    struct page page = {.limit = 10, .count = true};
    struct system_event_list list;

    STEP(store_system_event_find(tx, filter, &page, &list));
    assert_int_equal(list.count, expected);
    return 0;
}

#define EVENTS_OF(expected, ...) STEP(find_events(tx, &(struct system_event_filter){__VA_ARGS__}, (expected)))

static int find_all_events(struct tx *tx, const struct instance *inst)
{
    struct str ids[] = {STR("e-1")};
    struct str types[] = {STR("SystemFailure.Stop")};
    struct str statuses[] = {STR("Scheduled")};
    struct event *events;
    size_t count;

    EVENTS_OF(3, .account_id = ACCOUNT, .region_id = REGION);
    EVENTS_OF(3, .region_id = REGION);
    EVENTS_OF(0, .region_id = STR("elsewhere"));
    EVENTS_OF(3, .account_id = ACCOUNT, .instance_id = inst->id);
    EVENTS_OF(0, .account_id = STR("another"), .instance_id = inst->id);
    EVENTS_OF(0, .account_id = ACCOUNT, .region_id = STR("elsewhere"), .instance_id = inst->id);
    EVENTS_OF(1, .account_id = ACCOUNT, .ids = &(struct str_list){ids, 1});
    EVENTS_OF(0, .account_id = ACCOUNT, .instance_id = STR("i-none"), .ids = &(struct str_list){ids, 1});
    EVENTS_OF(1, .account_id = ACCOUNT, .instance_id = inst->id, .types = &(struct str_list){types, 1});
    EVENTS_OF(0, .account_id = ACCOUNT, .instance_id = inst->id, .cycle_statuses = &(struct str_list){statuses, 1});
    EVENTS_OF(2, .account_id = ACCOUNT, .instance_id = inst->id, .published_from_us = 200);
    EVENTS_OF(1, .account_id = ACCOUNT, .instance_id = inst->id, .published_until_us = 100);
    EVENTS_OF(1, .account_id = ACCOUNT, .instance_id = inst->id, .not_before_from_us = 300);
    EVENTS_OF(2, .account_id = ACCOUNT, .instance_id = inst->id, .not_before_until_us = 200);
    STEP(store_event_list(tx, 0, inst->id, 10, &events, &count));
    assert_int_equal(count, 1);
    return 0;
}

static const struct tag with_tag = {.key = STR_INIT("k"), .value = STR_INIT("v")};
static const struct tag other_tag = {.key = STR_INIT("k"), .value = STR_INIT("w")};
static const struct page ten = {.limit = 10, .count = true};

static int find_commands(struct tx *tx, struct command_filter filter, size_t expected)
{
    struct command_list list;

    if (!filter.region_id.ptr)
        filter.region_id = REGION;
    if (!filter.account_id.ptr)
        filter.account_id = ACCOUNT;
    STEP(store_command_find(tx, &filter, &ten, &list));
    assert_int_equal(list.count, expected);
    return 0;
}

static int find_all_commands(struct tx *tx)
{
    STEP(find_commands(tx, (struct command_filter){.type = -1}, 1));
    STEP(find_commands(tx, (struct command_filter){.type = -1, .id = STR("c-1")}, 1));
    STEP(find_commands(tx, (struct command_filter){.type = -1, .id = STR("c-none")}, 0));
    STEP(find_commands(tx, (struct command_filter){.type = -1, .id = STR("c-1"), .account_id = STR("another")}, 0));
    STEP(find_commands(tx, (struct command_filter){.type = -1, .id = STR("c-1"), .region_id = STR("elsewhere")}, 0));
    STEP(find_commands(tx, (struct command_filter){.type = -1, .name_glob = STR("he*")}, 1));
    STEP(find_commands(tx, (struct command_filter){.type = -1, .name_glob = STR("x*")}, 0));
    STEP(find_commands(tx, (struct command_filter){.type = -1, .description_glob = STR("*it")}, 1));
    STEP(find_commands(tx, (struct command_filter){.type = -1, .description_glob = STR("it")}, 0));
    STEP(find_commands(tx, (struct command_filter){.type = -1, .resource_group_id = STR("rg")}, 0));
    STEP(find_commands(tx, (struct command_filter){.type = 0}, 1));
    STEP(find_commands(tx, (struct command_filter){.type = 1}, 0));
    STEP(find_commands(tx, (struct command_filter){.type = -1, .tags = &with_tag, .tag_count = 1}, 1));
    return find_commands(tx, (struct command_filter){.type = -1, .tags = &other_tag, .tag_count = 1}, 0);
}

static int find_invocations(struct tx *tx, struct invocation_filter filter, size_t expected)
{
    struct invocation_list list;

    if (!filter.region_id.ptr)
        filter.region_id = REGION;
    if (!filter.account_id.ptr)
        filter.account_id = ACCOUNT;
    STEP(store_invocation_find(tx, &filter, &ten, &list));
    assert_int_equal(list.count, expected);
    return 0;
}

#define INVOCATIONS(expected, ...) \
    STEP(find_invocations(tx, (struct invocation_filter){.command_type = -1, .invoke_status = -1, __VA_ARGS__}, (expected)))

static int find_all_invocations(struct tx *tx, const struct instance *inst)
{
    INVOCATIONS(1, .id = STR_NONE);
    INVOCATIONS(1, .id = STR("t-1"));
    INVOCATIONS(0, .id = STR("t-none"));
    INVOCATIONS(0, .id = STR("t-1"), .account_id = STR("another"));
    INVOCATIONS(0, .id = STR("t-1"), .region_id = STR("elsewhere"));
    INVOCATIONS(1, .command_id = STR("c-1"));
    INVOCATIONS(0, .command_id = STR("c-none"));
    INVOCATIONS(1, .instance_id = inst->id);
    INVOCATIONS(0, .instance_id = STR("i-none"));
    INVOCATIONS(1, .name_glob = STR("hel*"));
    INVOCATIONS(0, .name_glob = STR("x"));
    INVOCATIONS(0, .resource_group_id = STR("rg"));
    INVOCATIONS(1, .tags = &with_tag, .tag_count = 1);
    INVOCATIONS(0, .tags = &other_tag, .tag_count = 1);
    STEP(find_invocations(tx, (struct invocation_filter){.command_type = 1, .invoke_status = -1}, 0));
    return find_invocations(tx, (struct invocation_filter){.command_type = -1, .invoke_status = INVOKE_STATUS_FINISHED}, 0);
}

static int find_tasks(struct tx *tx, struct task_filter filter, size_t expected)
{
    struct task_list list;

    if (!filter.region_id.ptr)
        filter.region_id = REGION;
    if (!filter.account_id.ptr)
        filter.account_id = ACCOUNT;
    STEP(store_task_find(tx, &filter, &ten, &list));
    assert_int_equal(list.count, expected);
    return 0;
}

static int find_all_tasks(struct tx *tx, const struct instance *inst)
{
    struct task_summary summary;
    struct task_list list;
    int64_t count;

    STEP(find_tasks(tx, (struct task_filter){.invoke_status = -1}, 2));
    STEP(find_tasks(tx, (struct task_filter){.invoke_status = -1, .region_id = STR("elsewhere")}, 0));
    STEP(find_tasks(tx, (struct task_filter){.invoke_status = -1, .invocation_id = STR("t-1")}, 2));
    STEP(find_tasks(tx, (struct task_filter){.invoke_status = -1, .invocation_id = STR("t-1"), .account_id = STR("another")}, 0));
    STEP(find_tasks(tx, (struct task_filter){.invoke_status = -1, .invocation_id = STR("t-none")}, 0));
    STEP(find_tasks(tx, (struct task_filter){.invoke_status = -1, .command_id = STR("c-none")}, 0));
    STEP(find_tasks(tx, (struct task_filter){.invoke_status = -1, .instance_id = inst->id}, 1));
    STEP(find_tasks(tx, (struct task_filter){.invoke_status = -1, .invocation_id = STR("t-1"), .instance_id = inst->id}, 1));
    STEP(find_tasks(tx, (struct task_filter){.invoke_status = -1, .tags = &with_tag, .tag_count = 1}, 2));
    STEP(find_tasks(tx, (struct task_filter){.invoke_status = -1, .tags = &other_tag, .tag_count = 1}, 0));
    STEP(store_task_unfinished(tx, STR_NONE, 10, &list));
    assert_int_equal(list.count, 1);
    STEP(store_task_of_invocation(tx, STR("t-1"), &list));
    assert_int_equal(list.count, 2);
    STEP(store_task_summary(tx, inst->id, &summary));
    assert_true(summary.count == 1 && summary.active == 0 && summary.latest);
    STEP(store_task_summary(tx, STR("i-none"), &summary));
    assert_true(summary.count == 0 && !summary.latest);
    STEP(store_task_count(tx, ACCOUNT, &count));
    assert_int_equal(count, TASKS);
    STEP(store_command_count(tx, ACCOUNT, REGION, &count));
    assert_int_equal(count, 1);
    return 0;
}

static int find_instances(struct tx *tx, const struct instance_filter *filter, const struct page *page, size_t expected)
{
    struct instance_list list;

    STEP(store_instance_find(tx, filter, page, false, &list));
    assert_int_equal(list.count, expected);
    if (page->count)
        assert_int_equal(list.total, expected);
    return 0;
}

static int find_all_instances(struct tx *tx, const struct instance *inst)
{
    struct str ids[] = {inst->id, STR("i-none")};
    const struct str_list two = {ids, countof(ids)};
    struct instance_filter filter;
    struct instance_list list;
    usec_t when;

    instance_filter_init(&filter);
    STEP(find_instances(tx, &filter, &ten, 1)); /* the operator's */
    filter.region_id = REGION;
    STEP(find_instances(tx, &filter, &ten, 1));
    filter.account_id = ACCOUNT;
    STEP(find_instances(tx, &filter, &ten, 1));
    filter.state = INSTANCE_STATE_STOPPED;
    STEP(find_instances(tx, &filter, &ten, 0));
    filter.state = INSTANCE_STATE_RUNNING;
    STEP(find_instances(tx, &filter, &ten, 1));
    filter.ids = &two;
    STEP(find_instances(tx, &filter, &ten, 1));
    filter.ids = NULL;
    filter.metadata_glob = STR("x*");
    STEP(find_instances(tx, &filter, &ten, 0));
    filter.metadata_glob = STR_NONE;
    filter.network_type = 1;
    STEP(find_instances(tx, &filter, &ten, 0));
    filter.network_type = -1;
    filter.name_glob = STR("we*");
    STEP(find_instances(tx, &filter, &(struct page){.limit = 10}, 1));
    STEP(find_instances(tx, &filter, &(struct page){.limit = 10, .offset = 1}, 0));
    STEP(store_instance_placed(tx, STR_NONE, 10, &list));
    assert_int_equal(list.count, 1);
    STEP(store_instance_release_due(tx, 1000, 10, &list));
    STEP(store_instance_expiry_due(tx, 1000, 10, &list));
    STEP(store_instance_next_expiry(tx, &when));
    return store_instance_next_release(tx, &when);
}

static int find_rest(struct tx *tx, const struct instance *inst)
{
    struct segment *segments;
    struct str_list groups;
    struct client_token *token;
    struct job_list jobs;
    struct tag *tags;
    struct image *images;
    struct key_pair *pairs;
    struct str text;
    bool busy;
    size_t count;

    STEP(store_segment_list(tx, inst->id, &segments, &count));
    assert_int_equal(count, 2);
    STEP(store_segment_latest(tx, STR_NONE, 0, 10, &segments, &count));
    STEP(store_group_of_instance(tx, inst->id, &groups));
    assert_int_equal(groups.count, 1);
    STEP(store_disk_busy(tx, inst->id, &busy));
    assert_false(busy);
    STEP(store_token_get(tx, ACCOUNT, STR("RunInstances"), STR("t"), &token));
    STEP(store_job_find(tx, JOB_STATE_ACTIVE, 0, 10, &jobs));
    assert_int_equal(jobs.count, 1);
    STEP(store_tag_find(tx, ACCOUNT, STR("disk"), NULL, &(struct tag){.key = STR("use")}, 1, STR_NONE, 2, &tags, &count, &text));
    assert_int_equal(count, 2);
    STEP(store_tag_of_resource(tx, STR("d-2"), &tags, &count));
    assert_int_equal(count, 1);
    STEP(store_image_list(tx, &images, &count));
    STEP(store_image_disk(tx, STR("m-1"), &text));
    assert_null(text.ptr);
    return store_key_pair_list(tx, ACCOUNT, REGION, &pairs, &count);
}

static int find_deployment_sets(struct tx *tx)
{
    const struct deployment_set_filter filter = {.account_id = ACCOUNT, .region_id = REGION, .strategy = -1};
    struct deployment_set_list list;
    struct deployment_member *members;
    struct deployment_set *set;
    size_t count;
    int64_t sets;

    STEP(store_deployment_set_find(tx, &filter, &ten, &list));
    assert_int_equal(list.count, 1);
    STEP(store_deployment_set_get(tx, STR("ds-1"), &set));
    STEP(store_deployment_set_count(tx, ACCOUNT, REGION, &sets));
    assert_int_equal(sets, 1);
    STEP(store_deployment_set_members(tx, STR("ds-1"), STR_NONE, &members, &count));
    assert_int_equal(count, 0);
    return 0;
}

static int find_all(struct tx *tx, void *arg)
{
    struct story *story = arg;

    STEP(find_all_disks(tx, &story->inst));
    STEP(find_all_events(tx, &story->inst));
    STEP(find_all_commands(tx));
    STEP(find_all_invocations(tx, &story->inst));
    STEP(find_all_tasks(tx, &story->inst));
    STEP(find_deployment_sets(tx));
    STEP(find_all_instances(tx, &story->inst));
    return find_rest(tx, &story->inst);
}

/* ── removed ── */

static int finish_invocation(struct tx *tx)
{
    struct invocation_task *task;

    STEP(store_task_get(tx, STR("r-2"), &task));
    task->status = TASK_STATUS_FAILED;
    task->finished_us = 10;
    STEP(store_task_save(tx, task));
    return store_invocation_fold(tx, STR("t-1"));
}

static int remove_all(struct tx *tx, void *arg)
{
    struct story *story = arg;
    struct instance *inst;
    struct job_list jobs;

    STEP(store_instance_get(tx, story->inst.id, &inst));
    STEP(store_job_claim(tx, STR("n1"), 2, tx_now(tx), 0, 10, &jobs));
    assert_int_equal(jobs.count, 1);
    jobs.items[0].state = JOB_STATE_DONE;
    jobs.items[0].epoch = 2;
    jobs.items[0].finished_us = 5;
    STEP(store_job_save(tx, &jobs.items[0]));
    STEP(store_job_purge(tx, 10, 10));
    STEP(store_tag_delete(tx, STR("d-0"), STR("use")));
    for (int i = 0; i < DISKS; i++)
        STEP(store_disk_delete(tx, arena_printf(tx_arena(tx), "d-%d", i)));
    STEP(store_group_leave_all(tx, inst->id));
    STEP(store_address_free(tx, STR("vsw-1"), inst->private_ip));
    STEP(store_instance_delete(tx, inst));
    STEP(finish_invocation(tx));
    STEP(store_command_delete(tx, STR("c-1")));
    STEP(store_invocation_drop_oldest(tx, ACCOUNT, 10));
    STEP(store_event_purge(tx, 1000, 10));
    STEP(store_token_purge(tx, tx_now(tx) + USEC_PER_SEC * 7200, 10));
    STEP(store_key_purge(tx, 1000, 10));
    STEP(store_nonce_purge(tx, tx_now(tx) + 60 * USEC_PER_SEC, 10));
    STEP(store_key_delete(tx, STR("LTAI1")));
    STEP(store_key_pair_delete(tx, ACCOUNT, REGION, STR("k")));
    STEP(store_image_delete(tx, STR("m-1")));
    STEP(store_deployment_set_delete(tx, STR("ds-1")));
    return store_host_delete(tx, STR("host-1")); /* nothing is reserved on it: host_save wrote all but that */
}

static int unreserve(struct tx *tx, void *arg)
{
    (void)arg;
    return store_host_reserve(tx, STR("host-1"), -2, -8192);
}

static void a_write_fails_whole(void **state)
{
    struct story story;
    int64_t tasks = -1;
    struct tx *tx;

    (void)state;
    story_open(&story);
    fails_everywhere(&story, write_all, 100);
    assert_int_equal(story.tasks_before, 0);
    fails_everywhere(&story, find_all, 100);
    assert_int_equal(store_write(story.f.store, unreserve, NULL), 0);
    fails_everywhere(&story, remove_all, 50);
    tx = store_read_begin(story.f.store);
    assert_int_equal(store_task_count(tx, ACCOUNT, &tasks), 0);
    assert_int_equal(tasks, 0);
    store_read_end(tx);
    fixture_done(&story.f);
}

static void a_read_says_so(void **state)
{
    struct story story;
    int64_t at = 0;
    bool hit;

    (void)state;
    story_open(&story);
    assert_int_equal(store_write(story.f.store, write_all, &story), 0);
    do {
        struct tx *tx;
        int r;

        fault_set(++at, E_IO, false);
        tx = store_read_begin(story.f.store);
        r = find_all(tx, &story);
        hit = fault_get().hit;
        fault_set(0, 0, false);
        store_read_end(tx);
        assert_int_equal(r, hit ? -E_IO : 0);
        assert_true(at < TIMES_MAX);
    } while (hit);
    assert_true(at > 100);
    fixture_done(&story.f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_write_fails_whole),
        cmocka_unit_test(a_read_says_so),
    };

    log_threshold = (enum log_level)0; /* failures are what it is about */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
