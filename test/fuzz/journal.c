/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The journal of simulated machines. Input: 'r' and the bytes of a file; or anything else and the bytes behind a file's
 * header, whose checksums are made right here: no mutation would ever hit one.
 */
#include "fuzz/fuzz.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hypervisor/journal.h"
#include "hypervisor/sim.h"

#define HEADER_BYTES 64
#define BOOT "one"

static char folder[64];
static char path[96];

static void remove_folder(void)
{
    (void)unlink(path); /* perhaps nothing was made */
    (void)rmdir(folder);
}

static void set_up(void)
{
    if (folder[0])
        return;
    (void)snprintf(folder, sizeof(folder), "%s/ecsd-fuzz-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    assert(mkdtemp(folder));
    (void)snprintf(path, sizeof(path), "%s/sim.journal", folder);
    assert(atexit(remove_folder) == 0);
}

static void write_file(struct str bytes)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert(fd >= 0 && write(fd, bytes.ptr, bytes.len) == (ssize_t)bytes.len);
    (void)close(fd); /* nothing is owed to it */
}

static int64_t file_size(void)
{
    struct stat status;

    assert(stat(path, &status) == 0);
    return status.st_size;
}

/* ── checksums, bit by bit ── */

static uint32_t crc_add(uint32_t crc, const char *bytes, size_t len)
{
    crc = ~crc;
    for (size_t i = 0; i < len; i++) {
        crc ^= (uint8_t)bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    }
    return ~crc;
}

/* Records as they stand behind the header, with lengths that fit, padding that is zero, and checksums. */
static void repair(char *bytes, size_t len)
{
    for (size_t at = 0; at + sizeof(struct journal_record) <= len;) {
        struct journal_record record;
        size_t room = len - at - sizeof(record);
        size_t padded;

        memcpy(&record, bytes + at, sizeof(record));
        record.tail_bytes %= 1024;
        padded = ((size_t)record.tail_bytes + 7) / 8 * 8;
        if (padded > room)
            return;
        memset(bytes + at + sizeof(record) + record.tail_bytes, 0, padded - record.tail_bytes);
        memcpy(bytes + at, &record, sizeof(record));
        record.crc = crc_add(0, bytes + at + sizeof(record.crc), sizeof(record) - sizeof(record.crc) + record.tail_bytes);
        memcpy(bytes + at, &record, sizeof(record));
        at += sizeof(record) + padded;
    }
}

/* ── the file ── */

struct sum {
    size_t count;
    uint32_t crc;
};

static int count_record(void *arg, const struct journal_record *record, struct str tail)
{
    struct sum *sum = arg;

    assert(record->tail_bytes == tail.len && tail.len <= JOURNAL_TAIL_MAX);
    sum->count++;
    sum->crc = crc_add(crc_add(sum->crc, (const char *)record, sizeof(*record)), tail.ptr, tail.len);
    return 0;
}

static int open_journal(struct arena *arena, struct journal *journal, struct sum *sum)
{
    struct fail fail;
    int r;

    fail_init(&fail, arena);
    *sum = (struct sum){0};
    r = journal_open(path, BOOT, count_record, sum, &fail, journal);
    assert(r == 0 || (r == -E_IO && fail.code == E_IO && fail.message.len > 0));
    return r;
}

static void check_file(struct arena *arena, struct str bytes)
{
    struct journal journal;
    struct sum first;
    struct sum again;

    write_file(bytes);
    if (open_journal(arena, &journal, &first) < 0) {
        assert(file_size() == (int64_t)bytes.len); /* a file that isn't ours is left alone */
        return;
    }
    assert(journal.size_bytes == file_size() && journal.size_bytes >= HEADER_BYTES);
    journal_close(&journal);
    assert(open_journal(arena, &journal, &again) == 0 && again.count == first.count && again.crc == first.crc);
    /* What is written behind a torn end is read again. */
    assert(journal_append(&journal, (struct journal_record){.kind = 200, .number = 7}, STR("behind it")) == 0);
    journal_close(&journal);
    assert(open_journal(arena, &journal, &again) == 0 && again.count == first.count + 1);
    journal_close(&journal);
}

/* ── the machines in it ── */

static void add_machine(void *arg, struct str id, const struct machine_status *status)
{
    uint32_t *sum = arg;
    uint32_t crc = crc_add(0, id.ptr, id.len);

    crc = crc_add(crc, (const char *)&status->incarnation, sizeof(status->incarnation));
    crc = crc_add(crc, (const char *)&status->state, sizeof(status->state));
    crc = crc_add(crc, (const char *)&status->since_us, sizeof(status->since_us));
    *sum += crc; /* in whatever order */
}

/* Opens, sums up what is there, closes. */
static int look(struct arena *arena, struct env *env, const char *boot_id, uint32_t *ret_sum)
{
    struct sim_settings settings = {
        .env = env, .dir = folder, .boot_us = 200000, .shutdown_us = 100000, .seed = 7, .boot_id = boot_id};
    struct hypervisor *hv;
    struct fail fail;
    int r;

    fail_init(&fail, arena);
    r = sim_open(&settings, &fail, &hv);
    if (r < 0) {
        assert(fail.code == (enum error_code)-r && fail.message.len > 0);
        return r;
    }
    *ret_sum = 0;
    for (char host = '1'; host <= '3'; host++) {
        char id[] = {'h', '-', host, '\0'};

        (void)hv->ops->list(hv, str_from(id), add_machine, ret_sum); /* a host that isn't there has none */
    }
    (void)sim_advance(hv); /* nothing is due that wasn't settled at the start */
    (void)hypervisor_close(hv);
    return 0;
}

static void check_machines(struct arena *arena, struct str bytes)
{
    struct env *env = env_new_seeded(42, 1000 * USEC_PER_SEC);
    uint32_t first;
    uint32_t again;
    int64_t size;

    write_file(bytes);
    if (look(arena, env, BOOT, &first) < 0) {
        (void)env_free(env);
        return;
    }
    assert(look(arena, env, BOOT, &again) == 0 && again == first);
    env_advance(env, USEC_PER_HOUR);
    assert(look(arena, env, BOOT, &again) == 0);
    /* The real machine restarts: all are off, and the file is written anew. Once more changes nothing. */
    assert(look(arena, env, "two", &first) == 0);
    size = file_size();
    assert(look(arena, env, "two", &again) == 0 && again == first);
    assert(look(arena, env, "three", &again) == 0 && again == first && file_size() == size);
    (void)env_free(env);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str bytes = fuzz_input(data, size);
    struct journal journal;
    struct arena arena;
    struct sum none;

    set_up();
    arena_init(&arena, FUZZ_ARENA_BYTES);
    if (size > 0 && data[0] == 'r') {
        bytes = str_slice(bytes.ptr + 1, bytes.len - 1);
    } else {
        char *copy = arena_alloc(&arena, HEADER_BYTES + size);
        int fd;

        write_file(STR(""));
        assert(open_journal(&arena, &journal, &none) == 0);
        journal_close(&journal);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        assert(fd >= 0 && read(fd, copy, HEADER_BYTES) == HEADER_BYTES);
        (void)close(fd); /* only read */
        bytes = str_slice(copy, HEADER_BYTES + (size > 0 ? size - 1 : 0));
        memcpy(copy + HEADER_BYTES, size > 0 ? data + 1 : data, bytes.len - HEADER_BYTES);
        repair(copy + HEADER_BYTES, bytes.len - HEADER_BYTES);
    }
    check_file(&arena, bytes);
    check_machines(&arena, bytes);
    arena_done(&arena);
    return 0;
}
