/* SPDX-License-Identifier: Apache-2.0 */
/* The operator's calls, and what a fresh data folder contains. */
#include "unit/actions_world.h"

static void accounts_and_keys(void **state)
{
    struct acts *acts = acts_open();
    struct admin_create_account_reply made;
    struct admin_set_account_reply set;
    struct admin_show_account_reply shown;
    struct admin_list_accounts_reply accounts;
    struct admin_create_key_reply key;
    struct admin_list_keys_reply keys;
    struct admin_disable_key_reply disabled;
    struct admin_delete_key_reply deleted;
    struct str id;

    (void)state;
    REQUEST(admin_create_account, create);
    create.name = STR("third");
    create.stopped_mode = STOPPED_MODE_STOP_CHARGING;
    assert_ok(ACT(acts, ADMIN_CREATE_ACCOUNT, &create, &made));
    assert_refused(ACT(acts, ADMIN_CREATE_ACCOUNT, &create, &made), E_ADMIN_ACCOUNT_EXISTS);
    REQUEST(admin_list_accounts, list);
    assert_ok(ACT(acts, ADMIN_LIST_ACCOUNTS, &list, &accounts));
    assert_int_equal(accounts.accounts.count, 3);
    id = STR_NONE;
    for (size_t i = 0; i < 3; i++)
        if (str_eq(accounts.accounts.items[i].name, STR("third")))
            id = arena_str(&acts->arena, accounts.accounts.items[i].account_id);
    assert_int_equal(id.len, 16);
    REQUEST(admin_set_account, change);
    change.account_id = id;
    change.name = STR("mine");
    assert_refused(ACT(acts, ADMIN_SET_ACCOUNT, &change, &set), E_ADMIN_ACCOUNT_EXISTS);
    change.name = STR("renamed");
    change.stopped_mode = STOPPED_MODE_KEEP_CHARGING;
    assert_ok(ACT(acts, ADMIN_SET_ACCOUNT, &change, &set));
    REQUEST(admin_show_account, show);
    show.account_id = id;
    assert_ok(ACT(acts, ADMIN_SHOW_ACCOUNT, &show, &shown));
    assert_str(shown.account.name, "renamed");
    assert_int_equal(shown.account.stopped_mode, STOPPED_MODE_KEEP_CHARGING);
    show.account_id = STR("0");
    assert_refused(ACT(acts, ADMIN_SHOW_ACCOUNT, &show, &shown), E_ADMIN_ACCOUNT_NOT_FOUND);
    REQUEST(admin_create_key, add);
    add.account_id = id;
    add.access_key_id = STR("AKIDSECOND");
    add.secret = STR("secret-two");
    add.policy = STR("not json");
    assert_refused(ACT(acts, ADMIN_CREATE_KEY, &add, &key), E_ADMIN_POLICY);
    add.policy = STR_NONE;
    assert_ok(ACT(acts, ADMIN_CREATE_KEY, &add, &key));
    assert_refused(ACT(acts, ADMIN_CREATE_KEY, &add, &key), E_ADMIN_KEY_EXISTS);
    REQUEST(admin_disable_key, off);
    off.access_key_id = add.access_key_id;
    assert_ok(ACT(acts, ADMIN_DISABLE_KEY, &off, &disabled));
    REQUEST(admin_list_keys, list_keys);
    list_keys.account_id = id;
    assert_ok(ACT(acts, ADMIN_LIST_KEYS, &list_keys, &keys));
    assert_int_equal(keys.keys.count, 2);
    for (size_t i = 0; i < 2; i++) {
        assert_null(keys.keys.items[i].secret.ptr); /* shown once, when made */
        assert_int_equal(keys.keys.items[i].enabled,
                         !str_eq(keys.keys.items[i].access_key_id, add.access_key_id));
    }
    REQUEST(admin_delete_key, drop);
    drop.access_key_id = add.access_key_id;
    assert_ok(ACT(acts, ADMIN_DELETE_KEY, &drop, &deleted));
    assert_refused(ACT(acts, ADMIN_DELETE_KEY, &drop, &deleted), E_ADMIN_KEY_NOT_FOUND);
    acts_close(acts);
}

