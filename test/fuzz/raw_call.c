/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/raw_call.h"

#include "http/parse.h"

bool raw_call_read(struct arena *arena, struct str raw, struct call *ret)
{
    struct head_scan scan = {0};
    const char *reason;
    struct head head;
    size_t len;

    if (head_scan(&scan, raw, &len) != PARSE_OK)
        return false;
    if (head_parse(fuzz_exact(arena, str_slice(raw.ptr, len)), arena, &head, &reason) != PARSE_OK)
        return false;
    *ret = (struct call){
        .method = head.method,
        .target = head.target,
        .headers = head.headers,
        .header_count = head.header_count,
        .body = fuzz_exact(arena, str_slice(raw.ptr + len, raw.len - len)),
        .source_ip = STR("192.0.2.1"),
        .arena = arena,
    };
    return true;
}
