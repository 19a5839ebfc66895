/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ecsd-sim --seed N [--steps M] [--verbose]   one run
 * ecsd-sim --seeds N-M [--steps M]            these, one after the other
 * … --nodes N                                  so many nodes; without it every third seed has two or three
 * ecsd-sim --random K | --seconds S           seeds that nobody has chosen
 * Ends with 1 at the first broken law, after the command that shows it again and the latest events.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "sim/run.h"

#define STEPS 4000 /* some 11,000 operations */

struct arguments {
    uint64_t first;
    uint64_t last;
    int64_t random;
    int64_t seconds;
    int64_t steps;
    int nodes; /* 0: as the seed says */
    bool verbose;
};

static struct run *playing;

static void tell_failure(const char *law, const char *what)
{
    (void)fflush(stdout);
    (void)fprintf(stderr, "\nbroken: %s\n  %s\nthe latest events:\n", law, what);
    trace_print(&playing->trace);
    (void)fprintf(stderr, "again: build/ecsd-sim --seed %" PRIu64 " --steps %" PRId64 "\n", playing->seed, MIN_OF(playing->step, playing->steps));
    world_remove(&playing->world);
}

void run_broken(struct run *run, const char *law, const char *format, ...)
{
    char what[1024];
    va_list args;

    (void)run; /* the one that plays */
    va_start(args, format);
    (void)vsnprintf(what, sizeof(what), format, args);
    va_end(args);
    tell_failure(law, what);
    exit(1);
}

/* An assertion of the program itself. Not safe in a signal handler, and all that can be lost is the report. */
static void crashed(int number)
{
    (void)signal(number, SIG_DFL);
    tell_failure("no assertion fails", number == SIGABRT ? "the program aborted" : "the program crashed");
    _exit(1);
}

/* ── arguments ── */

static int64_t number(const char *text)
{
    int64_t value;

    if (!text || str_to_i64(str_from(text), &value) < 0 || value < 0) {
        (void)fprintf(stderr, "ecsd-sim: a number is missing, or it is none: %s\n", text ? text : "");
        exit(2);
    }
    return value;
}

static void read_range(const char *text, struct arguments *ret)
{
    struct str first, last;

    if (!text || !str_split(str_from(text), '-', &first, &last)) {
        (void)fprintf(stderr, "ecsd-sim: --seeds wants FIRST-LAST\n");
        exit(2);
    }
    ret->first = (uint64_t)strtoull(first.ptr, NULL, 10);
    ret->last = (uint64_t)strtoull(last.ptr, NULL, 10);
}

static void read_arguments(char **argv, struct arguments *ret)
{
    *ret = (struct arguments){.first = 1, .last = 1, .steps = STEPS};
    for (char **at = argv + 1; *at; at++) {
        struct str word = str_from(*at);

        if (str_eq(word, STR("--verbose")))
            ret->verbose = true;
        else if (str_eq(word, STR("--seed")) && at[1])
            ret->first = ret->last = strtoull(*++at, NULL, 10);
        else if (str_eq(word, STR("--seeds")))
            read_range(*++at, ret);
        else if (str_eq(word, STR("--steps")))
            ret->steps = number(*++at);
        else if (str_eq(word, STR("--nodes")))
            ret->nodes = (int)MIN_OF(number(*++at), (int64_t)WORLD_NODES);
        else if (str_eq(word, STR("--random")))
            ret->random = number(*++at);
        else if (str_eq(word, STR("--seconds")))
            ret->seconds = number(*++at);
        else {
            (void)fprintf(stderr, "usage: ecsd-sim --seed N | --seeds N-M | --random K | --seconds S [--steps M] [--nodes N] [--verbose]\n");
            exit(2);
        }
        if (!*at)
            break;
    }
}

/* ── report ── */

struct totals {
    struct counts counts;
    int64_t faults[FAULT_KINDS];
    int64_t node_faults[NODE_FAULTS];
    int64_t seeds;
    int64_t operations;
    uint64_t hash;
};

