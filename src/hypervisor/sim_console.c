/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What can be seen of a simulated machine from outside. Its console and its screen follow from its definition, its state
 * and the time of the latest change, as everything of it does: there is no file of what it wrote.
 */
#include "hypervisor/png.h"
#include "hypervisor/sim_impl.h"

#define CONSOLE_TEXT_MAX ((size_t)64 * 1024) /* SIM_DISKS_MAX lines with texts of SIM_TEXT_MAX, twice over */
#define SCREEN_WIDTH 720                     /* the text mode of a PC: 80 by 25 cells of 9 by 16 */
#define SCREEN_HEIGHT 400
#define CELL_HEIGHT 16

#define DONE "[\x1b[0;32m  OK  \x1b[0m] " /* as systemd has it: there is something for RemoveSymbols */

static void add_boot(struct buf *text, const struct sim_machine *machine)
{
    const struct guest *guest = &machine->guest;

    buf_printf(text, "[    0.000000] Simulated machine %.*s, start %lld\r\n", STR_ARG(machine_id_of(machine)),
               (long long)guest->incarnation);
    buf_printf(text, "[    0.000000] Command line: console=ttyS0\r\n");
    buf_printf(text, "[    0.004000] smpboot: Allowing %lld CPUs\r\n", (long long)machine->vcpus);
    buf_printf(text, "[    0.008000] Memory: %lld MiB\r\n", (long long)machine->memory_mib);
    for (uint32_t i = 0; i < guest->disk_count; i++)
        buf_printf(text, "[    0.100000] %.*s: %lld GiB%s\r\n", STR_ARG(guest->disks[i].device),
                   (long long)guest->disks[i].size_gib, guest->disks[i].local ? ", local" : "");
}

static bool is_leaving(const struct guest *guest)
{
    return guest->phase == GUEST_LEAVING || (guest->phase == GUEST_OFF && guest->end == MACHINE_END_GUEST);
}

/* All but the first part: what the system said once it was up, and when it ended. A power cut says nothing. */
static void add_life(struct buf *text, const struct sim_machine *machine, const char *since)
{
    const struct guest *guest = &machine->guest;

    if (guest->up)
        buf_printf(text, DONE "Reached target Multi-User System.\r\n\r\n%.*s login: ", STR_ARG(machine_id_of(machine)));
    if (is_leaving(guest))
        buf_printf(text, "\r\n" DONE "Reached target System Shutdown.\r\n");
    if (guest->phase != GUEST_OFF)
        return;
    if (guest->end == MACHINE_END_GUEST)
        buf_printf(text, "[%s] reboot: Power down\r\n", since);
    if (guest->end == MACHINE_END_CRASH)
        buf_printf(text, "\r\n[%s] Kernel panic - not syncing: simulated crash\r\n", since);
}

int sim_console(struct hypervisor *hv, struct str host_id, struct str id, size_t limit_bytes, struct arena *arena,
                struct str *ret)
{
    struct sim *sim = sim_of(hv);
    struct sim_machine *machine;
    char since[TIME_TEXT_MAX];
    struct str tail;
    struct buf text;
    int r = sim_machine_enter(sim, host_id, id, &machine);

    if (r < 0)
        return r;
    sim_settle(sim, machine, sim_now(sim));
    buf_init(&text, CONSOLE_TEXT_MAX);
    (void)time_print_second(sim_env_time(sim, machine->guest.since_us), since); /* its length is not of interest */
    if (machine->guest.incarnation > 0) {
        add_boot(&text, machine);
        add_life(&text, machine, since);
    }
    sim_unlock(sim);
    assert(!text.full);
    tail = buf_str(&text);
    if (tail.len > limit_bytes)
        tail = str_slice(tail.ptr + tail.len - limit_bytes, limit_bytes);
    *ret = arena_str(arena, tail);
    buf_done(&text);
    return 0;
}

/* The colour says the state; the bar is a cursor that has come so much further down as there is more to be read. */
static struct str picture_of(struct arena *arena, enum machine_state state)
{
    static const struct screen {
        uint8_t colour[3];
        size_t line;
    } screens[MACHINE_STATE_COUNT] = {
        [MACHINE_BOOTING] = {{0x00, 0x00, 0x80}, 4},
        [MACHINE_RUNNING] = {{0x00, 0x60, 0x00}, 12},
        [MACHINE_PAUSED] = {{0x60, 0x60, 0x60}, 12},
        [MACHINE_DYING] = {{0x80, 0x00, 0x00}, 16},
    };
    const struct screen *screen = &screens[state];
    size_t row_bytes = PNG_ROW_BYTES(SCREEN_WIDTH);
    uint8_t *rows = arena_alloc_array(arena, SCREEN_HEIGHT, row_bytes);
    struct png_picture picture = {.width = SCREEN_WIDTH, .height = SCREEN_HEIGHT, .rows = rows};

    memset(rows + (screen->line * CELL_HEIGHT + CELL_HEIGHT - 2) * row_bytes, 0xff, 1);
    memset(rows + (screen->line * CELL_HEIGHT + CELL_HEIGHT - 1) * row_bytes, 0xff, 1);
    memcpy(picture.colours[0], screen->colour, sizeof(screen->colour));
    memset(picture.colours[1], 0xff, sizeof(picture.colours[1]));
    return png_encode(arena, &picture);
}

int sim_screenshot(struct hypervisor *hv, struct str host_id, struct str id, int64_t incarnation, struct arena *arena,
                   struct str *ret_png)
{
    struct sim *sim = sim_of(hv);
    struct sim_machine *machine;
    enum machine_state state;
    int r = sim_machine_enter(sim, host_id, id, &machine);

    if (r < 0)
        return r == -E_NOT_FOUND ? -E_GONE : r;
    sim_settle(sim, machine, sim_now(sim));
    state = guest_state(&machine->guest);
    if (machine->guest.incarnation != incarnation || state == MACHINE_OFF)
        r = -E_GONE;
    sim_unlock(sim);
    if (r == 0)
        *ret_png = picture_of(arena, state);
    return r;
}

/* There is no server that a VNC client could talk to. */
int sim_vnc(struct hypervisor *hv, struct str host_id, struct str id, int64_t incarnation, struct str password,
            usec_t until_us, struct arena *arena, struct str *ret_address)
{
    (void)hv;
    (void)host_id;
    (void)id;
    (void)incarnation;
    (void)password;
    (void)until_us;
    (void)arena;
    (void)ret_address;
    return -E_UNSUPPORTED_OPERATION;
}
