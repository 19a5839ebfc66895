/* SPDX-License-Identifier: Apache-2.0 */
#include "model/disk.h"

#include "unit/unit.h"

static struct instance instance_in(enum instance_state state)
{
    return (struct instance){
        .id = STR("i-1"),
        .region_id = STR("cn-hangzhou"),
        .zone_id = STR("cn-hangzhou-h"),
        .state = (int)state,
        .host_id = STR("host-1"),
        .type_id = STR("ecs.g6.large"),
    };
}

/* A data disk of that status; attached to i-1 unless it is Available. */
static struct disk disk_in(enum disk_status status)
{
    return (struct disk){
        .id = STR("d-1"),
        .region_id = STR("cn-hangzhou"),
        .zone_id = STR("cn-hangzhou-h"),
        .instance_id = status == DISK_STATUS_AVAILABLE ? STR_NONE : STR("i-1"),
        .type = DISK_TYPE_DATA,
        .category = DISK_CATEGORY_CLOUD_ESSD,
        .status = (int)status,
        .size_gib = 100,
    };
}

static void moves_follow_the_table(void **arg)
{
    static const uint8_t may[DISK_STATUS_COUNT][DISK_STATUS_COUNT] = {
        [DISK_STATUS_IN_USE] = {[DISK_STATUS_DETACHING] = 1, [DISK_STATUS_AVAILABLE] = 1},
        [DISK_STATUS_AVAILABLE] = {[DISK_STATUS_ATTACHING] = 1, [DISK_STATUS_IN_USE] = 1, [DISK_STATUS_DETACHING] = 1},
        [DISK_STATUS_ATTACHING] = {[DISK_STATUS_IN_USE] = 1, [DISK_STATUS_DETACHING] = 1, [DISK_STATUS_AVAILABLE] = 1},
        [DISK_STATUS_DETACHING] = {[DISK_STATUS_IN_USE] = 1, [DISK_STATUS_AVAILABLE] = 1},
        [DISK_STATUS_CREATING] = {[DISK_STATUS_IN_USE] = 1, [DISK_STATUS_DETACHING] = 1, [DISK_STATUS_AVAILABLE] = 1},
        [DISK_STATUS_RE_INITING] = {[DISK_STATUS_IN_USE] = 1, [DISK_STATUS_DETACHING] = 1, [DISK_STATUS_AVAILABLE] = 1},
    };

    (void)arg;
    for (int from = 0; from < DISK_STATUS_COUNT; from++) {
        assert_string_equal(sm_name(&disk_sm, from), disk_status_text((enum disk_status)from));
        for (int to = 0; to < DISK_STATUS_COUNT; to++) {
            struct disk disk = disk_in((enum disk_status)from);

            assert_int_equal(sm_may(&disk_sm, from, to), may[from][to]);
            if (!may[from][to])
                continue;
            disk.instance_id = to == DISK_STATUS_AVAILABLE ? STR_NONE : STR("i-1");
            disk_move(&disk, (enum disk_status)to);
            assert_int_equal(disk.status, to);
        }
    }
}

static void devices_are_named_in_order(void **arg)
{
    struct arena arena;
    struct disk disks[28] = {0};

    (void)arg;
    arena_init(&arena, 1 << 20);
    assert_str(disk_device(&arena, 0), "/dev/xvda");
    assert_str(disk_device(&arena, 25), "/dev/xvdz");
    assert_str(disk_device(&arena, 26), "/dev/xvdaa");
    assert_str(disk_device(&arena, 27 * 26 - 1), "/dev/xvdzz");
    /* The system disk's name is never given, whatever it is called. */
    assert_str(disk_free_device(&arena, disks, 0), "/dev/xvdb");
    for (size_t i = 0; i < countof(disks); i++)
        disks[i].device = disk_device(&arena, i);
    assert_str(disk_free_device(&arena, disks, 3), "/dev/xvdd");
    assert_str(disk_free_device(&arena, disks, 28), "/dev/xvdac");
    disks[1].device = STR("/dev/xvdz"); /* a gap is filled, also one that a disk of a strange name leaves */
    assert_str(disk_free_device(&arena, disks, 3), "/dev/xvdb");
    arena_done(&arena);
}

