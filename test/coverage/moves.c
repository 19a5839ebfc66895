/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Notes which transitions of the state tables are taken: in a build with -Db_coverage=true the linker sends every sm_move
 * through here (--wrap), so that the program itself knows nothing of it. The file that ECSD_MOVES names gets a line "may
 * TABLE FROM TO" for all that a table allows, once it is used, and "took TABLE FROM TO" for what happened, each once per
 * process and at once: processes that are killed count, too. tools/coverage.py reads it.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/sm.h"

#define MACHINES_MAX 16
#define STATES_MAX 32

void __real_sm_move(const struct sm *sm, int *state, int to);
void __wrap_sm_move(const struct sm *sm, int *state, int to);

struct seen {
    const struct sm *sm;
    uint32_t took[STATES_MAX];
};

static pthread_mutex_t seen_lock = PTHREAD_MUTEX_INITIALIZER; /* guards what follows */
static struct seen seen_all[MACHINES_MAX];

static void note(const char *what, const struct sm *sm, int from, int to)
{
    const char *path = getenv("ECSD_MOVES");
    int fd = path ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;

    if (fd < 0)
        return;
    (void)dprintf(fd, "%s %s %s %s\n", what, sm->name, sm_name(sm, from), sm_name(sm, to));
    (void)close(fd);
}

static void note_table(const struct sm *sm)
{
    for (int from = 0; from < (int)sm->count; from++) {
        for (int to = 0; to < (int)sm->count; to++) {
            if (sm_may(sm, from, to))
                note("may", sm, from, to);
        }
    }
}

static struct seen *seen_of(const struct sm *sm)
{
    for (size_t i = 0; i < MACHINES_MAX; i++) {
        struct seen *seen = &seen_all[i];

        if (seen->sm == sm)
            return seen;
        if (!seen->sm) {
            seen->sm = sm;
            note_table(sm);
            return seen;
        }
    }
    abort(); /* more tables than MACHINES_MAX */
}

void __wrap_sm_move(const struct sm *sm, int *state, int to)
{
    int from = *state;
    struct seen *seen;

    __real_sm_move(sm, state, to); /* aborts where the table has no such move */
    (void)pthread_mutex_lock(&seen_lock);
    seen = seen_of(sm);
    if (!(seen->took[from] & SM_MAY(to)))
        note("took", sm, from, to);
    seen->took[from] |= SM_MAY(to);
    (void)pthread_mutex_unlock(&seen_lock);
}
