/* SPDX-License-Identifier: Apache-2.0 */
#include "base/datadir.h"

#include <unistd.h>

const char *datadir_default(struct arena *arena)
{
    const char *home = getenv("HOME");
    const char *named = getenv("ECSD_DATA");

    if (named && named[0] != '\0')
        return named;
    if (geteuid() == 0 || !home)
        return "/var/lib/ecsd";
    return arena_printf(arena, "%s/.local/share/ecsd", home).ptr;
}
