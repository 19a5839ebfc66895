/* SPDX-License-Identifier: Apache-2.0 */
/*
 * start: how long from exec to the first answer, on an empty folder each time. A small program, so that what is measured
 * is the daemon's start and not the cost of forking a large one.
 *
 *   start --rounds N -- ecsd [option]...       prints one JSON line
 *
 * The answer is an HTTP reply to an unsigned call: the whole path up to the gateway has to stand.
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/macro.h"
#include "base/mem.h"

#define ARGUMENTS_MAX 32
#define PATIENCE_MS 10000
#define LOOK_EVERY_US 50

extern char **environ;

static double now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void die(const char *what)
{
    fprintf(stderr, "start: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* The port in DIR/endpoint, once it is there. */
static int wait_for_port(const char *folder)
{
    double end_ms = now_ms() + PATIENCE_MS;
    char path[256];
    char text[128];

    snprintf(path, sizeof(path), "%s/endpoint", folder);
    while (now_ms() < end_ms) {
        FILE *file = fopen(path, "re");
        char *colon = file && fgets(text, sizeof(text), file) ? strrchr(text, ':') : NULL;

        if (file)
            fclose(file);
        if (colon)
            return (int)strtol(colon + 1, NULL, 10);
        usleep(LOOK_EVERY_US);
    }
    errno = ETIMEDOUT;
    die(path);
    return 0;
}

static void ask(int port)
{
    static const char request[] = "GET /?Action=DescribeRegions&Version=2014-05-26 HTTP/1.1\r\nHost: localhost\r\n\r\n";
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    char reply[4096];
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
        die("connect");
    if (send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL) < 0 || recv(fd, reply, sizeof(reply), 0) < 12 ||
        memcmp(reply, "HTTP/1.1 ", 9) != 0)
        die("no reply");
    close(fd);
}

static void remove_folder(const char *folder)
{
    DIR *dir = opendir(folder);
    const struct dirent *entry;
    char path[600];

    if (!dir)
        die(folder);
    while ((entry = readdir(dir))) {
        snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
        if (entry->d_name[0] != '.')
            unlink(path);
    }
    closedir(dir);
    rmdir(folder);
}

static double start_once(char **arguments, int count)
{
    char folder[] = "/tmp/ecsd-start-XXXXXX";
    const char *const own[] = {"--data", folder, "--listen", "127.0.0.1:0", "--set", "log.level=warning", NULL};
    char *argv[ARGUMENTS_MAX + 8];
    double began_ms;
    double took_ms;
    pid_t pid;
    int status;

    if (!mkdtemp(folder))
        die(folder);
    memcpy(argv, arguments, (size_t)count * sizeof(*argv));
    memcpy(argv + count, own, sizeof(own));
    began_ms = now_ms();
    if (posix_spawn(&pid, argv[0], NULL, NULL, argv, environ) != 0)
        die(argv[0]);
    ask(wait_for_port(folder));
    took_ms = now_ms() - began_ms;
    kill(pid, SIGTERM);
    if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        errno = ECHILD;
        die("the daemon did not end well");
    }
    remove_folder(folder);
    return took_ms;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    int rounds = argc > 4 && strcmp(argv[1], "--rounds") == 0 ? (int)strtol(argv[2], NULL, 10) : 0;
    double *times_ms;

    if (rounds <= 0 || strcmp(argv[3], "--") != 0 || argc - 4 > ARGUMENTS_MAX) {
        fprintf(stderr, "usage: start --rounds N -- ECSD [OPTION]...\n");
        return 2;
    }
    times_ms = xcalloc((size_t)rounds, sizeof(*times_ms));
    for (int i = 0; i < rounds; i++)
        times_ms[i] = start_once(argv + 4, argc - 4);
    qsort(times_ms, (size_t)rounds, sizeof(*times_ms), by_value);
    printf("{\"rounds\":%d,\"min_ms\":%.1f,\"p50_ms\":%.1f,\"max_ms\":%.1f}\n", rounds, times_ms[0], times_ms[rounds / 2],
           times_ms[rounds - 1]);
    xfree(times_ms);
    return 0;
}
