/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The XML of machines, against golden files (GOLDEN=1 in the environment writes them anew: look at what changed), and what is
 * read back of libvirt's XML: text of others, which may be cut off anywhere.
 */
#include "unit/unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "hypervisor/domain_xml.h"

#define GOLDEN_BYTES (64u * 1024)
#define HOSTILE_BYTES (64u * 1024)

/* ── whole machines ── */

static void read_file(const char *path, char *text, size_t room)
{
    FILE *file = fopen(path, "re");
    size_t n;

    if (!file)
        fail_msg("%s is not there; GOLDEN=1 makes it", path);
    n = fread(text, 1, room - 1, file);
    text[n] = '\0';
    (void)fclose(file); /* read only */
}

static void assert_golden(const char *name, struct str xml)
{
    char *expected = xcalloc(1, GOLDEN_BYTES);
    char path[512];

    (void)snprintf(path, sizeof(path), "%s/%s", TEST_DATA, name);
    if (getenv("GOLDEN")) {
        FILE *file = fopen(path, "we");

        assert_non_null(file);
        assert_int_equal(fwrite(xml.ptr, 1, xml.len, file), xml.len);
        assert_int_equal(fclose(file), 0);
    }
    read_file(path, expected, GOLDEN_BYTES);
    assert_str(xml, expected);
    xfree(expected);
}

static void a_plain_machine(void **state)
{
    const struct machine_spec machine = {
        .id = STR("i-bp1a2b3c4d5e6f7g8h9j"), .vcpus = 1, .memory_mib = 512, .mac = STR("00:16:3e:00:00:01")};
    const struct domain_disk disks[] = {
        {.path = STR("/srv/ecsd/disks/d-1.qcow2"), .format = "qcow2", .serial = STR("1"), .target = "vda"}};
    const struct domain_spec spec = {.machine = &machine,
                                     .disks = disks,
                                     .disk_count = countof(disks),
                                     .console_path = STR("/srv/ecsd/machines/i-1/console.log"),
                                     .agent_path = STR("/srv/ecsd/machines/i-1/agent.sock")};
    struct buf xml;

    (void)state;
    buf_init(&xml, DOMAIN_XML_BYTES);
    domain_xml(&xml, &spec);
    assert_false(xml.full);
    assert_golden("domain_plain.xml", buf_str(&xml));
    buf_done(&xml);
}

/* Direct boot, cloud and local disks, the seed, KVM, started for the third time. */
static void a_machine_with_everything(void **state)
{
    const struct machine_spec machine = {
        .id = STR("i-bp1a2b3c4d5e6f7g8h9j"), .vcpus = 8, .memory_mib = 32768, .mac = STR("00:16:3e:00:00:02")};
    const struct domain_disk disks[] = {
        {.path = STR("/srv/ecsd/disks/d-sys.qcow2"), .format = "qcow2", .serial = STR("sys"), .target = "vda"},
        {.path = STR("/srv/ecsd/disks/d-data.qcow2"), .format = "qcow2", .serial = STR("data"), .target = "vdb"},
        {.path = STR("/srv/ecsd/machines/i-1/i-1-local-0.raw"), .format = "raw", .target = "vdaa"},
        {.path = STR("/srv/ecsd/machines/i-1/seed.iso"), .format = "raw", .target = "vdab", .read_only = true},
    };
    const struct domain_spec spec = {
        .machine = &machine,
        .mark = {.incarnation = 3, .started = true, .agent = true},
        .boot = {.kernel = STR("/srv/ecsd/images/m-1/kernel"),
                 .initrd = STR("/srv/ecsd/images/m-1/initrd"),
                 .command_line = STR("console=ttyS0 opt=\"a<b&c\" root=/dev/vda")},
        .disks = disks,
        .disk_count = countof(disks),
        .console_path = STR("/srv/ecsd/machines/i-1/console.log"),
        .agent_path = STR("/srv/ecsd/machines/i-1/agent.sock"),
        .kvm = true};
    struct buf xml;

    (void)state;
    buf_init(&xml, DOMAIN_XML_BYTES);
    domain_xml(&xml, &spec);
    assert_false(xml.full);
    assert_golden("domain_full.xml", buf_str(&xml));
    buf_done(&xml);
}

/* ── names ── */

