/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files of real machines, in a folder of the test's own: names that must not leave it, disks made by the real qemu-img,
 * seeds by the real genisoimage, logs of consoles. Without those tools the program says so and is skipped.
 */
#include "unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "base/spawn.h"
#include "hypervisor/pool.h"

#define SKIPPED 77 /* what meson takes for it */
#define MIB ((int64_t)1 << 20)
#define GIB ((int64_t)1 << 30)
#define KEEP ((int64_t)POOL_CONSOLE_KEEP_BYTES)
#define MACHINE STR("i-1")

struct world {
    struct pool pool;
    struct arena arena;
    struct fail fail;
    char dir[64];
};

/* What the script printed; it has to end with 0. */
static struct str shell(struct world *w, const char *format, ...) printf_like(2, 3);

static struct str shell(struct world *w, const char *format, ...)
{
    char script[1024];
    const char *argv[] = {"sh", "-ec", script, NULL};
    struct spawn_result result;
    va_list args;

    va_start(args, format);
    assert_true(vsnprintf(script, sizeof(script), format, args) < (int)sizeof(script));
    va_end(args);
    assert_int_equal(spawn_wait(argv, 60 * USEC_PER_SEC, &w->arena, &result), 0);
    if (result.exit_code != 0)
        fail_msg("%s: %.*s", script, STR_ARG(result.output));
    return result.output;
}

static int setup(void **state)
{
    struct world *w = test_calloc(1, sizeof(*w));

    (void)snprintf(w->dir, sizeof(w->dir), "%s", "/tmp/pool-XXXXX" "X");
    assert_non_null(mkdtemp(w->dir));
    w->pool = (struct pool){.dir = w->dir, .local_scale = 1};
    arena_init(&w->arena, 16 << 20);
    fail_init(&w->fail, &w->arena);
    assert_int_equal(pool_make(&w->pool, &w->fail), 0);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    (void)shell(w, "rm -rf %s", w->dir);
    arena_done(&w->arena);
    test_free(w);
    return 0;
}

static bool is_there(struct world *w, const char *path)
{
    return access(arena_printf(&w->arena, "%s/%s", w->dir, path).ptr, F_OK) == 0;
}

static void assert_said(struct world *w, int r, int expected)
{
    if (r != expected)
        fail_msg("%d, not %d: %.*s", r, expected, STR_ARG(w->fail.message));
}

/* ── folders and names ── */

static void the_folders_are_made_once_and_private(void **state)
{
    struct world *w = *state;
    struct pool nowhere = {.dir = "/nonexistent/folder", .local_scale = 1};

    assert_int_equal(pool_make(&w->pool, &w->fail), 0);
    assert_str(shell(w, "stat -c %%a %s/images %s/disks %s/machines | sort -u", w->dir, w->dir, w->dir), "700\n");
    assert_int_equal(pool_make(&nowhere, &w->fail), -E_IO);
    assert_true(str_contains(w->fail.message, STR("/nonexistent/folder/images")));
}

static const struct str bad_names[] = {
    STR_INIT(""),      STR_INIT("."),   STR_INIT(".."),   STR_INIT("../x"),  STR_INIT(".hidden"),
    STR_INIT("a/b"),   STR_INIT("/x"),  STR_INIT("a b"),  STR_INIT("a\nb"),  STR_INIT("a\0b"),
    STR_INIT("\xc3\xa9"), STR_INIT("a,b"), STR_INIT("a;b"), STR_INIT("*"),   STR_INIT("a'b"),
};

static void names_that_leave_their_folder_are_unsafe(void **state)
{
    char longest[129];

    (void)state;
    memset(longest, 'a', sizeof(longest));
    assert_true(pool_name_is_safe(str_slice(longest, 128)));
    assert_false(pool_name_is_safe(str_slice(longest, 129)));
    assert_false(pool_name_is_safe(STR_NONE));
    assert_true(pool_name_is_safe(STR("i-bp1_A.0")));
    for (size_t i = 0; i < countof(bad_names); i++)
        assert_false(pool_name_is_safe(bad_names[i]));
}

