/* SPDX-License-Identifier: Apache-2.0 */
/* Every vector of test/data/vectors.json: canonical text, string to sign, signature; and what must
 * not fit. */
#include "unit/unit.h"

#include <jansson.h>

#include "gateway/auth_v1.h"
#include "gateway/auth_v3.h"

static json_t *vectors;
static struct arena arena;

static int load(void **state)
{
    json_error_t error;

    (void)state; /* the file is */
    vectors = json_load_file(TEST_DATA "/vectors.json", JSON_REJECT_DUPLICATES, &error);
    return vectors ? 0 : -1;
}

static int unload(void **state)
{
    (void)state; /* as above */
    json_decref(vectors);
    return 0;
}

static int set_up(void **state)
{
    (void)state; /* the arena is */
    arena_init(&arena, LIMIT_CALL_ARENA_BYTES);
    return 0;
}

static int tear_down(void **state)
{
    (void)state; /* as above */
    arena_done(&arena);
    return 0;
}

static struct str text_of(const json_t *vector, const char *name)
{
    const json_t *value = json_object_get(vector, name);

    assert_true(json_is_string(value));
    return str_slice(json_string_value(value), json_string_length(value));
}

static void add_all(struct params *params, json_t *object, enum param_source source)
{
    const char *name;
    json_t *value;

    json_object_foreach(object, name, value)
    {
        struct param param = {
            .name = str_from(name), .value = str_from(json_string_value(value)), .source = source};

        assert_int_equal(params_add_pair(params, &arena, param, NULL), 0);
    }
}

static struct params params_of(const json_t *vector)
{
    struct params params = {.count = 0};

    add_all(&params, json_object_get(vector, "query"), PARAM_QUERY);
    add_all(&params, json_object_get(vector, "form"), PARAM_FORM);
    params_sort(&params);
    return params;
}

static void v1_vectors(void **state)
{
    json_t *list = json_object_get(vectors, "v1");
    json_t *vector;
    size_t index;

    (void)state; /* the arena is */
    assert_int_equal(json_array_size(list), 10);
    json_array_foreach(list, index, vector)
    {
        struct params params = params_of(vector);
        struct str method = text_of(vector, "method");
        struct str string = auth_v1_string(&arena, method, &params, false);
        struct str mine;

        assert_str(string, text_of(vector, "string_to_sign").ptr);
        assert_str(auth_v1_sign(&arena, HASH_SHA1, text_of(vector, "secret"), string),
                   text_of(vector, "signature").ptr);
        assert_true(auth_v1_matches(&arena, method, &params, HASH_SHA1, text_of(vector, "secret"),
                                    text_of(vector, "signature"), &mine));
        /* What must not fit: another secret, another method, a parameter more. */
        assert_false(auth_v1_matches(&arena, method, &params, HASH_SHA1, STR("wrong"),
                                     text_of(vector, "signature"), &mine));
        assert_str(mine, text_of(vector, "string_to_sign").ptr);
        assert_false(auth_v1_matches(&arena, str_eq(method, STR("GET")) ? STR("POST") : STR("GET"),
                                     &params, HASH_SHA1, text_of(vector, "secret"),
                                     text_of(vector, "signature"), &mine));
        assert_int_equal(params_add(&params, &arena, STR("Extra=1"), PARAM_QUERY, NULL), 0);
        params_sort(&params);
        assert_false(auth_v1_matches(&arena, method, &params, HASH_SHA1, text_of(vector, "secret"),
                                     text_of(vector, "signature"), &mine));
    }
}

/* The signature that an old edition of the documentation printed for the first vector belongs to
 * nothing. */
static void v1_old_documentation_never_fits(void **state)
{
    const json_t *vector = json_array_get(json_object_get(vectors, "v1"), 0);
    struct params params = params_of(vector);
    struct str mine;

    (void)state; /* the arena is */
    assert_false(auth_v1_matches(&arena, STR("GET"), &params, HASH_SHA1, text_of(vector, "secret"),
                                 STR("CT9X0VtwR86fNWSnsc6v8YGOjuE="), &mine));
}