/* By another implementation: SHA-256 of "urn:ecsd:machine:1:" and the id, version 8 and the variant of RFC 9562 put in. */
static void uuids_are_of_the_id(void **state)
{
    static const struct {
        struct str id;
        const char *uuid;
    } vectors[] = {
        {STR_INIT("i-bp1a2b3c4d5e6f7g8h9j"), "f41899fb-4e62-8c4a-b1e2-6c3bdaec928e"},
        {STR_INIT(""), "6e981675-428a-8d1c-b843-d3e6f4ec0284"},
        {STR_INIT("i-1"), "58fd60ab-c812-897f-96ae-93593cc2acdd"},
    };
    char uuid[DOMAIN_UUID_BYTES];

    (void)state;
    for (size_t i = 0; i < countof(vectors); i++) {
        domain_uuid(vectors[i].id, uuid);
        assert_string_equal(uuid, vectors[i].uuid);
    }
}

static void targets_go_on_behind_the_alphabet(void **state)
{
    static const struct {
        size_t n;
        const char *target;
    } rows[] = {{0, "vda"}, {1, "vdb"}, {25, "vdz"}, {26, "vdaa"}, {27, "vdab"}, {51, "vdaz"}, {52, "vdba"}, {26 + DOMAIN_DISKS_MAX, "vdcm"}};
    char target[DOMAIN_TARGET_BYTES];

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        domain_target(rows[i].n, target);
        assert_string_equal(target, rows[i].target);
    }
}

/* ── text of others ── */

static void disk_of(struct buf *xml, struct str path, struct str serial)
{
    const struct domain_disk disk = {.path = path, .format = "raw", .serial = serial, .target = "vda"};

    buf_init(xml, DOMAIN_XML_BYTES);
    domain_disk_xml(xml, &disk);
}

static void markup_is_escaped(void **state)
{
    struct buf xml;

    (void)state;
    disk_of(&xml, STR("/a\"/><evil x='&amp;'/>"), STR("</serial><b>"));
    assert_str(buf_str(&xml), "<disk type=\"file\" device=\"disk\"><driver name=\"qemu\" type=\"raw\"/>"
                              "<source file=\"/a&quot;/&gt;&lt;evil x=&apos;&amp;amp;&apos;/&gt;\"/>"
                              "<target dev=\"vda\" bus=\"virtio\"/><serial>&lt;/serial&gt;&lt;b&gt;</serial>\n</disk>\n");
    buf_done(&xml);
}

static void control_bytes_are_left_out(void **state)
{
    char all[256];
    struct buf xml;

    (void)state;
    for (size_t i = 0; i < sizeof(all); i++)
        all[i] = (char)i;
    disk_of(&xml, STR("/p"), str_slice(all, sizeof(all)));
    for (size_t i = 0; i < xml.len; i++)
        assert_true((uint8_t)xml.ptr[i] >= 0x20 || xml.ptr[i] == '\n');
    assert_true(str_contains(buf_str(&xml), STR("!&quot;#$%&amp;&apos;(")));
    buf_done(&xml);
}

static void noncharacters_are_left_out(void **state)
{
    struct buf xml;

    (void)state;
    disk_of(&xml, STR("/p"), STR("a\xef\xbf\xbe" "b\xef\xbf\xbf" "c\xef\xbf\xbd"));
    assert_true(str_contains(buf_str(&xml), STR("<serial>abc\xef\xbf\xbd</serial>")));
    buf_done(&xml);
}

static void long_text_is_bounded(void **state)
{
    char *text = xcalloc(1, HOSTILE_BYTES);
    struct buf xml;

    (void)state;
    memset(text, '"', HOSTILE_BYTES); /* six bytes each when escaped */
    disk_of(&xml, str_slice(text, HOSTILE_BYTES), STR_NONE);
    assert_true(xml.full);
    assert_true(xml.len <= DOMAIN_XML_BYTES);
    buf_done(&xml);
    memset(text, 'x', HOSTILE_BYTES);
    disk_of(&xml, str_slice(text, HOSTILE_BYTES), STR_NONE);
    assert_false(xml.full);
    buf_done(&xml);
    xfree(text);
}

/* ── the mark ── */

