/* SPDX-License-Identifier: Apache-2.0 */
/* The operator's listener: is it alive, is it ready, what does it count. */
#include "base/limits.h"
#include "base/metric.h"
#include "http/internal.h"

static void reply_text(struct reply *reply, int status, struct str type, struct str body)
{
    *reply = (struct reply){.status = status, .body = body};
    reply->headers[0] = (struct header){.name = STR("Content-Type"), .value = type};
    reply->headers[1] = (struct header){.name = STR("Cache-Control"), .value = STR("no-store")};
    reply->header_count = 2;
}

static void reply_metrics(struct http *http, const struct call *call, struct reply *reply)
{
    const struct http_settings *settings = &http->settings;
    struct buf text;

    buf_init(&text, LIMIT_METRICS_BYTES);
    metric_set(METRIC_BUFFERED_BYTES, atomic_load(&http->buffered_bytes));
    if (settings->metrics) /* first: it sets some of those that metric_print prints */
        settings->metrics(settings->metrics_arg, &text);
    metric_print(&text);
    reply_text(reply, text.full ? 500 : 200, STR("text/plain; version=0.0.4; charset=utf-8"),
               arena_str(call->arena, buf_str(&text)));
    buf_done(&text);
}

static void reply_ready(struct http *http, const struct call *call, struct reply *reply)
{
    const struct http_settings *settings = &http->settings;
    struct str plain = STR("text/plain; charset=utf-8");
    const char *why = settings->unready ? settings->unready(settings->unready_arg) : NULL;

    if (atomic_load(&http->stopping))
        why = "ecsd is stopping";
    if (why)
        reply_text(reply, 503, plain, arena_printf(call->arena, "not ready: %s\n", why));
    else
        reply_text(reply, 200, plain, STR("ready\n"));
}

void admin_reply(struct http *http, const struct call *call, struct reply *ret_reply)
{
    const struct http_settings *settings = &http->settings;
    struct str plain = STR("text/plain; charset=utf-8");
    struct str path = call->target;
    struct str query;

    (void)str_split(call->target, '?', &path, &query); /* without a query the whole target is the path */
    if (!str_eq(call->method, STR("GET")) && !str_eq(call->method, STR("HEAD"))) {
        reply_text(ret_reply, 405, plain, STR("Only GET and HEAD are answered here.\n"));
        ret_reply->headers[ret_reply->header_count++] = (struct header){.name = STR("Allow"), .value = STR("GET, HEAD")};
    } else if (str_eq(path, STR("/healthz"))) {
        reply_text(ret_reply, 200, STR("application/json"), settings->health);
    } else if (str_eq(path, STR("/readyz"))) {
        reply_ready(http, call, ret_reply);
    } else if (str_eq(path, STR("/metrics"))) {
        reply_metrics(http, call, ret_reply);
    } else {
        reply_text(ret_reply, 404, plain, STR("Here are /healthz, /readyz and /metrics.\n"));
    }
}
