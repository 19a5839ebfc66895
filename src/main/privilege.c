/* SPDX-License-Identifier: Apache-2.0 */
#include "main/privilege.h"

#include <linux/capability.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/macro.h"

#define CAPABILITY(number) (UINT64_C(1) << (number))
/* Root may serve a folder of another user, whose log SQLite gives to the owner of the database; and listen on port 443. */
#define KEPT                                                                                                           \
    (CAPABILITY(CAP_CHOWN) | CAPABILITY(CAP_DAC_OVERRIDE) | CAPABILITY(CAP_FOWNER) | CAPABILITY(CAP_NET_BIND_SERVICE))
#define WORD_BITS 32

/* Nothing that we or a child of ours executes gets them back. Only who has CAP_SETPCAP may do this. */
static void bound(void)
{
    for (int number = 0; number < (int)(2 * WORD_BITS); number++) {
        if (!(KEPT & CAPABILITY(number)))
            (void)prctl(PR_CAPBSET_DROP, number, 0, 0, 0); /* EINVAL: a number that this kernel doesn't know */
    }
    (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
}

static bool reduce(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};
    bool had_more = false;

    if (syscall(SYS_capget, &header, data) < 0)
        return false;
    for (size_t i = 0; i < countof(data); i++) {
        uint32_t kept = (uint32_t)(KEPT >> (i * WORD_BITS));

        had_more = had_more || ((data[i].permitted & ~kept) | data[i].inheritable) != 0;
        data[i].permitted &= kept;
        data[i].effective &= kept;
        data[i].inheritable = 0;
    }
    /* A sandbox that has taken them already may refuse the call. */
    return !had_more || syscall(SYS_capset, &header, data) == 0;
}

static bool forbid_core(void)
{
    struct rlimit core;

    return setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0}) == 0 ||
           (getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_cur == 0);
}

bool privilege_drop(enum privilege_needs needs)
{
    bool ok = forbid_core();

    if (needs == PRIVILEGE_EMBEDDED)
        return ok;
    ok = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && ok;
    ok = prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0 && ok; /* also where a handler takes the core, which heeds no limit */
    if (needs == PRIVILEGE_REMOTE)
        return ok;
    bound();
    return reduce() && ok;
}

void privilege_forget(const char *variable)
{
    char *value = getenv(variable);

    if (!value)
        return;
    explicit_bzero(value, strlen(value));
    (void)unsetenv(variable); /* fails for names that are none */
}
