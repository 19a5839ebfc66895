/* SPDX-License-Identifier: Apache-2.0 */
/* Admin: hosts, and what simulated ones can be told. */
#include "actions/admin.h"

int admin_host(struct action *act, struct str id, struct host **ret)
{
    int r = store_host_get(act->tx, id, ret);

    return r == -E_NOT_FOUND ? fail(act->fail, E_ADMIN_HOST_NOT_FOUND, id) : action_failed(act, r);
}

/* Texts are copied: a reply to a write is read after its transaction is over. */
static struct host_view host_view_of(struct arena *arena, const struct host *host)
{
    return (struct host_view){
        .host_id = arena_str(arena, host->id),
        .url = arena_str(arena, host->url),
        .region_id = arena_str(arena, host->region_id),
        .zone_id = arena_str(arena, host->zone_id),
        .state = host->state,
        .vcpus = host->vcpus,
        .memory_mib = host->memory_mib,
        .used_vcpus = host->used_vcpus,
        .used_memory_mib = host->used_memory_mib,
        .holder = arena_str(arena, host->holder),
        .epoch = host->epoch,
        .creation_time = host->created_us,
    };
}

int admin_list_hosts(struct action *act, const struct admin_list_hosts_request *req,
                     struct admin_list_hosts_reply *reply)
{
    struct host *hosts;
    size_t count;
    int r = store_host_list(act->tx, &hosts, &count);

    (void)req;
    if (r < 0)
        return action_failed(act, r);
    reply->hosts.items = arena_array(act->arena, struct host_view, count + 1);
    reply->hosts.count = count;
    for (size_t i = 0; i < count; i++)
        reply->hosts.items[i] = host_view_of(act->arena, &hosts[i]);
    return 0;
}

static const struct catalog_region *region_of_zone(struct str zone_id)
{
    for (size_t i = 0; i < catalog_region_count; i++)
        if (catalog_zone_find(&catalog_regions[i], zone_id))
            return &catalog_regions[i];
    return NULL;
}

static int host_event(struct action *act, struct str host_id, const char *what)
{
    return admin_event(act, EVENT_KIND_HOST, STR_NONE, STR_NONE,
                       arena_printf(act->arena, "host %.*s %s", STR_ARG(host_id), what));
}

int admin_add_host(struct action *act, const struct admin_add_host_request *req,
                   struct admin_add_host_reply *reply)
{
    const struct catalog_region *region = region_of_zone(req->zone_id);
    struct host host;
    int r;

    if (!region)
        return fail(act->fail, E_ZONE_NOT_FOUND);
    if (!str_is_token(req->host_id))
        return fail(act->fail, E_INVALID_PARAMETER, STR("HostId"));
    host = (struct host){
        .id = req->host_id,
        .url = req->url,
        .region_id = str_from(region->id),
        .zone_id = req->zone_id,
        .state = HOST_STATE_UP,
        .vcpus = req->vcpus,
        .memory_mib = req->memory_gib * 1024,
        .created_us = act->now,
    };
    r = store_host_insert(act->tx, &host);
    if (r == -E_EXISTS)
        return fail(act->fail, E_ADMIN_HOST_EXISTS, req->host_id);
    if (r < 0)
        return action_failed(act, r);
    engine_host_changed(act->engine, act->tx, host.id);
    reply->host = host_view_of(act->arena, &host);
    return host_event(act, host.id, "added");
}

/* A host can't become smaller than what runs on it. */
int admin_set_host(struct action *act, const struct admin_set_host_request *req,
                   struct admin_set_host_reply *reply)
{
    struct host *host;
    int r = admin_host(act, req->host_id, &host);

    if (r < 0)
        return r;
    if (req->vcpus.set)
        host->vcpus = req->vcpus.value;
    if (req->memory_gib.set)
        host->memory_mib = req->memory_gib.value * 1024;
    if (req->state >= 0)
        host->state = req->state;
    if (host->vcpus < host->used_vcpus || host->memory_mib < host->used_memory_mib)
        return fail(act->fail, E_ADMIN_HOST_IN_USE, host->id);
    r = store_host_save(act->tx, host);
    if (r < 0)
        return action_failed(act, r);
    engine_host_changed(act->engine, act->tx, host->id);
    reply->host = host_view_of(act->arena, host);
    return host_event(act, host->id, "changed");
}

/* No new ones from now on; the operator's `down` says so, too. */
static int drain(struct action *act, struct host *host)
{
    int r;

    if (host->state == HOST_STATE_UP) {
        host->state = HOST_STATE_DRAINING;
        r = store_host_save(act->tx, host);
        if (r < 0)
            return action_failed(act, r);
        engine_host_changed(act->engine, act->tx, host->id);
    }
    return host_event(act, host->id, "is evacuated");
}

static int evacuate(struct action *act, struct instance *inst, struct host_instance *ret)
{
    struct order order = {.request_id = act->request_id, .actor = STR("operator"), .reason = STOP_REASON_OPERATOR};
    const char *why = NULL;
    int r = engine_order_evacuate(act->engine, act->tx, inst, &order, &why);

    if (r < 0)
        return action_failed(act, r);
    *ret = (struct host_instance){
        .instance_id = arena_str(act->arena, inst->id),
        .state = inst->state,
        .job_id = why ? 0 : inst->job_id,
        .reason = why ? arena_str(act->arena, str_from(why)) : STR(""),
    };
    return 0;
}

