/* SPDX-License-Identifier: Apache-2.0 */
/* Connections for calls, over a played libvirt: nobody shares one, none is lost, a stuck QEMU keeps nobody out. */
#include "unit/unit.h"

#include <pthread.h>

#include "hypervisor/libvirt_impl.h"

struct played_conn {
    bool alive;
    bool watched; /* by keepalives */
    int references;
};

static struct played_conn conns[LIBVIRT_CONNECTIONS_MAX + 8];
static size_t opened;
static bool refuses;

struct world {
    struct libvirt libvirt;
    struct lv_host host;
};

static struct played_conn *played(virConnectPtr conn)
{
    return (struct played_conn *)(void *)conn;
}

static virConnectPtr open_conn(const char *uri, virConnectAuthPtr auth, unsigned flags)
{
    (void)auth;
    (void)flags;
    assert_string_equal(uri, "qemu+tls://far/system");
    if (refuses)
        return NULL;
    assert_true(opened < countof(conns));
    conns[opened] = (struct played_conn){.alive = true, .references = 1};
    return (virConnectPtr)(void *)&conns[opened++];
}

static int close_conn(virConnectPtr conn)
{
    return --played(conn)->references;
}

static int ref_conn(virConnectPtr conn)
{
    played(conn)->references++;
    return 0;
}

static int is_alive(virConnectPtr conn)
{
    return played(conn)->alive;
}

static int keep_alive(virConnectPtr conn, int interval_s, unsigned count)
{
    played(conn)->watched = interval_s > 0 && count > 0;
    return 0;
}

static int setup(void **state)
{
    struct world *w = test_calloc(1, sizeof(*w));

    opened = 0;
    refuses = false;
    lv.virConnectOpenAuth = open_conn;
    lv.virConnectClose = close_conn;
    lv.virConnectRef = ref_conn;
    lv.virConnectIsAlive = is_alive;
    lv.virConnectSetKeepAlive = keep_alive;
    w->libvirt.settings.env = env_new_real();
    (void)pthread_mutex_init(&w->libvirt.lock, NULL);
    (void)pthread_cond_init(&w->libvirt.changed, NULL);
    w->host.libvirt = &w->libvirt;
    (void)snprintf(w->host.uri, sizeof(w->host.uri), "qemu+tls://far/system");
    w->host.conn = lv_conn_open(&w->host);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    lv_conn_close_idle(&w->host);
    (void)close_conn(w->host.conn);
    for (size_t i = 0; i < opened; i++)
        assert_int_equal(conns[i].references, 0); /* none leaks, none is closed twice */
    (void)env_free(w->libvirt.settings.env);
    test_free(w);
    return 0;
}

static int take(struct world *w, enum lv_user user, virConnectPtr *ret)
{
    int r;

    *ret = NULL;
    libvirt_lock(&w->libvirt);
    r = lv_conn_take(&w->host, user, ret);
    libvirt_unlock(&w->libvirt);
    return r;
}

/* One more than there is: the connector's part is played by add, as it is by run_connector. */
static virConnectPtr taken(struct world *w, enum lv_user user)
{
    virConnectPtr conn;

    if (w->host.idle_count == 0)
        assert_int_equal(lv_conn_add(&w->host), 0);
    assert_int_equal(take(w, user, &conn), 0);
    return conn;
}

static void nobody_shares_one(void **state)
{
    struct world *w = *state;
    virConnectPtr first = taken(w, LV_CALLER);
    virConnectPtr second = taken(w, LV_THREAD);

    assert_ptr_not_equal(first, second);
    assert_ptr_not_equal(first, w->host.conn); /* events come on that one, at any moment */
    assert_ptr_not_equal(second, w->host.conn);
    for (size_t i = 0; i < opened; i++)
        assert_true(conns[i].watched); /* a libvirt that hangs doesn't hold a call for ever */
    lv_conn_give(&w->host, LV_CALLER, first);
    assert_ptr_equal(taken(w, LV_CALLER), first);
    assert_int_equal(opened, 3);
    lv_conn_give(&w->host, LV_CALLER, first);
    lv_conn_give(&w->host, LV_THREAD, second);
}

