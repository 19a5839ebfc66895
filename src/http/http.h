/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes to a struct call, a struct reply to bytes: an HTTP/1.1 server on epoll. main includes this, nobody else.
 *
 * Invariants
 * 1. A connection belongs to one loop thread; only that thread touches it. The store's writer hands replies over through
 *    the loop's inbox.
 * 2. What is ambiguous is refused: a request that two readers could understand differently gets 400 and the connection ends.
 * 3. Every phase of a connection but the handling of a call has an absolute deadline: a byte a second buys no time.
 * 4. A call that was handed to the gateway ends there, whether its client is still there or not.
 * 5. An idle connection holds no buffer.
 */
#pragma once

#include "gateway/gateway.h"

struct http;

struct http_settings {
    struct gateway *gateway;
    struct env *env;
    const struct options *options;
    struct str listen;          /* HOST:PORT; port 0 takes a free one */
    struct str listen_tls;      /* absent: none */
    struct str listen_admin;    /* absent: none. /healthz, /readyz, /metrics */
    const char *operator_path;  /* the operator's unix socket, mode 0600; NULL: none */
    const char *dir;            /* where a certificate is made when a TLS listener has none */
    struct str health;          /* JSON object that /healthz answers */
    /* /readyz: why no call should be sent here, one line; NULL: nothing is wrong. Absent: never anything. */
    const char *(*unready)(void *arg);
    void *unready_arg;
    /* /metrics: whole families that rings inside count themselves. Absent: none. */
    void (*metrics)(void *arg, struct buf *out);
    void *metrics_arg;
};

/* Binds and listens: from here on clients queue. Settings' texts must outlive it. -E_INVALID, -E_EXISTS (port in use), -E_IO. */
int http_open(const struct http_settings *settings, struct fail *fail, struct http **ret) must_check;
/* Starts the loop threads. */
int http_start(struct http *http, struct fail *fail) must_check;
/*
 * Stops listening, closes idle connections, finishes calls that have begun and sends their replies with
 * `Connection: close`, for at most `patience_us`; then cuts what is left. Calls still in the gateway may end later, until
 * http_close. False: a second later a loop is still in a call that doesn't come back; then nothing can be closed.
 */
bool http_stop(struct http *http, usec_t patience_us) must_check;
/* After the store has stopped: no `done` may come any more. NULL is fine; returns NULL. */
struct http *http_close(struct http *http);

enum http_listener { HTTP_LISTENER_PLAIN, HTTP_LISTENER_TLS, HTTP_LISTENER_ADMIN, HTTP_LISTENER_OPERATOR, HTTP_LISTENER_COUNT };
/* What was really bound, "127.0.0.1:40123"; absent when there is no such listener. */
struct str http_address(const struct http *http, enum http_listener which);
