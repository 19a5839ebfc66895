/* SPDX-License-Identifier: Apache-2.0 */
#include "hypervisor/guest.h"

#include "base/mem.h"

#define COUNT_MAX ((int64_t)1 << 60) /* of starts and of what was written: two of them can be added */

enum machine_state guest_state(const struct guest *guest)
{
    static const enum machine_state states[GUEST_PHASE_COUNT] = {
        [GUEST_OFF] = MACHINE_OFF,         [GUEST_BOOTING] = MACHINE_BOOTING,
        [GUEST_RUNNING] = MACHINE_RUNNING, [GUEST_LEAVING] = MACHINE_DYING,
        [GUEST_ENDING] = MACHINE_DYING,
    };

    assert(guest->phase < GUEST_PHASE_COUNT);
    return guest->paused ? MACHINE_PAUSED : states[guest->phase];
}

static bool guest_alive(const struct guest *guest)
{
    return guest->phase != GUEST_OFF;
}

static bool guest_frozen(const struct guest *guest)
{
    return (guest->paused || guest->hang) && guest->phase != GUEST_ENDING;
}

/* ── what comes from a file ── */

static bool is_between(int64_t value, int64_t max)
{
    return value >= 0 && value <= max;
}

bool guest_data_is_sound(const struct sim_disk *data)
{
    return is_between(data->durable, COUNT_MAX) && is_between(data->cached, COUNT_MAX) &&
           is_between(data->lost, COUNT_MAX);
}

static bool disks_are_sound(const struct guest *guest)
{
    for (uint32_t i = 0; i < guest->disk_count; i++)
        if (!guest_data_is_sound(&guest->disks[i].data))
            return false;
    return true;
}

/* Invariants 2 and 3: the clock of the phase runs, stands still, or there is none. */
static bool clock_is_sound(const struct guest *guest)
{
    bool timed = guest->phase != GUEST_OFF && guest->phase != GUEST_RUNNING;

    if (timed && !guest_frozen(guest))
        return is_between(guest->due_us, SIM_TIME_MAX + 2 * GUEST_LENGTH_MAX_US);
    return guest->due_us == USEC_NEVER && is_between(guest->left_us, 2 * GUEST_LENGTH_MAX_US);
}

bool guest_is_sound(const struct guest *guest)
{
    if (guest->phase == GUEST_OFF && (guest->paused || guest->pressed))
        return false;
    return is_between(guest->incarnation, COUNT_MAX) && is_between(guest->since_us, SIM_TIME_MAX) &&
           is_between(guest->boot_us, GUEST_LENGTH_MAX_US) &&
           is_between(guest->shutdown_us, GUEST_LENGTH_MAX_US) && clock_is_sound(guest) &&
           disks_are_sound(guest);
}

bool guest_arg_is_sound(const struct guest *guest, enum guest_verb verb, int64_t arg)
{
    if (verb == GUEST_START)
        return arg > 0 && arg <= COUNT_MAX;
    if (verb == GUEST_CLEAR)
        return arg >= 0 && arg < guest->disk_count;
    if (verb == GUEST_SET_BOOT || verb == GUEST_SET_SHUTDOWN)
        return is_between(arg, GUEST_LENGTH_MAX_US);
    return verb < GUEST_VERB_COUNT;
}

/* ── disks: what the system has written and what of it has reached the medium ── */

/* A system that comes up mounts its disks (that is on the medium at once) and has work of its own
 * in the page cache. */
static void guest_write_disks(struct guest *guest)
{
    for (uint32_t i = 0; i < guest->disk_count; i++) {
        struct sim_disk *data = &guest->disks[i].data;

        data->written = true;
        data->durable++;
        data->cached++;
    }
}

static void guest_flush_disks(struct guest *guest)
{
    for (uint32_t i = 0; i < guest->disk_count; i++) {
        struct sim_disk *data = &guest->disks[i].data;

        data->durable += data->cached;
        data->cached = 0;
    }
}

static void guest_lose_cache(struct guest *guest)
{
    for (uint32_t i = 0; i < guest->disk_count; i++) {
        struct sim_disk *data = &guest->disks[i].data;

        data->lost += data->cached;
        data->cached = 0;
    }
}

/* ── phases ── */

