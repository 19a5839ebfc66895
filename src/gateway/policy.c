/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/policy.h"

#include <jansson.h>

#include "gateway/decode.h"
#include "gateway/out.h"

#define RESOURCE_MAX_BYTES 1024

/* `*` is any run of bytes, `?` one byte; case is folded, as RAM does for actions. Remembers the
 * last star only: linear in practice. */
static bool matches_pattern(struct str pattern, struct str text)
{
    size_t p = 0;
    size_t t = 0;
    size_t star = SIZE_MAX;
    size_t mark = 0;

    while (t < text.len) {
        if (p < pattern.len && pattern.ptr[p] == '*') {
            star = p++;
            mark = t;
        } else if (p < pattern.len &&
                   (pattern.ptr[p] == '?' ||
                    str_eq_nocase(str_slice(pattern.ptr + p, 1), str_slice(text.ptr + t, 1)))) {
            p++;
            t++;
        } else if (star != SIZE_MAX) {
            p = star + 1;
            t = ++mark;
        } else {
            return false;
        }
    }
    while (p < pattern.len && pattern.ptr[p] == '*')
        p++;
    return p == pattern.len;
}

static bool matches_text(const json_t *pattern, struct str text)
{
    return json_is_string(pattern) &&
           matches_pattern(str_slice(json_string_value(pattern), json_string_length(pattern)),
                           text);
}

/* A text or a list of texts. */
static bool matches_any(const json_t *patterns, struct str text)
{
    size_t index;
    json_t *pattern;

    if (!json_is_array(patterns))
        return matches_text(patterns, text);
    json_array_foreach(patterns, index, pattern)
    {
        if (matches_text(pattern, text))
            return true;
    }
    return false;
}

/* Neither the member nor its opposite: Action has to be there, a Resource that is left out means
 * every one. */
static bool matches_part(const json_t *statement, const char *name, const char *opposite,
                         struct str text, bool otherwise)
{
    if (json_object_get(statement, name))
        return matches_any(json_object_get(statement, name), text);
    if (json_object_get(statement, opposite))
        return !matches_any(json_object_get(statement, opposite), text);
    return otherwise;
}

static void judge(const json_t *statement, struct str action, struct str resource,
                  enum policy_verdict *verdict)
{
    bool allows = matches_text(json_object_get(statement, "Effect"), STR("Allow"));

    /* What we can't understand may not open anything: a statement without a known effect denies. */
    if (allows && json_object_get(statement, "Condition"))
        return;
    if (!matches_part(statement, "Action", "NotAction", action, false) ||
        !matches_part(statement, "Resource", "NotResource", resource, true))
        return;
    if (!allows)
        *verdict = POLICY_EXPLICIT_DENY;
    else if (*verdict == POLICY_IMPLICIT_DENY)
        *verdict = POLICY_ALLOW;
}

int policy_decide(struct str document, struct str action, struct str resource,
                  enum policy_verdict *ret)
{
    enum policy_verdict verdict = POLICY_IMPLICIT_DENY;
    json_error_t error;
    json_t *root = json_loadb(document.ptr, document.len, JSON_REJECT_DUPLICATES, &error);
    json_t *statements = json_object_get(root, "Statement");
    json_t *statement;
    size_t index;

    if (json_is_object(statements))
        judge(statements, action, resource, &verdict);
    json_array_foreach(statements, index, statement) judge(statement, action, resource, &verdict);
    if (!json_is_object(statements) && !json_is_array(statements)) {
        json_decref(root);
        return -E_INVALID;
    }
    json_decref(root);
    *ret = verdict;
    return 0;
}

static bool is_pattern(const json_t *value)
{
    size_t index;
    json_t *item;

    if (!json_is_array(value))
        return json_is_string(value);
    json_array_foreach(value, index, item)
    {
        if (!json_is_string(item))
            return false;
    }
    return json_array_size(value) > 0;
}

/* One of the two members, and it is a pattern or a list of them. */
static bool has_part(const json_t *statement, const char *name, const char *opposite,
                     bool otherwise)
{
    const json_t *part = json_object_get(statement, name);
    const json_t *rest = json_object_get(statement, opposite);

    if (part && rest)
        return false;
    return part || rest ? is_pattern(part ? part : rest) : otherwise;
}

static bool is_statement(const json_t *statement)
{
    const json_t *effect = json_object_get(statement, "Effect");

    return (matches_text(effect, STR("Allow")) || matches_text(effect, STR("Deny"))) &&
           has_part(statement, "Action", "NotAction", false) &&
           has_part(statement, "Resource", "NotResource", true);
}

bool policy_valid(struct str document)
{
    json_error_t error;
    json_t *root = json_loadb(document.ptr, document.len, JSON_REJECT_DUPLICATES, &error);
    json_t *statements = json_object_get(root, "Statement");
    bool valid = json_is_array(statements) ? json_array_size(statements) > 0
                                           : is_statement(statements);
    json_t *statement;
    size_t index;

    json_array_foreach(statements, index, statement) valid = valid && is_statement(statement);
    json_decref(root);
    return valid;
}

/* ── resources ── */

/*
 * What the template names is taken from the decoded request: what is judged is what the handler
 * sees, however the caller spelled it.
 */
struct names {
    const struct request *request;
    struct str region;
    struct str account;
    struct str template; /* one ARN */
    struct str wanted;   /* name of the parameter in the template */
    struct str value;    /* the one of its values that is looked at; absent: "*" */
};

/* The values of a parameter that is a text, or a list of texts; none when it is neither. */
static struct str_list values_of(const struct request *request, struct str name)
{
    const struct shape *shape = request->row->request;