static bool v1_fits(const char *query, const char *form, struct str signed_string)
{
    struct params params = {.count = 0};
    struct str signature = auth_v1_sign(&arena, HASH_SHA1, STR("s"), signed_string);
    struct str mine;

    assert_int_equal(params_add(&params, &arena, str_from(query), PARAM_QUERY, NULL), 0);
    assert_int_equal(params_add(&params, &arena, str_from(form), PARAM_FORM, NULL), 0);
    params_sort(&params);
    return auth_v1_matches(&arena, STR("POST"), &params, HASH_SHA1, STR("s"), signature, &mine);
}

static void v1_takes_what_clients_differ_in(void **state)
{
    (void)state; /* the arena is */
    /* PHP leaves out empty values; Java lets the query win, Go the form. */
    assert_true(v1_fits("A=1&B=", "", STR("POST&%2F&A%3D1")));
    assert_true(v1_fits("A=1&B=", "", STR("POST&%2F&A%3D1%26B%3D")));
    assert_true(v1_fits("A=1", "A=2", STR("POST&%2F&A%3D2")));
    assert_true(v1_fits("A=1", "A=2", STR("POST&%2F&A%3D1")));
    assert_false(v1_fits("A=1", "A=2", STR("POST&%2F&A%3D1%26A%3D2")));
    assert_false(v1_fits("A=1&B=", "", STR("POST&%2F&")));
}

/* PHP signs no empty values: then they do not count, whoever put them there. */
static void v1_unsigned_empty_values_are_gone(void **state)
{
    struct params params = {.count = 0};
    struct str signature = auth_v1_sign(&arena, HASH_SHA1, STR("s"), STR("POST&%2F&A%3D1"));
    struct str mine;

    (void)state; /* the arena is */
    assert_int_equal(params_add(&params, &arena, STR("A=1&Description="), PARAM_QUERY, NULL), 0);
    params_sort(&params);
    assert_str(params_get(&params, STR("Description")), "");
    assert_true(auth_v1_matches(&arena, STR("POST"), &params, HASH_SHA1, STR("s"), signature, &mine));
    assert_null(params_get(&params, STR("Description")).ptr);
    assert_str(params_get(&params, STR("A")), "1");
}

/* ── V3 ── */

struct v3 {
    struct call call;
    struct params params;
    struct auth_v3_fields fields;
};

static struct v3 v3_of(const json_t *vector)
{
    json_t *headers = json_object_get(vector, "headers");
    struct header *items = arena_array(&arena, struct header, json_object_size(headers));
    struct v3 v3 = {.call = {.method = text_of(vector, "method"),
                             .headers = items,
                             .body = text_of(vector, "body")}};
    const char *name;
    json_t *value;

    json_object_foreach(headers, name, value)
    {
        items[v3.call.header_count++] =
            (struct header){str_from(name), str_from(json_string_value(value))};
        if (strcmp(name, "authorization") == 0)
            v3.fields = auth_v3_parse(str_from(json_string_value(value)));
    }
    v3.params = params_of(vector);
    return v3;
}

static bool v3_fits(const struct v3 *v3, struct str secret)
{
    struct str string;
    struct str canonical;

    return auth_v3_matches(&arena, &v3->call, &v3->params, &v3->fields, secret, &string,
                           &canonical);
}

static void v3_vectors(void **state)
{
    json_t *list = json_object_get(vectors, "v3");
    json_t *vector;
    size_t index;

    (void)state; /* the arena is */
    assert_int_equal(json_array_size(list), 12);
    json_array_foreach(list, index, vector)
    {
        struct v3 v3 = v3_of(vector);
        struct str secret = text_of(vector, "secret");
        struct str string;
        struct str canonical;

        assert_str(v3.fields.key_id, text_of(vector, "access_key_id").ptr);
        assert_str(v3.fields.signature, text_of(vector, "signature").ptr);
        assert_true(
            auth_v3_matches(&arena, &v3.call, &v3.params, &v3.fields, secret, &string, &canonical));
        assert_str(canonical, text_of(vector, "canonical_request").ptr);
        assert_str(string, text_of(vector, "string_to_sign").ptr);
        assert_str(auth_v3_sign(&arena, secret, string), text_of(vector, "signature").ptr);
        assert_false(v3_fits(&v3, STR("wrong")));
        v3.call.body = arena_printf(&arena, "%.*s ", STR_ARG(v3.call.body));
        assert_false(v3_fits(&v3, secret));
    }
}