static void hosts(void **state)
{
    struct acts *acts = acts_open();
    struct admin_add_host_reply added;
    struct admin_set_host_reply set;
    struct admin_remove_host_reply removed;
    struct admin_evacuate_host_reply evacuated;
    struct admin_list_hosts_reply list;
    struct run_instances_request run = run_request();

    (void)state;
    REQUEST(admin_add_host, add);
    add.host_id = STR("host-9");
    add.url = STR("sim:");
    add.zone_id = STR("cn-hangzhou-i");
    add.vcpus = 8;
    add.memory_gib = 32;
    assert_ok(ACT(acts, ADMIN_ADD_HOST, &add, &added));
    assert_refused(ACT(acts, ADMIN_ADD_HOST, &add, &added), E_ADMIN_HOST_EXISTS);
    add.zone_id = STR("moon-1a");
    assert_refused(ACT(acts, ADMIN_ADD_HOST, &add, &added), E_ZONE_NOT_FOUND);
    world_settle(acts->world);
    run.zone_id = STR("cn-hangzhou-i");
    world_await(acts->world, acts_run_instances(acts, &run), INSTANCE_STATE_RUNNING, SECONDS(60));
    REQUEST(admin_set_host, change);
    change.host_id = STR("host-9");
    change.vcpus = (struct opt_int){true, 1};
    assert_refused(ACT(acts, ADMIN_SET_HOST, &change, &set), E_ADMIN_HOST_IN_USE);
    change.vcpus.set = false;
    change.state = HOST_STATE_DRAINING;
    assert_ok(ACT(acts, ADMIN_SET_HOST, &change, &set));
    REQUEST(admin_remove_host, drop);
    drop.host_id = STR("host-9");
    assert_refused(ACT(acts, ADMIN_REMOVE_HOST, &drop, &removed), E_ADMIN_HOST_NOT_EMPTY);
    change.state = HOST_STATE_DOWN;
    assert_ok(ACT(acts, ADMIN_SET_HOST, &change, &set));
    REQUEST(admin_evacuate_host, evacuate);
    evacuate.host_id = STR("host-9");
    assert_ok(ACT(acts, ADMIN_EVACUATE_HOST, &evacuate, &evacuated));
    assert_int_equal(evacuated.instances.count, 1);
    assert_str(evacuated.instances.items[0].reason, "it is Running");
    assert_int_equal(evacuated.instances.items[0].job_id, 0);
    assert_true(str_empty(evacuated.next_token));
    REQUEST(admin_list_hosts, all);
    assert_ok(ACT(acts, ADMIN_LIST_HOSTS, &all, &list));
    assert_int_equal(list.hosts.count, 2);
    for (size_t i = 0; i < list.hosts.count; i++)
        if (str_eq(list.hosts.items[i].host_id, drop.host_id))
            assert_int_equal(list.hosts.items[i].state, HOST_STATE_DOWN); /* the operator's word stays */
    drop.host_id = STR("host-0");
    assert_refused(ACT(acts, ADMIN_REMOVE_HOST, &drop, &removed), E_ADMIN_HOST_NOT_FOUND);
    acts_close(acts);
}

/* A page at a time; the jobs of a page need not have ended before the next. */
static void evacuation_in_pages(void **state)
{
    struct acts *acts = acts_open();
    struct admin_evacuate_host_reply page;
    struct admin_list_hosts_reply list;
    struct str ids[3];
    struct str host_2 = STR("host-2");

    (void)state;
    for (size_t i = 0; i < countof(ids); i++)
        ids[i] = acts_stopped(acts);
    assert_int_equal(store_write(acts->world->store, add_host, &host_2), 0);
    world_pass(acts->world, SECONDS(6));
    REQUEST(admin_evacuate_host, req);
    req.host_id = STR("host-1");
    req.limit = 2;
    assert_ok(ACT(acts, ADMIN_EVACUATE_HOST, &req, &page));
    assert_int_equal(page.instances.count, 2);
    for (size_t i = 0; i < 2; i++) {
        assert_true(str_eq(page.instances.items[i].instance_id, ids[i]));
        assert_int_equal(page.instances.items[i].state, INSTANCE_STATE_STOPPED);
        assert_true(page.instances.items[i].job_id != 0);
    }
    req.next_token = page.next_token;
    req.host_id = STR("host-2");
    assert_refused(ACT(acts, ADMIN_EVACUATE_HOST, &req, &page), E_NEXT_TOKEN);
    req.host_id = STR("host-1");
    assert_ok(ACT(acts, ADMIN_EVACUATE_HOST, &req, &page));
    assert_int_equal(page.instances.count, 1);
    assert_true(str_empty(page.next_token));
    world_settle(acts->world);
    for (size_t i = 0; i < countof(ids); i++)
        assert_str(world_instance(acts->world, ids[i])->host_id, "host-2");
    REQUEST(admin_list_hosts, all);
    assert_ok(ACT(acts, ADMIN_LIST_HOSTS, &all, &list));
    assert_int_equal(list.hosts.items[0].state, HOST_STATE_DRAINING);
    assert_int_equal(list.hosts.items[0].used_vcpus, 0);
    req.host_id = STR("host-0");
    assert_refused(ACT(acts, ADMIN_EVACUATE_HOST, &req, &page), E_ADMIN_HOST_NOT_FOUND);
    acts_close(acts);
}