/* Every entry with each of those names, while what "../victim" would mean is there. */
static void no_call_takes_an_unsafe_name(void **state)
{
    struct world *w = *state;

    (void)shell(w, "cd %s && mkdir victim machines/x && echo 1 >victim/disk && echo 1 >victim.qcow2 && echo 1 >victim/victim.raw", w->dir);
    for (size_t i = 0; i <= countof(bad_names); i++) {
        struct str name = i < countof(bad_names) ? bad_names[i] : STR("../victim");
        struct machine_disk disk = {.id = name, .size_gib = 1};
        struct machine_disk local = {.id = name, .size_gib = 1, .local = true};
        struct machine_disk good_local = {.id = STR("victim"), .size_gib = 1, .local = true};
        struct machine_disk of_image = {.id = STR("d-1"), .size_gib = 1, .image_id = name};
        struct machine_spec spec = {.id = name};
        struct domain_boot boot;
        struct str path;
        bool agent;

        assert_false(pool_has_image(&w->pool, name));
        assert_int_equal(pool_boot(&w->pool, name, &w->arena, &boot, &agent), -E_NOT_FOUND);
        assert_said(w, pool_disk_make(&w->pool, MACHINE, &disk, &w->arena, &w->fail), -E_INVALID);
        assert_said(w, pool_disk_make(&w->pool, MACHINE, &local, &w->arena, &w->fail), -E_INVALID);
        assert_said(w, pool_disk_make(&w->pool, name, &good_local, &w->arena, &w->fail), -E_INVALID);
        if (name.len > 0)
            assert_said(w, pool_disk_make(&w->pool, MACHINE, &of_image, &w->arena, &w->fail), -E_INVALID);
        assert_int_equal(pool_disk_find(&w->pool, MACHINE, name, &w->arena, &path), -E_NOT_FOUND);
        assert_int_equal(pool_disk_find(&w->pool, name, STR("victim"), &w->arena, &path), -E_NOT_FOUND);
        assert_int_equal(pool_disk_clear(&w->pool, MACHINE, name, &w->arena), -E_NOT_FOUND);
        assert_int_equal(pool_disk_clear(&w->pool, name, STR("victim"), &w->arena), -E_NOT_FOUND);
        assert_int_equal(pool_disk_delete(&w->pool, name, &w->arena), 0);
        assert_said(w, pool_machine_make(&w->pool, &spec, &w->arena, &w->fail), -E_INVALID);
        assert_int_equal(pool_machine_remove(&w->pool, name, &w->arena), 0);
    }
    assert_str(shell(w, "cd %s && find . | sort | tr '\\n' ' '", w->dir),
               ". ./disks ./images ./machines ./machines/x ./victim ./victim.qcow2 ./victim/disk ./victim/victim.raw ");
    assert_str(shell(w, "cd %s && cat victim.qcow2 victim/disk victim/victim.raw", w->dir), "1\n1\n1\n");
}

/* ── images ── */

static void an_image_says_how_it_boots(void **state)
{
    struct world *w = *state;
    struct domain_boot boot = {.kernel = STR("old")};
    bool agent = true;

    assert_int_equal(pool_boot(&w->pool, STR("m-1"), &w->arena, &boot, &agent), -E_NOT_FOUND);
    (void)shell(w, "mkdir %s/images/m-1 && touch %s/images/m-1/disk", w->dir, w->dir);
    assert_true(pool_has_image(&w->pool, STR("m-1")));
    assert_int_equal(pool_boot(&w->pool, STR("m-1"), &w->arena, &boot, &agent), 0);
    assert_str(boot.kernel, NULL);
    assert_str(boot.initrd, NULL);
    assert_str(boot.command_line, NULL);
    assert_false(agent);

    (void)shell(w, "cd %s/images/m-1 && touch kernel agent && printf 'console=ttyS0 quiet \\n\\n' >cmdline", w->dir);
    assert_int_equal(pool_boot(&w->pool, STR("m-1"), &w->arena, &boot, &agent), 0);
    assert_str(boot.kernel, arena_printf(&w->arena, "%s/images/m-1/kernel", w->dir).ptr);
    assert_str(boot.initrd, NULL);
    assert_str(boot.command_line, "console=ttyS0 quiet");
    assert_true(agent);

    (void)shell(w, "cd %s/images/m-1 && touch initrd && : >cmdline", w->dir);
    assert_int_equal(pool_boot(&w->pool, STR("m-1"), &w->arena, &boot, &agent), 0);
    assert_str(boot.initrd, arena_printf(&w->arena, "%s/images/m-1/initrd", w->dir).ptr);
    assert_str(boot.command_line, NULL);
}

