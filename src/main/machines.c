/* SPDX-License-Identifier: Apache-2.0 */
#include "main/machines.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "hypervisor/libvirt.h"
#include "hypervisor/sim.h"

bool machines_are_real(const struct command_line *line)
{
    return str_eq(line->hypervisor, STR("libvirt")) || str_starts(line->hypervisor, STR("qemu"));
}

struct str machines_url(const struct command_line *line)
{
    if (!machines_are_real(line))
        return STR("sim:");
    return str_eq(line->hypervisor, STR("libvirt")) ? STR("qemu:///embed") : line->hypervisor;
}

bool machines_are_embedded(const struct command_line *line)
{
    return machines_are_real(line) && str_starts(machines_url(line), STR("qemu:///embed"));
}

/* Of "sim:FOLDER"; NULL: the hosts are this process's own, in the data folder. */
static const char *shared_folder(const struct command_line *line)
{
    const char *folder = line->hypervisor.ptr + sizeof("sim:") - 1; /* an argument: it ends in a NUL */

    return line->hypervisor.len > sizeof("sim:") - 1 && str_starts(line->hypervisor, STR("sim:")) ? folder : NULL;
}

bool machines_are_own(const struct command_line *line)
{
    return !machines_are_real(line) && !shared_folder(line);
}

static int check_shared(const struct command_line *line, const char *folder, struct fail *fail)
{
    if (folder[0] != '/')
        return fail_text(fail, E_INVALID, "--hypervisor sim:%s: the folder of shared hosts is given from the root: sim:/srv/hosts",
                         folder);
    if (line->virtual_clock)
        return fail_text(fail, E_INVALID, "--clock virtual is one process's: simulated hosts that several share (%.*s) live in real time",
                         STR_ARG(line->hypervisor));
    if (mkdir(folder, 0700) < 0 && errno != EEXIST)
        return fail_text(fail, E_IO, "can't make the folder %s of shared hosts: %s", folder, strerror(errno));
    return 0;
}

static int open_sim(const struct command_line *line, struct env *env, struct fail *fail, struct hypervisor **ret)
{
    const struct options *options = &line->options.values;
    const char *shared = shared_folder(line);
    struct sim_settings settings = {
        .env = env,
        .dir = shared ? shared : line->data,
        .shared = shared != NULL,
        .boot_us = (usec_t)(options->sim_boot_s * (double)USEC_PER_SEC),
        .shutdown_us = (usec_t)(options->sim_shutdown_s * (double)USEC_PER_SEC),
        .seed = (uint64_t)options->sim_seed,
    };
    int r = shared ? check_shared(line, shared, fail) : 0;

    if (r == 0)
        r = sim_open(&settings, fail, ret);
    if (r < 0)
        return r;
    r = sim_start(*ret);
    return r < 0 ? fail_text(fail, E_IO, "can't start the simulated hosts") : 0;
}

static enum libvirt_accelerator accelerator_of(const struct options *options)
{
    static const enum libvirt_accelerator of[] = {
        [LIBVIRT_ACCELERATOR_AUTO_VALUE] = LIBVIRT_AUTO,
        [LIBVIRT_ACCELERATOR_KVM] = LIBVIRT_KVM,
        [LIBVIRT_ACCELERATOR_TCG] = LIBVIRT_TCG,
    };

    return of[options->libvirt_accelerator];
}

static int open_libvirt(const struct command_line *line, struct env *env, struct arena *arena, struct fail *fail,
                        struct hypervisor **ret)
{
    const struct options *options = &line->options.values;
    char *path = arena_alloc(arena, PATH_MAX);
    struct libvirt_settings settings = {
        .env = env,
        .dir = path,
        .local_scale = options->libvirt_local_disk_scale,
        .memory_scale = options->libvirt_memory_scale,
        .accelerator = accelerator_of(options),
        .boot_grace_us = options->libvirt_boot_grace_s * USEC_PER_SEC,
    };

    if (line->virtual_clock)
        return fail_text(fail, E_INVALID, "--clock virtual is for simulated machines: real guests live in real time");
    if (!realpath(line->data, path))
        return fail_text(fail, E_IO, "%s: %s", line->data, strerror(errno));
    return libvirt_open(&settings, fail, ret);
}

int machines_open(const struct command_line *line, struct env *env, struct arena *arena, struct fail *fail,
                  struct hypervisor **ret)
{
    if (machines_are_real(line))
        return open_libvirt(line, env, arena, fail, ret);
    if (!str_eq(line->hypervisor, STR("sim")) && !str_starts(line->hypervisor, STR("sim:")))
        return fail_text(fail, E_INVALID,
                         "--hypervisor %.*s: give sim, sim:FOLDER, libvirt (this computer), or a URI such as qemu:///system, "
                         "qemu+ssh://HOST/system",
                         STR_ARG(line->hypervisor));
    return open_sim(line, env, fail, ret);
}

struct str machines_text(const struct command_line *line, const struct hypervisor *hv, struct arena *arena)
{
    if (!machines_are_real(line))
        return shared_folder(line) ? STR("simulated, shared") : STR("simulated");
    return arena_printf(arena, "real, %s", libvirt_accelerator_why(hv));
}
