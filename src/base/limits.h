/* SPDX-License-Identifier: Apache-2.0 */
/* Every numeric bound that is not an option, with its reason. */
#pragma once

#include "base/macro.h"

#define LIMIT_PARAMS 2048                        /* names in one request: RunInstances with 16 disks has under 300 */
#define LIMIT_NAME_BYTES 256                     /* a parameter's name */
#define LIMIT_LIST_ITEMS 1000                    /* N in Name.N where the action says nothing */
#define LIMIT_REQUEST_LINE_BYTES (128u * 1024)   /* UserData travels in the query (protocol.md §2) */
#define LIMIT_HEADERS_BYTES (64u * 1024)         /* all header lines together */
#define LIMIT_REPLY_BYTES (16u * 1024 * 1024)    /* 100 instances with everything are under 1 MiB */
#define LIMIT_METRICS_BYTES (8u * 1024 * 1024)    /* every built action with every code of api/errors.txt: under 5 MiB */
#define LIMIT_CALL_ARENA_BYTES (64u * 1024 * 1024) /* memory of one call: body, parameters, reply */
#define LIMIT_STEP_ARENA_BYTES (8u * 1024 * 1024)  /* memory of one job step */
#define LIMIT_BATCH_OPS 1024                     /* writes in one transaction */
#define LIMIT_WRITE_QUEUE 8192                   /* writes that wait; more are refused as ServiceUnavailable */
#define LIMIT_JSON_DEPTH 16                      /* nesting of JSON that clients send */
#define LIMIT_PAGE_SIZE 100                      /* DescribeInstances and most others */
#define LIMIT_BATCH_INSTANCES 100                /* InstanceId.N of the batch actions (StopInstances page) */
#define LIMIT_CLIENT_TOKEN_BYTES 64              /* RunInstances page */
#define LIMIT_NONCE_BYTES 512                    /* SignatureNonce; no documented limit, SDKs send at most 64 */
#define LIMIT_SEEN_NONCES (1u << 21)             /* remembered in memory, 32 bytes each with the room of its table */
#define LIMIT_SCRIPT_BYTES (64u * 1024)          /* a command with its parameters in it: Linux takes 128 KiB per argument */
#define LIMIT_BUCKETS 16384                      /* throttled pairs of account and action */
#define LIMIT_IMAGES 1000                        /* imported; all are read to list them */
#define LIMIT_KEY_PAIRS 500                      /* of an account in a region (the service's quota) */
