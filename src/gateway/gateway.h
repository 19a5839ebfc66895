/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The contract with callers: parameters, signature, nonce, policy, throttle, ClientToken, reply. Driven without sockets:
 * http turns bytes into a struct call and a struct reply into bytes.
 *
 * The pipeline, in the order of errors.md §2:
 *   route → common parameters → key → time → nonce → signature → token → throttle → parameters → permission → handler → render
 */
#pragma once

#include "actions/actions.h"
#include "base/buf.h"

struct gateway;

struct header {
    struct str name;
    struct str value;
};

struct call {
    struct str method;
    struct str target;        /* raw: path and query as they came (absolute-form allowed) */
    const struct header *headers;
    size_t header_count;
    struct str body;          /* de-chunked */
    struct str source_ip;
    bool tls;
    bool operator_socket;     /* came over the admin socket: trusted, Admin actions only, no signature */
    struct arena *arena;      /* lives until the reply has been sent */
};

#define REPLY_HEADERS_MAX 12
struct reply {
    int status;
    struct str body;
    struct header headers[REPLY_HEADERS_MAX]; /* all but Content-Length, Date and Connection */
    size_t header_count;
};

struct gateway_settings {
    struct store *store;
    struct engine *engine;
    struct env *env;
    const struct options *options;
    /* The table of actions; NULL: action_find. */
    const struct action_row *(*find)(struct str version, struct str action);
};

int gateway_open(const struct gateway_settings *settings, struct fail *fail, struct gateway **ret) must_check;
struct gateway *gateway_close(struct gateway *gateway);

/*
 * Handles a call. Reads are answered before it returns; writes go through the store's writer and are answered from its
 * thread after COMMIT. `done(arg, reply)` runs exactly once, with a reply on call->arena. `suspend(arg)` runs before a
 * write is queued (never for reads), so that the connection is parked before `done` can run.
 */
typedef void (*gateway_done_fn)(void *arg, const struct reply *reply);
typedef void (*gateway_suspend_fn)(void *arg);
void gateway_handle(struct gateway *gateway, const struct call *call, gateway_suspend_fn suspend, gateway_done_fn done, void *arg);

/* An error reply outside the pipeline (too large, bad syntax): same envelope. */
void gateway_refuse(struct gateway *gateway, const struct call *call, enum error_code code, struct reply *ret_reply);

/* The metrics by action, as Prometheus reads them. */
void gateway_metrics(struct buf *out);
