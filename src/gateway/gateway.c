/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pipeline. A call is read, found, admitted and decoded on the caller's thread. Reads are
 * carried out there, too, over one snapshot; a write takes to the writer's thread only what has to
 * be in its transaction: nonce, ClientToken, handler.
 */
#include "gateway/gateway.h"

#include "base/bug.h"
#include "base/hash.h"
#include "base/mem.h"
#include "gateway/audit.h"
#include "gateway/auth.h"
#include "gateway/decode.h"
#include "gateway/limit.h"
#include "gateway/once.h"
#include "gateway/policy.h"
#include "gateway/render.h"
#include "gateway/request.h"
#include "gateway/route.h"

struct gateway {
    struct gateway_settings settings;
    struct auth_settings auth;
    struct limiter *limiter; /* NULL: throttling is off */
};

int gateway_open(const struct gateway_settings *settings, struct fail *fail, struct gateway **ret)
{
    const struct options *options = settings->options;
    struct gateway *gateway;

    assert(settings->store && settings->env && options);
    /* A nonce that is forgotten while its time stamp still counts could be used twice. */
    if (options->gateway_nonce_keep_s < 2 * options->gateway_clock_window_s)
        return fail_text(fail, E_INVALID,
                         "gateway.nonce_keep_s has to be at least twice gateway.clock_window_s");
    gateway = xcalloc(1, sizeof(*gateway));
    gateway->settings = *settings;
    if (!gateway->settings.find)
        gateway->settings.find = action_find;
    gateway->auth.clock_window = options->gateway_clock_window_s * USEC_PER_SEC;
    gateway->auth.keys = keyring_new(settings->env, settings->store);
    gateway->auth.nonces =
        nonce_table_new(settings->env, options->gateway_nonce_keep_s * USEC_PER_SEC);
    if (options->gateway_throttle)
        gateway->limiter = limiter_new(settings->env, (double)options->gateway_throttle_rate,
                                       (double)options->gateway_throttle_burst);
    *ret = gateway;
    return 0;
}

struct gateway *gateway_close(struct gateway *gateway)
{
    if (!gateway)
        return NULL;
    (void)nonce_table_free(gateway->auth.nonces);
    (void)keyring_free(gateway->auth.keys);
    (void)limiter_free(gateway->limiter);
    return xfree(gateway);
}

const struct options *gateway_options(const struct gateway *gateway)
{
    return gateway->settings.options;
}

static struct request *request_new(struct gateway *gateway, const struct call *call)
{
    struct request *request = arena_new(call->arena, struct request);
    uint8_t trace[16];

    request->gateway = gateway;
    request->call = call;
    request->arena = call->arena;
    request->now = env_now(gateway->settings.env);
    fail_init(&request->fail, call->arena);
    env_uuid(gateway->settings.env, request->id);
    env_random(gateway->settings.env, trace, sizeof(trace));
    hex_encode(trace, sizeof(trace), request->trace_id);
    return request;
}

/* ── replies ── */

static void add_header(struct reply *reply, struct str name, struct str value)
{
    assert(reply->header_count < REPLY_HEADERS_MAX);
    reply->headers[reply->header_count++] = (struct header){.name = name, .value = value};
}

static void add_headers(const struct request *request, struct reply *reply)
{
    /* Clients compare these two byte for byte. */
    add_header(reply, STR("Content-Type"),
               request->format == FORMAT_JSON ? STR("application/json;charset=utf-8")
                                              : STR("text/xml;charset=utf-8"));
    add_header(reply, STR("x-acs-request-id"), str_slice(request->id, 36));
    add_header(reply, STR("x-acs-trace-id"), str_slice(request->trace_id, 32));
    add_header(reply, STR("Access-Control-Allow-Origin"), STR("*"));
    add_header(reply, STR("Access-Control-Expose-Headers"), STR("*"));
    if (request->retry_after_ms > 0)
        add_header(reply, STR("x-acs-retry-after"),
                   arena_printf(request->arena, "%lld", (long long)request->retry_after_ms));
}

static void preflight_reply(const struct request *request, struct reply *reply)
{
    reply->status = 200;
    reply->body = STR("");
    add_headers(request, reply);
    add_header(reply, STR("Access-Control-Allow-Methods"), STR("POST, GET, OPTIONS, PUT, DELETE"));
    add_header(reply, STR("Access-Control-Allow-Headers"),
               STR("X-Requested-With, X-Sequence, _aop_secret, _aop_signature, x-acs-action, "
                   "x-acs-version, x-acs-date, "
                   "x-acs-signature-nonce, x-acs-content-sha256, x-acs-security-token, "
                   "x-acs-accesskey-id, "
                   "x-acs-credentials-provider, Content-Type, Authorization"));
    add_header(reply, STR("Access-Control-Max-Age"), STR("172800"));
}