static void a_broken_one_is_not_given_out_again(void **state)
{
    struct world *w = *state;
    virConnectPtr conn = taken(w, LV_CALLER);

    played(conn)->alive = false;
    lv_conn_give(&w->host, LV_CALLER, conn);
    assert_int_equal(played(conn)->references, 0);
    assert_int_equal(w->host.idle_count, 0);
    conn = taken(w, LV_CALLER);
    assert_true(played(conn)->alive);
    lv_conn_give(&w->host, LV_CALLER, conn);
}

struct taker {
    struct world *world;
    enum lv_user user;
    virConnectPtr conn;
    int result;
};

static void *run_taker(void *arg)
{
    struct taker *taker = arg;

    taker->result = take(taker->world, taker->user, &taker->conn);
    libvirt_lock(&taker->world->libvirt);
    (void)pthread_cond_broadcast(&taker->world->libvirt.changed);
    libvirt_unlock(&taker->world->libvirt);
    return NULL;
}

static void await_wanted(struct world *w)
{
    libvirt_lock(&w->libvirt);
    while (!lv_conn_is_wanted(&w->host))
        libvirt_wait(&w->libvirt, USEC_NEVER);
    libvirt_unlock(&w->libvirt);
}

/* Until so many wait for a connection or have one. */
static void await_users(struct world *w, enum lv_user user, size_t count)
{
    libvirt_lock(&w->libvirt);
    while (w->host.waiting + w->host.busy[user] < count)
        libvirt_wait(&w->libvirt, USEC_NEVER);
    libvirt_unlock(&w->libvirt);
}

static void who_waits_gets_the_next_one(void **state)
{
    struct world *w = *state;
    struct taker taker = {.world = w};
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, run_taker, &taker), 0);
    await_wanted(w);
    assert_int_equal(lv_conn_add(&w->host), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(taker.result, 0);
    assert_false(lv_conn_is_wanted(&w->host));
    lv_conn_give(&w->host, LV_CALLER, taker.conn);
}

static void who_waits_hears_that_the_host_is_lost(void **state)
{
    struct world *w = *state;
    struct taker taker = {.world = w};
    pthread_t thread;
    virConnectPtr conn;

    assert_int_equal(pthread_create(&thread, NULL, run_taker, &taker), 0);
    await_wanted(w);
    libvirt_lock(&w->libvirt);
    w->host.lost = true; /* as on_close does */
    (void)pthread_cond_broadcast(&w->libvirt.changed);
    libvirt_unlock(&w->libvirt);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(taker.result, -E_UNREACHABLE);
    assert_int_equal(lv_conn_add(&w->host), 0);
    assert_int_equal(take(w, LV_CALLER, &conn), -E_UNREACHABLE); /* though one is idle */
}

static void stuck_calls_keep_nobody_out(void **state)
{
    virConnectPtr stuck[LIBVIRT_CONNECTIONS_MAX - LIBVIRT_CONNECTIONS_KEPT];
    virConnectPtr kept[LIBVIRT_CONNECTIONS_KEPT];
    struct world *w = *state;
    virConnectPtr conn;

    for (size_t i = 0; i < countof(stuck); i++)
        stuck[i] = taken(w, LV_THREAD);
    assert_int_equal(lv_conn_add(&w->host), 0);
    assert_int_equal(take(w, LV_THREAD, &conn), -E_BUSY);
    for (size_t i = 0; i < countof(kept); i++)
        kept[i] = taken(w, LV_CALLER);
    assert_int_equal(lv_conn_add(&w->host), 0); /* no room: nothing is opened */
    assert_int_equal(opened, 1 + LIBVIRT_CONNECTIONS_MAX);
    for (size_t i = 0; i < countof(stuck); i++)
        lv_conn_give(&w->host, LV_THREAD, stuck[i]);
    for (size_t i = 0; i < countof(kept); i++)
        lv_conn_give(&w->host, LV_CALLER, kept[i]);
    assert_int_equal(w->host.idle_count, LIBVIRT_CONNECTIONS_MAX);
}