static int attach(struct disk disk, struct instance inst, size_t have)
{
    struct disk disks[20] = {0};

    assert(have <= countof(disks));
    return disk_attach_check(&disk, &inst, disks, have, NULL);
}

static void attach_needs_an_available_disk(void **arg)
{
    struct instance inst = instance_in(INSTANCE_STATE_RUNNING);

    (void)arg;
    assert_int_equal(attach(disk_in(DISK_STATUS_AVAILABLE), inst, 1), 0);
    assert_int_equal(attach(disk_in(DISK_STATUS_IN_USE), inst, 1), -E_DISK_OCCUPIED);
    for (int status = DISK_STATUS_ATTACHING; status < DISK_STATUS_COUNT; status++)
        assert_int_equal(attach(disk_in((enum disk_status)status), inst, 1), -E_DISK_STATUS_ATTACH);
}

static void attach_needs_a_settled_instance(void **arg)
{
    (void)arg;
    for (int state = 0; state < INSTANCE_STATE_COUNT; state++) {
        bool settled = state == INSTANCE_STATE_RUNNING || state == INSTANCE_STATE_STOPPED;

        assert_int_equal(attach(disk_in(DISK_STATUS_AVAILABLE), instance_in((enum instance_state)state), 1),
                         settled ? 0 : -E_DISK_INSTANCE_STATUS);
    }
}

static void attach_looks_at_what_the_disk_is(void **arg)
{
    struct instance inst = instance_in(INSTANCE_STATE_STOPPED);
    struct disk disk = disk_in(DISK_STATUS_AVAILABLE);
    size_t most = (size_t)instance_type_of(&inst)->cloud_disk_count;

    (void)arg;
    assert_int_equal(attach(disk, inst, most - 1), 0);
    assert_int_equal(attach(disk, inst, most), -E_DISK_COUNT_EXCEEDED);
    disk.zone_id = STR("cn-hangzhou-i");
    assert_int_equal(attach(disk, inst, 1), -E_DISK_OTHER_ZONE);
    disk.category = DISK_CATEGORY_LOCAL_SSD_PRO;
    assert_int_equal(attach(disk, inst, 1), -E_DISK_LOCAL);
    disk.type = DISK_TYPE_SYSTEM;
    assert_int_equal(attach(disk, inst, 1), -E_DISK_NOT_PORTABLE);
}

static void locks_refuse(void **arg)
{
    struct instance inst = instance_in(INSTANCE_STATE_RUNNING);
    struct disk used = disk_in(DISK_STATUS_IN_USE);

    (void)arg;
    inst.locks = 1 << LOCK_REASON_SECURITY;
    assert_int_equal(attach(disk_in(DISK_STATUS_AVAILABLE), inst, 1), -E_DISK_INSTANCE_LOCKED);
    assert_int_equal(disk_detach_check(&used, &inst, NULL), -E_DISK_INSTANCE_LOCKED);
    assert_int_equal(disk_resize_check(&used, &inst, 200, NULL), -E_DISK_INSTANCE_LOCKED);
    inst.locks = 1 << LOCK_REASON_FINANCIAL;
    assert_int_equal(attach(disk_in(DISK_STATUS_AVAILABLE), inst, 1), -E_INSTANCE_ARREARS);
    assert_int_equal(disk_detach_check(&used, &inst, NULL), 0); /* who pays no more may still take it out */
    assert_int_equal(disk_resize_check(&used, &inst, 200, NULL), -E_INSTANCE_ARREARS);
}