static void marks_come_back(void **state)
{
    static const int64_t incarnations[] = {0, 1, 2, 4294967296, INT64_MAX};

    (void)state;
    for (size_t i = 0; i < countof(incarnations) * 4; i++) {
        struct domain_mark mark = {.incarnation = incarnations[i / 4], .started = i & 1, .agent = i & 2};
        struct domain_mark back = {.incarnation = -1};
        struct buf xml;

        buf_init(&xml, DOMAIN_XML_BYTES);
        domain_mark_xml(&xml, &mark);
        assert_int_equal(domain_mark_parse(buf_str(&xml), &back), 0);
        assert_true(back.incarnation == mark.incarnation);
        assert_int_equal(back.started, mark.started);
        assert_int_equal(back.agent, mark.agent);
        buf_done(&xml);
    }
}

static void either_kind_of_quotes_and_any_order(void **state)
{
    struct domain_mark mark;

    (void)state;
    assert_int_equal(domain_mark_parse(STR("<machine agent='1' started=\"0\" incarnation='12'/>\n"), &mark), 0);
    assert_int_equal(mark.incarnation, 12);
    assert_false(mark.started);
    assert_true(mark.agent);
}

static void other_text_is_no_mark(void **state)
{
    static const char *const bad[] = {
        "", "<", "<machine", "<machine/>", "<machin incarnation='1' started='1' agent='1'/>",
        "<machine incarnation='1' started='1' agent='1'",                     /* no end */
        "<machine incarnation='1' started='1'/>",                             /* one is missing */
        "<machine started='1' agent='1'/>",
        "<machine/> incarnation='1' started='1' agent='1'>",                  /* behind its end */
        "<machine incarnation=1 started='1' agent='1'/>",                     /* no quotes */
        "<machine incarnation='1\" started='1' agent='1'/>",                  /* quotes that don't match */
        "<machine incarnation='1 started=1 agent=1/>",
        "<machine incarnation= '1' started='1' agent='1'/>",
        "<machine incarnation='' started='1' agent='1'/>",
        "<machine incarnation='-1' started='1' agent='1'/>",
        "<machine incarnation='+1' started='1' agent='1'/>",
        "<machine incarnation=' 1' started='1' agent='1'/>",
        "<machine incarnation='0x1' started='1' agent='1'/>",
        "<machine incarnation='9223372036854775808' started='1' agent='1'/>", /* one too many */
        "<machine incarnation='99999999999999999999999999' started='1' agent='1'/>",
        "<machine incarnation='1' started='2' agent='1'/>",
        "<machine incarnation='1' started='-1' agent='1'/>",
        "<machine incarnation='1' started='true' agent='1'/>",
        "<machine incarnation='1' started='1' agent='9'/>",
        "<machine incarnation=",
        "<machine incarnation='",
    };
    struct domain_mark mark = {.incarnation = 77};

    (void)state;
    for (size_t i = 0; i < countof(bad); i++) {
        if (domain_mark_parse(str_from(bad[i]), &mark) != -E_INVALID)
            fail_msg("taken for a mark: %s", bad[i]);
        assert_int_equal(mark.incarnation, 77); /* untouched */
    }
    assert_int_equal(domain_mark_parse(STR_NONE, &mark), -E_INVALID);
}

/* Each on a heap block of its own, so that ASan sees who reads on. */
static void a_mark_cut_off_anywhere_is_refused(void **state)
{
    static const char whole[] = "<machine incarnation=\"123\" started=\"1\" agent=\"1\"/>";
    struct domain_mark mark = {.incarnation = 77};
    size_t least = strlen(whole) - 1; /* up to its '>' it isn't one */

    (void)state;
    for (size_t len = 0; len <= strlen(whole); len++) {
        char *text = xcalloc(1, len ? len : 1);
        int r;

        memcpy(text, whole, len);
        r = domain_mark_parse(str_slice(text, len), &mark);
        assert_int_equal(r, len <= least ? -E_INVALID : 0);
        xfree(text);
    }
    assert_int_equal(mark.incarnation, 123);
}

