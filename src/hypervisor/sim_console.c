/* SPDX-License-Identifier: Apache-2.0 */
/* What can be seen of a simulated machine from outside. */
#include "hypervisor/sim_impl.h"

int sim_console(struct hypervisor *hv, struct str host_id, struct str id, size_t limit_bytes,
                struct arena *arena, struct str *ret)
{
    (void)hv;
    (void)host_id;
    (void)id;
    (void)limit_bytes;
    (void)arena;
    (void)ret;
    return -E_UNSUPPORTED_OPERATION;
}

int sim_screenshot(struct hypervisor *hv, struct str host_id, struct str id, int64_t incarnation,
                   struct arena *arena, struct str *ret_png)
{
    (void)hv;
    (void)host_id;
    (void)id;
    (void)incarnation;
    (void)arena;
    (void)ret_png;
    return -E_UNSUPPORTED_OPERATION;
}

int sim_vnc(struct hypervisor *hv, struct str host_id, struct str id, int64_t incarnation,
            struct str password, usec_t until_us, struct arena *arena, struct str *ret_address)
{
    (void)hv;
    (void)host_id;
    (void)id;
    (void)incarnation;
    (void)password;
    (void)until_us;
    (void)arena;
    (void)ret_address;
    return -E_UNSUPPORTED_OPERATION;
}