static void a_command_line_has_a_limit(void **state)
{
    struct world *w = *state;
    struct domain_boot boot;
    bool agent;

    (void)shell(w, "mkdir %s/images/m-1 && cd %s/images/m-1 && touch disk kernel && head -c 100000 /dev/zero | tr '\\0' x >cmdline",
                w->dir, w->dir);
    assert_int_equal(pool_boot(&w->pool, STR("m-1"), &w->arena, &boot, &agent), 0);
    assert_int_equal(boot.command_line.len, 4096);
}

/* ── disks ── */

static struct str cloud_path(struct world *w, const char *id)
{
    return arena_printf(&w->arena, "%s/disks/%s.qcow2", w->dir, id);
}

static int64_t virtual_size(struct world *w, struct str path)
{
    struct str text = shell(w, "qemu-img info --output=json %s | sed -n 's/^    \"virtual-size\": \\([0-9]*\\).*/\\1/p'", path.ptr);
    int64_t size;

    assert_int_equal(str_to_i64(str_slice(text.ptr, text.len - 1), &size), 0);
    return size;
}

static bool is_written(struct str path)
{
    bool written = false;

    assert_int_equal(pool_disk_written(path, &written), 0);
    return written;
}

static void a_blank_disk_is_made_once_and_grows(void **state)
{
    struct world *w = *state;
    struct machine_disk disk = {.id = STR("d-1"), .size_gib = 2};
    struct str path = cloud_path(w, "d-1");

    assert_said(w, pool_disk_make(&w->pool, MACHINE, &disk, &w->arena, &w->fail), 0);
    assert_int_equal(virtual_size(w, path), 2 * GIB);
    assert_false(is_written(path));
    (void)shell(w, "qemu-io -f qcow2 -c 'write -P 7 1M 64k' %s", path.ptr);
    assert_true(is_written(path));

    assert_said(w, pool_disk_make(&w->pool, MACHINE, &disk, &w->arena, &w->fail), 0);
    disk.size_gib = 5;
    assert_said(w, pool_disk_make(&w->pool, MACHINE, &disk, &w->arena, &w->fail), 0);
    assert_int_equal(virtual_size(w, path), 5 * GIB);
    disk.size_gib = 1;
    assert_said(w, pool_disk_make(&w->pool, MACHINE, &disk, &w->arena, &w->fail), 0);
    assert_int_equal(virtual_size(w, path), 5 * GIB); /* never smaller: that would cut off what is on it */
    (void)shell(w, "qemu-io -f qcow2 -c 'read -P 7 1M 64k' %s | grep -v 'failed'", path.ptr);
}

static void a_cloud_disk_is_found_and_deleted(void **state)
{
    struct world *w = *state;
    struct machine_disk disk = {.id = STR("d-1"), .size_gib = 1};
    struct str path = STR_NONE;

    assert_int_equal(pool_disk_find(&w->pool, MACHINE, disk.id, &w->arena, &path), -E_NOT_FOUND);
    assert_said(w, pool_disk_make(&w->pool, MACHINE, &disk, &w->arena, &w->fail), 0);
    assert_int_equal(pool_disk_find(&w->pool, MACHINE, disk.id, &w->arena, &path), 0);
    assert_str(path, cloud_path(w, "d-1").ptr);
    assert_int_equal(pool_disk_clear(&w->pool, MACHINE, disk.id, &w->arena), -E_NOT_FOUND); /* local ones only */
    assert_int_equal(pool_disk_delete(&w->pool, disk.id, &w->arena), 0);
    assert_false(is_there(w, "disks/d-1.qcow2"));
    assert_int_equal(pool_disk_delete(&w->pool, disk.id, &w->arena), 0);
}

