/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/route.h"

#include "gateway/target.h"

/*
 * Served on the operator's socket only; not a date, so that it can't meet a product of the
 * cloud.
 */
#define ADMIN_VERSION STR("admin")

#define FORM STR("application/x-www-form-urlencoded")

struct str call_header(const struct call *call, struct str name)
{
    for (size_t i = 0; i < call->header_count; i++)
        if (call->headers[i].name.len == name.len && str_eq_nocase(call->headers[i].name, name))
            return call->headers[i].value;
    return STR_NONE;
}

static bool content_is(const struct call *call, struct str type)
{
    struct str head;
    struct str rest;

    (void)str_split(call_header(call, STR("content-type")), ';', &head, &rest);
    return str_eq_nocase(str_trim(head), type);
}

static int read_body(struct request *request)
{
    const struct call *call = request->call;

    if (call->body.len == 0)
        return 0;
    if (content_is(call, FORM))
        return params_add(&request->params, request->arena, call->body, PARAM_FORM, &request->fail);
    /* V1 does not sign other bodies, so nothing in them may be believed. */
    if (request->auth != AUTH_V1 && content_is(call, STR("application/json")))
        return params_add_json(&request->params, request->arena, call->body, &request->fail);
    return 0;
}

/* A body that is JSON can't make a call V1: who signs with V1 says so in the query or the form. */
static enum auth_kind auth_kind_of(const struct request *request)
{
    if (request->call->operator_socket)
        return AUTH_OPERATOR;
    if (str_starts_nocase(request->authorization, STR("ACS3-")) ||
        str_starts_nocase(request->authorization, STR("ACS4-")))
        return AUTH_V3;
    if (str_eq_nocase(params_get(&request->params, STR("SignatureType")), STR("BEARERTOKEN")))
        return AUTH_NONE;
    if (params_get(&request->params, STR("Signature")).ptr ||
        params_get(&request->params, STR("AccessKeyId")).ptr)
        return AUTH_V1;
    return AUTH_NONE;
}

static bool has_acs_header(const struct call *call)
{
    for (size_t i = 0; i < call->header_count; i++)
        if (str_starts_nocase(call->headers[i].name, STR("x-acs-")))
            return true;
    return false;
}

static enum reply_format format_by_headers(const struct call *call)
{
    struct str accept = call_header(call, STR("accept"));

    if (call->operator_socket || str_contains(accept, STR("json")))
        return FORMAT_JSON;
    if (has_acs_header(call))
        return str_contains(accept, STR("xml")) ? FORMAT_XML : FORMAT_JSON;
    return FORMAT_XML;
}

static bool format_named(struct str text, enum reply_format *ret)
{
    struct str pair;
    struct str name;
    struct str value;

    while (text.len > 0) {
        (void)str_split(text, '&', &pair, &text); /* false: the last pair */
        if (!str_split(pair, '=', &name, &value) || !str_eq_nocase(name, STR("Format")))
            continue;
        *ret = str_eq_nocase(value, STR("JSON")) ? FORMAT_JSON : FORMAT_XML;
        return str_eq_nocase(value, STR("JSON")) || str_eq_nocase(value, STR("XML"));
    }
    return false;
}

enum reply_format route_guess_format(const struct call *call)
{
    enum reply_format format;

    if (format_named(target_split(call->target).query, &format))
        return format;
    if (content_is(call, FORM) && format_named(call->body, &format))
        return format;
    return format_by_headers(call);
}

static void choose_format(struct request *request)
{
    struct str format = params_get(&request->params, STR("Format"));
    struct str accept = call_header(request->call, STR("accept"));

    if (str_eq_nocase(format, STR("JSON"))) {
        request->format = FORMAT_JSON;
    } else if (str_eq_nocase(format, STR("XML"))) {
        request->format = FORMAT_XML;
    } else {
        request->format_bad = !str_empty(format);
        if (request->auth == AUTH_V1 && !request->format_bad)
            request->format = FORMAT_XML;
        else if (request->auth == AUTH_V3)
            request->format = str_contains(accept, STR("xml")) ? FORMAT_XML : FORMAT_JSON;
    }
}

static bool is_plain_call(const struct call *call)
{
    return str_eq(call->method, STR("GET")) || str_eq(call->method, STR("POST"));
}

static int read_parameters(struct request *request, struct str query)
{
    int r = params_add(&request->params, request->arena, query, PARAM_QUERY, &request->fail);

    if (r < 0)
        return r;
    /* What the query says decides whether a JSON body may be read; a form can still make it V1. */
    request->auth = auth_kind_of(request);
    return read_body(request);
}

