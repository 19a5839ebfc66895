/* SPDX-License-Identifier: Apache-2.0 */
#include "base/metric.h"

#include <stdatomic.h>

static _Atomic int64_t cells[METRIC_CELL_COUNT];

static const struct metric_row *row_of(enum metric_id id, bool histogram)
{
    assert((unsigned)id < METRIC_COUNT);
    assert((metric_rows[id].kind == METRIC_KIND_HISTOGRAM) == histogram);
    return &metric_rows[id];
}

void metric_add(enum metric_id id, int64_t by)
{
    const struct metric_row *row = row_of(id, false);

    (void)atomic_fetch_add_explicit(&cells[row->cell], by, memory_order_relaxed);
}

void metric_set(enum metric_id id, int64_t value)
{
    const struct metric_row *row = row_of(id, false);

    atomic_store_explicit(&cells[row->cell], value, memory_order_relaxed);
}

void metric_observe(enum metric_id id, int64_t value_us)
{
    const struct metric_row *row = row_of(id, true);
    size_t bucket = 0;

    while (bucket < row->bound_count && value_us > row->bounds[bucket])
        bucket++;
    (void)atomic_fetch_add_explicit(&cells[row->cell + bucket], 1, memory_order_relaxed);
    (void)atomic_fetch_add_explicit(&cells[row->cell + row->bound_count + 1], value_us,
                                    memory_order_relaxed);
}

static int64_t read_cell(size_t cell)
{
    return atomic_load_explicit(&cells[cell], memory_order_relaxed);
}

int64_t metric_get(enum metric_id id)
{
    const struct metric_row *row;
    int64_t count = 0;

    assert((unsigned)id < METRIC_COUNT);
    row = &metric_rows[id];
    for (size_t i = 0; i <= row->bound_count; i++)
        count += read_cell(row->cell + i);
    return count;
}

/* Microseconds as seconds, without a float on the way. */
static void print_value(struct buf *out, const struct metric_row *row, int64_t value)
{
    if (row->seconds)
        buf_printf(out, "%lld.%06lld", (long long)(value / 1000000), (long long)(value % 1000000));
    else
        buf_add_i64(out, value);
}

static void print_histogram(struct buf *out, const struct metric_row *row)
{
    int64_t count = 0;

    for (size_t i = 0; i < row->bound_count; i++) {
        count += read_cell(row->cell + i);
        buf_printf(out, "%s_bucket{le=\"", row->name);
        print_value(out, row, row->bounds[i]);
        buf_printf(out, "\"} %lld\n", (long long)count);
    }
    count += read_cell(row->cell + row->bound_count);
    buf_printf(out, "%s_bucket{le=\"+Inf\"} %lld\n%s_sum ", row->name, (long long)count, row->name);
    print_value(out, row, read_cell(row->cell + row->bound_count + 1));
    buf_printf(out, "\n%s_count %lld\n", row->name, (long long)count);
}

void metric_print(struct buf *out)
{
    static const char *const kinds[] = {
        [METRIC_KIND_COUNTER] = "counter",
        [METRIC_KIND_GAUGE] = "gauge",
        [METRIC_KIND_HISTOGRAM] = "histogram",
    };

    for (size_t i = 0; i < METRIC_COUNT; i++) {
        const struct metric_row *row = &metric_rows[i];

        if (i == 0 || strcmp(metric_rows[i - 1].name, row->name) != 0)
            buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", row->name, row->help, row->name,
                       kinds[row->kind]);
        if (row->kind == METRIC_KIND_HISTOGRAM)
            print_histogram(out, row);
        else if (row->label)
            buf_printf(out, "%s{%s} %lld\n", row->name, row->label,
                       (long long)read_cell(row->cell));
        else
            buf_printf(out, "%s %lld\n", row->name, (long long)read_cell(row->cell));
    }
}