/* Both were below the limit when they began to wait; together they are not when they have waited. */
static void who_has_waited_is_counted_too(void **state)
{
    virConnectPtr stuck[LIBVIRT_CONNECTIONS_MAX - LIBVIRT_CONNECTIONS_KEPT - 1];
    struct world *w = *state;
    struct taker takers[2];
    pthread_t threads[2];

    for (size_t i = 0; i < countof(stuck); i++)
        stuck[i] = taken(w, LV_THREAD);
    for (size_t i = 0; i < countof(takers); i++) {
        takers[i] = (struct taker){.world = w, .user = LV_THREAD};
        assert_int_equal(pthread_create(&threads[i], NULL, run_taker, &takers[i]), 0);
    }
    await_users(w, LV_THREAD, countof(stuck) + countof(takers));
    for (size_t i = 0; i < countof(takers); i++)
        assert_int_equal(lv_conn_add(&w->host), 0);
    for (size_t i = 0; i < countof(takers); i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(takers[0].result + takers[1].result, -E_BUSY);
    for (size_t i = 0; i < countof(takers); i++)
        if (takers[i].result == 0)
            lv_conn_give(&w->host, LV_THREAD, takers[i].conn);
    for (size_t i = 0; i < countof(stuck); i++)
        lv_conn_give(&w->host, LV_THREAD, stuck[i]);
}

/* A call has its own while it waits for one for its thread: if calls could have all of them, each would wait for the others. */
static void calls_leave_some_for_their_threads(void **state)
{
    virConnectPtr calls[LIBVIRT_CONNECTIONS_MAX - LIBVIRT_CONNECTIONS_KEPT];
    virConnectPtr kept[LIBVIRT_CONNECTIONS_KEPT];
    struct world *w = *state;
    struct taker taker = {.world = w, .user = LV_CALLER};
    pthread_t thread;

    for (size_t i = 0; i < countof(calls); i++)
        calls[i] = taken(w, LV_CALLER);
    for (size_t i = 0; i < countof(kept); i++)
        assert_int_equal(lv_conn_add(&w->host), 0);
    assert_int_equal(pthread_create(&thread, NULL, run_taker, &taker), 0);
    await_users(w, LV_CALLER, countof(calls) + 1);
    for (size_t i = 0; i < countof(kept); i++)
        assert_int_equal(take(w, LV_THREAD, &kept[i]), 0);
    lv_conn_give(&w->host, LV_CALLER, calls[0]);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(taker.result, 0);
    lv_conn_give(&w->host, LV_CALLER, taker.conn);
    for (size_t i = 1; i < countof(calls); i++)
        lv_conn_give(&w->host, LV_CALLER, calls[i]);
    for (size_t i = 0; i < countof(kept); i++)
        lv_conn_give(&w->host, LV_THREAD, kept[i]);
}

static void one_that_can_not_be_opened_is_a_failure(void **state)
{
    struct world *w = *state;

    refuses = true;
    assert_int_equal(lv_conn_add(&w->host), -E_UNREACHABLE);
    assert_int_equal(w->host.idle_count, 0);
}

/* It has no wire: nothing to hand over, nothing to open. */
static void the_embedded_libvirt_has_one_for_all(void **state)
{
    struct world *w = *state;
    virConnectPtr first;
    virConnectPtr second;

    w->host.embedded = true;
    assert_int_equal(lv_conn_add(&w->host), 0);
    assert_int_equal(opened, 1);
    assert_int_equal(take(w, LV_CALLER, &first), 0);
    assert_int_equal(take(w, LV_THREAD, &second), 0);
    assert_ptr_equal(first, w->host.conn);
    assert_ptr_equal(second, w->host.conn);
    assert_int_equal(played(first)->references, 3);
    lv_conn_give(&w->host, LV_CALLER, first);
    lv_conn_give(&w->host, LV_THREAD, second);
    assert_int_equal(played(first)->references, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nobody_shares_one),
        TEST(a_broken_one_is_not_given_out_again),
        TEST(who_waits_gets_the_next_one),
        TEST(who_waits_hears_that_the_host_is_lost),
        TEST(stuck_calls_keep_nobody_out),
        TEST(who_has_waited_is_counted_too),
        TEST(calls_leave_some_for_their_threads),
        TEST(one_that_can_not_be_opened_is_a_failure),
        TEST(the_embedded_libvirt_has_one_for_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
