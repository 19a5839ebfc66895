/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lists of instances against a plain loop over all of them: whatever filters are combined, and
 * however the pages are walked, both have to agree. Repeatable: the combinations come from a fixed
 * seed.
 */
#include "unit/store_fixture.h"

#define INSTANCES 240
#define ROUNDS 600
#define OTHER STR("9999999999999999")

static struct instance instances[INSTANCES]; /* oldest first */
static struct str groups[INSTANCES];
static struct tag tags[INSTANCES];

static const char *const zones[] = {"cn-hangzhou-b", "cn-hangzhou-h"};
static const char *const types[] = {"ecs.g6.large", "ecs.g6.xlarge", "ecs.c6.large",
                                    "ecs.i1.xlarge"};
static const char *const families[] = {"ecs.g6", "ecs.g6", "ecs.c6", "ecs.i1"};
static const char *const names[] = {"web-1", "web-2", "db", "cache"};

static size_t family_of(const struct instance *inst)
{
    size_t i = 0;

    while (!str_eq(str_from(types[i]), inst->type_id))
        i++;
    return i;
}

static struct str pick(struct env *env, const char *const *words, size_t count)
{
    return str_from(words[env_random_u64(env) % count]);
}

static void make(struct fixture *f, size_t i)
{
    struct instance *inst = &instances[i];
    uint64_t r = env_random_u64(f->env);

    env_advance(f->env, USEC_PER_MINUTE);
    *inst = fixture_instance(f);
    inst->account_id = i % 10 == 9 ? OTHER : ACCOUNT;
    inst->region_id = i % 12 == 5 ? STR("cn-beijing") : REGION;
    inst->state = (int)(r % INSTANCE_STATE_COUNT);
    inst->zone_id = pick(f->env, zones, countof(zones));
    inst->type_id = pick(f->env, types, countof(types));
    inst->name = pick(f->env, names, countof(names));
    inst->charge_type = (int)(r >> 8 & 1);
    inst->locks = (int64_t)(r >> 9 & 3);
    inst->network_type = (int)(r >> 11 & 1);
    inst->internet_charge_type = (int)(r >> 12 & 1);
    inst->key_pair_name = r >> 13 & 1 ? STR("kp") : STR_NONE;
    inst->resource_group_id = r >> 14 & 1 ? STR("rg-1") : STR_NONE;
    inst->image_id = r >> 15 & 1 ? STR("img-1") : STR("img-2");
    inst->vpc_id = r >> 16 & 1 ? STR("vpc-1") : STR("vpc-2");
    inst->vswitch_id = r >> 17 & 1 ? STR("vsw-1") : STR("vsw-2");
    inst->private_ip = arena_printf(&f->arena, "10.0.0.%zu", i % 200);
    inst->public_ip = i % 3 ? STR_NONE : arena_printf(&f->arena, "198.18.0.%zu", i);
    inst->eip_address = i % 5 ? STR_NONE : arena_printf(&f->arena, "47.0.0.%zu", i);
    inst->expires_us = r >> 18 & 1 ? inst->created_us + USEC_PER_HOUR : 0;
    groups[i] = r >> 19 & 1 ? STR("sg-1") : STR("sg-2");
    tags[i] = (struct tag){inst->id, STR("instance"), inst->account_id, STR("env"),
                           r >> 20 & 1 ? STR("prod") : STR("test")};
}

static int insert_all(struct tx *tx, void *arg)
{
    (void)arg;
    for (size_t i = 0; i < INSTANCES; i++) {
        assert_int_equal(store_instance_insert(tx, &instances[i]), 0);
        assert_int_equal(store_group_join(tx, instances[i].id, groups[i]), 0);
        if (i % 4)
            assert_int_equal(store_tag_put(tx, &tags[i]), 0);
        if (instances[i].public_ip.ptr)
            assert_int_equal(
                store_address_take(tx, STR("public"), instances[i].public_ip, instances[i].id), 0);
    }
    return 0;
}

/* ── the plain loop ── */

static bool in(const struct str_list *list, struct str value)
{
    bool found = !list;

    for (size_t i = 0; list && i < list->count; i++)
        found = found || str_eq(list->items[i], value);
    return found;
}

static bool text(struct str filter, struct str value)
{
    return !filter.ptr || (value.ptr && str_eq(filter, value));
}

static bool number(int filter, int value)
{
    return filter < 0 || filter == value;
}