/* A code without a text of its own (what the store returned) gets the text of its row. */
static void settle_fail(struct request *request, int result)
{
    if ((int)request->fail.code == -result)
        return;
    request->fail.code = (enum error_code) - result;
    request->fail.message = str_from(error_message(request->fail.code));
}

static void error_reply(struct request *request, struct reply *reply)
{
    struct str url = gateway_options(request->gateway)->gateway_troubleshoot_url;

    reply->body = render_error(request, url);
    if (!reply->body.ptr) { /* a string to sign that is larger than a reply may be */
        request->fail.message = STR("");
        reply->body = render_error(request, url);
    }
    assert(reply->body.ptr);
    reply->status = error_status(request->fail.code);
    add_headers(request, reply);
}

/* The last stage: `body` when result is 0, else the error. */
static void answer(struct request *request, int result, struct str body, gateway_done_fn done,
                   void *arg)
{
    struct reply reply = {.status = 200, .body = body};

    if (result < 0) {
        settle_fail(request, result);
        error_reply(request, &reply);
    } else {
        request->fail.code = E_NONE;
        add_headers(request, &reply);
    }
    audit_call(request, reply.status, env_now(request->gateway->settings.env) - request->now);
    done(arg, &reply);
}

void gateway_refuse(struct gateway *gateway, const struct call *call, enum error_code code,
                    struct reply *ret_reply)
{
    struct request *request = request_new(gateway, call);
    struct reply reply = {.status = 0};

    request->format = route_guess_format(call);
    request->host = call_header(call, STR("host"));
    (void)fail(&request->fail, code, STR("its syntax is not that of HTTP/1.1"),
               STR("")); /* it is what we tell */
    error_reply(request, &reply);
    audit_call(request, reply.status, 0);
    *ret_reply = reply;
}

/* ── stages ── */

static int check_built(struct request *request)
{
    return request->row->run
               ? 0
               : fail(&request->fail, E_UNSUPPORTED_OPERATION, str_from(request->row->action));
}

static int check_rate(struct request *request)
{
    const struct engine *engine = request->gateway->settings.engine;
    struct limiter *limiter = request->gateway->limiter;

    if (!limiter || !request->account)
        return 0;
    request->retry_after_ms = limiter_take(limiter, request->account->id, request->row->action,
                                           engine ? engine_nodes(engine) : 1, request->now);
    return request->retry_after_ms > 0 ? fail(&request->fail, E_THROTTLING) : 0;
}

static int decode_parameters(struct request *request)
{
    const struct shape *shape = request->row->request;

    request->req = arena_alloc(request->arena, shape->size);
    return decode_request(request->arena, shape, &request->params, request->req, &request->fail);
}

/* Only a key with a policy makes us look at what the parameters name. */
static int check_policy(struct request *request)
{
    struct tx *tx;
    int r;

    if (!request->key || str_empty(request->key->policy))
        return 0;
    tx = store_read_begin(request->gateway->settings.store);
    r = policy_check(request, tx, gateway_options(request->gateway)->node_region);
    store_read_end(tx);
    return r;
}

/* All that comes before the handler, in the order in which errors are told. */
static int admit(struct request *request)
{
    int r;

    if ((r = auth_check(request, &request->gateway->auth)) < 0)
        return r;
    if ((r = check_built(request)) < 0)
        return r;
    if ((r = check_rate(request)) < 0)
        return r;
    if ((r = decode_parameters(request)) < 0)
        return r;
    if ((r = once_read(request)) < 0)
        return r;
    return check_policy(request);
}

/* A word that is not set is -1; all else that is absent is zero (base/shape.h). */
static void blank_words(const struct shape *shape, char *base)
{
    for (size_t i = 0; i < shape->count; i++) {
        const struct shape_field *field = &shape->fields[i];

        if (field->flags & SHAPE_LIST)
            continue;
        if (field->kind == SHAPE_ENUM)
            *(int *)(void *)(base + field->offset) = -1;
        else if (field->kind == SHAPE_OBJECT && !(field->flags & SHAPE_OPT))
            blank_words(field->object, base + field->offset);
    }
}

static int run_handler(struct request *request, struct tx *tx, usec_t now)
{
    const struct gateway_settings *settings = &request->gateway->settings;
    struct action action = {
        .row = request->row,
        .tx = tx,
        .engine = settings->engine,
        .env = settings->env,
        .options = settings->options,
        .arena = request->arena,
        .account = request->account,
        .key = request->key,
        .request_id = str_slice(request->id, 36),
        .endpoint = request->host,
        .source_ip = request->call->source_ip,
        .now = now,
        .policy_valid = policy_valid,
        .read_map = params_read_map,
        .fail = &request->fail,
    };

    request->reply = arena_alloc(request->arena, request->row->reply->size);
    blank_words(request->row->reply, request->reply);
    return request->row->run(&action, request->req, request->reply);
}

