/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Drives the gateway without sockets: a real store in a temporary folder, a table of actions of the
 * test's own, a clock that stands where the captures were taken, calls made of raw HTTP bytes or
 * signed here.
 */
#pragma once

#include "unit/unit.h"

#include "base/limits.h"
#include "base/option.h"
#include "gateway/gateway.h"

#define KIT_NOW ((usec_t)1795403920 * USEC_PER_SEC) /* 2026-11-23T03:18:40Z */
#define KIT_STAMP "2026-11-23T03:18:40Z"
#define KIT_AK "LTAI5tExampleTestKey0001"
#define KIT_SECRET "ExampleSecretForTests0123456789"
#define KIT_STS "STS.NExampleTempKey0001"
#define KIT_STS_SECRET "ExampleTempSecret0123456789abcdef"
#define KIT_STS_TOKEN "CAISExampleSecurityToken+/=abc=="
#define KIT_ACCOUNT "1234567890123456"

struct kit {
    char folder[64];
    struct env *env;
    struct store *store;
    struct option_set options;
    struct gateway *gateway;
    struct arena options_arena;
    struct arena arena; /* of the test: dies with it */
    struct reply reply; /* the latest; copied to `arena` */
    int done_count;
    int suspend_count;
    unsigned nonce;
};

/* What the test's handlers saw. */
struct seen {
    int runs;
    char action[64];
    char detail[256]; /* what the handler decoded */
    char account[32];
    char key[64];
};
extern struct seen seen;

int kit_set_up(void **state);
int kit_tear_down(void **state);
/* Opens the gateway anew, with an option changed ("gateway.throttle", "on"). */
void kit_option(struct kit *kit, const char *name, const char *value);
void kit_add_key(struct kit *kit, const struct access_key *key);

/* Sends a call and runs the store's queue: the reply is there afterwards. */
void kit_send(struct kit *kit, const struct call *call);
/* The bytes of an HTTP request as a call; chunked bodies are put together. */
struct call kit_parse(struct kit *kit, struct str raw);
/* A V1 GET of `query` ("Action=…&Name=value", already escaped), to which common parameters and a
 * signature are added. */
struct call kit_v1(struct kit *kit, const char *query);
/* The same with the parameters exactly as given, signed under `secret`. */
struct call kit_v1_exact(struct kit *kit, const char *query, const char *secret);
/* A V3 POST. */
struct call kit_v3(struct kit *kit, const char *action, const char *query);

#define assert_body(kit, text)                                                                     \
    do {                                                                                           \
        if (!str_contains((kit)->reply.body, str_from(text)))                                      \
            fail_msg("%d %.*s is without %s", (kit)->reply.status, STR_ARG((kit)->reply.body),     \
                     (text));                                                                      \
    } while (0)
#define assert_reply(kit, expected_status, text)                                                   \
    do {                                                                                           \
        assert_body(kit, text);                                                                    \
        assert_int_equal((kit)->reply.status, (expected_status));                                  \
    } while (0)
struct str kit_header(const struct kit *kit, const char *name);
