/* SPDX-License-Identifier: Apache-2.0 */
/* DescribeInstanceHistoryEvents: what happened to instances that nobody asked for. */
#include "actions/common.h"

#define PAGE_DEFAULT 10
#define RESOURCE_EVENTS_MAX                                                                        \
    1000 /* of one resource, where several are asked for at once: history is a month long */

/* Types of system events (API page); their place is the Code that replies show. */
static const char *const event_types[] = {
    "SystemMaintenance.Reboot", "SystemMaintenance.Redeploy", "SystemFailure.Reboot",
    "SystemFailure.Redeploy",   "SystemFailure.Delete",       "SystemFailure.Stop",
    "InstanceFailure.Reboot",   "InstanceExpiration.Stop",    "InstanceExpiration.Delete",
    "AccountUnbalanced.Stop",   "AccountUnbalanced.Delete",   NULL,
};

static int check_times(struct action *act, usec_t start, usec_t end)
{
    return start != 0 && end != 0 && end < start ? fail(act->fail, E_EVENT_TIME_ORDER) : 0;
}

static int check_types(struct action *act, const struct str_list *types)
{
    for (size_t i = 0; i < types->count; i++)
        if (words_find(event_types, types->items[i]) < 0)
            return fail(act->fail, E_EVENT_PARAMETER);
    return 0;
}

static struct str_list *list_of(struct arena *arena, struct str one, const struct str_list *many)
{
    struct str_list *list = arena_new(arena, struct str_list);

    list->items = arena_array(arena, struct str, many->count + 1);
    if (!str_empty(one))
        list->items[list->count++] = one;
    for (size_t i = 0; i < many->count; i++)
        list->items[list->count++] = many->items[i];
    return list;
}

/* Asked for none, these four: what is over. */
static struct str_list *statuses_of(struct action *act,
                                    const struct describe_instance_history_events_request *req)
{
    static const int over[] = {EVENT_CYCLE_STATUS_AVOIDED, EVENT_CYCLE_STATUS_EXECUTED,
                               EVENT_CYCLE_STATUS_CANCELED, EVENT_CYCLE_STATUS_FAILED};
    struct str_list *list = arena_new(act->arena, struct str_list);

    list->items = arena_array(act->arena, struct str,
                              req->instance_event_cycle_status.count + countof(over) + 1);
    if (req->event_cycle_status >= 0)
        list->items[list->count++] =
            str_from(event_cycle_status_text((enum event_cycle_status)req->event_cycle_status));
    for (size_t i = 0; i < req->instance_event_cycle_status.count; i++)
        list->items[list->count++] = str_from(event_cycle_status_text(
            (enum event_cycle_status)req->instance_event_cycle_status.items[i]));
    for (size_t i = 0; list->count == 0 && i < countof(over); i++)
        list->items[i] = str_from(event_cycle_status_text((enum event_cycle_status)over[i]));
    if (req->event_cycle_status < 0 && req->instance_event_cycle_status.count == 0)
        list->count = countof(over);
    return list;
}

static int make_filter(struct action *act,
                       const struct describe_instance_history_events_request *req,
                       struct system_event_filter *ret, struct str_list **ret_resources)
{
    struct str_list *types = list_of(act->arena, req->event_type, &req->instance_event_type);
    int r = check_types(act, types);

    if (r == 0)
        r = check_times(act, req->event_publish_time.start, req->event_publish_time.end);
    if (r == 0)
        r = check_times(act, req->not_before.start, req->not_before.end);
    if (r < 0)
        return r;
    if (req->tag.count > 0) /* rather than show events that nobody asked for */
        return fail(act->fail, E_PARAMETER_NOT_SUPPORTED, STR("Tag"));
    if (!str_empty(req->resource_type) && !str_eq_nocase(req->resource_type, STR("instance")))
        return fail(act->fail, E_EVENT_PARAMETER);
    *ret = (struct system_event_filter){
        .account_id = act->account->id,
        .region_id = req->region_id,
        .ids = req->event_id.count > 0 ? &req->event_id : NULL,
        .types = types->count > 0 ? types : NULL,
        .cycle_statuses = statuses_of(act, req),
        .published_from_us = req->event_publish_time.start,
        .published_until_us = req->event_publish_time.end,
        .not_before_from_us = req->not_before.start,
        .not_before_until_us = req->not_before.end,
    };
    *ret_resources = list_of(act->arena, req->instance_id, &req->resource_id);
    if ((*ret_resources)->count == 1)
        ret->instance_id = (*ret_resources)->items[0];
    return 0;
}

