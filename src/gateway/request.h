/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A call on its way through the pipeline. Private to the gateway ring. Everything lives on
 * call->arena. Each stage fills what the later ones read; the first that fails leaves code and text
 * in `fail`.
 */
#pragma once

#include "base/option.h"
#include "gateway/gateway.h"
#include "gateway/params.h"

enum auth_kind {
    AUTH_NONE,     /* nobody: no credentials at all, or a bearer token, which nobody issues here */
    AUTH_V1,       /* Signature parameter */
    AUTH_V3,       /* Authorization: ACS3-… */
    AUTH_OPERATOR, /* came over the operator's socket */
};

enum reply_format { FORMAT_XML, FORMAT_JSON };

/* Why permission was refused: AccessDeniedDetail. */
struct denial {
    struct str action;
    struct str principal_type;
    struct str owner_id;
    struct str principal_name;
    struct str policy_type;
    const char *kind; /* "ImplicitDeny", "ExplicitDeny" */
};

struct request {
    struct gateway *gateway;
    const struct call *call;
    struct arena *arena;
    struct fail fail;
    usec_t now;
    char id[37]; /* RequestId */
    char trace_id[33];

    /* target and headers */
    struct str path;
    struct str query;
    struct str host;     /* with port, as the client called it */
    struct str authorization;
    struct params params;

    /* route */
    enum auth_kind auth;
    enum reply_format format;
    bool format_bad;
    struct str version;
    struct str action;
    const char *product; /* NULL while unknown */
    const struct action_row *row;

    /* who */
    struct str key_id;
    struct str signature;
    struct str signed_headers; /* V3 */
    struct str algorithm;      /* V3: scheme; V1: SignatureMethod */
    struct str nonce;
    struct str stamp_text;
    usec_t stamp;
    struct str token;
    const struct access_key *key;
    const struct account *account;

    /* what */
    void *req;
    void *reply;
    struct str client_token;
    struct str client_digest; /* of the business parameters, hex */
    struct denial *denial;
    int64_t retry_after_ms; /* 0: no header */
};

/* The first header of that name, in any case; absent when there is none. */
struct str call_header(const struct call *call, struct str name);
const struct options *gateway_options(const struct gateway *gateway);
