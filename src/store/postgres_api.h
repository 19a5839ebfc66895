/* SPDX-License-Identifier: Apache-2.0 */
/* libpq, loaded when a store asks for it: without one nobody needs it, nor waits for its libraries at each start. */
#pragma once

#include <libpq-fe.h>

#include "base/fail.h"

/* clang-format off */
#define POSTGRES_FUNCTIONS(X) \
    X(PQclear) \
    X(PQcmdStatus) \
    X(PQcmdTuples) \
    X(PQconnectdbParams) \
    X(PQdescribePrepared) \
    X(PQenterPipelineMode) \
    X(PQerrorMessage) \
    X(PQexec) \
    X(PQexecParams) \
    X(PQexecPrepared) \
    X(PQexitPipelineMode) \
    X(PQfinish) \
    X(PQflush) \
    X(PQftype) \
    X(PQgetResult) \
    X(PQgetisnull) \
    X(PQgetlength) \
    X(PQgetvalue) \
    X(PQnfields) \
    X(PQntuples) \
    X(PQparamtype) \
    X(PQpipelineSync) \
    X(PQprepare) \
    X(PQreset) \
    X(PQresultErrorField) \
    X(PQresultErrorMessage) \
    X(PQresultStatus) \
    X(PQsendQueryPrepared) \
    X(PQsetNoticeProcessor) \
    X(PQstatus) \
    X(PQtransactionStatus)
/* clang-format on */

#define POSTGRES_POINTER(function) __typeof__(&(function)) function;
struct postgres_api {
    POSTGRES_FUNCTIONS(POSTGRES_POINTER)
};
#undef POSTGRES_POINTER

extern struct postgres_api pq;

/* Once is enough; then `pq` can be called. -E_NOT_FOUND, with what to install. Any thread. */
int postgres_api_load(struct fail *fail) must_check;
