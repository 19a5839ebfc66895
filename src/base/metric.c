/* SPDX-License-Identifier: Apache-2.0 */
#include "base/metric.h"

static _Atomic int64_t own_cells[METRIC_CELL_COUNT];

static const struct metric_row *row_of(enum metric_id id, bool histogram)
{
    assert((unsigned)id < METRIC_COUNT);
    assert((metric_rows[id].kind == METRIC_KIND_HISTOGRAM) == histogram);
    return &metric_rows[id];
}

/* A row whose numbers are in own_cells. */
static const struct metric_row *own_row(enum metric_id id, bool histogram)
{
    const struct metric_row *row = row_of(id, histogram);

    assert(row->label_count == 0);
    return row;
}

void metric_add(enum metric_id id, int64_t by)
{
    const struct metric_row *row = own_row(id, false);

    (void)atomic_fetch_add_explicit(&own_cells[row->cell], by, memory_order_relaxed);
}

void metric_set(enum metric_id id, int64_t value)
{
    const struct metric_row *row = own_row(id, false);

    atomic_store_explicit(&own_cells[row->cell], value, memory_order_relaxed);
}

static void observe(const struct metric_row *row, _Atomic int64_t *cells, int64_t value)
{
    size_t bucket = 0;

    while (bucket < row->bound_count && value > row->bounds[bucket])
        bucket++;
    (void)atomic_fetch_add_explicit(&cells[bucket], 1, memory_order_relaxed);
    (void)atomic_fetch_add_explicit(&cells[row->bound_count + 1], value, memory_order_relaxed);
}

void metric_observe(enum metric_id id, int64_t value_us)
{
    const struct metric_row *row = own_row(id, true);

    observe(row, &own_cells[row->cell], value_us);
}

void metric_observe_in(enum metric_id id, _Atomic int64_t *cells, int64_t value_us)
{
    observe(row_of(id, true), cells, value_us);
}

static int64_t read_cell(const _Atomic int64_t *cell)
{
    return atomic_load_explicit(cell, memory_order_relaxed);
}

static int64_t count_of(const struct metric_row *row, const _Atomic int64_t *cells)
{
    int64_t count = 0;

    for (size_t i = 0; i <= row->bound_count; i++)
        count += read_cell(&cells[i]);
    return count;
}

int64_t metric_get(enum metric_id id)
{
    const struct metric_row *row;

    assert((unsigned)id < METRIC_COUNT);
    row = &metric_rows[id];
    assert(row->label_count == 0);
    return count_of(row, &own_cells[row->cell]);
}

int64_t metric_count_in(enum metric_id id, const _Atomic int64_t *cells)
{
    return count_of(row_of(id, true), cells);
}

/* ── Prometheus text, version 0.0.4 ── */

/* Microseconds as seconds, without a float on the way. */
static void print_value(struct buf *out, const struct metric_row *row, int64_t value)
{
    uint64_t size = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;

    if (row->seconds)
        buf_printf(out, "%s%llu.%06llu", value < 0 ? "-" : "", (unsigned long long)(size / 1000000),
                   (unsigned long long)(size % 1000000));
    else
        buf_add_i64(out, value);
}

/* The format knows three escapes; all else goes as it is. */
static void print_text(struct buf *out, struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '\n') {
            buf_add_cstr(out, "\\n");
            continue;
        }
        if (text.ptr[i] == '\\' || text.ptr[i] == '"')
            buf_add_char(out, '\\');
        buf_add_char(out, text.ptr[i]);
    }
}

/* name="value",… without the braces: `le` may follow. `values` is NULL for a row without `labels`. */
static void print_labels(struct buf *out, const struct metric_row *row, const struct str *values)
{
    size_t count = values ? row->label_count : 0;

    assert(count == row->label_count);
    if (row->label)
        buf_add_cstr(out, row->label);
    for (size_t i = 0; i < count; i++) {
        buf_printf(out, "%s%s=\"", i > 0 ? "," : "", row->labels[i]);
        print_text(out, values[i]);
        buf_add_char(out, '"');
    }
}

/* The line up to its value. */
static void print_name(struct buf *out, const struct metric_row *row, const char *tail, const struct str *values)
{
    buf_printf(out, "%s%s", row->name, tail);
    if (row->label || row->label_count > 0) {
        buf_add_char(out, '{');
        print_labels(out, row, values);
        buf_add_char(out, '}');
    }
    buf_add_char(out, ' ');
}

static void print_sample(struct buf *out, const struct metric_row *row, const struct str *values, int64_t value)
{
    print_name(out, row, "", values);
    print_value(out, row, value);
    buf_add_char(out, '\n');
}

static void print_bucket(struct buf *out, const struct metric_row *row, const struct str *values, size_t bucket, int64_t count)
{
    buf_printf(out, "%s_bucket{", row->name);
    print_labels(out, row, values);
    buf_add_cstr(out, row->label_count > 0 ? ",le=\"" : "le=\"");
    if (bucket < row->bound_count)
        print_value(out, row, row->bounds[bucket]);
    else
        buf_add_cstr(out, "+Inf");
    buf_printf(out, "\"} %lld\n", (long long)count);
}

static void print_histogram(struct buf *out, const struct metric_row *row, const struct str *values, const _Atomic int64_t *cells)
{
    int64_t count = 0;

    for (size_t i = 0; i <= row->bound_count; i++) {
        count += read_cell(&cells[i]);
        print_bucket(out, row, values, i, count);
    }
    print_name(out, row, "_sum", values);
    print_value(out, row, read_cell(&cells[row->bound_count + 1]));
    buf_add_char(out, '\n');
    print_name(out, row, "_count", values);
    buf_printf(out, "%lld\n", (long long)count);
}

void metric_head(struct buf *out, enum metric_id id)
{
    static const char *const kinds[] = {
        [METRIC_KIND_COUNTER] = "counter",
        [METRIC_KIND_GAUGE] = "gauge",
        [METRIC_KIND_HISTOGRAM] = "histogram",
    };
    const struct metric_row *row;

    assert((unsigned)id < METRIC_COUNT);
    row = &metric_rows[id];
    buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", row->name, row->help, row->name, kinds[row->kind]);
}

void metric_sample(struct buf *out, enum metric_id id, const struct str *values, int64_t value)
{
    const struct metric_row *row = row_of(id, false);

    assert(row->label_count > 0);
    print_sample(out, row, values, value);
}

void metric_sample_in(struct buf *out, enum metric_id id, const struct str *values, const _Atomic int64_t *cells)
{
    const struct metric_row *row = row_of(id, true);

    assert(row->label_count > 0);
    print_histogram(out, row, values, cells);
}

void metric_print(struct buf *out)
{
    for (size_t i = 0; i < METRIC_COUNT; i++) {
        const struct metric_row *row = &metric_rows[i];

        if (row->label_count > 0)
            continue;
        if (i == 0 || strcmp(metric_rows[i - 1].name, row->name) != 0)
            metric_head(out, (enum metric_id)i);
        if (row->kind == METRIC_KIND_HISTOGRAM)
            print_histogram(out, row, NULL, &own_cells[row->cell]);
        else
            print_sample(out, row, NULL, read_cell(&own_cells[row->cell]));
    }
}