/* Rendered inside the transaction: the reply may point to rows that end with it. */
static int run_and_render(struct request *request, struct tx *tx, usec_t now, struct str *ret_body)
{
    int r;

    r = run_handler(request, tx, now);
    if (r < 0)
        return r;
    assert(r == 0);
    *ret_body = render_reply(request, request->row->reply, request->reply);
    return ret_body->ptr ? 0 : -E_INTERNAL_ERROR;
}

/* ── writes ── */

struct write_call {
    struct write write;
    struct request *request;
    gateway_done_fn done;
    void *arg;
    int result;
    struct str body;
    bool told; /* BUG(reply_before_commit) only */
};

static int run_once(struct request *request, struct tx *tx, struct str *ret_body)
{
    usec_t keep = gateway_options(request->gateway)->gateway_client_token_keep_s * USEC_PER_SEC;
    struct str members;
    int r;

    r = once_look(request, tx, &members);
    if (r < 0)
        return r;
    if (members.ptr) {
        *ret_body = render_kept(request, members);
        return ret_body->ptr ? 0 : -E_INTERNAL_ERROR;
    }
    r = run_and_render(request, tx, tx_now(tx), ret_body);
    if (r < 0 || str_empty(request->client_token))
        return r;
    members = render_members(request->arena, request->row->reply, request->reply);
    return members.ptr ? once_keep(request, tx, members, keep) : -E_INTERNAL_ERROR;
}

static int keep_nonce(struct request *request, struct tx *tx)
{
    usec_t keep = gateway_options(request->gateway)->gateway_nonce_keep_s * USEC_PER_SEC;
    int r;

    if (request->auth == AUTH_OPERATOR)
        return 0;
    r = store_nonce_put(tx, request->key_id, request->nonce, request->stamp, tx_now(tx) + keep);
    return r == -E_EXISTS ? fail(&request->fail, E_NONCE_USED) : r;
}

/*
 * In the writer's thread, perhaps more than once. A call that is refused leaves its nonce behind
 * all the same: sent again after a crash, it might not be refused any more. Only when the store
 * itself fails, nothing stays.
 */
static int write_run(struct tx *tx, struct write *write)
{
    struct write_call *wc = container_of(write, struct write_call, write);
    struct request *request = wc->request;
    int r;

    fail_init(&request->fail, request->arena);
    r = keep_nonce(request, tx);
    if (r < 0)
        return r;
    tx_savepoint(tx);
    r = run_once(request, tx, &wc->body);
    wc->result = r;
    if (BUG(reply_before_commit) && r == 0) {
        wc->told = true;
        answer(request, r, wc->body, wc->done, wc->arg);
    }
    if (r == 0 || BUG(batch_half_done)) {
        tx_release(tx);
        return 0;
    }
    tx_rollback(tx);
    return error_is_internal((enum error_code)-r) ? r : 0;
}

static void write_done(struct write *write, int result)
{
    struct write_call *wc = container_of(write, struct write_call, write);

    if (BUG(reply_before_commit) && wc->told)
        return;
    answer(wc->request, result < 0 ? result : wc->result, wc->body, wc->done, wc->arg);
}

/* Those that the call names. */
static struct str_list instances_of(const struct request *request)
{
    const struct shape *shape = request->row->request;

    for (size_t i = 0; i < shape->count; i++) {
        const struct shape_field *field = &shape->fields[i];

        if (field->flags & SHAPE_INSTANCE)
            return decode_texts(request->req, field);
    }
    return (struct str_list){0};
}

static void submit(struct request *request, gateway_suspend_fn suspend, gateway_done_fn done,
                   void *arg)
{
    struct write_call *wc = arena_new(request->arena, struct write_call);
    int r;

    *wc = (struct write_call){.request = request, .done = done, .arg = arg};
    wc->write.run = write_run;
    wc->write.done = write_done;
    wc->write.repeats = !request->call->operator_socket; /* an operator's may reach beyond the store */
    wc->write.about = instances_of(request);
    suspend(arg);
    r = store_submit(request->gateway->settings.store, &wc->write);
    if (r < 0)
        answer(request, r, STR_NONE, done, arg);
}

void gateway_handle(struct gateway *gateway, const struct call *call, gateway_suspend_fn suspend,
                    gateway_done_fn done, void *arg)
{
    struct request *request = request_new(gateway, call);
    struct str body = STR_NONE;
    struct tx *tx;
    int r;

    if (str_eq(call->method, STR("OPTIONS"))) {
        struct reply reply = {.status = 0};

        preflight_reply(request, &reply);
        done(arg, &reply);
        return;
    }
    r = route_read(request);
    if (r == 0)
        r = route_find(request, gateway->settings.find);
    if (r < 0) {
        answer(request, r, body, done, arg);
        return;
    }
    r = admit(request);
    if (r == 0 && request->row->kind == ACTION_READ) {
        tx = store_read_begin(gateway->settings.store);
        r = run_and_render(request, tx, request->now, &body);
        store_read_end(tx);
    }
    if (r == 0 && request->row->kind == ACTION_WRITE)
        submit(request, suspend, done, arg);
    else
        answer(request, r, body, done, arg);
}
