/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon: puts the rings together, in order, and takes them apart in reverse. It and machines.c are
 * the only files that name implementations.
 */
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "actions/tenant.h"
#include "base/keygen.h"
#include "base/log.h"
#include "base/notify.h"
#include "main/build.h"
#include "main/command_line.h"
#include "main/folder.h"
#include "http/http.h"
#include "main/machines.h"
#include "main/migrate.h"
#include "main/privilege.h"
#include "main/reaper.h"

#define START_ARENA_BYTES ((size_t)16 << 20) /* command line, options and what start-up says */
#define CREDENTIAL_BYTES_MIN 8 /* as CreateKey has it */
#define CREDENTIAL_BYTES_MAX 128
#define DRAIN_US (10 * USEC_PER_SEC)         /* for calls that have begun, at the end */
#define PATIENCE_US (10 * USEC_PER_SEC)      /* then, for calls to hosts */

struct daemon {
    struct command_line line;
    struct arena arena;
    struct str wish_id; /* of the first key; with its secret, as the environment had them */
    struct str wish_secret;
    struct env *env;
    struct store *store;
    struct hypervisor *hypervisor;
    struct engine *engine;
    struct gateway *gateway;
    struct http *http;
    bool store_started;
    bool engine_started;
    bool http_started;
};

/* ── the process ── */

/* What libraries and the system do by default is meant for other programs than one with many idle connections. */
static void tune_process(const struct options *options)
{
    struct rlimit files;

    /* Few heaps: threads hand memory to each other, and each further heap is kept for good. */
    (void)mallopt(M_ARENA_MAX, 2);
    (void)mallopt(M_TRIM_THRESHOLD, 1 << 20);
    (void)mallopt(M_MMAP_THRESHOLD, 256 << 10);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGXFSZ, SIG_IGN); /* a file at its limit is a full disk: the write fails, and the caller is told */
    if (getrlimit(RLIMIT_NOFILE, &files) < 0)
        return;
    files.rlim_cur = MIN_OF(files.rlim_max, MAX_OF(files.rlim_cur, (rlim_t)options->http_max_connections + 256));
    (void)setrlimit(RLIMIT_NOFILE, &files); /* else fewer connections: http looks at what is allowed */
    if (files.rlim_cur < (rlim_t)options->http_max_connections + 64)
        log_warning("fewer files may be open than http.max_connections asks for; raise `ulimit -n`",
                    LOG_NUM("files", files.rlim_cur), LOG_NUM("connections", options->http_max_connections));
}

static void drop_privileges(const struct command_line *line)
{
    enum privilege_needs needs = machines_are_embedded(line) ? PRIVILEGE_EMBEDDED
                                 : machines_are_real(line)   ? PRIVILEGE_REMOTE
                                                             : PRIVILEGE_SIMULATED;

    if (!privilege_drop(needs))
        log_warning("the system did not let go of all privileges that are not needed");
}

static void wanted_signals(sigset_t *set)
{
    (void)sigemptyset(set);
    (void)sigaddset(set, SIGTERM);
    (void)sigaddset(set, SIGINT);
    (void)sigaddset(set, SIGHUP);
}

/* Until TERM or INT. */
static void wait_for_signal(void)
{
    usec_t beat_us = notify_watchdog_us();
    struct timespec beat = {.tv_sec = (time_t)(beat_us / USEC_PER_SEC), .tv_nsec = (long)(beat_us % USEC_PER_SEC) * 1000};
    sigset_t set;

    wanted_signals(&set);
    for (;;) {
        int number = beat_us > 0 ? sigtimedwait(&set, NULL, &beat) : sigwaitinfo(&set, NULL);

        if (number < 0 && errno == EAGAIN)
            (void)notify_send("WATCHDOG=1");
        if (number == SIGHUP)
            log_notice("HUP: options are read at start only");
        if (number == SIGTERM || number == SIGINT) {
            log_notice("stopping", LOG_TEXT("signal", number == SIGTERM ? "TERM" : "INT"));
            (void)sigprocmask(SIG_UNBLOCK, &set, NULL); /* a second one ends us at once: the store can take it */
            return;
        }
    }
}

/* ── the first start ── */

struct bootstrap {
    const struct options *options;
    struct str machines; /* URL of the hosts */
    struct str key_id;   /* absent: made */
    struct str key_secret;
    struct fail *fail;
};