static void a_file_that_is_no_disk_is_not_made_larger(void **state)
{
    struct world *w = *state;
    struct machine_disk disk = {.id = STR("d-1"), .size_gib = 1};

    (void)shell(w, "echo nothing >%s/disks/d-1.qcow2", w->dir);
    assert_said(w, pool_disk_make(&w->pool, MACHINE, &disk, &w->arena, &w->fail), -E_IO);
    assert_str(shell(w, "cat %s/disks/d-1.qcow2", w->dir), "nothing\n");
}

/* A tool that died over it: what it left is no disk, and doesn't stand in the way. */
static void half_a_disk_is_made_anew(void **state)
{
    struct world *w = *state;
    struct machine_disk disk = {.id = STR("d-1"), .size_gib = 1};
    struct str path;

    (void)shell(w, "echo half >%s/disks/d-1.qcow2.partial", w->dir);
    assert_int_equal(pool_disk_find(&w->pool, MACHINE, disk.id, &w->arena, &path), -E_NOT_FOUND);
    assert_said(w, pool_disk_make(&w->pool, MACHINE, &disk, &w->arena, &w->fail), 0);
    assert_int_equal(virtual_size(w, cloud_path(w, "d-1")), GIB);
    assert_false(is_there(w, "disks/d-1.qcow2.partial"));
}

static void make_image(struct world *w, const char *format)
{
    (void)shell(w, "mkdir -p %s/images/m-1 && qemu-img create -q -f %s %s/images/m-1/disk 64M && "
                   "qemu-io -f %s -c 'write -P 9 0 1M' %s/images/m-1/disk", w->dir, format, w->dir, format, w->dir);
}

static void a_system_disk_lies_on_its_image(void **state)
{
    static const char *const formats[] = {"qcow2", "raw"};
    struct world *w = *state;
    struct machine_disk disk = {.id = STR("d-sys"), .size_gib = 1, .image_id = STR("m-1")};
    struct str path = cloud_path(w, "d-sys");

    assert_said(w, pool_disk_make(&w->pool, MACHINE, &disk, &w->arena, &w->fail), -E_NOT_FOUND);
    assert_true(str_contains(w->fail.message, STR("m-1")));
    for (size_t i = 0; i < countof(formats); i++) {
        make_image(w, formats[i]);
        assert_said(w, pool_disk_make(&w->pool, MACHINE, &disk, &w->arena, &w->fail), 0);
        assert_true(str_contains(shell(w, "qemu-img info %s", path.ptr),
                                 arena_printf(&w->arena, "backing file format: %s", formats[i])));
        assert_int_equal(virtual_size(w, path), GIB);
        assert_false(is_written(path)); /* what the image has is not the disk's */
        (void)shell(w, "qemu-io -f qcow2 -c 'read -P 9 0 1M' %s | grep -v 'failed'", path.ptr);
        (void)shell(w, "qemu-io -f qcow2 -c 'write -P 1 32M 4k' %s", path.ptr);
        assert_true(is_written(path));
        assert_int_equal(pool_disk_delete(&w->pool, disk.id, &w->arena), 0);
    }
}

/* The list of an image's pieces may be longer than what is kept of a tool's output. */
static void one_write_on_an_image_of_many_pieces_is_seen(void **state)
{
    struct world *w = *state;
    struct machine_disk disk = {.id = STR("d-sys"), .size_gib = 1, .image_id = STR("m-1")};
    struct str path = cloud_path(w, "d-sys");

    (void)shell(w, "mkdir -p %s/images/m-1 && qemu-img create -q -f qcow2 %s/images/m-1/disk 1G && "
                   "seq 0 128 262144 | sed 's/.*/write -P 9 &k 64k/' | qemu-io -f qcow2 %s/images/m-1/disk >/dev/null",
                w->dir, w->dir, w->dir);
    assert_said(w, pool_disk_make(&w->pool, MACHINE, &disk, &w->arena, &w->fail), 0);
    assert_false(is_written(path));
    (void)shell(w, "qemu-io -f qcow2 -c 'write -P 1 900M 4k' %s", path.ptr);
    assert_true(is_written(path));
}

