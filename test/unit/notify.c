/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/notify.h"

/* A supervisor's socket; `name` begins with '/' or '@'. */
static int listen_on(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t len = strlen(name);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    memcpy(address.sun_path, name, len);
    if (name[0] == '@')
        address.sun_path[0] = '\0';
    assert_int_equal(bind(fd, (const struct sockaddr *)&address,
                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)),
                     0);
    assert_int_equal(setenv("NOTIFY_SOCKET", name, 1), 0);
    return fd;
}

static void expect(int fd, const char *text)
{
    char got[64];
    ssize_t len = recv(fd, got, sizeof(got), MSG_DONTWAIT);

    assert_int_equal(len, strlen(text));
    assert_memory_equal(got, text, (size_t)len);
    (void)close(fd);
    (void)unsetenv("NOTIFY_SOCKET");
}

static void sends_to_a_path(void **state)
{
    char folder[] = "/tmp/ecsd-notify-XXXXXX";
    char path[64];
    int fd;

    (void)state;
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof(path), "%s/socket", folder);
    fd = listen_on(path);
    assert_true(notify_send("READY=1"));
    expect(fd, "READY=1");
    (void)unlink(path);
    (void)rmdir(folder);
}

static void sends_to_an_abstract_name(void **state)
{
    char name[64];
    int fd;

    (void)state;
    (void)snprintf(name, sizeof(name), "@ecsd-notify-%d", (int)getpid());
    fd = listen_on(name);
    assert_true(notify_send("STOPPING=1"));
    expect(fd, "STOPPING=1");
    /* Nobody there any more: said, not fatal. */
    assert_int_equal(setenv("NOTIFY_SOCKET", name, 1), 0);
    assert_false(notify_send("READY=1"));
    (void)unsetenv("NOTIFY_SOCKET");
}

static void ignores_nonsense(void **state)
{
    char longest[200];

    (void)state;
    assert_false(notify_send("READY=1"));
    assert_int_equal(setenv("NOTIFY_SOCKET", "relative", 1), 0);
    assert_false(notify_send("READY=1"));
    memset(longest, 'x', sizeof(longest));
    longest[0] = '/';
    longest[sizeof(longest) - 1] = '\0';
    assert_int_equal(setenv("NOTIFY_SOCKET", longest, 1), 0);
    assert_false(notify_send("READY=1"));
    (void)unsetenv("NOTIFY_SOCKET");
}

static void knows_the_watchdog(void **state)
{
    char pid[16];

    (void)state;
    assert_true(notify_watchdog_us() == 0);
    assert_int_equal(setenv("WATCHDOG_USEC", "20000000", 1), 0);
    assert_true(notify_watchdog_us() == 10 * USEC_PER_SEC);
    (void)snprintf(pid, sizeof(pid), "%d", (int)getpid());
    assert_int_equal(setenv("WATCHDOG_PID", pid, 1), 0);
    assert_true(notify_watchdog_us() == 10 * USEC_PER_SEC);
    assert_int_equal(setenv("WATCHDOG_PID", "1", 1), 0);
    assert_true(notify_watchdog_us() == 0);
    (void)unsetenv("WATCHDOG_PID");
    assert_int_equal(setenv("WATCHDOG_USEC", "soon", 1), 0);
    assert_true(notify_watchdog_us() == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sends_to_a_path),
        cmocka_unit_test(sends_to_an_abstract_name),
        cmocka_unit_test(ignores_nonsense),
        cmocka_unit_test(knows_the_watchdog),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