static int bootstrap_run(struct tx *tx, void *arg)
{
    const struct bootstrap *bootstrap = arg;
    struct tenant_order order = {
        .name = STR("default"),
        .stopped_mode = bootstrap->options->account_stopped_mode == ACCOUNT_STOPPED_MODE_STOP_CHARGING
                            ? STOPPED_MODE_STOP_CHARGING
                            : STOPPED_MODE_KEEP_CHARGING,
        .access_key_id = bootstrap->key_id,
        .access_key_secret = bootstrap->key_secret,
    };
    struct access_key *key;
    bool made;

    return tenant_bootstrap(tx, bootstrap->options, bootstrap->machines, &order, &made, &key, bootstrap->fail);
}

/* The first key of the first account that still works. */
static int write_credentials(struct daemon *daemon, struct fail *fail)
{
    struct tx *tx = store_read_begin(daemon->store);
    struct account *accounts = NULL;
    struct access_key *keys = NULL;
    size_t account_count = 0;
    size_t key_count = 0;
    int r = store_account_list(tx, &accounts, &account_count);

    if (r == 0 && account_count > 0)
        r = store_key_list(tx, accounts[0].id, &keys, &key_count);
    for (size_t i = 0; i < key_count && r == 0; i++) {
        struct str text;

        if (!keys[i].enabled || keys[i].token.ptr)
            continue;
        text = arena_printf(fail->arena, "access_key_id = %.*s\naccess_key_secret = %.*s\n", STR_ARG(keys[i].id),
                            STR_ARG(keys[i].secret));
        r = folder_write(daemon->line.data, "credentials", text, 0600, true, fail);
        break;
    }
    store_read_end(tx);
    return r;
}

static bool credential_is_good(struct str text)
{
    return str_is_token(text) && text.len >= CREDENTIAL_BYTES_MIN && text.len <= CREDENTIAL_BYTES_MAX;
}

/* A secret does not stay in the environment: before there is a child or a thread. */
static void take_wish(struct daemon *daemon)
{
    daemon->wish_id = arena_str(&daemon->arena, str_from(getenv("ECSD_ACCESS_KEY_ID")));
    daemon->wish_secret = arena_str(&daemon->arena, str_from(getenv("ECSD_ACCESS_KEY_SECRET")));
    privilege_forget("ECSD_ACCESS_KEY_ID");
    privilege_forget("ECSD_ACCESS_KEY_SECRET");
}

/* What the first key is to be, if somebody has a wish; an empty variable is none. */
static int read_wish(struct bootstrap *order, struct str id, struct str secret)
{
    if (str_empty(id) && str_empty(secret))
        return 0;
    if (!credential_is_good(id) || !credential_is_good(secret))
        return fail_text(order->fail, E_INVALID,
                         "ECSD_ACCESS_KEY_ID and ECSD_ACCESS_KEY_SECRET: give both or neither, each %d to %d printable ASCII "
                         "characters without blanks",
                         CREDENTIAL_BYTES_MIN, CREDENTIAL_BYTES_MAX);
    order->key_id = id;
    order->key_secret = secret;
    return 0;
}

static int is_first_start(struct store *store, bool *ret)
{
    struct tx *tx = store_read_begin(store);
    struct account *accounts;
    size_t count;
    int r = store_account_list(tx, &accounts, &count);

    store_read_end(tx);
    if (r == 0)
        *ret = count == 0;
    return r;
}

/* Also after a crash between the account's commit and the file. */
static int bootstrap(struct daemon *daemon, struct fail *fail)
{
    struct bootstrap order = {
        .options = &daemon->line.options.values, .machines = machines_url(&daemon->line), .fail = fail};
    bool first = false;
    int r = is_first_start(daemon->store, &first);

    if (r == 0 && first)
        r = read_wish(&order, daemon->wish_id, daemon->wish_secret);
    if (r == 0)
        r = store_write(daemon->store, bootstrap_run, &order);
    if (r < 0)
        return fail->code ? r : fail_text(fail, E_IO, "can't set up the store in %s", daemon->line.data);
    if (access(folder_path(fail->arena, daemon->line.data, "credentials"), F_OK) == 0)
        return 0;
    return write_credentials(daemon, fail);
}

/* ── start, in order ── */

static int start_store(struct daemon *daemon, struct fail *fail)
{
    const struct options *options = &daemon->line.options.values;
    struct store_settings settings = {
        .cache_mib = options->store_cache_mib,
        .checkpoint_ms = options->store_checkpoint_ms,
        .folder = daemon->line.data,
        .node = daemon->line.node,
        .env = daemon->env,
    };
    const char *url = daemon->line.store;
    int r;

    if (!url)
        url = arena_printf(&daemon->arena, "sqlite:%s/ecsd.db", daemon->line.data).ptr;
    r = store_open(url, &settings, fail, &daemon->store);
    if (r < 0)
        return r;
    r = store_start(daemon->store);
    if (r < 0)
        return fail_text(fail, E_IO, "can't start the store's threads");
    daemon->store_started = true;
    return bootstrap(daemon, fail);
}