static bool meets_texts(const struct instance_filter *f, const struct instance *x)
{
    const struct str filters[] = {f->account_id, f->region_id,        f->zone_id,       f->vpc_id,
                                  f->vswitch_id, f->image_id,         f->key_pair_name, f->type_id,
                                  f->family,     f->resource_group_id};
    const struct str values[] = {
        x->account_id,       x->region_id,  x->zone_id,
        x->vpc_id,           x->vswitch_id, x->image_id,
        x->key_pair_name,    x->type_id,    str_from(families[family_of(x)]),
        x->resource_group_id};
    bool met = true;

    for (size_t i = 0; i < countof(filters); i++)
        met = met && text(filters[i], values[i]);
    return met;
}

static bool meets_words(const struct instance_filter *f, const struct instance *x)
{
    return number(f->state, x->state) && number(f->charge_type, x->charge_type) &&
           number(f->network_type, x->network_type) &&
           number(f->internet_charge_type, x->internet_charge_type) &&
           (f->lock_reason < 0 || x->locks >> f->lock_reason & 1);
}

static bool meets_times(const struct instance_filter *f, const struct instance *x)
{
    return (!f->created_from_us || x->created_us >= f->created_from_us) &&
           (!f->created_until_us || x->created_us <= f->created_until_us) &&
           (!f->expires_from_us || instance_shown_expiry(x) >= f->expires_from_us);
}

static bool meets_name(const struct instance_filter *f, const struct instance *x)
{
    if (!f->name_glob.ptr)
        return true;
    return str_ends(f->name_glob, STR("*")) ? str_starts(x->name, STR("web"))
                                            : str_eq(x->name, f->name_glob);
}

static bool meets(const struct instance_filter *f, size_t i)
{
    const struct instance *x = &instances[i];
    bool tagged = f->tag_count == 0 || (i % 4 && text(f->tags[0].value, tags[i].value));
    bool lists = in(f->ids, x->id) && in(f->private_ips, x->private_ip) &&
                 in(f->public_ips, x->public_ip) && in(f->eip_addresses, x->eip_address);

    return tagged && lists && text(f->security_group_id, groups[i]) && meets_texts(f, x) &&
           meets_words(f, x) && meets_times(f, x) && meets_name(f, x);
}

/* ── combinations ── */

static const struct tag prod = {.key = STR_INIT("env"), .value = STR_INIT("prod")};
static const struct tag any = {.key = STR_INIT("env")};

static void set_text(struct instance_filter *f, uint64_t r, const struct instance *like)
{
    struct str *const members[] = {&f->zone_id,          &f->vpc_id,        &f->vswitch_id,
                                   &f->image_id,         &f->key_pair_name, &f->type_id,
                                   &f->resource_group_id};
    const struct str values[] = {like->zone_id,          like->vpc_id,        like->vswitch_id,
                                 like->image_id,         like->key_pair_name, like->type_id,
                                 like->resource_group_id};

    *members[r % countof(members)] = values[r % countof(members)];
}

/* Some ids or addresses, of which some may be there. */
static void set_list(struct fixture *f, struct instance_filter *filter, uint64_t r,
                     const struct instance *like)
{
    struct str_list *list = arena_new(&f->arena, struct str_list);
    const struct str_list **const members[] = {&filter->ids, &filter->private_ips,
                                               &filter->public_ips, &filter->eip_addresses};
    size_t member = r % countof(members);

    for (size_t i = 0; i < 3; i++) {
        const struct instance *one = i == 0 ? like : &instances[(r >> (8 + 8 * i)) % INSTANCES];
        const struct str values[] = {one->id, one->private_ip,
                                     one->public_ip.ptr ? one->public_ip : STR("198.18.9.9"),
                                     one->eip_address.ptr ? one->eip_address : STR("47.0.9.9")};

        arena_push(&f->arena, list->items, list->count, values[member]);
    }
    *members[member] = list;
}

static void set_time(struct instance_filter *filter, uint64_t r, const struct instance *like)
{
    usec_t *const members[] = {&filter->created_from_us, &filter->created_until_us,
                               &filter->expires_from_us};
    const usec_t values[] = {like->created_us, like->created_us, like->expires_us};

    *members[r % countof(members)] = values[r % countof(members)];
}

