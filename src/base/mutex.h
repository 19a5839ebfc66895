/* SPDX-License-Identifier: Apache-2.0 */
/* A mutex that is never held for long: who finds it taken spins for a moment before it sleeps. */
#pragma once

#include <pthread.h>

static inline void mutex_init_brief(pthread_mutex_t *mutex)
{
    pthread_mutexattr_t brief;

    /* None of these can fail on Linux with these arguments. */
    (void)pthread_mutexattr_init(&brief);
    (void)pthread_mutexattr_settype(&brief, PTHREAD_MUTEX_ADAPTIVE_NP);
    (void)pthread_mutex_init(mutex, &brief);
    (void)pthread_mutexattr_destroy(&brief);
}