/* Rows carry times: what is started on them later must not live before them. */
static int restore_clock(struct daemon *daemon, struct fail *fail)
{
    int r = daemon->line.virtual_clock ? engine_clock_restore(daemon->store, daemon->env) : 0;

    return r < 0 ? fail_text(fail, E_IO, "can't read from the store where the virtual clock stands") : 0;
}

static int open_engine(struct daemon *daemon, struct fail *fail)
{
    struct engine_settings settings = {
        .store = daemon->store,
        .hypervisor = daemon->hypervisor,
        .env = daemon->env,
        .options = &daemon->line.options.values,
        .node = daemon->line.node,
        .shared = store_is_shared(daemon->store),
        .own_machines = machines_are_own(&daemon->line),
    };

    return engine_open(&settings, fail, &daemon->engine);
}

static int open_gateway(struct daemon *daemon, struct fail *fail)
{
    struct gateway_settings settings = {
        .store = daemon->store,
        .engine = daemon->engine,
        .env = daemon->env,
        .options = &daemon->line.options.values,
    };

    return gateway_open(&settings, fail, &daemon->gateway);
}

static const char *unready(void *arg)
{
    return engine_unready(arg);
}

/* What the rings count whose labels base does not know. */
static void print_metrics(void *arg, struct buf *out)
{
    gateway_metrics(out);
    engine_metrics(arg, out);
}

static int open_http(struct daemon *daemon, struct fail *fail)
{
    struct http_settings settings = {
        .gateway = daemon->gateway,
        .env = daemon->env,
        .options = &daemon->line.options.values,
        .listen = daemon->line.listen,
        .listen_tls = daemon->line.listen_tls,
        .listen_admin = daemon->line.listen_admin,
        .operator_path = folder_path(&daemon->arena, daemon->line.data, "admin.sock"),
        .dir = daemon->line.data,
        .unready = unready,
        .unready_arg = daemon->engine,
        .metrics = print_metrics,
        .metrics_arg = daemon->engine,
    };

    settings.health = arena_printf(&daemon->arena, "{\"status\":\"ok\",\"version\":\"%s\",\"machines\":\"%.*s\",\"clock\":\"%s\"}\n",
                                   build_version, STR_ARG(machines_text(&daemon->line, daemon->hypervisor, &daemon->arena)), daemon->line.virtual_clock ? "virtual" : "real");
    return http_open(&settings, fail, &daemon->http);
}

/* host:port as a client may use it: an address that means "all" is not one. */
static struct str client_address(struct arena *arena, struct str address)
{
    if (str_starts(address, STR("0.0.0.0:")))
        return arena_printf(arena, "127.0.0.1:%.*s", (int)address.len - 8, address.ptr + 8);
    if (str_starts(address, STR("[::]:")))
        return arena_printf(arena, "[::1]:%.*s", (int)address.len - 5, address.ptr + 5);
    return address;
}

static void forget_endpoint(struct daemon *daemon)
{
    (void)unlink(folder_path(&daemon->arena, daemon->line.data, "endpoint"));
    (void)unlink(folder_path(&daemon->arena, daemon->line.data, "endpoint-tls"));
}

/* The file `endpoint` comes last: who finds it finds the other one too. */
static int announce(struct daemon *daemon, struct fail *fail)
{
    struct str address = client_address(&daemon->arena, http_address(daemon->http, HTTP_LISTENER_PLAIN));
    struct str tls = http_address(daemon->http, HTTP_LISTENER_TLS);
    struct str admin = http_address(daemon->http, HTTP_LISTENER_ADMIN);
    struct str text = arena_printf(&daemon->arena, "http://%.*s\n", STR_ARG(address));
    int r = 0;

    if (tls.ptr)
        r = folder_write(daemon->line.data, "endpoint-tls",
                         arena_printf(&daemon->arena, "https://%.*s\n", STR_ARG(client_address(&daemon->arena, tls))), 0644, false,
                         fail);
    if (r == 0)
        r = folder_write(daemon->line.data, "endpoint", text, 0644, false, fail);
    if (r < 0)
        return r;
    log_notice("ecsd answers", LOG_TEXT("version", build_version), LOG_STR("http", address), LOG_STR("https", tls),
               LOG_STR("admin", admin), LOG_TEXT("data", daemon->line.data), 
               LOG_STR("machines", machines_text(&daemon->line, daemon->hypervisor, &daemon->arena)));
    (void)notify_send("READY=1");
    return 0;
}