/* Every byte replaced by every byte: whatever is read is a mark within its bounds, or none. */
static void a_mangled_mark_is_a_mark_or_none(void **state)
{
    char text[] = "<machine incarnation='1' started='1' agent='1'/>";

    (void)state;
    for (size_t at = 0; at < sizeof(text) - 1; at++) {
        char kept = text[at];

        for (int c = 0; c < 256; c++) {
            struct domain_mark mark = {.incarnation = 77};

            text[at] = (char)c;
            if (domain_mark_parse(str_slice(text, sizeof(text) - 1), &mark) == 0)
                assert_true(mark.incarnation >= 0 && mark.incarnation <= 9);
            else
                assert_int_equal(mark.incarnation, 77);
        }
        text[at] = kept;
    }
}

static void of_an_attribute_given_twice_the_first_counts(void **state)
{
    struct domain_mark mark;

    (void)state;
    assert_int_equal(domain_mark_parse(STR("<machine incarnation='4' started='1' agent='0' incarnation='5'/>"), &mark), 0);
    assert_int_equal(mark.incarnation, 4);
}

/* ── the screen ── */

static void a_screen_that_nobody_enters(void **state)
{
    struct buf xml;

    (void)state;
    buf_init(&xml, DOMAIN_XML_BYTES);
    domain_vnc_xml(&xml, STR_NONE, 0);
    assert_str(buf_str(&xml), "<graphics type=\"vnc\" autoport=\"yes\" listen=\"127.0.0.1\" passwd=\"-\" "
                              "passwdValidTo=\"1970-01-02T00:00:00\"/>\n");
    buf_done(&xml);
}

static void a_screen_with_a_password(void **state)
{
    struct buf xml;

    (void)state;
    buf_init(&xml, DOMAIN_XML_BYTES);
    domain_vnc_xml(&xml, STR("a\"b<c"), 1800000000 * USEC_PER_SEC);
    assert_str(buf_str(&xml), "<graphics type=\"vnc\" autoport=\"yes\" listen=\"127.0.0.1\" passwd=\"a&quot;b&lt;c\" "
                              "passwdValidTo=\"2027-01-15T08:00:00\"/>\n");
    buf_done(&xml);
}

/* ── what libvirt says of a living domain ── */

/* As libvirt 9.0 prints it, devices that don't matter left out. */
static const char living[] =
    "<domain type='qemu' id='3' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>\n"
    "  <name>i-1</name>\n"
    "  <devices>\n"
    "    <emulator>/usr/bin/qemu-system-x86_64</emulator>\n"
    "    <disk type='file' device='disk'>\n"
    "      <driver name='qemu' type='qcow2'/>\n"
    "      <source file='/srv/a&amp;b/disks/d-1.qcow2' index='2'/>\n"
    "      <backingStore type='file' index='3'>\n"
    "        <format type='raw'/>\n"
    "        <source file='/srv/a&amp;b/images/m-1/disk'/>\n"
    "        <backingStore/>\n"
    "      </backingStore>\n"
    "      <target dev='vda' bus='virtio'/>\n"
    "      <serial>1</serial>\n"
    "      <alias name='virtio-disk0'/>\n"
    "    </disk>\n"
    "    <disk type='file' device='disk'>\n"
    "      <driver name='qemu' type='qcow2'/>\n"
    "      <source file='/srv/a&amp;b/disks/d-10.qcow2' index='1'/>\n"
    "      <backingStore/>\n"
    "      <target dev='vdab' bus='virtio'/>\n"
    "    </disk>\n"
    "    <channel type='unix'>\n"
    "      <source mode='bind' path='/srv/a&amp;b/machines/i-1/agent.sock'/>\n"
    "      <target type='virtio' name='org.qemu.guest_agent.0' state='connected'/>\n"
    "      <alias name='channel0'/>\n"
    "    </channel>\n"
    "    <graphics type='vnc' port='5901' autoport='yes' listen='127.0.0.1'>\n"
    "      <listen type='address' address='127.0.0.1'/>\n"
    "    </graphics>\n"
    "  </devices>\n"
    "</domain>\n";

