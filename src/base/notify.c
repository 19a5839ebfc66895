/* SPDX-License-Identifier: Apache-2.0 */
#include "base/notify.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

bool notify_send(const char *text)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t path_len = path ? strlen(path) : 0;
    socklen_t address_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path_len);
    ssize_t sent;
    int fd;

    if (path_len < 2 || path_len >= sizeof(address.sun_path) || (path[0] != '/' && path[0] != '@'))
        return false;
    memcpy(address.sun_path, path, path_len);
    if (path[0] == '@')
        address.sun_path[0] = '\0'; /* an abstract name: no file, its length is the address's */
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    /* A supervisor that doesn't read must not stop us. */
    sent = sendto(fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT,
                  (const struct sockaddr *)&address, address_len);
    (void)close(fd);
    return sent >= 0;
}

usec_t notify_watchdog_us(void)
{
    int64_t interval_us;
    int64_t pid;

    if (str_to_i64(str_from(getenv("WATCHDOG_USEC")), &interval_us) < 0 || interval_us <= 1)
        return 0;
    /* The variable may be inherited from a parent that is the one watched. */
    if (getenv("WATCHDOG_PID") &&
        (str_to_i64(str_from(getenv("WATCHDOG_PID")), &pid) < 0 || pid != (int64_t)getpid()))
        return 0;
    return interval_us / 2;
}