static void add_up(struct totals *totals, const struct run *run)
{
    const int64_t *from = (const int64_t *)(const void *)&run->counts;
    int64_t *to = (int64_t *)(void *)&totals->counts;

    static_assert(sizeof(struct counts) % sizeof(int64_t) == 0, "counts are counts");
    for (size_t i = 0; i < sizeof(struct counts) / sizeof(int64_t); i++)
        to[i] += from[i];
    for (int i = 0; i < FAULT_KINDS; i++)
        totals->faults[i] += run->faults.counts[i];
    for (int i = 0; i < NODE_FAULTS; i++)
        totals->node_faults[i] += run->nodes.counts[i];
    totals->seeds++;
    totals->operations += run_operations(run);
    totals->hash = totals->hash * 31 + run->trace.hash;
}

static void print_totals(const struct totals *totals)
{
    const struct counts *c = &totals->counts;

    (void)printf("%" PRId64 " seeds, %" PRId64 " operations, %" PRId64 " s of virtual time, hash %016" PRIx64 "\n", totals->seeds,
                 totals->operations, (int64_t)(c->virtual_us / USEC_PER_SEC), totals->hash);
    (void)printf("  calls %" PRId64 ": %" PRId64 " acknowledged, %" PRId64 " refused, %" PRId64 " failed, %" PRId64
                 " never answered; %" PRId64 " replays among them\n",
                 c->calls, c->acknowledged, c->refused, c->failed, c->unheard, c->replayed);
    (void)printf("  engine steps %" PRId64 ", commits %" PRId64 ", looks at the laws %" PRId64 ", crashes %" PRId64
                 ", starts that were disturbed %" PRId64 "\n",
                 c->engine_steps, c->commits, c->laws, c->crashes, c->recoveries_failed);
    for (int i = 0; i < FAULT_KINDS; i++)
        (void)printf("%s%s %" PRId64, i == 0 ? "  faults: " : ", ", faults_kind_name(i), totals->faults[i]);
    (void)printf("\n  %" PRId64 " seeds with several nodes, %" PRId64 " nodes found silent by others", c->node_seeds, c->takeovers);
    for (int i = 0; i < NODE_FAULTS; i++)
        (void)printf(", %s %" PRId64, nodes_fault_name(i), totals->node_faults[i]);
    (void)printf("\n  evacuations of an instance %" PRId64 ", orders that met one %" PRId64 "\n", c->moves, c->conflicts);
}

/* ── runs ── */

static void play(const struct arguments *arguments, uint64_t seed, struct totals *totals)
{
    struct run *run = xcalloc(1, sizeof(*run));

    playing = run;
    run->seed = seed;
    run->steps = arguments->steps;
    run->node_count = arguments->nodes;
    trace_init(&run->trace, arguments->verbose);
    run_play(run);
    add_up(totals, run);
    (void)xfree(run);
}

/* The one thing that no seed decides: which seeds are new. */
static uint64_t random_seed(struct env *env)
{
    return env_random_u64(env) % 1000000000;
}

static int64_t seconds_now(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail with this clock */
    return now.tv_sec;
}

int main(int argc, char **argv)
{
    struct arguments arguments;
    struct totals totals = {.seeds = 0};
    struct env *env = env_new_real();
    int64_t until = seconds_now();

    (void)argc;
    read_arguments(argv, &arguments);
    log_threshold = (enum log_level)(LOG_ERROR - 1); /* what is done to the program is meant to be */
    (void)signal(SIGABRT, crashed);
    (void)signal(SIGSEGV, crashed);
    disk_fault_install();
    until += arguments.seconds;
    for (int64_t i = 0; i < arguments.random || (arguments.seconds && seconds_now() < until); i++) {
        uint64_t seed = random_seed(env);

        (void)printf("seed %" PRIu64 "\n", seed);
        (void)fflush(stdout);
        play(&arguments, seed, &totals);
    }
    for (uint64_t seed = arguments.first; !arguments.random && !arguments.seconds && seed <= arguments.last; seed++)
        play(&arguments, seed, &totals);
    print_totals(&totals);
    (void)env_free(env);
    return 0;
}
