/* SPDX-License-Identifier: Apache-2.0 */
/* Admin: instances and disks of all accounts, locks, usage. */
#include "actions/admin.h"
#include "actions/admin_job.h"
#include "actions/instance_view.h"

int admin_instance(struct action *act, struct str id, struct instance **ret)
{
    int r = store_instance_get(act->tx, id, ret);

    return r == -E_NOT_FOUND ? fail(act->fail, E_INSTANCE_NOT_FOUND) : action_failed(act, r);
}

static struct instance_admin instance_admin_of(struct arena *arena, const struct instance *inst)
{
    return (struct instance_admin){
        .instance_id = inst->id,
        .account_id = inst->account_id,
        .region_id = inst->region_id,
        .zone_id = inst->zone_id,
        .state = inst->state,
        .version = inst->version,
        .incarnation = inst->incarnation,
        .job_id = inst->job_id,
        .host_id = inst->host_id,
        .stopped_mode = inst->stopped_mode,
        .locks = instance_lock_words(arena, inst),
        .instance_type = inst->type_id,
        .charge_type = inst->charge_type,
        .deletion_protection = inst->deletion_protection,
        .reinit_local = inst->reinit_local,
        .public_ip = inst->public_ip,
        .state_since = inst->state_since_us,
        .start_time = inst->started_us,
        .expired_time = inst->expires_us,
        .auto_release_time = inst->release_us,
    };
}

int admin_list_instances(struct action *act, const struct admin_list_instances_request *req,
                         struct admin_list_instances_reply *reply)
{
    struct page page = {.limit = req->limit, .count = true};
    struct instance_filter filter;
    struct instance_list list;
    struct page_check check;
    int r;

    instance_filter_init(&filter);
    filter.account_id = req->account_id;
    filter.state = req->state;
    page_check_init(&check);
    page_check_add(&check, req->account_id);
    page_check_add_i64(&check, req->state);
    if (!str_empty(req->next_token) &&
        page_token_read(act->arena, &check, req->next_token, &page.after) < 0)
        return fail(act->fail, E_NEXT_TOKEN);
    r = store_instance_find(act->tx, &filter, &page, true, &list);
    if (r < 0)
        return action_failed(act, r);
    reply->instances.items = arena_array(act->arena, struct instance_admin, list.count + 1);
    reply->instances.count = list.count;
    for (size_t i = 0; i < list.count; i++)
        reply->instances.items[i] = instance_admin_of(act->arena, &list.items[i]);
    reply->total_count = list.total;
    if (list.more && list.count > 0)
        reply->next_token = page_token_make(act->arena, &check, list.items[list.count - 1].id);
    return 0;
}

static void fill_document(const struct instance *inst, struct admin_show_instance_document *ret)
{
    *ret = (struct admin_show_instance_document){
        .name = inst->name,
        .description = inst->description,
        .host_name = inst->host_name,
        .image_id = inst->image_id,
        .os_name = inst->os_name,
        .os_type = inst->os_type,
        .resource_group_id = inst->resource_group_id,
        .network_type = inst->network_type,
        .vpc_id = inst->vpc_id,
        .vswitch_id = inst->vswitch_id,
        .private_ip = inst->private_ip,
        .eni_id = inst->eni_id,
        .mac = inst->mac,
        .eip_address = inst->eip_address,
        .internet_charge_type = inst->internet_charge_type,
        .bandwidth_in_mbps = inst->bandwidth_in_mbps,
        .bandwidth_out_mbps = inst->bandwidth_out_mbps,
        .wants_public_ip = inst->wants_public_ip,
        .spot_strategy = inst->spot_strategy,
        .credit_specification = inst->credit_specification,
        .serial_number = inst->serial_number,
        .metadata_options = inst->metadata_options,
        .hibernation = inst->hibernation,
        .creation_time = inst->created_us,
    };
}

static int fill_disks(struct action *act, const struct instance *inst,
                      struct admin_show_instance_disk_list *ret)
{
    struct disk *disks;
    size_t count;
    int r = store_disk_of_instance(act->tx, inst->id, &disks, &count);

    if (r < 0)
        return action_failed(act, r);
    ret->items = arena_array(act->arena, struct admin_show_instance_disk, count + 1);
    ret->count = count;
    for (size_t i = 0; i < count; i++)
        ret->items[i] =
            (struct admin_show_instance_disk){disks[i].id,     disks[i].type,     disks[i].category,
                                              disks[i].status, disks[i].size_gib, disks[i].device};
    return 0;
}

int admin_show_instance(struct action *act, const struct admin_show_instance_request *req,
                        struct admin_show_instance_reply *reply)
{
    struct instance *inst;
    struct job *job;
    int r = admin_instance(act, req->instance_id, &inst);

    if (r < 0)
        return r;
    reply->instance = instance_admin_of(act->arena, inst);
    fill_document(inst, &reply->document);
    r = fill_disks(act, inst, &reply->disks);
    if (r < 0 || inst->job_id == 0)
        return r;
    r = store_job_get(act->tx, inst->job_id, &job);
    if (r < 0)
        return action_failed(act, r);
    reply->job = arena_new(act->arena, struct job_view);
    *reply->job = job_view_of(act, job);
    return 0;
}