static void guest_enter(struct guest *guest, enum guest_phase phase, usec_t now_us,
                        usec_t length_us)
{
    guest->phase = (uint8_t)phase;
    guest->left_us = 0;
    guest->due_us = USEC_NEVER;
    if (length_us == USEC_NEVER)
        return;
    if (guest_frozen(guest))
        guest->left_us = length_us;
    else
        guest->due_us = now_us + length_us;
}

static void guest_off(struct guest *guest, enum machine_end end, usec_t now_us)
{
    if (end == MACHINE_END_GUEST)
        guest_flush_disks(guest);
    else
        guest_lose_cache(guest);
    guest->end = (uint8_t)end;
    guest->paused = false;
    guest->pressed = false;
    guest_enter(guest, GUEST_OFF, now_us, USEC_NEVER);
}

/* Pause and hang stop the phase's clock; only the last of them to go lets it run on. */
static void guest_set_frozen(struct guest *guest, bool *flag, bool value, usec_t now_us)
{
    bool was_frozen = guest_frozen(guest);

    *flag = value;
    if (!was_frozen && guest_frozen(guest) && guest->due_us != USEC_NEVER) {
        guest->left_us = MAX_OF(0, guest->due_us - now_us);
        guest->due_us = USEC_NEVER;
    } else if (was_frozen && !guest_frozen(guest) &&
               (guest->phase == GUEST_BOOTING || guest->phase == GUEST_LEAVING)) {
        guest->due_us = now_us + guest->left_us;
        guest->left_us = 0;
    }
}

static void guest_step(struct guest *guest, usec_t now_us)
{
    if (guest->phase == GUEST_BOOTING) {
        guest_enter(guest, GUEST_RUNNING, now_us, USEC_NEVER);
        guest->up = true;
        guest_write_disks(guest);
        return;
    }
    assert(guest->phase == GUEST_LEAVING || guest->phase == GUEST_ENDING);
    guest_off(guest, guest->phase == GUEST_LEAVING ? MACHINE_END_GUEST : MACHINE_END_CUT, now_us);
}

bool guest_settle(struct guest *guest, usec_t now_us)
{
    usec_t due_us = guest->due_us;

    if (due_us == USEC_NEVER || due_us > now_us)
        return false;
    guest_step(guest, due_us);
    guest->since_us = due_us;
    return true;
}

/* ── orders: may they act? ── */

static int check_start(const struct guest *guest, int64_t incarnation)
{
    assert(incarnation > 0);
    if (incarnation < guest->incarnation)
        return -E_GONE;
    if (incarnation == guest->incarnation)
        return 0; /* carried out before; if that incarnation has ended meanwhile, it doesn't rise
                     again */
    return guest_alive(guest) ? -E_BUSY : 1;
}

static int check_press(const struct guest *guest, int64_t arg)
{
    (void)arg; /* no verb but some have one */
    if (guest->hang)
        return 0;
    if (guest->paused)
        return !guest->pressed;
    return guest->phase == GUEST_RUNNING && !guest->deaf; /* firmware and early kernel lose it */
}

static int check_resume(const struct guest *guest, int64_t arg)
{
    (void)arg;
    return guest->paused && !guest->hang;
}

static int check_reset(const struct guest *guest, int64_t arg)
{
    (void)arg;
    if (guest->phase == GUEST_OFF || guest->phase == GUEST_ENDING)
        return -E_GONE;
    return !guest->hang;
}

static int check_cut(const struct guest *guest, int64_t how)
{
    if (guest->phase == GUEST_OFF || guest->phase == GUEST_ENDING)
        return 0;
    return !guest->hang || how == MACHINE_CUT_KILL;
}

static int check_pause(const struct guest *guest, int64_t arg)
{
    (void)arg;
    if (guest->phase == GUEST_OFF || guest->phase == GUEST_ENDING || guest->hang)
        return -E_CONFLICT;
    return !guest->paused;
}

static int check_poweroff(const struct guest *guest, int64_t arg)
{
    (void)arg;
    if (!guest_alive(guest) || guest_frozen(guest))
        return -E_CONFLICT;
    return guest->phase == GUEST_BOOTING || guest->phase == GUEST_RUNNING;
}

static int check_reboot(const struct guest *guest, int64_t arg)
{
    (void)arg;
    return guest->phase != GUEST_RUNNING || guest_frozen(guest) ? -E_CONFLICT : 1;
}

static int check_crash(const struct guest *guest, int64_t arg)
{
    (void)arg;
    return guest_alive(guest) ? 1 : -E_CONFLICT;
}

