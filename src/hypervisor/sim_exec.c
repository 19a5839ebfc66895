/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Programs that the agent of a simulated guest runs.
 *
 * The guest's shell knows three words: `echo TEXT`, `sleep SECONDS`, `exit CODE`, one to a line or parted by `;`. The last
 * argument of a program is its script. One that says anything else is not carried out: its output is the script itself
 * after "simulated: ". The knobs `exec` and `exec-exit` say how long a program takes besides, and how it ends when its
 * script doesn't.
 *
 * Programs live in memory only: after a restart of the daemon the agent knows nothing of them. Numbers start at a random
 * one each time, so that one from before the restart never means a new program.
 */
#include "base/buf.h"
#include "base/mem.h"
#include "hypervisor/sim_impl.h"

#define SCRIPT_MAX (256u * 1024) /* bytes of a script, and of what it says */
#define PROGRAMS_MAX 256         /* of one guest at a time */
#define SLEEP_MAX 1e6            /* seconds */

struct sim_program {
    struct list link; /* in machine->programs */
    int64_t pid;
    int64_t incarnation;
    usec_t due_us;
    int exit_code;
    int signal;
    struct buf output;
};

void sim_programs_free(struct sim_machine *machine)
{
    list_for_each_safe (node, &machine->programs) {
        struct sim_program *program = list_item(node, struct sim_program, link);

        list_remove(node);
        buf_done(&program->output);
        (void)xfree(program);
    }
    machine->program_count = 0;
}

static void program_drop(struct sim_machine *machine, struct sim_program *program)
{
    list_remove(&program->link);
    machine->program_count--;
    buf_done(&program->output);
    (void)xfree(program);
}

/* ── the guest's shell ── */

struct script {
    struct buf *output;
    int64_t exit_code;
    usec_t length_us;
    bool ended;
    bool understood;
};

/* Up to the next `;` or line end outside quotes. */
static struct str next_statement(struct str *rest)
{
    char quote = '\0';
    size_t i = 0;

    for (; i < rest->len; i++) {
        char c = rest->ptr[i];

        if (quote != '\0')
            quote = c == quote ? '\0' : quote;
        else if (c == '"' || c == '\'')
            quote = c;
        else if (c == ';' || c == '\n' || c == '\r')
            break;
    }
    struct str head = str_trim(str_slice(rest->ptr, i));

    i += i < rest->len;
    *rest = str_slice(rest->ptr + i, rest->len - i);
    return head;
}

/* Nothing that a real shell would do more with. */
static bool is_plain(struct str text)
{
    static const char special[] = "$`\\\"'|&<>(){}*?~#=![]";

    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] == '\0' || strchr(special, text.ptr[i]))
            return false;
    return true;
}

static struct str unquote(struct str text)
{
    if (text.len >= 2 && (text.ptr[0] == '"' || text.ptr[0] == '\'') && text.ptr[text.len - 1] == text.ptr[0])
        return str_slice(text.ptr + 1, text.len - 2);
    return text;
}

static void run_statement(struct script *script, struct str statement)
{
    struct str word;
    struct str rest;
    double seconds;

    (void)str_split(statement, ' ', &word, &rest);
    rest = unquote(str_trim(rest));
    if (str_empty(statement) || statement.ptr[0] == '#')
        return;
    script->understood = script->understood && is_plain(rest);
    if (str_eq(word, STR("echo"))) {
        buf_add_str(script->output, rest);
        buf_add_char(script->output, '\n');
    } else if (str_eq(word, STR("exit")) && str_to_i64(rest, &script->exit_code) == 0 && script->exit_code >= 0 &&
               script->exit_code <= 255) {
        script->ended = true;
    } else if (str_eq(word, STR("sleep")) && str_to_double(rest, &seconds) == 0 && seconds >= 0 && seconds <= SLEEP_MAX) {
        script->length_us += (usec_t)(seconds * USEC_PER_SEC);
    } else {
        script->understood = false;
    }
}

static void program_run(const struct sim_machine *machine, struct str text, usec_t now_us, struct sim_program *program)
{
    struct script script = {.output = &program->output, .exit_code = machine->exec_exit, .understood = true};
    struct str rest = text;

    while (rest.len > 0 && !script.ended && script.understood)
        run_statement(&script, next_statement(&rest));
    if (!script.understood) {
        buf_reset(&program->output);
        buf_add_cstr(&program->output, "simulated: ");
        buf_add_str(&program->output, text);
        script = (struct script){.exit_code = machine->exec_exit};
    }
    program->exit_code = (int)script.exit_code;
    program->due_us = now_us + machine->exec_us + script.length_us;
}