static int save_locks(struct action *act, struct instance *inst, const char *what)
{
    int r = store_instance_save(act->tx, inst);

    if (r < 0)
        return action_failed(act, r);
    return admin_event(act, EVENT_KIND_LOCK, inst->account_id, inst->id, str_from(what));
}

int admin_lock_instance(struct action *act, const struct admin_lock_instance_request *req,
                        struct admin_lock_instance_reply *reply)
{
    struct instance *inst;
    int r = admin_instance(act, req->instance_id, &inst);

    (void)reply;
    if (r < 0)
        return r;
    inst->locks |= (int64_t)1 << req->reason;
    return save_locks(act, inst,
                      arena_printf(act->arena, "locked: %s", lock_reason_words[req->reason]).ptr);
}

/* Without a reason all locks go. */
int admin_unlock_instance(struct action *act, const struct admin_unlock_instance_request *req,
                          struct admin_unlock_instance_reply *reply)
{
    int64_t bits = req->reason >= 0 ? (int64_t)1 << req->reason : -1;
    struct instance *inst;
    int r = admin_instance(act, req->instance_id, &inst);

    (void)reply;
    if (r < 0)
        return r;
    if (!(inst->locks & bits))
        return fail(act->fail, E_ADMIN_LOCK_NOT_FOUND);
    inst->locks &= ~bits;
    engine_release_changed(act->engine, act->tx); /* a subscription that is over gets its lock back */
    return save_locks(act, inst, "unlocked");
}

/* Lets a disk be broken, or whole again: how DiskError is brought about. */
int admin_set_disk(struct action *act, const struct admin_set_disk_request *req,
                   struct admin_set_disk_reply *reply)
{
    struct disk *disk;
    int r = store_disk_get(act->tx, req->disk_id, &disk);

    (void)reply;
    if (r == -E_NOT_FOUND)
        return fail(act->fail, E_DISK_NOT_FOUND);
    if (r < 0)
        return action_failed(act, r);
    disk->status = req->status;
    r = store_disk_save(act->tx, disk);
    if (r < 0)
        return action_failed(act, r);
    return admin_event(act, EVENT_KIND_DISK, disk->account_id, disk->instance_id,
                       arena_printf(act->arena, "disk %.*s set to %s", STR_ARG(disk->id),
                                    disk_status_words[disk->status]));
}

/* A page; its token names the last segment: "i-… 1700000000000000". */
static int latest_segments(struct action *act, const struct admin_show_usage_request *req, struct segment **ret,
                           size_t *ret_count, struct str *ret_next)
{
    struct page_check check;
    struct str place;
    struct str id = STR_NONE;
    struct str start = STR_NONE;
    int64_t start_us = 0;
    int r;

    page_check_init(&check);
    if (!str_empty(req->next_token) &&
        (page_token_read(act->arena, &check, req->next_token, &place) < 0 || !str_split(place, ' ', &id, &start) ||
         str_to_i64(start, &start_us) < 0))
        return fail(act->fail, E_NEXT_TOKEN);
    r = store_segment_latest(act->tx, id, start_us, req->limit, ret, ret_count);
    if (r < 0)
        return action_failed(act, r);
    if (*ret_count == (size_t)req->limit) {
        const struct segment *last = &(*ret)[*ret_count - 1];

        *ret_next = page_token_make(act->arena, &check, arena_printf(act->arena, "%.*s %lld", STR_ARG(last->instance_id),
                                                                     (long long)last->start_us));
    }
    return 0;
}

/* The segments of an instance, also of one that is gone: what was used stays to be billed. */
int admin_show_usage(struct action *act, const struct admin_show_usage_request *req,
                     struct admin_show_usage_reply *reply)
{
    struct segment *segments;
    size_t count;
    int r;

    if (str_empty(req->instance_id)) {
        r = latest_segments(act, req, &segments, &count, &reply->next_token);
        if (r < 0)
            return r;
    } else {
        r = store_segment_list(act->tx, req->instance_id, &segments, &count);
        if (r < 0)
            return action_failed(act, r);
        if (count == 0)
            return fail(act->fail, E_INSTANCE_NOT_FOUND);
    }
    reply->segments.items = arena_array(act->arena, struct admin_show_usage_segment, count + 1);
    reply->segments.count = count;
    for (size_t i = 0; i < count; i++) {
        const struct segment *s = &segments[i];
        usec_t end_us = s->end_us != 0 ? s->end_us : act->now;
        reply->segments.items[i] = (struct admin_show_usage_segment){
            .instance_id = s->instance_id,
            .account_id = s->account_id,
            .start = s->start_us,
            .end = s->end_us,
            .seconds = (double)(end_us - s->start_us) / (double)USEC_PER_SEC,
            .mode = s->mode,
            .instance_type = s->type_id,
            .public_ip = s->public_ip,
        };
    }
    return 0;
}
