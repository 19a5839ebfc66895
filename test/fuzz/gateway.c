/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The whole gateway over a real store, engine and simulated hosts. Input: raw requests, "\n====\n" between two of them. A
 * first line "!v1", "!v3" or "!key" has us sign what follows (V1, V3, V1 by a key that a policy binds), "!op" sends it over
 * the operator's socket. Whatever comes gets one documented reply; what is not signed changes nothing, what is refused leaves
 * nothing but its nonce, and what was carried out is not carried out again.
 */
#define WORLD_FOLDER "/dev/shm"

#include "unit/unit.h"

#include "fuzz/raw_call.h"

#include <jansson.h>

#include "fuzz/db_kit.h"
#include "fuzz/sign_kit.h"
#include "fuzz/xml_kit.h"
#include "gateway/request.h"
#include "unit/engine_world.h"

#define CALLS_MAX 6
#define SEPARATOR STR("\n====\n")

static struct site {
    struct world *world; /* NULL: not open */
    struct gateway *gateway;
    struct db *db;
    bool changed; /* the next input needs a new world */
    /* the call under way */
    int replies;
    int suspended;
    int status;
    struct str body;
    struct str code; /* of an error; absent: none */
    struct str request_id;
    struct arena *arena;
} site;

/* ── the world ── */

static int insert_tenant(struct tx *tx, void *arg)
{
    const struct account account = {.id = ACCOUNT, .name = STR("fuzz")};
    const struct access_key keys[] = {
        {.id = SIGN_KEY, .secret = SIGN_SECRET, .account_id = ACCOUNT, .enabled = true},
        {.id = SIGN_BOUND_KEY,
         .secret = SIGN_SECRET,
         .account_id = ACCOUNT,
         .enabled = true,
         .policy = STR("{\"Version\":\"1\",\"Statement\":[{\"Effect\":\"Allow\",\"Action\":\"ecs:*\",\"Resource\":\"*\"},"
                       "{\"Effect\":\"Deny\",\"Action\":\"ecs:Delete*\",\"Resource\":\"*\"}]}")},
    };
    int r = store_account_insert(tx, &account);

    (void)arg; /* the same every time */
    for (size_t i = 0; i < countof(keys) && r == 0; i++)
        r = store_key_insert(tx, &keys[i]);
    return r;
}

static void add_instance(struct world *world, struct str id, bool start)
{
    struct ordered order = {.kind = ORDER_CREATE, .id = id, .type = "ecs.g6.large", .start = start, .public_ip = true};

    assert(world_order(world, order) == 0);
    world_await(world, id, start ? INSTANCE_STATE_RUNNING : INSTANCE_STATE_STOPPED, SECONDS(60));
}

/* The files of the world as it was made: it is put back from them, which is quicker than making it. */
static struct kept_file {
    const char *name;
    struct buf bytes;
} kept_files[] = {{.name = "ecsd.db"}, {.name = "sim.journal"}};

static void file_path(const char *name, char path[96])
{
    (void)snprintf(path, 96, "%s/%s", site.world->dir, name); /* it fits */
}

static void keep_files(void)
{
    for (size_t i = 0; i < countof(kept_files); i++) {
        struct buf *bytes = &kept_files[i].bytes;
        char path[96];
        FILE *file;
        int c;

        file_path(kept_files[i].name, path);
        buf_init(bytes, 16u << 20);
        file = fopen(path, "re");
        assert(file);
        while ((c = fgetc(file)) != EOF)
            buf_add_char(bytes, (char)c);
        assert(bytes->len > 0 && !bytes->full);
        (void)fclose(file); /* only read */
    }
}

static void put_files_back(void)
{
    static const char *const others[] = {"ecsd.db-wal", "ecsd.db-shm"};
    char path[96];

    for (size_t i = 0; i < countof(kept_files); i++) {
        FILE *file;

        file_path(kept_files[i].name, path);
        file = fopen(path, "we");
        assert(file && fwrite(kept_files[i].bytes.ptr, 1, kept_files[i].bytes.len, file) == kept_files[i].bytes.len);
        assert(fclose(file) == 0);
    }
    for (size_t i = 0; i < countof(others); i++) {
        file_path(others[i], path);
        (void)unlink(path); /* a closed store leaves none */
    }
}