static struct system_event_view view_of(const struct system_event *event)
{
    return (struct system_event_view){
        .instance_id = event->instance_id,
        .event_id = event->id,
        .event_type = {words_find(event_types, event->type), event->type},
        .event_cycle_status = {words_find(event_cycle_status_words, event->cycle_status),
                               event->cycle_status},
        .event_publish_time = event->published_us,
        .not_before = event->not_before_us,
        .event_finish_time = event->finished_us,
        .reason = event->reason,
        .resource_type = STR("instance"),
    };
}

/* Newest first, the id decides between equals. */
static int by_age(const void *a, const void *b)
{
    const struct system_event *left = a, *right = b;

    if (left->published_us != right->published_us)
        return left->published_us < right->published_us ? 1 : -1;
    return -str_cmp(left->id, right->id);
}

/* Several resources: the events of each, put together here. */
static int find_several(struct action *act, const struct system_event_filter *filter,
                        const struct str_list *resources, const struct page *page,
                        struct system_event_list *ret)
{
    const struct page all = {.limit = RESOURCE_EVENTS_MAX};
    struct system_event *events = NULL;
    size_t count = 0, first;

    for (size_t i = 0; i < resources->count; i++) {
        struct system_event_filter one = *filter;
        struct system_event_list list;
        int r;
        one.instance_id = resources->items[i];
        r = store_system_event_find(act->tx, &one, &all, &list);
        if (r < 0)
            return r;
        for (size_t k = 0; k < list.count; k++)
            arena_push(act->arena, events, count, list.items[k]);
    }
    if (count > 0)
        qsort(events, count, sizeof(*events), by_age);
    first = MIN_OF((size_t)page->offset, count);
    *ret = (struct system_event_list){.items = events ? events + first : NULL,
                                      .count = MIN_OF((size_t)page->limit, count - first),
                                      .total = (int64_t)count};
    ret->more = first + ret->count < count;
    return 0;
}

/* A token says how many events were shown: new ones come in front, so that some may show up twice,
 * but none is lost. */
static int make_page(struct action *act, const struct describe_instance_history_events_request *req,
                     const struct page_check *check, struct page *ret,
                     struct describe_instance_history_events_reply *reply)
{
    int64_t size = req->max_results.set ? req->max_results.value : req->page_size;
    struct page_ask ask = page_ask_make(req->page_number, size, PAGE_DEFAULT, LIMIT_PAGE_SIZE);
    struct page page = {.limit = ask.size, .offset = (ask.number - 1) * ask.size, .count = true};
    struct str place;

    if (!str_empty(req->next_token) &&
        (page_token_read(act->arena, check, req->next_token, &place) < 0 ||
         str_to_i64(place, &page.offset) < 0 || page.offset < 0))
        return fail(act->fail, E_NEXT_TOKEN);
    reply->page_number = ask.number;
    reply->page_size = ask.size;
    *ret = page;
    return 0;
}

static struct page_check make_check(const struct system_event_filter *filter,
                                    const struct str_list *resources)
{
    const usec_t times[] = {filter->published_from_us, filter->published_until_us,
                            filter->not_before_from_us, filter->not_before_until_us};
    struct page_check check;

    page_check_init(&check);
    page_check_add(&check, filter->account_id);
    page_check_add(&check, filter->region_id);
    page_check_add_list(&check, filter->ids);
    page_check_add_list(&check, filter->types);
    page_check_add_list(&check, filter->cycle_statuses);
    page_check_add_list(&check, resources);
    for (size_t i = 0; i < countof(times); i++)
        page_check_add_i64(&check, times[i]);
    return check;
}

int describe_instance_history_events(struct action *act,
                                     const struct describe_instance_history_events_request *req,
                                     struct describe_instance_history_events_reply *reply)
{
    const struct catalog_region *region;
    struct system_event_filter filter;
    struct system_event_list list;
    struct str_list *resources = NULL;
    struct page_check check;
    struct page page;
    int r = action_region(act, req->region_id, &region);

    if (r >= 0)
        r = make_filter(act, req, &filter, &resources);
    if (r < 0)
        return r;
    check = make_check(&filter, resources);
    r = make_page(act, req, &check, &page, reply);
    if (r < 0 || !str_empty(req->impact_level))
        return r; /* events here have no level */
    r = resources->count > 1 ? find_several(act, &filter, resources, &page, &list)
                             : store_system_event_find(act->tx, &filter, &page, &list);
    if (r < 0)
        return action_failed(act, r);
    reply->instance_system_event_set.items =
        arena_array(act->arena, struct system_event_view, list.count + 1);
    reply->instance_system_event_set.count = list.count;
    for (size_t i = 0; i < list.count; i++)
        reply->instance_system_event_set.items[i] = view_of(&list.items[i]);
    reply->total_count = list.total;
    if (list.more)
        reply->next_token = page_token_make(
            act->arena, &check,
            arena_printf(act->arena, "%lld", (long long)page.offset + (long long)list.count));
    return 0;
}
