/* SPDX-License-Identifier: Apache-2.0 */
#include "base/timers.h"

#include "base/mem.h"

void timers_done(struct timers *timers)
{
    timers->heap = xfree(timers->heap);
    *timers = (struct timers){0};
}

static bool timer_before(const struct timer *a, const struct timer *b)
{
    return a->due_us != b->due_us ? a->due_us < b->due_us : a->order < b->order;
}

static void timers_put(struct timers *timers, uint32_t index, struct timer *timer)
{
    timers->heap[index] = timer;
    timer->index = index;
}

static void timers_rise(struct timers *timers, struct timer *timer)
{
    uint32_t index = timer->index;

    while (index > 1 && timer_before(timer, timers->heap[index / 2])) {
        timers_put(timers, index, timers->heap[index / 2]);
        index /= 2;
    }
    timers_put(timers, index, timer);
}

static void timers_sink(struct timers *timers, struct timer *timer)
{
    uint32_t index = timer->index;

    for (uint32_t child = 2 * index; child <= timers->count; child = 2 * index) {
        if (child < timers->count && timer_before(timers->heap[child + 1], timers->heap[child]))
            child++;
        if (!timer_before(timers->heap[child], timer))
            break;
        timers_put(timers, index, timers->heap[child]);
        index = child;
    }
    timers_put(timers, index, timer);
}

static void timers_remove(struct timers *timers, struct timer *timer)
{
    struct timer *last = timers->heap[timers->count--];

    if (last != timer) {
        timers_put(timers, timer->index, last);
        timers_rise(timers, last);
        timers_sink(timers, last);
    }
    timer->index = 0;
}

static void timers_make_room(struct timers *timers)
{
    if (timers->count + 1 < timers->room)
        return;
    timers->room = MAX_OF(64u, timers->room * 2);
    timers->heap = xrealloc(timers->heap, timers->room * sizeof(*timers->heap));
}

void timers_set(struct timers *timers, struct timer *timer, usec_t due_us)
{
    bool was_in = timer->index != 0;

    if (was_in && timer->due_us == due_us)
        return;
    timer->due_us = due_us;
    if (due_us == USEC_NEVER) {
        if (was_in)
            timers_remove(timers, timer);
        return;
    }
    timer->order = timers->next_order++;
    if (!was_in) {
        timers_make_room(timers);
        timers_put(timers, ++timers->count, timer);
    }
    timers_rise(timers, timer);
    timers_sink(timers, timer);
}

struct timer *timers_first(const struct timers *timers)
{
    return timers->count ? timers->heap[1] : NULL;
}