static void instances_jobs_events_and_usage(void **state)
{
    struct acts *acts = acts_open();
    struct str id = acts_launch(acts, TYPE);
    struct admin_show_instance_reply shown;
    struct admin_list_instances_reply list;
    struct admin_list_jobs_reply jobs;
    struct admin_show_job_reply job;
    struct admin_list_events_reply events;
    struct admin_show_usage_reply usage;

    (void)state;
    assert_ok(acts_stop(acts, id));
    REQUEST(admin_show_instance, show);
    show.instance_id = id;
    assert_ok(ACT(acts, ADMIN_SHOW_INSTANCE, &show, &shown));
    assert_int_equal(shown.instance.state, INSTANCE_STATE_STOPPING);
    assert_int_equal(shown.instance.incarnation, 1);
    assert_str(shown.instance.host_id, "host-1");
    assert_int_equal(shown.disks.count, 1);
    assert_non_null(shown.job);
    assert_int_equal(shown.job->kind, JOB_KIND_STOP);
    REQUEST(admin_show_job, show_job);
    show_job.job_id = shown.job->job_id;
    assert_ok(ACT(acts, ADMIN_SHOW_JOB, &show_job, &job));
    assert_str(job.job.request_id, "1C488B66-B819-4D14-8711-C4EAAA13AC01");
    show_job.job_id = 1;
    assert_refused(ACT(acts, ADMIN_SHOW_JOB, &show_job, &job), E_ADMIN_JOB_NOT_FOUND);
    REQUEST(admin_list_jobs, list_jobs);
    assert_ok(ACT(acts, ADMIN_LIST_JOBS, &list_jobs, &jobs));
    assert_int_equal(jobs.jobs.count, 1);
    world_await(acts->world, id, INSTANCE_STATE_STOPPED, SECONDS(60));
    assert_ok(ACT(acts, ADMIN_LIST_JOBS, &list_jobs, &jobs));
    assert_int_equal(jobs.jobs.count, 0);
    list_jobs.all = true;
    assert_ok(ACT(acts, ADMIN_LIST_JOBS, &list_jobs, &jobs));
    assert_true(jobs.jobs.count >= 2);
    REQUEST(admin_list_instances, ask);
    ask.state = INSTANCE_STATE_STOPPED;
    assert_ok(ACT(acts, ADMIN_LIST_INSTANCES, &ask, &list));
    assert_int_equal(list.instances.count, 1);
    REQUEST(admin_list_events, log);
    log.instance_id = id;
    assert_ok(ACT(acts, ADMIN_LIST_EVENTS, &log, &events));
    assert_true(events.events.count >= 3);
    REQUEST(admin_show_usage, bill);
    bill.instance_id = id;
    assert_ok(ACT(acts, ADMIN_SHOW_USAGE, &bill, &usage));
    assert_true(usage.segments.count >= 2);
    assert_int_equal(usage.segments.items[0].mode, BILLING_MODE_RUNNING);
    assert_true(usage.segments.items[0].seconds > 0);
    show.instance_id = STR("i-unknown");
    assert_refused(ACT(acts, ADMIN_SHOW_INSTANCE, &show, &shown), E_INSTANCE_NOT_FOUND);
    acts_close(acts);
}

