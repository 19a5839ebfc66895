/* SPDX-License-Identifier: Apache-2.0 */
/* The disks of real machines: files of the pool (pool.h), in the order in which the guest is to see them. */
#include "hypervisor/libvirt_impl.h"

#define LETTERS 26
#define SERIAL_MAX 20 /* bytes that virtio shows the guest */

/* The place that the API's device name gives a disk: /dev/xvdb is the second one. -1: none. */
static int place_of(struct str device)
{
    struct str prefix = str_starts(device, STR("/dev/xvd")) ? STR("/dev/xvd") : STR("/dev/vd");
    char letter;

    if (!str_starts(device, prefix) || device.len != prefix.len + 1)
        return -1;
    letter = device.ptr[prefix.len];
    return letter >= 'a' && letter <= 'z' ? letter - 'a' : -1;
}

/* As DescribeDisks shows it: the id without its prefix. */
static struct str serial_of(struct str disk_id)
{
    struct str serial = str_starts(disk_id, STR("d-")) ? str_slice(disk_id.ptr + 2, disk_id.len - 2) : disk_id;

    return str_slice(serial.ptr, MIN_OF(serial.len, (size_t)SERIAL_MAX));
}

static struct domain_disk disk_at(struct lv_call *call, struct str machine_id, const struct machine_disk *disk, size_t place)
{
    struct domain_disk ret = {
        .path = pool_disk_path(&call->libvirt->pool, machine_id, disk, &call->arena),
        .format = disk->local ? "raw" : "qcow2",
        .serial = disk->local ? STR_NONE : serial_of(disk->id),
    };

    domain_target(place, ret.target);
    return ret;
}

/* Cloud disks by their letters; local ones and the seed behind all letters, where no disk that comes later wants to be. */
size_t libvirt_disks(struct lv_call *call, const struct machine_spec *spec, struct domain_disk ret[DOMAIN_DISKS_MAX])
{
    const struct machine_disk *placed[LETTERS] = {NULL};
    size_t next = LETTERS;
    size_t n = 0;

    for (size_t i = 0; i < spec->disk_count; i++) {
        int place = spec->disks[i].local ? -1 : place_of(spec->disks[i].device);

        if (place >= 0 && !placed[place])
            placed[place] = &spec->disks[i];
    }
    for (size_t place = 0; place < LETTERS; place++)
        if (placed[place])
            ret[n++] = disk_at(call, spec->id, placed[place], place);
    for (size_t i = 0; i < spec->disk_count; i++) {
        int place = spec->disks[i].local ? -1 : place_of(spec->disks[i].device);

        if (place < 0 || placed[place] != &spec->disks[i])
            ret[n++] = disk_at(call, spec->id, &spec->disks[i], next++);
    }
    ret[n] = (struct domain_disk){
        .path = pool_machine_path(&call->libvirt->pool, spec->id, "seed.iso", &call->arena), .format = "raw", .read_only = true};
    domain_target(next, ret[n].target);
    return n + 1;
}

int libvirt_disk_clear(struct hypervisor *hv, struct str host_id, struct str id, struct str disk_id)
{
    struct lv_call call;
    int r = lv_enter(&call, hv, host_id, id, NULL);

    if (r < 0)
        return r;
    if (!call.dom)
        r = -E_NOT_FOUND;
    else if (call.status.state != MACHINE_OFF)
        r = -E_BUSY;
    else
        r = lv_settle(&call);
    if (r == 0)
        r = pool_disk_clear(&call.libvirt->pool, id, disk_id, &call.arena);
    return lv_leave(&call, r);
}

int libvirt_disk_delete(struct hypervisor *hv, struct str disk_id)
{
    struct arena arena;
    int r;

    arena_init(&arena, LIBVIRT_CALL_ARENA);
    r = pool_disk_delete(&libvirt_of(hv)->pool, disk_id, &arena);
    arena_done(&arena);
    return r;
}

/* Is the file in the machine's definition? */
static bool has_file(struct lv_call *call, struct str path)
{
    char *xml = lv.virDomainGetXMLDesc(call->dom, VIR_DOMAIN_XML_INACTIVE);
    char target[DOMAIN_TARGET_BYTES];
    bool has = xml && domain_disk_target(str_from(xml), path, target) == 0;

    free(xml);
    return has;
}