static void close_parts(void)
{
    site.db = db_close(site.db);
    site.gateway = gateway_close(site.gateway);
}

static void close_site(void)
{
    close_parts();
    world_close(site.world);
    for (size_t i = 0; i < countof(kept_files); i++)
        buf_done(&kept_files[i].bytes);
}

static void make_world(void)
{
    site.world = world_open();
    world_set(site.world, "log.calls", "none");
    log_threshold = LOG_ERROR;
    assert(store_write(site.world->store, insert_tenant, NULL) == 0);
    add_instance(site.world, STR("i-1"), true);
    add_instance(site.world, STR("i-2"), false);
    world_kill(site.world);
    keep_files();
    assert(atexit(close_site) == 0);
}

static void open_site(void)
{
    struct world *world = site.world;
    struct gateway_settings settings;
    char path[96];

    if (world) {
        close_parts();
        world_kill(world);
    } else {
        make_world();
        world = site.world;
    }
    put_files_back();
    world->env = env_free(world->env);
    world->env = env_new_seeded(42, SECONDS(1800001000)); /* a little after it was made */
    world_up(world);
    settings = (struct gateway_settings){
        .store = world->store, .engine = world->engine, .env = world->env, .options = &world->options.values};
    assert(gateway_open(&settings, &world->fail, &site.gateway) == 0);
    file_path("ecsd.db", path);
    site.db = db_open(path);
    site.changed = false;
}

/* ── replies ── */

static struct str header_of(const struct reply *reply, struct str name)
{
    for (size_t i = 0; i < reply->header_count; i++)
        if (str_eq_nocase(reply->headers[i].name, name))
            return reply->headers[i].value;
    return STR_NONE;
}

/* A text, of which *at is the quote before its length (xml_kit.h); *at is then behind it. */
static struct str take_text(struct str events, size_t *at)
{
    char *end;
    size_t len = strtoul(events.ptr + *at + 1, &end, 10);
    struct str text = str_slice(end + 1, len);

    assert(*end == ':' && fuzz_inside(text, events));
    *at = (size_t)(text.ptr - events.ptr) + len;
    return text;
}

/* The text of the first element of that name. Texts are stepped over: they hold what the caller sent. */
static struct str element_text(struct str events, struct str name)
{
    bool here = false;

    for (size_t at = 0; at < events.len;) {
        struct str rest = str_slice(events.ptr + at, events.len - at);

        if (rest.ptr[0] == '\'') {
            struct str text = take_text(events, &at);

            if (here)
                return text;
            continue;
        }
        if (rest.ptr[0] == '(' || rest.ptr[0] == ')')
            here = rest.len > name.len + 1 && rest.ptr[0] == '(' && memcmp(rest.ptr + 1, name.ptr, name.len) == 0 &&
                   rest.ptr[name.len + 1] == '\'';
        at++;
    }
    return STR_NONE;
}

static void read_xml(struct str body)
{
    struct buf events;
    struct str text;

    buf_init(&events, LIMIT_REPLY_BYTES);
    assert(xml_events(body, &events));
    text = arena_str(site.arena, buf_str(&events));
    site.request_id = element_text(text, STR("RequestId"));
    if (str_starts(text, STR("(Error(")))
        site.code = element_text(text, STR("Code"));
    buf_done(&events);
}

static void read_json(struct str body)
{
    json_t *root = json_loadb(body.ptr, body.len, JSON_REJECT_DUPLICATES, NULL);

    assert(json_is_object(root));
    site.request_id = arena_str(site.arena, str_from(json_string_value(json_object_get(root, "RequestId"))));
    if (json_object_get(root, "HostId"))
        site.code = arena_str(site.arena, str_from(json_string_value(json_object_get(root, "Code"))));
    json_decref(root);
}

/* A code of the table under its status, and not one that hides a failure of ours. */
static bool is_documented(struct str code, int status)
{
    for (int i = E_LIMIT + 1; i < E_COUNT; i++)
        if (str_eq(code, str_from(error_code_text((enum error_code)i))) && status == error_status((enum error_code)i))
            return i != E_INTERNAL_ERROR;
    return false;
}

