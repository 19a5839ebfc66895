/* SPDX-License-Identifier: Apache-2.0 */
/* What is given up is gone, for children and threads too. Each test does it in a process of its own. */
#include "unit/unit.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>

#include "main/privilege.h"

#define KEPT UINT64_C(0x40b) /* chown, dac_override, fowner, net_bind_service */

/* The statements of a test run in a child; a wrong one ends it with its line. */
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            print_error("%s:%d: %s\n", __FILE__, __LINE__, #condition);                            \
            _exit(1);                                                                              \
        }                                                                                          \
    } while (0)

static void in_child(void (*body)(void))
{
    int status;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        body();
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* A number in base 16 of /proc/self/status. */
static uint64_t status_word(const char *name)
{
    char line[256];
    uint64_t found = UINT64_MAX;
    FILE *file = fopen("/proc/thread-self/status", "re");

    CHECK(file);
    while (fgets(line, sizeof(line), file)) {
        if (strncmp(line, name, strlen(name)) == 0)
            found = strtoull(line + strlen(name), NULL, 16);
    }
    (void)fclose(file);
    CHECK(found != UINT64_MAX);
    return found;
}

static bool is_subset(uint64_t set, uint64_t of)
{
    return (set & ~of) == 0;
}

static void *look_as_thread(void *arg)
{
    (void)arg;
    CHECK(is_subset(status_word("CapEff:\t"), KEPT) && is_subset(status_word("CapPrm:\t"), KEPT));
    CHECK(status_word("NoNewPrivs:\t") == 1);
    return NULL;
}

static void simulated(void)
{
    bool root = geteuid() == 0;
    uint64_t before = status_word("CapPrm:\t");
    struct rlimit core;
    pthread_t thread;

    CHECK(privilege_drop(PRIVILEGE_SIMULATED));
    CHECK(status_word("CapPrm:\t") == (before & KEPT));
    CHECK(status_word("CapInh:\t") == 0 && status_word("CapAmb:\t") == 0);
    CHECK(!root || is_subset(status_word("CapBnd:\t"), KEPT));
    CHECK(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0);
    CHECK(getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_cur == 0 && core.rlim_max == 0);
    CHECK(pthread_create(&thread, NULL, look_as_thread, NULL) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(setuid(4711) < 0 && errno == EPERM); /* what root could do before */
    CHECK(privilege_drop(PRIVILEGE_SIMULATED)); /* again changes nothing */
}

static void remote(void)
{
    uint64_t before = status_word("CapPrm:\t");

    CHECK(privilege_drop(PRIVILEGE_REMOTE));
    CHECK(status_word("CapPrm:\t") == before);
    CHECK(status_word("NoNewPrivs:\t") == 1);
    CHECK(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0);
}

static void embedded(void)
{
    uint64_t before = status_word("CapPrm:\t");
    uint64_t bounding = status_word("CapBnd:\t");
    uint64_t new_privileges = status_word("NoNewPrivs:\t");
    struct rlimit core;

    CHECK(privilege_drop(PRIVILEGE_EMBEDDED));
    CHECK(status_word("CapPrm:\t") == before && status_word("CapBnd:\t") == bounding);
    CHECK(status_word("NoNewPrivs:\t") == new_privileges);
    CHECK(getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_cur == 0);
}

static void forgotten(void)
{
    static char entry[] = "ECSD_TEST_SECRET=hunter22";

    CHECK(putenv(entry) == 0);
    privilege_forget("ECSD_TEST_SECRET");
    CHECK(!getenv("ECSD_TEST_SECRET"));
    CHECK(memcmp(entry + sizeof("ECSD_TEST_SECRET=") - 1, "\0\0\0\0\0\0\0\0", 9) == 0);
    privilege_forget("ECSD_TEST_SECRET"); /* none is there */
}

static void simulated_machines_need_files_and_sockets(void **state)
{
    (void)state;
    in_child(simulated);
}

static void remote_machines_need_helpers(void **state)
{
    (void)state;
    in_child(remote);
}

static void embedded_machines_keep_their_rights(void **state)
{
    (void)state;
    in_child(embedded);
}

static void a_secret_variable_is_wiped(void **state)
{
    (void)state;
    in_child(forgotten);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(simulated_machines_need_files_and_sockets),
        cmocka_unit_test(remote_machines_need_helpers),
        cmocka_unit_test(embedded_machines_keep_their_rights),
        cmocka_unit_test(a_secret_variable_is_wiped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
