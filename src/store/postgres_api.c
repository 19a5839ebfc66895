/* SPDX-License-Identifier: Apache-2.0 */
#include "store/postgres_api.h"

#include <dlfcn.h>
#include <pthread.h>

struct postgres_api pq;

static int load(struct fail *fail)
{
#define SYMBOL(function) {#function, (void **)&pq.function},
    static const struct {
        const char *name;
        void **place;
    } symbols[] = {POSTGRES_FUNCTIONS(SYMBOL)};
#undef SYMBOL
    void *handle = dlopen("libpq.so.5", RTLD_NOW | RTLD_LOCAL);

    if (!handle)
        return fail_text(fail, E_NOT_FOUND, "a store in PostgreSQL needs libpq (%s); install it: apt-get install libpq5", dlerror());
    for (size_t i = 0; i < countof(symbols); i++) {
        *symbols[i].place = dlsym(handle, symbols[i].name);
        if (!*symbols[i].place)
            return fail_text(fail, E_NOT_FOUND, "libpq.so.5 has no %s; libpq of PostgreSQL 15 is needed", symbols[i].name);
    }
    return 0;
}

int postgres_api_load(struct fail *fail)
{
    static pthread_mutex_t once = PTHREAD_MUTEX_INITIALIZER; /* guards `loaded` */
    static bool loaded;
    int r = 0;

    (void)pthread_mutex_lock(&once);
    if (!loaded)
        r = load(fail);
    loaded = r == 0;
    (void)pthread_mutex_unlock(&once);
    return r;
}