static int check_alive(const struct guest *guest, int64_t arg)
{
    (void)arg;
    return guest_alive(guest);
}

static int check_boot(const struct guest *guest, int64_t us)
{
    return guest->boot_us != us;
}

static int check_shutdown(const struct guest *guest, int64_t us)
{
    return guest->shutdown_us != us;
}

static int check_deaf(const struct guest *guest, int64_t on)
{
    return guest->deaf != (on != 0);
}

static int check_hang(const struct guest *guest, int64_t on)
{
    return guest->hang != (on != 0);
}

static int check_hold(const struct guest *guest, int64_t on)
{
    return guest->hold != (on != 0);
}

static int check_clear(const struct guest *guest, int64_t index)
{
    assert(index >= 0 && index < guest->disk_count);
    if (guest_alive(guest))
        return -E_BUSY;
    return guest->disks[index].data.written;
}

/* ── orders: what they do ── */

static void apply_start(struct guest *guest, int64_t incarnation, usec_t now_us)
{
    guest->incarnation = incarnation;
    guest->end = MACHINE_END_UNKNOWN;
    guest->up = false;
    guest_enter(guest, GUEST_BOOTING, now_us, guest->boot_us);
}

static void apply_poweroff(struct guest *guest, int64_t arg, usec_t now_us)
{
    (void)arg;
    guest_enter(guest, GUEST_LEAVING, now_us, guest->shutdown_us);
}

static void apply_press(struct guest *guest, int64_t arg, usec_t now_us)
{
    if (guest->paused)
        guest->pressed = true;
    else
        apply_poweroff(guest, arg, now_us);
}

static void apply_resume(struct guest *guest, int64_t arg, usec_t now_us)
{
    bool pressed = guest->pressed;

    guest->pressed = false;
    guest_set_frozen(guest, &guest->paused, false, now_us);
    if (pressed && guest_check(guest, GUEST_PRESS, arg) > 0)
        apply_poweroff(guest, arg, now_us);
}

static void apply_reset(struct guest *guest, int64_t arg, usec_t now_us)
{
    (void)arg;
    guest_lose_cache(guest);
    guest->paused = false;
    guest->pressed = false;
    guest->up = false;
    guest_enter(guest, GUEST_BOOTING, now_us, guest->boot_us);
}

/* In order: nothing of its cache is lost, and the power stays on. */
static void apply_reboot(struct guest *guest, int64_t arg, usec_t now_us)
{
    (void)arg;
    guest_flush_disks(guest);
    guest->up = false;
    guest_enter(guest, GUEST_BOOTING, now_us, guest->shutdown_us + guest->boot_us);
}

static void apply_cut(struct guest *guest, int64_t how, usec_t now_us)
{
    (void)how; /* check_cut has looked at it */
    guest->paused = false;
    guest->pressed = false;
    guest_enter(guest, GUEST_ENDING, now_us, GUEST_CUT_US);
}

static void apply_pause(struct guest *guest, int64_t arg, usec_t now_us)
{
    (void)arg;
    guest_set_frozen(guest, &guest->paused, true, now_us);
}

static void apply_crash(struct guest *guest, int64_t arg, usec_t now_us)
{
    (void)arg;
    guest_off(guest, MACHINE_END_CRASH, now_us);
}

static void apply_host_fail(struct guest *guest, int64_t arg, usec_t now_us)
{
    (void)arg;
    guest_off(guest, MACHINE_END_HOST, now_us);
}

static void apply_boot(struct guest *guest, int64_t us, usec_t now_us)
{
    (void)now_us; /* a boot that goes on keeps its length */
    guest->boot_us = us;
}

static void apply_shutdown(struct guest *guest, int64_t us, usec_t now_us)
{
    (void)now_us;
    guest->shutdown_us = us;
}

static void apply_deaf(struct guest *guest, int64_t on, usec_t now_us)
{
    (void)now_us;
    guest->deaf = on != 0;
}

static void apply_hang(struct guest *guest, int64_t on, usec_t now_us)
{
    guest_set_frozen(guest, &guest->hang, on != 0, now_us);
}

static void apply_hold(struct guest *guest, int64_t on, usec_t now_us)
{
    (void)now_us;
    guest->hold = on != 0;
}

static void apply_clear(struct guest *guest, int64_t index, usec_t now_us)
{
    (void)now_us;
    assert(index >= 0 && index < guest->disk_count);
    guest->disks[index].data = (struct sim_disk){0};
}