/* Zeros are something that was written: they hide what the image has. */
static void zeros_over_an_image_are_a_write(void **state)
{
    struct world *w = *state;
    struct machine_disk disk = {.id = STR("d-sys"), .size_gib = 1, .image_id = STR("m-1")};
    struct str path = cloud_path(w, "d-sys");

    make_image(w, "qcow2");
    assert_said(w, pool_disk_make(&w->pool, MACHINE, &disk, &w->arena, &w->fail), 0);
    (void)shell(w, "qemu-io -f qcow2 -c 'write -z 0 64k' %s", path.ptr);
    assert_true(is_written(path));
}

static void the_whole_folder_can_be_moved(void **state)
{
    struct world *w = *state;
    struct machine_disk disk = {.id = STR("d-sys"), .size_gib = 1, .image_id = STR("m-1")};
    struct str chain;

    make_image(w, "qcow2");
    assert_said(w, pool_disk_make(&w->pool, MACHINE, &disk, &w->arena, &w->fail), 0);
    chain = shell(w, "mkdir %s/moved && cd %s && mv images disks moved && qemu-img info --backing-chain moved/disks/d-sys.qcow2",
                  w->dir, w->dir);
    assert_true(str_contains(chain, STR("backing file: ../images/m-1/disk")));
    assert_true(str_contains(chain, STR("image: moved/disks/../images/m-1/disk")));
    (void)shell(w, "cd %s && qemu-io -f qcow2 -c 'read -P 9 0 1M' moved/disks/d-sys.qcow2 | grep -v failed", w->dir);
}

static void a_local_disk_reads_zeros_once_cleared(void **state)
{
    struct world *w = *state;
    struct machine_disk disk = {.id = STR("i-1-local-0"), .size_gib = 1, .local = true};
    struct str path;

    (void)shell(w, "mkdir %s/machines/i-1", w->dir);
    w->pool.local_scale = 0.25;
    assert_int_equal(pool_disk_clear(&w->pool, MACHINE, disk.id, &w->arena), -E_NOT_FOUND);
    assert_said(w, pool_disk_make(&w->pool, MACHINE, &disk, &w->arena, &w->fail), 0);
    assert_int_equal(pool_disk_find(&w->pool, MACHINE, disk.id, &w->arena, &path), 0);
    assert_str(path, pool_disk_path(&w->pool, MACHINE, &disk, &w->arena).ptr);
    assert_str(shell(w, "stat -c '%%s %%b' %s", path.ptr), "268435456 0\n");
    assert_false(is_written(path));

    (void)shell(w, "printf secret | dd of=%s bs=1 seek=1000 conv=notrunc status=none", path.ptr);
    assert_true(is_written(path));
    disk.size_gib = 8;
    assert_said(w, pool_disk_make(&w->pool, MACHINE, &disk, &w->arena, &w->fail), 0); /* it is there: left as it is */
    assert_true(is_written(path));
    assert_int_equal(pool_disk_clear(&w->pool, MACHINE, disk.id, &w->arena), 0);
    assert_false(is_written(path));
    assert_str(shell(w, "stat -c %%s %s && tr -d '\\0' <%s", path.ptr, path.ptr), "268435456\n");
}

static void a_local_disk_is_never_empty(void **state)
{
    struct world *w = *state;
    struct machine_disk disk = {.id = STR("i-1-local-0"), .size_gib = 1, .local = true};

    (void)shell(w, "mkdir %s/machines/i-1", w->dir);
    w->pool.local_scale = 0.0000001;
    assert_said(w, pool_disk_make(&w->pool, MACHINE, &disk, &w->arena, &w->fail), 0);
    assert_str(shell(w, "stat -c %%s %s/machines/i-1/i-1-local-0.raw", w->dir), "1048576\n");
}

