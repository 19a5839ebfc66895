/* SPDX-License-Identifier: Apache-2.0 */
/* Disks that come and go while a simulated machine lives. */
#include "hypervisor/sim_impl.h"

int sim_disk_attach(struct hypervisor *hv, struct str host_id, struct str id, int64_t incarnation,
                    const struct machine_disk *disk, struct fail *fail)
{
    (void)hv;
    (void)host_id;
    (void)id;
    (void)incarnation;
    (void)disk;
    (void)fail;
    return -E_UNSUPPORTED_OPERATION;
}

int sim_disk_detach(struct hypervisor *hv, struct str host_id, struct str id, int64_t incarnation,
                    struct str disk_id, struct fail *fail)
{
    (void)hv;
    (void)host_id;
    (void)id;
    (void)incarnation;
    (void)disk_id;
    (void)fail;
    return -E_UNSUPPORTED_OPERATION;
}
