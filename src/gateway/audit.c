/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/audit.h"

#include "base/log.h"
#include "base/metric.h"
#include "gateway/tally.h"

#define TEXT_MAX_BYTES 64 /* what clients can make up is cut in the log */

enum { CALLS_NONE, CALLS_ERRORS, CALLS_ALL }; /* log.calls */

static bool is_about_signature(enum error_code code)
{
    return code >= E_MISSING_ACCESS_KEY_ID && code <= E_TOKEN_MISMATCH;
}

static struct str cut(struct str text)
{
    return str_slice(text.ptr, MIN_OF(text.len, (size_t)TEXT_MAX_BYTES));
}

static void count(const struct request *request, int status, usec_t took_us)
{
    enum error_code code = request->fail.code;

    if (status < 400)
        metric_add(METRIC_CALLS_OK, 1);
    else
        metric_add(status < 500 ? METRIC_CALLS_REFUSED : METRIC_CALLS_FAILED, 1);
    tally_call(request->row, status < 400 ? E_NONE : code, took_us);
    if (code == E_THROTTLING)
        metric_add(METRIC_THROTTLED, 1);
    if (is_about_signature(code))
        metric_add(METRIC_SIGNATURE_FAILURES, 1);
}

void audit_call(const struct request *request, int status, usec_t took_us)
{
    int wanted = request->gateway ? gateway_options(request->gateway)->log_calls : CALLS_ERRORS;
    enum error_code code = request->fail.code;
    enum log_level level = status >= 500 ? LOG_ERROR : LOG_INFO;

    count(request, status, took_us);
    if (wanted == CALLS_NONE && !error_is_internal(code))
        return;
    if (wanted == CALLS_ERRORS && status < 400)
        return;
    log_at(level, "call", LOG_STR("action", cut(request->action)), LOG_NUM("status", status),
           LOG_TEXT("code", error_code_text(code)),
           LOG_TEXT("cause", error_is_internal(code) ? error_rows[code].name : ""),
           LOG_STR("account", request->account ? request->account->id : STR("")),
           LOG_STR("key", cut(request->key_id)), LOG_STR("source", request->call->source_ip),
           LOG_TEXT("request", request->id), LOG_NUM("took_us", took_us));
}