int admin_evacuate_host(struct action *act, const struct admin_evacuate_host_request *req,
                        struct admin_evacuate_host_reply *reply)
{
    struct str after = STR_NONE;
    struct instance_list list;
    struct page_check check;
    struct str next;
    struct host *host;
    int r = admin_host(act, req->host_id, &host);

    if (r < 0)
        return r;
    page_check_init(&check);
    page_check_add(&check, req->host_id);
    if (!str_empty(req->next_token) && page_token_read(act->arena, &check, req->next_token, &after) < 0)
        return fail(act->fail, E_NEXT_TOKEN);
    r = str_empty(after) ? drain(act, host) : 0;
    if (r < 0)
        return r;
    r = store_instance_at_host(act->tx, host->id, after, req->limit, &list, &next);
    if (r < 0)
        return action_failed(act, r);
    reply->instances.items = arena_array(act->arena, struct host_instance, list.count + 1);
    reply->instances.count = list.count;
    for (size_t i = 0; i < list.count; i++) {
        r = evacuate(act, &list.items[i], &reply->instances.items[i]);
        if (r < 0)
            return r;
    }
    if (next.ptr)
        reply->next_token = page_token_make(act->arena, &check, next);
    return 0;
}

#define NAMED_MAX 5     /* instances in the answer to a removal */
#define STRETCHES_MAX 5 /* that are looked through for them: other writes wait meanwhile */

/* The first of them. */
static int look_for_some(struct action *act, const struct host *host, struct instance_list *ret)
{
    struct str next = STR_NONE;
    int r = 0;

    *ret = (struct instance_list){.more = true};
    for (int i = 0; r == 0 && i < STRETCHES_MAX && ret->count == 0 && (i == 0 || next.ptr); i++)
        r = store_instance_at_host(act->tx, host->id, next, NAMED_MAX, ret, &next);
    ret->more |= next.ptr != NULL;
    return r;
}

/* "i-… (Running), i-… (Stopped) and perhaps others" */
static int not_empty(struct action *act, const struct host *host)
{
    struct str names = STR("");
    struct instance_list list;
    int r = look_for_some(act, host, &list);

    if (r < 0)
        return action_failed(act, r);
    for (size_t i = 0; i < list.count; i++)
        names = arena_printf(act->arena, "%.*s%s%.*s (%s)", STR_ARG(names), i > 0 ? ", " : "", STR_ARG(list.items[i].id),
                             instance_state_text((enum instance_state)list.items[i].state));
    if (list.count == 0)
        names = STR("host evacuate tells which");
    else if (list.more)
        names = arena_printf(act->arena, "%.*s and perhaps others", STR_ARG(names));
    return fail(act->fail, E_ADMIN_HOST_NOT_EMPTY, host->id, names);
}

int admin_remove_host(struct action *act, const struct admin_remove_host_request *req,
                      struct admin_remove_host_reply *reply)
{
    struct host *host;
    int r = admin_host(act, req->host_id, &host);

    (void)reply;
    if (r < 0)
        return r;
    if (host->used_vcpus > 0 || host->used_memory_mib > 0)
        return not_empty(act, host);
    r = store_host_delete(act->tx, host->id);
    if (r < 0)
        return action_failed(act, r);
    engine_host_changed(act->engine, act->tx, host->id);
    return host_event(act, host->id, "removed");
}

/* Tells the hypervisor, outside any write transaction: it may take its time. */
static int simulate(struct action *act, struct str host_id, struct str machine_id, struct str name,
                    struct str value)
{
    struct hypervisor *hv = engine_hypervisor(act->engine);
    struct str subject = str_empty(machine_id) ? host_id : machine_id;
    int r;

    if (str_empty(host_id))
        return fail(act->fail, E_ADMIN_NOT_SIMULATED, subject);
    r = hv->ops->simulate(hv, host_id, machine_id, name, value, act->fail);
    if (r == -E_UNSUPPORTED_OPERATION || r == -E_NOT_FOUND)
        return fail(act->fail, E_ADMIN_NOT_SIMULATED, subject);
    if (r == -E_CONFLICT)
        return fail(act->fail, E_ADMIN_GUEST_STATE, subject, name);
    if (r == -E_INVALID_PARAMETER || r == -E_INVALID)
        return fail(act->fail, E_ADMIN_SETTING, name, value.ptr ? value : STR(""));
    return action_failed(act, r);
}

int admin_set_sim_host(struct action *act, const struct admin_set_sim_host_request *req,
                       struct admin_set_sim_host_reply *reply)
{
    struct host *host;
    int r = admin_host(act, req->host_id, &host);

    (void)reply;
    return r < 0 ? r : simulate(act, host->id, STR_NONE, req->name, req->value);
}

int admin_set_guest(struct action *act, const struct admin_set_guest_request *req,
                    struct admin_set_guest_reply *reply)
{
    struct instance *inst;
    int r = admin_instance(act, req->instance_id, &inst);

    (void)reply;
    return r < 0 ? r : simulate(act, inst->host_id, inst->id, req->name, req->value);
}

int admin_do_guest(struct action *act, const struct admin_do_guest_request *req,
                   struct admin_do_guest_reply *reply)
{
    struct instance *inst;
    int r = admin_instance(act, req->instance_id, &inst);

    (void)reply;
    return r < 0 ? r
                 : simulate(act, inst->host_id, inst->id,
                            str_from(guest_deed_text((enum guest_deed)req->what)), STR_NONE);
}