static void guests_do_as_they_are_told(void **state)
{
    struct acts *acts = acts_open();
    struct str id = acts_launch(acts, TYPE);
    struct admin_set_guest_reply set;
    struct admin_do_guest_reply done;
    struct admin_set_sim_host_reply host;

    (void)state;
    REQUEST(admin_set_guest, knob);
    knob.instance_id = id;
    knob.name = STR("shutdown");
    knob.value = STR("1");
    assert_ok(ACT(acts, ADMIN_SET_GUEST, &knob, &set));
    knob.name = STR("colour");
    assert_refused(ACT(acts, ADMIN_SET_GUEST, &knob, &set), E_ADMIN_SETTING);
    REQUEST(admin_set_sim_host, ask);
    ask.host_id = STR("host-1");
    ask.name = STR("delay");
    ask.value = STR("10");
    assert_ok(ACT(acts, ADMIN_SET_SIM_HOST, &ask, &host));
    REQUEST(admin_do_guest, deed);
    deed.instance_id = id;
    deed.what = GUEST_DEED_POWEROFF;
    assert_ok(ACT(acts, ADMIN_DO_GUEST, &deed, &done));
    world_await(acts->world, id, INSTANCE_STATE_STOPPED, SECONDS(60));
    assert_int_equal(acts_view(acts, id).stopped_mode, STOPPED_MODE_KEEP_CHARGING);
    acts_close(acts);
}

static void the_clock_and_the_options(void **state)
{
    struct acts *acts = acts_open();
    struct admin_show_clock_reply clock;
    struct admin_advance_clock_reply advanced;
    struct admin_show_options_reply options;
    bool found = false;

    (void)state;
    REQUEST(admin_show_clock, ask);
    assert_ok(ACT(acts, ADMIN_SHOW_CLOCK, &ask, &clock));
    if (env_is_virtual(acts->world->env)) {
        REQUEST(admin_advance_clock, advance);
        advance.duration = STR("90s");
        assert_ok(ACT(acts, ADMIN_ADVANCE_CLOCK, &advance, &advanced));
        assert_int_equal(advanced.now_us, clock.now_us + 90 * USEC_PER_SEC);
        advance.duration = STR("-5");
        assert_refused(ACT(acts, ADMIN_ADVANCE_CLOCK, &advance, &advanced), E_INVALID_PARAMETER);
    }
    world_set(acts->world, "stop.press_interval_s", "7");
    REQUEST(admin_show_options, list);
    assert_ok(ACT(acts, ADMIN_SHOW_OPTIONS, &list, &options));
    for (size_t i = 0; i < options.options.count; i++) {
        if (!str_eq(options.options.items[i].name, STR("stop.press_interval_s")))
            continue;
        found = true;
        assert_str(options.options.items[i].value, "7");
        assert_str(options.options.items[i].source, "set");
    }
    assert_true(found);
    acts_close(acts);
}

struct bootstrap {
    struct acts *acts;
    bool made;
    int64_t hosts;
};

static int bootstrap(struct tx *tx, void *arg)
{
    struct bootstrap *boot = arg;
    const struct tenant_order order = {.name = STR("default")};
    struct access_key *key;
    struct host *rows;
    size_t count = 0;
    int r = tenant_bootstrap(tx, &boot->acts->world->options.values, STR("sim"), &order,
                             &boot->made, &key, &boot->acts->fail);

    if (r == 0)
        r = store_host_list(tx, &rows, &count);
    boot->hosts = (int64_t)count;
    return r;
}

static int drop_host(struct tx *tx, void *arg)
{
    (void)arg;
    return store_host_delete(tx, STR("host-1"));
}

static void a_fresh_folder_has_a_host_in_every_zone(void **state)
{
    struct acts *acts = acts_open();
    struct bootstrap boot = {.acts = acts, .made = true};
    int64_t zones = 0;

    (void)state;
    for (size_t i = 0; i < catalog_region_count; i++)
        zones += (int64_t)catalog_regions[i].zone_count;
    assert_ok(store_write(acts->world->store, bootstrap, &boot));
    assert_false(boot.made); /* accounts were there */
    assert_int_equal(boot.hosts, 1);
    assert_ok(store_write(acts->world->store, drop_host, NULL));
    assert_ok(store_write(acts->world->store, bootstrap, &boot));
    assert_int_equal(boot.hosts, zones);
    acts_close(acts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accounts_and_keys),
        cmocka_unit_test(hosts),
        cmocka_unit_test(evacuation_in_pages),
        cmocka_unit_test(instances_jobs_events_and_usage),
        cmocka_unit_test(guests_do_as_they_are_told),
        cmocka_unit_test(the_clock_and_the_options),
        cmocka_unit_test(a_fresh_folder_has_a_host_in_every_zone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
