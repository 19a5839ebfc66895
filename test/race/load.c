/* SPDX-License-Identifier: Apache-2.0 */
/*
 * race_load: many clients at once. Each is a thread with a connection of its own that signs and sends one call after the
 * other, and prints a line of JSON for each: when it began, when its reply was there, what was asked, what was told.
 *
 *   race_load --data DIR --key ID --secret TEXT --clients 32 --seed 1 --seconds 10 INSTANCE...
 *
 * A call whose connection broke has status 0; its client goes on at the address that DIR/endpoint says by then. Instances
 * are asked for in pairs (0 1, 2 3, …), so that batches and lists of two meet each other. Times are CLOCK_MONOTONIC, in ns.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "base/macro.h"
#include "base/mem.h"
#include "cli/client.h"
#include "cli/sign.h"

#define REPLY_BYTES ((size_t)1 << 18)
#define ARENA_BYTES ((size_t)1 << 22)
#define PARAMS_MAX 8
#define CONNECT_US (10 * USEC_PER_SEC)
#define PATIENCE_S 60 /* for a reply: longer is a hang, and said */
#define PAUSE_NS 2000000 /* before the next attempt to connect, while the daemon is away */

struct kind {
    const char *action;
    const char *force; /* the parameter's name; NULL: none */
    const char *optimization;
    unsigned ids;      /* at most two, of one pair */
    unsigned weight;
};

static const struct kind kinds[] = {
    {"StopInstance", NULL, NULL, 1, 14},
    {"StopInstance", "ForceStop", NULL, 1, 10},
    {"StartInstance", NULL, NULL, 1, 24},
    {"RebootInstance", NULL, NULL, 1, 4},
    {"RebootInstance", "ForceStop", NULL, 1, 4},
    {"StopInstances", NULL, "AllTogether", 2, 5},
    {"StopInstances", "ForceStop", "SuccessFirst", 2, 5},
    {"StartInstances", NULL, "AllTogether", 2, 6},
    {"RebootInstances", "ForceReboot", "SuccessFirst", 2, 2},
    {"DescribeInstanceStatus", NULL, NULL, 1, 12},
    {"DescribeInstanceStatus", NULL, NULL, 2, 12},
    {"DescribeInstances", NULL, NULL, 2, 8},
};

struct load {
    const char *data;
    struct str key_id;
    struct str secret;
    char **ids;
    unsigned id_count;
    int64_t end_ns;
    atomic_bool failed;
};

struct client {
    struct load *load;
    pthread_t thread;
    unsigned number;
    uint64_t random;
    uint64_t calls;
    int fd; /* -1: not connected */
    char host[64];
    struct arena arena; /* of one call */
    char reply[REPLY_BYTES]; /* the latest, and NUL */
};

/* What is asked, and in what words. */
struct ask {
    const struct kind *kind;
    const char *ids[2];
    struct pair params[PARAMS_MAX];
    size_t param_count;
};

