/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counters, gauges and histograms: rows of api/metrics.json (gen/metrics.h: enum metric_id, METRIC_...), Prometheus text out.
 * Lock-free; any thread. A histogram takes microseconds and prints seconds, or, where its row says so, plain numbers.
 *
 * The values of most labels stand in the rows: each has an id and its numbers here. Those of rows with `labels` (actions,
 * kinds of jobs, a node's name) only some ring above knows: it keeps the numbers and prints them with metric_head and one
 * metric_sample for each combination, all of a family together.
 */
#pragma once

#include <stdatomic.h>

#include "base/buf.h"
#include "gen/metrics.h"

#define METRIC_LABELS_MAX 3 /* LABELS_MAX of tools/gen_metrics.py */

enum metric_kind { METRIC_KIND_COUNTER, METRIC_KIND_GAUGE, METRIC_KIND_HISTOGRAM };

struct metric_row {
    const char *name;  /* "ecsd_calls_total" */
    const char *label; /* result="ok", or NULL; rows of one name stand together */
    const char *help;
    const char *labels[METRIC_LABELS_MAX]; /* names; label_count 0: the numbers are here */
    size_t label_count;
    enum metric_kind kind;
    size_t cell;           /* the first of its numbers: 1, or bound_count + 1 counts and the sum */
    const int64_t *bounds; /* histogram: upper bounds, ascending */
    size_t bound_count;
    bool seconds; /* takes microseconds, prints seconds */
};
extern const struct metric_row metric_rows[METRIC_COUNT];

/* ── rows whose numbers are here ── */

void metric_add(enum metric_id id, int64_t by);
void metric_set(enum metric_id id, int64_t value);
void metric_observe(enum metric_id id, int64_t value_us);
/* A histogram gives how many values it took. */
int64_t metric_get(enum metric_id id);
/* All of them. */
void metric_print(struct buf *out);

/* ── rows with `labels` ── */

/* A histogram's numbers are METRIC_X_CELLS cells. */
void metric_observe_in(enum metric_id id, _Atomic int64_t *cells, int64_t value_us);
/* How many values such cells took. */
int64_t metric_count_in(enum metric_id id, const _Atomic int64_t *cells);
/* # HELP and # TYPE: once, before the first sample. */
void metric_head(struct buf *out, enum metric_id id);
/* One combination: as many values as the row has labels. Any text will do. */
void metric_sample(struct buf *out, enum metric_id id, const struct str *values, int64_t value);
void metric_sample_in(struct buf *out, enum metric_id id, const struct str *values, const _Atomic int64_t *cells);
