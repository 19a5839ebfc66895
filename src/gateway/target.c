/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/target.h"

struct target target_split(struct str raw)
{
    struct target target = {.path = STR("/")};
    struct str path;

    if (str_starts_nocase(raw, STR("http://")) || str_starts_nocase(raw, STR("https://"))) {
        size_t start = raw.ptr[4] == ':' ? 7 : 8;
        size_t end = start;

        while (end < raw.len && raw.ptr[end] != '/' && raw.ptr[end] != '?' && raw.ptr[end] != '#')
            end++;
        target.authority = str_slice(raw.ptr + start, end - start);
        raw = str_slice(raw.ptr + end, raw.len - end);
    }
    /* A fragment never belongs on the wire; what follows it is not ours. */
    (void)str_split(raw, '#', &raw, &path);
    (void)str_split(raw, '?', &path, &target.query);
    if (path.len > 0)
        target.path = path;
    return target;
}

struct str host_without_port(struct str host)
{
    for (size_t i = host.len; i > 0; i--) {
        char c = host.ptr[i - 1];

        if (c == ':')
            return str_slice(host.ptr, i - 1);
        if (c < '0' || c > '9')
            break;
    }
    return host;
}