static const struct guest_order {
    int (*check)(const struct guest *guest, int64_t arg);
    void (*apply)(struct guest *guest, int64_t arg, usec_t now_us);
} guest_orders[] = {
    [GUEST_START] = {check_start, apply_start},
    [GUEST_PRESS] = {check_press, apply_press},
    [GUEST_RESUME] = {check_resume, apply_resume},
    [GUEST_RESET] = {check_reset, apply_reset},
    [GUEST_CUT] = {check_cut, apply_cut},
    [GUEST_PAUSE] = {check_pause, apply_pause},
    [GUEST_POWEROFF] = {check_poweroff, apply_poweroff},
    [GUEST_CRASH] = {check_crash, apply_crash},
    [GUEST_HOST_FAIL] = {check_alive, apply_host_fail},
    [GUEST_SET_BOOT] = {check_boot, apply_boot},
    [GUEST_SET_SHUTDOWN] = {check_shutdown, apply_shutdown},
    [GUEST_SET_DEAF] = {check_deaf, apply_deaf},
    [GUEST_SET_HANG] = {check_hang, apply_hang},
    [GUEST_CLEAR] = {check_clear, apply_clear},
    [GUEST_REBOOT] = {check_reboot, apply_reboot},
    [GUEST_SET_HOLD] = {check_hold, apply_hold},
};
static_assert(countof(guest_orders) == GUEST_VERB_COUNT, "a row per verb");

int guest_check(const struct guest *guest, enum guest_verb verb, int64_t arg)
{
    assert(verb < GUEST_VERB_COUNT);
    return guest_orders[verb].check(guest, arg);
}

void guest_apply(struct guest *guest, enum guest_verb verb, int64_t arg, usec_t now_us)
{
    enum machine_state before = guest_state(guest);

    assert(verb < GUEST_VERB_COUNT);
    assert(guest->due_us > now_us);
    guest_orders[verb].apply(guest, arg, now_us);
    if (guest_state(guest) != before)
        guest->since_us = now_us;
}

/* ── disks ── */

int guest_check_attach(const struct guest *guest)
{
    if (guest->phase == GUEST_OFF || guest->phase == GUEST_ENDING)
        return -E_GONE;
    return guest->hang ? -E_TIMEOUT : 0;
}

int guest_check_detach(const struct guest *guest)
{
    if (guest->phase == GUEST_OFF)
        return 0;
    if (guest->phase == GUEST_ENDING)
        return -E_GONE;
    if (guest->hang)
        return -E_TIMEOUT;
    /* Whoever is not up, or on the way down, doesn't hear the question. */
    return guest->phase != GUEST_RUNNING || guest->paused || guest->hold ? -E_BUSY : 0;
}

int64_t guest_find_disk(const struct guest *guest, struct str disk_id)
{
    for (uint32_t i = 0; i < guest->disk_count; i++)
        if (str_eq(guest->disks[i].id, disk_id))
            return i;
    return -1;
}

static struct str text_put(char **room, struct str text)
{
    struct str copy = {*room, text.len};

    if (!text.len)
        return STR_NONE;
    memcpy(*room, text.ptr, text.len);
    *room += text.len;
    return copy;
}

struct guest_disk *guest_set_disks(struct guest *guest, const struct machine_disk *disks,
                                   size_t count)
{
    struct guest_disk *before = guest->disks;
    struct guest_disk *made;
    size_t text_bytes = 0;
    char *room;

    for (size_t i = 0; i < count; i++)
        text_bytes += disks[i].id.len + disks[i].device.len + disks[i].image_id.len;
    made = xcalloc(1, count * sizeof(*made) + text_bytes + 1);
    room = (char *)(made + count);
    for (size_t i = 0; i < count; i++) {
        int64_t old = guest_find_disk(guest, disks[i].id);

        made[i].id = text_put(&room, disks[i].id);
        made[i].device = text_put(&room, disks[i].device);
        made[i].image_id = text_put(&room, disks[i].image_id);
        made[i].size_gib = disks[i].size_gib;
        made[i].local = disks[i].local;
        if (old >= 0)
            made[i].data = before[old].data;
    }
    guest->disks = made;
    guest->disk_count = (uint32_t)count;
    return before;
}

void guest_done(struct guest *guest)
{
    guest->disks = xfree(guest->disks);
    guest->disk_count = 0;
}