int libvirt_disk_written(struct hypervisor *hv, struct str host_id, struct str id, struct str disk_id, bool *ret)
{
    struct lv_call call;
    struct str path;
    int r = lv_enter(&call, hv, host_id, id, NULL);

    if (r < 0)
        return r;
    r = call.dom ? pool_disk_find(&call.libvirt->pool, id, disk_id, &call.arena, &path) : -E_NOT_FOUND;
    if (r == 0 && !has_file(&call, path))
        r = -E_NOT_FOUND;
    if (r == 0)
        r = pool_disk_written(path, ret);
    return lv_leave(&call, r);
}

/* ── while the machine lives ── */

/* Does the guest have the disk now? -1: can't be known. */
static int has_disk_live(struct lv_call *call, struct str path)
{
    char *xml = lv.virDomainGetXMLDesc(call->dom, 0);
    char target[DOMAIN_TARGET_BYTES];
    int has = xml ? domain_disk_target(str_from(xml), path, target) == 0 : -1;

    free(xml);
    return has;
}

static int do_attach(virDomainPtr dom, const struct lv_order *order)
{
    unsigned where = VIR_DOMAIN_AFFECT_LIVE | VIR_DOMAIN_AFFECT_CONFIG;

    return lv.virDomainAttachDeviceFlags(dom, order->text, where) < 0 ? libvirt_failed(NULL, NULL) : 0;
}

static int do_detach(virDomainPtr dom, const struct lv_order *order)
{
    unsigned where = VIR_DOMAIN_AFFECT_LIVE | (order->number ? VIR_DOMAIN_AFFECT_CONFIG : 0);

    return lv.virDomainDetachDeviceFlags(dom, order->text, where) < 0 ? libvirt_failed(NULL, NULL) : 0;
}

static int plug(struct lv_call *call, const struct domain_disk *disk)
{
    struct buf xml;
    int r;

    buf_init(&xml, DOMAIN_XML_BYTES);
    domain_disk_xml(&xml, disk);
    r = lv_thread_run(call, do_attach, (struct lv_order){.text = buf_str(&xml).ptr}, LIBVIRT_REPLY_US);
    buf_done(&xml);
    return r;
}

int libvirt_disk_attach(struct hypervisor *hv, struct str host_id, struct str id, int64_t incarnation,
                        const struct machine_disk *disk, struct fail *fail)
{
    struct domain_disk at;
    struct lv_call call;
    int place = place_of(disk->device);
    int r = lv_enter_living(&call, hv, host_id, id, incarnation, fail);

    if (r < 0)
        return r;
    if (place < 0)
        return lv_leave(&call, fail_text(fail, E_INVALID, "%.*s is no device name of a disk", STR_ARG(disk->device)));
    at = disk_at(&call, id, disk, (size_t)place);
    if (has_disk_live(&call, at.path) == 1)
        return lv_leave(&call, 0);
    r = pool_disk_make(&call.libvirt->pool, id, disk, &call.arena, fail);
    return lv_leave(&call, r < 0 ? r : plug(&call, &at));
}

/* Unplugging is a request: the guest is asked, and lets go when it does. */
static int unplug(struct lv_call *call, struct str path)
{
    struct domain_disk disk = {.path = path, .format = "qcow2"};
    struct lv_order order = {.number = has_file(call, path)};
    char *live = lv.virDomainGetXMLDesc(call->dom, 0);
    struct buf xml;
    int r = live ? domain_disk_target(str_from(live), path, disk.target) : libvirt_failed(call->conn, call->fail);

    free(live);
    if (r < 0)
        return r == -E_NOT_FOUND ? 0 : r; /* it has just gone */
    buf_init(&xml, DOMAIN_XML_BYTES);
    domain_disk_xml(&xml, &disk);
    order.text = buf_str(&xml).ptr;
    r = lv_thread_run(call, do_detach, order, LIBVIRT_REPLY_US);
    buf_done(&xml);
    return r;
}

int libvirt_disk_detach(struct hypervisor *hv, struct str host_id, struct str id, int64_t incarnation, struct str disk_id,
                        struct fail *fail)
{
    struct lv_call call;
    struct str path;
    int r = lv_enter_living(&call, hv, host_id, id, incarnation, fail);

    if (r < 0)
        return r;
    r = pool_disk_find(&call.libvirt->pool, id, disk_id, &call.arena, &path);
    if (r == -E_NOT_FOUND || (r == 0 && has_disk_live(&call, path) == 0))
        return lv_leave(&call, 0);
    if (r == 0)
        r = unplug(&call, path);
    if (r == 0 && has_disk_live(&call, path) != 0)
        r = -E_BUSY;
    return lv_leave(&call, r);
}
