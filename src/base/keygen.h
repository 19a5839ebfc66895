/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RSA keys of 2048 bits for SSH. Making one takes a tenth of a second to half of one, at chance: too long for the one thread
 * that writes. So a thread of its own, of low priority, keeps a few ready.
 */
#pragma once

#include "base/arena.h"

struct keygen_key {
    struct str private_pem; /* "-----BEGIN RSA PRIVATE KEY-----…" */
    struct str public_line; /* "ssh-rsa AAAA…", no comment, no end of line */
};

/* Begins to make keys. -E_IO: no thread. */
int keygen_start(void) must_check;
/* Gives up what it is at, and forgets the stock; harmless without a start. */
void keygen_stop(void);
/* A key that nobody else gets, on the arena. -E_BUSY: none is ready. Without keygen_start it is made now (tests). */
int keygen_take(struct arena *arena, struct keygen_key *ret) must_check;