/* ── the calls ── */

static bool host_is_attached(struct sim *sim, struct str host_id)
{
    const struct sim_host *host;
    bool attached;

    sim_lock(sim);
    host = sim_host_find(sim, host_id);
    attached = host && host->attached;
    sim_unlock(sim);
    return attached;
}

/* Finds a machine whose agent answers; on failure the lock is free again. */
static int agent_enter(struct sim *sim, struct str host_id, struct str id, int64_t incarnation, struct sim_machine **ret)
{
    struct sim_machine *machine;
    int r = sim_machine_enter(sim, host_id, id, &machine);

    if (r == -E_NOT_FOUND && host_is_attached(sim, host_id))
        return -E_GONE;
    if (r < 0)
        return r;
    sim_settle(sim, machine, sim_now(sim));
    if (machine->guest.incarnation != incarnation || machine->guest.phase == GUEST_OFF)
        r = -E_GONE;
    else if (machine->guest.hang || guest_state(&machine->guest) != MACHINE_RUNNING)
        r = -E_BUSY; /* its agent is not up yet, stands still with it, or went first */
    if (r < 0) {
        sim_unlock(sim);
        return r;
    }
    *ret = machine;
    return 0;
}

static struct sim_program *program_find(struct sim_machine *machine, int64_t incarnation, int64_t pid)
{
    list_for_each (node, &machine->programs) {
        struct sim_program *program = list_item(node, struct sim_program, link);

        if (program->pid == pid && program->incarnation == incarnation)
            return program;
    }
    return NULL;
}

/* Those of an earlier start went with it. */
static void forget_older(struct sim_machine *machine, int64_t incarnation)
{
    list_for_each_safe (node, &machine->programs) {
        struct sim_program *program = list_item(node, struct sim_program, link);

        if (program->incarnation != incarnation)
            program_drop(machine, program);
    }
}

int sim_exec_start(struct hypervisor *hv, struct str host_id, struct str id, int64_t incarnation,
                   const struct machine_exec *exec, int64_t *ret_pid)
{
    struct sim *sim = sim_of(hv);
    struct str script = exec->arg_count > 0 ? exec->args[exec->arg_count - 1] : exec->path;
    struct sim_machine *machine;
    struct sim_program *program;
    int r = agent_enter(sim, host_id, id, incarnation, &machine);

    if (r < 0)
        return r;
    forget_older(machine, incarnation);
    if (machine->program_count >= PROGRAMS_MAX || script.len > SCRIPT_MAX) {
        sim_unlock(sim);
        return -E_LIMIT;
    }
    program = xcalloc(1, sizeof(*program));
    program->pid = ++sim->last_pid;
    program->incarnation = incarnation;
    buf_init(&program->output, SCRIPT_MAX + 64);
    program_run(machine, script, sim_now(sim), program);
    list_append(&machine->programs, &program->link);
    machine->program_count++;
    *ret_pid = program->pid;
    sim_unlock(sim);
    return 0;
}

int sim_exec_poll(struct hypervisor *hv, struct str host_id, struct str id, int64_t incarnation,
                  int64_t pid, struct arena *arena, struct machine_exec_status *ret)
{
    struct sim *sim = sim_of(hv);
    struct sim_machine *machine;
    struct sim_program *program;
    int r = agent_enter(sim, host_id, id, incarnation, &machine);

    if (r < 0)
        return r;
    program = program_find(machine, incarnation, pid);
    if (!program) {
        r = -E_NOT_FOUND;
    } else if (program->due_us > sim_now(sim)) {
        *ret = (struct machine_exec_status){.exited = false};
    } else {
        *ret = (struct machine_exec_status){
            .exited = true,
            .exit_code = program->signal ? 0 : program->exit_code,
            .signal = program->signal,
            .output = arena_str(arena, program->signal ? STR("") : buf_str(&program->output)),
        };
        program_drop(machine, program); /* its output is told once */
    }
    sim_unlock(sim);
    return r;
}

int sim_exec_kill(struct hypervisor *hv, struct str host_id, struct str id, int64_t incarnation,
                  int64_t pid)
{
    struct sim *sim = sim_of(hv);
    struct sim_machine *machine;
    struct sim_program *program;
    int r = agent_enter(sim, host_id, id, incarnation, &machine);

    if (r < 0)
        return r;
    program = program_find(machine, incarnation, pid);
    if (program && program->due_us > sim_now(sim)) {
        program->signal = 9;
        program->due_us = sim_now(sim);
    }
    sim_unlock(sim);
    return 0; /* one that has ended: killed enough (law 1) */
}