static void detach_needs_a_disk_of_the_instance(void **arg)
{
    struct instance inst = instance_in(INSTANCE_STATE_RUNNING);
    struct disk disk = disk_in(DISK_STATUS_IN_USE);

    (void)arg;
    assert_int_equal(disk_detach_check(&disk, &inst, NULL), 0);
    disk.instance_id = STR("i-2");
    assert_int_equal(disk_detach_check(&disk, &inst, NULL), -E_DISK_NOT_ATTACHED);
    disk = disk_in(DISK_STATUS_AVAILABLE);
    assert_int_equal(disk_detach_check(&disk, &inst, NULL), -E_DISK_DETACHED);
    for (int status = DISK_STATUS_ATTACHING; status < DISK_STATUS_COUNT; status++) {
        disk = disk_in((enum disk_status)status);
        assert_int_equal(disk_detach_check(&disk, &inst, NULL), -E_DISK_STATUS_NOW);
    }
    disk = disk_in(DISK_STATUS_IN_USE);
    inst.state = INSTANCE_STATE_STOPPING;
    assert_int_equal(disk_detach_check(&disk, &inst, NULL), -E_INSTANCE_STATUS);
    disk.category = DISK_CATEGORY_EPHEMERAL_SSD;
    assert_int_equal(disk_detach_check(&disk, &inst, NULL), -E_DISK_NOT_PORTABLE);
    disk.type = DISK_TYPE_SYSTEM;
    assert_int_equal(disk_detach_check(&disk, &inst, NULL), -E_DISK_TYPE_VIOLATION);
}

static void delete_needs_an_available_disk(void **arg)
{
    struct disk disk;

    (void)arg;
    for (int status = 0; status < DISK_STATUS_COUNT; status++) {
        disk = disk_in((enum disk_status)status);
        assert_int_equal(disk_delete_check(&disk, NULL), status == DISK_STATUS_AVAILABLE ? 0
                                                         : status == DISK_STATUS_IN_USE  ? -E_DISK_STILL_ATTACHED
                                                                                         : -E_DISK_STATUS_NOW);
    }
    disk.category = DISK_CATEGORY_LOCAL_HDD_PRO;
    assert_int_equal(disk_delete_check(&disk, NULL), -E_DISK_NOT_PORTABLE);
    disk.type = DISK_TYPE_SYSTEM;
    assert_int_equal(disk_delete_check(&disk, NULL), -E_DISK_TYPE_VIOLATION);
}

static void disks_only_grow(void **arg)
{
    struct instance inst = instance_in(INSTANCE_STATE_RUNNING);
    struct disk disk = disk_in(DISK_STATUS_AVAILABLE);

    (void)arg;
    assert_int_equal(disk_resize_check(&disk, NULL, 99, NULL), -E_DISK_RESIZE_SMALL);
    assert_int_equal(disk_resize_check(&disk, NULL, 100, NULL), -E_DISK_RESIZE_SAME);
    assert_int_equal(disk_resize_check(&disk, NULL, 101, NULL), 0);
    assert_int_equal(disk_resize_check(&disk, NULL, 32768, NULL), 0);
    assert_int_equal(disk_resize_check(&disk, NULL, 32769, NULL), -E_DISK_RESIZE_LARGE);
    disk.category = DISK_CATEGORY_CLOUD;
    assert_int_equal(disk_resize_check(&disk, NULL, 2001, NULL), -E_DISK_RESIZE_LARGE);
    disk = disk_in(DISK_STATUS_IN_USE);
    disk.type = DISK_TYPE_SYSTEM;
    assert_int_equal(disk_resize_check(&disk, &inst, 2048, NULL), 0);
    assert_int_equal(disk_resize_check(&disk, &inst, 2049, NULL), -E_DISK_RESIZE_LARGE);
    inst.state = INSTANCE_STATE_STARTING;
    assert_int_equal(disk_resize_check(&disk, &inst, 2048, NULL), -E_INSTANCE_STATUS);
    disk.category = DISK_CATEGORY_LOCAL_SSD_PRO;
    assert_int_equal(disk_resize_check(&disk, &inst, 2048, NULL), -E_DISK_RESIZE_DENIED);
    disk = disk_in(DISK_STATUS_ATTACHING);
    assert_int_equal(disk_resize_check(&disk, NULL, 200, NULL), -E_DISK_STATUS_NOW);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(moves_follow_the_table),
        cmocka_unit_test(devices_are_named_in_order),
        cmocka_unit_test(attach_needs_an_available_disk),
        cmocka_unit_test(attach_needs_a_settled_instance),
        cmocka_unit_test(attach_looks_at_what_the_disk_is),
        cmocka_unit_test(locks_refuse),
        cmocka_unit_test(detach_needs_a_disk_of_the_instance),
        cmocka_unit_test(delete_needs_an_available_disk),
        cmocka_unit_test(disks_only_grow),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
