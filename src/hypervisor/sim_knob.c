/* SPDX-License-Identifier: Apache-2.0 */
/* simulate(): what an operator or a test may do to simulated guests and hosts, as a table of names.
 */
#include "hypervisor/sim_record.h"

enum knob_kind {
    KNOB_ACTION, /* takes no value */
    KNOB_SWITCH, /* on, off */
    KNOB_SECONDS,
    KNOB_MILLISECONDS,
    KNOB_PROBABILITY,
    KNOB_UP_DOWN,
    KNOB_EXIT_CODE,
};

static const struct knob_type {
    const char *wants;
    double max;
    double scale; /* of the number given to the one kept */
} knob_types[] = {
    [KNOB_ACTION] = {"no value", 0, 0},
    [KNOB_SWITCH] = {"on or off", 0, 0},
    [KNOB_SECONDS] = {"seconds, from 0 to 1000000", 1e6, USEC_PER_SEC},
    [KNOB_MILLISECONDS] = {"milliseconds, from 0 to 3600000", 3.6e6, USEC_PER_MSEC},
    [KNOB_PROBABILITY] = {"a probability, from 0 to 1", 1, SIM_PPM},
    [KNOB_UP_DOWN] = {"up or down", 0, 0},
    [KNOB_EXIT_CODE] = {"an exit code, from 0 to 255", 255, 1},
};

struct knob {
    const char *name;
    enum knob_kind kind;
    int what; /* enum guest_verb, or enum host_knob, or one of those below */
};

#define HOST_CRASH HOST_KNOB_COUNT
#define AGENT_EXEC GUEST_VERB_COUNT /* the agent's knobs are no orders: a restart forgets them with its programs */
#define AGENT_EXEC_EXIT (GUEST_VERB_COUNT + 1)

static const struct knob guest_knobs[] = {
    {"boot", KNOB_SECONDS, GUEST_SET_BOOT},
    {"shutdown", KNOB_SECONDS, GUEST_SET_SHUTDOWN},
    {"ignore-power-button", KNOB_SWITCH, GUEST_SET_DEAF},
    {"hang", KNOB_SWITCH, GUEST_SET_HANG},
    {"hold-disks", KNOB_SWITCH, GUEST_SET_HOLD},
    {"poweroff", KNOB_ACTION, GUEST_POWEROFF},
    {"reboot", KNOB_ACTION, GUEST_REBOOT},
    {"crash", KNOB_ACTION, GUEST_CRASH},
    {"pause", KNOB_ACTION, GUEST_PAUSE},
    {"resume", KNOB_ACTION, GUEST_RESUME},
    {"exec", KNOB_SECONDS, AGENT_EXEC},
    {"exec-exit", KNOB_EXIT_CODE, AGENT_EXEC_EXIT},
};

static const struct knob host_knobs[] = {
    {"state", KNOB_UP_DOWN, HOST_DOWN},
    {"crash", KNOB_ACTION, HOST_CRASH},
    {"delay", KNOB_MILLISECONDS, HOST_DELAY_US},
    {"drop-events", KNOB_PROBABILITY, HOST_DROP_PPM},
    {"late-events", KNOB_MILLISECONDS, HOST_LATE_US},
    {"duplicate-events", KNOB_PROBABILITY, HOST_DUPLICATE_PPM},
};

static int knob_find(const struct knob *knobs, size_t count, struct str name, struct fail *fail,
                     const struct knob **ret)
{
    for (size_t i = 0; i < count; i++) {
        if (str_eq(str_from(knobs[i].name), name)) {
            *ret = &knobs[i];
            return 0;
        }
    }
    return fail_text(fail, E_INVALID_PARAMETER, "%.*s is not something to simulate here",
                     STR_ARG(name));
}

static int parse_number(const struct knob_type *type, struct str value, int64_t *ret)
{
    double number;
    int r = str_to_double(value, &number);

    if (r < 0)
        return r;
    if (!(number >= 0 && number <= type->max))
        return -E_INVALID;
    *ret = (int64_t)(number * type->scale + 0.5);
    return 0;
}

static int parse_words(struct str value, struct str yes, struct str no, int64_t *ret)
{
    if (!str_eq_nocase(value, yes) && !str_eq_nocase(value, no))
        return -E_INVALID;
    *ret = str_eq_nocase(value, yes);
    return 0;
}