    for (size_t i = 0; shape && i < shape->count; i++) {
        const struct shape_field *field = &shape->fields[i];

        if (field->kind == SHAPE_STR && str_eq_nocase(str_from(field->name), name))
            return decode_texts(request->req, field);
    }
    return (struct str_list){0};
}

static void add_name(struct out *out, const struct names *names, struct str name)
{
    struct str value = names->value;
    struct str_list values;

    if (str_eq(name, STR("region"))) {
        value = names->region;
    } else if (str_eq(name, STR("account"))) {
        value = names->account;
    } else if (!str_eq_nocase(name, names->wanted)) {
        values = values_of(names->request, name);
        value = values.count > 0 ? values.items[0] : STR_NONE;
    }
    out_str(out, str_empty(value) ? STR("*") : value);
}

static struct str expand(struct arena *arena, const struct names *names)
{
    struct str rest = names->template;
    struct out out;

    out_init(&out, arena, 128, RESOURCE_MAX_BYTES);
    while (rest.len > 0) {
        struct str text;
        struct str name;

        (void)str_split(rest, '{', &text, &rest);
        out_str(&out, text);
        if (str_split(rest, '}', &name, &rest))
            add_name(&out, names, name);
    }
    return out_text(&out);
}

/*
 * "acs:ecs:{region}:{account}:instance/{InstanceId}" → "InstanceId": the last name of the
 * template.
 */
static struct str wanted_name(struct str template)
{
    struct str name = STR_NONE;
    struct str text;

    while (str_split(template, '{', &text, &template))
        if (!str_split(template, '}', &name, &template))
            return STR_NONE;
    return name;
}

/* Where the instance or the disk is, when it is the account's; absent otherwise. */
static struct str place_of(const struct request *request, struct tx *tx, struct str wanted,
                           struct str id)
{
    struct instance *inst;
    struct disk *disk;

    if (str_eq(wanted, STR("InstanceId")) && store_instance_get_hot(tx, id, &inst) == 0 &&
        str_eq(inst->account_id, request->account->id))
        return inst->region_id;
    if (str_starts(wanted, STR("DiskId")) && store_disk_get(tx, id, &disk) == 0 &&
        str_eq(disk->account_id, request->account->id))
        return disk->region_id;
    return STR_NONE;
}

/* The region where a resource really is: a caller can't reach into another by naming one that is
 * allowed. */
static struct str region_of(const struct request *request, struct tx *tx, struct str wanted,
                            struct str id, struct str asked)
{
    struct str place = str_empty(id) ? STR_NONE : place_of(request, tx, wanted, id);

    return str_empty(place) ? asked : arena_str(request->arena, place);
}

static int refuse(struct request *request, enum policy_verdict verdict)
{
    struct denial *denial = arena_new(request->arena, struct denial);
    const struct access_key *key = request->key;
    bool is_role = !str_empty(key->role_arn);

    denial->action = str_from(request->row->permission);
    denial->principal_type = is_role ? STR("AssumedRoleUser") : STR("SubUser");
    denial->owner_id = key->account_id;
    denial->principal_name = str_empty(key->principal_id) ? key->id : key->principal_id;
    denial->policy_type =
        is_role ? STR("AssumeRolePolicy") : STR("AccountLevelIdentityBasedPolicy");
    denial->kind = verdict == POLICY_EXPLICIT_DENY ? "ExplicitDeny" : "ImplicitDeny";
    request->denial = denial;
    return fail(&request->fail, E_FORBIDDEN_RAM);
}

static int check_one(struct request *request, struct tx *tx, struct names *names, struct str value,
                     struct str asked)
{
    enum policy_verdict verdict;
    struct str resource;

    names->value = value;
    names->region = region_of(request, tx, names->wanted, value, asked);
    resource = expand(request->arena, names);
    /* A key whose document can't be read may do nothing. */
    if (policy_decide(request->key->policy, str_from(request->row->permission), resource,
                      &verdict) < 0)
        verdict = POLICY_IMPLICIT_DENY;
    return verdict == POLICY_ALLOW ? 0 : refuse(request, verdict);
}

/* Each of a list has to be allowed. */
static int check_template(struct request *request, struct tx *tx, struct names *names,
                          struct str template, struct str asked, size_t *checked)
{
    struct str_list values;
    int r = 0;

    names->template = template;
    names->wanted = wanted_name(template);
    values = values_of(request, names->wanted);
    for (size_t i = 0; i < values.count && r == 0; i++)
        r = check_one(request, tx, names, values.items[i], asked);
    *checked += values.count;
    return r;
}

int policy_check(struct request *request, struct tx *tx, struct str default_region)
{
    struct names names = {.request = request};
    struct str rest = str_from(request->row->resource ? request->row->resource : "*");
    struct str first = STR_NONE;
    struct str_list regions;
    struct str template;
    struct str asked;
    size_t checked = 0;
    int r = 0;

    if (request->auth == AUTH_OPERATOR || !request->row->permission ||
        str_empty(request->key->policy))
        return 0;
    regions = values_of(request, STR("RegionId"));
    asked = regions.count > 0 ? regions.items[0] : default_region;
    names.account = request->account->id;
    while (rest.len > 0 && r == 0) {
        (void)str_split(rest, ' ', &template, &rest);
        if (str_empty(first))
            first = template;
        r = check_template(request, tx, &names, template, asked, &checked);
    }
    if (r < 0 || checked > 0)
        return r;
    /* None of them is named: then the call is about all. */
    names.template = first;
    names.wanted = wanted_name(first);
    return check_one(request, tx, &names, STR_NONE, asked);
}