static int start(struct daemon *daemon, struct fail *fail)
{
    int r = folder_make(daemon->line.data, fail);

    if (r == 0)
        r = start_store(daemon, fail);
    if (r < 0)
        return r;
    /* The store's lock says that nobody else serves this folder: an old endpoint is a lie. */
    forget_endpoint(daemon);
    r = restore_clock(daemon, fail);
    if (r == 0)
        r = machines_open(&daemon->line, daemon->env, &daemon->arena, fail, &daemon->hypervisor);
    if (r == 0)
        r = open_engine(daemon, fail);
    if (r == 0)
        r = open_gateway(daemon, fail);
    if (r == 0)
        r = open_http(daemon, fail);
    if (r == 0)
        r = engine_start(daemon->engine, fail);
    if (r < 0)
        return r;
    daemon->engine_started = true;
    r = keygen_start();
    if (r < 0)
        return fail_text(fail, E_IO, "can't start the thread that makes keys");
    daemon->http_started = true;
    r = http_start(daemon->http, fail);
    return r < 0 ? r : announce(daemon, fail);
}

/* ── stop, in reverse; works on what a failed start left ── */

/* False: some thread is still in a call to a host or the database, and uses what would be taken apart. What is stored is safe. */
static bool stop(struct daemon *daemon)
{
    bool idle = true;

    (void)notify_send("STOPPING=1");
    if (daemon->http_started) {
        forget_endpoint(daemon);
        idle = http_stop(daemon->http, DRAIN_US);
    }
    if (daemon->engine_started)
        idle = engine_stop(daemon->engine, PATIENCE_US) && idle;
    if (daemon->store_started)
        store_stop(daemon->store);
    if (!idle)
        return false;
    keygen_stop();
    daemon->http = http_close(daemon->http);
    daemon->gateway = gateway_close(daemon->gateway);
    daemon->engine = engine_close(daemon->engine);
    daemon->hypervisor = hypervisor_close(daemon->hypervisor);
    daemon->store = store_close(daemon->store);
    daemon->env = env_free(daemon->env);
    return true;
}

static struct env *make_env(bool virtual_clock)
{
    struct env *env = env_new_real();
    usec_t now = env_now(env);

    if (!virtual_clock)
        return env;
    (void)env_free(env);
    return env_new_virtual(now);
}

int main(int argc, char **argv)
{
    struct daemon daemon = {0};
    struct fail fail;
    sigset_t signals;
    int status = 0;
    bool idle;

    (void)umask(077); /* the store, its log and the journal hold secrets, whatever the folder's mode */
    if (argc > 1 && strcmp(argv[1], "migrate") == 0)
        return migrate_main(argc - 2, argv + 2);
    arena_init(&daemon.arena, START_ARENA_BYTES);
    switch (command_line_read(argc, argv, &daemon.arena, &daemon.line)) {
    case COMMAND_DONE:
        arena_done(&daemon.arena);
        return 0;
    case COMMAND_BAD:
        arena_done(&daemon.arena);
        return 2;
    case COMMAND_RUN:
        break;
    }
    log_threshold = (enum log_level)(LOG_ERROR + daemon.line.options.values.log_level);
    error_profile_set_current(daemon.line.options.values.compat_profile == COMPAT_PROFILE_CURRENT);
    tune_process(&daemon.line.options.values);
    drop_privileges(&daemon.line);
    take_wish(&daemon);
    wanted_signals(&signals);
    (void)sigprocmask(SIG_BLOCK, &signals, NULL); /* before there are threads: they inherit it */
    if (machines_are_embedded(&daemon.line) && reaper_is_needed() && reaper_start() < 0)
        log_warning("can't become the child of a process that collects ended machines; stops may take seconds longer");
    daemon.env = make_env(daemon.line.virtual_clock);
    fail_init(&fail, &daemon.arena);
    if (start(&daemon, &fail) == 0) {
        wait_for_signal();
    } else {
        (void)fprintf(stderr, "ecsd: %.*s\n", STR_ARG(fail.message));
        status = fail.code == E_INVALID ? 2 : 1;
    }
    idle = stop(&daemon);
    if (status == 0)
        log_notice("stopped");
    if (!idle)
        _exit(status);
    arena_done(&daemon.arena);
    return status;
}