/* Another process holds it: that passes, so it is not said as if the disk were broken. */
static void a_disk_in_use_is_busy(void **state)
{
    struct world *w = *state;
    struct machine_disk disk = {.id = STR("d-1"), .size_gib = 1};
    struct str path = cloud_path(w, "d-1");
    char c;
    int out;
    int in;
    int r;

    assert_said(w, pool_disk_make(&w->pool, MACHINE, &disk, &w->arena, &w->fail), 0);
    (void)shell(w, "cd %s && mkfifo in out && { (exec qemu-io -f qcow2 %s <in >out 2>&1) >/dev/null 2>&1 & }", w->dir, path.ptr);
    in = open(arena_printf(&w->arena, "%s/in", w->dir).ptr, O_WRONLY | O_CLOEXEC);
    out = open(arena_printf(&w->arena, "%s/out", w->dir).ptr, O_RDONLY | O_CLOEXEC);
    assert_true(in >= 0 && out >= 0);
    assert_int_equal(write(in, "write 0 64k\n", 12), 12);
    assert_int_equal(read(out, &c, 1), 1); /* it has opened it, then */
    disk.size_gib = 2;
    r = pool_disk_make(&w->pool, MACHINE, &disk, &w->arena, &w->fail);
    (void)close(in); /* it ends */
    while (read(out, &c, 1) > 0)
        ;
    (void)close(out);
    assert_said(w, r, -E_BUSY);
    assert_said(w, pool_disk_make(&w->pool, MACHINE, &disk, &w->arena, &w->fail), 0);
    assert_int_equal(virtual_size(w, path), 2 * GIB);
}

/* ── no room ── */

static void a_full_disk_is_told_as_such(void **state)
{
    struct world *w = *state;
    struct machine_disk disk = {.id = STR("d-1"), .size_gib = 1};
    struct machine_disk local = {.id = STR("l"), .size_gib = 1, .local = true};
    struct machine_spec spec = {.id = MACHINE, .host_name = STR("small")};
    struct pool pool = {.local_scale = 1};
    char dir[96];

    (void)snprintf(dir, sizeof(dir), "%s/small", w->dir);
    assert_int_equal(mkdir(dir, 0700), 0);
    if (geteuid() != 0 || mount("none", dir, "tmpfs", 0, "size=48k") < 0)
        skip(); /* needs the right to mount */
    pool.dir = dir;
    assert_int_equal(pool_make(&pool, &w->fail), 0);
    int disk_r = pool_disk_make(&pool, MACHINE, &disk, &w->arena, &w->fail);
    int seed_r = pool_machine_make(&pool, &spec, &w->arena, &w->fail);
    int local_r = pool_disk_make(&pool, MACHINE, &local, &w->arena, &w->fail);

    assert_int_equal(umount(dir), 0);
    assert_int_equal(disk_r, -E_NO_SPACE);
    assert_int_equal(seed_r, -E_NO_SPACE);
    assert_int_equal(local_r, 0); /* sparse: it takes no room yet */
}

/* ── the machine's folder ── */

static struct str seed_file(struct world *w, const char *name)
{
    return shell(w, "isoinfo -R -i %s/machines/i-1/seed.iso -x /%s", w->dir, name);
}

static void the_seed_says_who_the_machine_is(void **state)
{
    struct world *w = *state;
    struct machine_spec spec = {
        .id = MACHINE,
        .host_name = STR("web\"1\\\n"),
        .user_data = STR("IyEvYmluL3NoCmVjaG8gaGkK"),
        .public_keys = STR("ssh-ed25519 AAAA one\n\nssh-rsa BBBB two"),
    };

    assert_said(w, pool_machine_make(&w->pool, &spec, &w->arena, &w->fail), 0);
    assert_str(seed_file(w, "meta-data"), "instance-id: \"i-1\"\nlocal-hostname: \"web\\\"1\\\\\"\npublic-keys:\n"
                                          "  - \"ssh-ed25519 AAAA one\"\n  - \"ssh-rsa BBBB two\"\n");
    assert_str(seed_file(w, "user-data"), "#!/bin/sh\necho hi\n");
    assert_true(str_contains(shell(w, "isoinfo -d -i %s/machines/i-1/seed.iso", w->dir), STR("Volume id: cidata")));
    assert_str(shell(w, "ls %s/machines/i-1; stat -c %%a %s/machines/i-1", w->dir, w->dir), "seed.iso\n700\n"); /* no second copy of secrets */
}

