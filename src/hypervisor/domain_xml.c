/* SPDX-License-Identifier: Apache-2.0 */
#include "hypervisor/domain_xml.h"

#include "base/hash.h"

#define TEXT_MAX 64                 /* of an attribute that is read back */
#define TCG_CACHE_MIB 64            /* translated code: the default of 1 GiB makes many small guests large */
#define VNC_ADDRESS "127.0.0.1"
#define TIME_LONG_AGO "1970-01-02T00:00:00"

void domain_uuid(struct str machine_id, char ret[DOMAIN_UUID_BYTES])
{
    uint8_t digest[SHA256_BYTES];
    struct buf text;

    buf_init(&text, DOMAIN_XML_BYTES);
    buf_add_cstr(&text, DOMAIN_NAMESPACE ":");
    buf_add_str(&text, machine_id);
    hash_sha256(buf_str(&text), digest);
    buf_done(&text);
    digest[6] = (uint8_t)((digest[6] & 0x0f) | 0x80); /* RFC 9562: version 8, of our own making */
    digest[8] = (uint8_t)((digest[8] & 0x3f) | 0x80);
    for (size_t i = 0, at = 0; i < 16; i++, at += 2) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            ret[at++] = '-';
        (void)snprintf(ret + at, 3, "%02x", digest[i]);
    }
}

void domain_target(size_t n, char ret[DOMAIN_TARGET_BYTES])
{
    if (n < 26)
        (void)snprintf(ret, DOMAIN_TARGET_BYTES, "vd%c", (char)('a' + n));
    else
        (void)snprintf(ret, DOMAIN_TARGET_BYTES, "vd%c%c", (char)('a' + n / 26 - 1), (char)('a' + n % 26));
}

/* U+FFFE and U+FFFF are valid UTF-8, but no characters of XML. */
static bool is_noncharacter(struct str text, size_t at)
{
    const uint8_t *c = (const uint8_t *)text.ptr + at;

    return text.len - at >= 3 && c[0] == 0xef && c[1] == 0xbf && c[2] >= 0xbe;
}

static void add_text(struct buf *out, struct str text)
{
    static const char *const words[256] = {
        ['<'] = "&lt;", ['>'] = "&gt;", ['&'] = "&amp;", ['"'] = "&quot;", ['\''] = "&apos;"};

    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = (uint8_t)text.ptr[i];

        if (words[c])
            buf_add_cstr(out, words[c]);
        else if (is_noncharacter(text, i))
            i += 2;
        else if (c >= 0x20)
            buf_add_char(out, (char)c);
    }
}

static void add_element(struct buf *out, const char *name, struct str text)
{
    if (str_empty(text))
        return;
    buf_printf(out, "<%s>", name);
    add_text(out, text);
    buf_printf(out, "</%s>\n", name);
}

void domain_mark_xml(struct buf *out, const struct domain_mark *mark)
{
    buf_printf(out, "<machine incarnation=\"%lld\" started=\"%d\" agent=\"%d\"/>", (long long)mark->incarnation, mark->started,
               mark->agent);
}

static void add_mark(struct buf *out, const struct domain_mark *mark)
{
    buf_printf(out,
               "<metadata><ecsd:machine xmlns:ecsd=\"" DOMAIN_NAMESPACE
               "\" incarnation=\"%lld\" started=\"%d\" agent=\"%d\"/></metadata>\n",
               (long long)mark->incarnation, mark->started, mark->agent);
}

void domain_disk_xml(struct buf *out, const struct domain_disk *disk)
{
    buf_printf(out, "<disk type=\"file\" device=\"disk\"><driver name=\"qemu\" type=\"%s\"/><source file=\"", disk->format);
    add_text(out, disk->path);
    buf_printf(out, "\"/><target dev=\"%s\" bus=\"virtio\"/>", disk->target);
    add_element(out, "serial", disk->serial);
    buf_add_cstr(out, disk->read_only ? "<readonly/></disk>\n" : "</disk>\n");
}