static int64_t now_ns(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t); /* can't fail */
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* splitmix64 */
static uint64_t random_next(struct client *client)
{
    uint64_t z = client->random += 0x9e3779b97f4a7c15;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

static unsigned random_below(struct client *client, unsigned bound)
{
    return (unsigned)(random_next(client) % bound);
}

/* ── what to ask ── */

static const struct kind *choose_kind(struct client *client)
{
    unsigned all = 0;
    unsigned at;

    for (size_t i = 0; i < countof(kinds); i++)
        all += kinds[i].weight;
    at = random_below(client, all);
    for (size_t i = 0; i < countof(kinds); i++) {
        if (at < kinds[i].weight)
            return &kinds[i];
        at -= kinds[i].weight;
    }
    return &kinds[0];
}

static void add_param(struct ask *ask, const char *name, const char *value)
{
    assert(ask->param_count < PARAMS_MAX);
    ask->params[ask->param_count++] = (struct pair){str_from(name), str_from(value)};
}

/* The ids, in the form that each action has for them. */
static void add_ids(struct client *client, struct ask *ask)
{
    if (strcmp(ask->kind->action, "DescribeInstances") == 0) {
        add_param(ask, "InstanceIds", arena_printf(&client->arena, "[\"%s\",\"%s\"]", ask->ids[0], ask->ids[1]).ptr);
    } else if (ask->kind->optimization || strcmp(ask->kind->action, "DescribeInstanceStatus") == 0) {
        add_param(ask, "InstanceId.1", ask->ids[0]);
        if (ask->kind->ids == 2)
            add_param(ask, "InstanceId.2", ask->ids[1]);
    } else {
        add_param(ask, "InstanceId", ask->ids[0]);
    }
}

static struct ask choose(struct client *client)
{
    struct ask ask = {.kind = choose_kind(client)};
    unsigned first = random_below(client, client->load->id_count);

    ask.ids[0] = client->load->ids[first];
    ask.ids[1] = client->load->ids[first ^ 1];
    add_ids(client, &ask);
    add_param(&ask, "RegionId", "cn-hangzhou");
    if (ask.kind->force)
        add_param(&ask, ask.kind->force, "true");
    if (ask.kind->optimization)
        add_param(&ask, "BatchOptimization", ask.kind->optimization);
    return ask;
}

static struct str sign(struct client *client, const struct ask *ask)
{
    struct timespec wall;
    char stamp[TIME_TEXT_MAX];

    (void)clock_gettime(CLOCK_REALTIME, &wall); /* can't fail */
    (void)time_print_second((usec_t)wall.tv_sec * USEC_PER_SEC, stamp);
    const struct sign_call call = {
        .host = str_from(client->host),
        .action = str_from(ask->kind->action),
        .version = STR("2014-05-26"),
        .key_id = client->load->key_id,
        .secret = client->load->secret,
        .stamp = str_from(stamp),
        .nonce = arena_printf(&client->arena, "%d-%lld-%u-%llu", (int)getpid(), (long long)now_ns(), client->number,
                              (unsigned long long)client->calls),
        .keep_alive = true,
        .params = ask->params,
        .param_count = ask->param_count,
    };

    return sign_v3(&client->arena, &call);
}

/* ── the connection ── */

static bool read_endpoint(struct client *client)
{
    char path[4096];
    char text[256] = "";
    FILE *file;
    bool ok;

    (void)snprintf(path, sizeof(path), "%s/endpoint", client->load->data);
    file = fopen(path, "re");
    if (!file)
        return false;
    ok = fgets(text, sizeof(text), file) && sscanf(text, "http://%63[0-9.:]", client->host) == 1;
    (void)fclose(file); /* it was read only */
    return ok;
}

static void hang_up(struct client *client)
{
    if (client->fd >= 0)
        (void)close(client->fd); /* what was said on it has been noted */
    client->fd = -1;
}

static bool dial(struct client *client)
{
    const struct timeval patience = {.tv_sec = PATIENCE_S};
    struct fail fail;

    fail_init(&fail, &client->arena);
    if (!read_endpoint(client) || client_connect_tcp(str_from(client->host), CONNECT_US, &fail, &client->fd) < 0) {
        client->fd = -1;
        return false;
    }
    /* It comes as one that doesn't block. */
    if (fcntl(client->fd, F_SETFL, 0) == 0 && setsockopt(client->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) == 0)
        return true;
    hang_up(client);
    return false;
}

static bool send_all(int fd, struct str text)
{
    while (text.len > 0) {
        ssize_t sent = send(fd, text.ptr, text.len, MSG_NOSIGNAL);

        if (sent < 0)
            return false;
        text = str_slice(text.ptr + sent, text.len - (size_t)sent);
    }
    return true;
}

/* False: the connection broke, and nobody knows what became of the call. */
static bool receive(struct client *client, struct client_reply *ret)
{
    size_t len = 0;

    for (;;) {
        ssize_t got = recv(client->fd, client->reply + len, sizeof(client->reply) - 1 - len, 0);
        enum client_progress progress;

        if (got < 0 && errno == EAGAIN) {
            fprintf(stderr, "race_load: no reply for %d s\n", PATIENCE_S);
            atomic_store(&client->load->failed, true);
        }
        if (got <= 0)
            return false;
        len += (size_t)got;
        client->reply[len] = '\0';
        progress = client_parse(str_slice(client->reply, len), false, &client->arena, ret);
        if (progress == CLIENT_BAD) {
            fprintf(stderr, "race_load: no HTTP: %.*s\n", (int)len, client->reply);
            atomic_store(&client->load->failed, true);
            return false;
        }
        if (progress == CLIENT_DONE)
            return true;
    }
}

/* ── the record ── */

static void print_call(const struct ask *ask, int64_t began, int64_t ended, const struct client_reply *reply)
{
    bool two = ask->kind->ids == 2;

    /* One call of printf is one line, also among threads. */
    printf("{\"call\":\"%s\",\"ids\":[\"%s\"%s%s%s],\"optimization\":\"%s\",\"began\":%lld,\"ended\":%lld,\"status\":%d,"
           "\"reply\":%.*s}\n",
           ask->kind->action, ask->ids[0], two ? ",\"" : "", two ? ask->ids[1] : "", two ? "\"" : "",
           ask->kind->optimization ? ask->kind->optimization : "", (long long)began, (long long)ended, reply->status,
           STR_ARG(reply->status ? reply->body : STR("null")));
}

static void one_call(struct client *client)
{
    struct ask ask = choose(client);
    struct client_reply reply = {0};
    struct str request = sign(client, &ask);
    int64_t began = now_ns();

    if (!send_all(client->fd, request) || !receive(client, &reply))
        reply.status = 0;
    print_call(&ask, began, now_ns(), &reply);
    if (reply.status == 0 || strcasestr(client->reply, "\r\nConnection: close\r\n"))
        hang_up(client);
    client->calls++;
}

static void *client_run(void *arg)
{
    struct client *client = arg;

    while (now_ns() < client->load->end_ns && !atomic_load(&client->load->failed)) {
        if (client->fd >= 0 || dial(client))
            one_call(client);
        else
            (void)nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL); /* woken early is fine */
        arena_reset(&client->arena);
    }
    hang_up(client);
    arena_done(&client->arena);
    return NULL;
}

