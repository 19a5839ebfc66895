/* SPDX-License-Identifier: Apache-2.0 */
/* What every unit test includes, in the order that cmocka wants, and a few checks that it lacks. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/str.h"

/* cmocka's fail() has the name of ours (base/fail.h); fail_msg() is rebuilt without it. */
#undef fail
#undef fail_msg
#define fail_msg(...)                                                                              \
    do {                                                                                           \
        print_error("ERROR: " __VA_ARGS__);                                                        \
        print_error("\n");                                                                         \
        _fail(__FILE__, __LINE__);                                                                 \
    } while (0)

/*
 * From one point of failure to the next, where an operation fails at all of them in turn. Sanitizers make each slow: there it is every
 * third, but in ./check --long.
 */
#ifdef __SANITIZE_ADDRESS__
#define POINT_STRIDE (getenv("ECSD_EVERY_POINT") ? 1 : 3)
#else
#define POINT_STRIDE 1
#endif

/* The text of a struct str equals a C string; NULL: it is absent. */
#define assert_str(actual, expected)                                                               \
    do {                                                                                           \
        struct str actual_ = (actual);                                                             \
        const char *expected_ = (expected);                                                        \
        if (!expected_)                                                                            \
            assert_null(actual_.ptr);                                                              \
        else if (!str_eq(actual_, str_from(expected_)))                                            \
            fail_msg("\"%.*s\" is not \"%s\"", STR_ARG(actual_), expected_);                       \
    } while (0)

/* The statement ends the process with SIGABRT; it runs in a child, which leaves no core behind. */
#define assert_aborts(statement)                                                                   \
    do {                                                                                           \
        int status_;                                                                               \
        pid_t pid_ = fork();                                                                       \
        assert_true(pid_ >= 0);                                                                    \
        if (pid_ == 0) {                                                                           \
            (void)setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});                                  \
            (void)close(STDERR_FILENO);                                                            \
            statement;                                                                             \
            _exit(0);                                                                              \
        }                                                                                          \
        assert_int_equal(waitpid(pid_, &status_, 0), pid_);                                        \
        assert_true(WIFSIGNALED(status_) && WTERMSIG(status_) == SIGABRT);                         \
    } while (0)
