/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qcow2 by its specification (docs/interop/qcow2.txt of QEMU): numbers are big-endian. What needs
 * another file, or a key, is refused: the image would be of no use without it, and a backing file's
 * name is a path that somebody else chose.
 */
#include "cli/image_file.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#define GIB ((uint64_t)1 << 30)
#define HEAD_BYTES 112 /* the header of version 3 with its length, and a little more */
#define QCOW2_HEADER_2 72
#define QCOW2_HEADER_3 104
#define QCOW2_CLUSTER_BITS_MIN 9
#define QCOW2_CLUSTER_BITS_MAX 21
#define QCOW2_L1_MAX (4u << 20) /* entries: as QEMU bounds them, 32 MiB */

enum qcow2_feature { /* incompatible ones: who does not know one may not open the file */
                     QCOW2_DIRTY = 1 << 0,
                     QCOW2_CORRUPT = 1 << 1,
                     QCOW2_EXTERNAL = 1 << 2,
                     QCOW2_COMPRESSION = 1 << 3,
                     QCOW2_SUBCLUSTERS = 1 << 4,
};

static uint64_t number(const uint8_t *bytes, size_t count)
{
    uint64_t value = 0;

    for (size_t i = 0; i < count; i++)
        value = value << 8 | bytes[i];
    return value;
}

static int check_features(uint64_t features, const char *path, struct fail *fail)
{
    if (features & QCOW2_EXTERNAL)
        return fail_text(
            fail, E_INVALID,
            "%s keeps its data in another file; convert it: qemu-img convert -O qcow2 %s NEW", path,
            path);
    if (features & (QCOW2_DIRTY | QCOW2_CORRUPT))
        return fail_text(fail, E_INVALID,
                         "%s was not closed properly; repair it: qemu-img check -r all %s", path,
                         path);
    if (features & ~(uint64_t)(QCOW2_COMPRESSION | QCOW2_SUBCLUSTERS))
        return fail_text(
            fail, E_INVALID,
            "%s needs a newer version of qcow2; convert it: qemu-img convert -O qcow2 %s NEW", path,
            path);
    return 0;
}

/* Is the table there that says where everything is? A file that was cut off while it came has none,
 * or half of it. */
static int check_whole(const uint8_t *head, int64_t length, const char *path, struct fail *fail)
{
    uint64_t entries = number(head + 36, 4);
    uint64_t offset = number(head + 40, 8);

    if (entries > QCOW2_L1_MAX || offset > (uint64_t)length ||
        offset + entries * 8 > (uint64_t)length)
        return fail_text(fail, E_INVALID, "%s is cut off or damaged; fetch it again", path);
    return 0;
}

static int take_size(uint64_t bytes, const char *path, struct image_file *ret, struct fail *fail)
{
    if (bytes == 0)
        return fail_text(fail, E_INVALID, "%s holds a disk of no size", path);
    if (bytes > IMAGE_SIZE_MAX_GIB * GIB)
        return fail_text(fail, E_INVALID,
                         "%s holds a disk of more than %d GiB: no system disk is that large", path,
                         IMAGE_SIZE_MAX_GIB);
    ret->size_gib = (int64_t)((bytes + GIB - 1) / GIB);
    return 0;
}

static int look_qcow2(const uint8_t *head, size_t len, const char *path, struct image_file *ret,
                      struct fail *fail)
{
    uint64_t version = number(head + 4, 4);
    uint64_t cluster_bits = number(head + 20, 4);
    int r = 0;