static void set_number(struct instance_filter *filter, uint64_t r, const struct instance *like)
{
    int *const members[] = {&filter->state, &filter->charge_type, &filter->network_type,
                            &filter->lock_reason};
    const int values[] = {like->state, like->charge_type, like->network_type, (int)(r >> 8 & 1)};

    *members[r % countof(members)] = values[r % countof(members)];
}

static void set_one(struct fixture *f, struct instance_filter *filter)
{
    uint64_t r = env_random_u64(f->env);
    const struct instance *like = &instances[(r >> 8) % INSTANCES];

    switch (r % 8) {
    case 0:
    case 1:
        set_number(filter, r >> 20, like);
        break;
    case 2:
        set_time(filter, r >> 20, like);
        break;
    case 3:
        set_list(f, filter, r >> 20, like);
        break;
    case 4:
        filter->name_glob = r >> 20 & 1 ? STR("web*") : like->name;
        break;
    case 5:
        filter->tags = r >> 20 & 1 ? &prod : &any;
        filter->tag_count = 1;
        break;
    case 6:
        filter->security_group_id = r >> 20 & 1 ? STR("sg-1") : STR_NONE;
        filter->family = str_from(families[family_of(like)]);
        break;
    default:
        set_text(filter, r >> 20, like);
        break;
    }
}

static void compare(struct tx *tx, const struct instance_filter *filter, int64_t limit,
                    bool by_offset, bool hot)
{
    struct page page = {.limit = limit, .count = true};
    size_t seen = 0;
    int64_t total = 0;
    struct instance_list list = {.more = true};

    for (size_t i = 0; i < INSTANCES; i++)
        total += meets(filter, i);
    for (size_t i = INSTANCES; i-- > 0;) {
        if (!meets(filter, i))
            continue;
        if (seen % (size_t)limit == 0) {
            assert_true(list.more);
            assert_int_equal(store_instance_find(tx, filter, &page, hot, &list), 0);
            assert_int_equal(list.total, total);
            page.offset += by_offset ? limit : 0;
            if (!by_offset && list.count > 0)
                page.after = list.items[list.count - 1].id;
        }
        assert_true(seen % (size_t)limit < list.count);
        const struct instance *got = &list.items[seen % (size_t)limit];
        if (!str_eq(got->id, instances[i].id))
            fail_msg("%.*s is not %.*s", STR_ARG(got->id), STR_ARG(instances[i].id));
        assert_int_equal(got->state, instances[i].state);
        if (!hot)
            assert_true(str_eq(got->private_ip, instances[i].private_ip));
        seen++;
    }
    if (seen == 0) {
        assert_int_equal(store_instance_find(tx, filter, &page, hot, &list), 0);
        assert_int_equal(list.count, 0);
        assert_int_equal(list.total, 0);
    }
    assert_false(list.more);
}

static void test_combinations(void **state)
{
    struct fixture f;
    size_t met = 0;

    (void)state;
    fixture_init(&f);
    f.env = env_free(f.env);
    f.env = env_new_seeded(7, USEC_PER_HOUR * 24 * 365 * 50);
    fixture_open(&f);
    for (size_t i = 0; i < INSTANCES; i++)
        make(&f, i);
    assert_int_equal(store_write(f.store, insert_all, NULL), 0);
    for (size_t round = 0; round < ROUNDS; round++) {
        struct tx *tx = store_read_begin(f.store);
        struct instance_filter filter;

        instance_filter_init(&filter);
        if (round % 16 != 15) /* the operator's listing has neither */
            filter.account_id = round % 7 == 6 ? OTHER : ACCOUNT;
        if (round % 8 != 7)
            filter.region_id = REGION;
        for (size_t i = round % 4; i > 0; i--)
            set_one(&f, &filter);
        for (size_t i = 0; i < INSTANCES; i++)
            met += meets(&filter, i);
        compare(tx, &filter, 1 + (int64_t)(round % 9), round % 2, round % 3 == 0);
        store_read_end(tx);
    }
    assert_true(met > ROUNDS); /* the filters are not all empty */
    fixture_done(&f);
}

/* ── the tally, after all kinds of changes ── */