static void v3_parses_fields_in_any_order(void **state)
{
    struct auth_v3_fields fields = auth_v3_parse(
        STR("ACS3-HMAC-SHA256  Credential=ak, Signature=00ff ,SignedHeaders=host;x-acs-date"));

    (void)state; /* needs none */
    assert_str(fields.algorithm, "ACS3-HMAC-SHA256");
    assert_str(fields.key_id, "ak");
    assert_str(fields.signature, "00ff");
    assert_str(fields.signed_headers, "host;x-acs-date");
    fields = auth_v3_parse(
        STR("ACS4-HMAC-SHA256 Credential=ak/20260101/cn/ecs/aliyun_v4_request,Signature=a"));
    assert_str(fields.key_id, "ak");
    assert_str(fields.signed_headers, NULL);
    fields = auth_v3_parse(STR("ACS3-HMAC-SHA256"));
    assert_str(fields.key_id, NULL);
}

/* The third vector, with one header replaced or left out of SignedHeaders. */
static void v3_binds_what_we_go_by(void **state)
{
    static const char *const used[] = {"host", "x-acs-action", "x-acs-version", "x-acs-date",
                                       "x-acs-signature-nonce"};
    const json_t *vector = json_array_get(json_object_get(vectors, "v3"), 2);

    (void)state; /* the arena is */
    for (size_t i = 0; i < countof(used); i++) {
        struct v3 v3 = v3_of(vector);
        struct header *headers = (struct header *)(uintptr_t)v3.call.headers;

        for (size_t k = 0; k < v3.call.header_count; k++)
            if (str_eq_nocase(headers[k].name, str_from(used[i])))
                headers[k].value = STR("other");
        assert_false(v3_fits(&v3, text_of(vector, "secret")));
    }
}

/* A signature that is right, but leaves out a header which decides what is done. */
static void v3_refuses_unsigned_action(void **state)
{
    struct header headers[] = {{STR("Host"), STR("h")},
                               {STR("x-acs-date"), STR("d")},
                               {STR("x-acs-signature-nonce"), STR("n")},
                               {STR("x-acs-version"), STR("v")},
                               {STR("x-acs-action"), STR("StopInstance")}};
    struct v3 v3 = {
        .call = {.method = STR("POST"), .headers = headers, .header_count = countof(headers)}};
    struct str payload = STR("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    struct str lists[] = {STR("host;x-acs-date;x-acs-signature-nonce;x-acs-version"),
                          STR("host;x-acs-action;x-acs-date;x-acs-signature-nonce;x-acs-version")};

    (void)state; /* the arena is */
    for (size_t i = 0; i < countof(lists); i++) {
        struct str canonical =
            auth_v3_canonical(&arena, &v3.call, &v3.params, lists[i], payload, false);

        v3.fields.signed_headers = lists[i];
        v3.fields.signature = auth_v3_sign(&arena, STR("s"), auth_v3_string(&arena, canonical));
        assert_int_equal(v3_fits(&v3, STR("s")), i == 1);
    }
}

