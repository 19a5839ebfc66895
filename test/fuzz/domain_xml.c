/* SPDX-License-Identifier: Apache-2.0 */
/*
 * XML that libvirt gives back. Input: such a document or metadata; its first lines are also the names and paths of a domain
 * of ours, which is written, given back as libvirt would, and read.
 */
#include "fuzz/fuzz.h"

#include "fuzz/xml_kit.h"
#include "hypervisor/domain_xml.h"

#define LINES 6

static void check_mark(struct str xml)
{
    struct domain_mark mark = {.incarnation = 77};
    struct domain_mark again;
    struct buf out;

    if (domain_mark_parse(xml, &mark) < 0) {
        assert(mark.incarnation == 77);
        return;
    }
    assert(mark.incarnation >= 0);
    buf_init(&out, DOMAIN_XML_BYTES);
    domain_mark_xml(&out, &mark);
    assert(domain_mark_parse(buf_str(&out), &again) == 0);
    assert(again.incarnation == mark.incarnation && again.started == mark.started && again.agent == mark.agent);
    buf_done(&out);
}

static void check_read(struct str xml)
{
    char target[DOMAIN_TARGET_BYTES] = "keep";
    int64_t port = -7;
    int r = domain_vnc_port(xml, &port);

    assert(r == 0 ? port > 0 && port <= 65535 : r == -E_NOT_FOUND && port == -7);
    (void)domain_agent_connected(xml); /* either will do */
    r = domain_disk_target(xml, STR("/d/1"), target);
    assert(r == 0 ? strlen(target) < DOMAIN_TARGET_BYTES : r == -E_NOT_FOUND && strcmp(target, "keep") == 0);
}

/* As the text is after it was in XML: without what XML can't hold. */
static struct str held(struct arena *arena, struct str text)
{
    char *kept = arena_alloc(arena, text.len + 1);
    size_t len = 0;

    for (size_t i = 0; i < text.len; i++) {
        bool wide = text.len - i >= 3 && memcmp(text.ptr + i, "\xEF\xBF", 2) == 0 && (uint8_t)text.ptr[i + 2] >= 0xBE;

        if (wide)
            i += 2;
        else if ((uint8_t)text.ptr[i] >= ' ')
            kept[len++] = text.ptr[i];
    }
    return str_slice(kept, len);
}

/* Each disk is found under its file, whatever that is called, unless two have the same. */
static void check_targets(struct arena *arena, struct str given, const struct domain_spec *spec)
{
    for (size_t i = 0; i < spec->disk_count; i++) {
        struct str path = held(arena, spec->disks[i].path);
        char target[DOMAIN_TARGET_BYTES];
        size_t first = i;

        while (first > 0 && !str_eq(held(arena, spec->disks[first - 1].path), path))
            first--;
        if (first > 0)
            continue;
        assert(domain_disk_target(given, spec->disks[i].path, target) == 0);
        assert(strcmp(target, spec->disks[i].target) == 0);
    }
}

static void check_given_back(struct arena *arena, const struct domain_spec *spec)
{
    struct domain_mark mark;
    struct buf out, given, element;
    int64_t port;

    buf_init(&out, DOMAIN_XML_BYTES);
    buf_init(&given, 2 * DOMAIN_XML_BYTES);
    buf_init(&element, DOMAIN_XML_BYTES);
    domain_xml(&out, spec);
    assert(!out.full && xml_as_libvirt(buf_str(&out), &given) && !given.full);
    check_targets(arena, buf_str(&given), spec);
    assert(domain_vnc_port(buf_str(&given), &port) == -E_NOT_FOUND); /* it has none before it lives */
    assert(!domain_agent_connected(buf_str(&given)));
    domain_mark_xml(&element, &spec->mark);
    buf_reset(&given);
    assert(xml_as_libvirt(buf_str(&element), &given) && domain_mark_parse(buf_str(&given), &mark) == 0);
    assert(mark.incarnation == spec->mark.incarnation && mark.started == spec->mark.started);
    buf_done(&out);
    buf_done(&given);
    buf_done(&element);
}

static void check_written(struct arena *arena, struct str text)
{
    struct str lines[LINES];
    struct domain_disk disks[3];
    struct machine_spec machine = {.vcpus = 2, .memory_mib = 512};
    struct domain_spec spec = {.machine = &machine, .disks = disks, .disk_count = countof(disks)};

    for (size_t i = 0; i < LINES; i++) {
        (void)str_split(text, '\n', &lines[i], &text); /* false: the last one */
        if (!str_is_utf8(lines[i]) || lines[i].len > 4096)
            return; /* nobody gives us such names: they are checked where they come in */
    }
    machine.id = lines[0];
    machine.mac = lines[1];
    spec.boot.kernel = lines[2];
    spec.boot.command_line = lines[1];
    spec.console_path = lines[0];
    spec.agent_path = lines[2];
    spec.mark = (struct domain_mark){.incarnation = (int64_t)text.len, .started = text.len & 1, .agent = text.len & 2};
    for (size_t i = 0; i < countof(disks); i++) {
        disks[i] = (struct domain_disk){.path = lines[3 + i], .format = "raw", .serial = lines[i], .read_only = i == 2};
        domain_target(i * 13, disks[i].target);
    }
    check_given_back(arena, &spec);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = fuzz_input(data, size);
    struct arena arena;

    arena_init(&arena, FUZZ_ARENA_BYTES);
    check_mark(text);
    check_read(text);
    check_written(&arena, text);
    arena_done(&arena);
    return 0;
}