static int change_states(struct tx *tx, void *arg)
{
    struct fixture *f = arg;

    for (size_t i = 0; i < INSTANCES; i++) {
        struct instance *inst = NULL;
        uint64_t r = env_random_u64(f->env);

        if (r % 8 == 0) /* from the caller's memory, not read in this write */
            inst = &instances[i];
        else
            assert_int_equal(store_instance_get_hot(tx, instances[i].id, &inst), 0);
        inst->state = (int)(r >> 8) & 3;
        assert_int_equal(store_instance_save(tx, inst), 0);
        if (r >> 16 & 1) {
            inst->state = INSTANCE_STATE_STOPPED;
            assert_int_equal(store_instance_save(tx, inst), 0);
        }
        tx_savepoint(tx);
        struct instance saved = *inst;
        inst->state = INSTANCE_STATE_PENDING;
        assert_int_equal(store_instance_save(tx, inst), 0);
        tx_rollback(tx);
        *inst = saved;
        instances[i].state = inst->state;
        instances[i].version = inst->version;
    }
    return 0;
}

static void test_tally(void **state)
{
    struct fixture f;

    (void)state;
    fixture_init(&f);
    f.env = env_free(f.env);
    f.env = env_new_seeded(11, USEC_PER_HOUR * 24 * 365 * 50);
    fixture_open(&f);
    for (size_t i = 0; i < INSTANCES; i++)
        make(&f, i);
    assert_int_equal(store_write(f.store, insert_all, NULL), 0);
    for (int round = 0; round < 4; round++) {
        assert_int_equal(store_write(f.store, change_states, &f), 0);
        struct tx *tx = store_read_begin(f.store);
        for (int s = -1; s < INSTANCE_STATE_COUNT; s++) {
            struct instance_filter filter;

            instance_filter_init(&filter);
            filter.account_id = ACCOUNT;
            filter.region_id = REGION;
            filter.state = s;
            compare(tx, &filter, 50, false, true);
        }
        store_read_end(tx);
    }
    fixture_done(&f);
}

/* ── those at a host ── */

#define MANY (STORE_STRETCH_ROWS + 10)
#define RARE STR("rare")

static struct str many_id(struct arena *arena, int n)
{
    return arena_printf(arena, "i-%06d", n);
}

static int insert_many(struct tx *tx, void *arg)
{
    struct fixture *f = arg;
    struct instance inst = fixture_instance(f);
    int r = 0;

    for (int n = 0; r == 0 && n < MANY; n++) {
        bool rare = (n >= 5 && n <= 7) || n == STORE_STRETCH_ROWS + 5;

        inst.id = many_id(tx_arena(tx), n);
        inst.host_id = rare ? RARE : STR("other");
        r = store_instance_insert(tx, &inst);
    }
    return r;
}

static void assert_stretch(struct tx *tx, int after, int first, int second, int next)
{
    struct arena *arena = tx_arena(tx);
    const int expected[] = {first, second};
    struct instance_list list;
    struct str is;
    size_t count = 0;

    assert_int_equal(store_instance_at_host(tx, RARE, after < 0 ? STR_NONE : many_id(arena, after), 2, &list, &is), 0);
    for (; count < countof(expected) && expected[count] >= 0; count++)
        assert_true(count < list.count && str_eq(list.items[count].id, many_id(arena, expected[count])));
    assert_int_equal(list.count, count);
    assert_int_equal(is.ptr != NULL, next >= 0);
    if (next >= 0)
        assert_true(str_eq(is, many_id(arena, next)));
}

/* However many instances there are, a call looks at a bounded part of them. */
static void test_at_a_host_in_stretches(void **state)
{
    struct fixture f;
    struct tx *tx;

    (void)state;
    fixture_init(&f);
    fixture_open(&f);
    assert_int_equal(store_write(f.store, insert_many, &f), 0);
    tx = store_read_begin(f.store);
    assert_stretch(tx, -1, 5, 6, 6); /* the page is full */
    assert_stretch(tx, 6, 7, STORE_STRETCH_ROWS + 5, 6 + STORE_STRETCH_ROWS);
    assert_stretch(tx, 6 + STORE_STRETCH_ROWS, -1, -1, -1);
    assert_stretch(tx, 7, STORE_STRETCH_ROWS + 5, -1, 7 + STORE_STRETCH_ROWS);
    assert_stretch(tx, MANY, -1, -1, -1);
    store_read_end(tx);
    fixture_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_combinations),
        cmocka_unit_test(test_tally),
        cmocka_unit_test(test_at_a_host_in_stretches),
    };

    return cmocka_run_group_tests_name("store_find", tests, NULL, NULL);
}