static int knob_parse(const struct knob *knob, struct str value, struct fail *fail, int64_t *ret)
{
    const struct knob_type *type = &knob_types[knob->kind];
    int r;

    switch (knob->kind) {
    case KNOB_ACTION:
        r = str_empty(value) ? 0 : -E_INVALID;
        *ret = 0;
        break;
    case KNOB_SWITCH:
        r = parse_words(value, STR("on"), STR("off"), ret);
        break;
    case KNOB_UP_DOWN:
        r = parse_words(value, STR("down"), STR("up"), ret);
        break;
    case KNOB_SECONDS:
    case KNOB_MILLISECONDS:
    case KNOB_PROBABILITY:
    case KNOB_EXIT_CODE:
    default:
        r = parse_number(type, value, ret);
        break;
    }
    if (r < 0)
        return fail_text(fail, E_INVALID_PARAMETER, "%s takes %s, not \"%.*s\"", knob->name,
                         type->wants, STR_ARG(value));
    return 0;
}

static int host_set(struct sim *sim, struct sim_host *host, enum host_knob knob, int64_t value)
{
    struct journal_record record = {.kind = RECORD_HOST_KNOB, .number = host->number, .value = value};

    record.what = (uint8_t)knob;
    return host->knobs[knob] == value ? 0 : sim_commit(sim, record, STR_NONE);
}

static int host_crash(struct sim *sim, struct sim_host *host)
{
    return sim_commit(sim, (struct journal_record){.kind = RECORD_HOST_CRASH, .number = host->number}, STR_NONE);
}

static int simulate_host(struct sim *sim, struct sim_host *host, struct str name, struct str value,
                         struct fail *fail)
{
    const struct knob *knob = NULL;
    int64_t number;
    int r = knob_find(host_knobs, countof(host_knobs), name, fail, &knob);

    if (r < 0)
        return r;
    r = knob_parse(knob, value, fail, &number);
    if (r < 0)
        return r;
    return knob->what == HOST_CRASH ? host_crash(sim, host)
                                    : host_set(sim, host, (enum host_knob)knob->what, number);
}

static int simulate_guest(struct sim *sim, struct sim_machine *machine, struct str id,
                          struct str name, struct str value, struct fail *fail)
{
    const struct knob *knob = NULL;
    int64_t number;
    int r = knob_find(guest_knobs, countof(guest_knobs), name, fail, &knob);

    if (r < 0)
        return r;
    r = knob_parse(knob, value, fail, &number);
    if (r < 0)
        return r;
    if (knob->what == AGENT_EXEC)
        machine->exec_us = number;
    else if (knob->what == AGENT_EXEC_EXIT)
        machine->exec_exit = number;
    if (knob->what >= GUEST_VERB_COUNT)
        return 0;
    r = sim_order(sim, machine, (enum guest_verb)knob->what, number);
    if (r == -E_CONFLICT)
        return fail_text(fail, E_CONFLICT, "machine %.*s is off, paused or hangs: it can't do %s",
                         STR_ARG(id), knob->name);
    return r;
}

/* The operator's hand reaches hosts that the network doesn't. */
int sim_simulate(struct hypervisor *hv, struct str host_id, struct str machine_id, struct str name,
                 struct str value, struct fail *fail)
{
    struct sim *sim = sim_of(hv);
    struct sim_machine *machine;
    struct sim_host *host;
    int r = sim_lock_now(sim);

    sim_file_maintain(sim);
    host = sim_host_find(sim, host_id);
    if (r < 0) {
        (void)fail_text(fail, E_UNREACHABLE, "the simulated hosts' file can't be read"); /* r says the same */
    } else if (!host) {
        r = fail_text(fail, E_NOT_FOUND, "there is no simulated host %.*s", STR_ARG(host_id));
    } else if (str_empty(machine_id)) {
        r = simulate_host(sim, host, name, value, fail);
    } else {
        machine = sim_machine_find(host, machine_id);
        r = machine ? simulate_guest(sim, machine, machine_id, name, value, fail)
                    : fail_text(fail, E_NOT_FOUND, "machine %.*s is not on host %.*s",
                                STR_ARG(machine_id), STR_ARG(host_id));
    }
    sim_unlock(sim);
    return r;
}