static void the_port_of_the_screen(void **state)
{
    static const char *const none[] = {
        "", "<graphics type='vnc' port='-1' autoport='yes' listen='127.0.0.1'>", /* of one that is off */
        "<graphics type='vnc' autoport='yes'/>", "<graphics type='vnc' port='0'/>", "<graphics type='vnc' port='65536'/>",
        "<graphics type='vnc' port='99999999999999999999'/>", "<graphics type='spice' port='5900'/>",
        "<graphics type='vnc'><listen port='5900'/>", "<graphics type='vnc' port='5900'",
    };
    int64_t port = 7;

    (void)state;
    for (size_t i = 0; i < countof(none); i++)
        assert_int_equal(domain_vnc_port(str_from(none[i]), &port), -E_NOT_FOUND);
    assert_int_equal(port, 7);
    assert_int_equal(domain_vnc_port(str_from(living), &port), 0);
    assert_int_equal(port, 5901);
}

static void the_agent_is_there_when_it_says_so(void **state)
{
    (void)state;
    assert_true(domain_agent_connected(str_from(living)));
    assert_false(domain_agent_connected(STR("")));
    assert_false(domain_agent_connected(STR("<target type='virtio' name='org.qemu.guest_agent.0' state='disconnected'/>")));
    assert_false(domain_agent_connected(STR("<target type='virtio' name='org.qemu.guest_agent.0'/>"))); /* of one that is off */
    assert_false(domain_agent_connected(STR("<target type='virtio' name='com.redhat.spice.0' state='connected'/>")));
}

static void the_target_of_a_disk(void **state)
{
    char target[DOMAIN_TARGET_BYTES] = "kept";

    (void)state;
    assert_int_equal(domain_disk_target(str_from(living), STR("/srv/a&b/disks/d-2.qcow2"), target), -E_NOT_FOUND);
    assert_int_equal(domain_disk_target(str_from(living), STR("/srv/a&b/disks/d-1"), target), -E_NOT_FOUND); /* not all of it */
    assert_int_equal(domain_disk_target(STR("<source file='/x'/>"), STR("/x"), target), -E_NOT_FOUND);
    assert_int_equal(domain_disk_target(STR("<source file='/x'/><target dev='muchtoolong'/>"), STR("/x"), target), -E_NOT_FOUND);
    assert_string_equal(target, "kept");
    assert_int_equal(domain_disk_target(str_from(living), STR("/srv/a&b/disks/d-1.qcow2"), target), 0);
    assert_string_equal(target, "vda"); /* past the image that it lies on */
    assert_int_equal(domain_disk_target(str_from(living), STR("/srv/a&b/disks/d-10.qcow2"), target), 0);
    assert_string_equal(target, "vdab");
}

static void xml_cut_off_anywhere_is_read_without_harm(void **state)
{
    (void)state;
    for (size_t len = 0; len < sizeof(living); len++) {
        char *text = xcalloc(1, len ? len : 1);
        char target[DOMAIN_TARGET_BYTES];
        int64_t port = 5901;

        memcpy(text, living, len);
        if (domain_vnc_port(str_slice(text, len), &port) == 0)
            assert_int_equal(port, 5901);
        (void)domain_agent_connected(str_slice(text, len));
        if (domain_disk_target(str_slice(text, len), STR("/srv/a&b/disks/d-10.qcow2"), target) == 0)
            assert_string_equal(target, "vdab");
        xfree(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plain_machine),
        cmocka_unit_test(a_machine_with_everything),
        cmocka_unit_test(uuids_are_of_the_id),
        cmocka_unit_test(targets_go_on_behind_the_alphabet),
        cmocka_unit_test(markup_is_escaped),
        cmocka_unit_test(control_bytes_are_left_out),
        cmocka_unit_test(noncharacters_are_left_out),
        cmocka_unit_test(long_text_is_bounded),
        cmocka_unit_test(marks_come_back),
        cmocka_unit_test(either_kind_of_quotes_and_any_order),
        cmocka_unit_test(other_text_is_no_mark),
        cmocka_unit_test(a_mark_cut_off_anywhere_is_refused),
        cmocka_unit_test(a_mangled_mark_is_a_mark_or_none),
        cmocka_unit_test(of_an_attribute_given_twice_the_first_counts),
        cmocka_unit_test(a_screen_that_nobody_enters),
        cmocka_unit_test(a_screen_with_a_password),
        cmocka_unit_test(the_port_of_the_screen),
        cmocka_unit_test(the_agent_is_there_when_it_says_so),
        cmocka_unit_test(the_target_of_a_disk),
        cmocka_unit_test(xml_cut_off_anywhere_is_read_without_harm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
