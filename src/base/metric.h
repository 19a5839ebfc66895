/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counters, gauges and histograms: rows of api/metrics.json (gen/metrics.h: enum metric_id, METRIC_...), Prometheus text out.
 * Lock-free; any thread. A histogram takes microseconds and prints seconds, or, where its row says so, plain numbers.
 */
#pragma once

#include "base/buf.h"
#include "gen/metrics.h"

enum metric_kind { METRIC_KIND_COUNTER, METRIC_KIND_GAUGE, METRIC_KIND_HISTOGRAM };

struct metric_row {
    const char *name;  /* "ecsd_calls_total" */
    const char *label; /* result="ok", or NULL; rows of one name stand together */
    const char *help;
    enum metric_kind kind;
    size_t cell;           /* the first of its numbers: 1, or bound_count + 1 counts and the sum */
    const int64_t *bounds; /* histogram: upper bounds, ascending */
    size_t bound_count;
    bool seconds; /* histogram: of microseconds */
};
extern const struct metric_row metric_rows[METRIC_COUNT];

void metric_add(enum metric_id id, int64_t by);
void metric_set(enum metric_id id, int64_t value);
void metric_observe(enum metric_id id, int64_t value_us);
/* A histogram gives how many values it took. */
int64_t metric_get(enum metric_id id);
void metric_print(struct buf *out);
