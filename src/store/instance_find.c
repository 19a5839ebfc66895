/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lists of instances. One filter drives: an index gives the ids that meet it, newest first; the
 * others are looked at row by row. `drivers` says which filter drives, the most selective first.
 */
#include "store/core.h"
#include "store/find.h"
#include "store/instance.h"

/* A state that so few instances of the region are in is a better start than any other filter. */
#define FEW_IN_STATE 1000

void instance_filter_init(struct instance_filter *filter)
{
    *filter = (struct instance_filter){.state = -1,
                                       .charge_type = -1,
                                       .network_type = -1,
                                       .internet_charge_type = -1,
                                       .lock_reason = -1};
}

/* ── which index gives the ids ── */

struct driver {
    size_t offset; /* of the filter's struct str */
    struct query stream;
    struct query count;
};

/* clang-format off */
/* $1 account, $2 region, $3 the filter's value. */
#define DOC_WHERE "FROM instance_doc WHERE in_account = $1 AND in_region = $2 AND "
#define DOC_DRIVER(member, column)                                                                 \
    {offsetof(struct instance_filter, member),                                                     \
     {"SELECT id " DOC_WHERE column " = $3 AND id < $4 ORDER BY id DESC", NULL},                   \
     {"SELECT COUNT(*) " DOC_WHERE column " = $3", NULL}}
/* clang-format on */

static const struct driver drivers[] = {
    DOC_DRIVER(vswitch_id, "vswitch_id"),
    DOC_DRIVER(key_pair_name, "key_pair_name"),
    DOC_DRIVER(resource_group_id, "resource_group_id"),
    DOC_DRIVER(type_id, "of_type"),
    DOC_DRIVER(image_id, "image_id"),
    DOC_DRIVER(vpc_id, "vpc_id"),
    DOC_DRIVER(family, "of_family"),
    DOC_DRIVER(zone_id, "in_zone"),
};

static struct str filter_text(const struct instance_filter *filter, size_t offset)
{
    return *(const struct str *)(const void *)((const char *)filter + offset);
}

/* ── the other filters ── */

struct context {
    const struct instance_filter *filter;
    bool hot_only; /* what the caller wants of a row */
    bool cold;     /* some filter needs the wide row */
};

static bool is_exact_name(struct str glob)
{
    return glob.ptr && !str_contains(glob, STR("*"));
}

static bool hot_matches(const struct instance_filter *f, const struct instance *in)
{
    return find_text(f->account_id, in->account_id) && find_text(f->region_id, in->region_id) &&
           find_text(f->zone_id, in->zone_id) && find_text(f->type_id, in->type_id) &&
           find_int(f->state, in->state) && find_int(f->charge_type, in->charge_type) &&
           find_in(f->public_ips, in->public_ip) && find_in(f->ids, in->id) &&
           (f->lock_reason < 0 || (in->locks >> f->lock_reason & 1) != 0) &&
           find_between(instance_shown_expiry(in), f->expires_from_us, f->expires_until_us) &&
           (!f->family.ptr || str_eq(f->family, instance_family_of(in->type_id)));
}

static bool needs_cold(const struct instance_filter *f)
{
    return f->vpc_id.ptr || f->vswitch_id.ptr || f->image_id.ptr || f->key_pair_name.ptr ||
           f->resource_group_id.ptr || f->name_glob.ptr || f->private_ips || f->eip_addresses ||
           f->network_type >= 0 || f->internet_charge_type >= 0 || f->created_from_us ||
           f->created_until_us || f->metadata_glob.ptr;
}

static bool cold_matches(const struct instance_filter *f, const struct instance *in)
{
    return find_text(f->vpc_id, in->vpc_id) && find_text(f->vswitch_id, in->vswitch_id) &&
           find_text(f->image_id, in->image_id) && find_text(f->key_pair_name, in->key_pair_name) &&
           find_text(f->resource_group_id, in->resource_group_id) &&
           find_in(f->private_ips, in->private_ip) && find_in(f->eip_addresses, in->eip_address) &&
           find_int(f->network_type, in->network_type) &&
           find_int(f->internet_charge_type, in->internet_charge_type) &&
           find_between(in->created_us, f->created_from_us, f->created_until_us) &&
           (!f->metadata_glob.ptr || str_glob(f->metadata_glob, in->metadata_options, false)) &&
           (!f->name_glob.ptr || (in->name.ptr && str_glob(f->name_glob, in->name, false)));
}