int route_read(struct request *request)
{
    const struct call *call = request->call;
    struct target target = target_split(call->target);
    int r;

    request->format = format_by_headers(call);
    request->path = target.path;
    request->query = target.query;
    /* RFC 9112 §3.2.2: what an absolute target names goes before the Host header. */
    request->host = str_empty(target.authority) ? str_trim(call_header(call, STR("host"))) : target.authority;
    request->authorization = call_header(call, STR("authorization"));
    r = is_plain_call(call) ? read_parameters(request, target.query)
                            : fail(&request->fail, E_UNSUPPORTED_HTTP_METHOD);
    if (r < 0) { /* what can't be read still says in which format it wants to be told so */
        request->format = route_guess_format(call);
        return r;
    }
    params_sort(&request->params);
    if (!content_is(call, STR("application/json")))
        request->auth = auth_kind_of(request);
    choose_format(request);
    return 0;
}

static struct str first_present(struct str a, struct str b)
{
    return str_empty(a) ? b : a;
}

static void read_names(struct request *request)
{
    struct str action_param = params_get(&request->params, STR("Action"));
    struct str version_param = params_get(&request->params, STR("Version"));
    struct str action_header = str_trim(call_header(request->call, STR("x-acs-action")));
    struct str version_header = str_trim(call_header(request->call, STR("x-acs-version")));

    /* V1 clients send the headers too, and they may differ: what was signed wins. */
    if (request->auth == AUTH_V1) {
        request->action = first_present(action_param, action_header);
        request->version = first_present(version_param, version_header);
    } else {
        request->action = first_present(action_header, action_param);
        request->version = first_present(version_header, version_param);
    }
    if (request->auth == AUTH_OPERATOR)
        request->version = ADMIN_VERSION;
}

/*
 * "ecs-cn-hangzhou.aliyuncs.com" → "ecs": the first label without what names a region or a
 * network.
 */
static struct str host_label(struct str host)
{
    static const struct str tails[] = {STR_INIT("-readonly"), STR_INIT("-vpc")};
    struct str label;
    struct str rest;

    (void)str_split(host_without_port(host), '.', &label, &rest);
    for (size_t i = 0; i + 3 < label.len; i++)
        if (str_starts_nocase(str_slice(label.ptr + i, label.len - i), STR("-cn-")))
            label.len = i;
    for (size_t i = 0; i < countof(tails); i++)
        if (str_ends(label, tails[i]))
            label.len -= tails[i].len;
    return label;
}

static int find_product(struct request *request)
{
    const struct product_row *product;

    if (request->auth == AUTH_OPERATOR) {
        request->product = "Admin";
        return 0;
    }
    product = product_by_label(host_label(request->host));
    if (product && str_eq(str_from(product->version), ADMIN_VERSION))
        product = NULL;
    if (product)
        request->product = product->product;
    if (str_empty(request->version))
        return fail(&request->fail, E_MISSING_VERSION);
    /* Outside its socket the operator's product does not exist. */
    if (!str_eq(request->version, ADMIN_VERSION) && product_by_version(request->version)) {
        request->product = product_by_version(request->version)->product;
        return 0;
    }
    return product ? fail(&request->fail, E_INVALID_VERSION)
                   : fail(&request->fail, E_PRODUCT_NOT_FOUND);
}

/*
 * Every name of ECS is in the table, so that one which isn't there does not exist. Of these
 * products no list of names is kept: answering 404 for an action that exists would make Terraform
 * take the resource for gone.
 */
static bool has_no_list(const char *product)
{
    return strcmp(product, "Vpc") == 0 || strcmp(product, "Ram") == 0;
}

static const struct action_row *unbuilt_row(struct request *request)
{
    struct action_row *row = arena_new(request->arena, struct action_row);

    *row = (struct action_row){.action = arena_cstr(request->arena, request->action),
                               .product = request->product,
                               .version = arena_cstr(request->arena, request->version),
                               .kind = ACTION_READ};
    return row;
}

int route_find(struct request *request, route_find_fn find)
{
    int r;

    read_names(request);
    r = find_product(request);
    if (r < 0)
        return r;
    if (!str_eq(request->path, STR("/")))
        return fail(&request->fail, E_INVALID_API_NOT_FOUND);
    if (str_empty(request->action))
        return fail(&request->fail, E_MISSING_ACTION);
    request->row = find(request->version, request->action);
    if (!request->row && has_no_list(request->product))
        request->row = unbuilt_row(request);
    if (!request->row)
        return fail(&request->fail, E_INVALID_ACTION_NOT_FOUND);
    if (request->row->post_only && !str_eq(request->call->method, STR("POST")))
        return fail(&request->fail, E_UNSUPPORTED_HTTP_METHOD);
    return 0;
}