    if (version != 2 && version != 3)
        return fail_text(
            fail, E_INVALID,
            "%s is of version %llu of qcow; convert it: qemu-img convert -O qcow2 %s NEW", path,
            (unsigned long long)version, path);
    if (len < (version == 2 ? QCOW2_HEADER_2 : QCOW2_HEADER_3) ||
        cluster_bits < QCOW2_CLUSTER_BITS_MIN || cluster_bits > QCOW2_CLUSTER_BITS_MAX)
        return fail_text(fail, E_INVALID, "%s is cut off or damaged; fetch it again", path);
    if (number(head + 8, 8) != 0 || number(head + 16, 4) != 0)
        return fail_text(
            fail, E_INVALID,
            "%s lies over a backing file; flatten it: qemu-img convert -O qcow2 %s NEW", path,
            path);
    if (number(head + 32, 4) != 0)
        return fail_text(fail, E_INVALID,
                         "%s is encrypted; decrypt it first: qemu-img convert -O qcow2", path);
    if (version == 3)
        r = check_features(number(head + 72, 8), path, fail);
    if (r == 0)
        r = check_whole(head, ret->length, path, fail);
    return r < 0 ? r : take_size(number(head + 24, 8), path, ret, fail);
}

/* Raw is what is nothing else; so a look at what else it might be. */
static const char *known_format(const uint8_t *head, size_t len)
{
    static const struct {
        const char *bytes;
        size_t len;
        size_t at;
        const char *name;
    } formats[] = {
        {"KDMV", 4, 0, "a VMDK image"},
        {"# Disk DescriptorFile", 21, 0, "the description of a VMDK image"},
        {"conectix", 8, 0, "a VHD image"},
        {"vhdxfile", 8, 0, "a VHDX image"},
        {"\x7f\x10\xda\xbe", 4, 64, "a VDI image"},
        {"\x1f\x8b", 2, 0, "compressed (gzip)"},
        {"\3757zXZ",
         5, 0, "compressed (xz)"},
        {"\x28\xb5\x2f\xfd", 4, 0, "compressed (zstd)"},
        {"BZh", 3, 0, "compressed (bzip2)"},
        {"PK\x03\x04", 4, 0, "an archive (zip)"},
        {"QED\0", 4, 0, "a QED image"},
    };

    for (size_t i = 0; i < countof(formats); i++)
        if (len >= formats[i].at + formats[i].len &&
            memcmp(head + formats[i].at, formats[i].bytes, formats[i].len) == 0)
            return formats[i].name;
    return NULL;
}

static int look_raw(const uint8_t *head, size_t len, const char *path, bool said,
                    struct image_file *ret, struct fail *fail)
{
    const char *other = said ? NULL : known_format(head, len);

    if (other)
        return fail_text(fail, E_INVALID,
                         "%s seems to be %s; unpack it, or convert it: qemu-img convert -O qcow2. "
                         "If it really is raw: format=raw",
                         path, other);
    return take_size((uint64_t)ret->length, path, ret, fail);
}

int image_file_look(int fd, const char *path, const char *format, struct image_file *ret,
                    struct fail *fail)
{
    struct image_file file = {.qcow2 = false};
    uint8_t head[HEAD_BYTES] = {0};
    struct stat st;
    ssize_t len;
    int r;

    if (format && strcmp(format, "qcow2") != 0 && strcmp(format, "raw") != 0)
        return fail_text(fail, E_INVALID, "format=%s: give qcow2 or raw, or leave it out", format);
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return fail_text(fail, E_INVALID, "%s is not a file", path);
    len = pread(fd, head, sizeof(head), 0);
    if (len < 0)
        return fail_text(fail, E_INVALID, "can't read %s: %s", path, strerror(errno));
    file.length = st.st_size;
    file.qcow2 = len >= 8 && memcmp(head, "QFI\xfb", 4) == 0;
    if (format && file.qcow2 != (strcmp(format, "qcow2") == 0))
        return fail_text(fail, E_INVALID, "%s is %s, not %s", path,
                         file.qcow2 ? "qcow2" : "no qcow2 image", format);
    r = file.qcow2 ? look_qcow2(head, (size_t)len, path, &file, fail)
                   : look_raw(head, (size_t)len, path, format != NULL, &file, fail);
    if (r == 0)
        *ret = file;
    return r;
}