void domain_vnc_xml(struct buf *out, struct str password, usec_t until_us)
{
    char until[TIME_TEXT_MAX] = TIME_LONG_AGO;

    if (!str_empty(password)) {
        (void)time_print_second(until_us, until);
        until[19] = '\0'; /* libvirt wants it without the Z */
    }
    buf_add_cstr(out, "<graphics type=\"vnc\" autoport=\"yes\" listen=\"" VNC_ADDRESS "\" passwd=\"");
    add_text(out, str_empty(password) ? STR("-") : password);
    buf_printf(out, "\" passwdValidTo=\"%s\"/>\n", until);
}

static void add_boot(struct buf *out, const struct domain_boot *boot)
{
    buf_add_cstr(out, "<os><type arch=\"x86_64\" machine=\"pc\">hvm</type>\n");
    add_element(out, "kernel", boot->kernel);
    add_element(out, "initrd", boot->initrd);
    add_element(out, "cmdline", boot->command_line);
    buf_add_cstr(out, "<boot dev=\"hd\"/></os>\n");
}

static void add_processor(struct buf *out, const struct domain_spec *spec)
{
    buf_printf(out, "<memory unit=\"MiB\">%lld</memory>\n<vcpu>%lld</vcpu>\n", (long long)spec->machine->memory_mib,
               (long long)spec->machine->vcpus);
    buf_printf(out, "<cpu mode=\"%s\"/>\n", spec->kvm ? "host-passthrough" : "maximum");
    buf_add_cstr(out, "<features><acpi/><apic/>");
    if (!spec->kvm)
        buf_printf(out, "<tcg><tb-cache unit=\"MiB\">%d</tb-cache></tcg>", TCG_CACHE_MIB);
    buf_add_cstr(out, "</features>\n<clock offset=\"utc\"/>\n");
}

/* The log keeps what the terminal shows; a reader of the terminal (virsh console) takes nothing away from it. */
static void add_console(struct buf *out, const struct domain_spec *spec)
{
    buf_add_cstr(out, "<serial type=\"pty\"><log file=\"");
    add_text(out, spec->console_path);
    buf_add_cstr(out, "\" append=\"on\"/><target port=\"0\"/></serial>\n"
                      "<channel type=\"unix\"><source mode=\"bind\" path=\"");
    add_text(out, spec->agent_path);
    buf_add_cstr(out, "\"/><target type=\"virtio\" name=\"org.qemu.guest_agent.0\"/></channel>\n");
}

static void add_devices(struct buf *out, const struct domain_spec *spec)
{
    buf_add_cstr(out, "<devices>\n<controller type=\"usb\" model=\"none\"/>\n");
    for (size_t i = 0; i < spec->disk_count; i++)
        domain_disk_xml(out, &spec->disks[i]);
    buf_add_cstr(out, "<interface type=\"user\">");
    if (!str_empty(spec->machine->mac)) {
        buf_add_cstr(out, "<mac address=\"");
        add_text(out, spec->machine->mac);
        buf_add_cstr(out, "\"/>");
    }
    buf_add_cstr(out, "<model type=\"virtio\"/></interface>\n");
    add_console(out, spec);
    domain_vnc_xml(out, STR_NONE, 0);
    buf_add_cstr(out, "<video><model type=\"vga\" vram=\"16384\"/></video>\n"
                      "<rng model=\"virtio\"><backend model=\"builtin\"/></rng>\n"
                      "<memballoon model=\"none\"/>\n<panic model=\"isa\"/>\n</devices>\n");
}

void domain_xml(struct buf *out, const struct domain_spec *spec)
{
    char uuid[DOMAIN_UUID_BYTES];

    domain_uuid(spec->machine->id, uuid);
    buf_printf(out, "<domain type=\"%s\">\n", spec->kvm ? "kvm" : "qemu");
    add_element(out, "name", spec->machine->id);
    add_element(out, "uuid", str_from(uuid));
    add_mark(out, &spec->mark);
    add_processor(out, spec);
    add_boot(out, &spec->boot);
    /* A panic ends the machine: what is left of it can't be asked to stop. */
    buf_add_cstr(out, "<on_poweroff>destroy</on_poweroff><on_reboot>restart</on_reboot><on_crash>destroy</on_crash>\n"
                      "<pm><suspend-to-mem enabled=\"no\"/><suspend-to-disk enabled=\"no\"/></pm>\n");
    add_devices(out, spec);
    buf_add_cstr(out, "</domain>\n");
}