static bool matches(const void *context, const void *row)
{
    const struct context *c = context;

    return hot_matches(c->filter, row) && (!c->cold || cold_matches(c->filter, row));
}

static int in_group(struct tx *tx, struct str group_id, struct str instance_id)
{
    static const struct query query = {
        "SELECT 1 FROM group_member WHERE group_id = $1 AND instance_id = $2", NULL};
    int64_t found = 0;

    if (!group_id.ptr)
        return 1;
    int r = rows_number(tx, &query, ARGS(V_STR(group_id), V_STR(instance_id)), 0, &found);

    return r < 0 ? r : (int)found;
}

static int match(struct tx *tx, const void *context, struct str id, bool wanted, void *item)
{
    const struct context *c = context;
    const struct query *query =
        c->cold || (wanted && !c->hot_only) ? &instance_query_all : &instance_query_hot;
    /* The row last: once it is kept it stays on the arena. */
    int r = in_group(tx, c->filter->security_group_id, id);

    if (r > 0)
        r = find_tags(tx, id, c->filter->tags, c->filter->tag_count);
    if (r > 0)
        r = find_row(tx, query, id, matches, c, wanted, item);
    if (r > 0 && wanted)
        instance_remember(tx, item);
    return r;
}

/* ── choosing ── */

/* How many filters are set besides account and region. */
static size_t filter_count(const struct instance_filter *f)
{
    const void *const lists[] = {f->ids, f->private_ips, f->public_ips, f->eip_addresses};
    const int words[] = {f->state, f->charge_type, f->network_type, f->internet_charge_type,
                         f->lock_reason};
    const usec_t times[] = {f->created_from_us, f->created_until_us, f->expires_from_us,
                            f->expires_until_us};
    size_t count = f->tag_count + (f->security_group_id.ptr != NULL) + (f->name_glob.ptr != NULL) +
                   (f->metadata_glob.ptr != NULL);

    for (size_t i = 0; i < countof(drivers); i++)
        count += filter_text(f, drivers[i].offset).ptr != NULL;
    for (size_t i = 0; i < countof(lists); i++)
        count += lists[i] != NULL;
    for (size_t i = 0; i < countof(words); i++)
        count += words[i] >= 0;
    for (size_t i = 0; i < countof(times); i++)
        count += times[i] != 0;
    return count;
}

/* Instances with any of these addresses. */
static int ids_by_address(struct tx *tx, const struct query *query,
                          const struct str_list *addresses, struct find *find)
{
    struct str_list *ids = arena_new(&tx->arena, struct str_list);

    for (size_t i = 0; i < addresses->count; i++) {
        struct str_list found = {0};
        int r = rows_texts(tx, query, ARGS(V_STR(addresses->items[i])), &found);

        if (r < 0)
            return r;
        for (size_t k = 0; k < found.count; k++)
            arena_push(&tx->arena, ids->items, ids->count, found.items[k]);
    }
    find->ids = ids;
    return 0;
}

static int choose_ids(struct tx *tx, const struct instance_filter *f, struct find *find)
{
    static const struct query by_private_ip = {"SELECT id FROM instance_doc WHERE private_ip = $1",
                                               NULL};
    static const struct query by_eip = {"SELECT id FROM instance_doc WHERE eip_address = $1", NULL};
    /* store_address_take knows who has it: an index of its own would move with each change of
     * state. */
    static const struct query by_public_ip = {
        "SELECT instance_id FROM address WHERE scope = 'public' AND address = $1", NULL};

    if (f->ids)
        find->ids = f->ids;
    else if (f->private_ips)
        return ids_by_address(tx, &by_private_ip, f->private_ips, find);
    else if (f->eip_addresses)
        return ids_by_address(tx, &by_eip, f->eip_addresses, find);
    else if (f->public_ips)
        return ids_by_address(tx, &by_public_ip, f->public_ips, find);
    return 0;
}

