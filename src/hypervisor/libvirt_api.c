/* SPDX-License-Identifier: Apache-2.0 */
#include "hypervisor/libvirt_api.h"

#include <dlfcn.h>
#include <pthread.h>

#include "base/log.h"

struct libvirt_api lv;

struct symbol {
    const char *name;
    void **place;
};

#define SYMBOL(function) {#function, (void **)&lv.function},
static const struct symbol symbols[] = {LIBVIRT_FUNCTIONS(SYMBOL)};
static const struct symbol qemu_symbols[] = {LIBVIRT_QEMU_FUNCTIONS(SYMBOL)};
#undef SYMBOL

static int load(const char *library, const struct symbol *table, size_t count, struct fail *fail)
{
    void *handle = dlopen(library, RTLD_NOW | RTLD_GLOBAL);

    if (!handle)
        return fail_text(fail, E_NOT_FOUND,
                         "real machines need libvirt and QEMU (%s); install them: apt-get install libvirt0 "
                         "libvirt-daemon-driver-qemu qemu-system-x86 qemu-utils genisoimage; or take simulated ones: --hypervisor sim, with another data folder",
                         dlerror());
    for (size_t i = 0; i < count; i++) {
        *table[i].place = dlsym(handle, table[i].name);
        if (!*table[i].place)
            return fail_text(fail, E_NOT_FOUND, "%s is too old: it has no %s; libvirt 9.0 or newer is needed", library,
                             table[i].name);
    }
    return 0;
}

/* libvirt would print every error to stderr; whoever called reports it. */
static void on_error(void *arg, virErrorPtr error)
{
    (void)arg;
    log_debug("libvirt", LOG_TEXT("error", error->message), LOG_NUM("code", error->code));
}

int libvirt_api_load(struct fail *fail)
{
    static pthread_mutex_t once = PTHREAD_MUTEX_INITIALIZER; /* guards `loaded` */
    static bool loaded;
    int r = 0;

    (void)pthread_mutex_lock(&once);
    if (!loaded) {
        r = load("libvirt.so.0", symbols, countof(symbols), fail);
        if (r == 0)
            r = load("libvirt-qemu.so.0", qemu_symbols, countof(qemu_symbols), fail);
        /* The event loop has to be there before the first connection. */
        if (r == 0 && (lv.virInitialize() < 0 || lv.virEventRegisterDefaultImpl() < 0))
            r = fail_text(fail, E_IO, "libvirt can't be initialised");
        if (r == 0)
            lv.virSetErrorFunc(NULL, on_error);
        loaded = r == 0;
    }
    (void)pthread_mutex_unlock(&once);
    return r;
}
