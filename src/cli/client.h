/* SPDX-License-Identifier: Apache-2.0 */
/* One HTTP/1.1 exchange over a blocking connection, TCP or unix, that ends after it. */
#pragma once

#include "base/clock.h"
#include "base/fail.h"

struct client_reply {
    int status;
    struct str body; /* de-chunked */
};

enum client_progress {
    CLIENT_MORE, /* not all there yet */
    CLIENT_DONE,
    CLIENT_BAD, /* no HTTP, or cut short */
};

/*
 * Reads a reply from what has arrived; `ended`: nothing more comes. Only when done, *ret is set, its body on the arena or a
 * view into `data`.
 */
enum client_progress client_parse(struct str data, bool ended, struct arena *arena, struct client_reply *ret);

/* Both: a connected socket, or -E_IO with the reason. */
int client_connect_unix(const char *path, struct fail *fail, int *ret_fd) must_check;
/* `address` is host:port or [host]:port. Also -E_INVALID. */
int client_connect_tcp(struct str address, usec_t timeout_us, struct fail *fail, int *ret_fd) must_check;
/* Sends and receives within `timeout_us`; closes fd in any case. The body lives on the arena of `fail`. -E_IO. */
int client_exchange(int fd, struct str request, usec_t timeout_us, struct fail *fail, struct client_reply *ret) must_check;