/* By state, when it is the only filter or says more than others can. */
static int choose_state(struct tx *tx, const struct instance_filter *f, size_t others,
                        struct find *find)
{
    static const struct query stream = {
        "SELECT id FROM instance WHERE account_id = $1 AND region_id = $2 AND state = $3 AND id < "
        "$4 ORDER BY id DESC",
        NULL};
    int64_t total = 0;
    int r = tally_get(tx, f->account_id, f->region_id, f->state, &total);

    if (r < 0 || (others > 0 && total > FEW_IN_STATE))
        return r;
    find->stream = &stream;
    find_arg(find, f->account_id);
    find_arg(find, f->region_id);
    find_arg_i64(find, f->state);
    find->exact = find->total_known = others == 0;
    find->total = total;
    return 0;
}

static int choose_driver(struct tx *tx, const struct instance_filter *f, bool alone, bool count,
                         struct find *find)
{
    for (size_t i = 0; i < countof(drivers); i++) {
        const struct driver *driver = &drivers[i];
        struct str value = filter_text(f, driver->offset);

        if (!value.ptr)
            continue;
        find->stream = &driver->stream;
        find_arg(find, f->account_id);
        find_arg(find, f->region_id);
        find_arg(find, value);
        find->exact = alone;
        find->total_known = alone && count;
        if (find->total_known)
            return rows_number(tx, &driver->count, find->args, 3, 0, &find->total);
        return 0;
    }
    return 0;
}

static int choose_all(struct tx *tx, const struct instance_filter *f, bool alone, struct find *find)
{
    static const struct query stream = {"SELECT id FROM instance_doc WHERE in_account = $1 AND "
                                        "in_region = $2 AND id < $3 ORDER BY id DESC",
                                        NULL};

    find->stream = &stream;
    find_arg(find, f->account_id);
    find_arg(find, f->region_id);
    find->exact = find->total_known = alone;
    return alone ? tally_get(tx, f->account_id, f->region_id, -1, &find->total) : 0;
}

/* The operator's own listing: any account or any region. */
static void choose_everything(const struct instance_filter *f, size_t set, struct find *find)
{
    static const struct query stream = {"SELECT id FROM instance WHERE id < $1 ORDER BY id DESC",
                                        NULL};

    find->stream = &stream;
    find->exact = set == 0 && !f->account_id.ptr && !f->region_id.ptr;
}

static int choose(struct tx *tx, const struct instance_filter *f, bool count, struct find *find)
{
    static const struct query by_name = {
        "SELECT id FROM instance_doc WHERE in_account = $1 AND in_region = $2 AND name = $3 AND id "
        "< $4 ORDER BY id DESC",
        NULL};
    static const struct query by_group = {"SELECT instance_id FROM group_member WHERE group_id = "
                                          "$1 AND instance_id < $2 ORDER BY instance_id DESC",
                                          NULL};
    size_t set = filter_count(f);
    int r = choose_ids(tx, f, find);

    if (r < 0 || find->ids)
        return r;
    if (!f->account_id.ptr || !f->region_id.ptr) {
        choose_everything(f, set, find);
        return 0;
    }
    if (f->state >= 0)
        r = choose_state(tx, f, set - 1, find);
    if (r < 0 || find->stream)
        return r;
    if (is_exact_name(f->name_glob)) {
        find->stream = &by_name;
        find_arg(find, f->account_id);
        find_arg(find, f->region_id);
        find_arg(find, f->name_glob);
    } else if (f->tag_count > 0) {
        find_by_tag(find, f->account_id, STR("instance"), f->tags, f->tag_count);
    } else if (f->security_group_id.ptr) {
        find->stream = &by_group;
        find_arg(find, f->security_group_id);
    } else {
        r = choose_driver(tx, f, set == 1, count, find);
    }
    return r < 0 || find->stream ? r : choose_all(tx, f, set == 0, find);
}

int store_instance_find(struct tx *tx, const struct instance_filter *filter,
                        const struct page *page, bool hot_only, struct instance_list *ret)
{
    struct context context = {.filter = filter, .hot_only = hot_only, .cold = needs_cold(filter)};
    struct find find = {.match = match, .filter = &context, .item_bytes = sizeof(struct instance)};
    struct find_result result;
    int r = choose(tx, filter, page->count, &find);

    if (r == 0)
        r = find_page(tx, &find, page, &result);
    if (r < 0)
        return r;
    *ret = (struct instance_list){result.items, result.count, result.more, result.total};
    return 0;
}