/* ── read back ── */

/* Where `needle` ends in the text; NULL: it isn't there. */
static const char *after(struct str text, struct str needle)
{
    const char *at = text.len >= needle.len ? memmem(text.ptr, text.len, needle.ptr, needle.len) : NULL;

    return at ? at + needle.len : NULL;
}

/* The value of an attribute of an element, which begins the text; both kinds of quotes. */
static bool attribute(struct str element, const char *name, struct str *ret)
{
    const char *end = element.len ? memchr(element.ptr, '>', element.len) : NULL;
    char mark[TEXT_MAX];
    const char *value;
    const char *close;

    if (!end)
        return false;
    element.len = (size_t)(end - element.ptr);
    (void)snprintf(mark, sizeof(mark), " %s=", name);
    value = after(element, str_from(mark));
    if (!value || value >= end || (*value != '"' && *value != '\''))
        return false;
    close = memchr(value + 1, *value, (size_t)(end - value - 1));
    if (!close)
        return false;
    *ret = str_slice(value + 1, (size_t)(close - value - 1));
    return true;
}

static bool number(struct str element, const char *name, int64_t *ret)
{
    struct str text;

    return attribute(element, name, &text) && str_to_i64(text, ret) >= 0;
}

int domain_mark_parse(struct str xml, struct domain_mark *ret)
{
    const char *begin = after(xml, STR("<machine"));
    int64_t incarnation;
    int64_t started;
    int64_t agent;

    if (!begin)
        return -E_INVALID;
    xml = str_slice(begin, xml.len - (size_t)(begin - xml.ptr));
    if (!number(xml, "incarnation", &incarnation) || !number(xml, "started", &started) || !number(xml, "agent", &agent))
        return -E_INVALID;
    if (incarnation < 0 || started < 0 || started > 1 || agent < 0 || agent > 1)
        return -E_INVALID;
    *ret = (struct domain_mark){.incarnation = incarnation, .started = started == 1, .agent = agent == 1};
    return 0;
}

/* The element behind `opening`, up to `limit` if that is there. */
static struct str element_of(struct str xml, struct str opening)
{
    const char *begin = after(xml, opening);

    return begin ? str_slice(begin, xml.len - (size_t)(begin - xml.ptr)) : STR_NONE;
}

int domain_vnc_port(struct str xml, int64_t *ret)
{
    struct str element = element_of(xml, STR("<graphics type='vnc'"));
    int64_t port;

    if (str_empty(element) || !number(element, "port", &port) || port <= 0 || port > 65535)
        return -E_NOT_FOUND;
    *ret = port;
    return 0;
}

bool domain_agent_connected(struct str xml)
{
    struct str element = element_of(xml, STR("<target type='virtio' name='org.qemu.guest_agent.0'"));
    struct str state;

    return !str_empty(element) && attribute(element, "state", &state) && str_eq(state, STR("connected"));
}

int domain_disk_target(struct str xml, struct str path, char ret[DOMAIN_TARGET_BYTES])
{
    struct str element;
    struct str target;
    struct buf mark;

    buf_init(&mark, DOMAIN_XML_BYTES);
    buf_add_cstr(&mark, "<source file='");
    add_text(&mark, path);
    buf_add_cstr(&mark, "'");
    element = element_of(xml, buf_str(&mark));
    buf_done(&mark);
    element = element_of(element, STR("<target"));
    if (str_empty(element) || !attribute(element, "dev", &target) || target.len >= DOMAIN_TARGET_BYTES)
        return -E_NOT_FOUND;
    memcpy(ret, target.ptr, target.len);
    ret[target.len] = '\0';
    return 0;
}