/* Two headers of one name, or a list that nobody reads to its end: signed, but not bound to what is done. */
static void v3_refuses_what_a_signature_cannot_bind(void **state)
{
    struct header headers[] = {{STR("x-acs-action"), STR("StopInstance")},
                               {STR("X-Acs-Action"), STR("DeleteInstance")}};
    struct v3 v3 = {.call = {.method = STR("POST"), .headers = headers}};
    struct str payload = STR("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    struct str list = STR("x-acs-action");
    bool fits[3];

    (void)state; /* the arena is */
    for (int i = 0; i < 3; i++) { /* one header; two of it; one that stands behind 128 others */
        struct str canonical;

        for (int k = 0; i == 2 && k < 128; k++)
            list = arena_printf(&arena, "a;%.*s", STR_ARG(list));
        v3.call.header_count = i == 1 ? 2 : 1;
        canonical = auth_v3_canonical(&arena, &v3.call, &v3.params, list, payload, false);
        v3.fields.signed_headers = list;
        v3.fields.signature = auth_v3_sign(&arena, STR("s"), auth_v3_string(&arena, canonical));
        fits[i] = v3_fits(&v3, STR("s"));
    }
    assert_true(fits[0] && !fits[1] && !fits[2]);
}

/* Names with a special character: half of the SDKs encode them, half do not. */
static void v3_takes_raw_names(void **state)
{
    struct header headers[] = {{STR("host"), STR("h")}};
    struct str payload = STR("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");

    (void)state; /* the arena is */
    for (int raw = 0; raw < 2; raw++) {
        struct v3 v3 = {.call = {.method = STR("POST"), .headers = headers, .header_count = 1}};
        struct str canonical;

        assert_int_equal(params_add(&v3.params, &arena, STR("Map.%233%23key=v"), PARAM_QUERY, NULL),
                         0);
        canonical = auth_v3_canonical(&arena, &v3.call, &v3.params, STR("host"), payload, raw != 0);
        assert_true(str_contains(canonical, raw ? STR("Map.#3#key=v") : STR("Map.%233%23key=v")));
        v3.fields.signed_headers = STR("host");
        v3.fields.signature = auth_v3_sign(&arena, STR("s"), auth_v3_string(&arena, canonical));
        assert_true(v3_fits(&v3, STR("s")));
    }
}

/* The query with its right signature, under another query. */
static bool v3_fits_another(const char *query, const char *another)
{
    struct header headers[] = {{STR("host"), STR("h")}};
    struct str payload = STR("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    struct v3 v3 = {.call = {.method = STR("POST"), .headers = headers, .header_count = 1}};
    struct params sent = {.count = 0};
    struct str canonical;

    assert_int_equal(params_add(&v3.params, &arena, str_from(query), PARAM_QUERY, NULL), 0);
    assert_int_equal(params_add(&sent, &arena, str_from(another), PARAM_QUERY, NULL), 0);
    params_sort(&v3.params);
    params_sort(&sent);
    canonical = auth_v3_canonical(&arena, &v3.call, &v3.params, STR("host"), payload, false);
    v3.fields.signed_headers = STR("host");
    v3.fields.signature = auth_v3_sign(&arena, STR("s"), auth_v3_string(&arena, canonical));
    assert_true(v3_fits(&v3, STR("s")));
    v3.params = sent;
    return v3_fits(&v3, STR("s"));
}

/* Raw names are taken, but none that reads as several parameters, or as another name. */
static void v3_raw_names_hide_nothing(void **state)
{
    (void)state; /* the arena is */
    assert_true(v3_fits_another("A=1&B=2", "B=2&A=1"));
    assert_false(v3_fits_another("Amount=1&DryRun=true&Id=i", "Amount%3D1%26DryRun=true&Id=i"));
    assert_false(v3_fits_another("DryRun=&Id=i", "DryRun%3D%26Id=i"));
    assert_false(v3_fits_another("Map.%23a=v", "Map.%2523a=v"));
}

static void v3_joins_a_header_that_came_twice(void **state)
{
    struct header headers[] = {{STR("X-Acs-Tag"), STR(" b ")}, {STR("x-acs-tag"), STR("a")}};
    struct call call = {.method = STR("GET"), .headers = headers, .header_count = 2};
    struct params none = {.count = 0};

    (void)state; /* the arena is */
    assert_str(auth_v3_canonical(&arena, &call, &none, STR("x-acs-tag;x-none"), STR("p"), false),
               "GET\n/\n\nx-acs-tag:a,b\nx-none:\n\nx-acs-tag;x-none\np");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(v1_vectors),
        TEST(v1_old_documentation_never_fits),
        TEST(v1_takes_what_clients_differ_in),
        TEST(v1_unsigned_empty_values_are_gone),
        TEST(v3_vectors),
        TEST(v3_parses_fields_in_any_order),
        TEST(v3_binds_what_we_go_by),
        TEST(v3_refuses_unsigned_action),
        TEST(v3_refuses_what_a_signature_cannot_bind),
        TEST(v3_takes_raw_names),
        TEST(v3_raw_names_hide_nothing),
        TEST(v3_joins_a_header_that_came_twice),
    };

    return cmocka_run_group_tests(tests, load, unload);
}