static void run(struct load *load, unsigned client_count, uint64_t seed)
{
    struct client *clients = xcalloc(client_count, sizeof(*clients));

    for (unsigned i = 0; i < client_count; i++) {
        clients[i].load = load;
        clients[i].number = i;
        clients[i].random = seed * 1000003 + i;
        clients[i].fd = -1;
        arena_init(&clients[i].arena, ARENA_BYTES);
        if (pthread_create(&clients[i].thread, NULL, client_run, &clients[i]) != 0) {
            perror("race_load: pthread_create");
            exit(1);
        }
    }
    for (unsigned i = 0; i < client_count; i++)
        (void)pthread_join(clients[i].thread, NULL);
    (void)xfree(clients);
}

int main(int argc, char **argv)
{
    static const struct option flags[] = {
        {"data", required_argument, NULL, 'd'},   {"key", required_argument, NULL, 'k'},
        {"secret", required_argument, NULL, 's'}, {"clients", required_argument, NULL, 'c'},
        {"seed", required_argument, NULL, 'r'},   {"seconds", required_argument, NULL, 't'},
        {NULL, 0, NULL, 0},
    };
    struct load load = {0};
    unsigned clients = 32;
    uint64_t seed = 1;
    double seconds = 10;
    int flag;

    while ((flag = getopt_long(argc, argv, "", flags, NULL)) != -1) {
        switch (flag) {
        case 'd': load.data = optarg; break;
        case 'k': load.key_id = str_from(optarg); break;
        case 's': load.secret = str_from(optarg); break;
        case 'c': clients = (unsigned)strtoul(optarg, NULL, 10); break;
        case 'r': seed = strtoull(optarg, NULL, 10); break;
        case 't': seconds = strtod(optarg, NULL); break;
        default: return 2;
        }
    }
    load.ids = argv + optind;
    load.id_count = (unsigned)(argc - optind);
    if (!load.data || str_empty(load.key_id) || clients == 0 || load.id_count < 2 || load.id_count % 2 != 0) {
        fprintf(stderr, "usage: race_load --data DIR --key ID --secret TEXT [--clients N] [--seed N] [--seconds S] "
                        "INSTANCE INSTANCE...\n");
        return 2;
    }
    load.end_ns = now_ns() + (int64_t)(seconds * 1e9);
    run(&load, clients, seed);
    return atomic_load(&load.failed) || fflush(stdout) != 0 ? 1 : 0;
}
