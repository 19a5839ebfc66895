/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this folder share; nobody else includes it. */
#pragma once

#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/uio.h>

#include "base/list.h"
#include "base/option.h"
#include "http/http.h"
#include "http/parse.h"

#define SCRATCH_BYTES ((size_t)64 * 1024)      /* one read; per loop */
#define LINGER_US (2 * USEC_PER_SEC)           /* how long a refused sender may go on before it is reset */
#define LINGER_BYTES_MAX ((size_t)16 << 20)    /* and how much is thrown away for it */
#define REQUEST_POOL_MAX 64                    /* request objects kept per loop */

/* First member of all that epoll points at. */
enum source_kind { SOURCE_WAKE, SOURCE_LISTENER, SOURCE_CONN };
struct source {
    enum source_kind kind;
};

struct listener {
    struct source source;
    enum http_listener kind;
    int fd;
    char address[INET6_ADDRSTRLEN + 10]; /* "[::1]:65535" */
};

/*
 *  accepted ─▶ HEAD ─▶ BODY ─▶ BUSY ─▶ WRITE ─▶ IDLE ─▶ HEAD …
 *                └──── refused ───────▶ WRITE ─▶ LINGER ─▶ closed
 * Each phase has one constant length, so that its connections stand in a list in the order of their deadlines.
 */
enum conn_phase { CONN_IDLE, CONN_HEAD, CONN_BODY, CONN_BUSY, CONN_WRITE, CONN_LINGER, CONN_PHASE_COUNT };

struct conn;
struct loop;
struct tls;
struct tls_conn;

/* A call on its way. Lives on when its connection is cut while the gateway has it. */
struct request {
    struct list link;          /* the loop's pool, or the inbox of answered requests */
    struct loop *loop;
    struct conn *conn;         /* NULL: cut */
    struct arena arena;
    struct call call;
    struct reply reply;
    struct head head;
    struct chunk_scan chunks;
    char *body;
    size_t body_len;
    size_t body_cap;           /* counted in http->buffered_bytes */
    bool suspended;            /* `done` will come from another thread */
    bool answered;
    bool close_after;
    bool unread;               /* refused with input outstanding: linger */
    struct iovec out[2];
};

struct conn {
    struct source source;
    enum http_listener kind;
    enum conn_phase phase;
    struct list link;          /* loop->phases[phase] */
    struct list again_link;    /* loop->again; linked to itself otherwise */
    struct loop *loop;
    int fd;
    struct tls_conn *tls;
    bool readable;             /* edge-triggered: until the socket says EAGAIN */
    bool writable;
    bool half_closed;          /* the other side has sent its end: never wait for another edge */
    usec_t since_us;           /* start of the phase, monotonic */
    const char *data;          /* unread input: in loop->scratch during a step, else in `held` */
    size_t data_len;
    char *held;
    size_t held_cap;
    struct head_scan scan;
    struct request *request;
    size_t lingered_bytes;
    char source_ip[INET6_ADDRSTRLEN];
};

struct loop {
    struct source wake;
    struct http *http;
    pthread_t thread;
    int epoll_fd;
    int wake_fd;
    bool draining;
    struct list phases[CONN_PHASE_COUNT];
    struct list again;         /* used up their turn with work left */
    struct list pool;
    size_t pool_count;
    size_t conn_count;
    usec_t now_us;             /* monotonic, once per round */
    usec_t drain_until_us;
    bool needs_room;           /* out of file descriptors: an idle connection is to go */
    usec_t accept_again_us;    /* out of file descriptors: listeners rest until then; 0: they don't */
    int64_t date_second;
    char date[TIME_TEXT_MAX];
    size_t date_len;
    char scratch[SCRATCH_BYTES];
    pthread_mutex_t mutex;     /* guards the rest */
    struct list answered;      /* requests whose `done` came from another thread */
    struct list newcomers;     /* connections that the acceptor gives to this loop */
    size_t assigned;           /* newcomers included; the acceptor's measure */
};

struct http {
    struct http_settings settings;
    struct listener listeners[HTTP_LISTENER_COUNT];
    struct tls *tls;
    struct loop *loops;
    size_t loop_count;
    size_t started_count;
    size_t conns_per_loop;
    usec_t phase_us[CONN_PHASE_COUNT]; /* lengths; USEC_NEVER for BUSY */
    atomic_int_least64_t buffered_bytes;
    atomic_bool stopping;
    usec_t drain_until_us;             /* written before `stopping` */
    pthread_mutex_t mutex;             /* guards the rest */
    pthread_cond_t ended;              /* one more loop has */
    size_t ended_count;
};

usec_t monotonic_us(void);

/* conn.c */
struct conn *conn_new(struct loop *loop, int fd, enum http_listener kind, const char *source_ip);
void conn_free(struct conn *conn);
/* Does what can be done without waiting. May free the connection. */
void conn_step(struct conn *conn);
/* Its call was answered by another thread. May free the connection. */
void conn_answered(struct conn *conn);
void conn_enter(struct conn *conn, enum conn_phase phase);
void request_free(struct request *request);

/* server.c */
/* Counts the connection out and frees it. */
void loop_drop(struct conn *conn);

/* respond.c */
/* Fills request->out from request->reply. */
void respond_prepare(struct request *request, bool head_only);
void respond_refuse(struct request *request, enum error_code code, int status, const char *reason);

/* admin.c */
void admin_reply(struct http *http, const struct call *call, struct reply *ret_reply);

/* listen.c */
int listen_address(struct str address, struct listener *listener, struct fail *fail) must_check;
int listen_unix(const char *path, struct listener *listener, struct fail *fail) must_check;

/* tls.c: the only file that knows OpenSSL's libssl. */
int tls_open(const struct options *options, const char *dir, struct fail *fail, struct tls **ret) must_check;
struct tls *tls_close(struct tls *tls);
struct tls_conn *tls_conn_new(struct tls *tls, int fd); /* NULL: no resources */
void tls_conn_free(struct tls_conn *conn);
/* As recv and send: bytes, 0 at the end, -1 with errno (EAGAIN: wait for the socket). */
ssize_t tls_recv(struct tls_conn *conn, void *bytes, size_t len);
ssize_t tls_send(struct tls_conn *conn, const void *bytes, size_t len);
void tls_bye(struct tls_conn *conn);
