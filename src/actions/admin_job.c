/* SPDX-License-Identifier: Apache-2.0 */
/* Admin: jobs, the event log, the clock, the options. */
#include "actions/admin_job.h"

#include "actions/admin.h"
#include "base/option.h"

struct job_view job_view_of(struct action *act, const struct job *row)
{
    struct job now = *row;
    const struct job *job = &now;

    engine_job_progress(act->engine, &now);
    return (struct job_view){
        .job_id = job->id,
        .kind = job->kind,
        .state = job->state,
        .instance_id = job->instance_id,
        .account_id = job->account_id,
        .incarnation = job->incarnation,
        .step = str_from(engine_step_name(job->kind, job->step)),
        .attempts = job->attempts,
        .force = job->force,
        .clear_local = job->clear_local,
        .release_capacity = job->release_capacity,
        .stopped_mode = job->stopped_mode,
        .reason = job->reason,
        .request_id = job->request_id,
        .error = job->error,
        .holder = job->holder,
        .epoch = job->epoch,
        .creation_time = job->created_us,
        .deadline = job->deadline_us == USEC_NEVER ? 0 : job->deadline_us,
        .finish_time = job->finished_us,
    };
}

int admin_list_jobs(struct action *act, const struct admin_list_jobs_request *req,
                    struct admin_list_jobs_reply *reply)
{
    int state = req->state >= 0 || req->all ? req->state : (int)JOB_STATE_ACTIVE;
    struct page_check check;
    struct job_list list;
    struct str place;
    int64_t after = 0;
    int r;

    page_check_init(&check);
    page_check_add_i64(&check, state);
    if (!str_empty(req->next_token) &&
        (page_token_read(act->arena, &check, req->next_token, &place) < 0 ||
         str_to_i64(place, &after) < 0))
        return fail(act->fail, E_NEXT_TOKEN);
    r = store_job_find(act->tx, state, after, req->limit, &list);
    if (r < 0)
        return action_failed(act, r);
    reply->jobs.items = arena_array(act->arena, struct job_view, list.count + 1);
    reply->jobs.count = list.count;
    for (size_t i = 0; i < list.count; i++)
        reply->jobs.items[i] = job_view_of(act, &list.items[i]);
    /* A full page may have been the last: then the next one is empty. */
    if (list.count > 0 && list.count == (size_t)req->limit)
        reply->next_token = page_token_make(
            act->arena, &check,
            arena_printf(act->arena, "%lld", (long long)list.items[list.count - 1].id));
    return 0;
}

int admin_show_job(struct action *act, const struct admin_show_job_request *req,
                   struct admin_show_job_reply *reply)
{
    struct job *job;
    int r = store_job_get(act->tx, req->job_id, &job);

    if (r == -E_NOT_FOUND)
        return fail(act->fail, E_ADMIN_JOB_NOT_FOUND,
                    arena_printf(act->arena, "%lld", (long long)req->job_id));
    if (r < 0)
        return action_failed(act, r);
    reply->job = job_view_of(act, job);
    return 0;
}

int admin_list_events(struct action *act, const struct admin_list_events_request *req,
                      struct admin_list_events_reply *reply)
{
    struct event *events;
    size_t count;
    int r = store_event_list(act->tx, req->after, req->instance_id, req->limit, &events, &count);

    if (r < 0)
        return action_failed(act, r);
    reply->events.items = arena_array(act->arena, struct admin_list_events_event, count + 1);
    reply->events.count = count;
    for (size_t i = 0; i < count; i++)
        reply->events.items[i] = (struct admin_list_events_event){
            .event_id = events[i].id,
            .time = events[i].time_us,
            .time_us = events[i].time_us,
            .kind = events[i].kind,
            .account_id = events[i].account_id,
            .instance_id = events[i].instance_id,
            .from_state = events[i].from_state,
            .to_state = events[i].to_state,
            .reason = events[i].reason,
            .request_id = events[i].request_id,
            .actor = events[i].actor,
        };
    return 0;
}

int admin_show_clock(struct action *act, const struct admin_show_clock_request *req,
                     struct admin_show_clock_reply *reply)
{
    (void)req;
    reply->now_us = env_now(act->env);
    reply->now = reply->now_us;
    reply->kind = env_is_virtual(act->env) ? STR("virtual") : STR("real");
    return 0;
}

int admin_advance_clock(struct action *act, const struct admin_advance_clock_request *req,
                        struct admin_advance_clock_reply *reply)
{
    int64_t by_us;
    int r;

    if (!env_is_virtual(act->env))
        return fail(act->fail, E_ADMIN_CLOCK_REAL);
    if (str_to_duration(req->duration, &by_us) < 0 || by_us < 0)
        return fail(act->fail, E_INVALID_PARAMETER, STR("Duration"));
    r = engine_clock_advance(act->engine, by_us, act->request_id);
    if (r == -E_INVALID)
        return fail(act->fail, E_INVALID_PARAMETER, STR("Duration"));
    if (r < 0)
        return action_failed(act, r);
    reply->now_us = env_now(act->env);
    reply->now = reply->now_us;
    return 0;
}

static struct str option_text(struct arena *arena, const struct option_row *row,
                              const struct options *options)
{
    const void *value = (const char *)options + row->offset;

    switch (row->kind) {
    case OPTION_BOOL:
        return *(const bool *)value ? STR("true") : STR("false");
    case OPTION_INT:
        return arena_printf(arena, "%lld", (long long)*(const int64_t *)value);
    case OPTION_FLOAT:
        return arena_printf(arena, "%.15g", *(const double *)value);
    case OPTION_TEXT:
        return *(const struct str *)value;
    case OPTION_ENUM:
        return str_from(row->words[*(const int *)value]);
    }
    return STR_NONE;
}

int admin_show_options(struct action *act, const struct admin_show_options_request *req,
                       struct admin_show_options_reply *reply)
{
    (void)req;
    reply->options.items =
        arena_array(act->arena, struct admin_show_options_option, option_row_count);
    reply->options.count = option_row_count;
    for (size_t i = 0; i < option_row_count; i++) {
        struct str value = option_text(act->arena, &option_rows[i], act->options);
        reply->options.items[i] = (struct admin_show_options_option){
            .name = str_from(option_rows[i].name),
            .value = value,
            .default_value = str_from(option_rows[i].default_text),
            .source =
                str_eq(value, str_from(option_rows[i].default_text)) ? STR("default") : STR("set"),
            .help = str_from(option_rows[i].help),
        };
    }
    return 0;
}
