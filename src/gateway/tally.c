/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/tally.h"

#include <stdio.h>

#include "base/limits.h"
#include "base/metric.h"

#define OTHER ((size_t)ACTION_COUNT)

/*
 * A place for every name of ECS, so that finding one is no search. Most are never touched: memory that is zero and was never
 * written is none.
 */
struct place {
    _Atomic(const struct action_row *) row; /* NULL: nobody came, or OTHER */
    _Atomic int64_t times[METRIC_CALL_CELLS];
    _Atomic int64_t codes[E_COUNT]; /* by error_row.first: rows that read the same on the wire are counted together */
};

static struct place places[ACTION_COUNT + 1];

void tally_call(const struct action_row *row, enum error_code code, usec_t took_us)
{
    bool built = row && row->run;
    struct place *place = &places[built ? (size_t)row->id : OTHER];

    assert((unsigned)code < E_COUNT);
    assert(!built || row->id < ACTION_COUNT);
    /* Looked at first: a line of memory that all threads read stays in all their caches. */
    if (built && atomic_load_explicit(&place->row, memory_order_relaxed) != row)
        atomic_store_explicit(&place->row, row, memory_order_relaxed);
    (void)atomic_fetch_add_explicit(&place->codes[error_rows[code].first], 1, memory_order_relaxed);
    metric_observe_in(METRIC_CALL, place->times, took_us);
}

/* As the files of api/actions are called: StopInstance, Sts.AssumeRole. False: nobody has called it. */
static bool place_name(const struct place *place, char text[LIMIT_NAME_BYTES], struct str *ret)
{
    const struct action_row *row = atomic_load_explicit(&place->row, memory_order_relaxed);
    int len;

    *ret = STR("other");
    if (place == &places[OTHER])
        return metric_count_in(METRIC_CALL, place->times) > 0;
    if (!row)
        return false;
    *ret = str_from(row->action);
    if (strcmp(row->product, "Ecs") == 0)
        return true;
    len = snprintf(text, LIMIT_NAME_BYTES, "%s.%s", row->product, row->action);
    assert(len > 0 && len < LIMIT_NAME_BYTES); /* both are words of api/ */
    *ret = str_slice(text, (size_t)len);
    return true;
}

static void print_codes(struct buf *out, const struct place *place, struct str action)
{
    for (size_t code = 0; code < E_COUNT; code++) {
        int64_t count = atomic_load_explicit(&place->codes[code], memory_order_relaxed);
        struct str values[] = {action, code == E_NONE ? STR("ok") : str_from(error_rows[code].code)};

        if (count > 0)
            metric_sample(out, METRIC_ACTION_CALLS, values, count);
    }
}

void gateway_metrics(struct buf *out)
{
    char text[LIMIT_NAME_BYTES];
    struct str action;

    metric_head(out, METRIC_ACTION_CALLS);
    for (size_t i = 0; i < countof(places); i++)
        if (place_name(&places[i], text, &action))
            print_codes(out, &places[i], action);
    metric_head(out, METRIC_CALL);
    for (size_t i = 0; i < countof(places); i++)
        if (place_name(&places[i], text, &action))
            metric_sample_in(out, METRIC_CALL, &action, places[i].times);
}
