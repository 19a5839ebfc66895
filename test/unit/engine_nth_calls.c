/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For each operation on an instance the n-th call of the hypervisor fails, before it was carried out, after it, or the
 * process dies right after it; and, where engine_fault.c and engine_disk.c don't do it, the n-th call of the store's driver,
 * from the order on; for n = 1, 2, … until the operation meets none.
 */
#include "unit/engine_nth_play.h"

static const struct mode hypervisor_modes[] = {
    {"host is silent", CULPRIT_HYPERVISOR, .error = E_UNREACHABLE},
    {"answer is lost", CULPRIT_HYPERVISOR, .error = E_UNREACHABLE, .after = true},
    {"times out", CULPRIT_HYPERVISOR, .error = E_TIMEOUT, .after = true},
    {"killed after it", CULPRIT_HYPERVISOR, .error = E_UNREACHABLE, .after = true, .dies = true},
};
static const struct mode driver_fails = {"driver fails", CULPRIT_DRIVER, .error = E_IO};

static void hypervisor_fails(void **state)
{
    const struct operation *op = *state;
    int total = 0;

    for (size_t m = 0; m < countof(hypervisor_modes); m++)
        total += fails_everywhere(op, &hypervisor_modes[m]);
    print_message("  %s: %d calls of the hypervisor failed\n", op->name, total);
    /* An instance that is only created is no host's business yet. */
    assert_true(total >= (int)countof(hypervisor_modes) || (op->order == ORDER_CREATE && !op->starts));
}

static void store_fails(void **state)
{
    const struct operation *op = *state;
    int total = fails_everywhere(op, &driver_fails);

    print_message("  %s: %d calls of the store's driver failed\n", op->name, total);
    assert_true(total > 20);
}

/* What the other tests leave out. */
static bool is_new(const struct operation *op)
{
    return op->from != START_RUNNING || op->verb == VERB_RELEASE || (op->order == ORDER_STOP && op->guest && !op->stop.force);
}

/* An argument, such as "*stop*", picks some of the operations. */
int main(int argc, char **argv)
{
    struct CMUnitTest tests[2 * countof(operations)];
    size_t count = 0;

    for (size_t i = 0; i < countof(operations); i++) {
        void *op = (void *)(uintptr_t)&operations[i];

        tests[count++] = (struct CMUnitTest){operations[i].name, hypervisor_fails, NULL, NULL, op};
        if (is_new(&operations[i]) && operations[i].verb != VERB_DETACH)
            tests[count++] = (struct CMUnitTest){operations[i].name, store_fails, NULL, NULL, op};
    }
    log_threshold = (enum log_level)0; /* failures are what it is about */
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    disk_fault_install();
    return _cmocka_run_group_tests("engine_nth_calls", tests, count, NULL, NULL);
}
