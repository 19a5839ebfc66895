/* SPDX-License-Identifier: Apache-2.0 */
/* Programs that the agent of a simulated guest runs. */
#include "hypervisor/sim_impl.h"

int sim_exec_start(struct hypervisor *hv, struct str host_id, struct str id, int64_t incarnation,
                   const struct machine_exec *exec, int64_t *ret_pid)
{
    (void)hv;
    (void)host_id;
    (void)id;
    (void)incarnation;
    (void)exec;
    (void)ret_pid;
    return -E_UNSUPPORTED_OPERATION;
}

int sim_exec_poll(struct hypervisor *hv, struct str host_id, struct str id, int64_t incarnation,
                  int64_t pid, struct arena *arena, struct machine_exec_status *ret)
{
    (void)hv;
    (void)host_id;
    (void)id;
    (void)incarnation;
    (void)pid;
    (void)arena;
    (void)ret;
    return -E_UNSUPPORTED_OPERATION;
}

int sim_exec_kill(struct hypervisor *hv, struct str host_id, struct str id, int64_t incarnation,
                  int64_t pid)
{
    (void)hv;
    (void)host_id;
    (void)id;
    (void)incarnation;
    (void)pid;
    return -E_UNSUPPORTED_OPERATION;
}
