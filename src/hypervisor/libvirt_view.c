/* SPDX-License-Identifier: Apache-2.0 */
/* What can be seen of a real machine from outside: its serial console's log, its screen. */
#include "hypervisor/libvirt_impl.h"

#define SCREEN_BYTES ((size_t)4 << 20) /* a picture of 1920×1080 is under 1 MiB as PNG */
#define SCREEN_CHUNK ((size_t)64 << 10)

int libvirt_console(struct hypervisor *hv, struct str host_id, struct str id, size_t limit_bytes, struct arena *arena,
                    struct str *ret)
{
    struct lv_call call;
    int r = lv_enter(&call, hv, host_id, id, NULL);

    if (r < 0)
        return r;
    if (!call.dom)
        return lv_leave(&call, -E_NOT_FOUND);
    return lv_leave(&call, pool_console_read(&call.libvirt->pool, id, limit_bytes, arena, ret));
}

/* Into a file of the machine's: the thread that takes it may outlive the caller. */
static int receive(virStreamPtr stream, FILE *file)
{
    char *chunk = xcalloc(1, SCREEN_CHUNK);
    size_t len = 0;
    int n;

    while ((n = lv.virStreamRecv(stream, chunk, SCREEN_CHUNK)) > 0) {
        len += (size_t)n;
        if (len > SCREEN_BYTES || fwrite(chunk, 1, (size_t)n, file) != (size_t)n) {
            n = -1;
            break;
        }
    }
    xfree(chunk);
    return n == 0 ? lv.virStreamFinish(stream) : -1;
}

static int do_screenshot(virDomainPtr dom, const struct lv_order *order)
{
    virConnectPtr conn = lv.virDomainGetConnect(dom);
    virStreamPtr stream = lv.virStreamNew(conn, 0);
    FILE *file = fopen(order->text, "we");
    char *type = NULL;
    int r = -1;

    if (stream && file)
        type = lv.virDomainScreenshot(dom, stream, 0, 0);
    if (type)
        r = receive(stream, file);
    if (type && r < 0)
        (void)lv.virStreamAbort(stream); /* it failed already */
    r = r == 0 && strcmp(type, "image/png") == 0 ? 0 : -E_IO;
    free(type);
    if (stream)
        (void)lv.virStreamFree(stream);
    if (file && fclose(file) != 0)
        r = -E_NO_SPACE;
    return r;
}

static int read_picture(const char *path, struct arena *arena, struct str *ret)
{
    FILE *file = fopen(path, "re");
    char *bytes;
    size_t n;

    if (!file)
        return -E_IO;
    bytes = arena_alloc(arena, SCREEN_BYTES);
    n = fread(bytes, 1, SCREEN_BYTES, file);
    (void)fclose(file); /* read only */
    *ret = str_slice(bytes, n);
    return n > 0 ? 0 : -E_IO;
}

int libvirt_screenshot(struct hypervisor *hv, struct str host_id, struct str id, int64_t incarnation, struct arena *arena,
                       struct str *ret_png)
{
    struct lv_call call;
    struct str path;
    int r = lv_enter_living(&call, hv, host_id, id, incarnation, NULL);

    if (r < 0)
        return r;
    path = pool_machine_path(&call.libvirt->pool, id, "screen.png", &call.arena);
    r = lv_thread_run(&call, do_screenshot, (struct lv_order){.text = path.ptr}, LIBVIRT_REPLY_US);
    if (r == 0)
        r = read_picture(path.ptr, arena, ret_png);
    return lv_leave(&call, r);
}

static int do_password(virDomainPtr dom, const struct lv_order *order)
{
    return lv.virDomainUpdateDeviceFlags(dom, order->text, VIR_DOMAIN_AFFECT_LIVE) < 0 ? libvirt_failed(NULL, NULL) : 0;
}

/* The screen is shown on the address of libvirt's choice: on its own computer, unless its configuration says otherwise. */
static int read_address(struct lv_call *call, struct arena *arena, struct str *ret)
{
    char *xml = lv.virDomainGetXMLDesc(call->dom, 0);
    int64_t port;
    int r = xml ? domain_vnc_port(str_from(xml), &port) : libvirt_failed(call->conn, NULL);

    free(xml);
    if (r == 0)
        *ret = arena_printf(arena, "127.0.0.1:%lld", (long long)port);
    return r;
}

int libvirt_vnc(struct hypervisor *hv, struct str host_id, struct str id, int64_t incarnation, struct str password,
                usec_t until_us, struct arena *arena, struct str *ret_address)
{
    struct lv_call call;
    struct buf xml;
    int r = lv_enter_living(&call, hv, host_id, id, incarnation, NULL);

    if (r < 0)
        return r;
    r = read_address(&call, arena, ret_address);
    if (r < 0)
        return lv_leave(&call, r);
    buf_init(&xml, DOMAIN_XML_BYTES);
    domain_vnc_xml(&xml, password, until_us);
    r = lv_thread_run(&call, do_password, (struct lv_order){.text = buf_str(&xml).ptr}, LIBVIRT_REPLY_US);
    buf_done(&xml);
    return lv_leave(&call, r);
}