static void check_reply(const struct reply *reply)
{
    struct str type = header_of(reply, STR("content-type"));
    bool json = str_eq(type, STR("application/json;charset=utf-8"));

    assert(json || str_eq(type, STR("text/xml;charset=utf-8")));
    site.code = STR_NONE;
    site.body = arena_str(site.arena, reply->body);
    site.status = reply->status;
    if (reply->body.len == 0) { /* the answer to OPTIONS */
        assert(reply->status == 200 && !str_empty(header_of(reply, STR("access-control-max-age"))));
        return;
    }
    (json ? read_json : read_xml)(reply->body);
    assert(site.request_id.len == 36 && str_eq(site.request_id, header_of(reply, STR("x-acs-request-id"))));
    if (reply->status == 200)
        assert(!site.code.ptr);
    else
        assert(is_documented(site.code, reply->status));
}

static void take_suspend(void *arg)
{
    (void)arg; /* there is one site */
    assert(site.replies == 0);
    site.suspended++;
}

static void take_reply(void *arg, const struct reply *reply)
{
    (void)arg; /* as above */
    site.replies++;
    check_reply(reply);
}

/* ── calls ── */

static void handle(const struct call *call)
{
    site.replies = site.suspended = 0;
    gateway_handle(site.gateway, call, take_suspend, take_reply, NULL);
    assert(site.replies == (site.suspended ? 0 : 1) && site.suspended <= 1);
    assert(store_queue_length(site.world->store) == (size_t)site.suspended);
    while (store_run_once(site.world->store) > 0)
        continue;
    assert(site.replies == 1);
}

/* Nobody signed it. */
static void check_stranger(const struct call *call)
{
    int64_t version = db_version(site.db);

    handle(call);
    assert(site.suspended == 0 && db_version(site.db) == version);
    assert(site.status != 200 || str_eq(call->method, STR("OPTIONS")));
}

static void check_known(const struct call *call)
{
    uint64_t before = db_digest(site.db);
    int64_t version = db_version(site.db);

    handle(call);
    if (site.status != 200)
        assert(db_digest(site.db) == before);
    else if (site.suspended)
        site.changed = true;
    else
        assert(db_version(site.db) == version);
    /* The nonce of a write that was refused stays; no other input sends it (sign_kit.c). */
    if (site.status != 200 || call->operator_socket || str_eq(call->method, STR("OPTIONS")))
        return;
    before = db_digest(site.db);
    handle(call);
    assert(str_eq(site.code, STR("SignatureNonceUsed")) && db_digest(site.db) == before);
}

static void refuse_bytes(struct arena *arena)
{
    struct call call = {.source_ip = STR("192.0.2.1"), .arena = arena};
    struct reply reply;

    gateway_refuse(site.gateway, &call, E_BAD_REQUEST, &reply);
    check_reply(&reply);
    assert(reply.status == 400);
}

static void run_call(struct arena *arena, struct str text)
{
    struct call call;
    struct str line = STR_NONE;

    site.arena = arena;
    if (text.len > 0 && text.ptr[0] == '!')
        (void)str_split(text, '\n', &line, &text); /* false: nothing follows */
    if (!raw_call_read(arena, text, &call)) {
        refuse_bytes(arena);
        return;
    }
    if (str_eq(line, STR("!op"))) {
        call.operator_socket = true;
    } else if (str_eq(line, STR("!v1")) || str_eq(line, STR("!key"))) {
        call = sign_v1(&call, str_eq(line, STR("!v1")) ? SIGN_KEY : SIGN_BOUND_KEY, env_now(site.world->env));
    } else if (str_eq(line, STR("!v3"))) {
        call = sign_v3(&call, env_now(site.world->env));
    } else {
        check_stranger(&call);
        return;
    }
    check_known(&call);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str rest = fuzz_input(data, size);

    if (!site.world || site.changed)
        open_site();
    sign_reset();
    for (int i = 0; i < CALLS_MAX && rest.len > 0; i++) {
        const char *at = memmem(rest.ptr, rest.len, SEPARATOR.ptr, SEPARATOR.len);
        size_t len = at ? (size_t)(at - rest.ptr) : rest.len;
        size_t next = MIN_OF(len + SEPARATOR.len, rest.len);
        struct arena arena;

        arena_init(&arena, LIMIT_CALL_ARENA_BYTES);
        run_call(&arena, str_slice(rest.ptr, len));
        arena_done(&arena);
        rest = str_slice(rest.ptr + next, rest.len - next);
        if (site.changed)
            world_pass(site.world, SECONDS(1));
    }
    return 0;
}