static void a_seed_without_anything_asks_for_nothing(void **state)
{
    struct world *w = *state;
    struct machine_spec spec = {.id = MACHINE};

    assert_said(w, pool_machine_make(&w->pool, &spec, &w->arena, &w->fail), 0);
    assert_str(seed_file(w, "meta-data"), "instance-id: \"i-1\"\n");
    assert_str(seed_file(w, "user-data"), "#cloud-config\n");
    spec.host_name = STR("second");
    assert_said(w, pool_machine_make(&w->pool, &spec, &w->arena, &w->fail), 0); /* made anew */
    assert_true(str_contains(seed_file(w, "meta-data"), STR("second")));
}

static void user_data_that_is_no_base64_is_refused(void **state)
{
    static const char *const bad[] = {"!!!!", "abc", "YQ=", "Y===", "YR==", "YQ==YQ==", "YW\nJ"};
    struct world *w = *state;
    struct machine_spec spec = {.id = MACHINE};

    for (size_t i = 0; i < countof(bad); i++) {
        spec.user_data = str_from(bad[i]);
        assert_said(w, pool_machine_make(&w->pool, &spec, &w->arena, &w->fail), -E_INVALID);
        assert_false(is_there(w, "machines/i-1/seed.iso"));
    }
}

static void user_data_and_keys_have_a_limit(void **state)
{
    struct world *w = *state;
    struct machine_spec spec = {.id = MACHINE};
    char *text = test_malloc(100000);

    memset(text, 'A', 100000);
    spec.user_data = str_slice(text, 65536);
    assert_said(w, pool_machine_make(&w->pool, &spec, &w->arena, &w->fail), 0);
    spec.user_data = str_slice(text, 65540);
    assert_said(w, pool_machine_make(&w->pool, &spec, &w->arena, &w->fail), -E_LIMIT);
    spec.user_data = STR_NONE;
    spec.public_keys = str_slice(text, 100000);
    assert_said(w, pool_machine_make(&w->pool, &spec, &w->arena, &w->fail), -E_LIMIT);
    test_free(text);
}

static void a_machine_goes_with_all_that_it_has(void **state)
{
    struct world *w = *state;
    struct machine_spec spec = {.id = MACHINE};
    struct machine_disk local = {.id = STR("i-1-local-0"), .size_gib = 1, .local = true};
    struct machine_disk cloud = {.id = STR("d-1"), .size_gib = 1};

    assert_said(w, pool_machine_make(&w->pool, &spec, &w->arena, &w->fail), 0);
    assert_said(w, pool_disk_make(&w->pool, MACHINE, &local, &w->arena, &w->fail), 0);
    assert_said(w, pool_disk_make(&w->pool, MACHINE, &cloud, &w->arena, &w->fail), 0);
    (void)shell(w, "cd %s/machines/i-1 && touch console.log console-1.log .hidden x.partial && mkfifo agent.sock", w->dir);
    assert_int_equal(pool_machine_remove(&w->pool, MACHINE, &w->arena), 0);
    assert_false(is_there(w, "machines/i-1"));
    assert_true(is_there(w, "disks/d-1.qcow2"));
    assert_int_equal(pool_machine_remove(&w->pool, MACHINE, &w->arena), 0);
}

/* ── the console ── */

static struct str console(struct world *w, size_t limit_bytes)
{
    struct str text = STR_NONE;

    assert_int_equal(pool_console_read(&w->pool, MACHINE, limit_bytes, &w->arena, &text), 0);
    return text;
}

static void the_end_of_the_console_is_read(void **state)
{
    struct world *w = *state;

    assert_str(console(w, 100), ""); /* no folder yet */
    (void)shell(w, "mkdir %s/machines/i-1", w->dir);
    assert_str(console(w, 100), "");
    (void)shell(w, "printf 0123456789 >%s/machines/i-1/console.log", w->dir);
    assert_str(console(w, 100), "0123456789");
    assert_str(console(w, 10), "0123456789");
    assert_str(console(w, 3), "789");
    assert_str(console(w, 0), "");
}

