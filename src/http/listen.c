/* SPDX-License-Identifier: Apache-2.0 */
/* Listening sockets: HOST:PORT and the operator's unix socket. */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "http/internal.h"

#define BACKLOG 1024

/* "127.0.0.1:80", "[::1]:80", "localhost:80", ":80" (every address). */
static int split_address(struct str address, char host[256], char port[8])
{
    size_t colon = address.len;
    struct str name;
    struct str number;
    int64_t value;

    while (colon > 0 && address.ptr[colon - 1] != ':')
        colon--;
    if (colon == 0)
        return -E_INVALID;
    name = str_slice(address.ptr, colon - 1);
    number = str_slice(address.ptr + colon, address.len - colon);
    if (str_to_i64(number, &value) < 0 || value < 0 || value > 65535)
        return -E_INVALID;
    if (name.len >= 2 && name.ptr[0] == '[' && name.ptr[name.len - 1] == ']')
        name = str_slice(name.ptr + 1, name.len - 2);
    if (name.len >= 256)
        return -E_INVALID;
    (void)snprintf(host, 256, "%.*s", STR_ARG(name));
    (void)snprintf(port, 8, "%d", (int)value);
    return 0;
}

static void name_listener(struct listener *listener)
{
    struct sockaddr_storage bound = {0};
    socklen_t len = sizeof(bound);
    char host[INET6_ADDRSTRLEN] = "";

    (void)getsockname(listener->fd, (struct sockaddr *)&bound, &len); /* can't fail on a socket of ours */
    if (bound.ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&bound;

        (void)inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof(host));
        (void)snprintf(listener->address, sizeof(listener->address), "[%s]:%d", host, ntohs(in6->sin6_port));
    } else {
        const struct sockaddr_in *in = (const struct sockaddr_in *)&bound;

        (void)inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
        (void)snprintf(listener->address, sizeof(listener->address), "%s:%d", host, ntohs(in->sin_port));
    }
}

/* The numeric form first: the resolver is slow to start and big. */
static int resolve(const char *host, const char *port, struct addrinfo **ret)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV | AI_NUMERICHOST};
    const char *name = host;

    if (name[0] == '\0')
        name = "0.0.0.0";
    else if (strcmp(name, "localhost") == 0)
        name = "127.0.0.1";
    if (getaddrinfo(name, port, &hints, ret) == 0)
        return 0;
    hints.ai_flags &= ~AI_NUMERICHOST;
    return getaddrinfo(name, port, &hints, ret) == 0 ? 0 : -E_INVALID;
}

static int bind_and_listen(const struct addrinfo *info, struct listener *listener)
{
    int on = 1;
    int fd = socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return -errno;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)); /* without it only a restart takes longer */
    if (bind(fd, info->ai_addr, info->ai_addrlen) < 0 || listen(fd, BACKLOG) < 0) {
        int error = errno;

        (void)close(fd);
        return -error;
    }
    listener->fd = fd;
    return 0;
}

int listen_address(struct str address, struct listener *listener, struct fail *fail)
{
    char host[256];
    char port[8];
    struct addrinfo *info;
    int r;

    if (split_address(address, host, port) < 0)
        return fail_text(fail, E_INVALID, "%.*s is not HOST:PORT, such as 127.0.0.1:8080 or [::1]:8080", STR_ARG(address));
    if (resolve(host, port, &info) < 0)
        return fail_text(fail, E_INVALID, "the host of %.*s is not known; give an address of this machine", STR_ARG(address));
    r = bind_and_listen(info, listener);
    freeaddrinfo(info);
    if (r == -EADDRINUSE)
        return fail_text(fail, E_EXISTS, "%.*s is in use by another program; choose another port (port 0 takes a free one)",
                         STR_ARG(address));
    if (r == -EACCES)
        return fail_text(fail, E_IO, "%.*s may not be used; ports below 1024 need root or CAP_NET_BIND_SERVICE", STR_ARG(address));
    if (r < 0)
        return fail_text(fail, E_IO, "can't listen on %.*s: %s", STR_ARG(address), strerror(-r));
    name_listener(listener);
    return 0;
}

int listen_unix(const char *path, struct listener *listener, struct fail *fail)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    mode_t before;
    int fd;

    assert(path);
    if (strlen(path) >= sizeof(address.sun_path))
        return fail_text(fail, E_INVALID, "the path %s is too long for a socket; choose a shorter data folder", path);
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    (void)unlink(path); /* left by a process that was killed; the folder's lock says that it is gone */
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return fail_text(fail, E_IO, "can't make a socket: %s", strerror(errno));
    before = umask(0177); /* from the first moment nobody else may connect */
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, BACKLOG) < 0) {
        int error = errno;

        (void)umask(before);
        (void)close(fd);
        return fail_text(fail, E_IO, "can't listen on %s: %s", path, strerror(error));
    }
    (void)umask(before);
    listener->fd = fd;
    (void)snprintf(listener->address, sizeof(listener->address), "unix");
    return 0;
}