static void the_last_boots_are_kept(void **state)
{
    struct world *w = *state;

    (void)shell(w, "mkdir %s/machines/i-1", w->dir);
    pool_console_rotate(&w->pool, MACHINE, &w->arena); /* nothing there: nothing happens */
    for (int boot = 1; boot <= 5; boot++) {
        pool_console_rotate(&w->pool, MACHINE, &w->arena);
        assert_str(console(w, 100), "");
        (void)shell(w, "echo %d >%s/machines/i-1/console.log", boot, w->dir);
    }
    assert_str(shell(w, "cd %s/machines/i-1 && ls && cat *", w->dir), "console-1.log\nconsole-2.log\nconsole.log\n4\n3\n5\n");
}

static void a_guest_that_talks_without_end_gives_its_room_back(void **state)
{
    struct world *w = *state;
    struct str path = arena_printf(&w->arena, "%s/machines/i-1/console.log", w->dir);
    struct stat before;
    struct stat after;

    (void)shell(w, "mkdir %s/machines/i-1", w->dir);
    pool_console_trim(&w->pool, MACHINE, &w->arena); /* no log: nothing to do */
    (void)shell(w, "head -c %lld /dev/zero | tr '\\0' x >%s && printf end >>%s", (long long)(2 * KEEP + 4 * MIB), path.ptr, path.ptr);
    assert_int_equal(stat(path.ptr, &before), 0);
    pool_console_trim(&w->pool, MACHINE, &w->arena);
    assert_int_equal(stat(path.ptr, &after), 0);
    assert_int_equal(after.st_size, before.st_size); /* the guest goes on writing where it was */
    assert_true(after.st_blocks * 512 < before.st_blocks * 512 - KEEP);
    assert_true(after.st_blocks * 512 >= KEEP); /* and what is kept is kept */
    assert_str(console(w, 5), "xxend");
    pool_console_trim(&w->pool, MACHINE, &w->arena);
    assert_int_equal(stat(path.ptr, &before), 0);
    assert_int_equal(before.st_blocks, after.st_blocks); /* nothing more to give */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static bool has_tools(void)
{
    static const char *const tools[] = {"qemu-img", "qemu-io", "genisoimage", "isoinfo"};
    bool has = true;

    for (size_t i = 0; i < countof(tools); i++) {
        const char *argv[] = {"sh", "-c", "command -v \"$0\"", tools[i], NULL};
        struct spawn_result result;
        struct arena arena;

        arena_init(&arena, 1 << 20);
        if (spawn_wait(argv, 10 * USEC_PER_SEC, &arena, &result) < 0 || result.exit_code != 0) {
            print_message("skipped: there is no %s; apt-get install qemu-utils genisoimage\n", tools[i]);
            has = false;
        }
        arena_done(&arena);
    }
    return has;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_folders_are_made_once_and_private),
        TEST(names_that_leave_their_folder_are_unsafe),
        TEST(no_call_takes_an_unsafe_name),
        TEST(an_image_says_how_it_boots),
        TEST(a_command_line_has_a_limit),
        TEST(a_blank_disk_is_made_once_and_grows),
        TEST(a_cloud_disk_is_found_and_deleted),
        TEST(a_file_that_is_no_disk_is_not_made_larger),
        TEST(half_a_disk_is_made_anew),
        TEST(a_system_disk_lies_on_its_image),
        TEST(one_write_on_an_image_of_many_pieces_is_seen),
        TEST(zeros_over_an_image_are_a_write),
        TEST(the_whole_folder_can_be_moved),
        TEST(a_local_disk_reads_zeros_once_cleared),
        TEST(a_local_disk_is_never_empty),
        TEST(a_disk_in_use_is_busy),
        TEST(a_full_disk_is_told_as_such),
        TEST(the_seed_says_who_the_machine_is),
        TEST(a_seed_without_anything_asks_for_nothing),
        TEST(user_data_that_is_no_base64_is_refused),
        TEST(user_data_and_keys_have_a_limit),
        TEST(a_machine_goes_with_all_that_it_has),
        TEST(the_end_of_the_console_is_read),
        TEST(the_last_boots_are_kept),
        TEST(a_guest_that_talks_without_end_gives_its_room_back),
    };

    return has_tools() ? cmocka_run_group_tests(tests, NULL, NULL) : SKIPPED;
}
